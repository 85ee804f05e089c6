//! What the pages about scripts show, put into a repository and run.

use std::fs;

use weir_tests::places;

use super::{SHOP, Scene, holds};

/// The files that a page shows: fenced blocks whose first line is a comment with a path.
fn files_of(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(places::root().join(page)).unwrap();
    let blocks = text.split("\n```").skip(1).step_by(2);
    blocks
        .filter_map(|block| {
            let (first, rest) = block.split_once('\n')?.1.split_once('\n')?;
            let path = first.trim_start_matches(['#', '/', ' ']);
            let is_path = path.contains('.') && !path.contains(' ');
            is_path.then(|| (path.to_owned(), format!("{rest}\n")))
        })
        .collect()
}

/// A machine with a repository of what a page shows and of these files.
fn shown_by(page: &str, more: &[(&str, &str)]) -> Scene {
    let files = files_of(page);
    let names: Vec<&str> = files.iter().map(|(path, _)| path.as_str()).collect();
    assert!(names.contains(&"weir.yaml"), "{page} shows {names:?}");
    let mut scene = Scene::new("apps: []\n", more);
    for (path, text) in &files {
        let version = if path == "weir.yaml" && !text.contains("version:") {
            "version: 1\n"
        } else {
            ""
        };
        scene.repo.write(path, format!("{version}{text}")).unwrap();
    }
    scene.repo.commit("What the page shows").unwrap();
    scene
}

#[test]
fn the_page_of_scripts_shows_one_transform_and_one_check_in_three_languages() {
    let scene = shown_by("docs/scripts.md", &[("shop/a.yaml", SHOP)]);
    let first = scene.rendered("in-starlark");
    holds(&first, &["team: checkout", "replicas: 3"]);
    for app in ["in-js", "in-cel"] {
        assert_eq!(scene.rendered(app), first, "{app}");
    }
    for app in ["in-starlark", "in-js", "in-cel"] {
        let ran = scene.run(&["render", app]);
        holds(&ran.stderr, &["pin the image", "image-not-pinned"]);
    }
}

#[test]
fn the_example_of_each_plugins_page_does_what_it_says() {
    let star = shown_by(
        "plugins/scripts/starlark/README.md",
        &[("apps/shop/a.yaml", SHOP)],
    );
    assert_eq!(star.rendered("shop").matches("team: checkout").count(), 2);
    let images = "web: nginx\ndb: postgres\n";
    let js = shown_by(
        "plugins/scripts/js/README.md",
        &[("apps/shop/images.yaml", images)],
    );
    let shown = js.rendered("shop");
    holds(
        &shown,
        &["name: shop-web", "name: shop-db", "replicas: \"2\""],
    );
    let mut cel = shown_by(
        "plugins/scripts/cel/README.md",
        &[("apps/shop/a.yaml", SHOP)],
    );
    let mut manifest = fs::read_to_string(cel.repo.path().join("weir.yaml")).unwrap();
    manifest += "apps: [{ name: shop, path: apps/shop }]\n";
    cel.change("weir.yaml", &manifest);
    holds(
        &cel.refused("shop"),
        &["at most 5 replicas", "/spec/replicas"],
    );
    manifest = manifest.replace("most: 5", "most: 7");
    cel.change("weir.yaml", &manifest);
    cel.rendered("shop");
}
