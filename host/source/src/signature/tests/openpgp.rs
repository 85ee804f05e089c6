//! OpenPGP signatures.

use std::path::Path;

use pgp::composed::{ArmorOptions, Deserializable as _, SignedPublicKey};

use super::*;

/// Ann's key, and a commit that git had gpg sign with it.
fn signed(user: &[&str], words: &str) -> (Home, String, Vec<u8>) {
    let (home, repo) = (Home::new(), Repo::with(&[("a", "1")]));
    let key = home.gpg_key("Ann <ann@e>", user);
    let program = home.gpg_with("gpg-here", words);
    let commit = home.commit_gpg(&repo, &key, &program);
    let text = bytes(&repo, commit);
    (home, key, text)
}

#[test]
fn a_commit_that_git_signed_with_gpg_is_its_signers_for_each_kind_of_key() {
    for kind in ["ed25519", "rsa2048", "nistp256", "nistp384", "nistp521"] {
        let (home, key, text) = signed(&[kind, "sign", "never"], "");
        let keys = trusted(&[&home.exported("ann@e")]);
        signed_by(&keys, &text, "Ann <ann@e>", &key);
    }
}

#[test]
fn a_subkey_signs_for_its_owner() {
    let (home, repo) = (Home::new(), Repo::with(&[("a", "1")]));
    let key = home.gpg_key("Ann <ann@e>", &["ed25519", "cert", "never"]);
    home.gpg(&["--quick-add-key", &key, "ed25519", "sign"]);
    let commit = home.commit_gpg(&repo, &key, Path::new("gpg"));
    let keys = trusted(&[&home.exported("ann@e")]);
    signed_by(&keys, &bytes(&repo, commit), "Ann <ann@e>", &key);
}

#[test]
fn several_blocks_of_one_file_are_one_list() {
    let (home, key, text) = signed(&["ed25519", "sign", "never"], "");
    home.gpg_key("Bob <bob@e>", &["ed25519", "sign", "never"]);
    let blocks = [home.exported("bob@e"), home.exported("ann@e")].join("\nand\n");
    signed_by(&trusted(&[&blocks]), &text, "Ann <ann@e>", &key);
}

#[test]
fn what_was_changed_or_moved_is_not_signed() {
    let (home, _, text) = signed(&["ed25519", "sign", "never"], "");
    let keys = trusted(&[&home.exported("ann@e")]);
    let other = |why: &Unsigned| *why == Unsigned::OtherBytes;
    let text = String::from_utf8(text).unwrap();
    let changed = text.replacen("\n\nx", "\n\ny", 1);
    assert_ne!(changed, text);
    expect(
        &keys,
        changed.as_bytes(),
        other,
        "changed after it was signed",
    );
    let begin = text.find("gpgsig ").unwrap() + "gpgsig ".len();
    let end = text.find("-----END PGP SIGNATURE-----").unwrap() + 27;
    let moved = with_signature(&unsigned(), &text[begin..end].replace("\n ", "\n"));
    expect(&keys, &moved, other, "taken from another one");
}

#[test]
fn a_key_that_is_not_listed_is_named() {
    let (home, key, text) = signed(&["ed25519", "sign", "never"], "");
    home.gpg_key("Bob <bob@e>", &["ed25519", "sign", "never"]);
    let keys = trusted(&[&home.exported("bob@e")]);
    let unknown = |why: &Unsigned| matches!(why, Unsigned::UnknownKey(_));
    expect(&keys, &text, unknown, &key);
}

#[test]
fn a_signature_counts_where_its_key_had_not_expired_when_it_was_made() {
    let (home, repo) = (Home::new(), Repo::with(&[("a", "1")]));
    let begin = ["--faked-system-time", "20240101T000000!"];
    let make = [
        "--quick-gen-key",
        "Ann <ann@e>",
        "ed25519",
        "sign",
        "2024-02-01",
    ];
    home.gpg(&[&begin[..], &make].concat());
    let key = home.fingerprints("ann@e").remove(0);
    let old = home.exported("ann@e");
    let at = |time: &str| {
        let program = home.gpg_with(time, &format!("--faked-system-time {time}!"));
        bytes(&repo, home.commit_gpg(&repo, &key, &program))
    };
    let early = at("20240115T000000");
    // Its owner lets it live longer, and signs once more: who has the old key only cannot know that.
    let longer = ["--quick-set-expire", &key, "2034-01-01"];
    home.gpg(&[&["--faked-system-time", "20240120T000000!"][..], &longer].concat());
    let late = at("20240301T000000");
    let new = home.exported("ann@e");
    for keys in [&old, &new] {
        signed_by(&trusted(&[keys]), &early, "Ann <ann@e>", &key);
    }
    signed_by(&trusted(&[&new]), &late, "Ann <ann@e>", &key);
    let time = |why: &Unsigned| matches!(why, Unsigned::OutOfTime(_));
    expect(&trusted(&[&old]), &late, time, "expired at 2024-02-01T");
}

#[test]
fn a_signature_from_before_its_key_was_made_does_not_count() {
    let (home, repo) = (Home::new(), Repo::with(&[("a", "1")]));
    let key = home.gpg_key("Ann <ann@e>", &["ed25519", "sign", "never"]);
    let words = "--faked-system-time 20200101T000000! --ignore-time-conflict --ignore-valid-from";
    let program = home.gpg_with("early", words);
    let commit = home.commit_gpg(&repo, &key, &program);
    let keys = trusted(&[&home.exported("ann@e")]);
    let time = |why: &Unsigned| matches!(why, Unsigned::OutOfTime(_));
    expect(
        &keys,
        &bytes(&repo, commit),
        time,
        "the signature is of 2020-01-01T",
    );
}

#[test]
fn a_revoked_key_signs_nothing_not_even_what_it_signed_before() {
    let (home, key, text) = signed(&["ed25519", "sign", "never"], "");
    let before = home.exported("ann@e");
    let file = home.path(&format!("g/openpgp-revocs.d/{key}.rev"));
    let certificate = std::fs::read_to_string(file).unwrap();
    home.gpg_fed(
        &["--import"],
        certificate.replace(":-----BEGIN", "-----BEGIN").as_bytes(),
    );
    let after = home.exported("ann@e");
    assert!(trusted(&[&before]).signer(&text).is_ok());
    let revoked = |why: &Unsigned| *why == Unsigned::Revoked(key.clone());
    let (why, words) = refused(&trusted(&[&after]), &text);
    assert!(revoked(&why) && words.contains("was revoked"), "{why:?}");
}

#[test]
fn a_revoked_subkey_signs_nothing_and_its_owner_signs_on() {
    let (home, repo) = (Home::new(), Repo::with(&[("a", "1")]));
    let key = home.gpg_key("Ann <ann@e>", &["ed25519", "cert,sign", "never"]);
    home.gpg(&["--quick-add-key", &key, "ed25519", "sign"]);
    let subkey = home.fingerprints("ann@e").remove(1);
    let by_subkey = bytes(
        &repo,
        home.commit_gpg(&repo, &format!("{subkey}!"), Path::new("gpg")),
    );
    let by_key = bytes(
        &repo,
        home.commit_gpg(&repo, &format!("{key}!"), Path::new("gpg")),
    );
    let words = b"key 1\nrevkey\ny\n0\n\ny\nsave\n";
    home.gpg_fed(&["--command-fd", "0", "--edit-key", &key], words);
    let keys = trusted(&[&home.exported("ann@e")]);
    signed_by(&keys, &by_key, "Ann <ann@e>", &key);
    assert_eq!(keys.signer(&by_subkey), Err(Unsigned::Revoked(subkey)));
}

/// The certificates of an armoured text.
fn certificates(armoured: &str) -> SignedPublicKey {
    SignedPublicKey::from_string(armoured).unwrap().0
}

fn armoured(certificate: &SignedPublicKey) -> String {
    certificate
        .to_armored_string(ArmorOptions::default())
        .unwrap()
}

#[test]
fn a_subkey_that_was_put_under_another_key_signs_nothing() {
    let (home, repo) = (Home::new(), Repo::with(&[("a", "1")]));
    home.gpg_key("Ann <ann@e>", &["ed25519", "cert,sign", "never"]);
    let mallory = home.gpg_key("Mallory <m@e>", &["ed25519", "cert", "never"]);
    home.gpg(&["--quick-add-key", &mallory, "ed25519", "sign"]);
    let text = bytes(&repo, home.commit_gpg(&repo, &mallory, Path::new("gpg")));
    let mut forged = certificates(&home.exported("ann@e"));
    forged.public_subkeys = certificates(&home.exported("m@e")).public_subkeys;
    let not_for = |why: &Unsigned| matches!(why, Unsigned::NotFor(_));
    expect(
        &trusted(&[&armoured(&forged)]),
        &text,
        not_for,
        "is not bound to its key by that key",
    );
}

#[test]
fn a_key_that_is_not_for_signing_signs_nothing() {
    let (home, repo) = (Home::new(), Repo::with(&[("a", "1")]));
    let key = home.gpg_key("Ann <ann@e>", &["rsa2048", "cert,sign", "never"]);
    let text = bytes(&repo, home.commit_gpg(&repo, &key, Path::new("gpg")));
    let before = home.exported("ann@e");
    // From now on it certifies only.
    home.gpg_fed(
        &["--command-fd", "0", "--expert", "--edit-key", &key],
        b"change-usage\ns\nq\nsave\n",
    );
    let after = home.exported("ann@e");
    assert!(trusted(&[&before]).signer(&text).is_ok());
    let not_for = |why: &Unsigned| matches!(why, Unsigned::NotFor(_));
    expect(
        &trusted(&[&after]),
        &text,
        not_for,
        "is not one for signing",
    );
}

#[test]
fn digests_and_keys_that_prove_nothing_are_refused() {
    let weak = |why: &Unsigned| matches!(why, Unsigned::Weak(_));
    let (home, _, text) = signed(&["rsa2048", "sign", "never"], "--digest-algo SHA1");
    expect(
        &trusted(&[&home.exported("ann@e")]),
        &text,
        weak,
        "its digest is SHA1",
    );
    let (home, _, text) = signed(&["rsa1024", "sign", "never"], "");
    expect(
        &trusted(&[&home.exported("ann@e")]),
        &text,
        weak,
        "an RSA key of 1024 bits",
    );
    let (home, repo) = (Home::new(), Repo::with(&[("a", "1")]));
    let make = ["--quick-gen-key", "Ann <ann@e>", "rsa2048", "sign", "never"];
    home.gpg(&[&["--cert-digest-algo", "SHA1"][..], &make].concat());
    let key = home.fingerprints("ann@e").remove(0);
    let text = bytes(&repo, home.commit_gpg(&repo, &key, Path::new("gpg")));
    expect(
        &trusted(&[&home.exported("ann@e")]),
        &text,
        weak,
        "says of itself is signed over SHA1",
    );
}

#[test]
fn a_signature_of_another_form_than_gits_does_not_count() {
    let home = Home::new();
    home.gpg_key("Ann <ann@e>", &["ed25519", "sign", "never"]);
    home.gpg_key("Bob <bob@e>", &["ed25519", "sign", "never"]);
    let keys = trusted(&[&home.exported("ann@e"), &home.exported("bob@e")]);
    let text = unsigned();
    let of = |words: &[&str]| {
        let all = [words, &["--armor", "--detach-sign"]].concat();
        with_signature(&text, &home.gpg_fed(&all, &text))
    };
    assert!(keys.signer(&of(&["-u", "ann@e"])).is_ok());
    let malformed = |why: &Unsigned| matches!(why, Unsigned::Malformed(_));
    let several = |why: &Unsigned| *why == Unsigned::Several;
    expect(
        &keys,
        &of(&["-u", "ann@e", "-u", "bob@e"]),
        several,
        "more than one",
    );
    expect(
        &keys,
        &of(&["--textmode"]),
        malformed,
        "not one of a file's bytes",
    );
    expect(
        &keys,
        &of(&["--default-sig-expire", "2d"]),
        malformed,
        "one that expires",
    );
    let notation = ["--sig-notation", "!must@example.com=1"];
    expect(&keys, &of(&notation), malformed, "a critical notation");
    assert!(
        keys.signer(&of(&["--sig-notation", "may@example.com=1"]))
            .is_ok()
    );
}

#[test]
fn a_file_that_holds_no_public_keys_is_refused() {
    let home = Home::new();
    home.gpg_key("Ann <ann@e>", &["ed25519", "sign", "never"]);
    let public = home.exported("ann@e");
    let private = home.gpg(&["--armor", "--export-secret-keys", "ann@e"]);
    let cut = public.replace("-----END PGP PUBLIC KEY BLOCK-----", "");
    for (text, words) in [
        ("", "keys: it lists no key"),
        ("ann@e ssh-ed25519 AAAA", "keys: it lists no key"),
        (&private, "keys: it holds a private key"),
        (&format!("{public}{private}"), "it holds a private key"),
        (&cut, "a public key block does not end"),
        (&public.replace('a', "\u{e4}"), "cannot be read"),
    ] {
        let error = Keys::default()
            .with_openpgp("keys", text.as_bytes())
            .unwrap_err();
        assert!(error.to_string().contains(words), "{error}");
    }
    let error = Keys::default()
        .with_openpgp("keys", b"\x99\xff")
        .unwrap_err();
    assert!(
        error.to_string().contains("gpg --armor --export"),
        "{error}"
    );
}
