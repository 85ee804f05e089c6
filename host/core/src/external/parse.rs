//! A reference's text, read strictly: what is not understood is refused, so that it never means something else later.

use super::{HostPort, MAX_REFERENCE, ReferenceKind, WebUrl};

/// The longest version, ref or chart name, in bytes.
const MAX_VALUE: usize = 255;

/// Whether plain http to this host stays on this machine.
pub fn is_loopback(host: &HostPort) -> bool {
    matches!(host.host.as_str(), "127.0.0.1" | "localhost" | "[::1]")
}

/// What a text stands for, or what is wrong with it.
pub(super) fn kind(text: &str) -> Result<ReferenceKind, String> {
    if text.len() > MAX_REFERENCE {
        return Err(format!("it is longer than {MAX_REFERENCE} bytes"));
    }
    if !text.bytes().all(|b| b.is_ascii_graphic() && b != b'\\') {
        return Err("it holds a blank, a backslash or a character that is not ASCII".to_owned());
    }
    if text.contains('#') {
        return Err("it has a #".to_owned());
    }
    let (scheme, rest) = text.split_once("://").ok_or("it has no ://")?;
    let (place, query) = rest.split_once('?').unwrap_or((rest, ""));
    let (authority, path) = place.find('/').map_or((place, ""), |at| place.split_at(at));
    let host = registry_host(authority)?;
    let path = path.trim_end_matches('/');
    let web = |tls| web_url(tls, host.clone(), path);
    match scheme {
        "oci" => {
            let [version] = values(query, ["version"])?;
            let path = registry_name(path.trim_start_matches('/'))?.to_owned();
            Ok(ReferenceKind::Oci {
                host,
                path,
                version,
            })
        }
        "helm+https" | "helm+http" => {
            let [chart, version] = values(query, ["chart", "version"])?;
            let legal = |b: u8| b.is_ascii_alphanumeric() || b"._-".contains(&b);
            if chart.is_empty() || chart.starts_with('.') || !chart.bytes().all(legal) {
                return Err("chart= has to name a chart: letters, digits and . _ -".to_owned());
            }
            Ok(ReferenceKind::Chart {
                url: web(scheme == "helm+https")?,
                chart,
                version,
            })
        }
        "git+https" | "git+http" => {
            let [revision] = values(query, ["ref"])?;
            let url = web(scheme == "git+https")?;
            if url.path.is_empty() {
                return Err("it has no path".to_owned());
            }
            Ok(ReferenceKind::Git { url, revision })
        }
        other => Err(format!("{other:?} is no kind of external")),
    }
}

/// The host of a URL, and the port where one is written.
pub(crate) fn registry_host(authority: &str) -> Result<HostPort, String> {
    if authority.contains('@') {
        return Err(
            "user and password do not belong into it: the host has credentials, by its own file"
                .to_owned(),
        );
    }
    let after = authority.rfind(']').map_or(0, |at| at + 1);
    let (host, port) = match authority[after..].find(':') {
        Some(at) => {
            let (host, port) = authority.split_at(after + at);
            let digits = &port[1..];
            let number = digits.bytes().all(|b| b.is_ascii_digit());
            let port = digits.parse().ok().filter(|p| number && *p > 0);
            (
                host,
                Some(port.ok_or("a port is a number from 1 to 65535")?),
            )
        }
        None => (authority, None),
    };
    let name = |h: &str| {
        !h.starts_with(['.', '-'])
            && h.bytes()
                .all(|b| b.is_ascii_alphanumeric() || b".-_".contains(&b))
    };
    let address = |h: &str| {
        let inner = h.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
        inner.is_some_and(|a| a.parse::<std::net::Ipv6Addr>().is_ok())
    };
    if host.is_empty() || host.len() > 253 || !(name(host) || address(host)) {
        return Err(format!("{host:?} is no host"));
    }
    Ok(HostPort {
        host: host.to_ascii_lowercase(),
        port,
    })
}

fn web_url(tls: bool, host: HostPort, path: &str) -> Result<WebUrl, String> {
    let parts = path.split('/').skip(1);
    for part in parts {
        let plain =
            percent_decoded(part).ok_or("a % in its path is not followed by two hex digits")?;
        if part.is_empty() || plain == "." || plain == ".." || plain.contains(['/', '\0']) {
            return Err("its path has an empty part, . or ..".to_owned());
        }
    }
    Ok(WebUrl {
        tls,
        host,
        path: path.to_owned(),
    })
}

/// The values of the known keys, empty where one is left out; anything else is refused.
fn values<const N: usize>(query: &str, keys: [&str; N]) -> Result<[String; N], String> {
    let mut found: [Option<String>; N] = std::array::from_fn(|_| None);
    for pair in query.split('&').filter(|p| !p.is_empty()) {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        let at = keys.iter().position(|k| *k == key);
        let slot = at
            .map(|at| &mut found[at])
            .ok_or_else(|| format!("{key:?} is no key of it: expected {}", keys.join(" and ")))?;
        let value = percent_decoded(value)
            .filter(|v| v.len() <= MAX_VALUE && v.bytes().all(|b| (b' '..=b'~').contains(&b)))
            .ok_or_else(|| {
                format!("the value of {key}: expected at most {MAX_VALUE} bytes of ASCII, with %XX for what a URL does not take")
            })?;
        if slot.replace(value).is_some() {
            return Err(format!("{key} is there twice"));
        }
    }
    Ok(found.map(Option::unwrap_or_default))
}

/// The text behind `%XX`; `None` where a `%` is not followed by two hex digits, or the bytes are no UTF-8.
pub(super) fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' {
            let mut digit = || char::from(bytes.next()?).to_digit(16);
            let value = digit()? * 16 + digit()?;
            out.push(u8::try_from(value).ok()?);
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

/// The name of a repository in a registry.
pub(crate) fn registry_name(path: &str) -> Result<&str, String> {
    match is_repository_name(path) {
        true => Ok(path),
        false => Err(format!(
            "{path:?} is no name in a registry: expected lower-case letters and digits, with . _ - between, in parts with /"
        )),
    }
}

/// The grammar of names in the OCI distribution specification.
fn is_repository_name(path: &str) -> bool {
    let part = |part: &str| {
        let word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
        let bytes = part.as_bytes();
        let edges =
            bytes.first().copied().is_some_and(word) && bytes.last().copied().is_some_and(word);
        // Between words: one dot, one or two underscores, or any number of dashes.
        let between = part.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
        let mut between = between.filter(|s| !s.is_empty());
        edges && between.all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
    };
    path.len() <= 255 && path.split('/').all(part)
}
