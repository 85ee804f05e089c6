//! How a Repository that was deleted is let go of: its objects stay or go, as it says, and nothing of it hangs on a
//! cluster that does not answer.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};
use weir_cluster::service::{Found, Note, OnDelete, RepositorySpec, Which};

use super::keeper::Keeper;
use super::secret::Shown;
use super::settings;
use crate::error::Error;
use crate::hosting::Left;

/// After how long a Repository is let go of, whatever is left.
const LET_GO_AFTER: Duration = Duration::from_secs(60);
/// So many objects that are left are named.
const SHOWN_LEFT: usize = 5;

impl Keeper {
    /// Does as it says with what its apps own, says before and after what that is, and lets go of it.
    pub(super) async fn leave(&mut self, found: &Arc<Found>) {
        if !found.is_kept {
            // Nothing more is to be done here: others keep it, or it is gone in a moment.
            return;
        }
        if !self.has_left {
            self.let_objects_go(found).await;
            if self.service.loops.is_stopping() {
                // What is left is the next start's to let go of.
                return;
            }
            self.forget();
            self.has_left = true;
        }
        if let Err(e) = self.service.cluster.keep(found, false).await {
            self.owe("the finalizer cannot be taken off", &e);
        }
    }

    async fn let_objects_go(&mut self, found: &Found) {
        let spec = found.read::<RepositorySpec>();
        let settings = spec.as_ref().map_err(Clone::clone);
        let settings = settings.and_then(|spec| {
            settings::settings(
                &self.key,
                spec,
                Shown::nothing(),
                false,
                &self.service.bounds,
            )
        });
        let what = match &settings {
            Ok(settings) => {
                let owned = self.service.loops.left(settings, None).await.objects.len();
                format!("{owned} objects of its apps")
            }
            Err(_) => "all objects of its apps".to_owned(),
        };
        let is_pruning = spec.is_ok_and(|spec| spec.policy.on_delete == OnDelete::Prune);
        let (reason, text) = match (&settings, is_pruning) {
            (Ok(_), true) => (
                "Pruning",
                format!("deleted with onDelete: prune: {what} go"),
            ),
            (Ok(_), false) => (
                "Orphaned",
                format!("deleted with onDelete: orphan: {what} stay"),
            ),
            (Err(why), _) => (
                "Orphaned",
                format!("deleted, and what it says cannot be read ({why}): {what} stay"),
            ),
        };
        self.tell_of(found, false, reason, text).await;
        let deadline = Instant::now() + LET_GO_AFTER;
        let mut has_ended = true;
        if let Some(name) = self.name.clone() {
            has_ended = timeout_at(deadline, self.service.loops.end(&name))
                .await
                .is_ok();
        }
        let (Ok(settings), true) = (settings, is_pruning) else {
            return;
        };
        let pruned = match has_ended {
            true => timeout_at(deadline, self.service.loops.prune(&settings)).await,
            false => Ok(Err(Error::host(
                "prune",
                "what was under way has not ended",
            ))),
        };
        let late = || {
            format!(
                "nothing more came of it within {} s",
                LET_GO_AFTER.as_secs()
            )
        };
        let left = match pruned {
            Ok(Ok(left)) => left,
            Ok(Err(e)) => {
                self.service
                    .loops
                    .left(&settings, Some(e.to_string()))
                    .await
            }
            Err(_) => self.service.loops.left(&settings, Some(late())).await,
        };
        if self.service.loops.is_stopping() {
            return;
        }
        match said(&left) {
            None => {
                self.tell_of(found, false, "Pruned", format!("{what} are gone"))
                    .await
            }
            Some(text) => self.tell_of(found, true, "LeftBehind", text).await,
        }
    }

    async fn tell_of(
        &mut self,
        found: &Found,
        is_warning: bool,
        reason: &'static str,
        text: String,
    ) {
        match is_warning {
            true => tracing::warn!("{text}"),
            false => tracing::info!("{text}"),
        }
        let key = self.key.clone();
        let note = Note {
            is_warning,
            reason,
            text,
        };
        self.say(Which::Repositories, &key, &found.uid, &note).await;
    }
}

/// What is left, and why; nothing where nothing is.
fn said(left: &Left) -> Option<String> {
    if left.objects.is_empty() && left.problems.is_empty() {
        return None;
    }
    let mut names: Vec<&str> = left
        .objects
        .iter()
        .take(SHOWN_LEFT)
        .map(String::as_str)
        .collect();
    let more = format!(
        "... and {} more",
        left.objects.len().saturating_sub(SHOWN_LEFT)
    );
    if left.objects.len() > SHOWN_LEFT {
        names.push(&more);
    }
    Some(format!(
        "{} objects are left behind and nobody keeps them any more: {}. {}",
        left.objects.len(),
        names.join(", "),
        left.problems.join("; ")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_left_behind_is_counted_and_named_with_why() {
        assert_eq!(said(&Left::default()), None);
        let left = Left {
            objects: (0..7).map(|n| format!("ConfigMap team/{n}")).collect(),
            problems: vec!["no answer".to_owned()],
        };
        let text = said(&left).unwrap();
        assert!(text.starts_with("7 objects are left behind"), "{text}");
        assert!(
            text.contains("ConfigMap team/4, ... and 2 more. no answer"),
            "{text}"
        );
    }
}
