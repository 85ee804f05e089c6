//! From a snapshot to rendered apps: manifest, plugins, then render, transform and validate for each app.
//! `render`, `diff`, `sync` and `serve` all go through here, so that they cannot differ.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use tokio::task::JoinSet;
use weir_core::digest::{CommitId, Digest};
use weir_core::fault::{Fault, Retry};
use weir_core::grant::Limits;
use weir_core::lock::{self, LOCK_FILE, Lock, TargetFacts};
use weir_core::manifest::{App, MANIFEST_FILE, Manifest, PluginCall, Resolved, Warning};
use weir_core::name::{AppName, PluginName, RepoPath};
use weir_core::object::{Object, ResourceId};
use weir_core::render;
use weir_core::scope;
use weir_core::tree::{ReadError, Snapshot, View};
use weir_core::validate::{Finding, Level, OutputLimits, Validated, admit};
use weir_core::yaml::Budget;
use weir_sandbox::{Call, Params, Plugin, Role, Sandbox};

use crate::blame::Makers;
use crate::error::Error;
use crate::plugins::{self, Store};
use crate::progress::{Line, rendering};
use crate::turns::Turns;

/// What renders need of this host.
pub(crate) struct Host {
    /// Where plugins run.
    pub(crate) sandbox: Arc<Sandbox>,
    /// The components that are here.
    pub(crate) store: Store,
    /// What one call may spend at most.
    pub(crate) limits: Limits,
    /// How large one app may be.
    pub(crate) output: OutputLimits,
    /// How many apps render at once, over all repositories.
    pub(crate) turns: Turns,
}

/// Where the manifest comes from.
#[derive(Debug, Clone)]
pub(crate) enum ManifestFrom {
    /// `weir.yaml` in the tree.
    Tree,
    /// The host's side: a file's name and text.
    Host(String, Vec<u8>),
    /// No manifest: one app from this directory.
    Path(RepoPath),
}

/// A commit, read and rendered.
pub(crate) struct Prepared {
    /// The commit; `None` for a work tree.
    pub(crate) commit: Option<CommitId>,
    /// What the author should hear.
    pub(crate) warnings: Vec<String>,
    /// Every app of the manifest, each rendered or not.
    pub(crate) apps: BTreeMap<AppName, PreparedApp>,
    /// What each app wants, by identity; `None` for one that could not be rendered.
    pub(crate) desired: BTreeMap<AppName, Option<BTreeSet<ResourceId>>>,
}

/// One app of a commit.
pub(crate) struct PreparedApp {
    /// What the manifest says.
    pub(crate) app: App,
    /// Its objects, or why there are none.
    pub(crate) rendered: Result<Rendered, Error>,
}

/// An app's objects and what made them.
#[derive(Debug)]
pub(crate) struct Rendered {
    /// The objects.
    pub(crate) validated: Validated,
    /// The plugins that were called.
    pub(crate) plugins: BTreeMap<PluginName, Digest>,
    /// Microseconds of each stage.
    pub(crate) micros: BTreeMap<String, u64>,
}

/// The manifest and lock of a snapshot.
pub(crate) struct Described {
    /// The manifest, resolved against the tree.
    pub(crate) manifest: Manifest,
    /// The lock, where there is one.
    pub(crate) lock: Option<Lock>,
    /// What the author should hear.
    pub(crate) warnings: Vec<Warning>,
}

/// Reads manifest and lock.
pub(crate) fn describe(snapshot: &Snapshot, from: &ManifestFrom) -> Result<Described, Error> {
    let resolved = match from {
        ManifestFrom::Tree => {
            let text = read_file(snapshot, MANIFEST_FILE)?.ok_or_else(|| {
                Error::Usage(format!("{MANIFEST_FILE}: the repository has none: add one, or follow a single directory with --path DIR"))
            })?;
            Manifest::parse(&text, MANIFEST_FILE, &snapshot.tree)
        }
        ManifestFrom::Host(name, text) => Manifest::parse(text, name, &snapshot.tree),
        ManifestFrom::Path(path) => {
            let name = path
                .name()
                .unwrap_or("app")
                .to_ascii_lowercase()
                .replace(['_', '.'], "-");
            let name: AppName = name
                .parse()
                .map_err(|e| Error::Usage(format!("--path: {e}")))?;
            Manifest::implied(&snapshot.tree, path.clone(), name).map(|manifest| Resolved {
                manifest,
                warnings: Vec::new(),
            })
        }
    };
    let Resolved { manifest, warnings } = resolved.map_err(|e| Error::Usage(e.to_string()))?;
    let lock = read_file(snapshot, LOCK_FILE)?
        .map(|text| Lock::parse(&text, LOCK_FILE).map_err(|e| Error::Usage(e.to_string())))
        .transpose()?;
    Ok(Described {
        manifest,
        lock,
        warnings,
    })
}

fn read_file(snapshot: &Snapshot, name: &str) -> Result<Option<Arc<[u8]>>, Error> {
    let mut view = View::new(snapshot.clone(), vec![RepoPath::root()]);
    match view.read(name) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(ReadError::NotFound(_)) => Ok(None),
        Err(e) => Err(Error::stage("manifest", &e)),
    }
}

/// Reads and renders a commit: all apps, or those that are named.
pub(crate) async fn prepare(
    host: &Arc<Host>,
    snapshot: &Snapshot,
    from: &ManifestFrom,
    only: &[AppName],
) -> Result<Prepared, Error> {
    let Described {
        manifest,
        lock,
        warnings,
    } = describe(snapshot, from)?;
    let mut warnings: Vec<String> = warnings.iter().map(ToString::to_string).collect();
    if lock.is_none() {
        warnings.push(format!(
            "there is no {LOCK_FILE}: plugins are this host's own and target facts are fixed ones; `weir lock` pins both"
        ));
    }
    if let Some(unknown) = only
        .iter()
        .find(|name| manifest.app(name.as_str()).is_none())
    {
        let known: Vec<&str> = manifest.apps.iter().map(|a| a.name.as_str()).collect();
        return Err(Error::Usage(format!(
            "app {unknown} is not in the manifest; it has: {}",
            known.join(", ")
        )));
    }
    let apps: Vec<App> = manifest
        .apps
        .iter()
        .filter(|a| only.is_empty() || only.contains(&a.name))
        .cloned()
        .collect();
    let ready = load_all(host, snapshot, &manifest, lock.as_ref(), &apps).await?;
    let manifest = Arc::new(manifest);
    let mut results: Vec<Option<Result<Rendered, Error>>> = apps.iter().map(|_| None).collect();
    let turns = host.turns.own();
    let mut tasks = JoinSet::new();
    for (n, app) in apps.iter().enumerate() {
        let facts =
            lock::facts_for(lock.as_ref(), &app.target).map_err(|e| Error::stage("manifest", &e));
        let (host, snapshot, app) = (host.clone(), snapshot.clone(), app.clone());
        let (manifest, ready, turns) = (manifest.clone(), ready.clone(), turns.clone());
        tasks.spawn(async move {
            let turn = turns.take().await;
            let result = match facts {
                _ if turn.is_none() => Err(Error::host("render", "the host is stopping")),
                Ok(facts) => {
                    Render {
                        host: &host,
                        manifest: &manifest,
                        ready: &ready,
                        app: &app,
                        facts: &facts,
                    }
                    .run(snapshot)
                    .await
                }
                Err(e) => Err(e),
            };
            (n, result)
        });
    }
    let (mut done, of) = (0, apps.len());
    let line = Line::begin(rendering(done, of));
    while let Some(ended) = tasks.join_next().await {
        let (n, result) =
            ended.map_err(|e| Error::host("render", format!("a render task ended early: {e}")))?;
        results[n] = Some(result);
        done += 1;
        line.say(rendering(done, of));
    }
    drop(line);
    let lost = || {
        Err(Error::host(
            "render",
            "a render task ended without a result",
        ))
    };
    let apps = apps.into_iter().zip(results);
    let apps = apps
        .map(|(app, r)| {
            (
                app.name.clone(),
                PreparedApp {
                    app,
                    rendered: r.unwrap_or_else(lost),
                },
            )
        })
        .collect();
    Ok(Prepared {
        commit: snapshot.tree.commit(),
        warnings,
        desired: desired(&apps),
        apps,
    })
}

fn desired(
    apps: &BTreeMap<AppName, PreparedApp>,
) -> BTreeMap<AppName, Option<BTreeSet<ResourceId>>> {
    let ids = |r: &Rendered| {
        let objects = r.validated.objects().iter();
        objects.map(|o| o.id().clone()).collect()
    };
    let wanted = |app: &PreparedApp| app.rendered.as_ref().ok().map(ids);
    apps.iter()
        .map(|(name, app)| (name.clone(), wanted(app)))
        .collect()
}

/// Every plugin that some app calls, in the role it is called in, loaded once or failed once.
type Ready = BTreeMap<(PluginName, Role), Result<Arc<Plugin>, Error>>;

async fn load_all(
    host: &Arc<Host>,
    snapshot: &Snapshot,
    manifest: &Manifest,
    lock: Option<&Lock>,
    apps: &[App],
) -> Result<Arc<Ready>, Error> {
    let pinned = plugins::pin(manifest, lock, &host.store);
    let mut wanted: BTreeSet<(PluginName, Role)> = BTreeSet::new();
    for app in apps {
        wanted.extend(calls(app).map(|(role, call)| (call.plugin.clone(), role)));
    }
    let (host, snapshot, manifest) = (host.clone(), snapshot.clone(), manifest.clone());
    // Compiling is long and blocks.
    let ready = tokio::task::spawn_blocking(move || {
        let load = |name: &PluginName, role: Role, left: usize| {
            let digest = match pinned.get(name) {
                Some(pinned) => pinned.clone()?,
                None => {
                    return Err(Error::Usage(format!(
                        "plugin {name} is not in the manifest"
                    )));
                }
            };
            let bytes = plugins::bytes(&host.store, &snapshot, &manifest, name, digest)?;
            plugins::load(&host.sandbox, name, digest, role, &bytes, left).map(Arc::new)
        };
        let left = (0..wanted.len()).rev();
        let wanted = wanted.into_iter().zip(left);
        wanted
            .map(|((name, role), left)| ((name.clone(), role), load(&name, role, left)))
            .collect::<Ready>()
    });
    ready
        .await
        .map(Arc::new)
        .map_err(|e| Error::host("plugins", format!("loading plugins ended early: {e}")))
}

fn calls(app: &App) -> impl Iterator<Item = (Role, &PluginCall)> {
    std::iter::once((Role::Renderer, &app.render))
        .chain(app.transform.iter().map(|call| (Role::Transformer, call)))
        .chain(app.validate.iter().map(|call| (Role::Validator, call)))
}

/// One app's way through its pipeline.
struct Render<'a> {
    host: &'a Host,
    manifest: &'a Manifest,
    ready: &'a Ready,
    app: &'a App,
    facts: &'a TargetFacts,
}

impl Render<'_> {
    async fn run(&self, snapshot: Snapshot) -> Result<Rendered, Error> {
        let mut micros = BTreeMap::new();
        let mut used = BTreeMap::new();
        let mut lap = Instant::now();
        let mut done = |stage: &str| {
            let spent = u64::try_from(lap.elapsed().as_micros()).unwrap_or(u64::MAX);
            micros.insert(stage.to_owned(), spent);
            lap = Instant::now();
        };
        for (role, call) in calls(self.app) {
            used.insert(call.plugin.clone(), self.plugin(role, call)?.digest());
        }
        let makers = Makers {
            app: self.app,
            digests: used.clone(),
        };
        let objects = self.render(&makers, snapshot).await?;
        done("render");
        let objects = self.transform(&makers, objects).await?;
        done("transform");
        let findings = self.validate(&objects).await?;
        let validated =
            admit(objects, findings, self.host.output).map_err(|e| makers.refused(&e))?;
        done("validate");
        Ok(Rendered {
            validated,
            plugins: used,
            micros,
        })
    }

    async fn render(&self, makers: &Makers<'_>, snapshot: Snapshot) -> Result<Vec<Object>, Error> {
        let call = &self.app.render;
        let plugin = self.plugin(Role::Renderer, call)?;
        let view = View::new(snapshot, self.app.roots.clone());
        let rendered = self
            .host
            .sandbox
            .render(&plugin, self.call(call), view)
            .await;
        let (documents, read, _) = rendered.map_err(|e| Error::stage("render", &e))?;
        let documents: Vec<render::Document> = documents
            .into_iter()
            .map(|d| render::Document {
                origin: d.origin,
                body: d.body,
            })
            .collect();
        render::parse(&documents, &Budget::HOST).map_err(|e| makers.rendered(&e, &read))
    }

    async fn transform(
        &self,
        makers: &Makers<'_>,
        mut objects: Vec<Object>,
    ) -> Result<Vec<Object>, Error> {
        for call in &self.app.transform {
            let plugin = self.plugin(Role::Transformer, call)?;
            let given = json_of(&objects)?;
            let changed = self
                .host
                .sandbox
                .transform(&plugin, self.call(call), &given)
                .await;
            let (changed, _) = changed.map_err(|e| Error::stage("transform", &e))?;
            let values = changed
                .iter()
                .map(|bytes| serde_json::from_slice(bytes))
                .collect::<Result<Vec<_>, _>>();
            let values = values.map_err(|e| makers.transformed(&call.plugin, &e))?;
            objects = render::transformed(&objects, values, call.plugin.as_str())
                .map_err(|e| makers.transformed(&call.plugin, &e))?;
        }
        scope::place(objects, self.app.namespace.as_ref()).map_err(|e| Error::Stage {
            stage: "transform",
            fault: Fault::Repository,
            retry: Retry::OnChange,
            message: format!("app `{}`: {e}", self.app.name),
        })
    }

    async fn validate(&self, objects: &[Object]) -> Result<Vec<Finding>, Error> {
        let mut findings = Vec::new();
        if self.app.validate.is_empty() {
            return Ok(findings);
        }
        let given = json_of(objects)?;
        for call in &self.app.validate {
            let plugin = self.plugin(Role::Validator, call)?;
            let found = self
                .host
                .sandbox
                .validate(&plugin, self.call(call), &given)
                .await;
            for f in found.map_err(|e| Error::stage("validate", &e))?.0 {
                let object = f.object.and_then(|n| objects.get(n as usize));
                findings.push(Finding {
                    level: level(f.level),
                    code: f.code,
                    message: f.message,
                    plugin: Some(call.plugin.clone()),
                    object: object.map(|o| o.id().clone()),
                    origin: object.map(|o| o.origin().clone()),
                    pointer: f.path,
                });
            }
        }
        Ok(findings)
    }

    fn plugin(&self, role: Role, call: &PluginCall) -> Result<Arc<Plugin>, Error> {
        let key = (call.plugin.clone(), role);
        let ready = self.ready.get(&key).cloned().unwrap_or_else(|| {
            Err(Error::Usage(format!(
                "plugin {} is not in the manifest",
                call.plugin
            )))
        });
        // A plugin is loaded once for all apps; what one of them hears names that one.
        ready.map_err(|e| e.for_app(&self.app.name, &call.plugin))
    }

    fn call<'c>(&'c self, call: &'c PluginCall) -> Call<'c> {
        let narrowed = self
            .manifest
            .plugins
            .get(&call.plugin)
            .map(|spec| self.host.limits.narrowed(&spec.limits));
        Call {
            app: &self.app.name,
            plugin: &call.plugin,
            limits: narrowed.unwrap_or(self.host.limits),
            instant: u64::try_from(self.facts.instant.as_second()).unwrap_or(0),
            params: Params {
                app: self.app.name.to_string(),
                path: self.app.path.as_str().to_owned(),
                namespace: self.app.namespace.as_ref().map(ToString::to_string),
                target: weir_sandbox::TargetFacts {
                    name: self.app.target.to_string(),
                    kubernetes: self.facts.kubernetes.clone(),
                    apis: self.facts.apis.clone(),
                },
                config: serde_json::Value::Object(call.config.clone())
                    .to_string()
                    .into_bytes(),
            },
        }
    }
}

fn json_of(objects: &[Object]) -> Result<Vec<Vec<u8>>, Error> {
    let bytes = objects
        .iter()
        .map(|o| serde_json::to_vec(o.body()))
        .collect::<Result<_, _>>();
    bytes.map_err(|e| Error::host("transform", e.to_string()))
}

fn level(level: weir_sandbox::Level) -> Level {
    match level {
        weir_sandbox::Level::Error => Level::Error,
        weir_sandbox::Level::Warning => Level::Warning,
        weir_sandbox::Level::Info => Level::Info,
    }
}
