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
    // cosign writes it for its owner alone.
    let ran = scene.run(&sign);
    assert!(!ran.stderr.contains("warning"), "{}", ran.stderr);
    ran.success().unwrap();
    fs::set_permissions(&private, fs::Permissions::from_mode(0o644)).unwrap();
    let ran = scene.run(&sign);
    for words in [&private[..], "other users may read it", "chmod 600"] {
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    }
    assert!(ran.success().unwrap().contains("was signed already"));
}

#[test]
fn a_bundle_of_one_signer_leaves_the_classic_signature_of_another_good() {
    let scene = Scene::new();
    let (ours, theirs) = (
        scene.tools.key("ours").unwrap(),
        scene.tools.key("theirs").unwrap(),
    );
    let reference = scene.push("1.0.0");
    scene.sign(&ours, &reference);
    scene.tools.sign(&theirs, plain(&reference), true).unwrap();
    for key in [&ours, &theirs] {
        scene.says(&verify(&reference, &[key]));
    }
    let tools = &scene.tools;
    tools.verify(&theirs.public, plain(&reference)).unwrap();
    // cosign looks at bundles alone where there is one, unless it is told otherwise.
    let alone = tools.verify(&ours.public, plain(&reference));
    assert!(alone.is_err(), "{alone:?}");
    let classic = tools.verify_classic(&ours.public, plain(&reference));
    classic.unwrap();
}

#[test]
fn what_others_keep_beside_a_plugin_takes_nothing_from_a_good_signature() {
    let scene = Scene::new();
    let key = scene.tools.key("team").unwrap();
    let (first, second) = (scene.push("1.0.0"), scene.push("1.0.1"));
    let hex = |reference: &str| reference.rsplit(':').next().unwrap().to_owned();
    scene.tools.sign(&key, plain(&first), true).unwrap();
    // Its list of bundles, under the name of another plugin's.
    let repository = format!("{}/{PATH}", scene.registry.host());
    let from = format!("{repository}:sha256-{}", hex(&first));
    let fetch = ["manifest", "fetch", "--plain-http", &from];
    let index = scene.tools.oras(fetch).unwrap();
    fs::write(scene.tools.path("index.json"), index).unwrap();
    let to = format!("{repository}:sha256-{}", hex(&second));
    let push = ["manifest", "push", "--plain-http", &to, "index.json"];
    scene.tools.oras(push).unwrap();
    let said = scene.fails(&verify(&second, &[&key]));
    assert!(said.contains("where it does not belong"), "{said}");
    // A bundle that is none.
    fs::write(scene.tools.path("none.json"), "no JSON").unwrap();
    let bundle = "application/vnd.dev.sigstore.bundle.v0.3+json";
    let attach = [
        "attach",
        "--plain-http",
        "--distribution-spec",
        "v1.1-referrers-tag",
        "--artifact-type",
        bundle,
        plain(&second),
        &format!("none.json:{bundle}"),
    ];
    scene.tools.oras(attach).unwrap();
    scene.sign(&key, &second);
    scene.says(&verify(&second, &[&key]));
    let said = scene.says(&["inspect", &second]);
    assert!(said.contains("3 signatures, unverified"), "{said}");
}
