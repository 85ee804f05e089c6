//! Signatures both ways: what Weir signs the real cosign verifies, what that signs Weir verifies, and neither takes anything else.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use weir_tests::oci_tools::KeyPair;

use super::scene::{PATH, Scene, plain};

/// The arguments of `weir plugin verify` with these keys.
fn verify<'a>(reference: &'a str, keys: &[&'a KeyPair]) -> Vec<&'a str> {
    let mut all = vec!["verify", reference];
    for key in keys {
        all.extend(["--key", key.public.to_str().unwrap()]);
    }
    all
}

#[test]
fn cosign_verifies_what_weir_signed_with_cosigns_own_key() {
    let scene = Scene::new();
    let (key, other) = (
        scene.tools.key("team").unwrap(),
        scene.tools.key("other").unwrap(),
    );
    let reference = scene.push("1.0.0");
    let said = scene.sign(&key, &reference);
    assert!(
        said.starts_with(&format!("{reference}: signed by")),
        "{said}"
    );
    let found = scene.tools.verify(&key.public, plain(&reference)).unwrap();
    let image = &found[0]["critical"]["image"]["docker-manifest-digest"];
    assert_eq!(image, reference.split_once('@').unwrap().1, "{found}");
    let refused = scene.tools.verify(&other.public, plain(&reference));
    assert!(refused.is_err(), "{refused:?}");
    // Weir itself: by the key that signed, whichever stands first.
    let said = scene.says(&verify(&reference, &[&other, &key]));
    assert!(said.contains(key.public.to_str().unwrap()), "{said}");
    let said = scene.fails(&verify(&reference, &[&other]));
    assert!(said.contains("by none of the 1 keys"), "{said}");
    // Once more changes nothing.
    let again = scene.sign(&key, &scene.reference("1.0.0"));
    assert!(again.contains("was signed already"), "{again}");
}

#[test]
fn weir_verifies_what_cosign_signed_in_either_of_its_forms() {
    for as_bundle in [false, true] {
        let scene = Scene::new();
        let (key, other) = (
            scene.tools.key("team").unwrap(),
            scene.tools.key("other").unwrap(),
        );
        let reference = scene.push("1.0.0");
        let none = scene.fails(&verify(&reference, &[&key]));
        assert!(none.contains("has no signature"), "{none}");
        scene
            .tools
            .sign(&key, plain(&reference), as_bundle)
            .unwrap();
        let said = scene.says(&verify(&reference, &[&key]));
        assert!(said.contains("signed by"), "{as_bundle}: {said}");
        let said = scene.fails(&verify(&reference, &[&other]));
        assert!(
            said.contains("by none of the 1 keys"),
            "{as_bundle}: {said}"
        );
    }
}

#[test]
fn signatures_of_weir_and_of_cosign_stand_beside_each_other() {
    let scene = Scene::new();
    let (ours, theirs) = (
        scene.tools.key("ours").unwrap(),
        scene.tools.key("theirs").unwrap(),
    );
    let (first, second) = (scene.push("1.0.0"), scene.push("1.0.1"));
    scene.sign(&ours, &first);
    scene.tools.sign(&theirs, plain(&first), false).unwrap();
    scene.tools.sign(&theirs, plain(&second), false).unwrap();
    scene.sign(&ours, &second);
    for reference in [&first, &second] {
        for key in [&ours, &theirs] {
            scene.says(&verify(reference, &[key]));
            scene.tools.verify(&key.public, plain(reference)).unwrap();
        }
        let shown = scene.json(&["inspect", reference, "-o", "json"]);
        assert_eq!(shown["registry"]["signatures"], 2);
    }
}

#[test]
fn keys_of_openssl_sign_too() {
    let scene = Scene::new();
    let reference = scene.push("1.0.0");
    let sec1 = ["ecparam", "-name", "prime256v1", "-genkey", "-noout"];
    let sec1 = scene.tools.openssl(sec1).unwrap();
    fs::write(scene.tools.path("sec1.pem"), &sec1).unwrap();
    let pkcs8 = ["pkcs8", "-topk8", "-nocrypt", "-in", "sec1.pem"];
    fs::write(
        scene.tools.path("pkcs8.pem"),
        scene.tools.openssl(pkcs8).unwrap(),
    )
    .unwrap();
    let public = scene
        .tools
        .openssl(["ec", "-in", "sec1.pem", "-pubout"])
        .unwrap();
    fs::write(scene.tools.path("sec1.pub"), public).unwrap();
    for (file, said) in [
        ("sec1.pem", ": signed by"),
        ("pkcs8.pem", "was signed already"),
    ] {
        let key = scene.tools.path(file);
        let sign = ["sign", &reference, "--key", key.to_str().unwrap()];
        let shown = scene.says(&sign);
        assert!(shown.contains(said), "{file}: {shown}");
    }
    scene
        .tools
        .verify(&scene.tools.path("sec1.pub"), plain(&reference))
        .unwrap();
}

#[test]
fn a_key_that_cannot_be_opened_says_why_and_shows_nothing_of_itself() {
    let mut scene = Scene::new();
    let key = scene.tools.key("team").unwrap();
    let reference = scene.push("1.0.0");
    let private = key.private.to_str().unwrap().to_owned();
    let sign = ["sign", &reference, "--key", &private];
    let said = scene.fails(&sign);
    assert!(said.contains("COSIGN_PASSWORD"), "{said}");
    scene.weir.variable("COSIGN_PASSWORD", "hunter2");
    let said = scene.fails(&sign);
    assert!(said.contains("the password does not open it"), "{said}");
    assert!(!said.contains("hunter2"), "{said}");
    let public = key.public.to_str().unwrap();
    let said = scene.fails(&["sign", &reference, "--key", public]);
    assert!(said.contains("PUBLIC KEY"), "{said}");
    let said = scene.fails(&["verify", &reference, "--key", &private]);
    assert!(said.contains("cosign public-key"), "{said}");
    let said = scene.fails(&["sign", &reference, "--key", "nowhere.key"]);
    assert!(said.contains("No such file"), "{said}");
    scene
        .weir
        .variable("COSIGN_PASSWORD", weir_tests::oci_tools::KEY_PASSWORD);
    scene.says(&sign);
}
