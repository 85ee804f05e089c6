//! The keys of a host, below its state: the one that signs, those that signed before, and others' that are trusted.
//!
//! `signing.pem` is the private key; `HEX.own.pub` each public key that this host has or had, `HEX.trusted.pub` each that
//! was imported. A private key that is replaced is gone.

use std::path::{Path, PathBuf};

use serde::Serialize;
use weir_core::receipt::{Envelope, KeyId, Receipt};

use crate::error::{CheckError, KeysError};
use crate::folder::Folder;
use crate::key::{PrivateKey, PublicKey, Trusted};

const SIGNING: &str = "signing.pem";

/// The keys of one state.
#[derive(Debug, Clone)]
pub struct Keys {
    dir: PathBuf,
}

/// What a key is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Standing {
    /// It signs.
    Signing,
    /// It signed once, and checks what it signed.
    Retired,
    /// It is another host's, and checks what that one signs.
    Imported,
}

impl Standing {
    /// The word for it.
    pub fn as_str(self) -> &'static str {
        match self {
            Standing::Signing => "signing",
            Standing::Retired => "retired",
            Standing::Imported => "imported",
        }
    }

    fn suffix(self) -> &'static str {
        match self {
            Standing::Signing | Standing::Retired => ".own.pub",
            Standing::Imported => ".trusted.pub",
        }
    }
}

/// A key that is here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Known {
    /// The key.
    pub key: PublicKey,
    /// What it is for.
    pub standing: Standing,
}

impl Keys {
    /// The keys below a state.
    pub fn below(state: &Path) -> Keys {
        Keys {
            dir: state.join("keys"),
        }
    }

    /// Signs a receipt. The key is made where there is none, and read anew each time: a rotation counts at once, and the key
    /// is in memory only while it is used.
    ///
    /// # Errors
    /// [`KeysError`]: where others can read the key nothing is signed with it.
    pub fn sign(&self, receipt: &Receipt) -> Result<Envelope, KeysError> {
        let folder = Folder::open_or_make(&self.dir)?;
        let key = match signing(&folder)? {
            Some(key) => key,
            None => first(&folder)?,
        };
        Ok(key.sign(receipt)?)
    }

    /// Makes a new key that signs from now on. The public one of the key before stays.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn rotate(&self) -> Result<PublicKey, KeysError> {
        let folder = Folder::open_or_make(&self.dir)?;
        // One that cannot be read, or that others can, signs no more either way.
        if let Ok(Some(old)) = signing(&folder) {
            keep(&folder, old.public(), Standing::Retired)?;
        }
        let key = made(&folder)?;
        // First what checks, then what signs: nothing is ever signed that cannot be checked here.
        keep(&folder, key.public(), Standing::Signing)?;
        let pem = key.pem().map_err(|why| no_key(&folder, SIGNING, why))?;
        folder.replace(SIGNING, &pem)?;
        Ok(key.public().clone())
    }

    /// Trusts another host's public key, for checking only.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn import(&self, key: &PublicKey) -> Result<(), KeysError> {
        let folder = Folder::open_or_make(&self.dir)?;
        keep(&folder, key, Standing::Imported).map(drop)
    }

    /// All keys, the one that signs first.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn list(&self) -> Result<Vec<Known>, KeysError> {
        let Some(folder) = Folder::open(&self.dir)? else {
            return Ok(Vec::new());
        };
        let signs = signing(&folder)?.map(|key| key.public().clone());
        let mut all: Vec<Known> = Vec::new();
        for name in folder.names()? {
            let own = name.strip_suffix(Standing::Retired.suffix());
            let others = name.strip_suffix(Standing::Imported.suffix());
            let (hex, standing) = match (own, others) {
                (Some(hex), _) => (hex, Standing::Retired),
                (None, Some(hex)) => (hex, Standing::Imported),
                (None, None) => continue,
            };
            let Some(text) = folder.read(&name)? else {
                continue;
            };
            let key = PublicKey::read(&text).map_err(|why| no_key(&folder, &name, why))?;
            if key.id().hex() != hex {
                let why = format!("it holds key {}", key.id());
                return Err(no_key(&folder, &name, why));
            }
            if signs.as_ref().is_none_or(|signs| *signs != key) {
                all.push(Known { key, standing });
            }
        }
        let standing = Standing::Signing;
        all.extend(signs.map(|key| Known { key, standing }));
        all.sort_by_key(|known| (known.standing, known.key.id()));
        Ok(all)
    }

    /// A public key: that of an id, or the one that signs.
    ///
    /// # Errors
    /// [`KeysError`]: also where there is no such key.
    pub fn public(&self, id: Option<KeyId>) -> Result<PublicKey, KeysError> {
        let mut all = self.list()?.into_iter();
        let found = match id {
            Some(id) => all.find(|known| known.key.id() == id),
            None => all.find(|known| known.standing == Standing::Signing),
        };
        let missing = id.map_or(KeysError::None, KeysError::Unknown);
        found.map(|known| known.key).ok_or(missing)
    }

    /// All that are trusted.
    ///
    /// # Errors
    /// [`KeysError`].
    pub fn trusted(&self) -> Result<Trusted, KeysError> {
        let all = self.list()?.into_iter();
        Ok(all.map(|known| known.key).collect())
    }

    /// What a signed receipt says, once its signature is that of a key that is trusted here. Who checks many takes
    /// [`Keys::trusted`] once.
    ///
    /// # Errors
    /// [`CheckError`].
    pub fn check(&self, envelope: &Envelope) -> Result<Receipt, CheckError> {
        self.trusted()?.check(envelope)
    }
}

/// The key that signs, where there is one.
fn signing(folder: &Folder) -> Result<Option<PrivateKey>, KeysError> {
    let Some(pem) = folder.read(SIGNING)? else {
        return Ok(None);
    };
    let key = PrivateKey::read(&pem).map_err(|why| no_key(folder, SIGNING, why))?;
    Ok(Some(key))
}

/// The first key of a folder. Of two processes that make one at once the first counts.
fn first(folder: &Folder) -> Result<PrivateKey, KeysError> {
    let key = made(folder)?;
    let name = keep(folder, key.public(), Standing::Signing)?;
    let pem = key.pem().map_err(|why| no_key(folder, SIGNING, why))?;
    if folder.create(SIGNING, &pem)? {
        return Ok(key);
    }
    folder.remove(&name)?;
    let other = signing(folder)?;
    other.ok_or_else(|| no_key(folder, SIGNING, "it was there and is gone".to_owned()))
}

fn made(folder: &Folder) -> Result<PrivateKey, KeysError> {
    PrivateKey::generate().map_err(|why| no_key(folder, SIGNING, why))
}

fn keep(folder: &Folder, key: &PublicKey, standing: Standing) -> Result<String, KeysError> {
    let name = format!("{}{}", key.id().hex(), standing.suffix());
    folder.create(&name, key.pem())?;
    Ok(name)
}

fn no_key(folder: &Folder, name: &str, why: String) -> KeysError {
    let path = folder.file(name);
    KeysError::NoKey { path, why }
}
