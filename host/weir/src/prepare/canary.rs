//! The determinism canary: a share of renders runs a second time on another engine, and has to come to the same.
//!
//! What is different the second time: the engine, with its own memory and its own hash seeds; the code of each plugin,
//! compiled anew and by no cache; the instances; what ran before in that engine; and the thread and the ticks at which
//! a call lets others run. What may not be different: a byte of what comes out, and what is read for it.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use tempfile::TempDir;
use tokio::sync::OnceCell;
use weir_api::{CanaryResult, Metrics};
use weir_core::canary::{Difference, Ran, Step, difference, is_chosen};
use weir_core::digest::Digest;
use weir_core::fault::{Blame as _, Fault, Retry};
use weir_core::name::{AppName, PluginName};
use weir_core::object::Object;
use weir_core::tree::Snapshot;
use weir_core::validate::Finding;
use weir_sandbox::{Role, Sandbox};

use super::Rendered;
use super::pipeline::{Ready, Render, calls};
use crate::cli::engine;
use crate::config::{Isolation, Places};
use crate::crash::Spoiled;
use crate::error::Error;
use crate::mask;
use crate::open::blocking;
use crate::plugins;

/// Below the cache: what second engines compile, gone with their process.
const FOLDER: &str = "canary";
/// What a process that was killed left there is removed after this.
const LEFTOVER: Duration = Duration::from_secs(24 * 3600);

/// Which renders run twice, and where.
pub(crate) struct Canary {
    percent: u8,
    cache: PathBuf,
    isolation: Isolation,
    metrics: Option<Metrics>,
    cold: OnceCell<Cold>,
}

/// The other engine. It lasts as long as the process, so that each plugin is compiled for it once.
struct Cold {
    sandbox: Arc<Sandbox>,
    /// Removed after the engine, which is dropped first.
    _folder: TempDir,
}

impl Canary {
    /// So many percent of the renders of a host that keeps things there.
    pub(crate) fn new(percent: u8, places: &Places, metrics: Option<Metrics>) -> Canary {
        Canary {
            percent,
            cache: places.cache.clone(),
            isolation: places.isolation,
            metrics,
            cold: OnceCell::new(),
        }
    }

    /// Whether the render of an app with this key is one of them: by the two alone, so that it is one again.
    pub(super) fn chooses(&self, app: &AppName, key: Digest) -> bool {
        self.percent > 0 && is_chosen(self.percent, app, key)
    }

    fn count(&self, result: CanaryResult) {
        if let Some(metrics) = &self.metrics {
            metrics.canary(result);
        }
    }

    async fn sandbox(&self) -> Result<Arc<Sandbox>, Error> {
        let open = async || {
            let (folder, isolation) = (self.cache.join(FOLDER), self.isolation);
            blocking("canary", move || {
                let failed =
                    |e: std::io::Error| Error::host("canary", format!("{}: {e}", folder.display()));
                std::fs::create_dir_all(&folder).map_err(failed)?;
                sweep(&folder);
                let own = tempfile::tempdir_in(&folder).map_err(failed)?;
                Ok(Cold {
                    sandbox: engine::sandbox(&own.path().join("compiled"), isolation)?,
                    _folder: own,
                })
            })
            .await
        };
        let cold = self.cold.get_or_try_init(open).await?;
        Ok(cold.sandbox.clone())
    }
}

/// Removes what killed processes left. What cannot be removed is a folder too many and nothing else.
fn sweep(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let made = entry.metadata().and_then(|meta| meta.modified());
        let age = made
            .ok()
            .and_then(|made| SystemTime::now().duration_since(made).ok());
        if age.is_some_and(|age| age > LEFTOVER) {
            let _ = std::fs::remove_dir_all(entry.path());
        }
    }
}

/// What each call of a run gave.
#[derive(Default)]
pub(super) struct Trace(Mutex<Vec<Step>>);

impl Trace {
    /// A call begins.
    pub(super) fn begins(&self, plugin: &PluginName, digest: Digest) {
        let step = Step {
            plugin: plugin.clone(),
            digest,
            gave: None,
        };
        self.steps(|steps| steps.push(step));
    }

    /// What it gave.
    pub(super) fn gave(&self, digest: Digest) {
        self.steps(|steps| {
            if let Some(step) = steps.last_mut() {
                step.gave = Some(digest);
            }
        });
    }

    /// The digest of objects, in the order in which they were given.
    pub(super) fn of(objects: &[Object]) -> Digest {
        let mut digest = Digest::builder();
        for object in objects {
            digest
                .part(object.digest().as_bytes())
                .part(object.origin().to_string().as_bytes());
        }
        digest.finish()
    }

    /// The digest of findings.
    pub(super) fn found(findings: &[Finding]) -> Digest {
        let mut digest = Digest::builder();
        for finding in findings {
            digest.part(finding.to_string().as_bytes());
        }
        digest.finish()
    }

    fn steps<T>(&self, work: impl FnOnce(&mut Vec<Step>) -> T) -> T {
        work(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn take(&self) -> Vec<Step> {
        self.steps(std::mem::take)
    }
}

type Whole = Result<Rendered, Error>;

/// Runs a render, and once more on the other engine: the first run's outcome, where the second one has the same.
///
/// # Errors
/// The render's own; or that the two runs differ, which is the fault of the plugin that is named.
pub(super) async fn twice(render: &Render<'_>, snapshot: Snapshot) -> Whole {
    let canary = &render.host.canary;
    let traces = [Trace::default(), Trace::default()];
    let first = Render {
        trace: traces.first(),
        ..*render
    };
    let first = first.whole(snapshot.clone()).await;
    // A time that was over, or a disk that was full, says nothing about a plugin.
    if is_unsure(&first) {
        canary.count(CanaryResult::Inconclusive);
        return first;
    }
    let second = second(render, snapshot, traces.last()).await;
    if let Err(why) = &second
        && is_unsure(&second)
    {
        let app = &render.app.name;
        tracing::warn!(%app, "the canary could not run this render a second time, so nothing is known of its determinism: {why}");
        canary.count(CanaryResult::Inconclusive);
        return first;
    }
    let [one, two] = traces.map(|trace| trace.take());
    let difference = difference(
        &compared(&first, &one),
        &compared(&second, &two),
        &mask::key()?,
    );
    match difference {
        None => {
            canary.count(CanaryResult::Equal);
            first
        }
        Some(difference) => {
            canary.count(CanaryResult::Different);
            Err(differs(&render.app.name, &difference))
        }
    }
}

fn is_unsure(whole: &Whole) -> bool {
    whole.as_ref().is_err_and(|e| e.retry() == Retry::Backoff)
}

fn compared<'a>(whole: &'a Whole, steps: &'a [Step]) -> Ran<'a> {
    let ended = whole.as_ref();
    Ran {
        ended: ended
            .map(|rendered| (&rendered.validated, rendered.reads.as_ref()))
            .map_err(ToString::to_string),
        steps,
    }
}

/// The same render on the other engine.
async fn second(render: &Render<'_>, snapshot: Snapshot, trace: Option<&Trace>) -> Whole {
    let sandbox = render.host.canary.sandbox().await?;
    let mut ready = Ready::new();
    for (role, call) in calls(render.app) {
        let name = &call.plugin;
        // One that is not ready in the first place fails there, in the same words.
        let Some(Ok(plugin)) = render.ready.get(&(name.clone(), role)) else {
            continue;
        };
        let plugin = anew(render, &sandbox, &snapshot, name, role, plugin.digest()).await?;
        ready.insert((name.clone(), role), Ok(Arc::new(plugin)));
    }
    let second = Render {
        ready: &ready,
        sandbox: &sandbox,
        before: None,
        spoiled: Spoiled::armed(),
        trace,
        ..*render
    };
    second.whole(snapshot).await
}

/// A plugin compiled for the other engine, once for each process.
async fn anew(
    render: &Render<'_>,
    sandbox: &Arc<Sandbox>,
    snapshot: &Snapshot,
    name: &PluginName,
    role: Role,
    digest: Digest,
) -> Result<weir_sandbox::Plugin, Error> {
    if let Some(plugin) = sandbox.loaded(digest, role) {
        return Ok(plugin);
    }
    let (sandbox, snapshot, name) = (sandbox.clone(), snapshot.clone(), name.clone());
    let host = render.host.clone();
    let source = render
        .manifest
        .plugins
        .get(&name)
        .map(|spec| spec.source.clone());
    blocking("canary", move || {
        let bytes = plugins::bytes_of(&host.store, &snapshot, source.as_ref(), digest)?;
        plugins::load(&sandbox, &name, digest, role, &bytes, 0)
    })
    .await
}

fn differs(app: &AppName, difference: &Difference) -> Error {
    let who = match &difference.plugin {
        Some((plugin, digest)) => format!("plugin `{plugin}` (sha256:{})", digest.short()),
        None => "the pipeline around its plugins".to_owned(),
    };
    let advice = match &difference.plugin {
        Some(_) => "report it to the plugin's author",
        None => "this is a bug in Weir; report it",
    };
    Error::Stage {
        stage: "render",
        fault: match &difference.plugin {
            Some(_) => Fault::Plugin,
            None => Fault::Host,
        },
        retry: Retry::OnChange,
        message: format!(
            "app `{app}`: {who} is not deterministic: of two runs with the same inputs, {}. Nothing of it is applied or kept: {advice}",
            difference.what
        ),
    }
}
