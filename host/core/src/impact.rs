//! What a change does to each app: its objects and their fields on one side, held against the other. Pure.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Serialize, Serializer};

use crate::digest::Digest;
use crate::fields::{FieldChange, Fields, MaskKey};
use crate::guard::{self, Cause, GuardLimits, Hold};
use crate::hook;
use crate::manifest::{App, Removal};
use crate::name::{AppName, PluginName, TargetName};
use crate::object::{Object, ResourceId};
use crate::plan::{PRUNE_ANNOTATION, may_prune};
use crate::validate::Validated;

/// A change of one field that so many apps share is said once for all of them.
pub const COMMON_APPS: usize = 3;

/// One app on one side.
pub struct AppSide<'a> {
    /// What the manifest says of it.
    pub app: &'a App,
    /// What it renders to, or why it does not.
    pub render: Result<Render<'a>, String>,
}

/// What an app renders to.
#[derive(Clone, Copy)]
pub struct Render<'a> {
    /// Its objects.
    pub validated: &'a Validated,
    /// The plugins that made them.
    pub plugins: &'a BTreeMap<PluginName, Digest>,
}

/// All apps of one side, by name.
pub type Side<'a> = BTreeMap<&'a AppName, AppSide<'a>>;

/// What changes between two sides.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Impact {
    /// Apps on either side.
    pub apps: usize,
    /// Of these, those that change.
    pub changed: usize,
    /// Plugins that are others after it.
    pub plugins: Vec<PluginChange>,
    /// What changes in the same way in many apps; those with the most apps first.
    pub common: Vec<Common>,
    /// Each app that changes, by name.
    pub changes: Vec<AppImpact>,
    /// Apps that can be rendered on neither side: of them nothing is known.
    pub unrendered: Vec<Unrendered>,
}

/// A plugin that is another one after the change.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PluginChange {
    /// Its name.
    pub plugin: PluginName,
    /// What it was.
    pub before: Digest,
    /// What it becomes.
    pub after: Digest,
    /// Apps that were rendered by both.
    pub apps: usize,
    /// Of these, those that change.
    pub changed: usize,
}

/// One field's change that many apps share.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Common {
    /// In what kind of object, such as `Deployment.apps`.
    pub kind: String,
    /// Which field, and how.
    #[serde(flatten)]
    pub field: FieldChange,
    /// In how many objects.
    pub objects: usize,
    /// In which apps.
    pub apps: BTreeSet<AppName>,
}

/// What changes of one app.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct AppImpact {
    /// Which.
    pub app: AppName,
    /// What becomes of it.
    #[serde(flatten)]
    pub change: AppChange,
    /// Its objects that change, by identity.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub objects: Vec<ObjectChange>,
    /// The target that it lands in, where that is another one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Moved>,
    /// The deletes that would wait for a person.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held: Option<Held>,
}

/// What becomes of an app.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "change", rename_all = "lowercase")]
pub enum AppChange {
    /// It is new.
    Added,
    /// It is gone from the manifest.
    Removed,
    /// It renders to something else.
    Changed,
    /// It can no longer be rendered.
    Broken {
        /// Why.
        error: String,
    },
    /// It could not be rendered before, and can be now.
    Mended {
        /// Why it could not.
        error: String,
    },
}

/// What becomes of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// It is new.
    Added,
    /// It is gone.
    Removed,
    /// It differs.
    Changed,
}

impl Change {
    /// The sign at the start of its line.
    pub fn sign(self) -> char {
        match self {
            Change::Added => '+',
            Change::Removed => '-',
            Change::Changed => '~',
        }
    }
}

/// One object that changes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ObjectChange {
    /// Which.
    pub object: ResourceId,
    /// How.
    pub change: Change,
    /// Its fields that differ, by path. None where only what a cluster sets by itself differs, such as `status`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fields: Vec<FieldChange>,
}

/// An app that lands elsewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Moved {
    /// Where it landed.
    pub before: TargetName,
    /// Where it lands.
    pub after: TargetName,
}

/// Deletes that would wait for a person's yes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held(Hold);

impl Held {
    /// What it would delete, in words.
    pub fn message(&self) -> String {
        self.0.to_string()
    }
}

impl Serialize for Held {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct Said<'a> {
            message: String,
            deletes: &'a BTreeSet<ResourceId>,
        }
        let said = Said {
            message: self.message(),
            deletes: &self.0.deletes,
        };
        said.serialize(serializer)
    }
}

/// An app that cannot be rendered, before and after.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Unrendered {
    /// Which.
    pub app: AppName,
    /// Why, after.
    pub error: String,
}

/// A kind as people write it: `Deployment.apps`.
pub fn kind(id: &ResourceId) -> String {
    match id.group.as_str() {
        "" => id.kind.clone(),
        group => format!("{}.{group}", id.kind),
    }
}

/// The changes that are said once for many apps, to look others up in.
pub struct CommonKeys(BTreeSet<(String, String)>);

impl CommonKeys {
    /// Whether a field's change is among them.
    pub fn has(&self, object: &ResourceId, field: &FieldChange) -> bool {
        self.0.contains(&(kind(object), field.to_string()))
    }
}

impl Impact {
    /// What is said once for many apps.
    pub fn common_keys(&self) -> CommonKeys {
        let keys = self.common.iter();
        CommonKeys(
            keys.map(|c| (c.kind.clone(), c.field.to_string()))
                .collect(),
        )
    }
}

/// An object that differs: its key, what it was, what it becomes.
pub type Differing<'a, K> = (&'a K, Option<&'a Object>, Option<&'a Object>);

/// Objects that differ between two sets, by key.
pub fn differing<'a, K: Ord>(
    before: &'a BTreeMap<K, Object>,
    after: &'a BTreeMap<K, Object>,
) -> Vec<Differing<'a, K>> {
    let keys: BTreeSet<&K> = before.keys().chain(after.keys()).collect();
    let both = |key: &'a K| (key, before.get(key), after.get(key));
    let differs = |(_, a, b): &Differing<'a, K>| a.map(Object::digest) != b.map(Object::digest);
    keys.into_iter().map(both).filter(differs).collect()
}

/// What changes from one side to the other.
pub fn impact(before: &Side<'_>, after: &Side<'_>, limits: GuardLimits, key: &MaskKey) -> Impact {
    let names: BTreeSet<&AppName> = before.keys().chain(after.keys()).copied().collect();
    let wanted = Wanted::of(after);
    let mut changes = Vec::new();
    let mut unrendered = Vec::new();
    let mut plugins: BTreeMap<(PluginName, Digest, Digest), (usize, usize)> = BTreeMap::new();
    for name in &names {
        let (a, b) = (before.get(name), after.get(name));
        if let (Some(Err(_)), Some(Err(error))) = (a.map(|a| &a.render), b.map(|b| &b.render)) {
            unrendered.push(Unrendered {
                app: (*name).clone(),
                error: error.clone(),
            });
            continue;
        }
        let change = app(name, a, b, key, |a, b| held(name, a, b, &wanted, limits));
        for other in others(a, b) {
            let (apps, changed) = plugins.entry(other).or_default();
            *apps += 1;
            *changed += usize::from(change.is_some());
        }
        changes.extend(change);
    }
    let plugins = plugins.into_iter();
    let plugins = plugins.map(|((plugin, before, after), (apps, changed))| PluginChange {
        plugin,
        before,
        after,
        apps,
        changed,
    });
    Impact {
        apps: names.len(),
        changed: changes.len(),
        plugins: plugins.collect(),
        common: common(&changes),
        changes,
        unrendered,
    }
}

/// An app's plugins that are others after the change.
fn others(
    before: Option<&AppSide<'_>>,
    after: Option<&AppSide<'_>>,
) -> Vec<(PluginName, Digest, Digest)> {
    let (Some(Ok(a)), Some(Ok(b))) = (before.map(|a| &a.render), after.map(|b| &b.render)) else {
        return Vec::new();
    };
    let both = a.plugins.iter().filter_map(|(name, before)| {
        let after = b.plugins.get(name)?;
        (before != after).then(|| (name.clone(), *before, *after))
    });
    both.collect()
}

/// What changes of one app; nothing where it stays as it is.
fn app(
    name: &AppName,
    before: Option<&AppSide<'_>>,
    after: Option<&AppSide<'_>>,
    key: &MaskKey,
    held: impl Fn(&AppSide<'_>, Option<&AppSide<'_>>) -> Option<Held>,
) -> Option<AppImpact> {
    let change = match (before.map(|a| &a.render), after.map(|b| &b.render)) {
        (None, Some(Ok(_))) => AppChange::Added,
        (Some(_), None) => AppChange::Removed,
        (Some(Ok(_)), Some(Ok(_))) => AppChange::Changed,
        (Some(Ok(_)) | None, Some(Err(error))) => AppChange::Broken {
            error: error.clone(),
        },
        (Some(Err(error)), Some(Ok(_))) => AppChange::Mended {
            error: error.clone(),
        },
        (Some(Err(_)), Some(Err(_))) | (None, None) => return None,
    };
    let is_broken = matches!(change, AppChange::Broken { .. });
    // One that cannot be rendered stays as it is, whatever was meant.
    let objects = if is_broken {
        Vec::new()
    } else {
        objects(rendered(before), rendered(after), key)
    };
    let target = before.zip(after).and_then(|(a, b)| {
        let (before, after) = (a.app.target.clone(), b.app.target.clone());
        (before != after).then_some(Moved { before, after })
    });
    if change == AppChange::Changed && objects.is_empty() && target.is_none() {
        return None;
    }
    let held = match before {
        Some(before) if !is_broken && target.is_none() => held(before, after),
        _ => None,
    };
    Some(AppImpact {
        app: name.clone(),
        change,
        objects,
        target,
        held,
    })
}

fn rendered<'a>(side: Option<&AppSide<'a>>) -> Option<Render<'a>> {
    side?.render.as_ref().ok().copied()
}

fn objects(
    before: Option<Render<'_>>,
    after: Option<Render<'_>>,
    key: &MaskKey,
) -> Vec<ObjectChange> {
    if let (Some(a), Some(b)) = (before, after)
        && a.validated.output() == b.validated.output()
    {
        return Vec::new();
    }
    let by_id = |render: Option<Render<'_>>| -> BTreeMap<ResourceId, Object> {
        let all = render.map_or(&[][..], |r| r.validated.objects());
        all.iter().map(|o| (o.id().clone(), o.clone())).collect()
    };
    let (before, after) = (by_id(before), by_id(after));
    let change = |(id, a, b): Differing<'_, ResourceId>| {
        let (change, fields) = match (a, b) {
            (Some(a), Some(b)) => {
                let fields = |o: &Object| Fields::of(id, &o.body(), key);
                (Change::Changed, fields(a).changes(&fields(b)))
            }
            (None, _) => (Change::Added, Vec::new()),
            (_, None) => (Change::Removed, Vec::new()),
        };
        ObjectChange {
            object: id.clone(),
            change,
            fields,
        }
    };
    differing(&before, &after).into_iter().map(change).collect()
}

/// Which objects are wanted after the change, in which target and by whom.
struct Wanted<'a>(BTreeMap<(&'a TargetName, &'a ResourceId), &'a AppName>);

impl<'a> Wanted<'a> {
    fn of(side: &'a Side<'_>) -> Wanted<'a> {
        let apps = side.iter().filter_map(|(name, side)| {
            let render = side.render.as_ref().ok()?;
            Some((*name, &side.app.target, render.validated.objects()))
        });
        let all = apps.flat_map(|(name, target, objects)| {
            objects.iter().map(move |o| ((target, o.id()), name))
        });
        Wanted(all.collect())
    }

    /// Whether another app wants it in the same place: it is taken over, not deleted.
    fn by_another(&self, app: &AppName, target: &TargetName, id: &ResourceId) -> bool {
        let by = self.0.get(&(target, id));
        by.is_some_and(|name| *name != app)
    }
}

/// The deletes of an app that the guard would hold, where what it had is all that it owns.
fn held(
    name: &AppName,
    before: &AppSide<'_>,
    after: Option<&AppSide<'_>>,
    wanted: &Wanted<'_>,
    limits: GuardLimits,
) -> Option<Held> {
    let had = before.render.as_ref().ok()?.validated.objects();
    // Hooks are no part of what an app owns.
    let (_, owned) = hook::split(had);
    let after = after.and_then(|b| b.render.as_ref().ok());
    let stays: BTreeSet<&ResourceId> = after
        .map_or(&[][..], |b| b.validated.objects())
        .iter()
        .map(Object::id)
        .collect();
    let goes = |o: &&Object| {
        !stays.contains(o.id())
            && may_prune(o.annotation(PRUNE_ANNOTATION)) == Ok(true)
            && !wanted.by_another(name, &before.app.target, o.id())
    };
    let deletes: BTreeSet<ResourceId> = owned.iter().filter(goes).map(|o| o.id().clone()).collect();
    let hold = match after {
        Some(after) => guard::hold(deletes, owned.len(), after.validated.output(), limits),
        None if before.app.remove == Removal::Prune => {
            let nothing = Digest::of(b"");
            guard::hold(deletes, owned.len(), nothing, GuardLimits::ANY_NUMBER)
        }
        None => (!deletes.is_empty()).then(|| Hold {
            cause: Cause::Left,
            output: Digest::of(b""),
            deletes,
        }),
    };
    hold.map(Held)
}

/// What many apps share.
fn common(changes: &[AppImpact]) -> Vec<Common> {
    let mut all: BTreeMap<(String, String), Common> = BTreeMap::new();
    for change in changes {
        for object in &change.objects {
            let kind = kind(&object.object);
            for field in &object.fields {
                let group = all
                    .entry((kind.clone(), field.to_string()))
                    .or_insert_with(|| Common {
                        kind: kind.clone(),
                        field: field.clone(),
                        objects: 0,
                        apps: BTreeSet::new(),
                    });
                group.objects += 1;
                group.apps.insert(change.app.clone());
            }
        }
    }
    let mut common: Vec<Common> = all.into_values().collect();
    common.retain(|group| group.apps.len() >= COMMON_APPS);
    // A stable sort: equal ones stay in order of kind and field.
    common.sort_by_key(|group| std::cmp::Reverse(group.apps.len()));
    common
}

#[cfg(test)]
mod tests;
