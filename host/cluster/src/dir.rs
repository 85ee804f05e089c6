//! The target `dir:PATH`: one YAML file for each object, in a layout that people can read.
//!
//! Rules that hold at every instant, whoever else writes there:
//! - A file that Weir does not own is never changed, moved or removed. A create never replaces; an update and
//!   a prune want the content that was seen.
//! - No symbolic link below the root is followed.
//! - A name always stands for a whole object. What a killed run leaves are temporary files, which the next
//!   start removes.
//!
//! One gap remains: between the last look at a file and its replacement a few microseconds pass, in which
//! someone else's edit would be lost. No file system offers to compare and replace in one go.

mod apply;
mod layout;
mod root;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_core::allow::Rules;
use weir_core::digest::Digest;
use weir_core::live::{Live, Mark, Owner, Seen, Version};
use weir_core::object::ResourceId;
use weir_core::plan::{PRUNE_ANNOTATION, Plan, may_prune};
use weir_core::stake::{Applied, Outcome, Staked};
use weir_core::yaml;

use crate::error::TargetError;
use crate::target::ApplyEvent;
use layout::Place;
use root::Root;

/// How much a directory may ask of us. There is no `Default`: whoever opens it says it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DirLimits {
    /// Bytes of one file that are read to compare it.
    pub file_bytes: u64,
    /// How long to wait for another process that is writing there.
    pub lock_wait: Duration,
}

impl DirLimits {
    /// What a host allows that was told nothing else.
    pub const HOST: DirLimits = DirLimits {
        file_bytes: 64 << 20,
        lock_wait: Duration::from_secs(10),
    };
}

/// A directory that apps land in.
pub struct DirTarget {
    root: Root,
    limits: DirLimits,
    rules: Rules,
}

impl DirTarget {
    /// Opens the directory, which is made when it is missing, and removes what a killed run left there.
    ///
    /// # Errors
    /// When the path is no directory, or cannot be made or opened.
    pub fn open(root: &Path, limits: DirLimits) -> Result<DirTarget, TargetError> {
        let root = Root::open(root, limits.file_bytes)?;
        // While another process writes there its temporary files are alive: leave them.
        match root.lock(Duration::ZERO) {
            Ok(_lock) => {
                let swept = root.sweep();
                if swept > 0 {
                    tracing::info!(target = %root.path().display(), swept, "removed temporary files of an interrupted run");
                }
            }
            Err(TargetError::Busy { .. }) => {}
            Err(other) => return Err(other),
        }
        Ok(DirTarget {
            root,
            limits,
            rules: Rules::default(),
        })
    }

    /// Says what may land there. Whoever plans asks [`crate::Target::allows`].
    #[must_use]
    pub fn within(mut self, rules: Rules) -> DirTarget {
        self.rules = rules;
        self
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// What is at each object's place.
    pub fn observe<'a>(
        &self,
        ids: impl IntoIterator<Item = &'a ResourceId>,
    ) -> BTreeMap<ResourceId, Live> {
        let ids = ids.into_iter();
        ids.map(|id| (id.clone(), self.live(id))).collect()
    }

    /// The text of an object's file; `None` when there is none.
    ///
    /// # Errors
    /// When it cannot be read, or something else lies there.
    pub fn text(&self, id: &ResourceId) -> Result<Option<Vec<u8>>, TargetError> {
        self.root.content(&Place::of(id))
    }

    /// Where an object's file lies.
    pub fn path(&self, id: &ResourceId) -> PathBuf {
        Place::of(id).under(self.root.path())
    }

    /// Does what was staked: waves in order, prunes last, nothing after a wave with a failure. `on_step`
    /// hears of each step once it is durable; `on_event` hears of each change just before and after it.
    pub fn apply(
        &self,
        staked: Staked<Plan>,
        on_step: &mut dyn FnMut(&Outcome),
        on_event: &dyn Fn(ApplyEvent),
    ) -> Applied {
        apply::Run::run(self, &staked, on_step, on_event)
    }

    fn live(&self, id: &ResourceId) -> Live {
        match self.root.content(&Place::of(id)) {
            Ok(None) => Live::Absent,
            Ok(Some(text)) => {
                let digest = Digest::of(&text);
                Live::Present(Seen {
                    version: Version(digest.to_string()),
                    mark: Mark::of_content(digest),
                    owner: Owner::Unsaid,
                    leaving: None,
                    keep: says_keep(&text),
                })
            }
            Err(error) => Live::Unknown(error.full()),
        }
    }
}

/// Whether an object's file says that it must not be pruned. What says something about it that cannot be read
/// is kept, too.
fn says_keep(text: &[u8]) -> bool {
    // Most files do not say anything of it, and are not parsed for it.
    if !String::from_utf8_lossy(text).contains(PRUNE_ANNOTATION) {
        return false;
    }
    let Ok(documents) = yaml::parse(text, &yaml::Budget::HOST) else {
        return true;
    };
    documents.iter().any(|document| {
        let body = document.to_json();
        let annotation = &body["metadata"]["annotations"][PRUNE_ANNOTATION];
        // What is there and no text says something that cannot be read.
        !annotation.is_null()
            && annotation
                .as_str()
                .is_none_or(|text| may_prune(Some(text)) != Ok(true))
    })
}
