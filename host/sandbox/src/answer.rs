//! What a plugin gave, and what is checked of it before anybody uses it: once where it ran, and once more by the host
//! where that was another process.

use weir_core::grant::Limits;

use crate::Role;
use crate::bindings::types;
use crate::error::{Diagnostic, Failure};
use crate::values::{Document, Finding, Level};

/// Documents, objects or findings that one call may return.
pub(crate) const ITEMS: usize = 100_000;
/// Diagnostics kept of a plugin that sends very many.
pub(crate) const DIAGNOSTICS: usize = 100;

/// What is asked of a plugin.
#[derive(Clone, Copy)]
pub(crate) enum Ask<'a> {
    /// Documents.
    Render,
    /// Objects for these.
    Transform(&'a [Vec<u8>]),
    /// Findings about these.
    Validate(&'a [Vec<u8>]),
}

/// What a plugin gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Gave {
    /// A renderer's.
    Documents(Vec<Document>),
    /// A transformer's.
    Objects(Vec<Vec<u8>>),
    /// A validator's.
    Findings(Vec<Finding>),
}

impl Ask<'_> {
    /// Who is asked this.
    pub(crate) fn role(self) -> Role {
        match self {
            Ask::Render => Role::Renderer,
            Ask::Transform(_) => Role::Transformer,
            Ask::Validate(_) => Role::Validator,
        }
    }

    /// How many objects it is about.
    pub(crate) fn objects(self) -> usize {
        match self {
            Ask::Render => 0,
            Ask::Transform(objects) | Ask::Validate(objects) => objects.len(),
        }
    }
}

impl Gave {
    /// Who gives this.
    pub(crate) fn role(&self) -> Role {
        match self {
            Gave::Documents(_) => Role::Renderer,
            Gave::Objects(_) => Role::Transformer,
            Gave::Findings(_) => Role::Validator,
        }
    }

    /// The same, where it is no more than a call may return and speaks of nothing that is not there.
    pub(crate) fn checked(self, limits: &Limits, objects: usize) -> Result<Gave, Failure> {
        match &self {
            Gave::Documents(list) => {
                let sizes = list.iter().map(|d| d.body.len() + d.origin.len());
                within(limits, list.len(), sizes)?;
            }
            Gave::Objects(list) => within(limits, list.len(), list.iter().map(Vec::len))?,
            Gave::Findings(list) => {
                let size = |f: &Finding| {
                    f.code.len() + f.message.len() + f.path.as_ref().map_or(0, String::len)
                };
                within(limits, list.len(), list.iter().map(size))?;
                about(list, objects)?;
            }
        }
        Ok(self)
    }
}

/// Checks that findings are about objects that were there.
fn about(list: &[Finding], objects: usize) -> Result<(), Failure> {
    let beyond = |i: &u32| usize::try_from(*i).is_ok_and(|i| i >= objects);
    match list.iter().filter_map(|f| f.object).find(beyond) {
        None => Ok(()),
        Some(object) => Err(Failure::BadOutput {
            what: format!("a finding about object {object} of {objects}"),
        }),
    }
}

/// Checks how much was returned.
fn within(
    limits: &Limits,
    items: usize,
    sizes: impl Iterator<Item = usize>,
) -> Result<(), Failure> {
    let bytes: u64 = sizes.map(|n| n as u64).sum();
    if items > ITEMS {
        return Err(Failure::Items {
            items,
            limit: ITEMS,
        });
    }
    if bytes > limits.output.0 {
        return Err(Failure::Output {
            what: format!("it returned {bytes} bytes"),
        });
    }
    Ok(())
}

/// What a renderer's own types say. More items than a call may return stay what they are: they are counted later.
pub(crate) fn documents(list: Vec<types::Document>) -> Gave {
    let keep = |d: types::Document| Document {
        origin: d.origin,
        body: d.body,
    };
    Gave::Documents(list.into_iter().map(keep).collect())
}

/// What a validator's own types say.
pub(crate) fn findings(list: Vec<types::Finding>) -> Gave {
    let keep = |f: types::Finding| Finding {
        level: f.level.into(),
        code: f.code,
        message: f.message,
        object: f.object,
        path: f.path,
        line: f.line,
    };
    Gave::Findings(list.into_iter().map(keep).collect())
}

/// A plugin that says itself why it cannot go on.
pub(crate) fn diagnostics(list: Vec<types::Diagnostic>) -> Failure {
    let keep = |d: types::Diagnostic| Diagnostic {
        level: d.level.into(),
        code: d.code,
        message: d.message,
        path: d.path,
        line: d.line,
    };
    Failure::Diagnostics(list.into_iter().take(DIAGNOSTICS).map(keep).collect())
}

/// A validator that could not look.
pub(crate) fn could_not_look(message: String) -> Failure {
    let code = "could-not-look".to_owned();
    Failure::Diagnostics(vec![Diagnostic {
        level: Level::Error,
        code,
        message,
        path: None,
        line: None,
    }])
}
