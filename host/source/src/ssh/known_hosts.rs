//! `known_hosts`, read as ssh reads it and more strictly: text in, entries out, no IO.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD};
use ring::{digest, hmac};

/// How much a file may hold.
#[derive(Debug, Clone, Copy)]
pub struct KnownHostsLimits {
    /// Bytes of the file.
    pub bytes: usize,
    /// Lines, comments too.
    pub lines: usize,
    /// Bytes of one line.
    pub line_bytes: usize,
    /// Names and patterns of one line.
    pub patterns: usize,
}

impl KnownHostsLimits {
    /// What a host allows that was told nothing else.
    pub const HOST: KnownHostsLimits = KnownHostsLimits {
        bytes: 4 << 20,
        lines: 50_000,
        line_bytes: 32 << 10,
        patterns: 1_000,
    };
}

/// What cannot be read, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{line}: {why}")]
pub struct BrokenLine {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong and what was expected.
    pub why: String,
}

/// The keys of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownHosts {
    entries: Vec<Entry>,
}

/// One line: a key, and the hosts whose key it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    line: usize,
    meaning: Meaning,
    hosts: Hosts,
    key: PublicKey,
}

/// What the marker of a line says of its key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Meaning {
    /// No marker: the host's own key.
    Own,
    /// `@revoked`: never to be accepted.
    Revoked,
    /// `@cert-authority`: it signs keys of hosts.
    Authority,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Hosts {
    Patterns(Vec<Pattern>),
    /// `|1|SALT|HASH`: the HMAC-SHA1 of one name.
    Hashed {
        salt: Vec<u8>,
        hash: Vec<u8>,
    },
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    /// After a `!`: a host that matches this is not meant by the line.
    not: bool,
    text: String,
}

/// A public key as a line has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey {
    algorithm: String,
    blob: Vec<u8>,
}

impl Entry {
    /// Where it stands, from 1.
    pub fn line(&self) -> usize {
        self.line
    }

    /// What its marker says.
    pub fn meaning(&self) -> Meaning {
        self.meaning
    }

    /// Its key.
    pub fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Whether the line is about a host of this name, which is in lower case.
    pub fn names(&self, name: &str) -> bool {
        match &self.hosts {
            Hosts::Hashed { salt, hash } => {
                let key = hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, salt);
                hmac::verify(&key, name.as_bytes(), hash).is_ok()
            }
            Hosts::Patterns(patterns) => {
                let mut named = false;
                for pattern in patterns {
                    if matches(pattern.text.as_bytes(), name.as_bytes()) {
                        if pattern.not {
                            return false;
                        }
                        named = true;
                    }
                }
                named
            }
        }
    }
}

impl PublicKey {
    /// Such as `ssh-ed25519`.
    pub fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// As ssh prints it: `SHA256:...`.
    pub fn fingerprint(&self) -> String {
        let digest = digest::digest(&digest::SHA256, &self.blob);
        format!("SHA256:{}", STANDARD_NO_PAD.encode(digest))
    }
}

impl KnownHosts {
    /// The lines about a host that is known by any of these names.
    pub fn named<'a>(&'a self, names: &'a [String]) -> impl Iterator<Item = &'a Entry> {
        let named = |entry: &&Entry| names.iter().any(|name| entry.names(name));
        self.entries.iter().filter(named)
    }

    /// Whether there is no line with a key.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }
}

/// Reads a file. A line that ssh would pass over in silence is an error: what it was to say is not in force.
///
/// # Errors
/// The first line that is no entry, or the limit that the file is over, at the line where it is.
pub fn parse(text: &[u8], limits: KnownHostsLimits) -> Result<KnownHosts, BrokenLine> {
    let mut entries = Vec::new();
    if text.len() > limits.bytes {
        let why = format!("the file has more than {} bytes", limits.bytes);
        return Err(BrokenLine { line: 1, why });
    }
    for (n, line) in text.split(|b| *b == b'\n').enumerate() {
        let broken = |why: String| BrokenLine { line: n + 1, why };
        if n >= limits.lines {
            return Err(broken(format!("more than {} lines", limits.lines)));
        }
        if line.len() > limits.line_bytes {
            return Err(broken(format!(
                "the line has more than {} bytes",
                limits.line_bytes
            )));
        }
        let line = std::str::from_utf8(line).map_err(|_| broken("the line is not text".into()))?;
        let line = line.trim_matches([' ', '\t', '\r']);
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        entries.push(entry(line, n + 1, limits).map_err(broken)?);
    }
    Ok(KnownHosts { entries })
}

fn entry(text: &str, line: usize, limits: KnownHostsLimits) -> Result<Entry, String> {
    const EXPECTED: &str = "expected HOSTS KEY-TYPE KEY, as ssh-keyscan prints it, with @revoked or @cert-authority before it if any";
    if text.chars().any(|c| c.is_control() && c != '\t') {
        return Err(format!("a control character; {EXPECTED}"));
    }
    let mut words = text.split([' ', '\t']).filter(|word| !word.is_empty());
    let mut word = |what: &str| {
        words
            .next()
            .ok_or_else(|| format!("there is no {what}; {EXPECTED}"))
    };
    let mut hosts = word("host")?;
    let meaning = match hosts {
        "@revoked" => Meaning::Revoked,
        "@cert-authority" => Meaning::Authority,
        other if other.starts_with('@') => {
            return Err(format!(
                "the marker is neither @revoked nor @cert-authority; {EXPECTED}"
            ));
        }
        _ => Meaning::Own,
    };
    if meaning != Meaning::Own {
        hosts = word("host")?;
    }
    let algorithm = word("key type")?;
    let key = key(algorithm, word("key")?).map_err(|why| format!("{why}; {EXPECTED}"))?;
    let hosts = if hosts.starts_with('|') {
        hashed(hosts)?
    } else {
        Hosts::Patterns(patterns(hosts, limits.patterns)?)
    };
    Ok(Entry {
        line,
        meaning,
        hosts,
        key,
    })
}

fn hashed(text: &str) -> Result<Hosts, String> {
    let parts = text
        .strip_prefix("|1|")
        .and_then(|rest| rest.split_once('|'));
    let decoded = parts.and_then(|(salt, hash)| {
        let salt = STANDARD.decode(salt).ok()?;
        let hash = STANDARD.decode(hash).ok()?;
        // Both have the length of a SHA-1.
        (salt.len() == 20 && hash.len() == 20).then_some(Hosts::Hashed { salt, hash })
    });
    decoded.ok_or_else(|| {
        "the hashed host is not |1|SALT|HASH of 20 bytes each: make it with `ssh-keygen -H`".into()
    })
}

fn patterns(text: &str, most: usize) -> Result<Vec<Pattern>, String> {
    let mut patterns = Vec::new();
    for part in text.split(',') {
        let (not, part) = match part.strip_prefix('!') {
            Some(rest) => (true, rest),
            None => (false, part),
        };
        if part.is_empty() {
            return Err("a host of the list is empty: expected HOST,HOST,...".into());
        }
        if patterns.len() == most {
            return Err(format!("more than {most} hosts in one line"));
        }
        patterns.push(Pattern {
            not,
            text: part.to_ascii_lowercase(),
        });
    }
    Ok(patterns)
}

fn key(algorithm: &str, text: &str) -> Result<PublicKey, String> {
    if algorithm.bytes().all(|b| b.is_ascii_digit()) {
        return Err("a key of ssh 1, which no server shows any more".into());
    }
    let blob = STANDARD
        .decode(text)
        .map_err(|_| "the key is not base64".to_owned())?;
    let parts = parts(&blob);
    let named = parts.as_ref().and_then(|parts| parts.first().copied());
    if named != Some(algorithm.as_bytes()) {
        let mut why = String::from("the key is cut off, or not of the type that stands before it");
        if let Some(Ok(named)) = named.map(std::str::from_utf8) {
            let named: String = named.chars().filter(char::is_ascii_graphic).collect();
            let _ = write!(why, ", but {named:.60}");
        }
        return Err(why);
    }
    if parts.is_none_or(|parts| parts.len() < 2) {
        return Err("the key is cut off".to_owned());
    }
    Ok(PublicKey {
        algorithm: algorithm.to_owned(),
        blob,
    })
}

/// The texts that a key is made of, each after its length, the first its type; `None` where it is not all of such.
fn parts(mut blob: &[u8]) -> Option<Vec<&[u8]>> {
    let mut parts = Vec::new();
    while !blob.is_empty() {
        let (length, rest) = blob.split_first_chunk::<4>()?;
        let length = usize::try_from(u32::from_be_bytes(*length)).ok()?;
        let (part, rest) = rest.split_at_checked(length)?;
        parts.push(part);
        blob = rest;
    }
    Some(parts)
}

/// `*` is any text, `?` any one character: in steps of the two lengths, whatever the pattern.
fn matches(pattern: &[u8], name: &[u8]) -> bool {
    let (mut p, mut n) = (0, 0);
    // Where the last star stands, and how much of the name it takes so far.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some(b'*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(c) if *c == b'?' || *c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => match star {
                Some((at, taken)) => {
                    star = Some((at, taken + 1));
                    p = at + 1;
                    n = taken + 1;
                }
                None => return false,
            },
        }
    }
    pattern[p..].iter().all(|c| *c == b'*')
}

#[cfg(test)]
#[path = "known_hosts_tests.rs"]
mod tests;
