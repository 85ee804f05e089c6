//! GET for externals: every hop under the host's rules, credentials to one origin only, bodies counted, a stop heard.

use std::cell::{Cell, RefCell};
use std::io::{self, Read as _};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use ureq::http::{HeaderMap, HeaderValue, Method, Request, Response, Uri};

use super::error::{About, ExternalError};
use super::held::Held;
use super::limits::ExternalLimits;
use super::policy::{ExternalPolicy, Origin};
use crate::error::printable;
use crate::external::Watch;
use crate::http::{self, HttpOptions, Stop};
use crate::secret::Credentials;
use crate::source::FetchProgress;
use crate::url::{RepoUrl, without_userinfo};

/// What to do where a server refuses access: nothing was shown, what was shown is wrong, it may not read.
pub(crate) const HINTS: [&str; 3] = [
    "give the host credentials for it, under `access` of its externals",
    "the credentials under `access` are wrong, expired or revoked: give others",
    "the server does not let the credentials under `access` read it: give them access, or give others",
];

/// The client of one fetch of one external.
pub(crate) struct Web<'a> {
    pub(crate) about: About<'a>,
    pub(crate) limits: &'a ExternalLimits,
    pub(super) policy: &'a ExternalPolicy,
    http: &'a HttpOptions,
    /// What it was given, where it is a process of its own.
    held: Option<&'a Held>,
    stop: &'a Arc<AtomicBool>,
    progress: &'a dyn Fn(FetchProgress),
    until: Instant,
    received: Cell<u64>,
    agents: RefCell<Vec<(Origin, ureq::Agent)>>,
}

/// What is shown to the first origin of a request.
#[derive(Clone, Copy)]
pub(crate) enum Show<'s> {
    /// What the host has for that origin, if anything.
    Own,
    /// Nothing.
    Nothing,
    /// This value of the `Authorization` header.
    Header(&'s str),
}

/// What is asked for, and how much of it is taken.
pub(crate) struct Ask<'s> {
    pub(crate) url: &'s str,
    pub(crate) accept: &'s str,
    pub(crate) show: Show<'s>,
    /// Bytes of the body at most, and the limit's name.
    pub(crate) most: u64,
    pub(crate) limit: &'static str,
}

/// Where a body goes as it comes.
pub(crate) type Sink<'s> = &'s mut dyn FnMut(&[u8]) -> io::Result<()>;

/// An answer that is no redirect. The body is there where the status is 200.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Vec<u8>,
    /// Where it came from in the end, fit for error texts.
    pub(crate) url: String,
    /// Whether anything was shown.
    pub(crate) shown: bool,
    /// The origin that redirects led away to, where that is another than the first one.
    pub(crate) away: Option<Away>,
}

/// Another origin that a redirect led to. Nothing is ever shown to it.
pub(crate) struct Away {
    /// Which.
    pub(crate) origin: String,
    /// Whether the first origin was shown credentials.
    pub(crate) was_shown: bool,
}

impl<'a> Web<'a> {
    pub(crate) fn new(
        about: About<'a>,
        limits: &'a ExternalLimits,
        policy: &'a ExternalPolicy,
        http: &'a HttpOptions,
        watch: Watch<'a>,
    ) -> Web<'a> {
        (watch.progress)(FetchProgress::Connecting);
        Web {
            about,
            limits,
            policy,
            http,
            held: None,
            stop: watch.stop,
            progress: watch.progress,
            until: watch.since + limits.time,
            received: Cell::new(0),
            agents: RefCell::default(),
        }
    }

    /// The same, of a process that has just this.
    #[must_use]
    pub(crate) fn holding(self, held: &'a Held) -> Web<'a> {
        Web {
            held: Some(held),
            ..self
        }
    }

    /// What it was given, where it is a process of its own.
    pub(crate) fn held(&self) -> Option<&'a Held> {
        self.held
    }

    /// What the host shows to an origin.
    pub(crate) fn credentials(&self, origin: &Origin) -> Option<Credentials> {
        self.policy.access(origin).credentials
    }

    /// A GET that must be answered with 200.
    pub(crate) fn get(&self, ask: &Ask<'_>) -> Result<Answer, ExternalError> {
        let answer = self.ask(ask)?;
        self.accept(&answer)?;
        Ok(answer)
    }

    /// A GET, redirects followed. A token is shown again as `Basic` to a server that asks for that.
    pub(crate) fn ask(&self, ask: &Ask<'_>) -> Result<Answer, ExternalError> {
        let mut body = Vec::new();
        let answer = self.ask_into(ask, &mut |chunk| {
            body.extend_from_slice(chunk);
            Ok(())
        })?;
        Ok(Answer { body, ..answer })
    }

    /// The same, where the body of a 200 is not kept: the sink has it, piece by piece.
    pub(crate) fn ask_into(&self, ask: &Ask<'_>, sink: Sink<'_>) -> Result<Answer, ExternalError> {
        let (_, origin) = self.parsed(ask.url)?;
        let own = match ask.show {
            Show::Own => self.credentials(&origin),
            Show::Nothing | Show::Header(_) => None,
        };
        let header = match (ask.show, &own) {
            (Show::Header(value), _) => Some(value.to_owned()),
            (_, Some(credentials)) => Some(credentials.header(false)),
            _ => None,
        };
        let answer = self.follow(ask, header.as_deref(), sink)?;
        match own {
            Some(own) if answer.status == 401 && own.is_token() && asks_for(&answer, "basic") => {
                self.follow(ask, Some(&own.header(true)), sink)
            }
            _ => Ok(answer),
        }
    }

    fn follow(
        &self,
        ask: &Ask<'_>,
        header: Option<&str>,
        sink: Sink<'_>,
    ) -> Result<Answer, ExternalError> {
        let (mut uri, first) = self.parsed(ask.url)?;
        let mut origin = first.clone();
        for _ in 0..=self.limits.redirects {
            self.policy
                .allows(&origin)
                .map_err(|why| self.about.not_allowed(origin.to_string(), why))?;
            let given = header.filter(|_| origin.same(&first));
            let response = self.send(&uri, &origin, &Method::GET, (ask.accept, &[]), given)?;
            if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                let answer = self.answer(ask, &uri, (response, given.is_some()), sink)?;
                let away = (!origin.same(&first)).then(|| Away {
                    origin: origin.to_string(),
                    was_shown: header.is_some(),
                });
                return Ok(Answer { away, ..answer });
            }
            let (to, next) = self.redirected(&uri, &origin, &response)?;
            (uri, origin) = (to, next);
        }
        let most = self.limits.redirects;
        let url = without_userinfo(ask.url);
        Err(self.about.limit(
            "redirects",
            format!("{url} redirects more than {most} times"),
        ))
    }

    pub(super) fn send(
        &self,
        uri: &Uri,
        origin: &Origin,
        method: &Method,
        (media_type, body): (&str, &[u8]),
        header: Option<&str>,
    ) -> Result<Response<ureq::Body>, ExternalError> {
        let url = shown(uri);
        let left = self.until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.about.unreachable(&url, self.late()));
        }
        let is_direct = self.http.proxy.is_none();
        if let Some(held) = self.held.filter(|_| is_direct) {
            let why = held.lets_through(origin.port());
            why.map_err(|why| self.about.unreachable(&url, why))?;
        }
        let agent = self.agent(origin)?;
        // As it is: digests are of what the server keeps, not of a form of it for the way.
        let mut request = Request::builder()
            .method(method)
            .uri(uri)
            .header("accept-encoding", "identity");
        // What is got or asked about is named by what is taken, what is sent by what it is.
        let is_sent = method == Method::POST || method == Method::PUT;
        let name = if is_sent { "content-type" } else { "accept" };
        request = request.header(name, media_type);
        if let Some(header) = header {
            let mut value = HeaderValue::from_str(header)
                .or_else(|_| HeaderValue::from_bytes(header.as_bytes()))
                .map_err(|_| {
                    self.about.unreachable(
                        &url,
                        "the host's credentials for it do not fit into a header",
                    )
                })?;
            value.set_sensitive(true);
            request = request.header("authorization", value);
        }
        let failed = |e: ureq::Error| self.failed(&url, http::reason(&e));
        if is_sent {
            let request = request.body(body).map_err(|e| failed(e.into()))?;
            let request = agent.configure_request(request);
            return agent
                .run(request.timeout_global(Some(left)).build())
                .map_err(failed);
        }
        let request = request.body(()).map_err(|e| failed(e.into()))?;
        let request = agent.configure_request(request);
        agent
            .run(request.timeout_global(Some(left)).build())
            .map_err(failed)
    }

    fn failed(&self, url: &str, why: String) -> ExternalError {
        if self.stop.load(Ordering::Relaxed) {
            self.about.stopped()
        } else if Instant::now() >= self.until {
            self.about.unreachable(url, self.late())
        } else {
            self.about.unreachable(url, why)
        }
    }

    fn late(&self) -> String {
        let seconds = self.limits.time.as_secs();
        format!("it took longer than {seconds} s in all (limit: time)")
    }

    fn answer(
        &self,
        ask: &Ask<'_>,
        uri: &Uri,
        (response, was_shown): (Response<ureq::Body>, bool),
        sink: Sink<'_>,
    ) -> Result<Answer, ExternalError> {
        let url = shown(uri);
        let (parts, body) = response.into_parts();
        let mut taken = 0_u64;
        if parts.status == 200 {
            let mut reader = body.into_reader();
            let mut chunk = vec![0; 64 << 10];
            loop {
                if self.stop.load(Ordering::Relaxed) {
                    return Err(self.about.stopped());
                }
                let read = reader.read(&mut chunk).map_err(|e| {
                    let why = printable(&e.to_string());
                    self.failed(&url, format!("its answer broke off: {why}"))
                })?;
                if read == 0 {
                    break;
                }
                taken += read as u64;
                if taken > ask.most {
                    let most = ask.most;
                    return Err(self
                        .about
                        .limit(ask.limit, format!("{url} has more than {most} bytes")));
                }
                sink(&chunk[..read]).map_err(|e| self.about.host("keeping what came", e))?;
                self.received.set(self.received.get() + read as u64);
                (self.progress)(FetchProgress::Receiving {
                    bytes: self.received.get(),
                });
            }
        }
        Ok(Answer {
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: Vec::new(),
            url,
            shown: was_shown,
            away: None,
        })
    }

    /// What any status but 200 means.
    pub(crate) fn accept(&self, answer: &Answer) -> Result<(), ExternalError> {
        let url = &answer.url;
        match answer.status {
            200 => Ok(()),
            status @ (401 | 403) => Err(self.unauthorized(url, status, answer.shown)),
            404 | 410 => Err(self.about.not_found(format!(
                "{url} is not there ({}): check its spelling (some servers also say so to those who may not see it)",
                answer.status
            ))),
            407 => Err(self
                .about
                .unreachable(url, "the proxy wants a user name and password (407)")),
            429 => Err(self
                .about
                .unreachable(url, "it answered 429: too many requests for now; credentials may raise its limit")),
            other => Err(self.about.unreachable(url, format!("it answered {other}"))),
        }
    }

    pub(crate) fn unauthorized(&self, url: &str, status: u16, shown: bool) -> ExternalError {
        let [none, wrong, refused] = HINTS;
        ExternalError::Unauthorized {
            reference: self.about.0.to_owned(),
            url: url.to_owned(),
            status,
            hint: match (shown, status) {
                (false, _) => none,
                (true, 401) => wrong,
                (true, _) => refused,
            },
        }
    }

    /// Where a redirect leads: never from https to plain http.
    pub(super) fn redirected(
        &self,
        from: &Uri,
        origin: &Origin,
        response: &Response<ureq::Body>,
    ) -> Result<(Uri, Origin), ExternalError> {
        let location = response
            .headers()
            .get("location")
            .and_then(|v| v.to_str().ok());
        let url = shown(from);
        let location =
            location.ok_or_else(|| self.about.unreachable(&url, "it redirects to nowhere"))?;
        let (to, next) = self.parsed(&resolved(from, location))?;
        if origin.tls && !next.tls {
            let why = format!("it redirects from https to {next}, which is not followed");
            return Err(self.about.unreachable(&url, why));
        }
        Ok((to, next))
    }

    /// The URL and its origin. One with a user, or of another scheme, is refused.
    pub(crate) fn parsed(&self, url: &str) -> Result<(Uri, Origin), ExternalError> {
        parsed(self.about, url)
    }

    fn agent(&self, origin: &Origin) -> Result<ureq::Agent, ExternalError> {
        if let Some((_, agent)) = self.agents.borrow().iter().find(|(o, _)| o.same(origin)) {
            return Ok(agent.clone());
        }
        let access = self.policy.access(origin);
        if let Some(why) = access.unreadable {
            return Err(self.about.unreachable(&origin.to_string(), why));
        }
        let mut options = self.http.clone();
        options.ca_file = access.ca_file.or(options.ca_file);
        options.addresses = self.policy.addresses(origin);
        let parsed = origin.to_string().parse();
        let url = match parsed.map_err(|e| self.about.source(e))? {
            RepoUrl::Http(url) => url,
            RepoUrl::Local(_) | RepoUrl::Ssh(_) => {
                return Err(self
                    .about
                    .refused(format!("{origin} is no http or https URL")));
            }
        };
        if let Some(why) = self
            .credentials(origin)
            .as_ref()
            .and_then(Credentials::fault)
        {
            let why = format!("the host's credentials for it cannot be sent: {why}");
            return Err(self.about.unreachable(&origin.to_string(), why));
        }
        let stop = Stop::default();
        stop.follow(self.stop);
        let agent = http::agent(&url, &options, stop).map_err(|e| self.about.source(e))?;
        self.agents
            .borrow_mut()
            .push((origin.clone(), agent.clone()));
        Ok(agent)
    }
}

/// A URL and its origin. One with a user, or of another scheme, is refused.
pub(crate) fn parsed(about: About<'_>, url: &str) -> Result<(Uri, Origin), ExternalError> {
    let uri: Option<Uri> = url.split('#').next().unwrap_or(url).parse().ok();
    let both = uri.and_then(|uri| Origin::of_uri(&uri).map(|origin| (uri, origin)));
    both.ok_or_else(|| {
        about.refused(format!(
            "it leads to {}: expected an http or https URL without user and password",
            without_userinfo(url)
        ))
    })
}

/// Whether a refusal asks for a scheme of authentication.
pub(crate) fn asks_for(answer: &Answer, scheme: &str) -> bool {
    challenges(answer).any(|c| {
        c.get(..scheme.len())
            .is_some_and(|s| s.eq_ignore_ascii_case(scheme))
    })
}

/// What a refusal asks for.
pub(crate) fn challenges(answer: &Answer) -> impl Iterator<Item = &str> {
    let values = answer.headers.get_all("www-authenticate").iter();
    values.filter_map(|v| v.to_str().ok()).map(str::trim)
}

/// A URL for people: without a query, which may hold a signature.
pub(super) fn shown(uri: &Uri) -> String {
    without_userinfo(&uri.to_string())
}

/// A location as it is meant at a URL.
pub(crate) fn resolved(from: &Uri, location: &str) -> String {
    let scheme = from.scheme_str().unwrap_or("https");
    let authority = from.authority().map_or("", |a| a.as_str());
    if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let dir = from.path().rsplit_once('/').map_or("", |(dir, _)| dir);
        format!("{scheme}://{authority}{dir}/{location}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_location_is_absolute_or_meant_from_where_it_stands() {
        let from: Uri = "https://h:1/a/b?x=1".parse().unwrap();
        for (location, expected) in [
            ("https://other/x", "https://other/x"),
            ("//other/x", "https://other/x"),
            ("/x", "https://h:1/x"),
            ("x/y?z", "https://h:1/a/x/y?z"),
        ] {
            assert_eq!(resolved(&from, location), expected);
        }
    }
}
