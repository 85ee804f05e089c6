//! An image as it is written: `[REGISTRY/]NAME[:TAG][@DIGEST]`, by the grammar of the OCI's reference implementation.

/// The parts of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Reference<'a> {
    /// Registry and path, as written.
    pub(crate) name: &'a str,
    pub(crate) tag: Option<&'a str>,
    pub(crate) digest: Option<&'a str>,
}

impl<'a> Reference<'a> {
    /// The parts, where it is an image.
    pub(crate) fn parse(text: &'a str) -> Option<Reference<'a>> {
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        // A colon before the last slash belongs to a registry's port.
        let last = rest.rfind('/').map_or(0, |at| at + 1);
        let (name, tag) = match rest.get(last..)?.split_once(':') {
            Some((own, tag)) => (rest.get(..last + own.len())?, Some(tag)),
            None => (rest, None),
        };
        let is_sound = is_name(name) && tag.is_none_or(is_tag) && digest.is_none_or(is_digest);
        is_sound.then_some(Reference { name, tag, digest })
    }
}

/// Parts with slashes between them: the first may be a registry, the others are lower case.
pub(crate) fn is_name(name: &str) -> bool {
    let mut parts = name.split('/').peekable();
    let first = parts.next().unwrap_or_default();
    let has_more = parts.peek().is_some();
    let is_first = if has_more {
        is_registry(first) || is_part(first)
    } else {
        is_part(first)
    };
    name.len() <= 512 && is_first && parts.all(is_part)
}

/// A host with an optional port. An address of IPv6 stands in brackets.
fn is_registry(text: &str) -> bool {
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (text, None),
    };
    let is_port =
        port.is_none_or(|port| !port.is_empty() && port.bytes().all(|b| b.is_ascii_digit()));
    let is_address = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .is_some_and(|host| host.bytes().all(|b| b.is_ascii_hexdigit() || b == b':'));
    let is_label = |label: &str| {
        let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-';
        !label.is_empty()
            && !label.starts_with('-')
            && !label.ends_with('-')
            && label.bytes().all(plain)
    };
    is_port && (is_address || host.split('.').all(is_label))
}

/// One part of a path: letters and digits, with `.`, `_`, `__` or dashes between them.
fn is_part(part: &str) -> bool {
    let is_plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let mut run = String::new();
    for byte in part.bytes() {
        if is_plain(byte) {
            run.clear();
        } else if matches!(byte, b'.' | b'_' | b'-') {
            run.push(char::from(byte));
            let is_separator =
                matches!(run.as_str(), "." | "_" | "__") || run.bytes().all(|b| b == b'-');
            if !is_separator {
                return false;
            }
        } else {
            return false;
        }
    }
    let ends = part.bytes().next().zip(part.bytes().next_back());
    ends.is_some_and(|(first, last)| is_plain(first) && is_plain(last))
}

pub(crate) fn is_tag(tag: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    tag.len() <= 128
        && tag.bytes().next().is_some_and(is_word)
        && tag.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

pub(crate) fn is_digest(digest: &str) -> bool {
    let Some((algorithm, hex)) = digest.split_once(':') else {
        return false;
    };
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => return false,
    };
    hex.len() == length && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}
