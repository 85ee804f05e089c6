//! A receipt: what a render was told, what it read and what came of it, as an in-toto statement that a host signs. Pure.
//!
//! ```text
//! Basis (a commit) + App ─inputs→ Inputs ─with what was read and came of it→ Receipt ─to_bytes→ statement ─signed→ Envelope
//! ```
//!
//! From the same inputs come the same bytes: there is no time in them. Who verifies makes the [`Inputs`] and the [`Receipt`]
//! again from the repository, and compares.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::digest::{CommitId, Digest, ObjectId};
use crate::external::{EXTERNALS_DIR, LockedExternal, Reference};
use crate::grant::Limits;
use crate::lock::{self, Lock, LockError, TargetFacts};
use crate::manifest::{App, Manifest, PluginCall};
use crate::name::{AppName, Namespace, PluginName, RepoPath, RepositoryName, TargetName};
use crate::random::SecretId;
use crate::tree::{Question, ReadSet};

mod canonical;
mod compare;
mod envelope;
#[cfg(test)]
mod tests;

pub use compare::{Difference, Part, first_difference};
pub use envelope::{Envelope, KeyId, MAX_ENVELOPE, PAYLOAD_TYPE};

/// What a statement says that it is.
pub const STATEMENT_TYPE: &str = "https://in-toto.io/Statement/v1";
/// What its predicate is: this module's [`Receipt`].
pub const PREDICATE_TYPE: &str = "https://weir.dev/receipt/v1";
/// The longest statement that is made or read, in bytes.
pub const MAX_STATEMENT: usize = 4 << 20;
/// The longest text in a statement that is not a name or a digest, in bytes.
pub const MAX_TEXT: usize = 4096;

/// Why a text is no receipt, or why there can be none.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReceiptError {
    /// It is not what this program writes.
    #[error("it is no receipt of Weir's: {0}")]
    NotUnderstood(String),
    /// It is of another form.
    #[error("it is {found:?}, and this Weir knows {known:?}: use another version of Weir")]
    OtherType {
        /// What it says.
        found: String,
        /// What is expected.
        known: &'static str,
    },
    /// It is longer than anybody reads.
    #[error("it has {size} bytes, and at most {limit} are taken (limit: receipt)")]
    TooLarge {
        /// Its size.
        size: usize,
        /// The limit.
        limit: usize,
    },
    /// The lock does not have what the app needs.
    #[error(transparent)]
    Lock(#[from] LockError),
}

/// Where the manifest of a render lay.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "from", deny_unknown_fields)]
pub enum ManifestSeen {
    /// `weir.yaml` of the repository.
    Repository {
        /// The digest of its bytes.
        digest: Digest,
    },
    /// A file of the host (`--manifest`).
    Host {
        /// The digest of its bytes.
        digest: Digest,
    },
    /// There was none: one app from a directory (`--path`).
    Absent,
}

/// The repository, as the host that signs calls it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Repository {
    /// Its name there.
    pub name: RepositoryName,
    /// Its address without anything that could be a credential.
    pub url: String,
}

/// The app, as far as its render depends on it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppInputs {
    /// Its name.
    pub name: AppName,
    /// What is rendered.
    pub path: RepoPath,
    /// What its plugins may read.
    pub roots: Vec<RepoPath>,
    /// The namespace of objects that name none.
    pub namespace: Option<Namespace>,
    /// Where it lands.
    pub target: TargetName,
}

/// What a plugin does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// It makes documents.
    Renderer,
    /// It changes objects.
    Transformer,
    /// It checks objects.
    Validator,
}

/// One step of the pipeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PluginUse {
    /// What it does.
    pub role: Role,
    /// What the manifest calls it.
    pub name: PluginName,
    /// Where it comes from, as the manifest says.
    pub source: String,
    /// The digest of the component.
    pub digest: Digest,
    /// The digest of its configuration, as JSON with sorted keys and no spaces.
    pub config: Digest,
    /// What the call may spend.
    pub limits: Limits,
}

/// All that a render was told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Inputs {
    /// The commit.
    pub commit: CommitId,
    /// Its tree's id in Git.
    pub tree: ObjectId,
    /// The manifest.
    pub manifest: ManifestSeen,
    /// The digest of the bytes of `weir.lock`; `null` where there is none.
    pub lock: Option<Digest>,
    /// The app.
    pub app: AppInputs,
    /// Its plugins, in the order of their calls.
    pub plugins: Vec<PluginUse>,
    /// What they may know of the target.
    pub facts: TargetFacts,
}

/// What was asked of the tree, and answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reads {
    /// The digest of all questions with their answers ([`ReadSet::digest`]).
    pub digest: Digest,
    /// How many questions.
    pub questions: u64,
}

/// Who rendered. Another engine has to make the same bytes of the same inputs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Engine {
    /// Weir's version.
    pub weir: String,
    /// What stands for Wasmtime's version, its settings and the processor.
    pub wasmtime: Digest,
}

/// A receipt: the statement's predicate. Its subject is `REPOSITORY/APP` with the output's digest.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Receipt {
    /// The repository.
    pub repository: Repository,
    /// All that the render was told.
    pub inputs: Inputs,
    /// What it asked.
    pub reads: Reads,
    /// The charts and other repositories that it looked at, with their pins.
    pub externals: BTreeMap<Reference, LockedExternal>,
    /// Who rendered.
    pub engine: Engine,
    /// The digest of the YAML stream that came of it, as `weir render APP` prints it.
    pub output: Digest,
    /// Whether a plugin took stable random bytes, which only a host with the same secret can give again.
    pub stable_random: bool,
    /// Which secret they are made from, where it took some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random_secret: Option<SecretId>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Statement {
    #[serde(rename = "_type")]
    kind: String,
    subject: Vec<Subject>,
    predicate_type: String,
    predicate: Receipt,
}

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Subject {
    name: String,
    digest: SubjectDigest,
}

#[derive(PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SubjectDigest {
    sha256: String,
}

impl Receipt {
    /// What the statement is about: `REPOSITORY/APP`.
    pub fn subject(&self) -> String {
        format!("{}/{}", self.repository.name, self.inputs.app.name)
    }

    /// The statement's bytes: the same for the same receipt.
    ///
    /// # Errors
    /// When something of it may not be in a statement, or it is too large for one.
    pub fn to_bytes(&self) -> Result<Vec<u8>, ReceiptError> {
        self.check()?;
        let statement = Statement {
            kind: STATEMENT_TYPE.to_owned(),
            subject: vec![self.about()],
            predicate_type: PREDICATE_TYPE.to_owned(),
            predicate: self.clone(),
        };
        let bytes = serde_json::to_vec(&statement).map_err(|e| not_understood(&e))?;
        within(bytes.len(), MAX_STATEMENT)?;
        Ok(bytes)
    }

    /// Reads a statement: just the bytes that [`Receipt::to_bytes`] gives.
    ///
    /// # Errors
    /// When it is anything else: another type, an unknown key, another order, too large.
    pub fn read(bytes: &[u8]) -> Result<Receipt, ReceiptError> {
        #[derive(Deserialize)]
        #[serde(rename_all = "camelCase")]
        struct Typed {
            #[serde(rename = "_type")]
            kind: String,
            predicate_type: String,
        }
        within(bytes.len(), MAX_STATEMENT)?;
        let typed: Typed = serde_json::from_slice(bytes).map_err(|e| not_understood(&e))?;
        let each = [
            (typed.kind, STATEMENT_TYPE),
            (typed.predicate_type, PREDICATE_TYPE),
        ];
        for (found, known) in each {
            if found != known {
                let found = found.chars().take(200).collect();
                return Err(ReceiptError::OtherType { found, known });
            }
        }
        let statement: Statement = serde_json::from_slice(bytes).map_err(|e| not_understood(&e))?;
        let receipt = statement.predicate;
        if receipt.to_bytes()? != bytes {
            return Err(ReceiptError::NotUnderstood(
                "its bytes are not those that Weir writes of what it says".to_owned(),
            ));
        }
        Ok(receipt)
    }

    fn about(&self) -> Subject {
        Subject {
            name: self.subject(),
            digest: SubjectDigest {
                sha256: self.output.hex(),
            },
        }
    }

    /// What types cannot hold: the order of roles, and texts that a terminal may be shown.
    fn check(&self) -> Result<(), ReceiptError> {
        let wrong = |why: String| Err(ReceiptError::NotUnderstood(why));
        let roles: Vec<Role> = self.inputs.plugins.iter().map(|p| p.role).collect();
        let renderers = roles.iter().filter(|role| **role == Role::Renderer).count();
        if renderers != 1 || !roles.is_sorted() {
            return wrong(
                "its plugins are not one renderer, then transformers, then validators".to_owned(),
            );
        }
        if self.stable_random != self.random_secret.is_some() {
            return wrong(
                "a secret of random bytes is named without any, or any without their secret"
                    .to_owned(),
            );
        }
        let versions = self.externals.iter().map(|(reference, locked)| {
            if !locked.fits(reference) {
                return None;
            }
            match locked {
                LockedExternal::Chart { version, .. } => Some(version.as_str()),
                LockedExternal::Commit(_) => Some(""),
            }
        });
        let texts = [self.repository.url.as_str(), self.engine.weir.as_str()];
        let texts = texts.into_iter().map(Some).chain(versions);
        let plugins = self.inputs.plugins.iter().map(|p| Some(p.source.as_str()));
        let apis = self.inputs.facts.apis.iter().map(|api| Some(api.as_str()));
        for text in texts.chain(plugins).chain(apis) {
            match text {
                None => return wrong("an external is pinned as something else than it is".into()),
                Some(text) if text.len() > MAX_TEXT => {
                    return wrong(format!(
                        "one of its texts has {} bytes, at most {MAX_TEXT} are taken",
                        text.len()
                    ));
                }
                Some(text) if text.chars().any(char::is_control) => {
                    return wrong("one of its texts holds a control character".to_owned());
                }
                Some(_) => {}
            }
        }
        Ok(())
    }
}

/// What all apps of one commit are rendered from.
#[derive(Debug, Clone)]
pub struct Basis {
    /// The tree's id; `None` for what is no commit.
    pub tree: Option<ObjectId>,
    /// The manifest.
    pub manifest: Arc<Manifest>,
    /// Where it lay.
    pub seen: ManifestSeen,
    /// The lock, where there is one.
    pub lock: Option<Arc<Lock>>,
    /// The digest of its bytes.
    pub lock_digest: Option<Digest>,
    /// What the host lets one call spend.
    pub limits: Limits,
    /// Who renders.
    pub engine: Engine,
}

impl Basis {
    /// All that a render of an app is told at a commit; `None` where the tree is no commit's. `digests` are its plugins'.
    ///
    /// # Errors
    /// When the lock does not have the app's target, or one of the plugins is not known.
    pub fn inputs(
        &self,
        commit: CommitId,
        app: &App,
        digests: &BTreeMap<PluginName, Digest>,
    ) -> Result<Option<Inputs>, ReceiptError> {
        let Some(tree) = self.tree else {
            return Ok(None);
        };
        let facts = lock::facts_for(self.lock.as_deref(), &app.target)?;
        let calls = std::iter::once((Role::Renderer, &app.render));
        let transformers = app.transform.iter().map(|call| (Role::Transformer, call));
        let validators = app.validate.iter().map(|call| (Role::Validator, call));
        let plugins = calls.chain(transformers).chain(validators);
        let plugins = plugins.map(|(role, call)| self.plugin(role, call, digests));
        Ok(Some(Inputs {
            commit,
            tree,
            manifest: self.seen,
            lock: self.lock_digest,
            app: AppInputs {
                name: app.name.clone(),
                path: app.path.clone(),
                roots: app.roots.clone(),
                namespace: app.namespace.clone(),
                target: app.target.clone(),
            },
            plugins: plugins.collect::<Result<_, _>>()?,
            facts,
        }))
    }

    /// The receipt of a render that was told this, read that and gave these bytes; `random` names the secret of the
    /// stable random bytes that it took.
    pub fn receipt(
        &self,
        repository: Repository,
        inputs: Inputs,
        reads: &ReadSet,
        output: Digest,
        random: Option<SecretId>,
    ) -> Receipt {
        Receipt {
            repository,
            inputs,
            reads: Reads {
                digest: reads.digest(),
                questions: reads.len() as u64,
            },
            externals: self.externals(reads),
            engine: self.engine.clone(),
            output,
            stable_random: random.is_some(),
            random_secret: random,
        }
    }

    fn plugin(
        &self,
        role: Role,
        call: &PluginCall,
        digests: &BTreeMap<PluginName, Digest>,
    ) -> Result<PluginUse, ReceiptError> {
        let unknown = || LockError::UnknownPlugin(call.plugin.to_string());
        let spec = self.manifest.plugins.get(&call.plugin);
        let spec = spec.ok_or_else(unknown)?;
        Ok(PluginUse {
            role,
            name: call.plugin.clone(),
            source: spec.source.to_string(),
            digest: *digests.get(&call.plugin).ok_or_else(unknown)?,
            config: Digest::of(canonical::json(&call.config).as_bytes()),
            limits: self.limits.narrowed(&spec.limits),
        })
    }

    /// The pins of the externals that were looked at. Who lists their folder looks at all of them.
    fn externals(&self, reads: &ReadSet) -> BTreeMap<Reference, LockedExternal> {
        let Some(lock) = &self.lock else {
            return BTreeMap::new();
        };
        let mut found = BTreeMap::new();
        for (question, path, _) in reads.iter() {
            if question == Question::List && path.as_str() == EXTERNALS_DIR {
                return lock.externals.clone();
            }
            let below = path.as_str().strip_prefix(EXTERNALS_DIR);
            let Some(below) = below.and_then(|below| below.strip_prefix('/')) else {
                continue;
            };
            let name = below.split('/').next().unwrap_or_default();
            let Ok(reference) = Reference::unescaped(name) else {
                continue;
            };
            if let Some(locked) = lock.externals.get(&reference) {
                found.insert(reference, locked.clone());
            }
        }
        found
    }
}

fn within(size: usize, limit: usize) -> Result<(), ReceiptError> {
    if size > limit {
        return Err(ReceiptError::TooLarge { size, limit });
    }
    Ok(())
}

fn not_understood(error: &serde_json::Error) -> ReceiptError {
    ReceiptError::NotUnderstood(error.to_string())
}
