//! Where charts and bases may come from: `externals` of the host's file, and the file of `--externals`.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;
use weir_core::manifest::{Errors, ManifestErrors, Place, Version, document, schema_of};
use weir_core::yaml::decode;
use weir_source::{AccessHost, HostPattern};

use super::auth::{RawAuth, auth};
use super::file::open;
use super::parsed::Parsed;
use crate::error::Error;
use crate::externals::{Access, ExternalsConfig};
use crate::repository::Auth;

/// The most hosts that one file lists.
const MAX_HOSTS: usize = 1_000;

/// Where the charts and bases of repositories may come from.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawExternals {
    /// The hosts that may be reached: `HOST`, `HOST:PORT`, `*.DOMAIN`, with `http://` before it for plain http. Left
    /// out: https at public addresses; for commands other than `weir serve` this machine, too.
    #[schemars(with = "Option<Vec<String>>")]
    hosts: Option<Vec<Parsed<HostPattern>>>,
    /// What is shown to a host, and how it is trusted.
    #[serde(default)]
    access: Vec<RawAccess>,
}

/// The file of `--externals`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
#[schemars(title = "weir --externals")]
struct RawFile {
    /// The version of this file's format: 1.
    #[expect(
        dead_code,
        reason = "reading it is the check; there is only one version"
    )]
    version: Version,
    /// The hosts that may be reached: `HOST`, `HOST:PORT`, `*.DOMAIN`, with `http://` before it for plain http. Left
    /// out: https at public addresses; for commands other than `weir serve` this machine, too.
    #[schemars(with = "Option<Vec<String>>")]
    hosts: Option<Vec<Parsed<HostPattern>>>,
    /// What is shown to a host, and how it is trusted.
    #[serde(default)]
    access: Vec<RawAccess>,
}

/// What is shown to one host.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawAccess {
    /// The host, and a port where it is not https' own.
    #[schemars(with = "String")]
    host: Parsed<AccessHost>,
    /// What proves who asks.
    auth: Option<RawAuth>,
    /// Certificates (PEM) to trust besides the public ones.
    ca_file: Option<PathBuf>,
}

/// The JSON Schema of the file of `--externals`, for editors.
pub(crate) fn schema() -> Value {
    schema_of::<RawFile>()
}

/// Reads the file of `--externals`. Paths in it are relative to it.
pub(super) fn read(path: &Path) -> Result<ExternalsConfig, Error> {
    let (text, file, base) = open("externals", path)?;
    parse(&text, &file, &base).map_err(|e| Error::Usage(e.to_string()))
}

fn parse(text: &[u8], file: &str, base: &Path) -> Result<ExternalsConfig, ManifestErrors> {
    let node = document(text, file)?;
    let mut errors = Errors::new(file);
    let Some(raw) = decode::<RawFile>(&node)
        .map_err(|e| errors.push(e.mark, e.message))
        .ok()
    else {
        return Err(errors.into_errors());
    };
    let raw = RawExternals {
        hosts: raw.hosts,
        access: raw.access,
    };
    let config = meant(raw, Place::root(&node), base, &mut errors);
    if errors.is_empty() {
        Ok(config)
    } else {
        Err(errors.into_errors())
    }
}

/// What was typed, as meant; what is wrong with it goes to the errors.
pub(super) fn meant(
    raw: RawExternals,
    place: Place<'_>,
    base: &Path,
    errors: &mut Errors<'_>,
) -> ExternalsConfig {
    let count = raw.hosts.as_ref().map_or(0, Vec::len).max(raw.access.len());
    if count > MAX_HOSTS {
        errors.push(
            place.mark(),
            format!("{count} hosts: expected at most {MAX_HOSTS}"),
        );
    }
    let mut access: Vec<Access> = Vec::new();
    for (n, raw) in raw.access.into_iter().take(MAX_HOSTS).enumerate() {
        let at = place.key("access").index(n);
        let host = raw.host.0;
        if access.iter().any(|a| a.host == host) {
            let message = "this host is there already: give each one entry";
            errors.push(at.key("host").mark(), message);
        }
        if raw.auth.is_none() && raw.ca_file.is_none() {
            errors.push(at.mark(), "expected auth, ca-file or both");
        }
        let auth = auth(raw.auth, at.key("auth").mark(), base, errors);
        if matches!(auth, Auth::Ssh { .. }) {
            let message = "externals are fetched over http and https: give token-file, or username and password-file";
            errors.push(at.key("auth").mark(), message);
        }
        access.push(Access {
            host,
            auth,
            ca_file: raw.ca_file.map(|file| base.join(file)),
        });
    }
    ExternalsConfig {
        hosts: raw
            .hosts
            .map(|hosts| hosts.into_iter().map(|h| h.0).collect()),
        shared: false,
        access,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str, expected: &str) {
        let error = parse(text.as_bytes(), "x.yaml", Path::new("/etc")).unwrap_err();
        assert!(error.to_string().contains(expected), "{text}: {error}");
    }

    #[test]
    fn hosts_and_access_are_read_with_paths_relative_to_the_file() {
        let text = "version: 1\nhosts: [a.example, '*.b.example', 'http://c:81']\naccess:\n- { host: 'a.example:5000', auth: { username: u, password-file: p }, ca-file: ca.pem }\n";
        let config = parse(text.as_bytes(), "x.yaml", Path::new("/etc")).unwrap();
        assert_eq!(config.hosts.unwrap().len(), 3);
        let access = &config.access[0];
        assert_eq!(access.ca_file.as_deref(), Some(Path::new("/etc/ca.pem")));
        assert!(
            matches!(&access.auth, crate::repository::Auth::Password { file, .. } if file == Path::new("/etc/p"))
        );
        let none = parse(b"version: 1\n", "x.yaml", Path::new("/etc")).unwrap();
        assert!(none.hosts.is_none() && none.access.is_empty());
    }

    #[test]
    fn mistakes_have_their_place() {
        refused(
            "version: 1\nhosts: [a/b]\n",
            "x.yaml:2:9: \"a/b\": expected HOST",
        );
        refused("version: 1\nhost: []\n", "did you mean \"hosts\"");
        refused(
            "version: 1\naccess: [{ host: a }]\n",
            "x.yaml:2:10: expected auth, ca-file or both",
        );
        refused(
            "version: 1\naccess: [{ host: a, ca-file: x }, { host: 'a:443', ca-file: x }]\n",
            "there already",
        );
        refused(
            "version: 1\naccess: [{ host: a, auth: { ssh-key-file: k, known-hosts-file: h } }]\n",
            "externals are fetched over http and https",
        );
        refused(
            "version: 1\naccess: [{ host: 'https://a', ca-file: x }]\n",
            "without a scheme",
        );
    }
}
