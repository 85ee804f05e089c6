//! One app's way through its pipeline: its plugins made ready, then render, transform and validate.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Instant;

use weir_core::digest::Digest;
use weir_core::fault::{Fault, Retry};
use weir_core::grant::{Fuel, Limits};
use weir_core::lock::{self, Lock, TargetFacts};
use weir_core::manifest::{App, Manifest, PluginCall};
use weir_core::name::PluginName;
use weir_core::object::{Object, ObjectError};
use weir_core::placed::{NotPlaced, Placed};
use weir_core::render;
use weir_core::reuse::{self, Called, Told};
use weir_core::scope;
use weir_core::tree::{ReadSet, Snapshot, View};
use weir_core::validate::{Finding, Level, admit};
use weir_core::yaml::Budget;
use weir_sandbox::{Call, Document, Domain, Params, Plugin, Role, Sandbox, Usage};

use super::canary::{self, Trace};
use super::{Host, Rendered, values};
use crate::blame::Makers;
use crate::crash::Spoiled;
use crate::error::Error;
use crate::open::blocking;
use crate::plugins::{self, Pinned};
use crate::random::Random;

/// How much of an app's pipeline is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    /// All of it.
    Whole,
    /// The renderer, for what it asks for.
    RendererOnly,
}

impl How {
    /// How many of the calls are made: the renderer's is the first.
    fn calls(self) -> usize {
        match self {
            How::Whole => usize::MAX,
            How::RendererOnly => 1,
        }
    }
}

/// Every plugin that some app calls, in the role it is called in, loaded once or failed once.
pub(super) type Ready = BTreeMap<(PluginName, Role), Result<Arc<Plugin>, Error>>;

pub(super) async fn load_all(
    host: &Arc<Host>,
    snapshot: &Snapshot,
    manifest: &Arc<Manifest>,
    pinned: &Arc<Pinned>,
    apps: &[&App],
    how: How,
) -> Result<Arc<Ready>, Error> {
    let pinned = pinned.clone();
    let mut wanted: BTreeSet<(PluginName, Role)> = BTreeSet::new();
    for app in apps {
        let calls = calls(app).take(how.calls());
        wanted.extend(calls.map(|(role, call)| (call.plugin.clone(), role)));
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

pub(super) fn calls(app: &App) -> impl Iterator<Item = (Role, &PluginCall)> {
    std::iter::once((Role::Renderer, &app.render))
        .chain(app.transform.iter().map(|call| (Role::Transformer, call)))
        .chain(app.validate.iter().map(|call| (Role::Validator, call)))
}

/// All that a render of an app is told; `None` where one of its plugins is not here, or its target's facts are not
/// known: whoever renders it says so.
pub(super) fn told(
    host: &Host,
    manifest: &Manifest,
    here: &BTreeMap<PluginName, Digest>,
    lock: Option<&Lock>,
    random: &Random,
    app: &App,
) -> Option<Told> {
    let facts = lock::facts_for(lock, &app.target).ok()?;
    let made = calls(app).map(|(role, call)| {
        Some(Called {
            role: role.as_str(),
            call,
            digest: *here.get(&call.plugin)?,
            limits: limits(host, manifest, call),
            random: random.seed(manifest, app, call).ok()?.map(|seed| seed.id()),
        })
    });
    let made: Vec<Called<'_>> = made.collect::<Option<_>>()?;
    let engine = host.renders.engine();
    Some(reuse::told(engine, app, &facts, &made, host.output))
}

/// What one call may spend: the host's limits, narrowed by the manifest, or what a receipt says.
fn limits(host: &Host, manifest: &Manifest, call: &PluginCall) -> Limits {
    if let Some(given) = host.given.get(&call.plugin) {
        return *given;
    }
    let spec = manifest.plugins.get(&call.plugin);
    spec.map_or(host.limits, |spec| host.limits.narrowed(&spec.limits))
}

/// What calls took: of the tree, and whether random bytes.
#[derive(Default)]
struct Took {
    reads: ReadSet,
    drew: bool,
}

impl Took {
    fn of(reads: ReadSet, usage: &Usage) -> Took {
        Took {
            reads,
            drew: usage.drew,
        }
    }

    fn and(self, other: Took) -> Took {
        Took {
            reads: self.reads.and(other.reads),
            drew: self.drew || other.drew,
        }
    }
}

/// One app's way through its pipeline.
pub(super) struct Render<'a> {
    pub(super) host: &'a Arc<Host>,
    pub(super) manifest: &'a Manifest,
    pub(super) ready: &'a Ready,
    pub(super) app: &'a App,
    pub(super) facts: &'a TargetFacts,
    /// Where its plugins run.
    pub(super) sandbox: &'a Sandbox,
    /// With whose other calls they may share a process.
    pub(super) domain: &'a Domain,
    /// What it came to at the commit before.
    pub(super) before: Option<&'a Rendered>,
    /// What their random bytes are made from.
    pub(super) random: &'a Random,
    /// What is otherwise: only where a test makes the second of two runs differ.
    pub(super) spoiled: Spoiled,
    /// What each call gave, where that is to be compared.
    pub(super) trace: Option<&'a Trace>,
}

impl Render<'_> {
    /// What comes of it, kept under its key; nothing where only the renderer was called.
    pub(super) async fn run(
        &self,
        snapshot: Snapshot,
        how: How,
        told: Option<Told>,
    ) -> Result<Option<Rendered>, Error> {
        if how == How::RendererOnly {
            return self.documents(snapshot).await.map(|_| None);
        }
        let canary = &self.host.canary;
        let chosen = told.is_some_and(|told| canary.chooses(&self.app.name, told.key));
        let mut rendered = match chosen {
            true => canary::twice(self, snapshot).await?,
            false => self.whole(snapshot).await?,
        };
        let Some(told) = told else {
            return Ok(Some(rendered));
        };
        let renders = self.host.renders.clone();
        rendered.made = Some(renders.made(told, &rendered.reads, rendered.random));
        let keep = move || {
            renders.keep(
                told.key,
                &rendered.reads,
                &rendered.plugins,
                &rendered.validated,
                rendered.random.is_some(),
            );
            Ok(rendered)
        };
        blocking("render", keep).await.map(Some)
    }

    pub(super) async fn whole(&self, snapshot: Snapshot) -> Result<Rendered, Error> {
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
        let (objects, rendered, placed) = self.render(&makers, snapshot.clone()).await?;
        done("render");
        let (objects, transformed) = self.transform(&makers, &snapshot, objects).await?;
        done("transform");
        let (findings, looked) = self.validate(&snapshot, &objects).await?;
        let took = rendered.and(transformed).and(looked);
        let validated =
            admit(objects, findings, self.host.output).map_err(|e| makers.refused(&e))?;
        done("validate");
        Ok(Rendered {
            validated,
            plugins: used,
            reads: Arc::new(took.reads),
            placed,
            made: None,
            random: self.random.id().filter(|_| took.drew),
            reused: false,
            micros,
        })
    }

    async fn documents(&self, snapshot: Snapshot) -> Result<(Vec<Document>, Took), Error> {
        values::are_plain(&snapshot, self.manifest, self.app)?;
        let call = &self.app.render;
        let plugin = self.plugin(Role::Renderer, call)?;
        let view = self.view(&snapshot);
        let rendered = self.sandbox.render(&plugin, self.call(call)?, view).await;
        let (documents, read, usage) = rendered.map_err(|e| Error::stage("render", &e))?;
        Ok((documents, Took::of(read, &usage)))
    }

    async fn render(
        &self,
        makers: &Makers<'_>,
        snapshot: Snapshot,
    ) -> Result<(Vec<Object>, Took, Option<Placed>), Error> {
        self.begins(Role::Renderer, &self.app.render);
        let (documents, took) = self.documents(snapshot).await?;
        let documents: Vec<render::Document> = documents
            .into_iter()
            .map(|d| render::Document {
                origin: d.origin,
                body: d.body,
            })
            .collect();
        let (objects, placed) = if self.app.transform.is_empty() {
            let before = self.before.and_then(|before| before.placed.as_ref());
            let namespace = self.app.namespace.as_ref();
            let placed = Placed::of(&documents, namespace, before, &Budget::HOST);
            let (objects, placed) = placed.map_err(|e| match e {
                NotPlaced::Parsed(e) => makers.rendered(&e, &took.reads),
                NotPlaced::Placed(e) => self.not_placed(&e),
            })?;
            (objects, Some(placed))
        } else {
            let objects = render::parse(&documents, &Budget::HOST);
            (objects.map_err(|e| makers.rendered(&e, &took.reads))?, None)
        };
        self.gave(|| Trace::of(&objects));
        Ok((objects, took, placed))
    }

    async fn transform(
        &self,
        makers: &Makers<'_>,
        snapshot: &Snapshot,
        mut objects: Vec<Object>,
    ) -> Result<(Vec<Object>, Took), Error> {
        let mut took = Took::default();
        if self.app.transform.is_empty() {
            // They were placed as they were parsed.
            return Ok((objects, took));
        }
        for call in &self.app.transform {
            let plugin = self.plugin(Role::Transformer, call)?;
            self.begins(Role::Transformer, call);
            let given = json_of(&objects);
            let changed = self
                .sandbox
                .transform(&plugin, self.call(call)?, &given, self.view(snapshot))
                .await;
            let (changed, read, usage) = changed.map_err(|e| Error::stage("transform", &e))?;
            took = took.and(Took::of(read, &usage));
            let values = changed
                .iter()
                .map(|bytes| serde_json::from_slice(bytes))
                .collect::<Result<Vec<_>, _>>();
            let values = values.map_err(|e| makers.transformed(&call.plugin, &e))?;
            objects = render::transformed(&objects, values, call.plugin.as_str())
                .map_err(|e| makers.transformed(&call.plugin, &e))?;
            self.gave(|| Trace::of(&objects));
        }
        let placed = scope::place(objects, self.app.namespace.as_ref());
        Ok((placed.map_err(|e| self.not_placed(&e))?, took))
    }

    /// An object cannot have its namespace.
    fn not_placed(&self, error: &ObjectError) -> Error {
        Error::Stage {
            stage: "transform",
            fault: Fault::Repository,
            retry: Retry::OnChange,
            message: format!("app `{}`: {error}", self.app.name),
        }
    }

    async fn validate(
        &self,
        snapshot: &Snapshot,
        objects: &[Object],
    ) -> Result<(Vec<Finding>, Took), Error> {
        let (mut findings, mut took) = (Vec::new(), Took::default());
        if self.app.validate.is_empty() {
            return Ok((findings, took));
        }
        let given = json_of(objects);
        for call in &self.app.validate {
            let plugin = self.plugin(Role::Validator, call)?;
            self.begins(Role::Validator, call);
            let found = self
                .sandbox
                .validate(&plugin, self.call(call)?, &given, self.view(snapshot))
                .await;
            let (found, read, usage) = found.map_err(|e| Error::stage("validate", &e))?;
            took = took.and(Took::of(read, &usage));
            let before = findings.len();
            for f in found {
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
            self.gave(|| Trace::found(findings.get(before..).unwrap_or_default()));
        }
        Ok((findings, took))
    }

    /// What its plugins may read.
    fn view(&self, snapshot: &Snapshot) -> View {
        View::new(snapshot.clone(), self.app.roots.clone())
    }

    /// A call begins.
    fn begins(&self, role: Role, call: &PluginCall) {
        if let (Some(trace), Ok(plugin)) = (self.trace, self.plugin(role, call)) {
            trace.begins(&call.plugin, plugin.digest());
        }
    }

    /// What the call that began last gave.
    fn gave(&self, digest: impl FnOnce() -> Digest) {
        if let Some(trace) = self.trace {
            trace.gave(digest());
        }
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

    fn call<'c>(&'c self, call: &'c PluginCall) -> Result<Call<'c>, Error> {
        let mut limits = limits(self.host, self.manifest, call);
        if let Some(fuel) = self.spoiled.fuel {
            limits.fuel = Fuel(fuel);
        }
        Ok(Call {
            domain: self.domain,
            app: &self.app.name,
            plugin: &call.plugin,
            limits,
            instant: u64::try_from(self.facts.instant.as_second())
                .unwrap_or(0)
                .saturating_add(self.spoiled.late),
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
            random: self.random.seed(self.manifest, self.app, call)?,
        })
    }
}

/// Objects as plugins get them.
pub(crate) fn json_of(objects: &[Object]) -> Vec<Vec<u8>> {
    objects.iter().map(|o| o.json().get().into()).collect()
}

fn level(level: weir_sandbox::Level) -> Level {
    match level {
        weir_sandbox::Level::Error => Level::Error,
        weir_sandbox::Level::Warning => Level::Warning,
        weir_sandbox::Level::Info => Level::Info,
    }
}
