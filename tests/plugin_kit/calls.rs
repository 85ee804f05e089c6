//! Calls by hand, and the limits that they share with a host.

use weir_tests::weir::text;

use super::folder::{Folder, MAP, labels};

#[test]
fn limits_hold_in_a_test_as_on_a_host_and_can_be_expected() {
    let folder = labels();
    for (limits, word) in [
        ("fuel: 1k", "fuel"),
        ("memory: 64Ki", "memory"),
        ("output: \"10\"", "output-limit"),
    ] {
        folder.write(
            "testdata/one/case.yaml",
            format!("config: {{ labels: {{ team: a }} }}\nlimits: {{ {limits} }}\n"),
        );
        folder.test(&["--update"]).success().unwrap();
        let expected =
            std::fs::read_to_string(folder.dir.join("testdata/one/expected-error.yaml")).unwrap();
        assert_eq!(expected, format!("failed: {word}\n"));
        assert!(
            !folder.dir.join("testdata/one/expected.yaml").exists(),
            "the other expectation is gone"
        );
        assert_eq!(folder.test(&[]).success().unwrap(), "ok      one\n");
    }
    let ran = folder
        .weir(&[
            "run",
            "plugin.wasm",
            "--case",
            "testdata/one",
            "--fuel",
            "1k",
        ])
        .code(1)
        .unwrap();
    assert!(
        ran.stderr.contains("ran out of fuel: it may use 1k units"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_call_by_hand_says_what_is_missing_for_its_role() {
    let transformer = labels();
    let ran = transformer.weir(&["run", "plugin.wasm"]).code(2).unwrap();
    assert!(
        ran.stderr.contains("give them with --objects FILE"),
        "{}",
        ran.stderr
    );
    let ran = transformer
        .weir(&["run", "plugin.wasm", "--role", "renderer", "--tree", "."])
        .code(1)
        .unwrap();
    assert!(
        ran.stderr.contains("is no renderer: it is a transformer"),
        "{}",
        ran.stderr
    );
    let ran = transformer
        .weir(&["run", "plugin.wasm", "--objects", "plugin.wasm"])
        .code(2)
        .unwrap();
    assert!(ran.stderr.contains("plugin.wasm:"), "{}", ran.stderr);
    let ran = transformer.weir(&[
        "run",
        "plugin.wasm",
        "--objects",
        "testdata/one/objects.yaml",
        "--config",
        "[]",
    ]);
    assert!(
        ran.code(2)
            .unwrap()
            .stderr
            .contains("--config: expected a JSON object")
    );
    let renderer = Folder::with("yaml");
    let ran = renderer.weir(&["run", "plugin.wasm"]).code(2).unwrap();
    assert!(
        ran.stderr
            .contains("a renderer reads files: give them with --tree DIR"),
        "{}",
        ran.stderr
    );
    let ran = renderer
        .weir(&["run", "plugin.wasm", "--tree", "gone"])
        .code(1)
        .unwrap();
    assert!(ran.stderr.contains("gone"), "{}", ran.stderr);
    let ran = renderer.weir(&["bench", "plugin.wasm"]).code(2).unwrap();
    assert!(
        ran.stderr.contains("name one with --case DIR"),
        "{}",
        ran.stderr
    );
}

#[test]
fn a_renderer_is_called_with_a_folder_or_a_commit_and_sees_the_same() {
    let renderer = Folder::with("yaml");
    let repo = weir_tests::Repo::empty().unwrap();
    repo.write("apps/a/map.yaml", MAP).unwrap();
    repo.write("apps/b/broken.yaml", "a: [\n").unwrap();
    let mut repo = repo;
    repo.commit("One").unwrap();
    let path = repo.path();
    let at = text(&path).unwrap();
    let from_folder = renderer
        .weir(&["run", "plugin.wasm", "--tree", at, "--path", "apps/a"])
        .success()
        .unwrap();
    let from_commit = renderer
        .weir(&["run", "plugin.wasm", "--repo", at, "--path", "apps/a"])
        .success()
        .unwrap();
    assert!(
        from_folder.starts_with("# from apps/a/map.yaml\n---\n"),
        "{from_folder}"
    );
    assert_eq!(from_folder, from_commit);
    let ran = renderer
        .weir(&["run", "plugin.wasm", "--repo", at, "--path", "apps/b"])
        .code(1)
        .unwrap();
    assert!(ran.stderr.contains("apps/b/broken.yaml:"), "{}", ran.stderr);
    let ran = renderer
        .weir(&["run", "plugin.wasm", "--repo", at, "--rev", "gone"])
        .code(1)
        .unwrap();
    assert!(ran.stderr.contains("gone"), "{}", ran.stderr);
    let shown = renderer
        .weir(&[
            "run",
            "plugin.wasm",
            "--tree",
            at,
            "--path",
            "apps/a",
            "-o",
            "json",
        ])
        .success()
        .unwrap();
    let shown: serde_json::Value = serde_json::from_str(&shown).unwrap();
    assert_eq!(shown["role"], "renderer");
    assert_eq!(
        shown["outcome"]["documents"][0]["object"]["kind"],
        "ConfigMap"
    );
    assert!(shown["usage"]["fuel"].as_u64().unwrap() > 0);
}
