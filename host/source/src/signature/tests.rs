//! Signatures that the real `git`, `ssh-keygen` and `gpg` made: whose they are, and each way in which one does not count.

mod garbage;
mod openpgp;
mod ssh;

use weir_core::commit_policy::{Signer, Unsigned};

use super::Keys;
use crate::tests::git::Repo;
use crate::tests::signing::{Home, bytes, with_signature};

/// These lines as the only list.
fn allowed(lines: &[String]) -> Keys {
    let text = lines.join("\n");
    Keys::default()
        .with_allowed_signers("signers", text.as_bytes())
        .unwrap()
}

/// These armoured keys as the only list.
fn trusted(keys: &[&str]) -> Keys {
    Keys::default()
        .with_openpgp("keys", keys.join("\n").as_bytes())
        .unwrap()
}

/// Why a commit's signature does not count, in words.
fn refused(keys: &Keys, commit: &[u8]) -> (Unsigned, String) {
    let why = keys.signer(commit).unwrap_err();
    let words = why.to_string();
    (why, words)
}

fn expect(keys: &Keys, commit: &[u8], kind: fn(&Unsigned) -> bool, words: &str) {
    let (why, said) = refused(keys, commit);
    assert!(kind(&why) && said.contains(words), "{why:?}: {said}");
}

/// A commit that nobody signed.
fn unsigned() -> Vec<u8> {
    let repo = Repo::with(&[("a", "1")]);
    bytes(&repo, repo.head())
}

#[test]
fn a_commit_without_a_signature_is_not_signed() {
    let home = Home::new();
    let keys = allowed(&[format!("ann@e {}", home.ssh_key("ann", &["ed25519"]))]);
    expect(
        &keys,
        &unsigned(),
        |why| *why == Unsigned::Nothing,
        "it is not signed",
    );
    // A signature in the message is part of the message.
    let mut text = unsigned();
    text.extend_from_slice(b"\ngpgsig -----BEGIN SSH SIGNATURE-----\n");
    expect(
        &keys,
        &text,
        |why| *why == Unsigned::Nothing,
        "it is not signed",
    );
}

#[test]
fn two_signatures_are_none() {
    let home = Home::new();
    let keys = allowed(&[format!("ann@e {}", home.ssh_key("ann", &["ed25519"]))]);
    let text = unsigned();
    let signature = home.ssh_signature("ann", "git", &text);
    let several = |why: &Unsigned| *why == Unsigned::Several;
    let both = with_signature(&text, &format!("{signature}{signature}"));
    expect(&keys, &both, several, "more than one signature");
    let twice = with_signature(&with_signature(&text, &signature), &signature);
    expect(&keys, &twice, several, "more than one signature");
    assert!(keys.signer(&with_signature(&text, &signature)).is_ok());
}

#[test]
fn a_signature_with_certificates_is_named_as_what_it_is() {
    let x509 = "-----BEGIN SIGNED MESSAGE-----\nMIIE\n-----END SIGNED MESSAGE-----\n";
    let text = with_signature(&unsigned(), x509);
    let kind = |why: &Unsigned| matches!(why, Unsigned::Format(_));
    expect(&Keys::default(), &text, kind, "X.509");
}

#[test]
fn a_list_of_the_one_kind_of_keys_says_nothing_of_the_other() {
    let home = Home::new();
    let ssh = allowed(&[format!("ann@e {}", home.ssh_key("ann", &["ed25519"]))]);
    home.gpg_key("Ann <ann@e>", &["ed25519", "sign", "never"]);
    let gpg = trusted(&[&home.exported("ann@e")]);
    let text = unsigned();
    let by_ssh = with_signature(&text, &home.ssh_signature("ann", "git", &text));
    let by_gpg = home.gpg_fed(&["--armor", "--detach-sign"], &text);
    let by_gpg = with_signature(&text, &by_gpg);
    let none = |why: &Unsigned| matches!(why, Unsigned::NoList(_));
    expect(&gpg, &by_ssh, none, "this list has no SSH keys");
    expect(&ssh, &by_gpg, none, "this list has no OpenPGP keys");
    // Both in one.
    let both = ssh
        .with_openpgp("keys", home.exported("ann@e").as_bytes())
        .unwrap();
    assert!(both.signer(&by_ssh).is_ok() && both.signer(&by_gpg).is_ok());
}

#[test]
fn a_commit_too_large_to_be_one_is_not_looked_at() {
    let mut text = unsigned();
    text.resize(super::MAX_COMMIT + 1, b'x');
    let kind = |why: &Unsigned| matches!(why, Unsigned::Malformed(_));
    expect(&Keys::default(), &text, kind, "expected at most 8388608");
}

/// That a commit is somebody's.
fn signed_by(keys: &Keys, commit: &[u8], name: &str, key: &str) {
    let expected = Signer {
        name: name.to_owned(),
        key: key.to_owned(),
    };
    assert_eq!(keys.signer(commit), Ok(expected));
}
