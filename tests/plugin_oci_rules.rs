//! Which plugins a host takes: from sources that its file allows, signed by those that it lists, for all repositories and for each.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::cell::Cell;

use rcgen::KeyPair;
use weir_source::cosign::{self, Signed, SigningKey};
use weir_tests::Serving;
use weir_tests::charts::sha256;
use weir_tests::scene::SOON;
use weir_tests::told::{stop, wait_app};

/// A registry that lies.
#[path = "plugin_oci/liar.rs"]
mod liar;
/// A repository and machines.
#[path = "plugin_oci/scene.rs"]
mod scene;

use liar::{Liar, locked};
use scene::{Scene, says, versions};

#[test]
fn a_source_that_the_host_does_not_take_is_not_asked_and_no_digest_that_is_here_is_an_excuse() {
    let (liar, mut scene, component) = locked();
    scene.repo.commit("all").unwrap();
    for known in [false, true] {
        scene.another_machine();
        if known {
            says(&scene.web(), &["team: red"]);
        }
        let asked = liar.server.requests().len();
        let rules = "plugins: { sources: [bundled, 'oci://registry.example/'] }\n";
        let host = scene.host(&liar.server.host(), rules);
        let mut serving = scene.weir.start(["serve", "--config", &host]).unwrap();
        let (failed, synced) = (Cell::new(false), Cell::new(false));
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
fn a_lock_cannot_call_what_came_from_a_registry_one_of_weirs_own() {
    let (_liar, scene, component) = locked();
    says(&scene.web(), &["team: red"]);
    assert!(scene.keeps(&component));
    let digest = sha256(&component);
    scene.takes("bundled:metadata");
    let before = scene.locked();
    let (start, rest) = before.split_once("  team:\n").unwrap();
    let (_, end) = rest.split_once("  yaml:\n").unwrap();
    let lock = format!(
        "{start}  team: {{ source: \"bundled:metadata\", digest: \"sha256:{digest}\" }}\n  yaml:\n{end}"
    );
    scene.repo.write("weir.lock", lock).unwrap();
    let said = scene.fails("render", &["--worktree", "web"], 1);
    says(&said, &["plugin `team`", "does not have", &digest]);
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

/// Somebody who signs, and the public key.
struct Signer {
    name: &'static str,
    key: SigningKey,
    public: String,
}

impl Signer {
    fn new(name: &'static str) -> Signer {
        let pair = KeyPair::generate().unwrap();
        Signer {
            name,
            key: SigningKey::from_pem(pair.serialize_pem().as_bytes(), None).unwrap(),
            public: pair.public_key_pem(),
        }
    }

    fn signs(&self, liar: &Liar, manifest: &str) -> Signed {
        cosign::sign(&self.key, &liar.source(), manifest.parse().unwrap())
    }
}

/// A host whose file asks for a signature on what comes from the plugin's registry, by one of these.
fn start(liar: &Liar, scene: &Scene, signers: &[&Signer]) -> Serving {
    let registry = liar.server.host();
    let files: Vec<String> = signers
        .iter()
        .map(|signer| scene.file(signer.name, &signer.public))
        .collect();
    let files = files.join(", ");
    let rules = format!("plugins: {{ signers: {{ 'oci://{registry}/team/': [{files}] }} }}\n");
    let host = scene.host(&registry, &rules);
    scene.weir.start(["serve", "--config", &host]).unwrap()
}

/// The digest of the manifest of a plugin that the liar has.
fn manifest_of(component: &[u8]) -> String {
    let manifest = Liar::manifest(component).to_string();
    format!("sha256:{}", weir_tests::charts::sha256(manifest.as_bytes()))
}

#[test]
fn what_nobody_signed_is_not_fetched_and_is_taken_when_it_is_signed() {
    let (liar, mut scene, component) = locked();
    scene.repo.commit("all").unwrap();
    let (ann, bob) = (Signer::new("ann.pem"), Signer::new("bob.pem"));
    let manifest = manifest_of(&component);
    let blob = liar.blob_at(&component);
    let fetched = || {
        liar.server
            .requests()
            .iter()
            .filter(|r| r.path == blob)
            .count()
    };
    let before = fetched();
    let mut serving = start(&liar, &scene, &[&ann, &bob]);
    let said = wait_app(&mut serving, "web", "has no signature", SOON).unwrap();
    let words = [
        "plugin `team`",
        &liar.source(),
        "`signers` of `plugins` of this host",
        "weir plugin sign",
    ];
    says(&said, &words);
    assert_eq!(
        fetched(),
        before,
        "of what nobody signed no byte is fetched"
    );
    assert!(!scene.keeps(&component));
    assert!(scene.landed("web").is_empty());
    // Without another commit: it is looked for again.
    liar.has_signatures(&manifest, &[bob.signs(&liar, &manifest)]);
    wait_app(&mut serving, "web", "synced to", SOON).unwrap();
    says(&scene.landed("web"), &["team: red"]);
    stop(serving, SOON).unwrap();
}

#[test]
fn a_stranger_and_a_signature_of_something_else_do_not_count() {
    let (liar, mut scene, component) = locked();
    scene.repo.commit("all").unwrap();
    let (ann, eve) = (Signer::new("ann.pem"), Signer::new("eve.pem"));
    let manifest = manifest_of(&component);
    let other = manifest_of(&versions()[0]);
    let mut changed = ann.signs(&liar, &manifest);
    changed.payload = changed.payload.replace("cosign", "Cosign");
    for (signed, words) in [
        (eve.signs(&liar, &manifest), "by none of the 1 keys"),
        (changed, "by none of the 1 keys"),
        (
            ann.signs(&liar, &other),
            "somebody put it where it does not belong",
        ),
    ] {
        liar.has_signatures(&manifest, &[signed]);
        // What is said there already is no news.
        scene.another_machine();
        let mut serving = start(&liar, &scene, &[&ann]);
        let said = wait_app(&mut serving, "web", words, SOON).unwrap();
        says(&said, &["plugin `team`", &liar.source(), &manifest]);
        stop(serving, SOON).unwrap();
        assert!(!scene.keeps(&component), "{words}");
        assert!(scene.landed("web").is_empty(), "{words}");
    }
    // One that counts beside others is enough.
    let both = [eve.signs(&liar, &manifest), ann.signs(&liar, &manifest)];
    liar.has_signatures(&manifest, &both);
    let mut serving = start(&liar, &scene, &[&ann]);
    wait_app(&mut serving, "web", "synced to", SOON).unwrap();
    stop(serving, SOON).unwrap();
}

#[test]
fn with_the_registry_gone_what_was_signed_goes_on_and_other_keys_are_not_satisfied_by_it() {
    let (liar, mut scene, component) = locked();
    scene.repo.commit("all").unwrap();
    let (ann, bob) = (Signer::new("ann.pem"), Signer::new("bob.pem"));
    let manifest = manifest_of(&component);
    liar.has_signatures(&manifest, &[ann.signs(&liar, &manifest)]);
    let mut serving = start(&liar, &scene, &[&ann]);
    wait_app(&mut serving, "web", "synced to", SOON).unwrap();
    stop(serving, SOON).unwrap();
    for at in [
        manifest.as_str(),
        "1",
        &(manifest.replace(':', "-") + ".sig"),
    ] {
        liar.server.remove(&liar.manifest_at(at));
    }
    liar.server.remove(&liar.blob_at(&component));
    scene.forget_cache();
    let map = weir_tests::scene::map("web", "two");
    scene.repo.write("web/map.yaml", map).unwrap();
    scene.repo.commit("two").unwrap();
    let asked = liar.server.requests().len();
    let mut serving = start(&liar, &scene, &[&ann]);
    wait_app(&mut serving, "web", "synced to", SOON).unwrap();
    says(&scene.landed("web"), &["value: two", "team: red"]);
    stop(serving, SOON).unwrap();
    assert_eq!(liar.server.requests().len(), asked, "nobody was asked");
    // Signers that changed are asked for anew, though the component is here.
    let mut serving = start(&liar, &scene, &[&bob]);
    let said = wait_app(&mut serving, "web", "has no signature", SOON).unwrap();
    says(&said, &["plugin `team`", &manifest]);
    // A key that cannot be read is no key that signed, and no reason to ask nobody.
    stop(serving, SOON).unwrap();
    let broken = Signer {
        public: "no key".to_owned(),
        ..bob
    };
    let mut serving = start(&liar, &scene, &[&ann, &broken]);
    let said = wait_app(&mut serving, "web", "the public key", SOON).unwrap();
    says(&said, &["bob.pem", "nothing from"]);
    stop(serving, SOON).unwrap();
}
