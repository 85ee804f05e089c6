//! A bundle: a receipt with all that it names, in one tar file of which there is just one form.
//!
//! ```text
//! charts/HEX.tgz            each chart's archive, by digest
//! git/COMMIT/ID.KIND        each object of another repository's commit
//! key.pem                   the public key that the receipt names; it proves nothing until somebody trusts it
//! output.yaml               the bytes
//! plugins/HEX.wasm          each component, by digest
//! receipt.json              the signed receipt
//! weir.lock, weir.yaml      as the render saw them
//! ```
//!
//! Reading compares each member with what the receipt says of it, and the file as a whole with what would be written of the
//! members: no byte of it can be changed unseen.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Read as _, Write};

use tar::{EntryType, Header};
use weir_core::digest::{CommitId, Digest, ObjectId};
use weir_core::external::{GitKind, GitObject, LockedExternal};
use weir_core::receipt::{Envelope, ManifestSeen, Receipt, ReceiptError};

use crate::key::PublicKey;

/// The largest bundle, in bytes.
pub const MAX_BUNDLE: u64 = 1 << 30;
/// The most members of a bundle.
pub const MAX_MEMBERS: usize = 250_000;

const RECEIPT: &str = "receipt.json";
const KEY: &str = "key.pem";
const OUTPUT: &str = "output.yaml";
const MANIFEST: &str = "weir.yaml";
const LOCK: &str = "weir.lock";

/// A receipt with all that it names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bundle {
    /// The signed receipt. Its signature is for whoever reads it to check.
    pub envelope: Envelope,
    /// The public key that it names. Whether it is trusted is another question.
    pub key: PublicKey,
    /// The bytes that came of the render.
    pub output: Vec<u8>,
    /// The manifest, where there was one.
    pub manifest: Option<Vec<u8>>,
    /// The lock, where there was one.
    pub lock: Option<Vec<u8>>,
    /// The components, by digest.
    pub components: BTreeMap<Digest, Vec<u8>>,
    /// The charts' archives, by digest.
    pub archives: BTreeMap<Digest, Vec<u8>>,
    /// The objects of other repositories' commits. That each has its id is for whoever uses them to check.
    pub objects: BTreeMap<CommitId, Vec<GitObject>>,
}

/// Why a file is no bundle.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// It is larger than anybody reads.
    #[error("it has {found} {what}, and at most {limit} are taken (limit: bundle)")]
    TooLarge {
        /// Of what.
        what: &'static str,
        /// How many.
        found: u64,
        /// The limit.
        limit: u64,
    },
    /// It is no tar file, or one that was cut or changed.
    #[error("it is no tar file that Weir wrote: {0}")]
    Broken(String),
    /// Something is in it that is in no bundle.
    #[error("member {0:?}: {1}")]
    Member(String, String),
    /// Something that the receipt names is not in it.
    #[error("it has no {0}, which the receipt names")]
    Missing(String),
    /// The receipt in it is none.
    #[error("its {RECEIPT}: {0}")]
    Receipt(#[from] ReceiptError),
}

impl Bundle {
    /// Writes the bundle: the same bytes for the same contents.
    ///
    /// # Errors
    /// The writer's.
    pub fn write(&self, out: impl Write) -> io::Result<()> {
        let mut builder = tar::Builder::new(out);
        for (name, bytes) in self.members()? {
            let mut header = Header::new_ustar();
            header.set_path(&name)?;
            header.set_entry_type(EntryType::Regular);
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            builder.append(&header, bytes.as_ref())?;
        }
        builder.into_inner()?.flush()
    }

    /// How large it is: bytes of its members, and how many.
    ///
    /// # Errors
    /// When that is more than anybody reads.
    pub fn check_size(&self) -> Result<(), BundleError> {
        let members = self.members();
        let members = members.map_err(|e| BundleError::Broken(e.to_string()))?;
        let bytes = members.values().map(|m| m.len() as u64 + 1024).sum();
        limit("bytes", bytes, MAX_BUNDLE)?;
        limit("members", members.len() as u64, MAX_MEMBERS as u64)
    }

    /// Reads a bundle, and compares all of it with what its receipt says.
    ///
    /// # Errors
    /// When anything is missing, too much, or not what it is to be.
    pub fn read(bytes: &[u8]) -> Result<Bundle, BundleError> {
        limit("bytes", bytes.len() as u64, MAX_BUNDLE)?;
        let mut members = unpacked(bytes)?;
        let mut take = |name: &str| members.remove(name);
        let missing = |name: &str| BundleError::Missing(name.to_owned());
        let envelope = Envelope::read(&take(RECEIPT).ok_or_else(|| missing(RECEIPT))?)?;
        let key = take(KEY).ok_or_else(|| missing(KEY))?;
        let key = String::from_utf8(key).map_err(|_| wrong(KEY, "it is no text"))?;
        let key = PublicKey::read(&key).map_err(|why| wrong(KEY, &why))?;
        if key.id() != envelope.key() {
            return Err(wrong(KEY, "it is not the key that the receipt names"));
        }
        let mut bundle = Bundle {
            envelope,
            key,
            output: take(OUTPUT).ok_or_else(|| missing(OUTPUT))?,
            manifest: take(MANIFEST),
            lock: take(LOCK),
            components: BTreeMap::new(),
            archives: BTreeMap::new(),
            objects: BTreeMap::new(),
        };
        for (name, bytes) in members {
            bundle.sort_in(&name, bytes)?;
        }
        bundle.holds(&bundle.envelope.unchecked()?)?;
        let mut same = Same { rest: bytes };
        let written = bundle.write(&mut same);
        if written.is_err() || !same.rest.is_empty() {
            let why = "its bytes are not those that are written of its members".to_owned();
            return Err(BundleError::Broken(why));
        }
        Ok(bundle)
    }

    /// Puts a member where its name says.
    fn sort_in(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), BundleError> {
        let stranger = || wrong(name, "no bundle has such a member");
        let (folder, rest) = name.split_once('/').ok_or_else(stranger)?;
        let by_digest = |suffix: &str| {
            let hex = rest.strip_suffix(suffix)?;
            format!("sha256:{hex}").parse::<Digest>().ok()
        };
        let all = match folder {
            "plugins" => (&mut self.components, by_digest(".wasm")),
            "charts" => (&mut self.archives, by_digest(".tgz")),
            "git" => {
                let (commit, object) = rest.split_once('/').ok_or_else(stranger)?;
                let (id, kind) = object.split_once('.').ok_or_else(stranger)?;
                let commit: CommitId = commit.parse().map_err(|_| stranger())?;
                let id: ObjectId = id.parse().map_err(|_| stranger())?;
                let kind = GitKind::of(kind).ok_or_else(stranger)?;
                let objects = self.objects.entry(commit).or_default();
                objects.push(GitObject { kind, id, bytes });
                return Ok(());
            }
            _ => return Err(stranger()),
        };
        let (all, Some(digest)) = all else {
            return Err(stranger());
        };
        let found = Digest::of(&bytes);
        if found != digest {
            return Err(wrong(name, &format!("its bytes have the digest {found}")));
        }
        all.insert(digest, bytes);
        Ok(())
    }

    /// Whether all that a receipt names is here, as it says, and nothing else.
    fn holds(&self, receipt: &Receipt) -> Result<(), BundleError> {
        let digest = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(|bytes| Digest::of(bytes));
        let manifest = match receipt.inputs.manifest {
            ManifestSeen::Repository { digest } | ManifestSeen::Host { digest } => Some(digest),
            ManifestSeen::Absent => None,
        };
        let each = [
            (OUTPUT, Some(receipt.output), Some(Digest::of(&self.output))),
            (MANIFEST, manifest, digest(&self.manifest)),
            (LOCK, receipt.inputs.lock, digest(&self.lock)),
        ];
        for (name, said, found) in each {
            match (said, found) {
                _ if said == found => {}
                (Some(_), None) => return Err(BundleError::Missing(name.to_owned())),
                (None, Some(_)) => return Err(wrong(name, "the receipt says that there is none")),
                _ => return Err(wrong(name, "it is not what the receipt says")),
            }
        }
        let (components, archives, commits) = needs(receipt);
        same_names("plugin", &components, self.components.keys().copied())?;
        same_names("chart", &archives, self.archives.keys().copied())?;
        same_names("commit", &commits, self.objects.keys().copied())
    }

    fn members(&self) -> io::Result<BTreeMap<String, Cow<'_, [u8]>>> {
        let line = self.envelope.to_line().map_err(io::Error::other)?;
        let mut members: BTreeMap<String, Cow<'_, [u8]>> = BTreeMap::new();
        members.insert(RECEIPT.to_owned(), line.into_bytes().into());
        members.insert(KEY.to_owned(), self.key.pem().as_bytes().into());
        members.insert(OUTPUT.to_owned(), self.output.as_slice().into());
        for (name, bytes) in [(MANIFEST, &self.manifest), (LOCK, &self.lock)] {
            if let Some(bytes) = bytes {
                members.insert(name.to_owned(), bytes.as_slice().into());
            }
        }
        for (digest, bytes) in &self.components {
            let name = format!("plugins/{}.wasm", digest.hex());
            members.insert(name, bytes.as_slice().into());
        }
        for (digest, bytes) in &self.archives {
            let name = format!("charts/{}.tgz", digest.hex());
            members.insert(name, bytes.as_slice().into());
        }
        for (commit, objects) in &self.objects {
            for object in objects {
                let name = format!("git/{commit}/{}.{}", object.id, object.kind.as_str());
                members.insert(name, object.bytes.as_slice().into());
            }
        }
        Ok(members)
    }
}

/// The components, archives and commits that a receipt names.
fn needs(receipt: &Receipt) -> (Vec<Digest>, Vec<Digest>, Vec<CommitId>) {
    let components = receipt.inputs.plugins.iter().map(|p| p.digest).collect();
    let (mut archives, mut commits) = (Vec::new(), Vec::new());
    for locked in receipt.externals.values() {
        match locked {
            LockedExternal::Chart { digest, .. } => archives.push(*digest),
            LockedExternal::Commit(commit) => commits.push(*commit),
        }
    }
    (components, archives, commits)
}

fn same_names<T: Ord + Copy + std::fmt::Display>(
    what: &str,
    said: &[T],
    found: impl Iterator<Item = T>,
) -> Result<(), BundleError> {
    let said: BTreeSet<T> = said.iter().copied().collect();
    let found: BTreeSet<T> = found.collect();
    if let Some(missing) = said.difference(&found).next() {
        return Err(BundleError::Missing(format!("{what} {missing}")));
    }
    match found.difference(&said).next() {
        Some(more) => Err(wrong(
            &format!("{what} {more}"),
            "the receipt does not name it",
        )),
        None => Ok(()),
    }
}

/// The members of a tar file, each a plain file, in order of their names.
fn unpacked(bytes: &[u8]) -> Result<BTreeMap<String, Vec<u8>>, BundleError> {
    let broken = |e: io::Error| BundleError::Broken(e.to_string());
    let mut archive = tar::Archive::new(bytes);
    let mut members = BTreeMap::new();
    // Raw: what says that the next member has a longer name is a member like any other, and refused.
    for entry in archive.entries().map_err(broken)?.raw(true) {
        let mut entry = entry.map_err(broken)?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let shown: String = name.chars().filter(|c| !c.is_control()).take(200).collect();
        if entry.header().entry_type() != EntryType::Regular {
            return Err(wrong(&shown, "it is no plain file"));
        }
        // No memory is set aside for what a head says: only as much is read as is there.
        let mut content = Vec::new();
        entry.read_to_end(&mut content).map_err(broken)?;
        if content.len() as u64 != entry.size() {
            return Err(wrong(&shown, "the file ends in the middle of it"));
        }
        if members.insert(name, content).is_some() {
            return Err(wrong(&shown, "it is there twice"));
        }
        limit("members", members.len() as u64, MAX_MEMBERS as u64)?;
    }
    Ok(members)
}

fn limit(what: &'static str, found: u64, limit: u64) -> Result<(), BundleError> {
    if found > limit {
        return Err(BundleError::TooLarge { what, found, limit });
    }
    Ok(())
}

fn wrong(name: &str, why: &str) -> BundleError {
    BundleError::Member(name.to_owned(), why.to_owned())
}

/// Takes in just these bytes, in order.
struct Same<'a> {
    rest: &'a [u8],
}

impl Write for Same<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self.rest.strip_prefix(buf) {
            Some(rest) => {
                self.rest = rest;
                Ok(buf.len())
            }
            None => Err(io::Error::other("other bytes")),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
