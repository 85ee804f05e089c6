//! Whose signature a commit carries: lists of keys, and the commit's own bytes. All of it are pure functions of bytes.
//!
//! Nothing is run, no keyring or agent of a user is looked at, and no clock: whether a key counted is judged at the time
//! that the commit (SSH) or its signature (OpenPGP) says.

use std::sync::Arc;

use weir_core::commit_policy::{Signer, Unsigned};

mod allowed;
mod openpgp;
mod split;
mod ssh;

#[cfg(test)]
mod tests;

/// The most bytes of one commit whose signature is looked at.
const MAX_COMMIT: usize = 8 << 20;

/// Keys that may sign: SSH keys of an `allowed_signers` file, OpenPGP keys of an armoured file. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    ssh: Arc<[allowed::Allowed]>,
    openpgp: Arc<openpgp::Certificates>,
}

/// A file of keys that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct KeysError(String);

impl Keys {
    /// The same keys, and those of an `allowed_signers` file of OpenSSH instead of the SSH keys so far. `file` is how errors call it.
    ///
    /// # Errors
    /// A line that OpenSSH would not read, or that says something that Weir does not do; a file without a key.
    pub fn with_allowed_signers(&self, file: &str, bytes: &[u8]) -> Result<Keys, KeysError> {
        let ssh = allowed::parse(file, bytes).map_err(KeysError)?;
        Ok(Keys {
            ssh: ssh.into(),
            openpgp: self.openpgp.clone(),
        })
    }

    /// The same keys, and those of armoured OpenPGP public key blocks instead of the OpenPGP keys so far.
    ///
    /// # Errors
    /// What is no such block, a private key, a file without a key.
    pub fn with_openpgp(&self, file: &str, bytes: &[u8]) -> Result<Keys, KeysError> {
        let openpgp = openpgp::Certificates::parse(bytes)
            .map_err(|why| KeysError(format!("{file}: {why}")))?;
        Ok(Keys {
            ssh: self.ssh.clone(),
            openpgp: Arc::new(openpgp),
        })
    }

    /// Who of these signed a commit, by the bytes of its object.
    ///
    /// # Errors
    /// Why its signature does not count.
    pub fn signer(&self, commit: &[u8]) -> Result<Signer, Unsigned> {
        if commit.len() > MAX_COMMIT {
            let why = format!(
                "the commit has {} bytes; expected at most {MAX_COMMIT}",
                commit.len()
            );
            return Err(Unsigned::Malformed(why));
        }
        let split = split::split(commit)?;
        match split.kind()? {
            split::Kind::Ssh(blob) => {
                ssh::signer(&blob, &split.payload, split.committed, &self.ssh)
            }
            split::Kind::OpenPgp(text) => self.openpgp.signer(text, &split.payload),
        }
    }
}

/// When it was, for people.
fn instant(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds)
        .map_or_else(|_| format!("second {seconds}"), |at| at.to_string())
}
