//! `weir serve` and `weir sync`: the same loop, until stopped or once round.

use std::net::{Ipv4Addr, SocketAddr};
use std::num::{NonZeroU32, NonZeroU64};
use std::path::PathBuf;
use std::time::Duration;

use weir_core::fault::{Fault, Retry};
use weir_core::grant::Millis;
use weir_core::health::Health;
use weir_core::retention::Retention;
use weir_core::settle;
use weir_core::status::State;

use super::Done;
use crate::config::file::{self, HostFile};
use crate::config::{
    AccountBinding, CanaryArgs, CommitArgs, DecryptArgs, GlobalArgs, Isolation, RepoArgs,
    TargetBinding, bindings, ref_name,
};
use crate::error::Error;
use crate::follow::Ended;
use crate::hosting::{self, Hosting};
use crate::plugins::rules::Rules;
use crate::repository::{Bounds, Policy, RepositorySettings};
use crate::sync::Report;

/// Where the API answers, where nothing says it.
const LISTEN: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::LOCALHOST), 7117);

/// One round asks once, however long it waits for health.
const NO_POLLS: Millis = Millis(24 * 3_600_000);

/// What both take.
#[derive(Debug, Clone, clap::Args)]
struct FollowArgs {
    #[command(flatten)]
    repo: RepoArgs,
    #[command(flatten)]
    decrypt: DecryptArgs,
    /// The branch or tag to follow
    #[arg(long = "ref", default_value = "main", value_name = "REF")]
    reference: String,
    #[command(flatten)]
    commits: CommitArgs,
}

/// What `weir sync` takes.
#[derive(Debug, clap::Args)]
pub(super) struct SyncArgs {
    #[command(flatten)]
    follow: FollowArgs,
    /// Where apps land: dir:PATH, kube:, kube:CONTEXT or kube-secret:NAMESPACE/NAME; after NAME= for a target of the
    /// manifest; may be given again
    #[arg(long = "target", required = true, value_name = "[NAME=]PLACE")]
    targets: Vec<TargetBinding>,
    /// The cluster's service account that objects are read and written as [default: this host's own account]; after
    /// NAME= for a target of the manifest; may be given again
    #[arg(long = "as", value_name = "[NAME=]NAMESPACE/ACCOUNT")]
    accounts: Vec<AccountBinding>,
    /// Wait until what was synced is healthy, at most so long: 5m where --wait says no time. A directory has no health
    #[arg(
        long,
        value_name = "TIME",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "5m"
    )]
    wait: Option<String>,
    #[command(flatten)]
    canary: CanaryArgs,
}

/// What `weir serve` takes.
#[derive(Debug, clap::Args)]
pub(super) struct ServeArgs {
    #[command(flatten)]
    follow: FollowArgs,
    /// Where apps land: dir:PATH, kube:, kube:CONTEXT or kube-secret:NAMESPACE/NAME; after NAME= for a target of the
    /// manifest; may be given again
    #[arg(
        long = "target",
        required_unless_present_any = ["config", "cluster"],
        value_name = "[NAME=]PLACE"
    )]
    targets: Vec<TargetBinding>,
    /// The cluster's service account that objects are read and written as [default: this host's own account]; after
    /// NAME= for a target of the manifest; may be given again
    #[arg(long = "as", value_name = "[NAME=]NAMESPACE/ACCOUNT")]
    accounts: Vec<AccountBinding>,
    /// How often the repository is asked; up to a tenth is added by chance. `weir refresh` and SIGHUP ask at once
    #[arg(long, default_value = "15s", value_name = "TIME")]
    interval: String,
    /// Where /healthz, /readyz, /metrics and /api/v1/apps answer; port 0 takes a free one [default: 127.0.0.1:7117]
    #[arg(long, value_name = "ADDRESS")]
    listen: Option<SocketAddr>,
    #[command(flatten)]
    canary: CanaryArgs,
    /// Follow the repositories of this file instead of the one of the flags, each with its own ref, targets, interval
    /// and policy; `weir schema host` prints what may stand in it
    #[arg(long, value_name = "FILE", conflicts_with_all = [
        "repo", "name", "path", "manifest", "token_file", "username", "password_file", "ssh_key_file",
        "known_hosts_file", "ca_file", "client_cert", "client_key", "proxy", "reference", "targets", "accounts", "interval",
        "allowed_signers", "gpg_keys", "every_commit", "fast_forward_only", "age_key_file",
    ])]
    config: Option<PathBuf>,
    /// Follow the Repositories (weir crds) of the cluster that the kubeconfig, or the pod, is in, each as service accounts of
    /// its own namespace
    #[arg(long, conflicts_with_all = [
        "config", "repo", "name", "path", "manifest", "token_file", "username", "password_file", "ssh_key_file",
        "known_hosts_file", "ca_file", "client_cert", "client_key", "proxy", "reference", "targets", "accounts", "interval",
        "allowed_signers", "gpg_keys", "every_commit", "fast_forward_only", "age_key_file",
    ])]
    cluster: bool,
    /// Records of the ledger that are older than so many days are removed [default: they stay for ever]
    #[arg(long, value_name = "DAYS")]
    retention_days: Option<NonZeroU32>,
    /// Only so many of the newest records of each repository stay in the ledger [default: all]
    #[arg(long, value_name = "RECORDS")]
    retention_records: Option<NonZeroU64>,
}

/// Syncs once.
pub(super) async fn sync(global: &GlobalArgs, args: &SyncArgs) -> Result<Done, Error> {
    let settings = settings(&args.follow, (&args.targets, &args.accounts), NO_POLLS)?;
    let wait = args.wait.as_deref().map(|text| text.parse::<Millis>());
    let wait = wait
        .transpose()
        .map_err(|e| Error::Usage(format!("--wait: {e}")))?
        .map(|Millis(wait)| Duration::from_millis(wait));
    outcome(
        hosting::once(
            &global.places()?,
            settings,
            wait,
            args.canary.canary.unwrap_or(0),
        )
        .await?,
        wait,
    )
}

/// Follows until stopped.
pub(super) async fn serve(global: &GlobalArgs, args: &ServeArgs) -> Result<Done, Error> {
    let (file, from_file) = match &args.config {
        Some(path) => (file::read(path)?, true),
        None if args.cluster => {
            let bounds = Some(Bounds::default());
            let nothing = HostFile::alone(vec![]);
            (HostFile { bounds, ..nothing }, true)
        }
        None => (HostFile::alone(vec![alone(args)?]), false),
    };
    let mut places = global.places()?;
    match (file.externals, global.externals()) {
        (Some(_), Some(flag)) => {
            return Err(Error::Usage(format!(
                "--externals {}: the file of --config says it already, under `externals`: leave one of them out",
                flag.display()
            )));
        }
        (Some(externals), None) => places.externals = externals,
        (None, _) => {}
    }
    places.externals.shared = true;
    let isolation = global.isolation.or(file.isolation);
    places.isolation = isolation.unwrap_or(Isolation::SERVICE);
    places.random = global.random.at(file.random_secret, &places.state);
    if let Some(ledger) = file.ledger {
        places.ledger = global.ledger.with(ledger, &places.state)?;
    }
    let hosting = Hosting {
        retention: retention(args, file.retention)?,
        places,
        listen: args.listen.or(file.listen).unwrap_or(LISTEN),
        parallel: file.parallel,
        repositories: file.repositories,
        canary: args.canary.canary.unwrap_or(file.canary),
        from_file,
        bounds: file.bounds,
    };
    hosting.run().await?;
    Ok(Done::Well)
}

/// The one repository of the flags.
fn alone(args: &ServeArgs) -> Result<RepositorySettings, Error> {
    let interval: Millis = args
        .interval
        .parse()
        .map_err(|e| Error::Usage(format!("--interval: {e}")))?;
    settings(&args.follow, (&args.targets, &args.accounts), interval)
}

/// How long records are kept: what the flags or the file say.
fn retention(args: &ServeArgs, file: Option<Retention>) -> Result<Retention, Error> {
    let flags = Retention {
        days: args.retention_days,
        records: args.retention_records,
    };
    match file {
        None => Ok(flags),
        Some(file) if flags.is_for_ever() => Ok(file),
        Some(_) => Err(Error::Usage(
            "--retention-days, --retention-records: the file of --config says it already, under `retention`: leave one of them out"
                .to_owned(),
        )),
    }
}

/// The repository of the flags, as meant.
fn settings(
    args: &FollowArgs,
    (targets, accounts): (&[TargetBinding], &[AccountBinding]),
    interval: Millis,
) -> Result<RepositorySettings, Error> {
    Ok(RepositorySettings {
        targets: bindings(targets, accounts)?,
        bound: None,
        allow: None,
        commits: args.commits.meant()?,
        reach: args.repo.reach()?,
        reference: ref_name(&args.reference)?,
        manifest: args.repo.manifest(),
        interval,
        policy: Policy::default(),
        decrypt: args.decrypt.decrypt(),
        plugins: Rules::default(),
    })
}

/// How one round ended, for scripts. `waited` says how long it waited for health at most, where it did.
fn outcome(ended: Ended, waited: Option<Duration>) -> Result<Done, Error> {
    if let Some(problem) = ended.problem {
        return Err(problem);
    }
    for app in &ended.waiting {
        tracing::error!(%app, "was not synced: an app that it comes after is not synced, or not healthy");
    }
    let mut failed = ended
        .reports
        .values()
        .filter(|r| matches!(r.state, State::Failed | State::Pending));
    if let Some(report) = failed.next() {
        // What failed before as well was not said while it ran.
        for other in failed.filter(|r| !r.is_news) {
            if let Some(problem) = &other.problem {
                tracing::error!(app = %other.app, "still failed: {}", problem.message);
            }
        }
        let message = report.problem.as_ref().map_or_else(
            || format!("app {}: not finished", report.app),
            |p| p.message.clone(),
        );
        let fault = report.problem.as_ref().map_or(Fault::Target, |p| p.fault);
        let stage = "sync";
        return Err(Error::Stage {
            stage,
            fault,
            retry: report.retry,
            message,
        });
    }
    if let Some(problem) = ended.late.values().next() {
        return Err(Error::Stage {
            stage: settle::STAGE,
            fault: problem.fault,
            retry: Retry::Backoff,
            message: problem.message.clone(),
        });
    }
    let waits = |r: &&Report| matches!(r.state, State::Held | State::Pinned);
    let is_held = ended.reports.values().any(|r| waits(&r));
    // What comes after an app that is held waits for the same person.
    if !ended.waiting.is_empty() && !is_held {
        return Err(Error::host("sync", "not every app was synced"));
    }
    if let Some(waited) = waited {
        settled(&ended, waited)?;
    }
    // What was held before as well was not said while it ran, and whoever ran this wants to know why.
    let held = ended.reports.values().filter(|r| r.state == State::Held);
    for report in held.filter(|r| !r.is_news) {
        if let Some(problem) = &report.problem {
            tracing::warn!(app = %report.app, "still held: {}", problem.message);
        }
    }
    let is_held = is_held || ended.refused.is_some();
    Ok(if is_held { Done::Held } else { Done::Well })
}

/// Whether all is healthy; the first app that failed, or is not yet.
fn settled(ended: &Ended, waited: Duration) -> Result<(), Error> {
    let unready = || {
        let all = ended.health.iter().map(|(app, h)| (app, h.health()));
        all.filter(|(_, health)| !health.is_ready())
    };
    let failed = unready().find(|(_, health)| matches!(health, Health::Failed(_)));
    let message = match (failed, unready().next()) {
        (Some((app, health)), _) => format!("app {app} was synced and {health}"),
        (None, Some((app, health))) => format!(
            "app {app} was synced and is not healthy after {} s: {health}",
            waited.as_secs()
        ),
        (None, None) => return Ok(()),
    };
    Err(Error::Stage {
        stage: settle::STAGE,
        fault: Fault::Target,
        retry: Retry::Backoff,
        message,
    })
}
