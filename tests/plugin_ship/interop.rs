//! What Weir pushes oras reads, and what oras pushes Weir reads.

use std::fs;

use serde_json::Value;

use super::scene::{PATH, Scene, component, plain};

#[test]
fn oras_pulls_what_weir_pushed_and_sees_the_layout_of_the_cncf() {
    let scene = Scene::new();
    let reference = scene.push("1.0.0");
    let manifest = ["manifest", "fetch", "--plain-http", plain(&reference)];
    let manifest: Value = serde_json::from_str(&scene.tools.oras(manifest).unwrap()).unwrap();
    assert_eq!(
        manifest["mediaType"],
        "application/vnd.oci.image.manifest.v1+json"
    );
    assert_eq!(
        manifest["config"]["mediaType"],
        "application/vnd.wasm.config.v0+json"
    );
    let layers = manifest["layers"].as_array().unwrap();
    assert_eq!(layers.len(), 1);
    assert_eq!(layers[0]["mediaType"], "application/wasm");
    for (key, value) in [
        ("title", "team-labels"),
        ("version", "1.0.0"),
        ("licenses", "Apache-2.0"),
        ("source", "https://git.example/team-labels"),
    ] {
        let key = format!("org.opencontainers.image.{key}");
        assert_eq!(manifest["annotations"][&key], value, "{key}");
    }
    let config = ["manifest", "fetch-config", "--plain-http", plain(&reference)];
    let config: Value = serde_json::from_str(&scene.tools.oras(config).unwrap()).unwrap();
    assert_eq!(config["architecture"], "wasm");
    assert_eq!(config["os"], "wasip2");
    assert_eq!(config["layerDigests"][0], layers[0]["digest"]);
    let exports = config["component"]["exports"].as_array().unwrap();
    assert!(!exports.is_empty(), "{config}");
    scene
        .tools
        .oras(["pull", "--plain-http", "--output", "got", plain(&reference)])
        .unwrap();
    let got = fs::read(scene.tools.path("got/team-labels.wasm")).unwrap();
    assert_eq!(got, component("1.0.0"));
}

#[test]
fn weir_pulls_and_signs_what_oras_pushed() {
    let scene = Scene::new();
    fs::write(scene.tools.path("config.json"), "{}").unwrap();
    fs::write(scene.tools.path("plugin.wasm"), component("2.0.0")).unwrap();
    let to = format!("{}/{PATH}:2.0.0", scene.registry.host());
    scene
        .tools
        .oras([
            "push",
            "--plain-http",
            "--config",
            "config.json:application/vnd.wasm.config.v0+json",
            &to,
            "plugin.wasm:application/wasm",
        ])
        .unwrap();
    let reference = scene.reference("2.0.0");
    scene.says(&["pull", &reference, "-o", "got.wasm"]);
    let got = fs::read(scene.weir.path("got.wasm")).unwrap();
    assert_eq!(got, component("2.0.0"));
    let key = scene.tools.key("team").unwrap();
    scene.sign(&key, &reference);
    scene.tools.verify(&key.public, &to).unwrap();
}
