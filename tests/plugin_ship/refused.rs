//! What is not as it should be: components that are none, artifacts of another form, signatures that do not belong, registries that
//! lie.

use std::fs;

use serde_json::json;
use weir_tests::charts::{Answer, FileServer};
use weir_tests::registry::{MANIFEST, Pushed, descriptor};

use super::hanging::Hanging;
use super::scene::{PATH, Scene, component, plain};

const CONFIG: &str = "application/vnd.wasm.config.v0+json";
const WASM: &str = "application/wasm";
const SIMPLE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

#[test]
fn what_is_no_plugin_is_not_pushed() {
    let scene = Scene::new();
    let to = scene.reference("1.0.0");
    fs::write(scene.weir.path("text.wasm"), "no component").unwrap();
    let said = scene.fails(&["push", "text.wasm", &to]);
    assert!(said.contains("text.wasm"), "{said}");
    // A component without any of a plugin's functions.
    fs::write(
        scene.weir.path("empty.wasm"),
        wat::parse_str("(component)").unwrap(),
    )
    .unwrap();
    let said = scene.fails(&["push", "empty.wasm", &to]);
    assert!(
        said.contains("`render`, `transform` and `validate`"),
        "{said}"
    );
    let said = scene.fails(&["pull", &to]);
    assert!(said.contains(&to), "nothing was pushed: {said}");
}

#[test]
fn a_reference_that_says_no_tag_is_refused_before_anything_is_sent() {
    let scene = Scene::new();
    let server = FileServer::start().unwrap();
    let file = scene.file("1.0.0");
    let digest = format!("oci://{}/{PATH}@sha256:{}", server.host(), "0".repeat(64));
    for (to, words) in [
        (
            format!("oci://{}/{PATH}", server.host()),
            "neither a tag nor a digest",
        ),
        (digest, "pushed under a tag"),
        ("https://r.example/a:1".to_owned(), "oci://"),
        (
            "oci://r.example/Upper:1".to_owned(),
            "no name in a registry",
        ),
    ] {
        let said = scene.fails(&["push", file, &to]);
        assert!(said.contains(words), "{to}: {said}");
    }
    assert_eq!(server.requests(), []);
}

#[test]
fn an_artifact_of_another_form_is_an_error_of_its_own() {
    let scene = Scene::new();
    let bytes = component("1.0.0");
    let push = |tag: &str, config: &str, layers: &[(&str, &[u8])]| {
        let pushed = Pushed {
            name: PATH,
            tag,
            config,
            layers,
        };
        scene.registry.push(&pushed).unwrap();
    };
    push(
        "image",
        "application/vnd.oci.image.config.v1+json",
        &[(WASM, &bytes)],
    );
    push(
        "tar",
        CONFIG,
        &[("application/vnd.oci.image.layer.v1.tar+gzip", &bytes)],
    );
    push("two", CONFIG, &[(WASM, &bytes), (WASM, b"more")]);
    push("none", CONFIG, &[]);
    push("text", CONFIG, &[(WASM, b"no component")]);
    for (tag, words) in [
        ("image", "its config has the media type"),
        ("tar", "its layer has the media type"),
        ("two", "its manifest has 2 layers"),
        ("none", "its manifest has no layer"),
        ("text", "component"),
        ("absent", "does not have the manifest absent"),
    ] {
        let reference = scene.reference(tag);
        let said = scene.fails(&["pull", &reference, "-o", "got.wasm"]);
        assert!(said.contains(words), "{tag}: {said}");
        assert!(said.contains(PATH), "{tag}: {said}");
        assert!(!scene.weir.path("got.wasm").exists(), "{tag}");
    }
}

#[test]
fn bytes_that_were_changed_in_the_registry_never_reach_a_file() {
    let scene = Scene::new();
    let reference = scene.push("1.0.0");
    let bytes = component("1.0.0");
    let mut changed = bytes.clone();
    *changed.last_mut().unwrap() ^= 1;
    let digest = weir_tests::charts::sha256(&bytes);
    fs::write(scene.weir.path("got.wasm"), "what was there").unwrap();
    for (now, words) in [(&changed[..], "other bytes"), (&bytes[..100], "100 bytes")] {
        scene.registry.tamper(&digest, now).unwrap();
        let said = scene.fails(&["pull", &reference, "-o", "got.wasm"]);
        assert!(said.contains(words) && said.contains(PATH), "{said}");
        let kept = fs::read_to_string(scene.weir.path("got.wasm")).unwrap();
        assert_eq!(kept, "what was there");
    }
}

#[test]
fn a_signature_that_belongs_elsewhere_does_not_count() {
    let scene = Scene::new();
    let key = scene.tools.key("team").unwrap();
    let (first, second) = (scene.push("1.0.0"), scene.push("1.0.1"));
    scene.sign(&key, &first);
    let tag = |reference: &str| {
        let (repository, hex) = plain(reference).split_once("@sha256:").unwrap();
        let (repository, _) = repository.rsplit_once(':').unwrap();
        format!("{repository}:sha256-{hex}.sig")
    };
    let (from, to) = (tag(&first), tag(&second));
    let copy = ["cp", "--from-plain-http", "--to-plain-http", &from, &to];
    scene.tools.oras(copy).unwrap();
    let public = key.public.to_str().unwrap();
    let said = scene.fails(&["verify", &second, "--key", public]);
    for words in [first.split_once('@').unwrap().1, "where it does not belong"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    scene.says(&["verify", &first, "--key", public]);
}

#[test]
fn too_many_or_too_large_signatures_are_refused_by_the_limits_name() {
    let scene = Scene::new();
    let key = scene.tools.key("team").unwrap();
    let reference = scene.push("1.0.0");
    let hex = reference.rsplit(':').next().unwrap();
    let tag = format!("sha256-{hex}.sig");
    let push = |layers: &[(&str, &[u8])]| {
        let pushed = Pushed {
            name: PATH,
            tag: &tag,
            config: "application/vnd.oci.image.config.v1+json",
            layers,
        };
        scene.registry.push(&pushed).unwrap();
    };
    let public = key.public.to_str().unwrap();
    push(&vec![(SIMPLE, &b"{}"[..]); 51]);
    let said = scene.fails(&["verify", &reference, "--key", public]);
    assert!(said.contains("the limit signatures"), "{said}");
    let (long, config) = (vec![b' '; 70_000], b"{}");
    let mut layer = descriptor(SIMPLE, &long);
    layer["annotations"] = json!({ "dev.cosignproject.cosign/signature": "AAAA" });
    let manifest = json!({
        "schemaVersion": 2, "mediaType": MANIFEST, "layers": [layer],
        "config": descriptor("application/vnd.oci.image.config.v1+json", config),
    });
    let put = scene
        .registry
        .put((PATH, &tag), &manifest, &[&long, config]);
    put.unwrap();
    let said = scene.fails(&["verify", &reference, "--key", public]);
    assert!(
        said.contains("70000 bytes, at most 65536 are taken"),
        "{said}"
    );
    // Layers without a signature in their annotations are none.
    push(&[(SIMPLE, b"{}")]);
    let said = scene.fails(&["verify", &reference, "--key", public]);
    assert!(said.contains("has no signature"), "{said}");
}

/// A registry that takes no plugin: nothing is there, and uploads are answered so.
fn lying(upload: Answer) -> FileServer {
    let server = FileServer::start().unwrap();
    server.answer("/v2/a/blobs/uploads/", upload);
    server
}

fn located(status: u16, at: &str) -> Answer {
    Answer {
        status,
        headers: vec![("Location".to_owned(), at.to_owned())],
        body: Vec::new(),
    }
}

#[test]
fn an_upload_that_is_to_go_elsewhere_goes_nowhere() {
    let scene = Scene::new();
    let elsewhere = FileServer::start().unwrap();
    let away = format!("http://{}/steal", elsewhere.host());
    for (answer, words) in [
        (located(202, &away), "at another host"),
        (located(307, &away), "is not followed for what is uploaded"),
        (located(302, &away), "is not followed for what is uploaded"),
    ] {
        let server = lying(answer);
        let to = format!("oci://{}/a:1", server.host());
        let said = scene.fails(&["push", scene.file("1.0.0"), &to]);
        assert!(said.contains(words), "{said}");
        assert!(said.contains(&elsewhere.host()), "{said}");
    }
    assert_eq!(elsewhere.requests(), []);
}

#[test]
fn a_registry_that_sends_questions_elsewhere_is_pushed_to_all_the_same() {
    let scene = Scene::new();
    let elsewhere = FileServer::start().unwrap();
    let server = lying(located(202, "/there"));
    let digest = weir_tests::charts::sha256(&component("1.0.0"));
    let away = format!("http://{}/blob", elsewhere.host());
    server.redirect(&format!("/v2/a/blobs/sha256:{digest}"), &away);
    server.answer("/there", located(201, "/done"));
    let to = format!("oci://{}/a:1", server.host());
    let said = scene.fails(&["push", scene.file("1.0.0"), &to]);
    // This server takes no manifest: so far it came.
    assert!(said.contains("/v2/a/manifests/1"), "{said}");
    let requests = server.requests();
    let uploads = requests
        .iter()
        .filter(|r| r.method == "PUT" && r.path == "/there");
    assert!(uploads.clone().any(|r| r.body == component("1.0.0")));
    assert_eq!(elsewhere.requests(), []);
}

#[test]
fn a_token_for_a_push_is_asked_for_by_what_it_is_for() {
    let mut scene = Scene::new();
    let tokens = FileServer::start().unwrap();
    tokens.file("/token", r#"{ "token": "rig" }"#);
    let realm = format!("http://{}/token", tokens.host());
    scene.registry = weir_tests::registry::Registry::with_tokens(&realm).unwrap();
    scene.push("1.0.0");
    let requests = tokens.requests();
    let scope = "scope=repository%3Ateam%2Fteam-labels%3Apull%2Cpush";
    assert!(
        !requests.is_empty() && requests.iter().all(|r| r.query.contains(scope)),
        "{requests:?}"
    );
}

#[test]
fn an_upload_that_is_cut_off_or_refused_says_so_and_leaves_no_tag() {
    let scene = Scene::new();
    for (answer, words) in [
        (located(202, "/there"), "404"),
        (located(500, "/there"), "500"),
        (located(413, "/there"), "larger than the registry takes"),
        (located(405, "/there"), "to be read only"),
        (located(403, "/there"), "403"),
        (
            Answer {
                status: 202,
                headers: Vec::new(),
                body: Vec::new(),
            },
            "does not say where",
        ),
    ] {
        let server = lying(answer);
        let to = format!("oci://{}/a:1", server.host());
        let said = scene.fails(&["push", scene.file("1.0.0"), &to]);
        assert!(said.contains(words), "{words}: {said}");
        let requests = server.requests();
        let puts = requests.iter().filter(|r| r.path.contains("/manifests/"));
        assert!(puts.clone().all(|r| r.method == "GET"), "{words}");
    }
    let server = Hanging::start().unwrap();
    let said = scene.fails(&[
        "push",
        scene.file("1.0.0"),
        &format!("oci://{}/a:1", server.host()),
    ]);
    assert!(said.contains("/upload cannot be reached"), "{said}");
    assert_eq!(server.methods().iter().filter(|m| *m == "PUT").count(), 1);
    let gone = {
        let server = FileServer::start().unwrap();
        server.host()
    };
    let said = scene.fails(&["push", scene.file("1.0.0"), &format!("oci://{gone}/a:1")]);
    assert!(said.contains("cannot be reached"), "{said}");
}

#[test]
fn a_host_that_the_file_of_externals_does_not_name_is_not_pushed_to() {
    let mut scene = Scene::new();
    let file = scene.weir.path("externals.yaml");
    fs::write(&file, "version: 1\nhosts: [registry.example]\n").unwrap();
    scene.weir.variable("WEIR_EXTERNALS", &file);
    let to = scene.reference("1.0.0");
    let said = scene.fails(&["push", scene.file("1.0.0"), &to]);
    assert!(said.contains("`hosts` does not name it"), "{said}");
}

#[test]
fn each_command_says_what_it_takes() {
    let scene = Scene::new();
    for (command, words) in [
        ("push", &["[PLUGIN] <REFERENCE>", "--force"][..]),
        ("pull", &["<REFERENCE>", "--output <FILE>"]),
        ("sign", &["--key <FILE>", "COSIGN_PASSWORD"]),
        (
            "verify",
            &["--key <FILE>", "one of those given has to have signed"],
        ),
        ("inspect", &["<FILE|REFERENCE>", "--key <FILE>"]),
    ] {
        let help = scene.says(&[command, "--help"]);
        for word in words {
            assert!(help.contains(word), "{command}: {word}: {help}");
        }
    }
    let said = scene.fails(&["verify", &scene.reference("1")]);
    assert!(said.contains("--key"), "{said}");
}
