//! Why something could not be got, as a process tells it. What the host knows itself it says itself.

use serde::{Deserialize, Serialize};
use weir_core::digest::Digest;
use weir_core::plugin::RegistryPin;

use super::super::failure::{About as Named, Failure as OfClient, System, text};
use super::words::Of;
use crate::error::SourceError;
use crate::external::{
    AWAY, About, ArtifactBlob, ArtifactError, CONFIG_TYPE, ExternalError, HINTS, LAYER_TYPE,
    MANIFEST_TYPE, NAMES, PluginError, RULES, artifact,
};

/// Each variant is one of [`ExternalError`], or of [`PluginError`].
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::process) enum Failure {
    NotAllowed {
        place: String,
        why: String,
    },
    Unreachable {
        url: String,
        why: String,
    },
    Unauthorized {
        url: String,
        status: u16,
        hint: String,
    },
    NotFound(String),
    Changed(String),
    Refused(String),
    Limit {
        limit: String,
        why: String,
    },
    Stopped,
    Client {
        url: String,
        failure: OfClient,
    },
    Host {
        what: String,
        source: System,
    },
    Artifact(Flaw),
    NotAsLocked {
        digest: Digest,
        size: u64,
    },
    Redirected {
        to: String,
        why: String,
    },
    /// What no process of ours meets: it starts none.
    Other(String),
}

/// Each variant is one of [`ArtifactError`].
#[derive(Debug, Serialize, Deserialize)]
pub(in crate::process) enum Flaw {
    Unreadable(String),
    Index,
    MediaType {
        part: String,
        found: String,
        expected: String,
    },
    NoLayer,
    Layers(usize),
    Digest {
        part: String,
        found: String,
    },
    Size {
        size: u64,
        most: u64,
    },
    WrongSize {
        part: String,
        expected: u64,
        found: u64,
    },
    WrongBytes {
        part: String,
        expected: Digest,
        found: Digest,
    },
}

/// What an [`ArtifactError`] may be about.
const PARTS: [&str; 3] = ["manifest", "config", "layer"];
/// What a plugin's artifact is made of.
const TYPES: [&str; 3] = [MANIFEST_TYPE, CONFIG_TYPE, LAYER_TYPE];

impl Failure {
    pub(super) fn of(error: PluginError) -> Failure {
        match error {
            PluginError::Get(error) => Failure::of_external(error),
            PluginError::Artifact { source, .. } => Failure::Artifact(Flaw::of(source)),
            PluginError::NotAsLocked { found, .. } => Failure::NotAsLocked {
                digest: found.digest,
                size: found.size,
            },
            PluginError::Redirected { to, why, .. } => Failure::Redirected {
                to: text(&to),
                why: why.to_owned(),
            },
        }
    }

    fn of_external(error: ExternalError) -> Failure {
        match error {
            ExternalError::NotAllowed { place, why, .. } => Failure::NotAllowed {
                place: text(&place),
                why: why.to_owned(),
            },
            ExternalError::Unreachable { url, why, .. } => Failure::Unreachable {
                url: text(&url),
                why: text(&why),
            },
            ExternalError::Unauthorized {
                url, status, hint, ..
            } => Failure::Unauthorized {
                url: text(&url),
                status,
                hint: hint.to_owned(),
            },
            ExternalError::NotFound { why, .. } => Failure::NotFound(text(&why)),
            ExternalError::Changed { why, .. } => Failure::Changed(text(&why)),
            ExternalError::Refused { why, .. } => Failure::Refused(text(&why)),
            ExternalError::Limit { limit, why, .. } => Failure::Limit {
                limit: limit.to_owned(),
                why: text(&why),
            },
            ExternalError::Stopped { .. } => Failure::Stopped,
            ExternalError::Git { source, .. } => Failure::Client {
                url: text(url(&source)),
                failure: OfClient::of(*source),
            },
            ExternalError::Host { what, source, .. } => Failure::Host {
                what: text(&what),
                source: System::of(&source),
            },
            ExternalError::Process { end, .. } => Failure::Other(end.to_string()),
        }
    }

    /// The error, with what it is about; or what is wrong with it.
    pub(super) fn meant(
        self,
        about: About<'_>,
        of: &Of,
        pin: Option<RegistryPin>,
    ) -> Result<PluginError, String> {
        Ok(match self {
            Failure::Artifact(flaw) => artifact(about.0, flaw.meant()?),
            Failure::NotAsLocked { digest, size } => PluginError::NotAsLocked {
                reference: about.0.to_owned(),
                pin: Box::new(pin.ok_or("it said that it is not as a lock that there is not")?),
                found: Box::new(ArtifactBlob { digest, size }),
            },
            Failure::Redirected { to, why } => PluginError::Redirected {
                reference: about.0.to_owned(),
                from: match of {
                    Of::Plugin(reference) => reference.repository(),
                    Of::External(_) => return Err("it said of a chart what is of a plugin".into()),
                },
                to: text(&to),
                why: known(&why, &AWAY)?,
            },
            other => PluginError::Get(other.meant_of_external(about)?),
        })
    }

    fn meant_of_external(self, about: About<'_>) -> Result<ExternalError, String> {
        Ok(match self {
            Failure::NotAllowed { place, why } => {
                about.not_allowed(text(&place), known(&why, &RULES)?)
            }
            Failure::Unreachable { url, why } => about.unreachable(&text(&url), text(&why)),
            Failure::Unauthorized { url, status, hint } => ExternalError::Unauthorized {
                reference: about.0.to_owned(),
                url: text(&url),
                status: Some(status)
                    .filter(|status| matches!(status, 401 | 403))
                    .ok_or("it said that access was refused in a way that there is not")?,
                hint: known(&hint, &HINTS)?,
            },
            Failure::NotFound(why) => about.not_found(text(&why)),
            Failure::Changed(why) => about.changed(text(&why)),
            Failure::Refused(why) => about.refused(text(&why)),
            Failure::Limit { limit, why } => about.limit(known(&limit, &NAMES)?, text(&why)),
            Failure::Stopped => about.stopped(),
            Failure::Client { url, failure } => about.source(failure.meant(&Named {
                url: text(&url),
                reference: String::new(),
                ssh: None,
            })?),
            Failure::Host { what, source } => about.host(text(&what), source.meant()),
            Failure::Other(what) => return Err(text(&what)),
            _ => return Err("it said what is not understood".into()),
        })
    }
}

impl Flaw {
    fn of(error: ArtifactError) -> Flaw {
        match error {
            ArtifactError::Unreadable { why } => Flaw::Unreadable(text(&why)),
            ArtifactError::Index => Flaw::Index,
            ArtifactError::MediaType {
                part,
                found,
                expected,
            } => Flaw::MediaType {
                part: part.to_owned(),
                found: text(&found),
                expected: expected.to_owned(),
            },
            ArtifactError::NoLayer => Flaw::NoLayer,
            ArtifactError::Layers { count } => Flaw::Layers(count),
            ArtifactError::Digest { part, found } => Flaw::Digest {
                part: part.to_owned(),
                found: text(&found),
            },
            ArtifactError::Size { size, most } => Flaw::Size { size, most },
            ArtifactError::WrongSize {
                part,
                expected,
                found,
            } => Flaw::WrongSize {
                part: part.to_owned(),
                expected,
                found,
            },
            ArtifactError::WrongBytes {
                part,
                expected,
                found,
            } => Flaw::WrongBytes {
                part: part.to_owned(),
                expected,
                found,
            },
        }
    }

    fn meant(self) -> Result<ArtifactError, String> {
        Ok(match self {
            Flaw::Unreadable(why) => ArtifactError::Unreadable { why: text(&why) },
            Flaw::Index => ArtifactError::Index,
            Flaw::MediaType {
                part,
                found,
                expected,
            } => ArtifactError::MediaType {
                part: known(&part, &PARTS)?,
                found: text(&found),
                expected: known(&expected, &TYPES)?,
            },
            Flaw::NoLayer => ArtifactError::NoLayer,
            Flaw::Layers(count) => ArtifactError::Layers { count },
            Flaw::Digest { part, found } => ArtifactError::Digest {
                part: known(&part, &PARTS)?,
                found: text(&found),
            },
            Flaw::Size { size, most } => ArtifactError::Size { size, most },
            Flaw::WrongSize {
                part,
                expected,
                found,
            } => ArtifactError::WrongSize {
                part: known(&part, &PARTS)?,
                expected,
                found,
            },
            Flaw::WrongBytes {
                part,
                expected,
                found,
            } => ArtifactError::WrongBytes {
                part: known(&part, &PARTS)?,
                expected,
                found,
            },
        })
    }
}

/// One of our own words.
fn known(said: &str, ours: &[&'static str]) -> Result<&'static str, String> {
    let found = ours.iter().find(|word| **word == said).copied();
    found.ok_or_else(|| "it named something that there is not".to_owned())
}

/// What an error of the client is about.
fn url(error: &SourceError) -> &str {
    match error {
        SourceError::BadUrl { url, .. } | SourceError::Unreachable { url, .. } => url,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ABOUT: About<'static> = About("oci://r.example/team/labels:1");

    fn of() -> Of {
        Of::Plugin(ABOUT.0.parse().unwrap())
    }

    /// All that a process may fail with, of both kinds.
    fn all() -> Vec<PluginError> {
        let digest = Digest::of(b"x");
        let found = "x".to_owned();
        let flaws = [
            ArtifactError::Unreadable { why: found.clone() },
            ArtifactError::Index,
            ArtifactError::MediaType {
                part: "layer",
                found: found.clone(),
                expected: LAYER_TYPE,
            },
            ArtifactError::NoLayer,
            ArtifactError::Layers { count: 2 },
            ArtifactError::Digest {
                part: "config",
                found,
            },
            ArtifactError::Size { size: 2, most: 1 },
            ArtifactError::WrongSize {
                part: "layer",
                expected: 1,
                found: 2,
            },
            ArtifactError::WrongBytes {
                part: "manifest",
                expected: digest,
                found: digest,
            },
        ];
        let mut all: Vec<_> = flaws.map(|flaw| artifact(ABOUT.0, flaw)).into();
        let url = "https://r.example/v2/".to_owned();
        let bad = SourceError::BadUrl {
            url: url.clone(),
            why: "x".to_owned(),
        };
        let reference = ABOUT.0.to_owned();
        let mut externals = vec![
            ABOUT.unreachable(&url, "x"),
            ABOUT.not_found("x"),
            ABOUT.changed("x"),
            ABOUT.refused("x"),
            ABOUT.stopped(),
            ABOUT.source(bad),
            ABOUT.host("x", std::io::Error::from_raw_os_error(28)),
        ];
        externals.extend(RULES.map(|why| ABOUT.not_allowed(url.clone(), why)));
        externals.extend(NAMES.map(|name| ABOUT.limit(name, "x")));
        externals.extend(HINTS.map(|hint| ExternalError::Unauthorized {
            reference: reference.clone(),
            url: url.clone(),
            status: 401,
            hint,
        }));
        all.extend(externals.into_iter().map(PluginError::Get));
        all.extend(AWAY.map(|why| PluginError::Redirected {
            reference: reference.clone(),
            from: "oci://r.example/team/labels".to_owned(),
            to: url.clone(),
            why,
        }));
        all
    }

    #[test]
    fn each_error_is_the_same_after_it_was_told() {
        for error in all() {
            let (kind, said) = (error.kind(), error.to_string());
            let told = serde_json::to_vec(&Failure::of(error)).unwrap();
            let failure: Failure = serde_json::from_slice(&told).unwrap();
            let again = failure.meant(ABOUT, &of(), None).unwrap();
            assert_eq!((again.kind(), again.to_string()), (kind, said));
        }
    }

    #[test]
    fn words_that_are_not_ours_are_no_error_of_ours() {
        let word = || "x".to_owned();
        let locked = Failure::NotAsLocked {
            digest: Digest::of(b"x"),
            size: 1,
        };
        for failure in [
            locked,
            Failure::Limit {
                limit: word(),
                why: word(),
            },
            Failure::NotAllowed {
                place: word(),
                why: word(),
            },
            Failure::Unauthorized {
                url: word(),
                status: 200,
                hint: HINTS[0].to_owned(),
            },
            Failure::Redirected {
                to: word(),
                why: word(),
            },
            Failure::Artifact(Flaw::Digest {
                part: word(),
                found: word(),
            }),
            Failure::Other(word()),
        ] {
            let said = format!("{failure:?}");
            assert!(failure.meant(ABOUT, &of(), None).is_err(), "{said}");
        }
    }
}
