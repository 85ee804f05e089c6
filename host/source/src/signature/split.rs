//! A commit's bytes without its signature, and the signature.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weir_core::commit_policy::Unsigned;

/// The most bytes of a signature.
const MAX_SIGNATURE: usize = 64 << 10;

const SSH: (&str, &str) = (
    "-----BEGIN SSH SIGNATURE-----",
    "-----END SSH SIGNATURE-----",
);
const OPENPGP: (&str, &str) = (
    "-----BEGIN PGP SIGNATURE-----",
    "-----END PGP SIGNATURE-----",
);

/// A signed commit, taken apart.
pub(super) struct Split {
    /// What was signed: the commit's bytes without the header `gpgsig`.
    pub(super) payload: Vec<u8>,
    /// The signature's text.
    signature: String,
    /// When it was committed, as it says: seconds since 1970.
    pub(super) committed: i64,
}

/// A signature by its form.
pub(super) enum Kind<'a> {
    /// The bytes of an SSH signature.
    Ssh(Vec<u8>),
    /// The armoured text of an OpenPGP signature.
    OpenPgp(&'a str),
}

/// Takes a commit apart as Git does: `gpgsig` with its continued lines is the signature, all else was signed.
pub(super) fn split(commit: &[u8]) -> Result<Split, Unsigned> {
    let mut payload = Vec::with_capacity(commit.len());
    let mut signature: Option<Vec<u8>> = None;
    let mut committed = None;
    let mut rest = commit;
    let mut within = false;
    while !rest.is_empty() && rest[0] != b'\n' {
        let end = rest.iter().position(|b| *b == b'\n');
        let (line, after) = rest.split_at(end.map_or(rest.len(), |end| end + 1));
        rest = after;
        if let (true, Some(more)) = (within, line.strip_prefix(b" ")) {
            signature.get_or_insert_default().extend_from_slice(more);
            continue;
        }
        within = false;
        if let Some(first) = line.strip_prefix(b"gpgsig ") {
            if signature.replace(first.to_vec()).is_some() {
                return Err(Unsigned::Several);
            }
            within = true;
            continue;
        }
        if line.starts_with(b"gpgsig") {
            let name = line.split(|b| *b == b' ').next().unwrap_or_default();
            let name = crate::error::printable(&String::from_utf8_lossy(name));
            return Err(Unsigned::Format(format!("in the header {name:?}")));
        }
        if let (None, Some(who)) = (committed, line.strip_prefix(b"committer ")) {
            committed = Some(time(who));
        }
        payload.extend_from_slice(line);
    }
    payload.extend_from_slice(rest);
    let Some(signature) = signature else {
        return Err(Unsigned::Nothing);
    };
    if signature.len() > MAX_SIGNATURE {
        let why = format!(
            "it has {} bytes; expected at most {MAX_SIGNATURE}",
            signature.len()
        );
        return Err(Unsigned::Malformed(why));
    }
    let signature = String::from_utf8(signature)
        .map_err(|_| Unsigned::Malformed("it is no text".to_owned()))?;
    let committed = committed.flatten().ok_or_else(|| {
        Unsigned::Malformed("the commit does not say when it was committed".to_owned())
    })?;
    Ok(Split {
        payload,
        signature,
        committed,
    })
}

/// The seconds of `Name <address> SECONDS ZONE`.
fn time(who: &[u8]) -> Option<i64> {
    let who = std::str::from_utf8(&who[who.iter().rposition(|b| *b == b'>')? + 1..]).ok()?;
    who.split_ascii_whitespace().next()?.parse().ok()
}

impl Split {
    /// What the signature is.
    pub(super) fn kind(&self) -> Result<Kind<'_>, Unsigned> {
        let text = self.signature.trim();
        if text.is_empty() {
            return Err(Unsigned::Nothing);
        }
        if text.matches("-----BEGIN ").count() > 1 {
            return Err(Unsigned::Several);
        }
        if text.starts_with(SSH.0) {
            let body = within(text, SSH)?;
            let joined: String = body.split_ascii_whitespace().collect();
            let bytes = STANDARD.decode(joined);
            return bytes
                .map(Kind::Ssh)
                .map_err(|e| Unsigned::Malformed(format!("what it holds is no base64: {e}")));
        }
        if text.starts_with(OPENPGP.0) {
            within(text, OPENPGP)?;
            return Ok(Kind::OpenPgp(text));
        }
        let first = text.lines().next().unwrap_or_default();
        Err(Unsigned::Format(match first {
            "-----BEGIN SIGNED MESSAGE-----" => {
                "one with X.509 certificates (gpg.format=x509, gitsign), which Weir does not check"
                    .to_owned()
            }
            _ => format!("of no known form ({:?})", crate::error::printable(first)),
        }))
    }
}

/// What stands between the first and the last line, which have to be these.
fn within<'a>(text: &'a str, (begin, end): (&str, &str)) -> Result<&'a str, Unsigned> {
    let body = text
        .strip_prefix(begin)
        .and_then(|text| text.strip_suffix(end));
    let body = body.filter(|body| body.starts_with(['\n', '\r']) && body.ends_with('\n'));
    body.ok_or_else(|| Unsigned::Malformed(format!("expected its last line to be {end}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "tree 4b825dc642cb6eb9a060e54bf8d69288fbee4904\nauthor A <a@e> 5 +0100\n";

    fn commit(middle: &str) -> String {
        format!("{HEAD}committer C <c> <c@e> 7 -0200\n{middle}\nSubject\n\ngpgsig of the text\n")
    }

    #[test]
    fn what_was_signed_is_all_but_the_signature() {
        let text = commit("gpgsig one\n two\n \n three\nencoding x\n");
        let split = split(text.as_bytes()).unwrap();
        assert_eq!(split.payload, commit("encoding x\n").as_bytes());
        assert_eq!(
            (split.signature.as_str(), split.committed),
            ("one\ntwo\n\nthree\n", 7)
        );
    }

    #[test]
    fn a_header_of_a_merged_tag_is_no_signature_of_the_commit() {
        let text = commit("mergetag object 1\n gpgsig x\n -----BEGIN PGP SIGNATURE-----\n");
        assert_eq!(split(text.as_bytes()).err(), Some(Unsigned::Nothing));
    }

    #[test]
    fn only_one_signature_counts() {
        for (middle, expected) in [
            ("", Unsigned::Nothing),
            ("gpgsig a\ngpgsig b\n", Unsigned::Several),
            ("gpgsig a\n b\nencoding x\ngpgsig c\n", Unsigned::Several),
            (
                "gpgsig a\ngpgsig-sha256 b\n",
                Unsigned::Format("in the header \"gpgsig-sha256\"".to_owned()),
            ),
        ] {
            let text = commit(middle);
            assert_eq!(split(text.as_bytes()).err(), Some(expected), "{middle}");
        }
    }

    #[test]
    fn a_signature_is_told_by_its_first_line_and_has_to_end() {
        let kind = |signature: &str| {
            let lines = signature.trim_end().replace('\n', "\n ");
            let text = commit(&format!("gpgsig {lines}\n"));
            split(text.as_bytes())
                .and_then(|split| split.kind().map(drop))
                .map_err(|e| e.to_string())
        };
        let ssh = format!("{}\nAAAA\n{}\n", SSH.0, SSH.1);
        assert_eq!(kind(&ssh), Ok(()));
        for (bad, expected) in [
            (format!("{ssh}{ssh}"), "more than one signature"),
            (format!("{}\nAAAA\n", SSH.0), "expected its last line"),
            (format!("{ssh}more\n"), "expected its last line"),
            (format!("{}\n?\n{}\n", SSH.0, SSH.1), "no base64"),
            ("-----BEGIN SIGNED MESSAGE-----\nx\n".to_owned(), "X.509"),
            ("hello\n".to_owned(), "of no known form (\"hello\")"),
            ("\n".to_owned(), "it is not signed"),
            ("x".repeat(MAX_SIGNATURE + 1), "expected at most 65536"),
        ] {
            let said = kind(&bad).unwrap_err();
            assert!(said.contains(expected), "{said}");
        }
    }

    #[test]
    fn a_commit_that_says_no_time_is_no_signed_one() {
        for who in ["committer C <c@e>\n", "committer C <c@e> x +0000\n", ""] {
            let text = format!("{HEAD}{who}gpgsig a\n\nS\n");
            let said = split(text.as_bytes()).err().map(|e| e.to_string());
            assert!(
                said.as_ref().is_some_and(|said| said.contains("when")),
                "{said:?}"
            );
        }
    }
}
