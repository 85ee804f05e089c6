//! Keys, signatures and what they are over: good ones, and everything that must not count. The real cosign is in the suite `plugin_ship`.

use p256::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};

use zeroize::Zeroizing;

use super::*;

const REPOSITORY: &str = "r.example/team/labels";

fn secret(seed: u8) -> p256::SecretKey {
    p256::SecretKey::from_slice(&[seed; 32]).unwrap()
}

fn key(seed: u8) -> SigningKey {
    let pem = secret(seed).to_pkcs8_pem(LineEnding::LF).unwrap();
    SigningKey::from_pem(pem.as_bytes(), None).unwrap()
}

fn public(seed: u8) -> PublicKey {
    let pem = secret(seed).public_key().to_public_key_pem(LineEnding::LF);
    PublicKey::from_pem(pem.unwrap().as_bytes()).unwrap()
}

fn manifest() -> Digest {
    Digest::of(b"manifest")
}

/// Signed in a form, with this text.
fn over(form: SignedForm, seed: u8, payload: &str) -> Signed {
    let bytes = match form {
        SignedForm::Simple | SignedForm::Unreadable => payload.as_bytes().to_vec(),
        SignedForm::Statement => claim::pae(payload.as_bytes()),
    };
    Signed {
        form,
        payload: payload.to_owned(),
        signature: encode(&key(seed).sign(&bytes)),
    }
}

fn statement(kind: &str, predicate: &str, digest: &str) -> String {
    format!(
        r#"{{"_type":"{kind}","subject":[{{"digest":{{"sha256":"{digest}"}}}}],"predicateType":"{predicate}","predicate":{{}}}}"#
    )
}

const INTOTO: &str = "https://in-toto.io/Statement/v1";
const SIGNED: &str = "https://sigstore.dev/cosign/sign/v1";

#[test]
fn what_is_signed_is_verified_by_the_key_that_signed_and_says_which() {
    let signed = sign(&key(1), REPOSITORY, manifest());
    let keys = [public(2), public(1)];
    assert_eq!(signed.verify(&keys, manifest()), Ok(1));
    let payload = signed.payload.as_bytes();
    assert_eq!(verify(&keys, manifest(), payload, &signed.signature), Ok(1));
    assert_eq!(
        signer(&keys, manifest(), &[signed]).map(|(key, _)| key),
        Ok(1)
    );
    assert_eq!(key(1).public().unwrap().id(), public(1).id());
}

#[test]
fn the_same_key_makes_the_same_signature_of_the_same_manifest() {
    let two = || sign(&key(1), REPOSITORY, manifest());
    assert_eq!(two(), two());
    assert_eq!(
        two().payload,
        format!(
            r#"{{"critical":{{"identity":{{"docker-reference":"{REPOSITORY}"}},"image":{{"docker-manifest-digest":"{}"}},"type":"cosign container image signature"}},"optional":null}}"#,
            manifest()
        )
    );
}

#[test]
fn a_statement_counts_where_it_names_the_manifest() {
    let text = statement(INTOTO, SIGNED, &manifest().hex());
    let signed = over(SignedForm::Statement, 1, &text);
    assert_eq!(signed.verify(&[public(1)], manifest()), Ok(0));
    // The same bytes signed without their type are not a signature of the statement.
    let plain = Signed {
        signature: over(SignedForm::Simple, 1, &text).signature,
        ..signed
    };
    let error = plain.verify(&[public(1)], manifest()).unwrap_err();
    assert_eq!(error.kind(), "wrong-signer");
}

#[test]
fn what_does_not_count_is_an_error_of_its_own_for_each_reason() {
    let good = sign(&key(1), REPOSITORY, manifest());
    let with_payload = |payload: &str| over(SignedForm::Simple, 1, payload);
    let simple = |kind: &str, digest: &str| {
        with_payload(&format!(
            r#"{{"critical":{{"identity":{{"docker-reference":""}},"image":{{"docker-manifest-digest":"{digest}"}},"type":"{kind}"}},"optional":{{"by":"me"}}}}"#
        ))
    };
    let of_statement = |kind, predicate, digest: &str| {
        over(
            SignedForm::Statement,
            1,
            &statement(kind, predicate, digest),
        )
    };
    let hex = manifest().hex();
    let other = Digest::of(b"another");
    let cosign = "cosign container image signature";
    let changed = Signed {
        payload: good.payload.replace("labels", "others"),
        ..good.clone()
    };
    let garbled = |signature: &str| Signed {
        signature: signature.to_owned(),
        ..good.clone()
    };
    for (signed, kind) in [
        (sign(&key(2), REPOSITORY, manifest()), "wrong-signer"),
        (changed, "wrong-signer"),
        (sign(&key(1), REPOSITORY, other), "another-manifest"),
        (simple(cosign, "sha256:abc"), "another-manifest"),
        (simple("an SBOM", &manifest().to_string()), "another-type"),
        (
            of_statement(INTOTO, SIGNED, &other.hex()),
            "another-manifest",
        ),
        (
            of_statement(INTOTO, "https://slsa.dev/provenance/v1", &hex),
            "another-type",
        ),
        (
            of_statement("https://in-toto.io/Statement/v9", SIGNED, &hex),
            "another-type",
        ),
        (with_payload("{}"), "unreadable"),
        (with_payload("no JSON"), "unreadable"),
        (
            over(SignedForm::Simple, 1, &" ".repeat(70_000)),
            "unreadable",
        ),
        (garbled("not base64!"), "unreadable"),
        (garbled("AAAA"), "unreadable"),
        (garbled(&"A".repeat(5000)), "unreadable"),
        (garbled(""), "unreadable"),
    ] {
        let error = signed.verify(&[public(1)], manifest()).unwrap_err();
        assert_eq!(error.kind(), kind, "{error}");
        assert!(
            error.to_string().contains(&manifest().to_string()),
            "{error}"
        );
    }
    let no_key = good.verify(&[], manifest()).unwrap_err();
    assert_eq!(no_key.kind(), "no-key");
}

#[test]
fn one_signature_that_counts_is_enough_among_strangers() {
    let stranger = sign(&key(9), REPOSITORY, manifest());
    let good = sign(&key(1), REPOSITORY, manifest());
    let all = [stranger.clone(), stranger.clone(), good];
    assert_eq!(
        signer(&[public(1)], manifest(), &all).map(|(key, _)| key),
        Ok(0)
    );
    let none = signer(&[public(1)], manifest(), &[]).unwrap_err();
    assert_eq!(none.kind(), "not-signed");
    // What says most is told, and how many there are.
    let misplaced = sign(&key(1), REPOSITORY, Digest::of(b"another"));
    let error = signer(&[public(1)], manifest(), &[stranger, misplaced]).unwrap_err();
    assert_eq!(error.kind(), "another-manifest");
    let broken = Signed {
        form: SignedForm::Unreadable,
        payload: "it has too many bytes".to_owned(),
        signature: String::new(),
    };
    let all = [broken.clone(), sign(&key(9), REPOSITORY, manifest())];
    let stranger = signer(&[public(1)], manifest(), &all).unwrap_err();
    assert_eq!(stranger.kind(), "wrong-signer");
    let alone = signer(&[public(1)], manifest(), std::slice::from_ref(&broken)).unwrap_err();
    assert!(alone.to_string().contains("too many bytes"), "{alone}");
    let good = sign(&key(1), REPOSITORY, manifest());
    assert_eq!(
        signer(&[public(1)], manifest(), &[broken, good]).map(|(key, _)| key),
        Ok(0)
    );
    assert!(
        error.to_string().contains("none of the 2 signatures"),
        "{error}"
    );
}

#[test]
fn no_byte_of_what_is_signed_and_of_its_signature_can_be_changed() {
    let good = sign(&key(1), REPOSITORY, manifest());
    for at in 0..good.payload.len() {
        let mut bytes = good.payload.clone().into_bytes();
        bytes[at] ^= 1;
        let Ok(payload) = String::from_utf8(bytes) else {
            continue;
        };
        let changed = Signed {
            payload,
            ..good.clone()
        };
        assert!(
            changed.verify(&[public(1)], manifest()).is_err(),
            "byte {at}"
        );
    }
    let der = decode(&good.signature).unwrap();
    for at in 0..der.len() {
        let mut der = der.clone();
        der[at] ^= 1;
        let changed = Signed {
            signature: encode(&der),
            ..good.clone()
        };
        assert!(
            changed.verify(&[public(1)], manifest()).is_err(),
            "byte {at}"
        );
    }
}

#[test]
fn a_key_is_read_from_each_form_that_openssl_writes() {
    let pkcs8 = secret(1).to_pkcs8_pem(LineEnding::CRLF).unwrap();
    let sec1 = secret(1).to_sec1_pem(LineEnding::LF).unwrap();
    let parameters =
        "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n";
    let with_parameters = format!("{parameters}{}", sec1.as_str());
    for text in [
        pkcs8.as_bytes(),
        sec1.as_bytes(),
        with_parameters.as_bytes(),
        &[b"\n", pkcs8.as_bytes(), b"\n\n"].concat(),
    ] {
        let key = SigningKey::from_pem(text, None).unwrap();
        assert_eq!(key.public().unwrap(), public(1));
    }
}

#[test]
fn what_is_no_key_says_what_is_expected() {
    let private = secret(1).to_pkcs8_pem(LineEnding::LF).unwrap();
    let public_pem = secret(1)
        .public_key()
        .to_public_key_pem(LineEnding::LF)
        .unwrap();
    let not_pem = |e: &KeyError| matches!(e, KeyError::NotPem { .. });
    for bad in [
        &b""[..],
        b"-----BEGIN PUBLIC KEY-----",
        b"AAAA",
        b"\xff\xfe",
    ] {
        assert!(not_pem(&PublicKey::from_pem(bad).unwrap_err()), "{bad:?}");
        assert!(
            not_pem(&SigningKey::from_pem(bad, None).unwrap_err()),
            "{bad:?}"
        );
    }
    let label = PublicKey::from_pem(private.as_bytes()).unwrap_err();
    assert!(label.to_string().contains("cosign public-key"), "{label}");
    let label = SigningKey::from_pem(public_pem.as_bytes(), None).unwrap_err();
    assert!(label.to_string().contains("PUBLIC KEY"), "{label}");
    let long = vec![b'A'; 20_000];
    assert!(matches!(
        PublicKey::from_pem(&long),
        Err(KeyError::TooLarge { .. })
    ));
    // A key of Ed25519.
    let other = "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n";
    assert_eq!(
        PublicKey::from_pem(other.as_bytes()).unwrap_err(),
        KeyError::NotP256
    );
}

#[test]
fn no_text_form_of_a_key_or_a_password_shows_it() {
    let password = KeyPassword::of_file(Zeroizing::new(b"hunter2\r\n".to_vec()));
    let shown = format!("{:?} {:?} {password:?} {password:#?}", key(1), public(1));
    assert!(
        !shown.contains("hunter2") && !shown.contains(&hex(&[1; 8])),
        "{shown}"
    );
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// An encrypted key as cosign lays it out, with these parts.
fn sealed(n: &str, ciphertext: &str, name: &str) -> Vec<u8> {
    let json = format!(
        r#"{{"kdf":{{"name":"{name}","params":{{"N":{n},"r":8,"p":1}},"salt":"AAAAAAAAAAAAAAAA"}},"cipher":{{"name":"nacl/secretbox","nonce":"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"}},"ciphertext":"{ciphertext}"}}"#
    );
    let label = "ENCRYPTED SIGSTORE PRIVATE KEY";
    pem_rfc7468::encode_string(label, LineEnding::LF, json.as_bytes())
        .unwrap()
        .into_bytes()
}

#[test]
fn an_encrypted_key_that_asks_for_too_much_work_is_refused_before_any_is_done() {
    let password = KeyPassword::new(Zeroizing::new(b"x".to_vec()));
    let open = |text: &[u8]| SigningKey::from_pem(text, Some(&password)).unwrap_err();
    for n in ["1073741824", "9223372036854775808", "18446744073709551615"] {
        let error = open(&sealed(n, "AAAA", "scrypt"));
        assert!(matches!(error, KeyError::Work { .. }), "{n}: {error}");
    }
    for (n, ciphertext, name) in [
        ("1000", "AAAA", "scrypt"),
        ("0", "AAAA", "scrypt"),
        ("1", "AAAA", "scrypt"),
        ("-1", "AAAA", "scrypt"),
        ("16", "AAAA", "scrypt"),
        ("16", "?", "scrypt"),
        ("16", "AAAA", "pbkdf2"),
    ] {
        let error = open(&sealed(n, ciphertext, name));
        assert!(
            matches!(error, KeyError::Form { .. }),
            "{n} {ciphertext} {name}: {error}"
        );
    }
    let wrong = open(&sealed("16", &encode(&[0; 64]), "scrypt"));
    assert_eq!(wrong, KeyError::WrongPassword);
    let none = SigningKey::from_pem(&sealed("16", "AAAA", "scrypt"), None).unwrap_err();
    assert_eq!(none, KeyError::NoPassword);
}
