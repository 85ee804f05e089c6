//! Plugins from a registry that is not what it should be: each an error of its own, that names app, plugin and source and what to
//! do, and after which nothing is kept.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use serde_json::{Value, json};
use weir_tests::Auth;
use weir_tests::charts::{FileServer, sha256};
use weir_tests::registry::{MANIFEST, WASM_LAYER, descriptor};
use weir_tests::scene::SOON;
use weir_tests::told::{stop, wait_app};

/// A registry that lies.
#[path = "plugin_oci/liar.rs"]
#[expect(dead_code, reason = "shared with the suite that needs more of it")]
mod liar;
/// A repository and machines.
#[path = "plugin_oci/scene.rs"]
#[expect(dead_code, reason = "shared with the suite that needs more of it")]
mod scene;

use liar::{Liar, locked};
use scene::{Scene, says, versions};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// A render fails with these words for the app that calls the plugin; nothing is kept, and the other app is rendered.
fn refused(scene: &Scene, liar: &Liar, component: &[u8], words: &[&str]) {
    let said = scene.fails("render", &["--worktree"], 1);
    says(&said, &["app `web`", "plugin `team`", &liar.source()]);
    says(&said, words);
    assert!(!said.contains("app `plain`"), "{said}");
    assert!(!scene.keeps(component), "{said}");
    let plain = scene.run("render", &["--worktree", "plain"]);
    says(&plain.success().unwrap(), &["name: plain"]);
}

/// Locking fails with these words; there is no lock, and nothing is kept.
fn not_locked(manifest: &Value, media_type: &str, words: &[&str]) {
    let liar = Liar::new();
    let [_, component] = versions();
    liar.has(&component);
    liar.has_manifest(manifest.to_string().as_bytes(), media_type);
    let scene = Scene::new(&liar.source());
    let said = scene.fails("lock", &[], 1);
    says(&said, &["plugin `team`", &liar.source()]);
    says(&said, words);
    assert!(!scene.repo.path().join("weir.lock").exists(), "{said}");
    assert!(!scene.keeps(&component), "{said}");
    // What is refused by its manifest is not asked for.
    let asked = liar.server.requests();
    let blob = liar.blob_at(&component);
    assert!(!asked.iter().any(|one| one.path == blob), "{asked:?}");
}

/// The manifest of the second version with one thing exchanged.
fn with(pointer: &str, value: Value) -> Value {
    let mut manifest = Liar::manifest(&versions()[1]);
    *manifest.pointer_mut(pointer).unwrap() = value;
    manifest
}

#[test]
fn other_bytes_of_the_right_size_are_refused() {
    let (liar, scene, component) = locked();
    let mut other = component.clone();
    *other.last_mut().unwrap() ^= 1;
    liar.server.file(&liar.blob_at(&component), other.clone());
    let words = [
        "other bytes",
        "as its layer",
        &sha256(&other),
        &sha256(&component),
    ];
    refused(&scene, &liar, &component, &words);
}

#[test]
fn more_or_fewer_bytes_than_the_lock_says_are_refused() {
    let (liar, scene, component) = locked();
    let size = component.len();
    let more = [component.as_slice(), b"x"].concat();
    for other in [&more, &component[..size - 1], b""] {
        liar.server.file(&liar.blob_at(&component), other);
        let came = format!("sends {} bytes as its layer", other.len());
        let said = format!("the manifest says {size}");
        refused(
            &scene,
            &liar,
            &component,
            &[&came, &said, "broken or hostile"],
        );
    }
    // Without end: no more is read than is pinned.
    liar.server
        .endless(&liar.blob_at(&component), &[0; 64 << 10]);
    let came = format!("sends {} bytes as its layer", size + 1);
    refused(&scene, &liar, &component, &[&came]);
}

#[test]
fn an_answer_that_breaks_off_is_no_plugin() {
    let (liar, scene, component) = locked();
    liar.server
        .cut(&liar.blob_at(&component), component.len() / 2);
    refused(
        &scene,
        &liar,
        &component,
        &["cannot be reached", "broke off"],
    );
}

#[test]
fn another_manifest_under_the_pinned_digest_is_refused() {
    let (liar, scene, component) = locked();
    let [other, _] = versions();
    let pinned = Liar::manifest(&component).to_string();
    let other = Liar::manifest(&other).to_string();
    let at = liar.manifest_at(&format!("sha256:{}", sha256(pinned.as_bytes())));
    liar.server.file(&at, other.clone());
    let (pinned, other) = (sha256(pinned.as_bytes()), sha256(other.as_bytes()));
    refused(
        &scene,
        &liar,
        &component,
        &["other bytes", "as its manifest", &pinned, &other],
    );
}

#[test]
fn what_the_registry_does_not_have_any_more_is_said_with_what_to_do() {
    let (liar, scene, component) = locked();
    liar.server.remove(&liar.blob_at(&component));
    let words = [
        "does not have the component",
        &sha256(&component),
        "push it again",
    ];
    refused(&scene, &liar, &component, &words);
    let manifest = Liar::manifest(&component).to_string();
    let digest = format!("sha256:{}", sha256(manifest.as_bytes()));
    liar.server.remove(&liar.manifest_at(&digest));
    refused(
        &scene,
        &liar,
        &component,
        &["does not have the manifest", &digest],
    );
}

#[test]
fn a_lock_that_was_changed_by_hand_is_refused() {
    let (liar, scene, component) = locked();
    let [other, _] = versions();
    let lock = scene.locked();
    let changed = lock.replace(&sha256(&component), &sha256(&other));
    assert_ne!(lock, changed);
    scene.repo.write("weir.lock", changed).unwrap();
    let words = [
        "weir.lock pins a component",
        &sha256(&other),
        "changed by hand",
    ];
    refused(&scene, &liar, &component, &words);
    let (size, less) = (component.len(), component.len() - 1);
    let changed = lock.replace(&format!("size: {size}"), &format!("size: {less}"));
    assert_ne!(lock, changed);
    scene.repo.write("weir.lock", changed).unwrap();
    refused(
        &scene,
        &liar,
        &component,
        &["weir.lock pins a component", "changed by hand"],
    );
    // Without what it takes to fetch it, nothing is guessed.
    let lines = lock
        .lines()
        .filter(|l| !l.contains("manifest:") && !l.contains("size:"));
    let changed: Vec<&str> = lines.collect();
    scene
        .repo
        .write("weir.lock", changed.join("\n") + "\n")
        .unwrap();
    refused(
        &scene,
        &liar,
        &component,
        &["does not pin its manifest", "run `weir lock`"],
    );
}

#[test]
fn a_wrong_media_type_is_named_wherever_it_is() {
    let good = Liar::manifest(&versions()[1]);
    let image = "application/vnd.oci.image.config.v1+json";
    let tar = "application/vnd.oci.image.layer.v1.tar+gzip";
    let docker = "application/vnd.docker.distribution.manifest.v2+json";
    for (manifest, kind, words) in [
        (
            good.clone(),
            "text/html",
            ["its manifest has the media type \"text/html\"", MANIFEST],
        ),
        (good, docker, ["its manifest has the media type", docker]),
        (
            with("/mediaType", docker.into()),
            MANIFEST,
            ["its manifest has the media type", docker],
        ),
        (
            with("/config/mediaType", image.into()),
            MANIFEST,
            ["its config has the media type", image],
        ),
        (
            with("/layers/0/mediaType", tar.into()),
            MANIFEST,
            ["its layer has the media type", tar],
        ),
    ] {
        not_locked(&manifest, kind, &words);
    }
}

#[test]
fn exactly_one_layer_is_a_plugin() {
    let layer = descriptor(WASM_LAYER, &versions()[1]);
    not_locked(
        &with("/layers", json!([])),
        MANIFEST,
        &["has no layer", "exactly one"],
    );
    let two = with("/layers", json!([layer, layer]));
    not_locked(&two, MANIFEST, &["has 2 layers", "exactly one"]);
}

#[test]
fn a_list_of_manifests_is_no_plugin() {
    let list = json!({
        "schemaVersion": 2, "mediaType": INDEX, "manifests": [descriptor(MANIFEST, b"x")],
    });
    not_locked(&list, INDEX, &["is an image index", "name the digest"]);
    not_locked(&list, MANIFEST, &["is an image index"]);
}

#[test]
fn a_component_that_is_too_large_is_refused_before_a_byte_of_it_comes() {
    let manifest = with("/layers/0/size", (257 << 20).into());
    not_locked(
        &manifest,
        MANIFEST,
        &["its component has 269484032 bytes", "expected 1 to"],
    );
    not_locked(
        &with("/layers/0/size", 0.into()),
        MANIFEST,
        &["its component has 0 bytes"],
    );
}

#[test]
fn what_is_no_manifest_is_refused() {
    not_locked(&json!("log in"), MANIFEST, &["its manifest cannot be read"]);
    not_locked(
        &json!({}),
        MANIFEST,
        &["its config has the media type \"\""],
    );
}

/// A registry that asks for a password, a repository that has its plugin locked, and the flag of a machine that knows it.
fn with_password() -> (Liar, Scene, Vec<u8>, String) {
    let (liar, scene, component) = locked();
    liar.server.require(Auth::Basic {
        user: "ann".to_owned(),
        password: "hunter2".to_owned(),
    });
    scene.file("password", "hunter2\n");
    let access = format!(
        "version: 1\naccess: [{{ host: '{}', auth: {{ username: ann, password-file: password }} }}]\n",
        liar.server.host()
    );
    let file = scene.file("externals.yaml", &access);
    (liar, scene, component, file)
}

#[test]
fn a_manifest_elsewhere_is_not_taken_where_credentials_were_shown() {
    let (liar, scene, component, access) = with_password();
    let elsewhere = FileServer::start().unwrap();
    let manifest = Liar::manifest(&component).to_string();
    let digest = format!("sha256:{}", sha256(manifest.as_bytes()));
    elsewhere.file("/manifest", manifest);
    let to = format!("http://{}/manifest", elsewhere.host());
    liar.server.redirect(&liar.manifest_at(&digest), &to);
    let flags = ["--worktree", "--externals", &access];
    let said = scene.fails("render", &flags, 1);
    let words = [
        "app `web`",
        "plugin `team`",
        &liar.source(),
        "redirects to",
        &elsewhere.host(),
    ];
    says(&said, &words);
    assert!(!said.contains("hunter2"), "{said}");
    assert!(!scene.keeps(&component));
    let shown = elsewhere.requests();
    assert!(shown.iter().all(|r| r.header("authorization").is_none()));
}

#[test]
fn a_component_elsewhere_is_taken_without_credentials_or_not_at_all() {
    let (liar, scene, component, access) = with_password();
    let elsewhere = FileServer::start().unwrap();
    elsewhere.file("/blob", component.clone());
    let to = format!("http://{}/blob", elsewhere.host());
    liar.server.redirect(&liar.blob_at(&component), &to);
    elsewhere.require(Auth::Basic {
        user: "ann".to_owned(),
        password: "hunter2".to_owned(),
    });
    let flags = ["--worktree", "--externals", &access];
    let said = scene.fails("render", &flags, 1);
    let words = [
        "app `web`",
        &liar.source(),
        &elsewhere.host(),
        "wants credentials",
        "never shown elsewhere",
    ];
    says(&said, &words);
    assert!(!scene.keeps(&component));
    elsewhere.require(Auth::Open);
    scene.run("render", &flags).success().unwrap();
    let shown = elsewhere.requests();
    assert!(shown.iter().all(|r| r.header("authorization").is_none()));
}

#[test]
fn a_redirect_with_a_password_in_it_is_not_followed() {
    let (liar, scene, component) = locked();
    let to = format!("http://ann:hunter2@{}/blob", liar.server.host());
    liar.server.redirect(&liar.blob_at(&component), &to);
    let said = scene.fails("render", &["--worktree"], 1);
    says(
        &said,
        &["app `web`", &liar.source(), "without user and password"],
    );
    assert!(!said.contains("hunter2"), "{said}");
    assert!(!scene.keeps(&component));
}

#[test]
fn a_registry_outside_the_hosts_that_may_be_reached_is_not_asked() {
    let (liar, scene, component) = locked();
    let asked = liar.server.requests().len();
    let file = scene.file("externals.yaml", "version: 1\nhosts: [registry.example]\n");
    let said = scene.fails("render", &["--worktree", "--externals", &file], 1);
    says(
        &said,
        &[
            "app `web`",
            &liar.source(),
            "may not reach",
            "`hosts` does not name it",
        ],
    );
    assert_eq!(liar.server.requests().len(), asked);
    assert!(!scene.keeps(&component));
}

#[test]
fn an_app_whose_registry_was_away_is_rendered_when_it_is_back_while_others_go_on() {
    let (liar, mut scene, component) = locked();
    scene.repo.commit("all").unwrap();
    let manifest = Liar::manifest(&component).to_string();
    let at = liar.manifest_at(&format!("sha256:{}", sha256(manifest.as_bytes())));
    let busy = weir_tests::charts::Answer {
        status: 503,
        headers: Vec::new(),
        body: Vec::new(),
    };
    liar.server.answer(&at, busy);
    let host = scene.host(&liar.server.host(), "");
    let mut serving = scene.weir.start(["serve", "--config", &host]).unwrap();
    let said = wait_app(&mut serving, "web", "cannot be reached", SOON).unwrap();
    says(&said, &["plugin `team`", &liar.source(), "503"]);
    assert!(scene.landed("web").is_empty());
    // Nobody has to ask, and no commit has to come.
    liar.has(&component);
    wait_app(&mut serving, "web", "synced to", SOON).unwrap();
    says(&scene.landed("web"), &["team: red"]);
    // It was synced long ago, beside an app that could not be rendered.
    says(&scene.landed("plain"), &["name: plain"]);
    stop(serving, SOON).unwrap();
}
