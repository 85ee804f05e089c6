//! Long work on a person's terminal: a line for each, shown after a second, gone when the work is done.
//!
//! The terminal is the process's, so this is, too: [`on`] once at the start, where stderr is a terminal and
//! logs are for people. Without it every line is silent.

use std::io::{self, Write};
use std::sync::OnceLock;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use weir_source::FetchProgress;

/// Work that is faster shows nothing.
const QUIET: Duration = Duration::from_secs(1);
/// How often a line moves, so that a person sees that the process lives.
const TICK: Duration = Duration::from_millis(100);

static TERMINAL: OnceLock<MultiProgress> = OnceLock::new();

/// Shows lines on stderr from now on.
pub(crate) fn on() {
    TERMINAL.get_or_init(MultiProgress::new);
}

/// One piece of work. Its line is gone with this value.
pub(crate) struct Line(Option<Shown>);

struct Shown {
    bar: ProgressBar,
    /// Dropped to end the line.
    done: Option<Sender<()>>,
    shower: Option<JoinHandle<()>>,
}

impl Line {
    /// Work that begins now.
    pub(crate) fn begin(what: impl Into<String>) -> Line {
        let Some(terminal) = TERMINAL.get() else {
            return Line(None);
        };
        let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{spinner} {wide_msg} {elapsed}") {
            bar.set_style(style);
        }
        bar.set_message(what.into());
        let (done, ended) = channel::<()>();
        let shown = bar.clone();
        let shower = std::thread::Builder::new().name("progress".to_owned());
        let shower = shower.spawn(move || {
            if ended.recv_timeout(QUIET) == Err(RecvTimeoutError::Timeout) {
                let shown = terminal.add(shown);
                shown.enable_steady_tick(TICK);
                // An error is the end that is waited for.
                let _ = ended.recv();
                shown.finish_and_clear();
                terminal.remove(&shown);
            }
        });
        Line(Some(Shown {
            bar,
            done: Some(done),
            // Without a thread there is no line, and the work goes on.
            shower: shower.ok(),
        }))
    }

    /// How far it is.
    pub(crate) fn say(&self, what: impl Into<String>) {
        if let Some(shown) = &self.0 {
            shown.bar.set_message(what.into());
        }
    }
}

impl Drop for Shown {
    fn drop(&mut self) {
        drop(self.done.take());
        if let Some(shower) = self.shower.take() {
            // It does not panic, and would say so itself.
            let _ = shower.join();
        }
    }
}

/// Standard error for logs: lines of work step aside while a log line is written.
pub(crate) struct BesideLines;

impl Write for BesideLines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match TERMINAL.get() {
            Some(terminal) => terminal.suspend(|| io::stderr().write(bytes)),
            None => io::stderr().write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        io::stderr().flush()
    }
}

/// How far a fetch is, in words.
pub(crate) fn fetching(progress: &FetchProgress) -> String {
    match progress {
        FetchProgress::Connecting => "fetching: asking the server".to_owned(),
        FetchProgress::Waiting => "fetching: waiting for the server".to_owned(),
        FetchProgress::Receiving { bytes } => {
            format!("fetching: {}", indicatif::HumanBytes(*bytes))
        }
        FetchProgress::Checking => "fetching: checking that all is there".to_owned(),
    }
}

/// Which external is fetched, and how far that is, in words.
pub(crate) fn external(reference: &str, progress: &FetchProgress) -> String {
    format!("{reference}: {}", fetching(progress))
}

/// Which plugin is compiled, and how many are to be made ready after it, in words.
pub(crate) fn compiling(plugin: &str, left: usize) -> String {
    match left {
        0 => format!("compiling plugin {plugin}, the last one"),
        left => format!("compiling plugin {plugin}, {left} more to make ready"),
    }
}

/// How many apps are rendered, in words.
pub(crate) fn rendering(done: usize, of: usize) -> String {
    let apps = if of == 1 { "app" } else { "apps" };
    format!("rendering: {done} of {of} {apps}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_say_which_and_how_many() {
        assert_eq!(compiling("yaml", 0), "compiling plugin yaml, the last one");
        assert_eq!(
            compiling("yaml", 2),
            "compiling plugin yaml, 2 more to make ready"
        );
        assert_eq!(rendering(0, 1), "rendering: 0 of 1 app");
        assert_eq!(rendering(3, 30), "rendering: 3 of 30 apps");
        let received = FetchProgress::Receiving { bytes: 3 << 20 };
        assert_eq!(fetching(&received), "fetching: 3.00 MiB");
    }

    #[test]
    fn without_a_terminal_a_line_is_silent_and_starts_no_thread() {
        let line = Line::begin("work");
        line.say("more");
        assert!(line.0.is_none());
    }
}
