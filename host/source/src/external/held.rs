//! What a process of one fetch was given besides its rules, and what it lacks: asked of its host, and never taken.

use std::cell::RefCell;

use serde::{Deserialize, Serialize};

use super::oci::Realm;
use super::policy::{AccessHost, Origin};
use crate::secret::Secret;

/// What a process of one fetch was given.
pub(crate) struct Held {
    /// The ports that it may connect to.
    pub(crate) ports: Vec<u16>,
    /// Hosts that its host has credentials for, which it was not given.
    others: Vec<AccessHost>,
    /// A header that the registry's token server gave to its host.
    pub(super) token: Option<Secret>,
    lacks: RefCell<Option<Lack>>,
}

/// What a process lacks to go on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Lack {
    /// Something leads to this port, which was not to be foreseen.
    Port(u16),
    /// A token of a server that the host has credentials for.
    Token(Realm),
}

impl Held {
    pub(crate) fn new(ports: Vec<u16>, others: Vec<AccessHost>, token: Option<Secret>) -> Held {
        Held {
            ports,
            others,
            token,
            lacks: RefCell::default(),
        }
    }

    /// What it lacked, where it came to no result for that.
    pub(crate) fn lacked(&self) -> Option<Lack> {
        self.lacks.borrow().clone()
    }

    /// # Errors
    /// It may not connect to this port, and has said that it lacks it.
    pub(super) fn lets_through(&self, port: u16) -> Result<(), &'static str> {
        if self.ports.contains(&port) {
            return Ok(());
        }
        *self.lacks.borrow_mut() = Some(Lack::Port(port));
        Err("its process may not connect to that port")
    }

    /// Whether the host has something for an origin that this process does not.
    pub(super) fn is_anothers(&self, origin: &Origin) -> bool {
        self.others.contains(&AccessHost::of(origin))
    }

    pub(super) fn lacks_token(&self, realm: Realm) {
        *self.lacks.borrow_mut() = Some(Lack::Token(realm));
    }

    /// The header that a registry is shown from the first.
    pub(super) fn header(&self) -> Option<String> {
        self.token.as_ref().map(|token| token.expose().to_owned())
    }
}
