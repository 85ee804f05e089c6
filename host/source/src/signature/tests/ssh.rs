//! SSH signatures.

use super::*;

fn fingerprint(home: &Home, key: &str) -> String {
    let file = home.path(&format!("{key}.pub"));
    let listed = home.run("ssh-keygen", &["-l", "-f", file.to_str().unwrap()]);
    listed.split(' ').nth(1).unwrap().to_owned()
}

#[test]
fn a_commit_that_git_signed_with_ssh_is_its_signers_for_each_kind_of_key() {
    for kind in [
        &["ed25519"][..],
        &["ecdsa", "-b", "256"],
        &["ecdsa", "-b", "384"],
        &["ecdsa", "-b", "521"],
        &["rsa", "-b", "2048"],
    ] {
        let (home, repo) = (Home::new(), Repo::with(&[("a", "1")]));
        let line = format!("ann@e,team@e {}", home.ssh_key("ann", kind));
        let commit = home.commit_ssh(&repo, "ann", &[("a", "2")]);
        let text = bytes(&repo, commit);
        signed_by(
            &allowed(&[line]),
            &text,
            "ann@e,team@e",
            &fingerprint(&home, "ann"),
        );
    }
}

#[test]
fn a_merge_that_git_signed_is_its_signers() {
    let (home, repo) = (Home::new(), Repo::with(&[("a", "1")]));
    let line = format!("ann@e {}", home.ssh_key("ann", &["ed25519"]));
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.commit(&[("b", "1")]);
    repo.git(&["checkout", "-q", "main"]);
    repo.commit(&[("c", "1")]);
    let merge = ["merge", "-q", "--no-ff", "-S", "-m", "A merge", "side"];
    let commit = home.signed(&repo, "ann", &merge);
    let text = bytes(&repo, commit);
    assert_eq!(
        String::from_utf8_lossy(&text).matches("\nparent ").count(),
        2
    );
    signed_by(
        &allowed(&[line]),
        &text,
        "ann@e",
        &fingerprint(&home, "ann"),
    );
}

#[test]
fn a_merge_of_a_signed_tag_carries_the_tags_signature_and_none_of_its_own() {
    let (home, repo) = (Home::new(), Repo::with(&[("a", "1")]));
    let line = format!("ann@e {}", home.ssh_key("ann", &["ed25519"]));
    repo.git(&["checkout", "-q", "-b", "side"]);
    repo.commit(&[("b", "1")]);
    home.signed(&repo, "ann", &["tag", "-s", "-m", "A tag", "v1"]);
    repo.git(&["checkout", "-q", "main"]);
    repo.git(&["merge", "-q", "--no-ff", "-m", "A merge", "v1"]);
    let text = bytes(&repo, repo.head());
    assert!(String::from_utf8_lossy(&text).contains("\nmergetag "));
    let nothing = |why: &Unsigned| *why == Unsigned::Nothing;
    expect(&allowed(&[line]), &text, nothing, "it is not signed");
}

#[test]
fn what_was_changed_after_it_was_signed_or_moved_from_another_commit_is_not_signed() {
    let (home, repo) = (Home::new(), Repo::with(&[("a", "1")]));
    let keys = allowed(&[format!("ann@e {}", home.ssh_key("ann", &["ed25519"]))]);
    let commit = home.commit_ssh(&repo, "ann", &[("a", "2")]);
    let text = String::from_utf8(bytes(&repo, commit)).unwrap();
    let other = |why: &Unsigned| *why == Unsigned::OtherBytes;
    let first = repo.git(&["rev-parse", "HEAD~1^{tree}"]);
    let tree = repo.git(&["rev-parse", "HEAD^{tree}"]);
    for (from, to) in [
        (tree.as_str(), first.as_str()),
        ("A signed change", "A signed changes"),
        ("author Ann", "author Bob"),
        ("1700000000 +0100", "1700000001 +0100"),
        ("\n\nA signed", "\nencoding latin1\n\nA signed"),
    ] {
        let changed = text.replacen(from, to, 1);
        assert_ne!(changed, text);
        expect(
            &keys,
            changed.as_bytes(),
            other,
            "changed after it was signed",
        );
    }
    // The same signature in another commit.
    let begin = text.find("gpgsig ").unwrap() + "gpgsig ".len();
    let end = text.find("-----END SSH SIGNATURE-----").unwrap() + 27;
    let signature = text[begin..end].replace("\n ", "\n");
    let moved = with_signature(&bytes(&repo, repo.commit(&[("a", "3")])), &signature);
    expect(&keys, &moved, other, "taken from another one");
}

#[test]
fn a_key_that_is_not_listed_is_named() {
    let (home, repo) = (Home::new(), Repo::with(&[("a", "1")]));
    let keys = allowed(&[format!("ann@e {}", home.ssh_key("ann", &["ed25519"]))]);
    home.ssh_key("mallory", &["ed25519"]);
    let commit = home.commit_ssh(&repo, "mallory", &[]);
    let unknown = |why: &Unsigned| matches!(why, Unsigned::UnknownKey(_));
    expect(
        &keys,
        &bytes(&repo, commit),
        unknown,
        &fingerprint(&home, "mallory"),
    );
}

#[test]
fn a_signature_for_something_else_than_git_is_none() {
    let home = Home::new();
    let public = home.ssh_key("ann", &["ed25519"]);
    let text = unsigned();
    let for_files = with_signature(&text, &home.ssh_signature("ann", "file", &text));
    let namespace = |why: &Unsigned| matches!(why, Unsigned::Namespace(_));
    let keys = allowed(&[format!("ann@e {public}")]);
    expect(
        &keys,
        &for_files,
        namespace,
        "made for \"file\" and not for \"git\"",
    );
    // And the other way round: a key that is listed for other things.
    let for_git = with_signature(&text, &home.ssh_signature("ann", "git", &text));
    let keys = allowed(&[format!("ann@e namespaces=\"file,email\" {public}")]);
    let not_for = |why: &Unsigned| matches!(why, Unsigned::NotFor(_));
    expect(&keys, &for_git, not_for, "may sign for \"file,email\"");
    // The same key on a line that lets it.
    let keys = allowed(&[
        format!("ann@e namespaces=\"file\" {public}"),
        format!("bob@e namespaces=\"git\" {public}"),
    ]);
    signed_by(&keys, &for_git, "bob@e", &fingerprint(&home, "ann"));
}

#[test]
fn a_key_counts_from_its_first_second_to_its_last_by_the_commits_own_time() {
    let home = Home::new();
    let public = home.ssh_key("ann", &["ed25519"]);
    // It was committed at 2023-11-14T22:13:20Z.
    let text = unsigned();
    let signed = with_signature(&text, &home.ssh_signature("ann", "git", &text));
    let of = |options: &str| allowed(&[format!("ann@e {options} {public}")]);
    for good in [
        "valid-after=\"20231114221320Z\"",
        "valid-before=\"20231114221320Z\"",
        "valid-after=\"20231114\",valid-before=\"20231115\"",
    ] {
        assert!(of(good).signer(&signed).is_ok(), "{good}");
    }
    let time = |why: &Unsigned| matches!(why, Unsigned::OutOfTime(_));
    let after = of("valid-after=\"20231114221321Z\"");
    expect(
        &after,
        &signed,
        time,
        "is valid from 2023-11-14T22:13:21Z, the commit is of 2023-11-14T22:13:20Z",
    );
    let before = of("valid-before=\"20231114221319Z\"");
    expect(
        &before,
        &signed,
        time,
        "was valid until 2023-11-14T22:13:19Z",
    );
}

#[test]
fn a_certificate_is_refused_by_its_name() {
    let home = Home::new();
    let keys = allowed(&[format!("ann@e {}", home.ssh_key("ann", &["ed25519"]))]);
    home.ssh_key("authority", &["ed25519"]);
    let (authority, public) = (home.path("authority"), home.path("ann.pub"));
    let words = [
        "-q",
        "-s",
        authority.to_str().unwrap(),
        "-I",
        "ann",
        "-n",
        "ann@e",
    ];
    home.run(
        "ssh-keygen",
        &[&words[..], &[public.to_str().unwrap()]].concat(),
    );
    let text = unsigned();
    // ssh-keygen signs with a certificate where it is given one.
    let signature = home.ssh_signature("ann-cert.pub", "git", &text);
    let format = |why: &Unsigned| matches!(why, Unsigned::Format(_));
    expect(
        &keys,
        &with_signature(&text, &signature),
        format,
        "ssh-ed25519-cert-v01@openssh.com",
    );
}

/// A signature's bytes, changed, and armoured again.
fn edited(signature: &str, edit: impl FnOnce(Vec<u8>) -> Vec<u8>) -> String {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    let body: String = signature.lines().filter(|l| !l.starts_with('-')).collect();
    let bytes = edit(STANDARD.decode(body).unwrap());
    let text = STANDARD.encode(bytes);
    format!("-----BEGIN SSH SIGNATURE-----\n{text}\n-----END SSH SIGNATURE-----\n")
}

fn exchanged(bytes: &[u8], from: &[u8], to: &[u8]) -> Vec<u8> {
    let at = bytes.windows(from.len()).rposition(|w| w == from).unwrap();
    [&bytes[..at], to, &bytes[at + from.len()..]].concat()
}

#[test]
fn digests_and_keys_that_prove_nothing_are_refused() {
    let home = Home::new();
    let text = unsigned();
    let weak = |why: &Unsigned| matches!(why, Unsigned::Weak(_));
    let keys = allowed(&[format!(
        "ann@e {}",
        home.ssh_key("ann", &["rsa", "-b", "2048"])
    )]);
    let good = home.ssh_signature("ann", "git", &text);
    let sha1 = edited(&good, |bytes| {
        // The outer length of the signature's own string is the third last thing that changes.
        let (from, to) = (&b"\0\0\0\x0crsa-sha2-512"[..], &b"\0\0\0\x07ssh-rsa"[..]);
        let at = bytes.windows(from.len()).rposition(|w| w == from).unwrap();
        let mut changed = exchanged(&bytes, from, to);
        let length = u32::try_from(changed.len() - at).unwrap();
        changed[at - 4..at].copy_from_slice(&length.to_be_bytes());
        changed
    });
    expect(
        &keys,
        &with_signature(&text, &sha1),
        weak,
        "SHA-1 (ssh-rsa)",
    );
    let digest = edited(&good, |bytes| exchanged(&bytes, b"sha512", b"sha1!!"));
    expect(
        &keys,
        &with_signature(&text, &digest),
        weak,
        "its digest is",
    );
    let small = home.ssh_key("small", &["rsa", "-b", "1024"]);
    let error = Keys::default().with_allowed_signers("f", format!("s@e {small}").as_bytes());
    let error = error.unwrap_err().to_string();
    assert_eq!(
        error,
        "f:1:5: an RSA key of 1024 bits; expected at least 2048"
    );
}

#[test]
fn bytes_that_are_no_signature_are_said_to_be_none() {
    let home = Home::new();
    let text = unsigned();
    let keys = allowed(&[format!("ann@e {}", home.ssh_key("ann", &["ed25519"]))]);
    let good = home.ssh_signature("ann", "git", &text);
    let malformed = |why: &Unsigned| matches!(why, Unsigned::Malformed(_));
    let edit = |edit: fn(Vec<u8>) -> Vec<u8>| with_signature(&text, &edited(&good, edit));
    for (bad, words) in [
        (edit(|_| Vec::new()), "does not begin with SSHSIG"),
        (
            edit(|b| exchanged(&b, b"SSHSIG\0\0\0\x01", b"SSHSIG\0\0\0\x02")),
            "another version",
        ),
        (
            edit(|b| b[..b.len() - 1].to_vec()),
            "ends within its signature",
        ),
        (edit(|b| b[..40].to_vec()), "ends within its key"),
        (
            edit(|b| [&b[..], b"x"].concat()),
            "something comes after its end",
        ),
        (
            edit(|b| exchanged(&b, b"ssh-ed25519", b"ssh-ed25518")),
            "signature",
        ),
    ] {
        expect(&keys, &bad, malformed, words);
    }
}

/// A string of SSH's wire format.
fn wired(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).unwrap();
    [&length.to_be_bytes(), bytes].concat()
}

/// A signature without any form.
fn raw<K: ssh_key::SigningKey>(key: &K, bytes: &[u8]) -> ssh_key::Signature {
    key.try_sign(bytes).unwrap()
}

/// No machine of a test has a security key: one is put together as PROTOCOL.u2f says, around a plain key.
#[test]
fn a_signature_of_a_security_key_counts() {
    use base64::Engine as _;
    use base64::engine::general_purpose::STANDARD;
    use weir_core::digest::Digest;

    const KIND: &[u8] = b"sk-ssh-ed25519@openssh.com";
    let home = Home::new();
    home.ssh_key("ann", &["ed25519"]);
    let private = std::fs::read_to_string(home.path("ann")).unwrap();
    let private = ssh_key::PrivateKey::from_openssh(private).unwrap();
    let pair = private.key_data().ed25519().unwrap();
    let public = [wired(KIND), wired(pair.public.as_ref()), wired(b"ssh:")].concat();
    let line = format!(
        "ann@e {} {}",
        String::from_utf8_lossy(KIND),
        STANDARD.encode(&public)
    );
    let keys = allowed(&[line]);
    let text = unsigned();
    let signed = |flags: u8, said: u8| {
        let data = ssh_key::SshSig::signed_data("git", ssh_key::HashAlg::Sha512, &text).unwrap();
        let application = *Digest::of(b"ssh:").as_bytes();
        let data = [
            &application[..],
            &[flags],
            &[0, 0, 0, 7],
            Digest::of(&data).as_bytes(),
        ]
        .concat();
        let made = raw(&private, &data);
        let made = [
            wired(KIND),
            wired(made.as_bytes()),
            vec![said],
            vec![0, 0, 0, 7],
        ]
        .concat();
        let blob = [
            b"SSHSIG\0\0\0\x01".to_vec(),
            wired(&public),
            wired(b"git"),
            wired(b""),
            wired(b"sha512"),
            wired(&made),
        ]
        .concat();
        let body = STANDARD.encode(blob);
        let block = format!("-----BEGIN SSH SIGNATURE-----\n{body}\n-----END SSH SIGNATURE-----\n");
        with_signature(&text, &block)
    };
    assert_eq!(keys.signer(&signed(1, 1)).unwrap().name, "ann@e");
    let other = |why: &Unsigned| *why == Unsigned::OtherBytes;
    expect(&keys, &signed(1, 0), other, "not one of this commit");
}
