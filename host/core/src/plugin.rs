//! Where plugins come from that lie in a registry: references, what a lock pins of them, and patterns that a host allows.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::digest::Digest;
use crate::external::{HostPort, is_loopback, registry_host, registry_name};
use crate::manifest::PluginSource;

#[cfg(test)]
mod tests;

/// The longest reference, in bytes.
const MAX_REFERENCE: usize = 1024;
/// The longest tag, in bytes: the OCI distribution specification's own.
const MAX_TAG: usize = 128;
const SCHEME: &str = "oci://";

/// A plugin in an OCI registry: `oci://HOST[:PORT]/PATH:TAG`, `oci://HOST[:PORT]/PATH@sha256:HEX`, or with both. It has one
/// text.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PluginReference {
    host: HostPort,
    path: String,
    /// Nothing only where there is a digest.
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is no reference or no pattern.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?}: {why}; expected {expected}")]
pub struct PluginReferenceError {
    text: String,
    why: String,
    expected: &'static str,
}

/// What a lock pins of a plugin in a registry: all that it takes to fetch just that.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegistryPin {
    /// The digest of the manifest's bytes: what a signature is over.
    pub manifest: Digest,
    /// The digest of the component's bytes.
    pub component: Digest,
    /// How many bytes the component has.
    pub size: u64,
}

/// Sources of plugins that a host allows: `bundled`, `file`, `oci://HOST/PATH` for one repository of a registry, or
/// `oci://HOST/PATH/` for all that is below.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SourcePattern {
    /// What comes with Weir.
    Bundled,
    /// Components in the repository itself.
    File,
    /// Repositories of a registry.
    Oci(RegistryPattern),
}

/// Repositories of one registry: `oci://HOST/PATH`, or with a slash at the end all that is below.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RegistryPattern {
    host: HostPort,
    /// A repository's name, or where all that is below is meant the parts before; empty for the whole registry.
    path: String,
    below: bool,
}

impl PluginReference {
    /// The form, for error texts.
    pub const EXPECTED: &str = "oci://HOST/PATH:TAG, or with @sha256: and a digest at its end";

    /// The registry.
    pub fn host(&self) -> &HostPort {
        &self.host
    }

    /// The name of the repository in it.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The tag, where there is one.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest of the manifest, where it says one. It counts; a tag beside it is for people.
    pub fn digest(&self) -> Option<Digest> {
        self.digest
    }

    /// The repository, without tag and digest.
    pub fn repository(&self) -> String {
        format!("{SCHEME}{}/{}", self.host, self.path)
    }
}

impl FromStr for PluginReference {
    type Err = PluginReferenceError;

    fn from_str(text: &str) -> Result<Self, PluginReferenceError> {
        let wrong = |why: String| error(text, why, PluginReference::EXPECTED);
        let (host, rest) = authority(text).map_err(wrong)?;
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => {
                let digest: Digest = digest.parse().map_err(|_| {
                    wrong("after the @ comes sha256: and 64 lower-case hex digits".to_owned())
                })?;
                (rest, Some(digest))
            }
            None => (rest, None),
        };
        let (path, tag) = match rest.split_once(':') {
            Some((path, tag)) => (path, Some(tag)),
            None => (rest, None),
        };
        let path = registry_name(path).map_err(wrong)?.to_owned();
        if let Some(tag) = tag.filter(|tag| !is_tag(tag)) {
            return Err(wrong(format!(
                "{tag:?} is no tag: letters, digits and . _ -, beginning with no . and no -, {MAX_TAG} at most"
            )));
        }
        if tag.is_none() && digest.is_none() {
            return Err(wrong("it has neither a tag nor a digest".to_owned()));
        }
        let reference = PluginReference {
            host,
            path,
            tag: tag.map(str::to_owned),
            digest,
        };
        one_text(text, &reference).map_err(wrong)?;
        Ok(reference)
    }
}

impl fmt::Display for PluginReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.host, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        match self.digest {
            Some(digest) => write!(f, "@{digest}"),
            None => Ok(()),
        }
    }
}

impl TryFrom<String> for PluginReference {
    type Error = PluginReferenceError;
    fn try_from(text: String) -> Result<Self, PluginReferenceError> {
        text.parse()
    }
}

impl From<PluginReference> for String {
    fn from(reference: PluginReference) -> String {
        reference.to_string()
    }
}

impl SourcePattern {
    /// The forms, for error texts.
    pub const EXPECTED: &str =
        "bundled, file, oci://HOST/PATH, or oci://HOST/PATH/ for all that is below";

    /// Whether this is one of them.
    pub fn matches(&self, source: &PluginSource) -> bool {
        match (self, source) {
            (SourcePattern::Bundled, PluginSource::Bundled(_))
            | (SourcePattern::File, PluginSource::File(_)) => true,
            (SourcePattern::Oci(pattern), PluginSource::Oci(reference)) => {
                pattern.matches(reference)
            }
            _ => false,
        }
    }
}

impl FromStr for SourcePattern {
    type Err = PluginReferenceError;

    fn from_str(text: &str) -> Result<Self, PluginReferenceError> {
        match text {
            "bundled" => Ok(SourcePattern::Bundled),
            "file" => Ok(SourcePattern::File),
            _ => pattern(text, SourcePattern::EXPECTED).map(SourcePattern::Oci),
        }
    }
}

impl fmt::Display for SourcePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SourcePattern::Bundled => f.write_str("bundled"),
            SourcePattern::File => f.write_str("file"),
            SourcePattern::Oci(pattern) => pattern.fmt(f),
        }
    }
}

impl RegistryPattern {
    /// The forms, for error texts.
    pub const EXPECTED: &str = "oci://HOST/PATH, or oci://HOST/PATH/ for all that is below";

    /// Whether a reference is to one of these repositories: part by part, never by the start of a text alone.
    pub fn matches(&self, reference: &PluginReference) -> bool {
        let host =
            self.host.host == reference.host.host && port(&self.host) == port(&reference.host);
        let path = if !self.below {
            self.path == reference.path
        } else if self.path.is_empty() {
            true
        } else {
            let rest = reference.path.strip_prefix(self.path.as_str());
            rest.is_some_and(|rest| rest.starts_with('/'))
        };
        host && path
    }
}

impl FromStr for RegistryPattern {
    type Err = PluginReferenceError;

    fn from_str(text: &str) -> Result<Self, PluginReferenceError> {
        pattern(text, RegistryPattern::EXPECTED)
    }
}

impl fmt::Display for RegistryPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{SCHEME}{}/{}", self.host, self.path)?;
        match self.below && !self.path.is_empty() {
            true => f.write_str("/"),
            false => Ok(()),
        }
    }
}

fn pattern(text: &str, expected: &'static str) -> Result<RegistryPattern, PluginReferenceError> {
    let wrong = |why: String| error(text, why, expected);
    let (host, path) = authority(text).map_err(wrong)?;
    let (path, below) = match path.strip_suffix('/') {
        Some(path) => (path, true),
        None => (path, path.is_empty()),
    };
    if !path.is_empty() {
        registry_name(path).map_err(wrong)?;
    }
    let pattern = RegistryPattern {
        host,
        path: path.to_owned(),
        below,
    };
    one_text(text, &pattern).map_err(wrong)?;
    Ok(pattern)
}

/// The registry of a text, and what comes after the slash.
fn authority(text: &str) -> Result<(HostPort, &str), String> {
    if text.len() > MAX_REFERENCE {
        return Err(format!("it is longer than {MAX_REFERENCE} bytes"));
    }
    let rest = text.strip_prefix(SCHEME);
    let rest = rest.ok_or_else(|| format!("it does not begin with {SCHEME}"))?;
    let (host, rest) = rest
        .split_once('/')
        .ok_or("it has no / after the registry")?;
    Ok((registry_host(host)?, rest))
}

/// Two texts of one thing would be two sources for a lock, and one for a registry.
fn one_text(text: &str, parsed: &impl fmt::Display) -> Result<(), String> {
    let canonical = parsed.to_string();
    match canonical == text {
        true => Ok(()),
        false => Err(format!("it is written {canonical}")),
    }
}

fn error(text: &str, why: String, expected: &'static str) -> PluginReferenceError {
    PluginReferenceError {
        text: without_user(text).chars().take(200).collect(),
        why,
        expected,
    }
}

/// A text as an error shows it: what stands where a user and a password would is left out.
fn without_user(text: &str) -> String {
    let at = text.find("://").map_or(0, |at| at + 3);
    let (scheme, rest) = text.split_at(at);
    let authority = rest.find('/').map_or(rest, |end| &rest[..end]);
    match authority.rfind('@') {
        Some(end) => format!("{scheme}...{}", &rest[end..]),
        None => text.to_owned(),
    }
}

fn is_tag(tag: &str) -> bool {
    let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
    !tag.is_empty()
        && tag.len() <= MAX_TAG
        && !tag.starts_with(['.', '-'])
        && tag.bytes().all(legal)
}

/// The port that is connected to: https' own, or on this machine http's.
fn port(host: &HostPort) -> u16 {
    let default = if is_loopback(host) { 80 } else { 443 };
    host.port.unwrap_or(default)
}
