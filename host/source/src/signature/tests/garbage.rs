//! Bytes that nobody meant: whatever comes, it is refused and nothing breaks.

use std::sync::OnceLock;

use proptest::prelude::*;

use super::*;

/// A list, and commits that are signed well by keys of it.
fn good() -> &'static (Keys, Vec<Vec<u8>>, Vec<String>) {
    static GOOD: OnceLock<(Keys, Vec<Vec<u8>>, Vec<String>)> = OnceLock::new();
    GOOD.get_or_init(|| {
        let home = Home::new();
        let line = format!(
            "ann@e namespaces=\"git\" {}",
            home.ssh_key("ann", &["ed25519"])
        );
        home.gpg_key("Ann <ann@e>", &["ed25519", "sign", "never"]);
        let armoured = home.exported("ann@e");
        let keys = allowed(std::slice::from_ref(&line));
        let keys = keys.with_openpgp("keys", armoured.as_bytes()).unwrap();
        let text = unsigned();
        let ssh = home.ssh_signature("ann", "git", &text);
        let gpg = home.gpg_fed(&["--armor", "--detach-sign"], &text);
        let commits = [ssh, gpg].map(|signature| with_signature(&text, &signature));
        (keys, commits.to_vec(), vec![line, armoured])
    })
}

/// One byte exchanged, left out, put in, or the end cut off.
fn damaged(text: &[u8], at: usize, byte: u8, how: u8) -> Vec<u8> {
    let at = at % text.len();
    let (before, after) = text.split_at(at);
    match how % 4 {
        0 => [before, &[byte], &after[1..]].concat(),
        1 => [before, &after[1..]].concat(),
        2 => [before, &[byte], after].concat(),
        _ => before.to_vec(),
    }
}

proptest! {
    #[test]
    fn no_bytes_break_what_reads_them(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let keys = &good().0;
        let text = String::from_utf8_lossy(&bytes);
        let _ = keys.signer(&bytes);
        for (begin, end) in [("SSH", "SSH"), ("PGP", "PGP")] {
            let block = format!("-----BEGIN {begin} SIGNATURE-----\n{text}\n-----END {end} SIGNATURE-----");
            let _ = keys.signer(&with_signature(b"tree 1\ncommitter C <c> 1 +0000\n\nx", &block));
        }
        let _ = Keys::default().with_allowed_signers("f", &bytes);
        let _ = Keys::default().with_openpgp("f", &bytes);
    }

    /// One changed byte of a signed commit never leaves it signed, but where it says the same: the armour of a
    /// signature has spaces and check sums that mean nothing.
    #[test]
    fn a_signed_commit_with_a_damaged_byte_outside_its_signature_is_refused(
        which in 0..2usize, at: usize, byte: u8, how: u8,
    ) {
        let (keys, commits, _) = good();
        prop_assert!(keys.signer(&commits[which]).is_ok());
        let text = String::from_utf8(commits[which].clone()).unwrap();
        let begin = text.find("gpgsig ").unwrap();
        let end = text.rfind(" SIGNATURE-----\n").unwrap() + " SIGNATURE-----\n".len();
        // Of the bytes before and after the signature.
        let outside: Vec<usize> = (0..begin).chain(end..text.len()).collect();
        let at = outside[at % outside.len()];
        let changed = damaged(text.as_bytes(), at, byte, how);
        if changed != text.as_bytes() {
            prop_assert!(keys.signer(&changed).is_err(), "{}", String::from_utf8_lossy(&changed));
        }
    }

    #[test]
    fn a_damaged_list_or_signature_breaks_nothing(which in 0..2usize, at: usize, byte: u8, how: u8) {
        let (keys, commits, lists) = good();
        let _ = keys.signer(&damaged(&commits[which], at, byte, how));
        let list = damaged(lists[which].as_bytes(), at, byte, how);
        match which {
            0 => drop(Keys::default().with_allowed_signers("f", &list)),
            _ => drop(Keys::default().with_openpgp("f", &list)),
        }
    }
}

#[test]
fn ten_thousand_signatures_are_not_looked_at() {
    let (keys, commits, _) = good();
    for commit in commits {
        let text = String::from_utf8(commit.clone()).unwrap();
        let begin = text.find("gpgsig ").unwrap() + "gpgsig ".len();
        let end = text.rfind(" SIGNATURE-----\n").unwrap() + " SIGNATURE-----\n".len();
        let signature = text[begin..end].replace("\n ", "\n");
        let many = with_signature(&unsigned(), &signature.repeat(10_000));
        let (why, words) = refused(keys, &many);
        assert!(
            matches!(why, Unsigned::Malformed(_)) && words.contains("65536"),
            "{words}"
        );
    }
}
