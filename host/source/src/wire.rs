//! The way to a Git server, http or ssh, behind one seam.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use gix_transport::client::blocking_io::Transport;
use gix_transport::client::blocking_io::http;

use crate::error::SourceError;
use crate::exchange::Exchange;
use crate::http::Client as Http;
use crate::http::transport::GitHttp;
use crate::object;
use crate::ssh::Client as Ssh;

/// What asks the server of one repository.
pub(crate) enum Wire {
    Http(Box<Http>),
    Ssh(Ssh),
}

impl Wire {
    /// The repository's URL, fit for error texts.
    pub(crate) fn url(&self) -> String {
        match self {
            Wire::Http(client) => client.url(),
            Wire::Ssh(client) => client.url(),
        }
    }

    /// A fetch begins: what it shows to the server is read anew.
    ///
    /// # Errors
    /// Credentials that cannot be read or sent.
    pub(crate) fn begin(&self, stop: &Arc<AtomicBool>) -> Result<(), SourceError> {
        match self {
            Wire::Http(client) => client.begin(stop),
            // Each connection reads its files, and each exchange has its own stop.
            Wire::Ssh(_) => Ok(()),
        }
    }

    /// A connection for one conversation.
    pub(crate) fn connect<'a>(
        &'a self,
        exchange: &Rc<Exchange<'a>>,
    ) -> Result<Box<dyn Transport + 'a>, SourceError> {
        match self {
            Wire::Ssh(client) => client.connect(exchange),
            Wire::Http(client) => {
                let url = gix::url::parse(client.url().as_str());
                let url = url.map_err(|e| SourceError::BadUrl {
                    url: client.url(),
                    why: object::causes(&e),
                })?;
                let git = GitHttp::new(client, exchange.clone());
                let version = gix_transport::Protocol::V2;
                Ok(Box::new(http::Transport::new_http(
                    git, url, version, false,
                )))
            }
        }
    }
}
