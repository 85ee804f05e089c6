//! Counters and times for Prometheus. Every label is a word of ours, or a repository's name, of which the
//! host's configuration says how many there are.

use std::fmt;
use std::fmt::Write as _;
use std::sync::Arc;

use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue, LabelValueEncoder};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::{Histogram, exponential_buckets};
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::Registry;
use weir_core::name::RepositoryName;
use weir_core::status::State;
use weir_core::webhook::Forge;

use crate::view::View;

/// The upper ends of a stage's buckets: twelve, each four times the last, from 100 µs to 7 minutes.
const BUCKETS: (f64, f64, u16) = (0.0001, 4.0, 12);

const STATES: [State; 6] = [
    State::Pending,
    State::Synced,
    State::Failed,
    State::Held,
    State::Drifted,
    State::Pinned,
];

/// How a sync of an app ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SyncResult {
    /// Something changed, and all of it worked.
    Changed,
    /// Nothing had to change.
    Unchanged,
    /// It did not work.
    Failed,
    /// It waits for a person.
    Held,
}

impl SyncResult {
    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            SyncResult::Changed => "changed",
            SyncResult::Unchanged => "unchanged",
            SyncResult::Failed => "failed",
            SyncResult::Held => "held",
        }
    }
}

/// Where an app's objects came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum RenderResult {
    /// Its plugins were called.
    Made,
    /// They were made before from the same inputs.
    Reused,
}

impl RenderResult {
    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            RenderResult::Made => "made",
            RenderResult::Reused => "reused",
        }
    }
}

/// How the two runs of one render compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CanaryResult {
    /// Both came to the same.
    Equal,
    /// They did not: a plugin, or this host, is not deterministic.
    Different,
    /// One of them could not be run to its end.
    Inconclusive,
}

impl CanaryResult {
    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            CanaryResult::Equal => "equal",
            CanaryResult::Different => "different",
            CanaryResult::Inconclusive => "inconclusive",
        }
    }
}

/// How a fetch ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FetchResult {
    /// The ref moved.
    Moved,
    /// The ref is where it was.
    Unchanged,
    /// The ref points at a commit that the host's policy does not follow.
    Refused,
    /// It did not work.
    Failed,
}

impl FetchResult {
    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            FetchResult::Moved => "moved",
            FetchResult::Unchanged => "unchanged",
            FetchResult::Refused => "refused",
            FetchResult::Failed => "failed",
        }
    }
}

/// What became of a delivery of a webhook.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum WebhookResult {
    /// A look was asked for.
    Accepted,
    /// It came before.
    Seen,
    /// It is about something that moves no ref.
    Ignored,
    /// Its repository is left alone.
    Suspended,
    /// The host stops.
    Stopping,
    /// Nothing says who sent it.
    Unsigned,
    /// Its headers are none that a forge sends.
    Malformed,
    /// No secret fits, or there is none.
    Wrong,
    /// It was signed at another time.
    Stale,
    /// Its body is too large.
    TooLarge,
    /// Its body did not come in time.
    Slow,
    /// Its body broke off.
    Broken,
}

impl WebhookResult {
    /// The label.
    pub fn as_str(self) -> &'static str {
        match self {
            WebhookResult::Accepted => "accepted",
            WebhookResult::Seen => "seen",
            WebhookResult::Ignored => "ignored",
            WebhookResult::Suspended => "suspended",
            WebhookResult::Stopping => "stopping",
            WebhookResult::Unsigned => "unsigned",
            WebhookResult::Malformed => "malformed",
            WebhookResult::Wrong => "wrong",
            WebhookResult::Stale => "stale",
            WebhookResult::TooLarge => "too-large",
            WebhookResult::Slow => "slow",
            WebhookResult::Broken => "broken",
        }
    }
}

/// What the host counts. Cheap to clone; every clone counts into the same numbers.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    syncs: Family<ResultLabels, Counter>,
    fetches: Family<ResultLabels, Counter>,
    renders: Family<ResultLabels, Counter>,
    canary: Family<OutcomeLabels, Counter>,
    stages: Family<StageLabels, Histogram>,
    webhooks: Family<WebhookLabels, Counter>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct WebhookLabels {
    forge: &'static str,
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ResultLabels {
    repository: Name,
    result: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OutcomeLabels {
    outcome: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StageLabels {
    stage: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct StateLabels {
    repository: Name,
    state: &'static str,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RepositoryLabels {
    repository: Name,
}

/// A repository's name as a label: a DNS label, so never anything that needs escaping.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Name(RepositoryName);

impl EncodeLabelValue for Name {
    fn encode(&self, encoder: &mut LabelValueEncoder<'_>) -> Result<(), fmt::Error> {
        encoder.write_str(self.0.as_str())
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

impl Metrics {
    /// All at zero. `version` is this program's.
    pub fn new(version: &'static str) -> Metrics {
        let syncs = Family::default();
        let fetches = Family::default();
        let renders = Family::default();
        let canary = Family::default();
        let webhooks = Family::default();
        let stages = Family::new_with_constructor(stage_times as fn() -> Histogram);
        let mut registry = Registry::with_prefix("weir");
        registry.register(
            "build",
            "The program that answers",
            Info::new([("version", version)]),
        );
        registry.register("syncs", "Syncs of apps, by how they ended", syncs.clone());
        registry.register(
            "fetches",
            "Fetches of repositories, by how they ended",
            fetches.clone(),
        );
        registry.register(
            "renders",
            "Renders of apps, by where they came from",
            renders.clone(),
        );
        registry.register(
            "canary",
            "Renders that ran twice, by whether they came to the same",
            canary.clone(),
        );
        registry.register(
            "stage_seconds",
            "Time that each stage of a sync took",
            stages.clone(),
        );
        registry.register(
            "webhook_requests",
            "Deliveries of webhooks, by what became of them",
            webhooks.clone(),
        );
        Metrics {
            registry: Arc::new(registry),
            syncs,
            fetches,
            renders,
            canary,
            stages,
            webhooks,
        }
    }

    /// Counts one sync of one app.
    pub fn synced(&self, repository: &RepositoryName, result: SyncResult) {
        let labels = ResultLabels {
            repository: Name(repository.clone()),
            result: result.as_str(),
        };
        self.syncs.get_or_create(&labels).inc();
    }

    /// Counts one fetch.
    pub fn fetched(&self, repository: &RepositoryName, result: FetchResult) {
        let labels = ResultLabels {
            repository: Name(repository.clone()),
            result: result.as_str(),
        };
        self.fetches.get_or_create(&labels).inc();
    }

    /// Counts one render of one app.
    pub fn rendered(&self, repository: &RepositoryName, result: RenderResult) {
        let labels = ResultLabels {
            repository: Name(repository.clone()),
            result: result.as_str(),
        };
        self.renders.get_or_create(&labels).inc();
    }

    /// Counts one render that ran twice.
    pub fn canary(&self, result: CanaryResult) {
        let labels = OutcomeLabels {
            outcome: result.as_str(),
        };
        self.canary.get_or_create(&labels).inc();
    }

    /// Counts one delivery of a webhook; without a forge where it was refused before anybody asked whose it is.
    pub fn webhook(&self, forge: Option<Forge>, result: WebhookResult) {
        let labels = WebhookLabels {
            forge: forge.map_or("unknown", Forge::as_str),
            outcome: result.as_str(),
        };
        self.webhooks.get_or_create(&labels).inc();
    }

    /// Adds the time that one stage took, in seconds. The stage is one of the host's own words.
    pub fn stage(&self, stage: &'static str, seconds: f64) {
        self.stages
            .get_or_create(&StageLabels { stage })
            .observe(seconds);
    }

    /// All of it in Prometheus' text form (OpenMetrics 1.0), with the apps of this view by state.
    ///
    /// # Errors
    /// Never for a `String`; the type is the formatter's.
    pub fn encode(&self, view: &View) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode_registry(&mut text, &self.registry)?;
        encode_registry(&mut text, &apps(view))?;
        encode_eof(&mut text)?;
        Ok(text)
    }
}

fn stage_times() -> Histogram {
    let (start, factor, length) = BUCKETS;
    Histogram::new(exponential_buckets(start, factor, length))
}

/// The apps of a view by state, and which repositories are held at an older commit. Made for each scrape, so that what is gone leaves no series behind.
fn apps(view: &View) -> Registry {
    let apps = Family::<StateLabels, Gauge>::default();
    for repository in &view.repositories {
        for state in STATES {
            let count = repository
                .apps
                .iter()
                .filter(|app| app.state == state)
                .count();
            let labels = StateLabels {
                repository: Name(repository.name.clone()),
                state: state.as_str(),
            };
            apps.get_or_create(&labels)
                .set(i64::try_from(count).unwrap_or(i64::MAX));
        }
    }
    let refused = Family::<RepositoryLabels, Gauge>::default();
    for repository in &view.repositories {
        let labels = RepositoryLabels {
            repository: Name(repository.name.clone()),
        };
        let is = i64::from(repository.refused.is_some());
        refused.get_or_create(&labels).set(is);
    }
    let ready = Gauge::<i64>::default();
    ready.set(i64::from(view.ready.is_ok()));
    let mut registry = Registry::with_prefix("weir");
    registry.register("apps", "Apps by how they stand", apps);
    registry.register(
        "commit_refused",
        "1 while the ref points at a commit that the policy for commits does not follow",
        refused,
    );
    registry.register("ready", "1 while the host does its work", ready);
    registry
}
