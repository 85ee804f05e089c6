//! The bundled `schema` validator: objects against Kubernetes' own types and the CRDs of the same commit, with no cluster.
//!
//! What Kubernetes' own kinds look like comes with the component ([`weir_kubernetes`]); of a custom kind the CRD is looked
//! for among the app's objects, and then in the files that the config names. Nothing is read or parsed that no object needs.

use std::collections::BTreeSet;

use serde::Deserialize;
use weir_plugin::{Diagnostics, Finding, Level, Object, Params, Tree};

mod builtin;
mod crds;
mod custom;
mod duplicates;
mod formats;
mod limits;
mod look;
#[cfg(test)]
mod tests;

use crds::{Crds, Found};
use look::{At, Code, Look};

/// What an app may say about the checks.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Config {
    /// Files with CRDs: paths or globs.
    crds: Vec<String>,
    checks: Checks,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields, default, rename_all = "kebab-case")]
struct Checks {
    unknown_field: Weight,
    wrong_type: Weight,
    bad_value: Weight,
    missing_field: Weight,
    duplicate_item: Weight,
    no_such_kind: Weight,
    unknown_kind: Weight,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Weight {
    Error,
    Warning,
    Off,
}

impl Default for Checks {
    fn default() -> Self {
        Self {
            unknown_field: Weight::Error,
            wrong_type: Weight::Error,
            bad_value: Weight::Error,
            missing_field: Weight::Error,
            duplicate_item: Weight::Error,
            no_such_kind: Weight::Error,
            unknown_kind: Weight::Warning,
        }
    }
}

impl Checks {
    fn weight(&self, code: Code) -> Weight {
        match code {
            Code::UnknownField => self.unknown_field,
            Code::WrongType => self.wrong_type,
            Code::BadValue => self.bad_value,
            Code::MissingField => self.missing_field,
            Code::DuplicateItem => self.duplicate_item,
            Code::NoSuchKind => self.no_such_kind,
            Code::UnknownKind => self.unknown_kind,
        }
    }
}

/// More findings of one level than a person reads.
const MOST_FINDINGS: usize = 200;

weir_plugin::validator!(validate, tree);

/// Looks at every object.
///
/// # Errors
/// `bad-config`, and what is wrong with a file of `crds` that an object needs.
pub fn validate(
    objects: &[Object],
    params: &Params,
    tree: &dyn Tree,
) -> Result<Vec<Finding>, Diagnostics> {
    let config: Config = params.config()?;
    let mut crds = Crds::new(objects, &config.crds, params, tree);
    let mut found = Findings::default();
    found.add(other_version(params));
    for (index, object) in objects.iter().enumerate() {
        let mut look = Look::new(&config.checks, index, object);
        if check(&mut look, object, &mut crds)? == Known::Custom && !found.is_new_kind(object) {
            continue;
        }
        found.add(look.found);
    }
    Ok(found.finished())
}

/// What is said of all objects: the first ones of each level, and how many more there are.
#[derive(Default)]
struct Findings {
    said: Vec<Finding>,
    /// How many there are of errors and of all else, those that are not said included.
    errors: usize,
    others: usize,
    /// Custom kinds without a CRD, each of which is said once.
    kinds: BTreeSet<(String, String)>,
}

impl Findings {
    fn add(&mut self, findings: impl IntoIterator<Item = Finding>) {
        for finding in findings {
            let count = match finding.level {
                Level::Error => &mut self.errors,
                _ => &mut self.others,
            };
            *count += 1;
            if *count <= MOST_FINDINGS {
                self.said.push(finding);
            }
        }
    }

    fn is_new_kind(&mut self, object: &Object) -> bool {
        let kind = (object.group().to_owned(), object.kind().to_owned());
        self.kinds.insert(kind)
    }

    /// Errors that are not said are still errors; warnings that are not said stop nobody.
    fn finished(mut self) -> Vec<Finding> {
        let of = [
            (self.errors, Level::Error, "errors"),
            (self.others, Level::Warning, "warnings"),
        ];
        for (count, level, what) in of {
            if let Some(more) = count.checked_sub(MOST_FINDINGS).filter(|more| *more > 0) {
                self.said.push(Finding {
                    level,
                    code: "many-findings".into(),
                    message: format!("and {more} more {what}"),
                    object: None,
                    path: None,
                    line: None,
                });
            }
        }
        self.said
    }
}

/// Whether an object's fields could be checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Known {
    /// They were, or it is said why they need not be.
    Known,
    /// Nobody defines its kind here, which is said.
    Custom,
}

fn check(look: &mut Look<'_>, object: &Object, crds: &mut Crds<'_>) -> Result<Known, Diagnostics> {
    if object.api_version().is_empty() || object.kind().is_empty() {
        look.say(
            Code::MissingField,
            &At::Top,
            "apiVersion and kind must be text, and not empty",
        );
        return Ok(Known::Known);
    }
    if let Some(kind) = weir_kubernetes::kind(object.api_version(), object.kind()) {
        builtin::object(look, kind.definition, object, &At::Top);
        return Ok(Known::Known);
    }
    if !object.group().contains('.') {
        look.say(Code::NoSuchKind, &At::Top, &no_such_kind(object));
        return Ok(Known::Known);
    }
    match crds.find(object)? {
        Found::Schema(schema) => custom::object(look, &schema, object),
        Found::NoSchema => {}
        Found::NotServed(why) => look.say(Code::NoSuchKind, &At::Top, &why),
        Found::Nothing if is_own_group(object.group()) => {
            look.say(Code::NoSuchKind, &At::Top, &no_such_kind(object));
        }
        Found::Nothing => {
            let message = format!(
                "its fields are not checked, nor those of others of its kind: {} is not one of Kubernetes' own groups, and no CRD of the app or of `crds` defines {} there",
                object.group(),
                object.kind()
            );
            look.say(Code::UnknownKind, &At::Top, &message);
            return Ok(Known::Custom);
        }
    }
    Ok(Known::Known)
}

/// Whether Kubernetes itself has kinds in a group, `networking.k8s.io` too.
fn is_own_group(group: &str) -> bool {
    weir_kubernetes::kinds()
        .filter_map(|name| name.split_once('/'))
        .any(|(own, _)| own == group)
}

/// A group without a dot is Kubernetes' own, and no CRD can define a kind there; of others a CRD was looked for.
fn no_such_kind(object: &Object) -> String {
    let kind = object.kind();
    let others: Vec<&str> = weir_kubernetes::kinds()
        .filter_map(|name| name.rsplit_once('/'))
        .filter(|(_, name)| *name == kind)
        .map(|(version, _)| version)
        .collect();
    let instead = if others.is_empty() {
        let near = weir_kubernetes::kinds()
            .filter_map(|name| name.rsplit_once('/'))
            .filter(|(version, _)| *version == object.api_version())
            .map(|(_, name)| name);
        match look::nearest(kind, near) {
            Some(name) => format!("; did you mean {name}?"),
            None => String::new(),
        }
    } else {
        format!("; it is in {}", others.join(", "))
    };
    format!(
        "Kubernetes {} has no {kind} in {}{instead}",
        weir_kubernetes::version(),
        object.api_version()
    )
}

/// Fields come and go: whoever reads the findings has to know that they are of another version than the target's.
fn other_version(params: &Params) -> Option<Finding> {
    let own = weir_kubernetes::version();
    let minor = |version: &str| version.splitn(3, '.').take(2).collect::<Vec<_>>().join(".");
    let target = params.target.kubernetes.as_str();
    if target.is_empty() || minor(target) == minor(own) {
        return None;
    }
    Some(Finding {
        level: Level::Info,
        code: "other-version".into(),
        message: format!(
            "objects are checked as Kubernetes {own} has them; the target is {target}"
        ),
        object: None,
        path: None,
        line: None,
    })
}
