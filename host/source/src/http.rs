//! The HTTP client under Git: own roots, client certificate, proxy, time-outs, and credentials for one origin only.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use ureq::http::{Request, Response, StatusCode, Uri};

use crate::error::{SourceError, printable};
use crate::secret::{Credentials, CredentialsFrom, Secret};
use crate::url::{HttpUrl, Origin, without_userinfo};

mod addresses;
pub(crate) mod guard;
pub(crate) mod pack;
mod stoppable;
mod tls;
pub(crate) mod transport;
pub use addresses::Addresses;
pub(crate) use stoppable::Stop;

/// How to talk to a Git server.
#[derive(Debug, Clone)]
pub struct HttpOptions {
    /// A PEM file of certificate authorities to trust besides the public ones.
    pub ca_file: Option<PathBuf>,
    /// A PEM file with the client's certificate chain, and one with its key.
    pub client_cert: Option<(PathBuf, PathBuf)>,
    /// A proxy, `http://[user:password@]host:port`; nothing is taken from the environment.
    pub proxy: Option<Secret>,
    /// Where the name of a server may lead to; behind a proxy, where the proxy's may.
    pub addresses: Addresses,
    /// How long a connection may take, and a name look-up.
    pub connect_timeout: Duration,
    /// How long the server may say nothing.
    pub read_timeout: Duration,
    /// How Weir names itself. Servers look for `git/` at its start.
    pub user_agent: String,
}

impl HttpOptions {
    /// What a host uses that was told nothing else.
    pub fn host() -> Self {
        HttpOptions {
            ca_file: None,
            client_cert: None,
            proxy: None,
            addresses: Addresses::All,
            connect_timeout: Duration::from_secs(15),
            read_timeout: Duration::from_secs(60),
            user_agent: concat!("git/weir-", env!("CARGO_PKG_VERSION")).into(),
        }
    }
}

/// What to do where the server refuses access: nothing was shown, what was shown is wrong, it may not read.
pub(crate) const HINTS: [&str; 3] = [
    "give credentials (a token, or user and password) that may read it",
    "the credentials are wrong, expired or revoked: give others",
    "the server does not let these credentials read it: give them access, or give others",
];

/// How many redirects of the first request are followed, all within the origin.
const MAX_REDIRECTS: usize = 3;

impl HttpOptions {
    /// The port of the proxy, where there is one that can be used.
    pub(crate) fn proxy_port(&self) -> Option<u16> {
        Some(proxy(self.proxy.as_ref()?)?.port())
    }
}

/// A client for one repository, made once: it keeps its connections.
pub(crate) struct Client {
    agent: Mutex<(tls::Stamp, ureq::Agent)>,
    url: HttpUrl,
    options: HttpOptions,
    from: Option<CredentialsFrom>,
    /// As they were when the fetch under way began.
    credentials: Mutex<Option<Credentials>>,
    /// The server asked for `Basic` where a token was sent as `Bearer`.
    token_as_basic: AtomicBool,
    user_agent: String,
    stop: stoppable::Stop,
}

impl Client {
    /// # Errors
    /// Certificate files that cannot be read or used, a proxy or credentials that cannot be sent.
    pub(crate) fn new(
        url: HttpUrl,
        options: &HttpOptions,
        from: Option<CredentialsFrom>,
    ) -> Result<Client, SourceError> {
        let credentials = Mutex::new(read_credentials(&url, from.as_ref())?);
        let stop = stoppable::Stop::default();
        let stamp = tls::Stamp::of(options);
        let agent = Mutex::new((stamp, agent(&url, options, stop.clone())?));
        let user_agent = options.user_agent.clone();
        Ok(Client {
            agent,
            url,
            options: options.clone(),
            from,
            credentials,
            token_as_basic: AtomicBool::new(false),
            user_agent,
            stop,
        })
    }

    /// A fetch begins: what tells it to stop, and what it shows and trusts, read anew where it has changed.
    ///
    /// # Errors
    /// Credentials that cannot be read or sent, certificates that cannot be used.
    pub(crate) fn begin(&self, stop: &Arc<AtomicBool>) -> Result<(), SourceError> {
        self.stop.follow(stop);
        let now = read_credentials(&self.url, self.from.as_ref())?;
        *self
            .credentials
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = now;
        let mut agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        let stamp = tls::Stamp::of(&self.options);
        if agent.0 != stamp {
            *agent = (
                stamp,
                self::agent(&self.url, &self.options, self.stop.clone())?,
            );
        }
        Ok(())
    }

    /// Reads the credentials; whether they are others than before.
    fn read_anew(&self) -> Result<bool, SourceError> {
        let now = read_credentials(&self.url, self.from.as_ref())?;
        let credentials = self.credentials.lock();
        let mut credentials = credentials.unwrap_or_else(PoisonError::into_inner);
        let changed = *credentials != now;
        *credentials = now;
        Ok(changed)
    }

    fn agent(&self) -> ureq::Agent {
        let agent = self.agent.lock().unwrap_or_else(PoisonError::into_inner);
        agent.1.clone()
    }

    fn credentials(&self) -> Option<Credentials> {
        let credentials = self.credentials.lock();
        credentials.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The repository's URL, fit for error texts.
    pub(crate) fn url(&self) -> String {
        self.url.to_string()
    }

    /// Sends a request, with credentials, again once as `Basic` where the server wants a token so.
    fn send(
        &self,
        get: bool,
        uri: &Uri,
        headers: &[(String, String)],
        body: &[u8],
        until: Instant,
    ) -> Result<Response<ureq::Body>, SourceError> {
        let mut is_fresh = false;
        loop {
            let as_basic = self.token_as_basic.load(Ordering::Relaxed);
            let response = self.send_once(get, uri, headers, body, until, as_basic)?;
            // They may have been rotated since this fetch began: once more with those of now.
            if response.status() == StatusCode::UNAUTHORIZED && !is_fresh {
                is_fresh = true;
                if self.read_anew()? {
                    continue;
                }
            }
            let is_token = self.credentials().is_some_and(|c| c.is_token());
            if response.status() == StatusCode::UNAUTHORIZED
                && is_token
                && !as_basic
                && asks_for_basic(&response)
            {
                self.token_as_basic.store(true, Ordering::Relaxed);
                continue;
            }
            return Ok(response);
        }
    }

    fn send_once(
        &self,
        get: bool,
        uri: &Uri,
        headers: &[(String, String)],
        body: &[u8],
        until: Instant,
        token_as_basic: bool,
    ) -> Result<Response<ureq::Body>, SourceError> {
        let method = if get { "GET" } else { "POST" };
        let mut request = Request::builder().method(method).uri(uri);
        for (name, value) in headers
            .iter()
            .filter(|(name, _)| !name.eq_ignore_ascii_case("user-agent"))
        {
            request = request.header(name, value);
        }
        request = request.header("user-agent", &self.user_agent);
        if let Some(credentials) = &self.credentials()
            && Origin::of(uri).as_ref() == Some(self.url.origin())
        {
            let mut value = ureq::http::HeaderValue::from_str(&credentials.header(token_as_basic))
                .or_else(|_| {
                    ureq::http::HeaderValue::from_bytes(
                        credentials.header(token_as_basic).as_bytes(),
                    )
                })
                .map_err(|_| {
                    bad(
                        &self.url,
                        "its credentials do not fit into a header".to_owned(),
                    )
                })?;
            value.set_sensitive(true);
            request = request.header("authorization", value);
        }
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.unreachable("the fetch took longer than its deadline"));
        }
        let failed = |e: ureq::Error| {
            if self.stop.is_set() {
                return SourceError::Stopped { url: self.url() };
            }
            self.unreachable(reason(&e))
        };
        let agent = self.agent();
        if get {
            let request = request.body(()).map_err(|e| failed(e.into()))?;
            let request = agent.configure_request(request);
            agent.run(request.timeout_global(Some(left)).build())
        } else {
            let request = request.body(body).map_err(|e| failed(e.into()))?;
            let request = agent.configure_request(request);
            agent.run(request.timeout_global(Some(left)).build())
        }
        .map_err(failed)
    }

    /// A GET that follows redirects within the origin; also answers which URL was the last.
    fn get(
        &self,
        url: &str,
        headers: &[(String, String)],
        until: Instant,
    ) -> Result<(String, Response<ureq::Body>), SourceError> {
        let mut url = url.to_owned();
        for _ in 0..=MAX_REDIRECTS {
            let uri: Uri = url.parse().map_err(|_| {
                bad(
                    &self.url,
                    "the server redirects to something that is not a URL".into(),
                )
            })?;
            let response = self.send(true, &uri, headers, &[], until)?;
            if !response.status().is_redirection() {
                self.accept(response.status())?;
                let kind = response
                    .headers()
                    .get("content-type")
                    .and_then(|v| v.to_str().ok());
                if kind.map(str::trim) != Some("application/x-git-upload-pack-advertisement") {
                    return Err(self.not_git());
                }
                return Ok((url, response));
            }
            url = self.redirected(&uri, &response)?;
        }
        Err(bad(
            &self.url,
            format!("the server redirected more than {MAX_REDIRECTS} times: use the final URL"),
        ))
    }

    fn post(
        &self,
        url: &str,
        headers: &[(String, String)],
        body: &[u8],
        until: Instant,
    ) -> Result<Response<ureq::Body>, SourceError> {
        let uri: Uri = url
            .parse()
            .map_err(|_| bad(&self.url, "not a URL".into()))?;
        let response = self.send(false, &uri, headers, body, until)?;
        if response.status().is_redirection() {
            return Err(self.moved(&response));
        }
        self.accept(response.status())?;
        Ok(response)
    }

    /// Where a redirect leads, if that is the same origin and still the reference list of a repository.
    fn redirected(
        &self,
        from: &Uri,
        response: &Response<ureq::Body>,
    ) -> Result<String, SourceError> {
        let target = location(response).ok_or_else(|| self.moved(response))?;
        let absolute = match target.strip_prefix('/') {
            Some(rest) if !rest.starts_with('/') => format!("{}{target}", self.url.origin()),
            _ => target,
        };
        let uri: Uri = absolute.parse().map_err(|_| self.moved(response))?;
        let stays = Origin::of(&uri).as_ref() == Some(self.url.origin())
            && Origin::of(from) == Origin::of(&uri);
        let userinfo = uri.authority().is_some_and(|a| a.as_str().contains('@'));
        // As it was parsed: a text that ends so may have all of it in its query.
        let list = uri.path().ends_with("/info/refs") && uri.query() == Some(transport::QUERY);
        if !stays || userinfo || !list || !absolute.ends_with(transport::REFS) {
            return Err(self.moved(response));
        }
        Ok(absolute)
    }

    fn moved(&self, response: &Response<ureq::Body>) -> SourceError {
        let to = location(response).map_or("nowhere".into(), |to| {
            let to = without_userinfo(&to);
            to.strip_suffix("/info/refs").unwrap_or(&to).to_owned()
        });
        bad(
            &self.url,
            format!(
                "the server redirects to {to}; redirects are not followed to another place, and credentials are never \
                     sent there: if you trust it, write that URL instead"
            ),
        )
    }

    fn accept(&self, status: StatusCode) -> Result<(), SourceError> {
        let url = self.url();
        match status.as_u16() {
            200 => Ok(()),
            status @ (401 | 403) => {
                let [none, wrong, refused] = HINTS;
                let hint = match (self.credentials(), status) {
                    (None, _) => none,
                    (Some(_), 401) => wrong,
                    (Some(_), _) => refused,
                };
                Err(SourceError::Unauthorized { url, status, hint })
            }
            404 | 410 => Err(SourceError::NotFound {
                url,
                why: format!(
                    "the server answered {} (many servers also say so to those who may not see it): check the URL and \
                     the credentials",
                    status.as_u16()
                ),
            }),
            407 => Err(self.unreachable("the proxy wants a user name and password (407)")),
            other => Err(self.unreachable(format!("the server answered {other}"))),
        }
    }

    pub(crate) fn unreachable(&self, why: impl Into<String>) -> SourceError {
        SourceError::Unreachable {
            url: self.url(),
            why: why.into(),
        }
    }

    /// The server speaks HTTP but not Git.
    fn not_git(&self) -> SourceError {
        SourceError::NotFound {
            url: self.url(),
            why: "the server answered, but not as a Git server (smart HTTP): check the path".into(),
        }
    }
}

fn read_credentials(
    url: &HttpUrl,
    from: Option<&CredentialsFrom>,
) -> Result<Option<Credentials>, SourceError> {
    let Some(from) = from else { return Ok(None) };
    let credentials = from.read()?;
    match credentials.fault() {
        Some(why) => Err(bad(url, format!("its credentials cannot be sent: {why}"))),
        None => Ok(Some(credentials)),
    }
}

/// What sends requests: own roots, client certificate, proxy, time-outs; never a redirect of its own. `url` is for error texts.
pub(crate) fn agent(
    url: &HttpUrl,
    options: &HttpOptions,
    stop: Stop,
) -> Result<ureq::Agent, SourceError> {
    let proxy = match &options.proxy {
        None => None,
        Some(text) => Some(proxy(text).ok_or_else(|| {
            bad(
                url,
                "its proxy is not usable: expected http://[USER:PASSWORD@]HOST:PORT".to_owned(),
            )
        })?),
    };
    let config = ureq::Agent::config_builder()
        .tls_config(tls::config(url, options)?)
        .proxy(proxy)
        .http_status_as_error(false)
        .max_redirects(0)
        .timeout_resolve(Some(options.connect_timeout))
        .timeout_connect(Some(options.connect_timeout))
        .timeout_per_read(Some(options.read_timeout))
        .timeout_per_write(Some(options.read_timeout))
        .user_agent(options.user_agent.clone())
        .build();
    let resolver = addresses::Guarded {
        inner: ureq::unversioned::resolver::DefaultResolver::default(),
        addresses: options.addresses,
    };
    let connector = stoppable::connector(stop);
    Ok(ureq::Agent::with_parts(config, connector, resolver))
}

fn bad(url: &HttpUrl, why: String) -> SourceError {
    SourceError::BadUrl {
        url: url.to_string(),
        why,
    }
}

fn location(response: &Response<ureq::Body>) -> Option<String> {
    response
        .headers()
        .get("location")?
        .to_str()
        .ok()
        .map(str::to_owned)
}

fn asks_for_basic(response: &Response<ureq::Body>) -> bool {
    let challenges = response.headers().get_all("www-authenticate");
    challenges
        .iter()
        .filter_map(|v| v.to_str().ok())
        .any(|v| v.trim_start().to_ascii_lowercase().starts_with("basic"))
}

/// What went wrong on the way, for a person. Texts of ureq's never repeat headers.
pub(crate) fn reason(error: &ureq::Error) -> String {
    match error {
        ureq::Error::HostNotFound => "its host name does not resolve".into(),
        ureq::Error::ConnectionFailed => "no connection to its host and port".into(),
        ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::ConnectionRefused => {
            "no connection to its host and port: refused; is the server running there?".into()
        }
        ureq::Error::Io(e) if e.kind() == std::io::ErrorKind::PermissionDenied => {
            printable(&e.to_string())
        }
        ureq::Error::Timeout(what) => format!("it did not answer in time ({what})"),
        ureq::Error::ConnectProxyFailed(_) => "the proxy refused to connect to it".into(),
        other => printable(&other.to_string()),
    }
}

fn proxy(text: &Secret) -> Option<ureq::Proxy> {
    let proxy = ureq::Proxy::new(text.expose()).ok()?;
    // Other kinds need features of the client that are not built in.
    matches!(
        proxy.protocol(),
        ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https
    )
    .then_some(proxy)
}
