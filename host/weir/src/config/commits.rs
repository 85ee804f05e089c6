//! Which commits are followed: `commits` of the host's file, and the flags of one repository.

use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::Deserialize;
use weir_core::commit_policy::{
    Check, CommitPolicy, PathPattern, Protected, Signatures, SignersIn,
};
use weir_core::digest::Digest;
use weir_core::manifest::{Errors, Place};
use weir_core::name::RepoPath;

use super::parsed::Parsed;
use super::tenancy::given;
use crate::commits::{Commits, KeyFiles};
use crate::error::Error;

/// The most entries of protected paths.
const MAX_ENTRIES: usize = 100;
/// The most paths of one entry.
const MAX_PATHS: usize = 1_000;

/// Which commits are followed. One that is not leaves the last one that was, and is said.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawCommits {
    /// They have to be signed. Left out: nobody asks.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "RawSigned")]
    signed: Option<RawSigned>,
    /// They have to come after the last one that was accepted: a push with force is not followed.
    #[serde(default)]
    fast_forward_only: bool,
    /// Paths that only some may change.
    #[serde(default)]
    protected: Vec<RawProtected>,
}

/// Who may sign: `signers-file` or `signers-in` for SSH keys, `gpg-keys-file` for OpenPGP keys, or both.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawSigned {
    /// A file of this host with SSH keys: `allowed_signers` of ssh-keygen(1).
    signers_file: Option<PathBuf>,
    /// The same in the repository, read from the last accepted commit. Whoever changes it has to sign with a key that it
    /// listed before. The host says what the first one is.
    #[schemars(with = "Option<String>")]
    signers_in: Option<RepoPath>,
    /// Who may sign the first commit that is followed, with `signers-in`: a file of this host.
    first_signers_file: Option<PathBuf>,
    /// The digest of the first file of `signers-in` instead: `sha256:...`.
    #[schemars(with = "Option<String>")]
    first_signers_digest: Option<Parsed<Digest>>,
    /// A file of this host with armoured OpenPGP public keys.
    gpg_keys_file: Option<PathBuf>,
    /// `head`: the commit that is followed has to be signed. `every`: each one since the last accepted one, too. Left
    /// out: `head`.
    #[serde(default)]
    check: RawCheck,
}

/// Which commits have to be signed.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
enum RawCheck {
    /// The one that is followed.
    #[default]
    Head,
    /// Each one since the last accepted one.
    Every,
}

/// Paths that only commits may change that are signed by one of these keys.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct RawProtected {
    /// Paths of the repository, each with all below it: `weir.yaml`, `policy`, `teams/*/quota.yaml`, `**/secrets`.
    #[schemars(with = "Vec<String>")]
    paths: Vec<Parsed<PathPattern>>,
    /// A file of this host with SSH keys.
    signers_file: Option<PathBuf>,
    /// A file of this host with armoured OpenPGP public keys.
    gpg_keys_file: Option<PathBuf>,
}

impl RawCommits {
    /// As meant; what is wrong with it goes to the errors.
    pub(super) fn meant(self, at: Place<'_>, base: &Path, errors: &mut Errors<'_>) -> Commits {
        if self.signed.is_none() && !self.fast_forward_only && self.protected.is_empty() {
            let message = "expected signed, fast-forward-only or protected: without any of them leave commits out";
            errors.push(at.mark(), message);
        }
        let mut keys = KeyFiles::default();
        let signatures = self.signed.map(|signed| {
            let (signatures, files) = signed.meant(at.key("signed"), base, errors);
            keys = files;
            signatures
        });
        let place = at.key("protected");
        if self.protected.len() > MAX_ENTRIES {
            let message = format!(
                "{} entries: expected at most {MAX_ENTRIES}",
                self.protected.len()
            );
            errors.push(place.mark(), message);
        }
        let (mut protected, mut entries) = (Vec::new(), Vec::new());
        for (n, raw) in self.protected.into_iter().take(MAX_ENTRIES).enumerate() {
            let (entry, files) = raw.meant(place.index(n), base, errors);
            protected.push(entry);
            entries.push(files);
        }
        Commits {
            policy: CommitPolicy {
                signatures,
                fast_forward_only: self.fast_forward_only,
                protected,
            },
            keys,
            entries,
        }
    }
}

impl RawSigned {
    fn meant(self, at: Place<'_>, base: &Path, errors: &mut Errors<'_>) -> (Signatures, KeyFiles) {
        let first = (self.first_signers_file, self.first_signers_digest);
        let wrong = match (&self.signers_file, &self.signers_in, &first) {
            (Some(_), Some(_), _) => Some(
                "give either signers-file or signers-in: the list lies on this host or in the repository",
            ),
            (_, None, (Some(_), _) | (_, Some(_))) => {
                Some("first-signers-file and first-signers-digest go with signers-in")
            }
            (_, Some(_), (None, None)) => Some(
                "signers-in needs first-signers-file or first-signers-digest: who may sign the first commit cannot be read from that commit alone",
            ),
            (_, Some(_), (Some(_), Some(_))) => {
                Some("give either first-signers-file or first-signers-digest")
            }
            (None, None, _) if self.gpg_keys_file.is_none() => {
                Some("expected signers-file, signers-in or gpg-keys-file")
            }
            _ => None,
        };
        if let Some(message) = wrong {
            errors.push(at.mark(), message);
        }
        if self.signers_in.as_ref().is_some_and(RepoPath::is_root) {
            errors.push(at.key("signers-in").mark(), "expected the path of a file");
        }
        let (first_file, digest) = first;
        let signers_in = self.signers_in.map(|path| SignersIn {
            path,
            first: digest.map(|digest| digest.0),
        });
        let file = |file: Option<PathBuf>| file.map(|file| base.join(file));
        let signatures = Signatures {
            check: match self.check {
                RawCheck::Head => Check::Head,
                RawCheck::Every => Check::Every,
            },
            signers_in,
        };
        let files = KeyFiles {
            signers: file(self.signers_file.or(first_file)),
            gpg: file(self.gpg_keys_file),
        };
        (signatures, files)
    }
}

impl RawProtected {
    fn meant(self, at: Place<'_>, base: &Path, errors: &mut Errors<'_>) -> (Protected, KeyFiles) {
        let count = self.paths.len();
        if count == 0 || count > MAX_PATHS {
            let message = format!("expected 1 to {MAX_PATHS} paths");
            errors.push(at.key("paths").mark(), message);
        }
        if self.signers_file.is_none() && self.gpg_keys_file.is_none() {
            let message =
                "expected signers-file, gpg-keys-file or both: who may change these paths";
            errors.push(at.mark(), message);
        }
        let file = |file: Option<PathBuf>| file.map(|file| base.join(file));
        let entry = Protected {
            paths: self.paths.into_iter().map(|path| path.0).collect(),
        };
        let files = KeyFiles {
            signers: file(self.signers_file),
            gpg: file(self.gpg_keys_file),
        };
        (entry, files)
    }
}

/// Which commits of the one repository are followed.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct CommitArgs {
    /// Follow only commits that are signed with an SSH key of this file: allowed_signers of ssh-keygen(1)
    #[arg(long, value_name = "FILE")]
    allowed_signers: Option<PathBuf>,
    /// Follow only commits that are signed with an OpenPGP key of this file: armoured public keys; with
    /// --allowed-signers either counts
    #[arg(long, value_name = "FILE")]
    gpg_keys: Option<PathBuf>,
    /// Each commit since the last accepted one has to be signed, and not only the one that is followed
    #[arg(long)]
    every_commit: bool,
    /// Follow only commits that come after the last accepted one: no push with force
    #[arg(long)]
    fast_forward_only: bool,
}

impl CommitArgs {
    /// As meant; nothing where no flag says anything.
    pub(crate) fn meant(&self) -> Result<Option<Commits>, Error> {
        let asked = self.allowed_signers.is_some() || self.gpg_keys.is_some();
        if self.every_commit && !asked {
            return Err(Error::Usage(
                "--every-commit: give --allowed-signers FILE, --gpg-keys FILE or both: who may sign".to_owned(),
            ));
        }
        if !asked && !self.fast_forward_only {
            return Ok(None);
        }
        let check = match self.every_commit {
            true => Check::Every,
            false => Check::Head,
        };
        let commits = Commits {
            policy: CommitPolicy {
                signatures: asked.then_some(Signatures {
                    check,
                    signers_in: None,
                }),
                fast_forward_only: self.fast_forward_only,
                protected: Vec::new(),
            },
            keys: KeyFiles {
                signers: self.allowed_signers.clone(),
                gpg: self.gpg_keys.clone(),
            },
            entries: Vec::new(),
        };
        // At once, and not after a fetch.
        commits.read().map(drop)?;
        Ok(Some(commits))
    }
}

#[cfg(test)]
#[path = "commits_tests.rs"]
mod tests;
