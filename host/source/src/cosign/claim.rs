//! What a signature is over: cosign's text about a manifest, or the statement of a Sigstore bundle. Both name one digest.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_core::digest::Digest;

use super::{SignatureError, SignedForm};
use crate::error::printable;

/// What cosign's text says that it is.
const SIMPLE: &str = "cosign container image signature";
/// The type of what a bundle's signature is over.
pub(super) const STATEMENT: &str = "application/vnd.in-toto+json";
/// What a statement says that it is.
const INTOTO: &str = "https://in-toto.io/Statement/v1";
/// What a statement says of its subject: that it was signed, and no more.
pub(super) const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

#[derive(Serialize, Deserialize)]
struct Simple {
    critical: Critical,
    // Whoever signs may say anything here, and nothing is decided by it.
    #[serde(default, skip_deserializing)]
    optional: (),
}

#[derive(Serialize, Deserialize)]
struct Critical {
    #[serde(default)]
    identity: Identity,
    image: Image,
    #[serde(rename = "type")]
    kind: String,
}

#[derive(Default, Serialize, Deserialize)]
struct Identity {
    #[serde(default, rename = "docker-reference")]
    reference: String,
}

#[derive(Serialize, Deserialize)]
struct Image {
    #[serde(rename = "docker-manifest-digest")]
    digest: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    predicate_type: String,
    #[serde(default)]
    subject: Vec<Subject>,
}

#[derive(Deserialize)]
struct Subject {
    #[serde(default)]
    digest: BTreeMap<String, String>,
}

/// cosign's text about a manifest, to the byte as cosign writes it.
pub(super) fn simple(repository: &str, manifest: Digest) -> String {
    let text = Simple {
        critical: Critical {
            identity: Identity {
                reference: repository.to_owned(),
            },
            image: Image {
                digest: manifest.to_string(),
            },
            kind: SIMPLE.to_owned(),
        },
        optional: (),
    };
    // Texts alone: there is nothing that could not be written.
    serde_json::to_string(&text).unwrap_or_default()
}

/// What is signed of a statement: its type and its bytes, each with its length (DSSE, "pre-authentication encoding").
pub(super) fn pae(statement: &[u8]) -> Vec<u8> {
    let mut out = format!(
        "DSSEv1 {} {STATEMENT} {} ",
        STATEMENT.len(),
        statement.len()
    )
    .into_bytes();
    out.extend_from_slice(statement);
    out
}

/// Whether a statement says something else of its subject than that it was signed, such as how it was built. Nothing of it is
/// believed.
pub(super) fn is_other_statement(statement: &str) -> bool {
    let text: Result<Statement, _> = serde_json::from_str(statement);
    text.is_ok_and(|text| text.predicate_type != SIGNED)
}

/// Whether what was signed says that this manifest was.
pub(super) fn check(
    form: SignedForm,
    payload: &str,
    manifest: Digest,
) -> Result<(), SignatureError> {
    let unreadable = |e: serde_json::Error| SignatureError::Unreadable {
        manifest,
        why: format!("what it is over: {}", printable(&e.to_string())),
    };
    let is = |found: &str, expected: &'static str| match found == expected {
        true => Ok(()),
        false => Err(SignatureError::AnotherType {
            manifest,
            found: cut(found),
            expected,
        }),
    };
    let found = match form {
        SignedForm::Simple => {
            let text: Simple = serde_json::from_str(payload).map_err(unreadable)?;
            is(&text.critical.kind, SIMPLE)?;
            vec![text.critical.image.digest]
        }
        SignedForm::Unreadable => Vec::new(),
        SignedForm::Statement => {
            let text: Statement = serde_json::from_str(payload).map_err(unreadable)?;
            is(&text.kind, INTOTO)?;
            is(&text.predicate_type, SIGNED)?;
            let digests = text.subject.into_iter();
            digests
                .filter_map(|mut s| Some(format!("sha256:{}", s.digest.remove("sha256")?)))
                .collect()
        }
    };
    let expected = manifest.to_string();
    if found.contains(&expected) {
        return Ok(());
    }
    Err(SignatureError::AnotherManifest {
        manifest,
        found: match found.first() {
            Some(first) => cut(first),
            None => "nothing with a SHA-256 digest".to_owned(),
        },
    })
}

fn cut(text: &str) -> String {
    printable(&text.chars().take(200).collect::<String>())
}
