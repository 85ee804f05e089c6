//! `weir impact`: what a commit, a lock, a chart or a plugin changes before it is merged, as people and programs read it.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;

use scene::{MANIFEST, Scene, all_at_once, another_build, console, digest_in, without_ids};
use weir_tests::scene::map;
use weir_tests::weir::text;
use weir_tests::{Repo, Weir, places};

/// The repository, and what is printed.
#[path = "impact/scene.rs"]
mod scene;

#[test]
fn a_commit_is_told_app_by_app_object_by_object_and_field_by_field() {
    let mut scene = Scene::new();
    all_at_once(&mut scene);
    let said = scene.says(&["--from", "HEAD~1"]);
    assert_eq!(
        without_ids(&said),
        "\
6 of 6 apps change, from HEAD~1 (ID) to HEAD (ID)

the same in many apps
  ~ in 3 apps: ConfigMap: metadata.labels.team: \"shop\" -> \"till\"
  nothing else changes in 2 apps: b, c

app a: 1 added, 1 changed
  ~ ConfigMap default/a
    ~ data.value: \"one\" -> \"two\"
  + ConfigMap default/more

app d: goes, with 1 object
  ! would be held for `weir approve`: it left the manifest and still has 1 objects: ConfigMap default/d
  - ConfigMap default/d

app e: comes, with 1 object
  + ConfigMap default/e

app f: can no longer be rendered
  ! app `f`: plugin `yaml` (sha256:DIGEST) rendered what is not a Kubernetes object: f/map.yaml:1: `apiVersion` is missing; mend that file
"
        .replace("DIGEST", &digest_in(&said))
    );
}

#[test]
fn the_comment_for_a_pull_request_says_the_same() {
    let mut scene = Scene::new();
    all_at_once(&mut scene);
    let said = scene.says(&["--from", "HEAD~1", "-o", "markdown"]);
    assert_eq!(
        without_ids(&said),
        "\
## 6 of 6 apps change

from `HEAD~1 (ID)` to `HEAD (ID)`

### The same in many apps

```diff
! in 3 apps: ConfigMap: metadata.labels.team: \"shop\" -> \"till\"
```

Nothing else changes in 2 apps: b, c.

<details open><summary><b>f</b>: can no longer be rendered</summary>

```diff
# app `f`: plugin `yaml` (sha256:DIGEST) rendered what is not a Kubernetes object: f/map.yaml:1: `apiVersion` is missing; mend that file
```

</details>

<details open><summary><b>d</b>: goes, with 1 object</summary>

```diff
# would be held for `weir approve`: it left the manifest and still has 1 objects: ConfigMap default/d
- ConfigMap default/d
```

</details>

<details><summary><b>a</b>: 1 added, 1 changed</summary>

```diff
! ConfigMap default/a
!   data.value: \"one\" -> \"two\"
+ ConfigMap default/more
```

</details>

<details><summary><b>e</b>: comes, with 1 object</summary>

```diff
+ ConfigMap default/e
```

</details>
"
        .replace("DIGEST", &digest_in(&said))
    );
}

#[test]
fn programs_get_all_of_it() {
    let mut scene = Scene::new();
    all_at_once(&mut scene);
    let json = scene.json(&["--from", "HEAD~1"]);
    assert_eq!((&json["apps"], &json["changed"]), (&6.into(), &6.into()));
    let changes = json["changes"].as_array().unwrap();
    let kinds: Vec<&str> = changes
        .iter()
        .map(|c| c["change"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "changed", "changed", "changed", "removed", "added", "broken"
        ]
    );
    let a = &changes[0]["objects"][0];
    assert_eq!(
        (&a["object"]["name"], &a["change"]),
        (&"a".into(), &"changed".into())
    );
    assert_eq!(a["fields"][0]["path"], "data.value");
    assert_eq!(
        (&a["fields"][0]["before"], &a["fields"][0]["after"]),
        (&"one".into(), &"two".into())
    );
    assert_eq!(a["fields"][1]["path"], "metadata.labels.team");
    assert_eq!(
        json["common"][0]["apps"],
        serde_json::json!(["a", "b", "c"])
    );
    assert_eq!(changes[3]["held"]["deletes"][0]["name"], "d");
    assert!(
        changes[5]["error"]
            .as_str()
            .unwrap()
            .contains("f/map.yaml:1")
    );
    let yaml = scene.says(&["--from", "HEAD~1", "-o", "yaml"]);
    assert!(yaml.contains("changed: 6\n"), "{yaml}");
}

#[test]
fn where_nothing_changes_that_is_said_and_the_exit_code_is_0() {
    let mut scene = Scene::new();
    scene.commit(&[("README.md", "hello".to_owned())]);
    let said = scene.says(&["--from", "HEAD~1", "--exit-code"]);
    assert_eq!(
        without_ids(&said),
        "0 of 4 apps change, from HEAD~1 (ID) to HEAD (ID)\n"
    );
    scene.commit(&[("a/map.yaml", map("a", "two"))]);
    scene
        .impact(&["--from", "HEAD~1", "--exit-code"])
        .code(3)
        .unwrap();
    scene.impact(&["--from", "HEAD~1"]).code(0).unwrap();
    let said = scene.says(&["b", "d", "--from", "HEAD~1", "--exit-code"]);
    assert!(said.starts_with("0 of 2 apps change"), "{said}");
}

#[test]
fn what_did_not_change_is_rendered_once_for_both_sides() {
    let mut scene = Scene::new();
    scene.commit(&[("a/map.yaml", map("a", "two"))]);
    let repo = scene.repo.path();
    let words = [
        "--log",
        "weir=debug",
        "impact",
        "--from",
        "HEAD~1",
        "--repo",
        text(&repo).unwrap(),
    ];
    let reused = || {
        let stderr = scene.weir.run(words).unwrap().code(0).unwrap().stderr;
        let lines = stderr
            .lines()
            .filter_map(|line| line.split_once(" of 4 apps were rendered before"));
        let counts = lines.map(|(before, _)| before.chars().last().unwrap());
        counts.collect::<String>()
    };
    assert_eq!((reused().as_str(), reused().as_str()), ("03", "44"));
}

#[test]
fn the_work_tree_is_held_against_head() {
    let scene = Scene::new();
    scene.repo.write("a/map.yaml", map("a", "two")).unwrap();
    let said = scene.says(&["--worktree"]);
    assert!(
        without_ids(&said).starts_with("1 of 4 apps changes, from HEAD (ID) to the work tree\n"),
        "{said}"
    );
    assert!(said.contains("~ data.value: \"one\" -> \"two\""), "{said}");
}

#[test]
fn two_locks_are_held_against_each_other_at_one_revision() {
    let mut scene = Scene::new();
    scene.lock();
    scene.repo.commit("lock").unwrap();
    let lock = fs::read_to_string(scene.repo.path().join("weir.lock")).unwrap();
    // Nothing of these apps looks at the instant.
    let later = lock.replace("instant: \"20", "instant: \"21");
    assert_ne!(lock, later);
    let later = scene.file("later.lock", later);
    let said = scene.says(&["--lock", text(&later).unwrap(), "--exit-code"]);
    assert!(
        said.starts_with("0 of 4 apps change, from HEAD ("),
        "{said}"
    );
    assert!(said.contains("later.lock\n"), "{said}");
    let said = scene.says(&["--lock-from", text(&later).unwrap(), "--exit-code"]);
    assert!(said.starts_with("0 of 4 apps change"), "{said}");
}

#[test]
fn another_build_of_a_plugin_is_told_with_the_apps_that_it_changes() {
    let scene = Scene::new();
    let build = scene.file("metadata.wasm", another_build("metadata"));
    let given = format!("metadata={}", build.display());
    let said = scene.says(&["--plugin", &given, "--exit-code"]);
    let mut lines = said.lines();
    assert!(
        lines
            .next()
            .unwrap()
            .starts_with("0 of 4 apps change, from HEAD"),
        "{said}"
    );
    let plugin = lines.next().unwrap();
    assert!(plugin.starts_with("plugin metadata: sha256:"), "{said}");
    assert!(
        plugin.ends_with(", called by 3 apps, of which 0 change"),
        "{said}"
    );
    // One that does something else: a plugin of the same role.
    let other = places::guest_dir().unwrap().join("drops-all.wasm");
    let given = format!("metadata={}", other.display());
    let said = scene.says(&["--plugin", &given]);
    assert!(said.starts_with("3 of 4 apps change"), "{said}");
    assert!(said.contains("app a: can no longer be rendered"), "{said}");
    // It was lent, and is not this host's from now on.
    let kept = fs::read_dir(scene.weir.state_dir().join("plugins")).unwrap();
    for file in kept {
        let bytes = fs::read(file.unwrap().path()).unwrap();
        assert!(bytes != fs::read(&other).unwrap() && bytes != fs::read(&build).unwrap());
    }
}

#[test]
fn a_plugin_of_the_repository_is_exchanged_where_it_lies_and_one_that_is_here_by_its_digest() {
    let mut scene = Scene::new();
    let manifest = MANIFEST.replace("bundled:metadata", "file:policy/metadata.wasm");
    scene
        .repo
        .write("policy/metadata.wasm", places::bundled("metadata").unwrap())
        .unwrap();
    scene.commit(&[("weir.yaml", manifest)]);
    scene.lock();
    scene.repo.commit("lock").unwrap();
    let build = scene.file("metadata.wasm", another_build("metadata"));
    let given = format!("metadata={}", build.display());
    let said = scene.says(&["--plugin", &given]);
    assert!(
        said.contains("called by 3 apps, of which 0 change"),
        "{said}"
    );
    // By digest, where a folder of plugins has it.
    let digest = weir_core::digest::Digest::of(&another_build("metadata"));
    let given = format!("metadata={digest}");
    let refused = scene.impact(&["--plugin", &given]).code(2).unwrap().stderr;
    assert!(
        refused.contains("this host does not have") && refused.contains(&digest.to_string()),
        "{refused}"
    );
    let folder = scene.weir.cache_dir().join("plugins");
    fs::create_dir_all(&folder).unwrap();
    fs::copy(&build, folder.join(format!("{}.wasm", digest.hex()))).unwrap();
    assert_eq!(scene.says(&["--plugin", &given]), said);
}

#[test]
fn no_value_of_a_secret_is_printed_in_any_form() {
    let mut scene = Scene::new();
    let secret = |value: &str| {
        format!(
            "apiVersion: v1\nkind: Secret\nmetadata: {{ name: s }}\nstringData: {{ password: {value} }}\n"
        )
    };
    let all =
        |value: &str| ["a", "b", "c", "d"].map(|app| (format!("{app}/secret.yaml"), secret(value)));
    for value in ["hunter2", "hunter3"] {
        for (path, text) in all(value) {
            scene.repo.write(&path, text).unwrap();
        }
        scene.repo.commit(value).unwrap();
    }
    for output in ["text", "json", "yaml", "markdown"] {
        let ran = scene
            .impact(&["--from", "HEAD~1", "-o", output])
            .code(0)
            .unwrap();
        assert!(ran.stdout.contains("stringData.password"), "{}", ran.stdout);
        assert!(
            !ran.stdout.contains("hunter") && !ran.stderr.contains("hunter"),
            "{}",
            ran.stdout
        );
    }
}

#[test]
fn a_chart_that_changes_is_told_as_what_it_renders_to() {
    let mut repo = Repo::empty().unwrap();
    let chart = |version: &str| format!("apiVersion: v2\nname: shop\nversion: {version}\n");
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}\n  labels: { chart: \"{{ .Chart.Version }}\" }\n";
    repo.write("charts/shop/Chart.yaml", chart("1.0.0"))
        .unwrap();
    repo.write("charts/shop/templates/map.yaml", template)
        .unwrap();
    let apps = ["one", "two", "three", "four"].map(|name| {
        format!("- {{ name: {name}, path: charts/shop, render: {{ plugin: helm, config: {{ release: {name} }} }} }}\n")
    });
    repo.write("weir.yaml", format!("version: 1\napps:\n{}", apps.concat()))
        .unwrap();
    repo.commit("first").unwrap();
    repo.write("charts/shop/Chart.yaml", chart("1.1.0"))
        .unwrap();
    repo.commit("a new version of the chart").unwrap();
    let weir = Weir::new().unwrap();
    weir.begin_with_engines().unwrap();
    let scene = Scene { repo, weir };
    let said = scene.says(&["--from", "HEAD~1"]);
    assert_eq!(
        without_ids(&said),
        "\
4 of 4 apps change, from HEAD~1 (ID) to HEAD (ID)

the same in many apps
  ~ in 4 apps: ConfigMap: metadata.labels.chart: \"1.0.0\" -> \"1.1.0\"
  nothing else changes in 4 apps: four, one, three, two
"
    );
}

#[test]
fn what_is_wrong_with_a_side_is_said_with_the_side() {
    let mut scene = Scene::new();
    scene.lock();
    scene.repo.commit("lock").unwrap();
    let lock = fs::read_to_string(scene.repo.path().join("weir.lock")).unwrap();
    let broken = scene.file("broken.lock", "version: 1\nplugins: [\n");
    let broken = text(&broken).unwrap();
    let fewer = lock.replace("metadata:", "other:");
    let fewer = scene.file("fewer.lock", fewer);
    let wrong = scene.file("wrong.wasm", "no component");
    let wrong = format!("metadata={}", wrong.display());
    for (flags, code, words) in [
        (
            &["x", "--from", "HEAD~1"][..],
            2,
            "app x is on neither side; there are: a, b, c, d",
        ),
        (&["--from", "nowhere"], 1, "--from: repository"),
        (
            &["--from", "HEAD", "--to", "nowhere"],
            1,
            "--to: repository",
        ),
        (&["--from", "a b"], 2, "--from: "),
        (&[], 2, "--from <REV>"),
        (&["--lock", broken], 2, broken),
        (
            &["--lock", "/nowhere/weir.lock"],
            2,
            "--lock /nowhere/weir.lock: there is no such file",
        ),
        (
            &["--plugin", "helm=x.wasm"],
            2,
            "no plugin of that name is called at HEAD",
        ),
        (
            &["--plugin", "metadata=/nowhere/x.wasm"],
            2,
            "/nowhere/x.wasm: there is no such file",
        ),
        (
            &["--plugin", "metadata"],
            2,
            "expected NAME=FILE or NAME=sha256:DIGEST",
        ),
    ] {
        let said = scene.impact(flags).code(code).unwrap().stderr;
        assert!(said.contains(words), "{flags:?}: {said}");
    }
    // What concerns some apps is an impact on these.
    let said = scene.says(&["--lock", text(&fewer).unwrap()]);
    assert!(said.starts_with("3 of 4 apps change"), "{said}");
    assert!(said.contains("is not in weir.lock"), "{said}");
    let said = scene.says(&["--plugin", &wrong]);
    assert!(
        said.contains("app c: can no longer be rendered")
            && said.contains("is not a WebAssembly component"),
        "{said}"
    );
    // What concerns all is an error of the side, at its place.
    scene.commit(&[(
        "weir.yaml",
        "version: 1\napps: [{ name: a, pth: a }]\n".to_owned(),
    )]);
    let said = scene.impact(&["--from", "HEAD~1"]).code(2).unwrap().stderr;
    assert!(
        said.starts_with("weir.yaml:2:") && said.contains("that is at HEAD ("),
        "{said}"
    );
}

#[test]
fn the_page_shows_what_is_printed() {
    let mut scene = Scene::new();
    all_at_once(&mut scene);
    let page = fs::read_to_string(places::root().join("docs/impact.md")).unwrap();
    let all = console(&page);
    assert_eq!(all.len(), 2);
    // Which digests a build has is its own affair.
    let plain = |text: &str| {
        let text = without_ids(text);
        match text.contains("(sha256:") {
            true => text.replace(&digest_in(&text), "DIGEST"),
            false => text,
        }
    };
    for (words, printed) in all {
        let words: Vec<&str> = words.iter().skip(1).map(String::as_str).collect();
        assert_eq!(plain(&scene.says(&words)), plain(&printed), "{words:?}");
    }
}
