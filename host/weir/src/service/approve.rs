//! Approvals that people write on an App, on their way to the same decision that `weir approve` asks for.

use std::time::Duration;

use weir_api::{Asked, Control as _, NotDecided, RepositoryView};
use weir_cluster::service::{APPROVAL_POLICY, APPROVE, AppSpec, Found, Note, Which};
use weir_core::decision::Ask;
use weir_core::name::AppName;

use super::Input;
use super::keeper::Keeper;

/// The fewest digits of a hold that are taken: fewer could be guessed, or be those of another one.
const LEAST_DIGITS: usize = 8;
/// The longest annotation that is read, in bytes.
const MOST_BYTES: usize = 400;
/// How long the loop may take to keep a decision.
const DECIDE_WITHIN: Duration = Duration::from_secs(30);

/// An approval as it was written.
#[derive(Debug, PartialEq, Eq)]
struct Written<'a> {
    by: &'a str,
    hold: &'a str,
}

impl Keeper {
    /// Answers each approval that was not answered yet, once.
    pub(super) async fn answer_approvals(&mut self, input: &Input) {
        let Some(view) = input.view.clone().filter(|view| view.is_known) else {
            return;
        };
        for (name, found) in &input.apps {
            let Some(said) = found
                .annotations
                .get(APPROVE)
                .filter(|said| !said.is_empty())
            else {
                continue;
            };
            let kept = found
                .status
                .get("lastHandledApproval")
                .and_then(|v| v.as_str());
            let handled = self.book.approvals.get(name).map(String::as_str).or(kept);
            if handled == Some(said.as_str()) {
                continue;
            }
            let is_guarded = match self.service.cluster.guards_approvals().await {
                Ok(is_guarded) => is_guarded,
                Err(e) => {
                    self.owe("whether approvals are guarded cannot be asked", &e);
                    return;
                }
            };
            let answer = match is_guarded {
                true => self.approve(found, said, &view).await,
                false => Err(format!(
                    "annotation {APPROVE}: whoever wrote it could have written any name: the ValidatingAdmissionPolicy {APPROVAL_POLICY} and its binding are not there as Weir has them. Install them (weir crds --admission | kubectl apply -f -), then write it again"
                )),
            };
            self.book.approvals.insert(name.clone(), said.clone());
            let note = match answer {
                Ok(text) => Note {
                    is_warning: false,
                    reason: "Approved",
                    text,
                },
                Err(text) => Note {
                    is_warning: true,
                    reason: "Refused",
                    text,
                },
            };
            match note.is_warning {
                true => tracing::warn!(app = %name, "{}", note.text),
                false => tracing::info!(app = %name, "{}", note.text),
            }
            let key = self.app_key(name);
            self.say(Which::Apps, &key, &found.uid, &note).await;
        }
    }

    async fn approve(
        &self,
        found: &Found,
        said: &str,
        view: &RepositoryView,
    ) -> Result<String, String> {
        let Written { by, hold } = read(said)?;
        let spec: AppSpec = found.read()?;
        let app: AppName = spec.app.parse().map_err(|e| format!("{e}"))?;
        let held = view
            .apps
            .iter()
            .find(|known| known.name == app)
            .and_then(|known| known.hold);
        let Some(held) = held else {
            return Err(format!(
                "annotation {APPROVE}: app {app} is not held: there is nothing to approve"
            ));
        };
        if !held.hex().starts_with(hold) {
            return Err(format!(
                "annotation {APPROVE}: app {app} is held as {}, not as {hold}: look at what it would delete now",
                held.short()
            ));
        }
        let Some(repository) = self.name.clone() else {
            return Err("the repository has no name that fits".to_owned());
        };
        let asked = Asked {
            repository,
            app: app.clone(),
            ask: Ask::Approve { hold: held },
            by: by.to_owned(),
            why: Some(format!("annotation {APPROVE}")),
        };
        let decided = tokio::time::timeout(DECIDE_WITHIN, self.service.loops.decide(asked)).await;
        match decided {
            Ok(Ok(())) => Ok(format!("approved by {by}: hold {}", held.short())),
            Ok(Err(NotDecided::Refused(why))) => Err(why),
            Ok(Err(NotDecided::Stopping)) => {
                Err("the repository is not followed now: write it again later".to_owned())
            }
            Err(_) => Err(format!(
                "no answer within {} s: look whether app {app} is still held",
                DECIDE_WITHIN.as_secs()
            )),
        }
    }
}

/// Who approves what.
fn read(said: &str) -> Result<Written<'_>, String> {
    let expected = || {
        let shown: String = said.chars().take(80).collect();
        format!(
            "annotation {APPROVE}: {shown:?}: expected \"USER HOLD\" with {LEAST_DIGITS} digits of the hold or more, as the App's status has it"
        )
    };
    let mut words = said.split(' ');
    let (Some(by), Some(hold), None) = (words.next(), words.next(), words.next()) else {
        return Err(expected());
    };
    let is_hex = hold
        .bytes()
        .all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    if by.is_empty() || hold.len() < LEAST_DIGITS || !is_hex || said.len() > MOST_BYTES {
        return Err(expected());
    }
    Ok(Written { by, hold })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_approval_names_a_person_and_enough_of_the_hold() {
        let full = "a".repeat(64);
        for (said, by, hold) in [
            ("ann 0123abcd", "ann", "0123abcd"),
            (
                &*format!("system:serviceaccount:a:b {full}"),
                "system:serviceaccount:a:b",
                &*full,
            ),
        ] {
            assert_eq!(read(said), Ok(Written { by, hold }));
        }
        for bad in [
            "ann",
            "ann ",
            " 0123abcd",
            "ann 0123abc",
            "ann 0123abcd ",
            "ann  0123abcd",
            "ann bob 0123abcd",
            "ann 0123ABCD",
            "ann\n0123abcd",
            &format!("{} 0123abcd", "a".repeat(MOST_BYTES)),
        ] {
            let error = read(bad).unwrap_err();
            assert!(error.contains("USER HOLD") && error.len() < 300, "{error}");
        }
    }
}
