//! `weir diff --live`: what a target holds now against what a revision wants: a directory by its files, a cluster by
//! what its API server answers to a dry run.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use weir_cluster::Target;
use weir_cluster::dir::DirTarget;
use weir_cluster::kube::{Change, Compare, Compared, KubeTarget};
use weir_core::digest::Digest;
use weir_core::fault::Blame as _;
use weir_core::hook::{self, Hook};
use weir_core::live::Uid;
use weir_core::manifest::App;
use weir_core::name::{AppName, RepositoryName, TargetName};
use weir_core::object::{Object, Origin, ResourceId};
use weir_core::owner::Claim;
use weir_core::render::{Document, parse};
use weir_core::reveal::NotRevealed;
use weir_core::status::Status;
use weir_core::yaml::Budget;
use weir_secrets::{Opener, SecretLimits};

use super::{Report, Side, compare, line};
use crate::cli::apps;
use crate::config::{Bound, Places};
use crate::error::Error;
use crate::keyring::Keyring;
use crate::open;
use crate::prepare::Prepared;

/// One object of a cluster that differs, or that a sync would stop at.
#[derive(Debug, Serialize)]
pub(in crate::cli) struct Difference {
    app: AppName,
    #[serde(flatten)]
    compared: Compared,
}

impl Difference {
    /// The object and which of its name, where an adoption would take it over.
    pub(in crate::cli) fn stranger(&self) -> Option<(ResourceId, Uid)> {
        let uid = self.compared.stranger.clone()?;
        Some((self.compared.object.clone(), uid))
    }

    /// The word for what becomes of it.
    pub(in crate::cli) fn word(&self) -> &'static str {
        match self.compared.change {
            Change::Unchanged => "unchanged",
            Change::Created => "created",
            Change::Updated => "updated",
            Change::Pruned => "pruned",
        }
    }

    /// A heading, a line for each field, and what stands in the way.
    pub(in crate::cli) fn text(&self, colour: bool) -> String {
        let Difference { app, compared } = self;
        let mut out = format!("{} {} (app {app})\n", self.word(), compared.object);
        for field in &compared.fields {
            let text = field.to_string();
            let mut rest = text.chars();
            let sign = rest.next().unwrap_or(' ');
            out.push_str(&line(sign, rest.as_str(), colour));
        }
        if let Some(problem) = &compared.problem {
            out.push_str(&line('!', &format!(" {problem}"), colour));
        }
        out
    }
}

/// Which ledger this host keeps, and what it knows of the repository.
struct Known {
    ledger: String,
    status: Status,
}

/// Compares what is wanted with what the targets hold.
pub(in crate::cli) async fn look(
    wanted: &Prepared,
    repository: &RepositoryName,
    targets: &BTreeMap<TargetName, Bound>,
    places: &Places,
    (with, keyring): (Compare, &Keyring),
) -> Result<Report, Error> {
    let known = known(repository, places).await?;
    let opener = opener(keyring).await;
    let mut open = BTreeMap::new();
    for (name, bound) in targets {
        open.insert(name, open::target(bound, places).await?);
    }
    let (mut before, mut after, mut fields) = (Side::new(), Side::new(), Vec::new());
    for app in wanted.apps.values() {
        let (Some(target), Ok(rendered)) = (open.get(&app.app.target), &app.rendered) else {
            continue;
        };
        let (name, objects) = (&app.app.name, rendered.validated.objects());
        match target {
            Target::Dir(dir) => {
                let key = |o: &Object| (name.clone(), o.id().clone());
                before.extend(held(dir, objects)?.into_iter().map(|o| (key(&o), o)));
                after.extend(objects.iter().map(|o| (key(o), o.clone())));
            }
            Target::Kube(kube) => {
                let app = (&app.app, repository);
                let (hooks, objects) = hook::split(objects);
                let known = known.as_ref();
                let found =
                    differences(kube, app, &objects, &hooks, known, (with, &opener)).await?;
                fields.extend(found);
                fields.extend(to_run(name, &hooks, rendered.validated.output(), known));
            }
        }
    }
    Ok(Report {
        texts: compare(&before, &after),
        fields,
    })
}

/// Opens what is encrypted. Without keys, each object that needs one says so, and the others are compared.
async fn opener(keyring: &Keyring) -> Opener {
    let limits = SecretLimits::HOST;
    match keyring.keys().await {
        Ok(keys) => Opener::new(keys, limits),
        Err(e) => {
            let without = NotRevealed {
                why: e.to_string(),
                fault: e.fault(),
                retry: e.retry(),
            };
            Opener::without(without, limits)
        }
    }
}

/// What this host's ledger says, where it has one. It is read beside whoever writes it.
async fn known(repository: &RepositoryName, places: &Places) -> Result<Option<Known>, Error> {
    let kept = |e: weir_ledger::LedgerError| Error::stage("record", &e);
    let Some(reader) = apps::find(places).await? else {
        return Ok(None);
    };
    Ok(Some(Known {
        ledger: reader.id().to_string(),
        status: reader.load(repository).await.map_err(kept)?,
    }))
}

/// The hooks that a sync would run: one that failed for this output is not run again. What they are made of is not compared: each run makes a new one.
fn to_run(app: &AppName, hooks: &[Hook], output: Digest, known: Option<&Known>) -> Vec<Difference> {
    let status = known.and_then(|known| known.status.apps.get(app));
    let ended =
        |hook: &Hook| status.is_some_and(|a| a.hooks.ended(hook.object.id(), output).is_some());
    let due = hooks.iter().filter(|hook| !ended(hook));
    due.map(|hook| Difference {
        app: app.clone(),
        compared: Compared {
            object: hook.object.id().clone(),
            change: Change::Created,
            fields: Vec::new(),
            problem: None,
            stranger: None,
        },
    })
    .collect()
}

/// What differs of one app in a cluster.
async fn differences(
    kube: &KubeTarget,
    (app, repository): (&App, &RepositoryName),
    objects: &[Object],
    hooks: &[Hook],
    known: Option<&Known>,
    (with, opener): (Compare, &Opener),
) -> Result<Vec<Difference>, Error> {
    let claim = Claim {
        ledger: known.map(|k| k.ledger.clone()).unwrap_or_default(),
        repository: repository.clone(),
        app: app.name.clone(),
    };
    let held = known.map(|known| {
        let status = known.status.apps.get(&app.name);
        let inventory = status.into_iter().flat_map(|a| a.inventory.iter());
        let is_hook = |id: &ResourceId| hooks.iter().any(|hook| hook.object.id() == id);
        inventory
            .map(|(id, _)| id.clone())
            .filter(|id| !is_hook(id))
            .collect::<BTreeSet<ResourceId>>()
    });
    let compared = kube
        .compare(&claim, (&app.policy, with), objects, held.as_ref(), opener)
        .await;
    let compared = compared.map_err(|e| Error::stage("observe", &e))?;
    let differs = |c: &Compared| c.change != Change::Unchanged || c.problem.is_some();
    Ok(compared
        .into_iter()
        .filter(differs)
        .map(|compared| Difference {
            app: app.name.clone(),
            compared,
        })
        .collect())
}

/// What a directory holds in the places of the wanted objects.
fn held(dir: &DirTarget, objects: &[Object]) -> Result<Vec<Object>, Error> {
    let mut out = Vec::new();
    for object in objects {
        let text = dir
            .text(object.id())
            .map_err(|e| Error::stage("observe", &e))?;
        let Some(body) = text else { continue };
        let path = dir.path(object.id()).display().to_string();
        let document = Document {
            origin: path.clone(),
            body,
        };
        let live = parse(&[document], &Budget::HOST).map_err(|e| Error::stage("observe", &e))?;
        let origin = Origin { path, line: 1 };
        out.extend(live.into_iter().next().map(|o| o.with_origin(origin)));
    }
    Ok(out)
}
