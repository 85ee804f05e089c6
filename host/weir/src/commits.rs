//! What a host wants of a repository's commits: where the keys lie, and the judgement of one commit.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};

use weir_core::commit_policy::{CommitPolicy, Refusal, Relation, Signer, Trusted, Verdict, judge};
use weir_core::digest::{CommitId, Digest, DigestBuilder};
use weir_core::status::Status;
use weir_source::{Compared, HistoryLimits, HostKeys, Keys, Source};

use crate::error::Error;

/// The most bytes of a file of keys.
const MAX_BYTES: u64 = 4 << 20;

/// A policy for commits, and where its keys lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Commits {
    /// What is wanted.
    pub(crate) policy: CommitPolicy,
    /// Who may sign: where the repository lists the signers, the first ones.
    pub(crate) keys: KeyFiles,
    /// Who may change each entry of the protected paths, in order.
    pub(crate) entries: Vec<KeyFiles>,
}

/// Files of this host that list keys.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct KeyFiles {
    /// SSH keys: `allowed_signers` of OpenSSH.
    pub(crate) signers: Option<PathBuf>,
    /// OpenPGP keys: armoured blocks.
    pub(crate) gpg: Option<PathBuf>,
}

impl KeyFiles {
    fn read(&self, digest: &mut DigestBuilder) -> Result<Keys, Error> {
        let mut keys = Keys::default();
        let wrong = |e: weir_source::KeysError| Error::Usage(e.to_string());
        if let Some(file) = &self.signers {
            let name = file.display().to_string();
            let bytes = bytes(file)?;
            digest.part(b"signers").part(&bytes);
            keys = keys.with_allowed_signers(&name, &bytes).map_err(wrong)?;
        }
        if let Some(file) = &self.gpg {
            let name = file.display().to_string();
            let bytes = bytes(file)?;
            digest.part(b"gpg").part(&bytes);
            keys = keys.with_openpgp(&name, &bytes).map_err(wrong)?;
        }
        Ok(keys)
    }
}

fn bytes(file: &Path) -> Result<Vec<u8>, Error> {
    let wrong = |e: &dyn std::fmt::Display| {
        Error::Usage(format!(
            "{}: {e}: expected a file of keys that may sign commits",
            file.display()
        ))
    };
    let mut bytes = Vec::new();
    let opened = File::open(file).map_err(|e| wrong(&e))?;
    let read = opened.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    match read.map_err(|e| wrong(&e))? as u64 {
        0..=MAX_BYTES => Ok(bytes),
        _ => Err(wrong(&format_args!("more than {MAX_BYTES} bytes"))),
    }
}

impl Commits {
    /// The keys, as the files have them now, and the digest of those.
    pub(crate) fn read(&self) -> Result<(HostKeys, Digest), Error> {
        let mut digest = Digest::builder();
        let mut read = |files: &KeyFiles| files.read(digest.part(b"entry"));
        let keys = HostKeys {
            main: read(&self.keys)?,
            entries: self.entries.iter().map(read).collect::<Result<_, _>>()?,
        };
        Ok((keys, digest.finish()))
    }
}

/// What the ledger knows of a repository's commits.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Before {
    /// The last one that was accepted.
    trusted: Option<Trusted>,
    /// The one that is followed.
    head: Option<CommitId>,
}

impl Before {
    /// As its status says.
    pub(crate) fn of(status: &Status) -> Before {
        Before {
            trusted: status.trusted.clone(),
            head: status.head.as_ref().map(|head| head.commit),
        }
    }
}

/// A commit that was judged.
#[derive(Debug, Clone)]
pub(crate) enum Judged {
    /// It was accepted before.
    Known,
    /// It is accepted: how it stands to the last accepted one, and who signed it.
    Accepted(Relation, Option<Signer>),
    /// It is not; the accepted one that stays followed, where there is one.
    Refused(Refusal, Option<CommitId>),
}

/// The last refusal: a ref that stays where it is refused is asked again at each poll.
#[derive(Debug, Default)]
pub(crate) struct LastRefusal(Mutex<Option<(Asked, Refusal)>>);

/// All that a verdict depends on.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Asked {
    commit: CommitId,
    before: Before,
    keys: Digest,
}

impl LastRefusal {
    fn of(&self, asked: &Asked) -> Option<Refusal> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let last = last.as_ref().filter(|(before, _)| before == asked);
        last.map(|(_, refusal)| refusal.clone())
    }

    fn keep(&self, asked: Asked, refusal: &Refusal) {
        // What could not be found out may be there the next time.
        let lasts = !matches!(refusal, Refusal::Unknown(_));
        let mut last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *last = lasts.then(|| (asked, refusal.clone()));
    }
}

/// Judges a commit that was fetched, and has the one here that stays followed instead. This blocks.
pub(crate) fn judged(
    commits: &Commits,
    source: &Source,
    before: &Before,
    last: &LastRefusal,
    commit: CommitId,
    stop: &Arc<AtomicBool>,
) -> Result<Judged, Error> {
    let stands = |trusted: &&Trusted| commits.policy.stands_on(trusted);
    let trusted = before.trusted.as_ref().filter(stands).map(|t| t.commit);
    if trusted == Some(commit) && before.head == trusted {
        return Ok(Judged::Known);
    }
    // Wrong keys hold everything: nothing is followed that could not be judged.
    let (keys, digest) = commits.read().map_err(Error::at_start)?;
    let asked = Asked {
        commit,
        before: before.clone(),
        keys: digest,
    };
    let refusal = match last.of(&asked) {
        Some(refusal) => refusal,
        None => {
            let compared = Compared {
                trusted,
                followed: before.head,
                head: commit,
            };
            let facts = source.facts(&commits.policy, &keys, compared, HistoryLimits::HOST);
            let facts = facts.map_err(|e| Error::stage("fetch", &e))?;
            match judge(&commits.policy, &facts) {
                Verdict::Accepted(signer) => return Ok(Judged::Accepted(facts.relation, signer)),
                Verdict::Refused(refusal) => {
                    last.keep(asked, &refusal);
                    refusal
                }
            }
        }
    };
    // What was followed without being accepted stays as it is, and nothing more is done with it.
    let stays = trusted.filter(|trusted| before.head == Some(*trusted));
    if let Some(stays) = stays {
        source.keep(stays, stop).map_err(|e| {
            let short = stays.short();
            let message = format!(
                "commit {} is refused: {refusal}; the last accepted commit {short} stays, and cannot be read any more: {e}",
                commit.short()
            );
            Error::host("fetch", message)
        })?;
    }
    Ok(Judged::Refused(refusal, stays))
}
