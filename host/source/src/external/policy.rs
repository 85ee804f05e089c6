//! What a repository may reach through its externals, and what is shown to whom: the host's side, bounded by host and port.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use ureq::http::Uri;
use weir_core::external::{HostPort, Reference, ReferenceKind, WebUrl, is_loopback};

use crate::http::Addresses;
use crate::secret::Credentials;

/// The port of http where none is written.
const HTTP: u16 = 80;
/// The port of https where none is written.
const HTTPS: u16 = 443;
/// Why a place may not be reached.
pub(crate) const RULES: [&str; 3] = [
    "a host that runs reaches its own machine only where `hosts` names it",
    "plain http leaves this machine, which `hosts` has to name as http://HOST",
    "`hosts` does not name it",
];

/// Where externals may come from.
#[derive(Debug, Clone, Default)]
pub struct ExternalPolicy {
    /// The hosts that may be reached; `None` for all of https, and plain http on this machine.
    pub hosts: Option<Vec<HostPattern>>,
    /// Whoever pushes is not whoever has this machine: it is reached only where `hosts` names it.
    pub shared: bool,
    /// What is shown to a host, and how it is trusted.
    pub access: BTreeMap<AccessHost, ExternalAccess>,
}

/// What is shown to one host, and how it is trusted.
#[derive(Debug, Clone, Default)]
pub struct ExternalAccess {
    /// What proves who asks. Never sent to another host.
    pub credentials: Option<Credentials>,
    /// Why that could not be read: said when the host is asked, and not where the cache has all.
    pub unreadable: Option<String>,
    /// A PEM file of certificate authorities to trust besides the public ones.
    pub ca_file: Option<PathBuf>,
}

/// A host that may be reached: `HOST`, `HOST:PORT`, `*.DOMAIN`, or one of these after `http://` for plain http.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPattern {
    plain: bool,
    /// Any name below this domain, not the domain itself.
    below: bool,
    host: HostPort,
}

/// A host and its port, for credentials: without a port, https' own, or on this machine http's.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AccessHost {
    host: String,
    port: u16,
}

/// Where a request goes: what the rules are asked about.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    pub(crate) tls: bool,
    pub(crate) host: HostPort,
}

impl Origin {
    pub(crate) fn of(url: &WebUrl) -> Origin {
        Origin {
            tls: url.tls,
            host: url.host.clone(),
        }
    }

    /// Of a registry: plain http is spoken on this machine only.
    pub(crate) fn of_registry(host: &HostPort) -> Origin {
        Origin {
            tls: !is_loopback(host),
            host: host.clone(),
        }
    }

    /// Of an absolute URL; `None` where it is no plain http or https URL.
    pub(crate) fn of_uri(uri: &Uri) -> Option<Origin> {
        let tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?.as_str();
        let host = parse_host(authority)?;
        Some(Origin { tls, host })
    }

    pub(crate) fn port(&self) -> u16 {
        self.host
            .port
            .unwrap_or(if self.tls { HTTPS } else { HTTP })
    }

    /// Whether this is the same scheme, host and port.
    pub(crate) fn same(&self, other: &Origin) -> bool {
        self.tls == other.tls && self.host.host == other.host.host && self.port() == other.port()
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)
    }
}

impl ExternalPolicy {
    /// # Errors
    /// Which rule says no.
    pub(crate) fn allows(&self, origin: &Origin) -> Result<(), &'static str> {
        let [own_machine, plain, not_named] = RULES;
        match &self.hosts {
            None if self.shared && is_loopback(&origin.host) => Err(own_machine),
            None if origin.tls || is_loopback(&origin.host) => Ok(()),
            None => Err(plain),
            Some(hosts) if hosts.iter().any(|h| h.matches(origin)) => Ok(()),
            Some(_) => Err(not_named),
        }
    }

    /// The ports that what begins at an origin may have to connect to, as far as it can be said before it is asked: its
    /// own, those of `hosts`, and where there are none https' own, where registries have their archives.
    pub(crate) fn ports(&self, origin: &Origin) -> Vec<u16> {
        let mut ports = vec![origin.port()];
        match &self.hosts {
            None => ports.push(HTTPS),
            Some(hosts) => ports.extend(hosts.iter().flat_map(HostPattern::ports)),
        }
        ports.sort_unstable();
        ports.dedup();
        ports
    }

    /// Whether any port of a host that may be reached may be.
    pub(crate) fn has_any_port(&self) -> bool {
        self.hosts.is_none()
    }

    /// Where the name of an allowed origin may lead to: a repository names hosts, and who answers for a name may say that it
    /// is this machine, or one that only this machine can reach.
    pub(crate) fn addresses(&self, origin: &Origin) -> Addresses {
        match &self.hosts {
            None if is_loopback(&origin.host) => Addresses::Loopback,
            None => Addresses::Public,
            Some(hosts) if hosts.iter().any(|h| !h.below && h.matches(origin)) => Addresses::All,
            Some(_) => Addresses::Network,
        }
    }

    /// What is shown to an origin: by host and port, so that what is meant for https is not sent to http's own port.
    pub(crate) fn access(&self, origin: &Origin) -> ExternalAccess {
        let key = AccessHost::of(origin);
        self.access.get(&key).cloned().unwrap_or_default()
    }
}

impl AccessHost {
    pub(crate) fn of(origin: &Origin) -> AccessHost {
        AccessHost {
            host: origin.host.host.clone(),
            port: origin.port(),
        }
    }
}

impl HostPattern {
    /// The ports that it may mean.
    fn ports(&self) -> Vec<u16> {
        match (self.host.port, self.plain) {
            (Some(port), _) => vec![port],
            (None, true) => vec![HTTP],
            (None, false) if is_loopback(&self.host) => vec![HTTP, HTTPS],
            (None, false) => vec![HTTPS],
        }
    }

    fn matches(&self, origin: &Origin) -> bool {
        let name = if self.below {
            let below = origin.host.host.strip_suffix(self.host.host.as_str());
            below.is_some_and(|rest| rest.len() > 1 && rest.ends_with('.'))
        } else {
            origin.host.host == self.host.host
        };
        let default = if origin.tls { HTTPS } else { HTTP };
        let port = self.host.port.unwrap_or(default) == origin.port();
        // On this machine plain http needs no word of its own.
        let scheme = origin.tls != self.plain || (!origin.tls && is_loopback(&origin.host));
        name && port && scheme
    }
}

impl fmt::Display for HostPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.plain { "http://" } else { "" };
        let below = if self.below { "*." } else { "" };
        write!(f, "{scheme}{below}{}", self.host)
    }
}

impl fmt::Display for AccessHost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

impl FromStr for HostPattern {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{:?}: expected HOST, HOST:PORT or *.DOMAIN, with http:// before it for plain http",
                text.chars().take(200).collect::<String>()
            )
        };
        let (plain, rest) = match text.strip_prefix("http://") {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix("https://").unwrap_or(text)),
        };
        let (below, rest) = match rest.strip_prefix("*.") {
            Some(rest) => (true, rest),
            None => (false, rest),
        };
        let host = parse_host(rest).ok_or_else(wrong)?;
        if below && host.host.starts_with('[') {
            return Err(wrong());
        }
        Ok(HostPattern { plain, below, host })
    }
}

impl FromStr for AccessHost {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        let host = parse_host(text).ok_or_else(|| {
            format!(
                "{:?}: expected HOST or HOST:PORT, without a scheme and a path",
                text.chars().take(200).collect::<String>()
            )
        })?;
        let default = if is_loopback(&host) { HTTP } else { HTTPS };
        Ok(AccessHost {
            port: host.port.unwrap_or(default),
            host: host.host,
        })
    }
}

/// A host as references have it; `None` where it is none.
fn parse_host(text: &str) -> Option<HostPort> {
    let legal = text
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b".-_:[]".contains(&b));
    let reference: Reference = legal.then(|| format!("oci://{text}/x"))?.parse().ok()?;
    match reference.kind() {
        ReferenceKind::Oci { host, .. } => Some(host.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::of_uri(&url.parse().unwrap()).unwrap()
    }

    fn policy(hosts: &[&str]) -> ExternalPolicy {
        ExternalPolicy {
            hosts: Some(hosts.iter().map(|h| h.parse().unwrap()).collect()),
            ..ExternalPolicy::default()
        }
    }

    #[test]
    fn without_a_list_all_of_https_and_this_machine_may_be_reached() {
        let policy = ExternalPolicy::default();
        for (url, allowed) in [
            ("https://a.example/x", true),
            ("http://127.0.0.1:81/x", true),
            ("http://localhost/x", true),
            ("http://[::1]:1/x", true),
            ("http://a.example/x", false),
            ("http://169.254.169.254/latest", false),
        ] {
            assert_eq!(policy.allows(&origin(url)).is_ok(), allowed, "{url}");
        }
    }

    #[test]
    fn a_list_allows_what_it_names_and_nothing_else() {
        let policy = policy(&[
            "a.example",
            "b.example:8443",
            "*.c.example",
            "http://d.example:80",
            "127.0.0.1:5000",
        ]);
        for (url, allowed) in [
            ("https://a.example/x", true),
            ("https://A.EXAMPLE/x", true),
            ("https://a.example:444/x", false),
            ("http://a.example/x", false),
            ("https://x.a.example/x", false),
            ("https://a.example.evil/x", false),
            ("https://b.example:8443/x", true),
            ("https://b.example/x", false),
            ("https://x.c.example/x", true),
            ("https://y.x.c.example/x", true),
            ("https://c.example/x", false),
            ("https://xc.example/x", false),
            ("http://d.example/x", true),
            ("https://d.example/x", false),
            ("http://127.0.0.1:5000/x", true),
            ("http://127.0.0.1:5001/x", false),
            ("http://localhost:5000/x", false),
        ] {
            assert_eq!(policy.allows(&origin(url)).is_ok(), allowed, "{url}");
        }
    }

    #[test]
    fn a_host_that_runs_for_others_reaches_its_own_machine_only_where_a_list_names_it() {
        let mut shared = ExternalPolicy {
            shared: true,
            ..ExternalPolicy::default()
        };
        for url in [
            "http://127.0.0.1:7117/x",
            "https://localhost/x",
            "http://[::1]/x",
        ] {
            assert!(shared.allows(&origin(url)).is_err(), "{url}");
        }
        assert!(shared.allows(&origin("https://a.example/x")).is_ok());
        shared.hosts = policy(&["127.0.0.1:5000"]).hosts;
        assert!(shared.allows(&origin("http://127.0.0.1:5000/x")).is_ok());
        assert!(shared.allows(&origin("http://127.0.0.1:7117/x")).is_err());
    }

    #[test]
    fn a_name_leads_to_the_internet_alone_where_no_list_names_it() {
        let none = ExternalPolicy::default();
        let listed = policy(&["a.example", "*.c.example", "169.254.169.254"]);
        for (policy, url, addresses) in [
            (&none, "https://a.example/x", Addresses::Public),
            (&none, "https://169.254.169.254/x", Addresses::Public),
            (&none, "https://10.96.0.1/x", Addresses::Public),
            (&none, "https://a.localhost.example/x", Addresses::Public),
            (&none, "http://127.0.0.1:5000/x", Addresses::Loopback),
            (&none, "https://localhost/x", Addresses::Loopback),
            (&listed, "https://a.example/x", Addresses::All),
            (&listed, "https://169.254.169.254/x", Addresses::All),
            (&listed, "https://b.c.example/x", Addresses::Network),
        ] {
            assert_eq!(policy.addresses(&origin(url)), addresses, "{url}");
        }
    }

    #[test]
    fn what_is_no_host_is_refused() {
        for bad in [
            "", "*", "*.", "a/b", "a b", "ftp://a", "u@a", "a:0", "*.[::1]", "http://", "a?x", "a#",
        ] {
            assert!(bad.parse::<HostPattern>().is_err(), "{bad:?}");
        }
        for bad in ["", "https://a", "a/b", "*.a", "u:p@a"] {
            assert!(bad.parse::<AccessHost>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn credentials_are_of_one_host_and_port() {
        let token = Credentials::Token(crate::Secret::new("t"));
        let access = ExternalAccess {
            credentials: Some(token),
            ..ExternalAccess::default()
        };
        let policy = ExternalPolicy {
            hosts: None,
            shared: false,
            access: [("a.example".parse().unwrap(), access)].into(),
        };
        for (url, shown) in [
            ("https://a.example/x", true),
            ("https://a.example:443/x", true),
            ("https://a.example:8443/x", false),
            ("https://b.example/x", false),
            ("http://a.example/x", false),
        ] {
            assert_eq!(
                policy.access(&origin(url)).credentials.is_some(),
                shown,
                "{url}"
            );
        }
    }
}
