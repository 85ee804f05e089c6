//! What a cluster says no with, in kinds that differ by what a person does about them. No text holds an
//! object, or anything of a Secret's values; a single value that a check refuses may be in it.

use super::account::AccountError;
use kube::core::response::{Status, StatusCause};
use weir_core::fault::{Blame, Fault, Retry};
use weir_core::reveal::NotRevealed;

mod conflicts;
pub use conflicts::{Conflicts, FieldConflict};

/// The longest text of the API server's that is passed on, in characters.
const SHOWN: usize = 600;

/// Why a cluster did not do what it was asked to.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KubeError {
    /// The kubeconfig, or what it names, cannot be used.
    #[error("{0}")]
    Config(String),
    /// The API server does not know who asks.
    #[error("the API server does not accept the credentials of {place}: {message}. Renew them")]
    Unauthorized {
        /// The target as it was given.
        place: String,
        /// What the server said.
        message: String,
    },
    /// A role is missing. The server's text says who may not do what on which resource.
    #[error(
        "forbidden: {message}. Give that account a role that allows it, or leave the object out"
    )]
    Forbidden {
        /// What the server said.
        message: String,
    },
    /// Something about the service account that the target runs as.
    #[error(transparent)]
    Account(#[from] AccountError),
    /// It is encrypted, and cannot be opened for a request.
    #[error(transparent)]
    Sealed(#[from] NotRevealed),
    /// The host does not let the repository have it there.
    #[error("the host does not let this repository have it, and nothing was done: {0}")]
    Outside(String),
    /// Nothing in the cluster serves this kind.
    #[error(
        "the cluster has no kind {kind} in {api_version}: correct the name, or install its CustomResourceDefinition first, or put that into an app that this one comes `after`"
    )]
    UnknownKind {
        /// The group and version that the object names; the group alone where that is all that is known.
        api_version: String,
        /// The kind.
        kind: String,
    },
    /// The cluster serves this kind in other versions.
    #[error(
        "the cluster has {kind} in {served}, and not in {api_version}: name a version that it has, or have the definition serve this one"
    )]
    UnknownVersion {
        /// The group and version that the object names.
        api_version: String,
        /// The kind.
        kind: String,
        /// The groups and versions that are served.
        served: String,
    },
    /// The path of a kind is gone since the cluster said what it serves.
    #[error(
        "the cluster does not serve its kind any more: {message}. Weir asks anew which kinds there are"
    )]
    NotServed {
        /// What the server said.
        message: String,
    },
    /// A group of kinds is served by something that does not answer.
    #[error(
        "the cluster cannot say which kinds group {group} has: the API service behind it does not answer (kubectl get apiservices)"
    )]
    GroupAway {
        /// The group.
        group: String,
    },
    /// The object's namespace is not there.
    #[error(
        "its namespace does not exist: {message}. Add the namespace to the repository, or create it"
    )]
    NoNamespace {
        /// What the server said.
        message: String,
    },
    /// A field is wrong.
    #[error("the API server refuses it as invalid: {message}. Put it right in the repository")]
    Invalid {
        /// What the server said.
        message: String,
    },
    /// A field that may not change was changed.
    #[error(
        "a field that cannot be changed was changed: {message}. Put the field back, or delete the object so that it is made anew: Weir does that where its annotation weir.dev/recreate is \"true\""
    )]
    Immutable {
        /// What the server said.
        message: String,
    },
    /// Others manage fields that this object sets to other values.
    #[error("{0}. Leave these fields out, or take them from the other manager")]
    Conflict(Conflicts),
    /// It is no longer what was seen when the plan was made. It was not touched.
    #[error(
        "it was changed, made or deleted by someone else in the meantime: Weir looks again ({message})"
    )]
    Changed {
        /// What the server said.
        message: String,
    },
    /// The namespace is being deleted.
    #[error(
        "its namespace is being deleted, and nothing can be made in it until it is gone and made again: {message}"
    )]
    Terminating {
        /// What the server said.
        message: String,
    },
    /// A quota is used up.
    #[error("a quota is used up: {message}. Raise it, or ask for less")]
    Quota {
        /// What the server said.
        message: String,
    },
    /// An admission webhook, a policy or a check of the API server's own said no.
    #[error(
        "an admission check of the cluster refuses it: {message}. Change the object so that it passes, or have the check changed"
    )]
    Denied {
        /// What the server said.
        message: String,
    },
    /// An admission webhook does not answer.
    #[error(
        "an admission webhook of the cluster does not answer: {message}. Mend the webhook; Weir tries again"
    )]
    Webhook {
        /// What the server said.
        message: String,
    },
    /// It is too large for a request.
    #[error("it is too large for the API server: {message}. Split it")]
    TooLarge {
        /// What the server said.
        message: String,
    },
    /// It is being deleted, and that takes its time.
    #[error("it is being deleted, which waits for {what}. Weir looks again")]
    StillThere {
        /// Finalizers, or the grace period.
        what: String,
    },
    /// A definition is there, and its kind is not served.
    #[error(
        "the definition was not established within {seconds} s: {why}. Weir looks again; kubectl describe crd shows more"
    )]
    NotEstablished {
        /// How long it was waited for, in seconds.
        seconds: u64,
        /// What its conditions say.
        why: String,
    },
    /// The server asks for fewer requests.
    #[error("the API server asks for fewer requests: {message}. Weir tries again later")]
    Throttled {
        /// What the server said.
        message: String,
    },
    /// The server does not answer, or not in time.
    #[error("the API server of {place} does not answer: {message}. Weir tries again")]
    Away {
        /// The target as it was given.
        place: String,
        /// What happened.
        message: String,
    },
    /// The run has gone on for as long as it may.
    #[error(
        "the run took longer than {minutes} min, and what was left was not begun: Weir goes on with it in the next one"
    )]
    Late {
        /// How long it may take, in minutes.
        minutes: u64,
    },
    /// Something that Weir has no words for.
    #[error("the API server answers {code}: {message}. Weir tries again later")]
    Other {
        /// The HTTP status.
        code: u16,
        /// What the server said.
        message: String,
    },
}

impl Blame for KubeError {
    fn fault(&self) -> Fault {
        match self {
            KubeError::Config(_) | KubeError::Unauthorized { .. } => Fault::Host,
            KubeError::Account(error) => error.fault(),
            KubeError::Sealed(error) => error.fault(),
            KubeError::UnknownKind { .. }
            | KubeError::Outside(_)
            | KubeError::UnknownVersion { .. }
            | KubeError::NoNamespace { .. }
            | KubeError::Invalid { .. }
            | KubeError::Immutable { .. }
            | KubeError::Denied { .. }
            | KubeError::TooLarge { .. } => Fault::Repository,
            _ => Fault::Target,
        }
    }

    fn retry(&self) -> Retry {
        match self {
            KubeError::Sealed(error) => error.retry(),
            KubeError::Invalid { .. }
            | KubeError::Immutable { .. }
            | KubeError::TooLarge { .. }
            | KubeError::Conflict(_) => Retry::OnChange,
            // Put right in the cluster, which tells nobody: a role, a quota, a definition, a server.
            _ => Retry::Backoff,
        }
    }
}

impl KubeError {
    /// Whether it is about all that is asked there, and not about one object.
    pub(super) fn is_of_all(&self) -> bool {
        match self {
            KubeError::Account(error) => error.is_of_all(),
            other => matches!(
                other,
                KubeError::Away { .. } | KubeError::Unauthorized { .. }
            ),
        }
    }

    /// Whether it says nothing of what became of the request.
    pub(super) fn is_unclear(&self) -> bool {
        match self {
            KubeError::Away { .. } => true,
            KubeError::Other { code, .. } => *code >= 500,
            _ => false,
        }
    }

    /// Whether somebody else wrote the object, or what counts against a quota, at the same instant: the server's
    /// own tries ran out, and nothing was wrong with the request.
    pub(super) fn is_lost_race(&self) -> bool {
        matches!(self, KubeError::Changed { message } if message.contains("the object has been modified"))
    }

    /// What the client says, in these kinds. `secret` leaves out all that may hold an object's values.
    pub(crate) fn of(place: &str, error: &kube::Error, secret: bool) -> KubeError {
        match error {
            kube::Error::Api(status) => KubeError::of_status(place, status, secret),
            kube::Error::Auth(e) => KubeError::Unauthorized {
                place: place.to_owned(),
                message: shown(&e.to_string()),
            },
            // It quotes what it could not read.
            kube::Error::SerdeError(_) if secret => KubeError::Away {
                place: place.to_owned(),
                message: "its answer cannot be read".to_owned(),
            },
            other => KubeError::Away {
                place: place.to_owned(),
                message: shown(&chain(other)),
            },
        }
    }

    fn of_status(place: &str, status: &Status, secret: bool) -> KubeError {
        let details = status.details.as_ref();
        let causes = details.map_or(&[][..], |d| d.causes.as_slice());
        let said = &status.message;
        let has = |reason: &str| causes.iter().any(|c| c.reason == reason);
        let worded = |secret: bool| match secret {
            true => without_values(status, causes),
            false => shown(said),
        };
        // These answers are about who asks, where and when, not about what was sent.
        let open = || worded(false);
        let message = || worded(secret);
        let place = place.to_owned();
        match status.code {
            // Whoever says it chooses the code.
            _ if is_denied(said) => KubeError::Denied { message: message() },
            401 => KubeError::Unauthorized {
                place,
                message: open(),
            },
            403 if has("NamespaceTerminating") => KubeError::Terminating { message: open() },
            403 if said.contains("exceeded quota") => KubeError::Quota { message: open() },
            403 if is_of_roles(said) => KubeError::Forbidden { message: open() },
            403 if said.contains(" is forbidden: ") => KubeError::Denied { message: message() },
            403 => KubeError::Forbidden { message: message() },
            404 if details.is_some_and(|d| d.kind == "namespaces") => {
                KubeError::NoNamespace { message: open() }
            }
            404 if !names_an_object(status) => KubeError::NotServed { message: open() },
            409 if has("FieldManagerConflict") => KubeError::Conflict(conflicts(causes)),
            409 => KubeError::Changed { message: open() },
            413 => KubeError::TooLarge { message: open() },
            422 if causes.iter().any(|c| c.field == "metadata.uid") => {
                KubeError::Changed { message: message() }
            }
            422 if is_immutable(said) => KubeError::Immutable { message: message() },
            400 | 422 => KubeError::Invalid { message: message() },
            429 => KubeError::Throttled { message: open() },
            500 if said.contains("failed calling webhook") => {
                KubeError::Webhook { message: message() }
            }
            500 if is_untyped(said) => KubeError::Invalid { message: message() },
            502..=504 => KubeError::Away {
                place,
                message: message(),
            },
            code => KubeError::Other {
                code,
                message: message(),
            },
        }
    }
}

/// Whether the server says that it has no such object. Where the whole path is gone, it names none.
pub(super) fn is_missing(status: &Status) -> bool {
    status.code == 404 && names_an_object(status)
}

fn names_an_object(status: &Status) -> bool {
    status.details.as_ref().is_some_and(|d| !d.name.is_empty())
}

/// An admission webhook's or policy's own no.
fn is_denied(said: &str) -> bool {
    let webhook = said.starts_with("admission webhook ") && said.contains("denied the request");
    webhook || (said.contains("ValidatingAdmissionPolicy '") && said.contains("denied request"))
}

/// A missing role, or one that may not hand on what it does not have. Checks such as PodSecurity and
/// LimitRanger also answer that something "is forbidden", and no role helps there.
fn is_of_roles(said: &str) -> bool {
    let asks = said.contains("User \"") && said.contains("\" cannot ");
    asks || said.contains("attempting to grant RBAC permissions")
}

/// What server-side apply says of fields that the schema does not have, or has otherwise. It has no code of
/// its own for it.
fn is_untyped(said: &str) -> bool {
    said.contains("failed to create typed patch object")
        || said.contains("failed to convert new object")
}

/// The API server has no reason of its own for it.
fn is_immutable(said: &str) -> bool {
    [
        "immutable",
        "may not change once set",
        "may not change fields other than",
        "updates to statefulset spec for fields other than",
    ]
    .iter()
    .any(|text| said.contains(text))
}

fn conflicts(causes: &[StatusCause]) -> Conflicts {
    let of = |c: &StatusCause| FieldConflict {
        manager: shown(c.message.trim_start_matches("conflict with ")),
        field: shown(&c.field),
    };
    let fields = causes.iter().filter(|c| c.reason == "FieldManagerConflict");
    Conflicts(fields.map(of).collect())
}

/// For a Secret: the reason and the fields, and nothing that the server quotes.
fn without_values(status: &Status, causes: &[StatusCause]) -> String {
    let fields: Vec<&str> = causes.iter().map(|c| c.field.as_str()).collect();
    let reason = if status.reason.is_empty() {
        "an error"
    } else {
        &status.reason
    };
    let of = if fields.is_empty() {
        String::new()
    } else {
        format!(" at {}", fields.join(", "))
    };
    shown(&format!(
        "{reason}{of} (the server's words are left out, since they may hold the Secret's values)"
    ))
}

/// A text of the server's, on one line, cut, with every `{…}` emptied and no diff: it may quote whole objects.
fn shown(said: &str) -> String {
    // Refused changes of a Pod and of a claim come with a diff of it.
    let (said, diff) = said
        .split_once("\n@@ ")
        .map_or((said, false), |(said, _)| (said, true));
    let mut out = String::new();
    let mut rest = said;
    while let Some((before, quoted)) = rest.split_once('{') {
        out.push_str(before);
        out.push_str("{…}");
        // `&{…}` is Go's form without quotes: a `}` in it may be a value's.
        rest = match before.ends_with('&') {
            true => quoted.rsplit_once('}').map_or("", |(_, rest)| rest),
            false => after_braces(quoted),
        };
    }
    out.push_str(rest);
    let plain = |c: char| if c.is_control() { ' ' } else { c };
    let mut chars = out.trim_end().chars().map(plain);
    let mut cut: String = chars.by_ref().take(SHOWN).collect();
    if diff || chars.next().is_some() {
        cut.push_str(" …");
    }
    cut.trim_end_matches('.').to_owned()
}

/// What follows the brace that closes an open one; braces within quotes do not count. Nothing when none does.
fn after_braces(quoted: &str) -> &str {
    let (mut depth, mut in_text, mut escaped) = (1_usize, false, false);
    for (at, c) in quoted.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_text => escaped = true,
            '"' => in_text = !in_text,
            _ if in_text => {}
            '{' => depth += 1,
            '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return quoted.get(at + 1..).unwrap_or_default();
        }
    }
    ""
}

/// An error with what is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    // A handful of layers: HTTP, TLS, sockets.
    for _ in 0..8 {
        let Some(source) = next else { break };
        let more = source.to_string();
        if !text.contains(&more) {
            text.push_str(": ");
            text.push_str(&more);
        }
        next = source.source();
    }
    text
}

#[cfg(test)]
mod tests;
