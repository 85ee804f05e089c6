//! What a person decides about an app: asked for by `weir`, checked against where the app stands, kept in the log.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::fault::{Blame, Fault, Retry};
use crate::guard::{Approval, Hold};
use crate::live::{Mark, Uid};
use crate::name::{AppName, TargetName};
use crate::object::ResourceId;
use crate::pin::{Deployed, Pin};
use crate::status::{AppStatus, Status};

/// The longest reason that is kept, in characters.
pub const WHY_CHARS: usize = 1_000;

/// What a person asks for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Ask {
    /// Let the hold of this id go on.
    Approve {
        /// What [`Hold::id`] says.
        hold: Digest,
    },
    /// Take over these objects, which somebody else made.
    Adopt(Adoption),
    /// Apply what was synced once, and stay there.
    RollBack(Deployed),
    /// Follow Git again.
    Resume,
}

/// Objects that an app takes over, for as long as it renders to this.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Adoption {
    /// The digest of the whole render.
    pub output: Digest,
    /// The objects, and which of those that ever had that name.
    pub objects: Vec<(ResourceId, Uid)>,
}

/// Objects that carry an app's name and that the ledger had lost.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// Where they are.
    pub target: TargetName,
    /// The objects, as the target has them.
    pub objects: Vec<(ResourceId, Mark)>,
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Ask::Approve { hold } => write!(f, "the deletes of hold {} may happen", hold.short()),
            Ask::Adopt(adoption) => write!(f, "{} objects are taken over", adoption.objects.len()),
            Ask::RollBack(to) => write!(
                f,
                "it goes back to record {} (output {}) and stays there",
                to.seq,
                to.output.short()
            ),
            Ask::Resume => f.write_str("it follows Git again"),
        }
    }
}

/// A decision, as it is kept.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Choice {
    /// These deletes may happen.
    Approved(Approval),
    /// These objects are taken over.
    Adopted(Adoption),
    /// These objects are the app's, as is written on them.
    Recovered(Recovery),
    /// It is kept at this.
    RolledBack(Pin),
    /// It follows Git again.
    Resumed,
}

/// A decision with who made it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Decision {
    /// What was decided.
    pub choice: Choice,
    /// Who, as their system knows them.
    pub by: String,
    /// Why, in their words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub why: Option<String>,
}

/// Why something cannot be decided now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Undecided {
    /// There is no such app.
    #[error("the ledger knows no app {app}; it has: {known}")]
    NoApp {
        /// The name.
        app: AppName,
        /// The names that there are.
        known: String,
    },
    /// It does not wait for anybody.
    #[error("app {app} is not held: there is nothing to approve")]
    NotHeld {
        /// The app.
        app: AppName,
    },
    /// It waits for a yes to something else by now.
    #[error(
        "app {app} is held for something else by now ({}): it would delete other objects, or comes from another output. \
         Look again: weir approve {app}",
        now.short()
    )]
    OtherHold {
        /// The app.
        app: AppName,
        /// The hold that there is.
        now: Digest,
    },
    /// It is where it is to go back to, and Git has nothing else for it.
    #[error(
        "app {app} has output {} already, and no other one of it is known here: there is nothing to go back from",
        output.short()
    )]
    IsThere {
        /// The app.
        app: AppName,
        /// What it has.
        output: Digest,
    },
    /// It follows Git.
    #[error("app {app} is not pinned: it follows Git already")]
    NotPinned {
        /// The app.
        app: AppName,
    },
}

impl Blame for Undecided {
    fn fault(&self) -> Fault {
        Fault::Host
    }
    fn retry(&self) -> Retry {
        Retry::OnChange
    }
}

/// What an app waits for a person with.
///
/// # Errors
/// When there is no such app, or it waits for nobody.
pub fn held<'s>(status: &'s Status, app: &AppName) -> Result<&'s Hold, Undecided> {
    let hold = known(status, app)?.hold.as_ref();
    hold.ok_or_else(|| Undecided::NotHeld { app: app.clone() })
}

fn known<'s>(status: &'s Status, app: &AppName) -> Result<&'s AppStatus, Undecided> {
    status.apps.get(app).ok_or_else(|| {
        let known: Vec<&str> = status.apps.keys().map(AppName::as_str).collect();
        Undecided::NoApp {
            app: app.clone(),
            known: known.join(", "),
        }
    })
}

/// What was asked for, as it stands in the log, where it fits where the app stands now. `rendered` is what the app renders
/// to, where that is known here.
///
/// # Errors
/// When it does not.
pub fn decide(
    status: &Status,
    app: &AppName,
    ask: &Ask,
    rendered: Option<Digest>,
) -> Result<Choice, Undecided> {
    match ask {
        // What is there by then decides: another object of the name, or another output, is not what was shown.
        Ask::Adopt(adoption) => Ok(Choice::Adopted(adoption.clone())),
        Ask::Approve { hold } => {
            let now = held(status, app)?;
            if now.id() != *hold {
                return Err(Undecided::OtherHold {
                    app: app.clone(),
                    now: now.id(),
                });
            }
            Ok(Choice::Approved(now.approved()))
        }
        Ask::RollBack(to) => {
            let pin = Pin::of(known(status, app)?, to.clone(), rendered);
            pin.map(Choice::RolledBack)
                .ok_or_else(|| Undecided::IsThere {
                    app: app.clone(),
                    output: to.output,
                })
        }
        Ask::Resume => match known(status, app)?.pin {
            Some(_) => Ok(Choice::Resumed),
            None => Err(Undecided::NotPinned { app: app.clone() }),
        },
    }
}
