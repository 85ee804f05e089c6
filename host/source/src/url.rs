//! Where a repository is and which ref of it is followed: parsed once, refused early.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use ureq::http::Uri;

use crate::error::{SourceError, printable};

mod ssh;
pub use ssh::SshUrl;

/// Where a repository is.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum RepoUrl {
    /// A smart HTTP server, with or without TLS.
    Http(HttpUrl),
    /// A server that is asked through ssh.
    Ssh(SshUrl),
    /// A repository on this machine: opened in place, never fetched.
    Local(PathBuf),
}

/// An `http` or `https` URL without user, password, query and fragment.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct HttpUrl {
    origin: Origin,
    path: String,
}

/// Scheme, host and port: what credentials are bound to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct Origin {
    tls: bool,
    host: String,
    port: u16,
}

impl Origin {
    pub(crate) fn of(uri: &Uri) -> Option<Origin> {
        let tls = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = uri.host().filter(|h| !h.is_empty())?.to_ascii_lowercase();
        // The parser takes any text after the colon: a port is a number, or the URL means something else.
        let after_host = uri.authority()?.as_str().rsplit(['@', ']']).next()?;
        let port = match after_host.rsplit_once(':') {
            Some((_, port)) => port.parse().ok()?,
            None if tls => 443,
            None => 80,
        };
        Some(Origin { tls, host, port })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (scheme, default) = if self.tls {
            ("https", 443)
        } else {
            ("http", 80)
        };
        write!(f, "{scheme}://{}", self.host)?;
        if self.port == default {
            Ok(())
        } else {
            write!(f, ":{}", self.port)
        }
    }
}

impl HttpUrl {
    /// Scheme, host and port.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// The port.
    pub(crate) fn port(&self) -> u16 {
        self.origin.port
    }

    /// Whether the connection is encrypted.
    pub fn is_tls(&self) -> bool {
        self.origin.tls
    }
}

impl fmt::Display for HttpUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

impl fmt::Display for RepoUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RepoUrl::Http(url) => url.fmt(f),
            RepoUrl::Ssh(url) => url.fmt(f),
            RepoUrl::Local(path) => f.write_str(&printable(&path.to_string_lossy())),
        }
    }
}

impl RepoUrl {
    /// The path, where the repository is on this machine.
    pub fn local(&self) -> Option<&Path> {
        match self {
            RepoUrl::Local(path) => Some(path),
            RepoUrl::Http(_) | RepoUrl::Ssh(_) => None,
        }
    }
}

/// A text for error messages: without anything that may be a password. What stands before the last @ goes, wherever
/// that is: a password may hold a slash, and what is no URL has no user that could be told from the rest.
pub(crate) fn without_userinfo(text: &str) -> String {
    let (scheme, rest) = match text.find("://") {
        Some(at) => text.split_at(at + 3),
        None => ("", text),
    };
    let rest = rest.rsplit('@').next().unwrap_or(rest);
    let rest = rest.split(['?', '#']).next().unwrap_or(rest);
    printable(&format!("{scheme}{rest}"))
}

impl FromStr for RepoUrl {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        parse(text).map_err(|why| SourceError::BadUrl {
            url: without_userinfo(text),
            why,
        })
    }
}

fn parse(text: &str) -> Result<RepoUrl, String> {
    const EXPECTED: &str = "expected https://HOST/PATH, http://HOST/PATH, ssh://USER@HOST/PATH, USER@HOST:PATH or a path on \
                            this machine";
    if text.is_empty() || text.len() > 2048 {
        return Err(format!("a URL has 1 to 2048 bytes; {EXPECTED}"));
    }
    if text.chars().any(|c| c.is_control() || c == '\\') || text.starts_with('-') {
        return Err(format!(
            "a URL has no control character or backslash and does not begin with -; {EXPECTED}"
        ));
    }
    if let Some(path) = text.strip_prefix("file://") {
        let path = path.strip_prefix("localhost").unwrap_or(path);
        if !path.starts_with('/') {
            return Err("a file URL has no host: write file:///PATH or the path alone".into());
        }
        return Ok(RepoUrl::Local(path.into()));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return match scheme.to_ascii_lowercase().as_str() {
            "http" | "https" => parse_http(text).map(RepoUrl::Http),
            "ssh" => ssh::parse(rest).map(RepoUrl::Ssh),
            other => Err(format!("{other}:// is not supported; {EXPECTED}")),
        };
    }
    if let Some(short) = ssh::parse_short(text) {
        return short.map(RepoUrl::Ssh);
    }
    // `host:path` and `transport::address` have a colon before the first slash; a path with one is written ./a:b.
    if text
        .split('/')
        .next()
        .is_some_and(|first| first.contains(':'))
    {
        return Err(format!(
            "HOST:PATH (ssh needs a user) and TRANSPORT::ADDRESS are not supported; {EXPECTED} (a path with a colon as ./PATH)"
        ));
    }
    Ok(RepoUrl::Local(text.into()))
}

fn parse_http(text: &str) -> Result<HttpUrl, String> {
    if text.contains(['?', '#']) {
        return Err(
            "a repository URL has no ? or # in it: give the ref and the credentials separately"
                .into(),
        );
    }
    let uri: Uri = text.parse().map_err(|e| format!("not a URL: {e}"))?;
    if uri.authority().is_some_and(|a| a.as_str().contains('@')) {
        return Err("user and password do not belong into the URL, which is logged: give them as credentials".into());
    }
    let origin = Origin::of(&uri).ok_or("expected a host, and a port from 1 to 65535 if any")?;
    let path = uri.path();
    if path.split('/').any(|part| matches!(part, "." | "..")) {
        return Err("the path of a repository URL has no . or .. in it".into());
    }
    Ok(HttpUrl {
        origin,
        path: path.trim_end_matches('/').to_owned(),
    })
}

/// A branch, a tag, or a full ref name (`refs/...`, `HEAD`).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RefName(String);

impl RefName {
    /// The text as given.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full names that this can mean, in order of preference: a branch before a tag.
    pub(crate) fn candidates(&self) -> Vec<String> {
        if self.0 == "HEAD" || self.0.starts_with("refs/") {
            vec![self.0.clone()]
        } else {
            vec![
                format!("refs/heads/{}", self.0),
                format!("refs/tags/{}", self.0),
            ]
        }
    }

    /// A revision in which this name, with or without `~1` and the like after it, is replaced.
    pub(crate) fn replace_in(&self, rev: &str, with: &str) -> Option<String> {
        let short = |name: &str| {
            ["refs/heads/", "refs/tags/"]
                .iter()
                .find_map(|p| name.strip_prefix(p).map(String::from))
        };
        let names = [Some(self.0.clone()), short(&self.0)].into_iter().flatten();
        names
            .chain(self.candidates())
            .find_map(|name| replace(rev, &name, with))
            .or_else(|| replace_head(rev, with))
    }
}

/// A revision in which `HEAD` or `@` at its start is replaced.
pub(crate) fn replace_head(rev: &str, with: &str) -> Option<String> {
    replace(rev, "HEAD", with).or_else(|| {
        // `@{1}` asks for an older value of a ref, which only the reflog of a work tree knows.
        replace(rev, "@", with).filter(|_| !rev.starts_with("@{"))
    })
}

fn replace(rev: &str, name: &str, with: &str) -> Option<String> {
    let rest = rev.strip_prefix(name)?;
    (rest.is_empty() || rest.starts_with(['~', '^', '@', ':'])).then(|| format!("{with}{rest}"))
}

impl fmt::Display for RefName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for RefName {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let name = RefName(text.to_owned());
        let legal = |full: &String| {
            gix::validate::reference::name(full.as_str().into()).is_ok()
                && gix::refs::FullName::try_from(full.as_str()).is_ok()
        };
        if text.len() <= 255 && !text.starts_with('-') && name.candidates().iter().all(legal) {
            return Ok(name);
        }
        let why = "not a ref: expected a branch or tag such as main or v1.2.0, or a full name such as refs/heads/main \
                   (git check-ref-format says what a name may hold)";
        Err(SourceError::BadUrl {
            url: format!("ref {:?}", printable(text)),
            why: why.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_that_weir_reads_are_kept_in_one_form() {
        for (text, shown) in [
            ("https://example.com/a/b.git", "https://example.com/a/b.git"),
            ("HTTPS://Example.com:443/a/", "https://example.com/a"),
            ("http://[::1]:8080/x", "http://[::1]:8080/x"),
            ("file:///srv/git/a.git", "/srv/git/a.git"),
            ("file://localhost/srv/a", "/srv/a"),
            ("./a:b", "./a:b"),
            (".", "."),
            ("/srv/git/a.git", "/srv/git/a.git"),
        ] {
            assert_eq!(
                text.parse::<RepoUrl>().unwrap().to_string(),
                shown,
                "{text}"
            );
        }
        let port = |t: &str| match t.parse::<RepoUrl>().unwrap() {
            RepoUrl::Http(u) => u.origin,
            other => panic!("{other:?}"),
        };
        assert_eq!(port("https://a/x"), port("https://A:443/y"));
        assert_ne!(port("https://a/x"), port("http://a/x"));
        assert_ne!(port("https://a/x"), port("https://a:8443/x"));
    }

    #[test]
    fn urls_that_would_run_or_reach_something_else_are_refused() {
        for bad in [
            "",
            "-uhttps://x/y",
            "--upload-pack=touch /tmp/x",
            "git://host/x",
            "host:x",
            "ext::sh -c id",
            "fd::1",
            "ftp://host/x",
            "http://",
            "http:///x",
            "https://host:99999/x",
            "https://host/a/../b",
            "https://host/x?token=1",
            "https://host/x#y",
            "https://host\\@evil/x",
            "https://a?@b/x",
            "https://a#@b/x",
            "https://a\\@b/x",
            "https://a@b@c/x",
            "https://@b/x",
            "https://a:80@b/x",
            "https://a%40b/x",
            "https://a%2f@b/x",
            "https://a b/x",
            "https://a\tb/x",
            "https:/a/x",
            "https:a/x",
            "https://a:80:90/x",
            "https://[::1/x",
            "https://\u{ff41}.example/x",
            "https://host/x\r\nHost: evil",
            "file://host/x",
            "file://relative",
            "C:\\x",
            "a\0b",
        ] {
            assert!(bad.parse::<RepoUrl>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_password_in_a_url_is_refused_without_repeating_it() {
        for bad in [
            "https://ann:hunter2@host/x",
            "https://hunter2@host/x",
            "https://ann:hun/hunter2@host/x",
            "ssh://ann:hunter2@host/x",
            "https://host/x?token=hunter2",
            "http:/ann:hunter2@host/x",
            "ext::ann:hunter2@host/x",
        ] {
            let error = bad.parse::<RepoUrl>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let error = "https://ann:hunter2@host/x"
            .parse::<RepoUrl>()
            .unwrap_err()
            .to_string();
        assert!(error.contains("give them as credentials"), "{error}");
    }

    #[test]
    fn refs_are_valid_ref_names_only() {
        for good in [
            "main",
            "v1.2.0",
            "feature/x",
            "refs/heads/main",
            "refs/pull/1/head",
            "HEAD",
        ] {
            assert!(good.parse::<RefName>().is_ok(), "{good}");
        }
        for bad in [
            "",
            "-x",
            "a..b",
            "../x",
            "refs/heads/../../HEAD",
            "a\0b",
            "a\rb",
            "a b",
            "a:b",
            "a^",
            "a~1",
            "a?",
            "a*",
            "[a",
            "a\\b",
            "a//b",
            "/a",
            "a/",
            "a.lock",
            ".a",
            "a/.b",
            "@{u}",
            "refs/heads/",
        ] {
            assert!(bad.parse::<RefName>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn the_followed_ref_is_known_by_each_of_its_names() {
        let main: RefName = "main".parse().unwrap();
        let to = |rev: &str| main.replace_in(rev, "W");
        assert_eq!(to("main").as_deref(), Some("W"));
        assert_eq!(to("HEAD~2").as_deref(), Some("W~2"));
        assert_eq!(to("refs/heads/main^{tree}").as_deref(), Some("W^{tree}"));
        assert_eq!(to("mainline"), None);
        assert_eq!(to("@~1").as_deref(), Some("W~1"));
        assert_eq!(to("@{1}"), None);
        let full: RefName = "refs/heads/main".parse().unwrap();
        assert_eq!(full.replace_in("main", "W").as_deref(), Some("W"));
    }
}
