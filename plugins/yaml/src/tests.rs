//! Which files an app takes, and what it says when it cannot.

use weir_plugin::tree::MemoryTree;
use weir_plugin::{Diagnostics, Params};

use super::*;

fn tree() -> MemoryTree {
    MemoryTree::new([
        ("weir.yaml", "version: 1"),
        ("weir.lock", "version: 1"),
        ("apps/shop/b.yaml", "b"),
        ("apps/shop/a.yml", "a"),
        ("apps/shop/c.json", "{}"),
        ("apps/shop/notes.md", "no"),
        ("apps/shop/.hidden.yaml", "no"),
        ("apps/shop/.github/x.yaml", "no"),
        ("apps/shop/deep/er/d.yaml", "d"),
        ("apps/shopping/other.yaml", "other"),
        ("apps/empty/README.md", "no"),
        ("charts/web/Chart.yaml", "name: web"),
        ("charts/web/templates/x.yaml", "{{ nonsense }}"),
        ("kust/kustomization.yml", "resources: [x.yaml]"),
        ("kust/x.yaml", "x"),
    ])
}

fn run(path: &str, config: &str) -> Result<Vec<String>, Diagnostics> {
    let params = Params::new("shop", path).with_config(config);
    Ok(render(&params, &tree())?
        .into_iter()
        .map(|document| document.origin)
        .collect())
}

/// The codes and paths of what was said.
fn complaint(path: &str, config: &str) -> Vec<(String, String)> {
    let diagnostics = run(path, config).unwrap_err();
    diagnostics
        .into_iter()
        .map(|said| (said.code, said.path.unwrap_or_default()))
        .collect()
}

#[test]
fn all_yaml_and_json_files_below_the_path_are_taken_in_order() {
    let files = run("apps/shop", "{}").unwrap();
    assert_eq!(
        files,
        [
            "apps/shop/a.yml",
            "apps/shop/b.yaml",
            "apps/shop/c.json",
            "apps/shop/deep/er/d.yaml"
        ]
    );
}

#[test]
fn the_bytes_are_handed_on_unchanged() {
    let bytes = [0xff, 0x00, b'a', b'\r'];
    let tree = MemoryTree::new([("x.yaml", bytes)]);
    let documents = render(&Params::new("shop", ""), &tree).unwrap();
    assert_eq!(
        documents,
        [Document {
            origin: "x.yaml".into(),
            body: bytes.to_vec()
        }]
    );
}

#[test]
fn a_path_that_is_one_file_is_that_file() {
    assert_eq!(
        run("apps/shop/deep/er/d.yaml", "{}").unwrap(),
        ["apps/shop/deep/er/d.yaml"]
    );
    assert_eq!(
        run("apps/shop/notes.md", "{}").unwrap(),
        ["apps/shop/notes.md"]
    );
}

#[test]
fn without_recurse_only_the_directory_itself_counts() {
    let files = run("apps/shop", r#"{"recurse":false}"#).unwrap();
    assert_eq!(
        files,
        ["apps/shop/a.yml", "apps/shop/b.yaml", "apps/shop/c.json"]
    );
}

#[test]
fn globs_are_relative_to_the_apps_path() {
    assert_eq!(
        run("apps/shop", r#"{"include":["deep/**/*.yaml"]}"#).unwrap(),
        ["apps/shop/deep/er/d.yaml"]
    );
    assert_eq!(
        run("apps/shop", r#"{"include":["*.yaml"]}"#).unwrap(),
        ["apps/shop/b.yaml"]
    );
    let files = run("apps/shop", r#"{"exclude":["deep","*.{yml,json}"]}"#).unwrap();
    assert_eq!(files, ["apps/shop/b.yaml"]);
}

#[test]
fn a_glob_never_brings_in_other_files_than_yaml_and_json() {
    assert_eq!(
        run("apps/shop", r#"{"include":["**/*"]}"#).unwrap().len(),
        4
    );
}

#[test]
fn weirs_own_files_are_not_objects() {
    let files = run("", r#"{"exclude":["charts/**","kust"]}"#).unwrap();
    assert!(
        files.iter().all(|file| file.starts_with("apps/")),
        "{files:?}"
    );
}

#[test]
fn no_file_is_an_error_and_never_an_empty_render() {
    assert_eq!(
        complaint("apps/empty", "{}"),
        [("no-manifests".into(), "apps/empty".into())]
    );
    assert_eq!(
        complaint("apps/shop", r#"{"include":["*.none"]}"#),
        [("no-manifests".into(), "apps/shop".into())]
    );
    let text = run("apps/shop", r#"{"exclude":["**"],"recurse":false}"#)
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("directly in apps/shop after include [] and exclude [\"**\"]"),
        "{text}"
    );
}

#[test]
fn a_path_that_is_gone_is_an_error() {
    assert_eq!(
        complaint("apps/gone", "{}"),
        [("no-such-path".into(), "apps/gone".into())]
    );
    assert_eq!(
        complaint("../etc", "{}"),
        [("no-such-path".into(), "../etc".into())]
    );
}

#[test]
fn a_chart_or_a_kustomization_is_refused_with_the_way_out() {
    assert_eq!(
        complaint("charts", "{}"),
        [("not-plain-yaml".into(), "charts/web".into())]
    );
    assert_eq!(
        complaint("kust", "{}"),
        [("not-plain-yaml".into(), "kust".into())]
    );
    assert_eq!(
        complaint("kust/kustomization.yml", "{}"),
        [("not-plain-yaml".into(), "kust".into())]
    );
    let both = complaint("", "{}");
    assert_eq!(
        both.len(),
        2,
        "every such directory is named at once: {both:?}"
    );
    let text = run("charts/web", "{}").unwrap_err().to_string();
    assert!(
        text.contains("render: { plugin: helm }") && text.contains("`exclude`"),
        "{text}"
    );
}

#[test]
fn files_of_a_chart_that_are_included_by_name_are_taken() {
    let files = run("charts/web", r#"{"include":["templates/*.yaml"]}"#).unwrap();
    assert_eq!(files, ["charts/web/templates/x.yaml"]);
}

#[test]
fn an_unknown_key_is_named_with_the_nearest_one() {
    let text = run("apps/shop", r#"{"recurs":true}"#)
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("config.recurs: unknown field `recurs`; did you mean `recurse`?"),
        "{text}"
    );
}

#[test]
fn a_glob_that_cannot_match_is_refused_by_its_key() {
    for bad in [
        "",
        "/abs/*.yaml",
        "../x.yaml",
        "!x.yaml",
        "[a.yaml",
        "{a,b.yaml",
    ] {
        let config = format!(r#"{{"exclude":["ok.yaml","{bad}"]}}"#);
        let text = run("apps/shop", &config).unwrap_err().to_string();
        assert!(
            text.starts_with("bad-config: config.exclude[1]: "),
            "{bad}: {text}"
        );
    }
}

#[test]
fn a_tree_without_end_is_refused() {
    struct Endless;
    impl Tree for Endless {
        fn entries(&self, _dir: &str) -> Result<Vec<Entry>, TreeError> {
            let name = "again".to_string();
            Ok(vec![Entry {
                name,
                kind: Kind::Directory,
                size: 0,
                executable: false,
                digest: String::new(),
            }])
        }
        fn read(&self, _path: &str) -> Result<Vec<u8>, TreeError> {
            Err(TreeError::NotFound)
        }
    }
    let error = render(&Params::new("shop", ""), &Endless).unwrap_err();
    assert_eq!(error.as_slice()[0].code, "tree-too-large");
}
