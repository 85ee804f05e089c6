//! Logs: for people on a terminal, JSON otherwise; always on stderr, so that stdout is a command's result.

use std::io::IsTerminal;

use tracing::{Dispatch, Level, Metadata};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::time::{SystemTime, Uptime};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::progress::{self, BesideLines};

/// How logs are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum LogFormat {
    /// For people where stderr is a terminal, JSON otherwise.
    Auto,
    /// For people.
    Text,
    /// One JSON object for each line.
    Json,
}

/// The most that is logged of what stands in this module and below it, whatever was asked for; the longest
/// name wins. The client of clusters logs whole answers, and in them the values of Secrets: those that are
/// refusals at debug, those that it cannot read at warn. All that it fails with is an error that Weir reports
/// in words of its own. The client under Git and externals logs whole requests with what is shown in them at trace, and
/// at debug where servers redirect to, which may hold a password or a signature.
const CAPS: &[(&str, Option<Level>)] = &[
    ("kube", Some(Level::INFO)),
    ("kube_client", Some(Level::INFO)),
    ("kube_client::client", None),
    ("kube_client::client::tls", Some(Level::INFO)),
    ("kube_core", Some(Level::INFO)),
    ("kube_runtime", Some(Level::INFO)),
    ("ureq", Some(Level::INFO)),
    ("ureq_proto", Some(Level::INFO)),
];

/// Starts logging. `filter` is a level, or directives such as `info,weir_source=debug`.
pub(crate) fn start(format: LogFormat, filter: &str) -> Result<(), String> {
    let terminal = std::io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Text => false,
        LogFormat::Json => true,
    };
    let logging = logging(json, terminal, filter, || BesideLines)?;
    if terminal && !json {
        progress::on();
    }
    logging.try_init().map_err(|e| e.to_string())
}

fn logging<W>(json: bool, ansi: bool, filter: &str, writer: W) -> Result<Dispatch, String>
where
    W: for<'w> MakeWriter<'w> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_new(filter).map_err(|e| format!("--log {filter:?}: {e}"))?;
    let builder = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(writer)
        // It would be said on stderr, which cannot be written to then: that panics, and ends the task that logged.
        .log_internal_errors(false)
        .with_ansi(ansi);
    // Around the filter, so that no directive, however exact, gets past it.
    let capped = filter_fn(is_within_caps);
    Ok(match json {
        true => {
            let builder = builder.json().flatten_event(true);
            builder.with_timer(SystemTime).finish().with(capped).into()
        }
        false => {
            let builder = builder.with_target(false).with_timer(Uptime::default());
            builder.compact().finish().with(capped).into()
        }
    })
}

/// Whether an event is one that [`CAPS`] let through.
fn is_within_caps(metadata: &Metadata<'_>) -> bool {
    let target = metadata.target();
    let is_of = |module: &str| {
        let rest = target.strip_prefix(module);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
    };
    let caps = CAPS.iter().filter(|(module, _)| is_of(module));
    let cap = caps.max_by_key(|(module, _)| module.len());
    cap.is_none_or(|(_, most)| most.is_some_and(|most| *metadata.level() <= most))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use super::*;

    /// What was logged.
    #[derive(Clone, Default)]
    struct Log(Arc<Mutex<Vec<u8>>>);

    impl Write for Log {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// What is logged with this filter of one event at each level from each of these places.
    fn logged(json: bool, filter: &str) -> String {
        let log = Log::default();
        let to = log.clone();
        let logging = logging(json, false, filter, move || to.clone()).unwrap();
        tracing::dispatcher::with_default(&logging, || {
            macro_rules! say {
                ($($target:literal),*) => {$(
                    tracing::error!(target: $target, concat!("error of ", $target));
                    tracing::warn!(target: $target, concat!("warn of ", $target));
                    tracing::info!(target: $target, concat!("info of ", $target));
                    tracing::debug!(target: $target, concat!("debug of ", $target));
                    tracing::trace!(target: $target, concat!("trace of ", $target));
                )*};
            }
            say!(
                "weir",
                "kubelike",
                "kube",
                "kube_client",
                "kube_client::config"
            );
            say!("kube_client::client", "kube_client::client::builder");
            say!("kube_client::client::tls", "kube_runtime::watcher");
            say!("ureq::run", "ureq_proto::util");
        });
        let bytes = log.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// Whether it was logged, and nothing whose name only begins so.
    fn has(log: &str, what: &str) -> bool {
        log.lines().any(|line| {
            line.split_once(what).is_some_and(|(_, rest)| {
                !rest.starts_with(|c: char| c.is_alphanumeric() || ":_".contains(c))
            })
        })
    }

    #[test]
    fn what_is_shown_to_a_server_is_logged_at_no_level_that_anybody_asks_for() {
        for filter in ["trace", "ureq=trace,ureq_proto::util=trace"] {
            let log = logged(true, filter);
            for level in ["trace", "debug"] {
                assert!(!has(&log, &format!("{level} of ureq::run")), "{log}");
                assert!(!has(&log, &format!("{level} of ureq_proto::util")), "{log}");
            }
        }
        assert!(has(&logged(true, "trace"), "info of ureq::run"));
    }

    #[test]
    fn what_a_cluster_answers_is_logged_at_no_level_that_anybody_asks_for() {
        for filter in [
            "trace",
            "info,kube_client=trace",
            "kube_client::client=trace,kube_client::client::builder=trace,kube_client::config=trace",
        ] {
            for json in [true, false] {
                let log = logged(json, filter);
                assert!(!has(&log, "of kube_client::client"), "{log}");
                assert!(!has(&log, "of kube_client::client::builder"), "{log}");
                assert!(!has(&log, "debug of kube_client::config"), "{log}");
                assert!(has(&log, "info of kube_client::config"), "{log}");
            }
        }
        let log = logged(true, "trace");
        for module in [
            "kube",
            "kube_client",
            "kube_client::client::tls",
            "kube_runtime::watcher",
        ] {
            assert!(has(&log, &format!("info of {module}")), "{log}");
            assert!(!has(&log, &format!("debug of {module}")), "{log}");
        }
    }

    #[test]
    fn what_is_asked_for_of_all_else_is_logged() {
        let log = logged(false, "trace");
        assert!(
            has(&log, "trace of weir") && has(&log, "trace of kubelike"),
            "{log}"
        );
        let log = logged(false, "warn,weir=debug");
        assert!(
            has(&log, "debug of weir") && !has(&log, "trace of weir"),
            "{log}"
        );
        assert!(has(&log, "warn of kube_runtime::watcher"), "{log}");
        assert!(!has(&log, "info of kube_runtime::watcher"), "{log}");
    }

    #[test]
    fn a_filter_that_is_none_is_refused_by_name() {
        let refused = logging(true, false, "weir=loud", std::io::sink).unwrap_err();
        assert!(refused.starts_with("--log \"weir=loud\": "), "{refused}");
    }
}
