//! `weir plugin push`, `pull`, `sign` and `verify` through the real binary, beside the real registry, cosign, oras and wkg: what one
//! writes the others read, and what is not as it should be is refused by its name.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

#[path = "plugin_ship/hanging.rs"]
mod hanging;
#[path = "plugin_ship/interop.rs"]
mod interop;
#[path = "plugin_ship/refused.rs"]
mod refused;
#[path = "plugin_ship/scene.rs"]
mod scene;
#[path = "plugin_ship/signed.rs"]
mod signed;

use std::fs;

use scene::{Scene, component};
use weir_tests::registry::{PASSWORD, Registry, USER};

#[test]
fn a_plugin_goes_into_a_registry_and_comes_out_as_it_was() {
    let scene = Scene::new();
    let reference = scene.push("1.0.0");
    let pulled = scene.weir.path("pulled.wasm");
    let said = scene.says(&["pull", &reference, "-o", pulled.to_str().unwrap()]);
    assert_eq!(fs::read(&pulled).unwrap(), component("1.0.0"));
    assert!(said.contains("transformer of"), "{said}");
    assert!(said.contains(&reference), "{said}");
    // By its tag alone, and under a name of its own.
    let tagged = scene.reference("1.0.0");
    let said = scene.says(&["pull", &tagged]);
    assert!(said.contains("team-labels.wasm: transformer"), "{said}");
    assert!(said.contains(&format!("from {reference}\n")), "{said}");
    assert_eq!(
        fs::read(scene.weir.path("team-labels.wasm")).unwrap(),
        component("1.0.0")
    );
}

#[test]
fn the_same_component_has_the_same_digest_wherever_and_whenever_it_is_pushed() {
    let (one, two) = (Scene::new(), Scene::new());
    let digest = |reference: &str| reference.split_once('@').unwrap().1.to_owned();
    let first = digest(&one.push("1.0.0"));
    assert_eq!(first, digest(&two.push("1.0.0")));
    let again = one.json(&[
        "push",
        one.file("1.0.0"),
        &one.reference("1.0.0"),
        "-o",
        "json",
    ]);
    assert_eq!(again["manifest"], first.as_str());
    assert_eq!(again["wasThere"], true);
    assert_ne!(first, digest(&one.push("1.0.1")));
}

#[test]
fn a_tag_does_not_move_unless_it_is_meant_to() {
    let scene = Scene::new();
    let first = scene.push("1.0.0");
    let tagged = scene.reference("1.0.0");
    let other = scene.file("1.0.1");
    let said = scene.fails(&["push", other, &tagged]);
    for words in [
        tagged.as_str(),
        first.split_once('@').unwrap().1,
        "--force",
        "new tag",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(scene.says(&["inspect", &tagged]).contains(&first));
    let moved = scene.json(&["push", other, &tagged, "--force", "-o", "json"]);
    assert_eq!(moved["wasThere"], false);
    assert!(!scene.says(&["inspect", &tagged]).contains(&first));
    // What was pulled by its digest stays what it is.
    scene.says(&["pull", &first]);
    assert_eq!(
        fs::read(scene.weir.path("team-labels.wasm")).unwrap(),
        component("1.0.0")
    );
}

#[test]
fn a_registry_that_asks_for_a_password_gets_the_one_of_the_hosts_file_and_it_is_never_shown() {
    let mut scene = Scene::new();
    let file = scene.weir.path("htpasswd");
    scene.registry = Registry::with_password(&file).unwrap();
    let tagged = scene.reference("1.0.0");
    let said = scene.fails(&["push", scene.file("1.0.0"), &tagged]);
    assert!(said.contains("401") && said.contains("`access`"), "{said}");
    let with = |scene: &mut Scene, password: &str| {
        fs::write(scene.weir.path("password"), password).unwrap();
        let text = format!(
            "version: 1\naccess:\n- {{ host: '{}', auth: {{ username: {USER}, password-file: password }} }}\n",
            scene.registry.host()
        );
        let file = scene.weir.path("externals.yaml");
        fs::write(&file, text).unwrap();
        scene.weir.variable("WEIR_EXTERNALS", &file);
    };
    with(&mut scene, "guess");
    let said = scene.fails(&["push", scene.file("1.0.0"), &tagged]);
    assert!(said.contains("wrong, expired or revoked"), "{said}");
    assert!(!said.contains("guess"), "{said}");
    with(&mut scene, PASSWORD);
    let reference = scene.push("1.0.0");
    scene.says(&["pull", &reference]);
    let key = scene.tools.key("team").unwrap();
    scene.sign(&key, &reference);
    scene.says(&["verify", &reference, "--key", key.public.to_str().unwrap()]);
}

#[test]
fn inspect_shows_what_lies_in_a_registry_and_who_signed_it() {
    let scene = Scene::new();
    let reference = scene.push("1.0.0");
    let tagged = scene.reference("1.0.0");
    let (key, other) = (
        scene.tools.key("team").unwrap(),
        scene.tools.key("other").unwrap(),
    );
    let said = scene.says(&["inspect", &tagged]);
    for words in [
        "roles    transformer",
        &format!("from     {reference}"),
        "signer   not signed",
        "version      1.0.0",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    scene.sign(&key, &reference);
    let said = scene.says(&["inspect", &tagged]);
    assert!(said.contains("1 signature, unverified"), "{said}");
    let (mine, strange) = (key.public.to_str().unwrap(), other.public.to_str().unwrap());
    let said = scene.says(&["inspect", &tagged, "--key", strange, "--key", mine]);
    assert!(
        said.contains(&format!("signer   signed by {mine}")),
        "{said}"
    );
    let shown = scene.json(&["inspect", &tagged, "--key", strange, "-o", "json"]);
    assert_eq!(shown["registry"]["signatures"], 1);
    assert_eq!(shown["registry"]["signer"], serde_json::Value::Null);
    let why = shown["registry"]["notSigned"].as_str().unwrap();
    assert!(why.contains("by none of the 1 keys"), "{why}");
    let said = scene.fails(&["inspect", scene.file("1.0.0"), "--key", mine]);
    assert!(said.contains("oci://HOST/PATH:TAG"), "{said}");
}
