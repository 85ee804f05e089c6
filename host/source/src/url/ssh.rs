//! Where a repository behind ssh is: a grammar so strict that no part of it can be taken for an option or a command.

use std::fmt;

/// Who is asked for where a URL names nobody. Never whoever runs this host.
const USER: &str = "git";
/// The port of ssh.
const PORT: u16 = 22;
const MAX_USER: usize = 64;
const MAX_HOST: usize = 253;
const MAX_LABEL: usize = 63;
const MAX_PATH: usize = 1024;

/// `ssh://[USER@]HOST[:PORT]/PATH` or `USER@HOST:PATH`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct SshUrl {
    user: String,
    /// Lower case; an IPv6 address without its brackets.
    host: String,
    port: u16,
    /// From the server's root where it begins with a slash, else from the user's home.
    path: String,
}

impl SshUrl {
    /// Whom ssh logs in as.
    pub fn user(&self) -> &str {
        &self.user
    }

    /// The host, without brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// What the server is asked for.
    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The name that `known_hosts` has for host and port.
    pub fn known_as(&self) -> String {
        if self.port == PORT {
            self.host.clone()
        } else {
            format!("[{}]:{}", self.host, self.port)
        }
    }
}

impl fmt::Display for SshUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let SshUrl {
            user, host, path, ..
        } = self;
        let host = if host.contains(':') {
            &format!("[{host}]")
        } else {
            host
        };
        if !path.starts_with(['/', '~']) {
            return write!(f, "{user}@{host}:{path}");
        }
        write!(f, "ssh://{user}@{host}")?;
        if self.port != PORT {
            write!(f, ":{}", self.port)?;
        }
        if path.starts_with('~') {
            f.write_str("/")?;
        }
        f.write_str(path)
    }
}

/// What follows `ssh://`.
pub(super) fn parse(rest: &str) -> Result<SshUrl, String> {
    let (authority, path) = rest
        .find('/')
        .map(|at| rest.split_at(at))
        .ok_or("expected a path: ssh://USER@HOST/PATH")?;
    let (user, place) = match authority.rsplit_once('@') {
        Some((user, place)) => (user, place),
        None => (USER, authority),
    };
    let (host, port) = host_and_port(place)?;
    meant(user, host, port, path)
}

/// `USER@HOST:PATH`; `None` where it is not of that form at all.
pub(super) fn parse_short(text: &str) -> Option<Result<SshUrl, String>> {
    let first = text.split('/').next()?;
    let (user, rest) = text.split_at(first.find('@')?);
    let rest = &rest[1..];
    let at = if rest.starts_with('[') {
        rest.find("]:")? + 1
    } else {
        rest.find(':')?
    };
    let (host, path) = (&rest[..at], &rest[at + 1..]);
    Some(
        host_and_port(host)
            .and_then(|(host, _)| meant(user, host, PORT, path))
            .and_then(|url| {
                // `host::path` would be another program's business in git.
                if url.path.starts_with(':') {
                    Err("expected USER@HOST:PATH, with one colon".into())
                } else {
                    Ok(url)
                }
            }),
    )
}

/// As git has it: a path that begins with `/~` is one of a user's home, in either form.
fn meant(user: &str, host: &str, port: u16, path: &str) -> Result<SshUrl, String> {
    let path = match path.strip_prefix('/') {
        Some(home) if home.starts_with('~') => home,
        _ => path,
    };
    Ok(SshUrl {
        user: checked_user(user)?,
        host: checked_host(host)?,
        port,
        path: checked_path(path)?,
    })
}

fn host_and_port(place: &str) -> Result<(&str, u16), String> {
    let port = |text: &str| {
        let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
        let number = digits.then(|| text.parse().ok()).flatten();
        number
            .filter(|port| *port > 0)
            .ok_or_else(|| "expected a port from 1 to 65535 after the host's colon".to_owned())
    };
    if place.starts_with('[') {
        return match place.split_once(']') {
            Some((host, "")) => Ok((&place[..=host.len()], PORT)),
            Some((host, rest)) if rest.starts_with(':') => {
                Ok((&place[..=host.len()], port(&rest[1..])?))
            }
            _ => Err("expected [ADDRESS] or [ADDRESS]:PORT".into()),
        };
    }
    match place.split_once(':') {
        Some((host, text)) => Ok((host, port(text)?)),
        None => Ok((place, PORT)),
    }
}

fn checked_user(user: &str) -> Result<String, String> {
    if user.contains(':') {
        return Err(
            "a password does not belong into the URL, which is logged: ssh takes a key file".into(),
        );
    }
    let legal = user.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '_')
        && user.len() <= MAX_USER
        && (user.bytes()).all(|b| b.is_ascii_alphanumeric() || b"_.+-".contains(&b));
    legal.then(|| user.to_owned()).ok_or_else(|| {
        format!("expected a user of 1 to {MAX_USER} letters, digits and _ . + -, of which a letter, a digit or _ is the first")
    })
}

fn checked_host(host: &str) -> Result<String, String> {
    if let Some(address) = host.strip_prefix('[') {
        let address = address.strip_suffix(']').unwrap_or(address);
        return match address.parse::<std::net::Ipv6Addr>() {
            Ok(address) => Ok(address.to_string()),
            Err(_) => Err("expected an IPv6 address in the brackets".into()),
        };
    }
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= MAX_LABEL
            && !label.starts_with('-')
            && (label.bytes()).all(|b| b.is_ascii_alphanumeric() || b"_-".contains(&b))
    };
    if host.len() <= MAX_HOST && host.split('.').all(label) {
        Ok(host.to_ascii_lowercase())
    } else {
        Err("expected a host name of letters, digits, - and dots, no part of which begins with -, or an address".into())
    }
}

fn checked_path(path: &str) -> Result<String, String> {
    let path = path.trim_end_matches('/');
    let bare = path.trim_start_matches('/');
    if bare.is_empty() || path.len() > MAX_PATH {
        return Err(format!("expected a path of 1 to {MAX_PATH} bytes"));
    }
    if bare.starts_with('-') || bare.starts_with("~-") {
        return Err("the path of a repository does not begin with -".into());
    }
    if path.contains(|c: char| c.is_whitespace() || c.is_control() || "\\%?#".contains(c)) {
        return Err(
            "the path of a repository behind ssh has no space and none of \\ % ? #: it is taken as it is written"
                .into(),
        );
    }
    if bare.split('/').any(|part| matches!(part, "." | "..")) {
        return Err("the path of a repository URL has no . or .. in it".into());
    }
    Ok(path.to_owned())
}

#[cfg(test)]
mod tests {
    use crate::RepoUrl;

    fn ssh(text: &str) -> super::SshUrl {
        match text.parse().unwrap() {
            RepoUrl::Ssh(url) => url,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn ssh_urls_are_kept_in_one_form_that_reads_back_the_same() {
        for (text, shown) in [
            (
                "ssh://git@Example.com/a/b.git",
                "ssh://git@example.com/a/b.git",
            ),
            ("ssh://example.com/a", "ssh://git@example.com/a"),
            ("SSH://ann@example.com:22/a/", "ssh://ann@example.com/a"),
            (
                "ssh://ann@example.com:2222/a",
                "ssh://ann@example.com:2222/a",
            ),
            ("ssh://git@[::1]:2222/srv/a", "ssh://git@[::1]:2222/srv/a"),
            ("ssh://git@[0::1]/srv/a", "ssh://git@[::1]/srv/a"),
            ("ssh://git@h/~ann/a", "ssh://git@h/~ann/a"),
            ("git@h:~ann/a", "ssh://git@h/~ann/a"),
            ("git@h:/~ann/a", "ssh://git@h/~ann/a"),
            ("ssh://git@h:7/~/a", "ssh://git@h:7/~/a"),
            (
                "git@example.com:team/shop.git",
                "git@example.com:team/shop.git",
            ),
            (
                "git@example.com:/srv/shop.git",
                "ssh://git@example.com/srv/shop.git",
            ),
            ("git@[::1]:shop", "git@[::1]:shop"),
            ("a.b+c_d-e@h:x'y!z", "a.b+c_d-e@h:x'y!z"),
        ] {
            let url: RepoUrl = text.parse().unwrap();
            assert_eq!(url.to_string(), shown, "{text}");
            assert_eq!(shown.parse::<RepoUrl>().unwrap(), url, "{text}");
        }
        let url = ssh("ssh://ann@h:2222/a/b");
        assert_eq!(
            (url.user(), url.host(), url.port(), url.path()),
            ("ann", "h", 2222, "/a/b")
        );
        assert_eq!(ssh("git@h:a/b").path(), "a/b");
        assert_eq!(ssh("ssh://git@h/~ann/b").path(), "~ann/b");
    }

    #[test]
    fn known_hosts_has_a_port_in_the_name_only_where_it_is_another_one() {
        for (text, name) in [
            ("ssh://git@Host.example/a", "host.example"),
            ("ssh://git@h:2222/a", "[h]:2222"),
            ("ssh://git@[::1]/a", "::1"),
            ("ssh://git@[::1]:2222/a", "[::1]:2222"),
        ] {
            assert_eq!(ssh(text).known_as(), name, "{text}");
        }
    }

    #[test]
    fn no_part_of_an_ssh_url_can_be_an_option_or_a_command() {
        for bad in [
            // Users and hosts that ssh would take for options.
            "ssh://-oProxyCommand=touch$IFS/tmp/x/a",
            "ssh://-oProxyCommand=x@h/a",
            "ssh://git@-oProxyCommand=x/a",
            "ssh://-F@h/a",
            "ssh://-x/a",
            "-oProxyCommand=x@h:a",
            "git@-oProxyCommand=x:a",
            "git@a.-b:x",
            // Paths that git-upload-pack would take for options.
            "git@h:-x",
            "git@h:--strict",
            "git@h:~-x",
            "ssh://git@h/-x",
            "ssh://git@h//--strict",
            "ssh://git@h/~-x/a",
            // What ssh or a shell would expand or end.
            "ssh://a%b@h/a",
            "ssh://git@h%25eth0/a",
            "ssh://git@h;id/a",
            "ssh://git@$(id)/a",
            "ssh://`id`@h/a",
            "ssh://git@h'x/a",
            "ssh://git@h h/a",
            "ssh://git@h/a b",
            "ssh://git@h/a\tb",
            "ssh://git@h/a\nb",
            "ssh://git@h/a\0b",
            "ssh://git@h/a\u{a0}b",
            "ssh://git@h/a\\b",
            "ssh://git@h/a%20b",
            "ssh://git@h/a?token=1",
            "ssh://git@h/a#b",
            "ssh://git@h/a/../b",
            "git@h:../b",
            "git@h:a/./b",
            // Two hosts, no host, no path, no user.
            "ssh://git@a@b/x",
            "ssh://a?@b/x",
            "ssh://a#@b/x",
            "ssh://@h/x",
            "@h:x",
            "ssh://git@/x",
            "git@:x",
            "ssh://git@h",
            "ssh://git@h/",
            "git@h:",
            "git@h:/",
            "git@h..x:a",
            "git@h.:a",
            "git@h::a",
            "git@ext::a",
            "ssh://git@h:0/a",
            "ssh://git@h:+22/a",
            "ssh://git@h:65536/a",
            "ssh://git@h:/a",
            "ssh://git@h:22:22/a",
            "ssh://git@[::1/a",
            "ssh://git@[::1]x/a",
            "ssh://git@[::1%lo]/a",
            "ssh://git@[h]/a",
            "ssh://git@\u{e9}.example/a",
            // Other ways to say ssh.
            "git+ssh://git@h/a",
            "ssh+git://git@h/a",
            "h:a",
        ] {
            assert!(bad.parse::<RepoUrl>().is_err(), "{bad:?}");
        }
        let long = "x".repeat(2000);
        for bad in [
            format!("ssh://{long}@h/a"),
            format!("ssh://git@{long}/a"),
            format!("ssh://git@h/{long}"),
        ] {
            assert!(bad.parse::<RepoUrl>().is_err(), "{bad:.30}");
        }
    }

    #[test]
    fn a_password_in_an_ssh_url_is_refused_without_repeating_it() {
        for bad in [
            "ssh://ann:hunter2@h/x",
            "ann:hunter2@h:x",
            "ssh://ann:hun/hunter2@h/x",
            "ssh://h/x?password=hunter2",
        ] {
            let error = bad.parse::<RepoUrl>().unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
        let error = "ssh://ann:x@h/x"
            .parse::<RepoUrl>()
            .unwrap_err()
            .to_string();
        assert!(error.contains("ssh takes a key file"), "{error}");
    }
}
