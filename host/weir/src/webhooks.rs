//! Webhooks as a host has them: secrets in files that are read for each delivery, and the loops that are asked to look.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use weir_api::{Hooks, Looks};
use weir_core::name::RepositoryName;
use weir_core::webhook::{Forge, Keys, SECRET_BYTES};
use zeroize::Zeroizing;

use crate::control::Refreshers;
use crate::repository::RepositorySettings;

/// What is read of a secret's file: as much as it may have, its line's end, and one byte more.
const FILE_BYTES: u64 = SECRET_BYTES as u64 + 3;

/// How a repository's webhook is verified.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Webhook {
    /// Whose form deliveries have.
    pub(crate) forge: Forge,
    /// Files with one secret each, of which any counts.
    pub(crate) secrets: Vec<PathBuf>,
}

/// The webhooks of all repositories that have one.
pub(crate) struct RepositoryHooks {
    all: BTreeMap<RepositoryName, Known>,
    refreshers: Arc<Refreshers>,
}

/// One of them.
struct Known {
    webhook: Webhook,
    /// What was wrong with its secrets when they were last read: told when it changes, since anybody can have them read.
    problems: Mutex<Vec<String>>,
}

impl RepositoryHooks {
    /// Those of these repositories; `None` where no one has one.
    pub(crate) fn of(
        repositories: &[RepositorySettings],
        refreshers: Arc<Refreshers>,
    ) -> Option<RepositoryHooks> {
        let mut all = BTreeMap::new();
        for settings in repositories {
            if let Some(webhook) = settings.webhook.clone() {
                let problems = Mutex::default();
                let name = settings.reach.name.clone();
                all.insert(name, Known { webhook, problems });
            }
        }
        (!all.is_empty()).then_some(RepositoryHooks { all, refreshers })
    }

    /// Reads all secrets once, so that what is wrong with one is said before the first delivery.
    pub(crate) fn look_at_secrets(&self) {
        for (name, known) in &self.all {
            known.keys(name);
        }
    }
}

impl Hooks for RepositoryHooks {
    fn keys(&self, repository: &RepositoryName) -> Option<Keys> {
        let known = self.all.get(repository)?;
        Some(known.keys(repository))
    }

    fn look(&self, repository: &RepositoryName) -> Looks {
        self.refreshers.look(repository)
    }
}

impl Known {
    /// The secrets as they are now. One that cannot be read takes none of the others away.
    fn keys(&self, name: &RepositoryName) -> Keys {
        let mut keys = Keys::of(self.webhook.forge);
        let mut problems = Vec::new();
        for file in &self.webhook.secrets {
            let added = match read(file) {
                Ok(secret) => keys.add(&secret).map_err(|e| e.to_string()),
                Err(e) => Err(e.to_string()),
            };
            if let Err(why) = added {
                problems.push(format!(
                    "the secret of its webhook, {}: {why}",
                    file.display()
                ));
            }
        }
        let mut told = self.problems.lock().unwrap_or_else(PoisonError::into_inner);
        if *told != problems {
            for problem in &problems {
                tracing::error!(repository = %name, "{problem}");
            }
            if problems.is_empty() {
                tracing::info!(repository = %name, "the secrets of its webhook can be read again");
            }
            *told = problems;
        }
        keys
    }
}

fn read(file: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    // Never moved while it grows: no copy stays behind.
    let mut secret = Zeroizing::new(Vec::with_capacity(SECRET_BYTES + 3));
    File::open(file)?
        .take(FILE_BYTES)
        .read_to_end(&mut secret)?;
    Ok(secret)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use weir_core::webhook::{Claims, Header, Verifier};

    use super::*;

    /// Whether a token opens it.
    fn opens(known: &Known, token: &str) -> bool {
        let name = "shop".parse().unwrap();
        let header = |name: &'static str| match name {
            "x-gitlab-token" => Header::One(token.as_bytes()),
            _ => Header::Absent,
        };
        let keys = known.keys(&name);
        Claims::read(header).is_ok_and(|claims| {
            let verifier = Verifier::begin(Some(&keys), &claims, 0);
            verifier.finish().is_ok()
        })
    }

    #[test]
    fn secrets_are_read_anew_each_time_and_one_that_is_none_takes_no_other_away() {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        let known = Known {
            webhook: Webhook {
                forge: Forge::Gitlab,
                secrets: vec![old.clone(), new.clone()],
            },
            problems: Mutex::default(),
        };
        assert!(!opens(&known, "the secret of summer"));
        assert_eq!(known.problems.lock().unwrap().len(), 2);
        fs::write(&old, "the secret of summer\n").unwrap();
        assert!(opens(&known, "the secret of summer"));
        fs::write(&new, "the secret of winter").unwrap();
        assert!(opens(&known, "the secret of summer") && opens(&known, "the secret of winter"));
        assert!(known.problems.lock().unwrap().is_empty());
        // One line, at most so long, at least so long.
        for bad in [
            "short",
            "two\nlines, of which each is long",
            &"x".repeat(5_000),
        ] {
            fs::write(&old, bad).unwrap();
            assert!(!opens(&known, bad), "{bad}");
            assert!(opens(&known, "the secret of winter"));
            let problems = known.problems.lock().unwrap().join("\n");
            assert!(
                problems.contains("old") && !problems.contains(bad),
                "{problems}"
            );
        }
        fs::remove_file(&new).unwrap();
        assert!(!opens(&known, "the secret of winter"));
    }
}
