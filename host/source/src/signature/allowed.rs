//! The file `allowed_signers` of OpenSSH: which SSH keys may sign, for what, from when and until when.
//!
//! Times without a `Z` are taken as UTC, so that every host judges alike. `cert-authority` is refused.

use jiff::civil::DateTime;
use jiff::tz::TimeZone;
use ssh_key::PublicKey;
use ssh_key::public::KeyData;

use super::ssh;
use crate::error::printable;

/// The most bytes of a file.
const MAX_BYTES: usize = 1 << 20;
/// The most lines of a file.
const MAX_LINES: usize = 10_000;

/// One line: a key, and what it counts for.
#[derive(Debug)]
pub(super) struct Allowed {
    /// Whose it is, as the file says.
    pub(super) principals: String,
    /// The key.
    pub(super) key: KeyData,
    /// What it may sign; all where the line does not say it.
    namespaces: Option<String>,
    /// The first second at which it counts.
    after: Option<i64>,
    /// The last one.
    before: Option<i64>,
}

impl Allowed {
    /// Whether the key may sign what was made for this, at that time; why not.
    pub(super) fn allows(&self, namespace: &str, at: i64) -> Result<(), NotAllowed> {
        if let Some(namespaces) = self.namespaces.as_ref().filter(|n| !lists(n, namespace)) {
            return Err(NotAllowed::Namespace(namespaces.clone()));
        }
        match (self.after, self.before) {
            (Some(after), _) if at < after => Err(NotAllowed::Before(after)),
            (_, Some(before)) if at > before => Err(NotAllowed::After(before)),
            _ => Ok(()),
        }
    }
}

/// Why a line's key does not count for a signature.
pub(super) enum NotAllowed {
    /// It signs other things: the line's namespaces.
    Namespace(String),
    /// It counts from then on.
    Before(i64),
    /// It counted until then.
    After(i64),
}

/// All lines of a file.
pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Vec<Allowed>, String> {
    if bytes.len() > MAX_BYTES {
        return Err(format!(
            "{file}: {} bytes: expected at most {MAX_BYTES}",
            bytes.len()
        ));
    }
    let text = std::str::from_utf8(bytes)
        .map_err(|_| format!("{file}: expected text, as in allowed_signers of ssh-keygen(1)"))?;
    let mut all = Vec::new();
    for (n, line) in text.lines().enumerate() {
        if n >= MAX_LINES {
            return Err(format!("{file}: expected at most {MAX_LINES} lines"));
        }
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            continue;
        }
        let parsed = one(trimmed);
        let column = line.len() - line.trim_start().len() + 1;
        all.push(parsed.map_err(|(at, why)| format!("{file}:{}:{}: {why}", n + 1, column + at))?);
    }
    if all.is_empty() {
        return Err(format!(
            "{file}: it lists no key; expected lines such as: ann@example.com ssh-ed25519 AAAA..."
        ));
    }
    Ok(all)
}

/// What is wrong, and how many bytes into the line.
type Wrong = (usize, String);

fn one(line: &str) -> Result<Allowed, Wrong> {
    let (principals, mut rest) =
        field(line).ok_or_else(|| (0, "a quote that begins here does not end".to_owned()))?;
    let place = |rest: &str| line.len() - rest.len();
    let mut options = Options::default();
    if !is_key(rest) {
        let at = place(rest);
        let (text, after) =
            field(rest).ok_or_else(|| (at, "a quote in the options does not end".to_owned()))?;
        options = Options::parse(text).map_err(|why| (at, why))?;
        rest = after;
    }
    if !is_key(rest) {
        let why = "expected a key: its type, such as ssh-ed25519, and its base64";
        return Err((place(rest), why.to_owned()));
    }
    let key = PublicKey::from_openssh(rest)
        .map_err(|e| (place(rest), format!("the key cannot be read: {e}")))?;
    let key = KeyData::from(key);
    ssh::strong(&key).map_err(|why| (place(rest), why))?;
    Ok(Allowed {
        principals: printable(unquoted(principals)),
        key,
        namespaces: options.namespaces,
        after: options.after,
        before: options.before,
    })
}

/// The text up to the next white space that is in no quotes, and what comes after.
fn field(text: &str) -> Option<(&str, &str)> {
    let mut quoted = false;
    for (at, c) in text.char_indices() {
        match c {
            '"' => quoted = !quoted,
            ' ' | '\t' if !quoted => return Some((&text[..at], text[at..].trim_start())),
            _ => {}
        }
    }
    (!quoted).then_some((text, ""))
}

fn unquoted(text: &str) -> &str {
    let inner = text.strip_prefix('"').and_then(|t| t.strip_suffix('"'));
    inner.unwrap_or(text)
}

fn is_key(text: &str) -> bool {
    let name = text.split([' ', '\t']).next().unwrap_or_default();
    let known = ["ssh-", "ecdsa-sha2-", "sk-ssh-", "sk-ecdsa-", "rsa-sha2-"];
    known.iter().any(|known| name.starts_with(known)) && !name.contains(['=', ','])
}

#[derive(Default)]
struct Options {
    namespaces: Option<String>,
    after: Option<i64>,
    before: Option<i64>,
}

impl Options {
    fn parse(mut text: &str) -> Result<Options, String> {
        let mut options = Options::default();
        while !text.is_empty() {
            let mut quoted = false;
            let end = text.find(|c: char| {
                quoted ^= c == '"';
                c == ',' && !quoted
            });
            let (one, rest) = match end {
                Some(end) => (&text[..end], &text[end + 1..]),
                None => (text, ""),
            };
            text = rest;
            options.take(one)?;
        }
        Ok(options)
    }

    fn take(&mut self, option: &str) -> Result<(), String> {
        let (name, value) = match option.split_once('=') {
            Some((name, value)) => (name, Some(value)),
            None => (option, None),
        };
        let name = name.to_ascii_lowercase();
        if name == "cert-authority" {
            return Err(
                "cert-authority: Weir does not check SSH certificates; list the keys themselves"
                    .to_owned(),
            );
        }
        let quoted = value.and_then(|v| v.strip_prefix('"')?.strip_suffix('"'));
        let known = ["namespaces", "valid-after", "valid-before"];
        let (true, Some(value)) = (known.contains(&name.as_str()), quoted) else {
            return Err(format!(
                "{:?}: expected a key, or options before it: namespaces=\"git\", valid-after=\"20260101Z\", valid-before=\"20270101Z\"",
                printable(option)
            ));
        };
        let twice = match name.as_str() {
            "namespaces" => self.namespaces.replace(printable(value)).is_some(),
            "valid-after" => self.after.replace(time(value)?).is_some(),
            _ => self.before.replace(time(value)?).is_some(),
        };
        if twice {
            return Err(format!("{name} stands there twice"));
        }
        if let (Some(after), Some(before)) = (self.after, self.before)
            && before < after
        {
            return Err("valid-before lies before valid-after: the key never counts".to_owned());
        }
        Ok(())
    }
}

/// `YYYYMMDD[HHMM[SS]][Z]`, in seconds since 1970.
fn time(text: &str) -> Result<i64, String> {
    let wrong = || {
        format!(
            "{:?}: expected a time as YYYYMMDD, YYYYMMDDHHMM or YYYYMMDDHHMMSS, in UTC, with or without a Z after it",
            printable(text)
        )
    };
    let digits = text.strip_suffix('Z').unwrap_or(text);
    if !digits.bytes().all(|b| b.is_ascii_digit()) || ![8, 12, 14].contains(&digits.len()) {
        return Err(wrong());
    }
    let number = |from: usize, to: usize| digits.get(from..to).map_or("00", |text| text);
    let number = |from, to| number(from, to).parse::<i8>().unwrap_or(-1);
    let year = digits[..4].parse::<i16>().map_err(|_| wrong())?;
    let at = DateTime::new(
        year,
        number(4, 6),
        number(6, 8),
        number(8, 10),
        number(10, 12),
        number(12, 14),
        0,
    );
    let at = at.and_then(|at| TimeZone::UTC.to_timestamp(at));
    at.map(|at| at.as_second()).map_err(|_| wrong())
}

/// Whether a list of patterns, separated by commas, has a name: any that matches, and none with a `!` before it.
fn lists(patterns: &str, name: &str) -> bool {
    let mut found = false;
    for pattern in patterns.split(',').map(str::trim) {
        match pattern.strip_prefix('!') {
            Some(not) if matches(not, name) => return false,
            Some(_) => {}
            None => found |= matches(pattern, name),
        }
    }
    found
}

/// `*` is any text and `?` any character.
fn matches(pattern: &str, name: &str) -> bool {
    let name: Vec<char> = name.chars().collect();
    let mut open = vec![false; name.len() + 1];
    open[0] = true;
    for p in pattern.chars() {
        let mut next = vec![false; name.len() + 1];
        for at in 0..=name.len() {
            if p == '*' {
                next[at] = open[at] || (at > 0 && next[at - 1]);
            } else if at > 0 && open[at - 1] {
                next[at] = p == '?' || p == name[at - 1];
            }
        }
        open = next;
    }
    open[name.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str =
        "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAILM+rvN+ot98qgEN796jTiQfZfG1KaT0PtFDJ/XFSqti";

    #[test]
    fn lines_are_read_as_openssh_reads_them() {
        let text = format!(
            "# people\n\nann@e {KEY}\n\"b c@e,d@e\" namespaces=\"git,file\" {KEY} a comment\n  *@e Valid-After=\"20260102\",valid-before=\"202601020304Z\" {KEY}\n"
        );
        let all = parse("f", text.as_bytes()).unwrap();
        let principals: Vec<&str> = all.iter().map(|a| a.principals.as_str()).collect();
        assert_eq!(principals, ["ann@e", "b c@e,d@e", "*@e"]);
        assert!(all[0].allows("git", 0).is_ok());
        assert!(all[1].allows("git", 0).is_ok() && all[1].allows("x", 0).is_err());
        let (after, before) = (1_767_312_000, 1_767_323_040);
        assert_eq!((all[2].after, all[2].before), (Some(after), Some(before)));
        for (at, is) in [
            (after - 1, false),
            (after, true),
            (before, true),
            (before + 1, false),
        ] {
            assert_eq!(all[2].allows("git", at).is_ok(), is, "{at}");
        }
    }

    #[test]
    fn what_no_line_says_is_refused_at_its_place() {
        let small = "ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAQQDZ";
        for (text, expected) in [
            (String::new(), "f: it lists no key"),
            ("# x\n".to_owned(), "f: it lists no key"),
            ("ann@e\n".to_owned(), "f:1:6: expected a key"),
            (
                format!("ann@e x {KEY}"),
                "f:1:7: \"x\": expected a key, or options",
            ),
            (format!("\"ann@e {KEY}"), "f:1:1: a quote that begins here"),
            (
                format!("a@e {KEY}\n ann@e cert-authority {KEY}"),
                "f:2:8: cert-authority: Weir does not check SSH certificates",
            ),
            (
                format!("ann@e namespaces=git {KEY}"),
                "expected a key, or options",
            ),
            (
                format!("ann@e namespaces=\"a\",namespaces=\"b\" {KEY}"),
                "twice",
            ),
            (
                format!("ann@e valid-after=\"2026\" {KEY}"),
                "expected a time",
            ),
            (
                format!("ann@e valid-after=\"20261301\" {KEY}"),
                "expected a time",
            ),
            (
                format!("ann@e valid-after=\"20260102\",valid-before=\"20260101\" {KEY}"),
                "the key never counts",
            ),
            (format!("ann@e {KEY}x"), "f:1:7: the key cannot be read"),
            (format!("ann@e {small}"), "f:1:7: "),
            ("ann@e ssh-dss AAAAB3NzaC1kc3MAAACBAP".to_owned(), "f:1:7: "),
        ] {
            let error = parse("f", text.as_bytes()).unwrap_err();
            assert!(error.contains(expected), "{text}: {error}");
        }
        assert!(parse("f", b"\xff\n").unwrap_err().contains("expected text"));
        let long = vec![b'#'; MAX_BYTES + 1];
        assert!(parse("f", &long).unwrap_err().contains("at most"));
        let many = "#\n".repeat(MAX_LINES + 1);
        assert!(parse("f", many.as_bytes()).unwrap_err().contains("lines"));
    }

    #[test]
    fn namespaces_are_patterns() {
        for (patterns, is) in [
            ("git", true),
            ("file,git", true),
            ("g*", true),
            ("gi?", true),
            ("*,!git", false),
            ("!git,*", false),
            ("file", false),
            ("gitx", false),
            ("", false),
        ] {
            assert_eq!(lists(patterns, "git"), is, "{patterns}");
        }
    }
}
