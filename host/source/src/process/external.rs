//! Charts and plugins got by processes of their own: each has one thing to get, of one server, with what is shown to that one.
//!
//! What a process has got lies in a file, which its host reads by its own handle when the process is gone, and hashes. What a
//! process lacks (a port that a redirect leads to, a token of a server that the host has credentials for) it says, and ends; the
//! host holds it against its rules and starts the next one.

use std::cell::RefCell;
use std::ffi::OsString;
use std::path::PathBuf;

use weir_core::digest::Digest;
use weir_core::external::{Reference, ReferenceKind};
use weir_core::plugin::RegistryPin;

use super::converse::Conversation;
use super::incoming::{Incoming, NotTaken};
use super::talk::{Loss, Lost};
use super::words::{Job, Request, Word};
use super::{FetchProcess, ProcessEnd};
use crate::external::{
    About, At, ExternalError, Externals, Lack, Meant, Origin, PROCESS, PluginError, Realm, Wanted,
    Watch, parsed,
};
use crate::secret::Secret;

pub(super) mod errand;
mod failure;
mod plugin;
pub(super) mod words;

pub(crate) use words::Of;
use words::{Get, Got, Rules, Short, Told, os};

/// Where files are filled, below the cache of externals.
const PLACE: &str = "incoming";
/// The longest version and the longest URL that a process may name, in bytes.
const VERSION: usize = 256;
const URL: usize = 8 << 10;
/// The longest token, and the longest list of signatures, in bytes.
const TOKEN: u64 = 256 << 10;
const SIGNATURES: u64 = 64 << 20;

/// One external that is got by processes of their own.
pub(crate) struct Elsewhere<'a> {
    process: FetchProcess,
    externals: &'a Externals,
    of: Of,
    about: About<'a>,
    watch: Watch<'a>,
    /// Ports that something has led to.
    ports: RefCell<Vec<u16>>,
    /// What the registry's token server gave.
    token: RefCell<Option<Secret>>,
}

/// What came of it.
enum Came {
    Meant(Meant),
    Parts(Vec<Vec<u8>>),
}

impl<'a> Elsewhere<'a> {
    pub(crate) fn new(
        process: &FetchProcess,
        externals: &'a Externals,
        of: Of,
        about: About<'a>,
        watch: Watch<'a>,
    ) -> Elsewhere<'a> {
        Elsewhere {
            process: process.clone(),
            externals,
            of,
            about,
            watch,
            ports: RefCell::default(),
            token: RefCell::default(),
        }
    }

    /// The archive that a version or a constraint means now.
    pub(crate) fn meant(&self, version: &str) -> Result<Meant, ExternalError> {
        let wanted = Wanted::parse(version).map_err(|why| self.about.refused(why))?;
        let meant = self.said(Get::Meant)?;
        let is_meant = wanted.choose([meant.version.as_str()]).is_some();
        match is_meant && meant.pinned.is_none() {
            true => Ok(meant),
            false => Err(self.strayed("it named a version that was not asked for")),
        }
    }

    /// The archive that a lock pins.
    pub(crate) fn locked(
        &self,
        version: &str,
        digest: Digest,
        size: u64,
    ) -> Result<Meant, ExternalError> {
        let version = version.to_owned();
        if matches!(self.chart()?.kind(), ReferenceKind::Oci { .. }) {
            return Ok(Meant::layer(version, digest, size));
        }
        let get = Get::Locked {
            version: version.clone(),
            digest,
            size,
        };
        let meant = self.said(get)?;
        let is_that =
            meant.version == version && meant.digest.is_none() && meant.pinned == Some(digest);
        match is_that {
            true => Ok(meant),
            false => Err(self.strayed("it named another version than the lock's")),
        }
    }

    /// An archive's bytes, which a process has read as a chart's. They are what the server said that they are.
    pub(crate) fn archive(&self, meant: &Meant) -> Result<Vec<u8>, ExternalError> {
        let most = self.externals.limits.archive_bytes;
        let got = self.parts(Get::Archive(meant.clone()), [most]);
        let [archive] = got.map_err(|e| self.of_chart(e))?;
        match meant.digest.filter(|said| *said != Digest::of(&archive)) {
            None => Ok(archive),
            Some(_) => Err(self.strayed("it got other bytes than it was asked for")),
        }
    }

    /// The reference of a chart.
    fn chart(&self) -> Result<&Reference, ExternalError> {
        match &self.of {
            Of::External(reference) => Ok(reference),
            Of::Plugin(_) => Err(self.about.refused("it is a plugin, and no chart")),
        }
    }

    /// Which archive a process says that it is: one of a kind that there is where it lies.
    fn said(&self, get: Get) -> Result<Meant, ExternalError> {
        let came = self.got(&get, &[]).map_err(|e| self.of_chart(e))?;
        let Came::Meant(meant) = came else {
            return Err(self.strayed("it did not do what it was told"));
        };
        let fits = match (self.chart()?.kind(), &meant.at) {
            (ReferenceKind::Oci { .. }, At::Layer(_)) => meant.digest.is_some(),
            (ReferenceKind::Chart { .. }, At::Url(url)) => url.len() <= URL,
            _ => false,
        };
        match fits && meant.version.len() <= VERSION {
            true => Ok(meant),
            false => Err(self.strayed("it named an archive that cannot be there")),
        }
    }

    /// A token for the registry, of the server that it names.
    fn bought(&self, realm: Realm) -> Result<Secret, PluginError> {
        let [header] = self.parts(Get::Token(realm), [TOKEN])?;
        let header = String::from_utf8(header).ok();
        let is_header = |text: &String| text.bytes().all(|b| b.is_ascii_graphic() || b == b' ');
        let header = header.filter(is_header);
        let header = header.ok_or_else(|| self.strayed("it got a token that is none"))?;
        Ok(Secret::new(header))
    }

    fn parts<const N: usize>(&self, get: Get, most: [u64; N]) -> Result<[Vec<u8>; N], PluginError> {
        let stray = || self.strayed("it did not do what it was told");
        match self.got(&get, &most)? {
            Came::Parts(parts) => parts.try_into().map_err(|_| stray().into()),
            Came::Meant(_) => Err(stray().into()),
        }
    }

    /// Something, got by as many processes as it takes.
    fn got(&self, get: &Get, most: &[u64]) -> Result<Came, PluginError> {
        let origin = self.origin(get)?;
        let allowed = self.externals.policy.allows(&origin);
        allowed.map_err(|why| self.about.not_allowed(origin.to_string(), why))?;
        // A token, and each redirect, once.
        for _ in 0..=self.externals.limits.redirects.saturating_add(1) {
            match self.attempts(get, &origin, most)? {
                Ok(came) => return Ok(came),
                Err(lack) => self.give(get, lack)?,
            }
        }
        Err(self.strayed("it lacked more than there is to lack").into())
    }

    /// Gives what a process lacked to the next one, where it may have it.
    fn give(&self, get: &Get, lack: Lack) -> Result<(), PluginError> {
        let external = self.about.0;
        match lack {
            Lack::Port(port)
                if self.externals.policy.has_any_port() && !self.ports.borrow().contains(&port) =>
            {
                tracing::info!(%external, port, "leads to a port that nobody has named");
                self.ports.borrow_mut().push(port);
                Ok(())
            }
            Lack::Token(realm)
                if realm.url.len() <= URL
                    && !matches!(get, Get::Token(_))
                    && self.token.borrow().is_none()
                    && self.of.registry().is_some() =>
            {
                let (_, server) = parsed(self.about, &realm.url)?;
                if self.of.origin().tls && !server.tls {
                    return Err(self.strayed("it asked for a token over plain http").into());
                }
                let token = self.bought(realm)?;
                *self.token.borrow_mut() = Some(token);
                Ok(())
            }
            _ => Err(self
                .strayed("it asked for what it has, or may not have")
                .into()),
        }
    }

    /// What one process did; a second one where somebody else killed the first.
    fn attempts(
        &self,
        get: &Get,
        origin: &Origin,
        most: &[u64],
    ) -> Result<Result<Came, Lack>, PluginError> {
        let limits = &self.externals.limits;
        let mut process = self.process.clone();
        let bytes = most.iter().fold(0_u64, |sum, one| sum.saturating_add(*one));
        process.limits.file_bytes = process.limits.file_bytes.min(bytes);
        let conversation = Conversation {
            process: &process,
            deadline: limits.time.saturating_sub(self.watch.since.elapsed()),
            stop: self.watch.stop,
            progress: self.watch.progress,
            name: self.about.0,
        };
        let mut begun = 0;
        loop {
            begun += 1;
            let incoming = self.incoming()?;
            let request = self.request(get, origin, &process, &incoming);
            let said = conversation.held(&request, &|| incoming.hide(), |word| match word {
                Word::Got(said) => Ok(said),
                _ => Err(Lost::Stray("it said what nobody asked".to_owned())),
            });
            match said {
                Ok(said) => return self.came(get, said, incoming, most),
                Err(lost) if conversation.goes_on(&lost, begun) => {}
                Err(lost) => return Err(self.lost(lost).into()),
            }
        }
    }

    /// What a process said means, and what it has left.
    fn came(
        &self,
        get: &Get,
        said: Result<Got, Short>,
        incoming: Incoming,
        most: &[u64],
    ) -> Result<Result<Came, Lack>, PluginError> {
        match said {
            Ok(Got::Meant(meant)) => Ok(Ok(Came::Meant(meant))),
            Ok(Got::Parts(said)) => match incoming.taken(&said, most) {
                Ok(parts) => Ok(Ok(Came::Parts(parts))),
                Err(NotTaken::Other(what)) => Err(self.strayed(&what).into()),
                Err(NotTaken::Unread(e)) => Err(self.about.host("reading what was got", e).into()),
            },
            Err(Short::Lack(lack)) => Ok(Err(lack)),
            Err(Short::Failed(failure)) => {
                let meant = failure.meant(self.about, &self.of, pin(get));
                Err(meant.unwrap_or_else(|what| self.strayed(&what).into()))
            }
        }
    }

    /// What a process is told that gets this of that origin.
    fn request(
        &self,
        get: &Get,
        origin: &Origin,
        process: &FetchProcess,
        incoming: &Incoming,
    ) -> Request {
        let Externals {
            limits,
            policy,
            http,
            ..
        } = self.externals;
        let mut ports = match http.proxy_port() {
            Some(port) => vec![port],
            None => policy.ports(origin),
        };
        ports.extend(self.ports.borrow().iter());
        // What a token server gave is for the registry alone.
        let token = match get {
            Get::Token(_) => None,
            _ => self.token.borrow().as_ref().map(|t| t.expose().to_owned()),
        };
        Request {
            job: Job::External(Box::new(Told {
                get: get.clone(),
                of: self.of.clone(),
                limits: *limits,
                http: super::words::Http::of(http),
                rules: Rules::narrowed(policy, origin),
                ports,
                token,
                spent: self.watch.since.elapsed(),
                output: os(incoming.path()),
            })),
            limits: process.limits,
            is_required: process.is_required,
        }
    }

    /// What a process is told that tries what must not be possible, and the file that it may fill.
    pub(super) fn trying(
        &self,
        files: Vec<OsString>,
    ) -> Result<(Request, Incoming), ExternalError> {
        let get = Get::Try(files);
        let origin = self.origin(&get)?;
        let incoming = self.incoming()?;
        let request = self.request(&get, &origin, &self.process, &incoming);
        Ok((request, incoming))
    }

    /// A file for a process to fill.
    fn incoming(&self) -> Result<Incoming, ExternalError> {
        let dir: PathBuf = self.externals.cache_dir.join(PLACE);
        let failed = |e| {
            let what = format!("making a file in {}", dir.display());
            self.about.host(what, e)
        };
        Incoming::new(&dir).map_err(failed)
    }

    /// The origin that is asked, and that credentials are shown to.
    fn origin(&self, get: &Get) -> Result<Origin, ExternalError> {
        match get {
            Get::Archive(Meant {
                at: At::Url(url), ..
            }) => Ok(parsed(self.about, url)?.1),
            Get::Token(realm) => Ok(parsed(self.about, &realm.url)?.1),
            _ => Ok(self.of.origin()),
        }
    }

    fn lost(&self, lost: Lost) -> ExternalError {
        match lost.means() {
            Loss::Stopped => self.about.stopped(),
            Loss::Limit(which) => self.about.limit(PROCESS, which),
            Loss::Ended(end) => self.about.process(end),
        }
    }

    fn strayed(&self, what: &str) -> ExternalError {
        self.about.process(ProcessEnd::Strayed(what.to_owned()))
    }

    /// An error of a chart, of which none is a plugin's.
    fn of_chart(&self, error: PluginError) -> ExternalError {
        match error {
            PluginError::Get(error) => error,
            _ => self.strayed("it said of something else what is of a plugin"),
        }
    }
}

/// What a lock pins of what is got.
fn pin(get: &Get) -> Option<RegistryPin> {
    match get {
        Get::Manifest(pin) | Get::Plugin(pin) => Some(pin.meant()),
        _ => None,
    }
}
