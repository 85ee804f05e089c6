//! Which plugins a host takes: sources that its file allows, for all repositories and for each of them.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::cell::Cell;

use weir_tests::scene::SOON;
use weir_tests::told::{stop, wait_app};

/// A registry that lies.
#[path = "plugin_oci/liar.rs"]
#[expect(dead_code, reason = "shared with the suite that needs more of it")]
mod liar;
/// A repository and machines.
#[path = "plugin_oci/scene.rs"]
#[expect(dead_code, reason = "shared with the suites that need more of it")]
mod scene;

use liar::Liar;
use scene::{Scene, says, versions};

/// A registry with a plugin, and a repository that has it locked. The machine has nothing of it.
fn locked() -> (Liar, Scene, Vec<u8>) {
    let liar = Liar::new();
    let [_, component] = versions();
    liar.has(&component);
    let mut scene = Scene::new(&liar.source());
    scene.lock();
    scene.another_machine();
    (liar, scene, component)
}

#[test]
fn a_source_that_the_host_does_not_take_is_not_asked_and_no_digest_that_is_here_is_an_excuse() {
    let (liar, mut scene, component) = locked();
    scene.repo.commit("all").unwrap();
    let asked = liar.server.requests().len();
    for known in [false, true] {
        if known {
            says(&scene.web(), &["team: red"]);
        }
        let asked = if known {
            liar.server.requests().len()
        } else {
            asked
        };
        let rules = "plugins: { sources: [bundled, 'oci://registry.example/'] }\n";
        let host = scene.host(&liar.server.host(), rules);
        let mut serving = scene.weir.start(["serve", "--config", &host]).unwrap();
        let (failed, synced) = (Cell::new(false), Cell::new(known));
        let both = |line: &str| {
            failed.set(failed.get() || line.contains("does not take plugins"));
            synced.set(synced.get() || line.contains("\"plain\"") && line.contains("synced to"));
            failed.get() && synced.get()
        };
        serving
            .wait_for("a failure and a sync", SOON, both)
            .unwrap();
        let said = serving.stderr();
        says(
            &said,
            &[
                "plugin `team`",
                &liar.source(),
                "`sources` of `plugins` of this host",
                "registry.example",
            ],
        );
        stop(serving, SOON).unwrap();
        assert_eq!(liar.server.requests().len(), asked);
        assert!(scene.landed("web").is_empty());
        says(&scene.landed("plain"), &["name: plain"]);
        assert_eq!(scene.keeps(&component), known);
    }
}

#[test]
fn a_component_from_elsewhere_is_not_taken_for_one_of_an_allowed_place() {
    let (liar, mut scene, component) = locked();
    // This machine has it, from a place that the host below does not allow.
    says(&scene.web(), &["team: red"]);
    let lock = scene.locked();
    let (from, to) = ("team/labels", "good/labels");
    scene
        .repo
        .write("weir.lock", lock.replace(from, to))
        .unwrap();
    scene.takes(&liar.source().replace(from, to));
    scene.repo.commit("another place").unwrap();
    let registry = liar.server.host();
    let rules = format!("plugins: {{ sources: [bundled, 'oci://{registry}/good/'] }}\n");
    let host = scene.host(&registry, &rules);
    let mut serving = scene.weir.start(["serve", "--config", &host]).unwrap();
    let said = wait_app(&mut serving, "web", "does not have the manifest", SOON).unwrap();
    says(&said, &["good/labels"]);
    stop(serving, SOON).unwrap();
    assert!(scene.landed("web").is_empty());
    assert!(scene.keeps(&component), "what was there stays");
}

#[test]
fn a_repository_narrows_what_the_host_allows_and_never_widens_it() {
    let (liar, mut scene, _) = locked();
    scene.repo.commit("all").unwrap();
    let registry = liar.server.host();
    let open = scene.host(
        &registry,
        &format!("plugins: {{ sources: [bundled, 'oci://{registry}/'] }}\n"),
    );
    let text = std::fs::read_to_string(&open).unwrap();
    let own = |sources: &str| format!("name: shop, plugins: {{ sources: [{sources}] }}, ");
    let narrow = scene.file(
        "narrow.yaml",
        &text.replace("name: shop, ", &own("bundled")),
    );
    let mut serving = scene.weir.start(["serve", "--config", &narrow]).unwrap();
    let said = wait_app(&mut serving, "web", "does not take plugins", SOON).unwrap();
    says(&said, &["`plugins` of repository shop"]);
    stop(serving, SOON).unwrap();
    let text = text.replace(&format!("'oci://{registry}/'"), "file");
    let wide = own(&format!("bundled, 'oci://{registry}/'"));
    let wide = scene.file("wide.yaml", &text.replace("name: shop, ", &wide));
    let mut serving = scene.weir.start(["serve", "--config", &wide]).unwrap();
    let said = wait_app(&mut serving, "web", "does not take plugins", SOON).unwrap();
    says(&said, &["`plugins` of this host"]);
    stop(serving, SOON).unwrap();
    let mut serving = scene.weir.start(["serve", "--config", &open]).unwrap();
    wait_app(&mut serving, "web", "synced to", SOON).unwrap();
    says(&scene.landed("web"), &["team: red"]);
    stop(serving, SOON).unwrap();
}
