//! What Weir pushes oras and wkg read, and what they push Weir reads.

use std::fs;

use serde_json::Value;

use weir_tests::places;

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
    let config = [
        "manifest",
        "fetch-config",
        "--plain-http",
        plain(&reference),
    ];
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

#[test]
fn wkg_pulls_what_weir_pushed_and_weir_pulls_what_wkg_pushed() {
    let scene = Scene::new();
    let reference = scene.push("1.0.0");
    let host = scene.registry.host();
    let plain_http = ["--insecure", &host];
    let pull = ["oci", "pull", plain(&reference), "-o", "got.wasm"];
    scene.tools.wkg(pull.into_iter().chain(plain_http)).unwrap();
    let got = fs::read(scene.tools.path("got.wasm")).unwrap();
    assert_eq!(got, component("1.0.0"));
    fs::write(scene.tools.path("plugin.wasm"), component("2.0.0")).unwrap();
    let to = scene.reference("2.0.0");
    let push = ["oci", "push", plain(&to), "plugin.wasm"];
    scene.tools.wkg(push.into_iter().chain(plain_http)).unwrap();
    scene.says(&["pull", &to, "-o", "got.wasm"]);
    let got = fs::read(scene.weir.path("got.wasm")).unwrap();
    assert_eq!(got, component("2.0.0"));
}

/// A text of the page as a pattern: each of these words stands for what is different on each machine.
fn is_like(shown: &str, said: &str) -> bool {
    let mut words = shown.split_whitespace().zip(said.split_whitespace());
    let alike = |a: &str, b: &str| {
        let names = ["REGISTRY", "DIGEST", "SIZE", "KEY", "COMPONENT"];
        let Some(name) = names.iter().find(|name| a.contains(*name)) else {
            return a == b;
        };
        let (before, after) = a.split_once(name).unwrap();
        let rest = after.split_once("DIGEST").map_or(after, |(_, end)| end);
        b.starts_with(before) && b.ends_with(rest)
    };
    let count = |text: &str| text.split_whitespace().count();
    count(shown) == count(said) && words.all(|(a, b)| alike(a, b))
}

#[test]
fn the_pages_commands_print_what_it_says() {
    let mut scene = Scene::new();
    let page = fs::read_to_string(places::root().join("docs/plugins.md")).unwrap();
    let (_, block) = page.split_once("<!-- ship -->\n```console\n").unwrap();
    let (block, _) = block.split_once("```\n").unwrap();
    fs::copy(scene.file("1.0.0"), scene.weir.path("team-labels.wasm")).unwrap();
    let key = scene.tools.key("team").unwrap();
    fs::copy(&key.private, scene.weir.path("team.key")).unwrap();
    fs::copy(&key.public, scene.weir.path("team.pub")).unwrap();
    scene
        .weir
        .variable("COSIGN_PASSWORD", weir_tests::oci_tools::KEY_PASSWORD);
    let mut commands = 0;
    for piece in block.split("$ weir plugin ").skip(1) {
        let (command, expected) = piece.split_once('\n').unwrap();
        let command = command.replace("REGISTRY", &scene.registry.host());
        let said = scene.says(&command.split(' ').collect::<Vec<_>>());
        // A size is a number and its unit.
        let said = said.replace(" KiB", "KiB").replace(" MiB", "MiB");
        assert!(is_like(expected, &said), "{command}:\n{said}\n{expected}");
        commands += 1;
    }
    assert_eq!(commands, 4);
}
