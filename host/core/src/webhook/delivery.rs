//! One delivery: what it is about, what it is called, and whether it came before.

use std::collections::{BTreeSet, VecDeque};
use std::fmt;

use sha2::{Digest as _, Sha256};

use super::{Forge, Header};
use crate::name::RepositoryName;

/// The most characters of an id that are shown.
const SHOWN: usize = 80;
/// How many deliveries are remembered, over all repositories.
const REMEMBERED: usize = 4_096;
/// For how long, in milliseconds: twice as long as a signature that has a time counts.
const REMEMBERED_MILLIS: u64 = 10 * 60_000;

/// What a delivery asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Asks {
    /// Something was pushed.
    Look,
    /// It is about something else, such as the ping of a new webhook.
    Nothing,
}

impl Asks {
    /// What the header says that names the event. It is no part of what is signed, and decides only this.
    pub fn of<'a>(forge: Forge, header: impl Fn(&'static str) -> Header<'a>) -> Asks {
        let is = |name, events: &[&[u8]]| match header(name) {
            Header::One(event) => events.contains(&event),
            // A sender that names none means what every delivery means.
            Header::Absent => true,
            Header::Several => false,
        };
        let looks = match forge {
            Forge::Github => is("x-github-event", &[b"push"]),
            Forge::Gitlab => {
                // Of a system hook only the payload says what it is about.
                let events: &[&[u8]] = &[b"Push Hook", b"Tag Push Hook", b"System Hook"];
                is("x-gitlab-event", events)
            }
            Forge::Gitea => match header("x-gitea-event") {
                Header::Absent => is("x-forgejo-event", &[b"push"]),
                _ => is("x-gitea-event", &[b"push"]),
            },
            Forge::Generic => true,
        };
        if looks { Asks::Look } else { Asks::Nothing }
    }
}

/// What a forge calls a delivery: the same when it is sent again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    shown: String,
    digest: [u8; 32],
}

impl Delivery {
    /// The id that the headers give, where they give one.
    pub fn of<'a>(forge: Forge, header: impl Fn(&'static str) -> Header<'a>) -> Option<Delivery> {
        let names: &[&'static str] = match forge {
            Forge::Github => &["x-github-delivery"],
            // Not X-Gitlab-Event-UUID: what one event sets off has the same.
            Forge::Gitlab => &["webhook-id", "idempotency-key"],
            Forge::Gitea => &["x-gitea-delivery", "x-forgejo-delivery"],
            Forge::Generic => &["webhook-id"],
        };
        let given = names.iter().find_map(|&name| match header(name) {
            Header::One(id) if !id.is_empty() => Some(id),
            _ => None,
        })?;
        Some(Delivery {
            shown: given
                .escape_ascii()
                .to_string()
                .chars()
                .take(SHOWN)
                .collect(),
            digest: Sha256::digest(given).into(),
        })
    }
}

impl fmt::Display for Delivery {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown)
    }
}

/// Deliveries that came lately: bounded in number and in time.
#[derive(Debug, Default)]
pub struct Seen {
    order: VecDeque<(u64, [u8; 32])>,
    known: BTreeSet<[u8; 32]>,
}

impl Seen {
    /// Whether this one came lately. Times in milliseconds, of any clock that only goes forward.
    pub fn knows(&mut self, now: u64, repository: &RepositoryName, delivery: &Delivery) -> bool {
        let is_old = |at: u64| now.saturating_sub(at) > REMEMBERED_MILLIS;
        while let Some((at, key)) = self.order.front()
            && (is_old(*at) || self.order.len() >= REMEMBERED)
        {
            self.known.remove(key);
            self.order.pop_front();
        }
        self.known.contains(&key_of(repository, delivery))
    }

    /// From now on it did.
    pub fn keep(&mut self, now: u64, repository: &RepositoryName, delivery: &Delivery) {
        let key = key_of(repository, delivery);
        if self.order.len() < REMEMBERED && self.known.insert(key) {
            self.order.push_back((now, key));
        }
    }

    #[cfg(test)]
    pub(super) fn is_bounded(&self) -> bool {
        self.order.len() <= REMEMBERED && self.known.len() == self.order.len()
    }
}

fn key_of(repository: &RepositoryName, delivery: &Delivery) -> [u8; 32] {
    let mut hash = Sha256::new();
    // A name has no NUL.
    hash.update(repository.as_str());
    hash.update([0u8]);
    hash.update(delivery.digest);
    hash.finalize().into()
}
