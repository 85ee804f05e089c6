//! What differs between a receipt and what its repository gives now: the first thing, in the order in which one follows
//! from the other.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;
use serde_json::Value;

use super::{Inputs, ManifestSeen, PluginUse, Receipt};
use crate::digest::Digest;
use crate::fields::{FieldChange, Fields, MaskKey};
use crate::object::{Object, Origin, ResourceId};
use crate::validate::Validated;
use crate::yaml::{self, Budget};

/// What may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Part {
    /// The commit is not there.
    Commit,
    /// The commit's tree.
    Tree,
    /// The manifest.
    Manifest,
    /// The lock.
    Lock,
    /// The app, as the manifest has it.
    App,
    /// A plugin.
    Plugin,
    /// A plugin's configuration.
    Config,
    /// What renders may know of the target.
    Facts,
    /// What was asked of the tree, and answered.
    Reads,
    /// A chart or another repository.
    Externals,
    /// Whether random bytes were taken, and of which secret.
    Random,
    /// The bytes.
    Output,
}

/// One thing that is not as a receipt says.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Difference {
    /// Of what kind.
    pub part: Part,
    /// What it is, for a person.
    pub what: String,
    /// What the receipt says.
    pub said: String,
    /// What is there.
    pub found: String,
    /// What to look at or to do, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (what, said, found) = (&self.what, &self.said, &self.found);
        write!(f, "{what}: the receipt says {said}, and there is {found}")?;
        match &self.hint {
            Some(hint) => write!(f, "\n{hint}"),
            None => Ok(()),
        }
    }
}

impl Difference {
    /// One without a hint.
    pub fn new(
        part: Part,
        what: impl Into<String>,
        said: impl Into<String>,
        found: impl Into<String>,
    ) -> Difference {
        Difference {
            part,
            what: what.into(),
            said: said.into(),
            found: found.into(),
            hint: None,
        }
    }

    /// The same with a hint.
    #[must_use]
    pub fn with_hint(self, hint: impl Into<String>) -> Difference {
        Difference {
            hint: Some(hint.into()),
            ..self
        }
    }
}

/// The first of these that is not the same: the text of each, in order.
fn first<const N: usize>(part: Part, all: [(&str, String, String); N]) -> Option<Difference> {
    let mut all = all.into_iter();
    let (what, said, found) = all.find(|(_, said, found)| said != found)?;
    Some(Difference::new(part, what, said, found))
}

fn or_none<T: ToString>(value: Option<&T>) -> String {
    value.map_or_else(|| "none".to_owned(), T::to_string)
}

impl fmt::Display for ManifestSeen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ManifestSeen::Repository { digest } => write!(f, "{digest}"),
            ManifestSeen::Host { digest } => write!(f, "{digest} (a file of the host)"),
            ManifestSeen::Absent => f.write_str("none (one app from a directory)"),
        }
    }
}

impl Inputs {
    /// The first thing that these inputs, made again, have otherwise. What calls may spend is no difference: the receipt's
    /// own limits are used.
    pub fn difference(&self, now: &Inputs) -> Option<Difference> {
        let text = |a: &dyn ToString, b: &dyn ToString| (a.to_string(), b.to_string());
        let one =
            |part, what: &str, (said, found): (String, String)| first(part, [(what, said, found)]);
        one(Part::Commit, "the commit", text(&self.commit, &now.commit))
            .or_else(|| one(Part::Tree, "the commit's tree", text(&self.tree, &now.tree)))
            .or_else(|| {
                let both = text(&self.manifest, &now.manifest);
                one(Part::Manifest, "the manifest", both)
            })
            .or_else(|| {
                let both = (or_none(self.lock.as_ref()), or_none(now.lock.as_ref()));
                one(Part::Lock, "weir.lock", both)
            })
            .or_else(|| self.app_difference(now))
            .or_else(|| self.plugin_difference(now))
            .or_else(|| self.facts_difference(now))
    }

    fn app_difference(&self, now: &Inputs) -> Option<Difference> {
        let roots = |inputs: &Inputs| {
            let roots = inputs.app.roots.iter().map(|root| format!("{root:?}"));
            roots.collect::<Vec<_>>().join(", ")
        };
        let of = |inputs: &Inputs| {
            let app = &inputs.app;
            let namespace = or_none(app.namespace.as_ref());
            let (name, path) = (app.name.to_string(), app.path.to_string());
            (name, path, roots(inputs), namespace, app.target.to_string())
        };
        let (said, found) = (of(self), of(now));
        first(
            Part::App,
            [
                ("the app's name", said.0, found.0),
                ("the app's path", said.1, found.1),
                ("the app's roots", said.2, found.2),
                ("the app's namespace", said.3, found.3),
                ("the app's target", said.4, found.4),
            ],
        )
    }

    fn plugin_difference(&self, now: &Inputs) -> Option<Difference> {
        let names = |inputs: &Inputs| {
            let all = inputs.plugins.iter().map(|p| p.name.to_string());
            all.collect::<Vec<_>>().join(", ")
        };
        let roles = |inputs: &Inputs| {
            let all = inputs.plugins.iter().map(|p| format!("{:?}", p.role));
            all.collect::<Vec<_>>().join(", ")
        };
        let all = [
            ("the app's plugins", names(self), names(now)),
            ("the roles of the app's plugins", roles(self), roles(now)),
        ];
        let each = || {
            let mut both = self.plugins.iter().zip(&now.plugins);
            both.find_map(|(said, found)| one_plugin(said, found))
        };
        first(Part::Plugin, all).or_else(each)
    }

    fn facts_difference(&self, now: &Inputs) -> Option<Difference> {
        let (said, found) = (&self.facts, &now.facts);
        first(
            Part::Facts,
            [
                (
                    "the target's Kubernetes version",
                    said.kubernetes.clone(),
                    found.kubernetes.clone(),
                ),
                (
                    "the target's APIs",
                    said.apis.join(", "),
                    found.apis.join(", "),
                ),
                (
                    "the target's instant",
                    said.instant.to_string(),
                    found.instant.to_string(),
                ),
            ],
        )
    }
}

fn one_plugin(said: &PluginUse, found: &PluginUse) -> Option<Difference> {
    let name = &said.name;
    let plugin = [
        (
            &*format!("the source of plugin {name}"),
            said.source.clone(),
            found.source.clone(),
        ),
        (
            &*format!("the digest of plugin {name}"),
            said.digest.to_string(),
            found.digest.to_string(),
        ),
    ];
    first(Part::Plugin, plugin).or_else(|| {
        let what = format!("the configuration of plugin {name}");
        let both = (said.config.to_string(), found.config.to_string());
        first(Part::Config, [(&*what, both.0, both.1)])
    })
}

impl Receipt {
    /// The first thing that a receipt of the same render, made again, has otherwise: its inputs, what it read, what it gave.
    /// Who rendered is no difference, nor where the repository lies and what it is called there.
    pub fn difference(&self, now: &Receipt) -> Option<Difference> {
        let reads = |r: &Receipt| format!("{} ({} questions)", r.reads.digest, r.reads.questions);
        let externals = |r: &Receipt| {
            let all = r
                .externals
                .iter()
                .map(|(name, pin)| format!("{name} {pin}"));
            let all: Vec<String> = all.collect();
            if all.is_empty() {
                "none".to_owned()
            } else {
                all.join(", ")
            }
        };
        self.inputs
            .difference(&now.inputs)
            .or_else(|| {
                let what = "the charts and other repositories that were read";
                let both = (externals(self), externals(now));
                first(Part::Externals, [(what, both.0, both.1)])
            })
            .or_else(|| {
                let what = "what was read";
                first(Part::Reads, [(what, reads(self), reads(now))])
            })
            .or_else(|| {
                let both = (
                    or_none(self.random_secret.as_ref()),
                    or_none(now.random_secret.as_ref()),
                );
                let what = "the secret of the stable random bytes that were taken";
                first(Part::Random, [(what, both.0, both.1)])
            })
            .or_else(|| {
                let both = (self.output.to_string(), now.output.to_string());
                first(Part::Output, [("the output", both.0, both.1)])
            })
    }
}

/// The first object that two outputs do not have alike, and its first field: for a person, no Secret's value shown. `None`
/// where the older bytes cannot be read, or differ in no object.
pub fn first_difference(said: &str, found: &Validated) -> Option<String> {
    let nodes = yaml::parse(said.as_bytes(), &Budget::HOST).ok()?;
    let nowhere = Origin {
        path: String::new(),
        line: 0,
    };
    let objects = nodes
        .iter()
        .map(|node| Object::new(node.to_json(), nowhere.clone()));
    let said: Vec<Object> = objects.collect::<Result<_, _>>().ok()?;
    let by_id = |objects: &[Object]| -> BTreeMap<ResourceId, Object> {
        let all = objects.iter().map(|o| (o.id().clone(), o.clone()));
        all.collect()
    };
    let (before, now) = (by_id(&said), by_id(found.objects()));
    let ids: std::collections::BTreeSet<&ResourceId> = before.keys().chain(now.keys()).collect();
    // What is masked is compared here and never shown.
    let key = MaskKey::new(*Digest::of(found.stream().as_bytes()).as_bytes());
    ids.into_iter()
        .find_map(|id| match (before.get(id), now.get(id)) {
            (Some(_), None) => Some(format!("{id}: it is not made any more")),
            (None, Some(_)) => Some(format!("{id}: it is new")),
            (Some(was), Some(is)) if was.digest() != is.digest() => {
                let fields = |body: &Value| Fields::of(id, body, &key);
                let changes = fields(&was.body()).changes(&fields(&is.body()));
                let first = changes.first().map(FieldChange::to_string);
                let first = first.unwrap_or_else(|| "its text differs".to_owned());
                Some(format!("{id}: {first}"))
            }
            _ => None,
        })
}
