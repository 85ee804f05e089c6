//! Scripts of the repository through the real binary: every engine in every role, what makes a render anew, and how what is
//! wrong or endless ends.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;
use std::path::Path;

use weir_tests::weir::text;
use weir_tests::{Ran, Repo, Weir};

#[path = "scripts/pages.rs"]
mod pages;

const PLUGINS: &str = r#"version: 1
plugins:
  starlark: { source: "bundled:starlark" }
  js: { source: "bundled:js" }
  cel: { source: "bundled:cel" }
"#;

const SHOP: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  replicas: 7
  selector: { matchLabels: { app: web } }
  template:
    metadata: { labels: { app: web } }
    spec: { containers: [{ name: web, image: "nginx:1.27" }] }
---
apiVersion: v1
kind: ConfigMap
metadata: { name: settings }
data: { colour: red }
"#;

struct Scene {
    repo: Repo,
    weir: Weir,
}

impl Scene {
    /// A machine with all engines compiled, and a repository of these files.
    fn new(manifest: &str, files: &[(&str, &str)]) -> Scene {
        let mut repo = Repo::empty().unwrap();
        repo.write("weir.yaml", format!("{PLUGINS}{manifest}"))
            .unwrap();
        for (path, text) in files {
            repo.write(path, text).unwrap();
        }
        repo.commit("first").unwrap();
        let weir = Weir::new().unwrap();
        weir.begin_with_engines().unwrap();
        Scene { repo, weir }
    }

    fn run(&self, words: &[&str]) -> Ran {
        let path = self.repo.path();
        let start = [words[0], "--repo", text(&path).unwrap()];
        self.weir
            .run(start.iter().chain(&words[1..]).copied())
            .unwrap()
    }

    fn rendered(&self, app: &str) -> String {
        self.run(&["render", app]).success().unwrap()
    }

    /// What is said of an app that cannot be rendered.
    fn refused(&self, app: &str) -> String {
        let ran = self.run(&["render", app]);
        assert_ne!(ran.code, Some(0), "{app}: {}", ran.stdout);
        ran.stderr
    }

    fn change(&mut self, path: &str, text: &str) {
        self.repo.write(path, text).unwrap();
        self.repo.commit(path).unwrap();
    }
}

/// Each word is there, or the whole text is shown.
fn holds(text: &str, words: &[&str]) {
    for word in words {
        assert!(text.contains(word), "{word:?} is not in:\n{text}");
    }
}

#[test]
fn every_engine_has_every_role() {
    let scene = Scene::new(
        r#"apps:
- { name: star-renders, path: shop, render: { plugin: starlark, config: { script: /all.star, values: { count: 3 } } } }
- { name: js-renders, path: shop, render: { plugin: js, config: { script: /all.js, values: { count: 3 } } } }
- { name: cel-renders, path: shop, render: { plugin: cel, config: { script: /all.yaml, values: { count: 3 } } } }
- { name: star-changes, path: shop, transform: [{ plugin: starlark, config: { script: /all.star, values: { count: 3 } } }] }
- { name: js-changes, path: shop, transform: [{ plugin: js, config: { script: /all.js, values: { count: 3 } } }] }
- { name: cel-changes, path: shop, transform: [{ plugin: cel, config: { script: /all.yaml, values: { count: 3 } } }] }
- { name: star-checks, path: shop, validate: [{ plugin: starlark, config: { script: /all.star } }] }
- { name: js-checks, path: shop, validate: [{ plugin: js, config: { script: /all.js } }] }
- { name: cel-checks, path: shop, validate: [{ plugin: cel, config: { script: /all.yaml } }] }
"#,
        &[
            ("shop/a.yaml", SHOP),
            (
                "all.star",
                r#"
def render(params, files):
    colour = [o for o in yaml.decode_all(files.read("a.yaml")) if o["kind"] == "ConfigMap"][0]["data"]["colour"]
    return [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made"}, "data": {"colour": colour, "count": str(params.values["count"])}}]

def transform_object(object, params):
    object["metadata"]["labels"] = {"count": str(params.values["count"])}
    return object

def validate(objects, params):
    return [{"message": "too many", "code": "replicas", "object": i, "path": "/spec/replicas"} for i, o in enumerate(objects) if o["kind"] == "Deployment" and o["spec"]["replicas"] > 5]
"#,
            ),
            (
                "all.js",
                r#"
export function render({ values }, files) {
  const { data: { colour } } = yaml.parseAll(files.read("a.yaml")).find((o) => o.kind === "ConfigMap");
  return [{ apiVersion: "v1", kind: "ConfigMap", metadata: { name: "made" }, data: { colour, count: `${values.count}` } }];
}
export const transformObject = (object, { values }) => ({ ...object, metadata: { ...object.metadata, labels: { count: `${values.count}` } } });
export const validateObject = (object) =>
  object.spec?.replicas > 5 ? { message: "too many", code: "replicas", path: "/spec/replicas" } : null;
"#,
            ),
            (
                "all.yaml",
                r#"
render: |
  [{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "made"}, "data": {
    "colour": yaml.decode_all(files.read("a.yaml")).filter(o, o.kind == "ConfigMap")[0].data.colour, "count": string(params.values.count)}}]
transform: [{ patch: "{'metadata': {'labels': {'count': string(params.values.count)}}}" }]
rules: [{ expression: "object.spec.replicas <= 5", kinds: [Deployment], message: too many, code: replicas, path: /spec/replicas }]
"#,
            ),
        ],
    );
    let made = scene.rendered("star-renders");
    holds(&made, &["name: made", "colour: red", "count: \"3\""]);
    assert_eq!(scene.rendered("js-renders"), made);
    assert_eq!(scene.rendered("cel-renders"), made);
    let changed = scene.rendered("star-changes");
    assert_eq!(changed.matches("count: \"3\"").count(), 2, "{changed}");
    assert_eq!(scene.rendered("js-changes"), changed);
    assert_eq!(scene.rendered("cel-changes"), changed);
    for app in ["star-checks", "js-checks", "cel-checks"] {
        let said = scene.refused(app);
        holds(
            &said,
            &[
                "too many",
                "replicas",
                "Deployment",
                "web",
                "/spec/replicas",
            ],
        );
    }
}

#[test]
fn a_script_is_rendered_anew_when_one_of_its_files_changed_and_not_when_another_did() {
    let mut scene = Scene::new(
        r#"apps:
- { name: star, path: shop, transform: [{ plugin: starlark, config: { script: /policy/x.star } }] }
- { name: js, path: shop, transform: [{ plugin: js, config: { script: /policy/x.js } }] }
- { name: cel, path: shop, transform: [{ plugin: cel, config: { script: /policy/x.yaml } }] }
"#,
        &[
            ("shop/a.yaml", SHOP),
            (
                "policy/x.star",
                "load(\"lib.star\", \"TEAM\")\ndef transform_object(o, p):\n    o[\"metadata\"][\"labels\"] = {\"team\": TEAM}\n    return o\n",
            ),
            ("policy/lib.star", "TEAM = \"red\"\n"),
            (
                "policy/x.js",
                "import { team } from \"./lib.js\";\nexport const transformObject = (o) => { o.metadata.labels = { team }; return o; };\n",
            ),
            ("policy/lib.js", "export const team = \"red\";\n"),
            (
                "policy/x.yaml",
                "transform: [{ patch: \"{'metadata': {'labels': {'team': 'red'}}}\" }]\n",
            ),
            ("policy/other.star", "x = 1\n"),
        ],
    );
    let before = |scene: &Scene| {
        let ran = scene
            .weir
            .run([
                "--log",
                "weir=debug",
                "render",
                "--repo",
                text(&scene.repo.path()).unwrap(),
            ])
            .unwrap();
        let ran = ran.code(0).unwrap();
        let reused = (0..=3).find(|n| {
            ran.stderr
                .contains(&format!("{n} of 3 apps were rendered before"))
        });
        (ran.stdout, reused.unwrap())
    };
    let (first, reused) = before(&scene);
    assert_eq!(
        (first.matches("team: red").count(), reused),
        (6, 0),
        "{first}"
    );
    for (path, text, reused, blue) in [
        ("policy/other.star", "x = 2\n", 3, 0),
        ("README.md", "hello\n", 3, 0),
        ("policy/lib.star", "TEAM = \"blue\"\n", 2, 2),
        ("policy/lib.js", "export const team = \"blue\";\n", 2, 4),
        (
            "policy/x.yaml",
            "transform: [{ patch: \"{'metadata': {'labels': {'team': 'blue'}}}\" }]\n",
            2,
            6,
        ),
    ] {
        scene.change(path, text);
        let (shown, again) = before(&scene);
        let count = shown.matches("team: blue").count();
        assert_eq!((again, count), (reused, blue), "{path}: {shown}");
    }
}

#[test]
fn a_script_outside_the_roots_is_refused_and_so_is_what_it_loads_from_there() {
    let scene = Scene::new(
        r#"apps:
- { name: star, path: shop, roots: [shop], transform: [{ plugin: starlark, config: { script: /policy/x.star } }] }
- { name: star-loads, path: shop, roots: [shop], transform: [{ plugin: starlark, config: { script: own.star } }] }
- { name: js, path: shop, roots: [shop], validate: [{ plugin: js, config: { script: /policy/x.js } }] }
- { name: js-loads, path: shop, roots: [shop], validate: [{ plugin: js, config: { script: own.js } }] }
- { name: cel, path: shop, roots: [shop], validate: [{ plugin: cel, config: { script: /policy/x.yaml } }] }
- { name: leads-out, path: shop, transform: [{ plugin: starlark, config: { script: ../../x.star } }] }
"#,
        &[
            ("shop/a.yaml", SHOP),
            ("shop/own.star", "load(\"/policy/x.star\", \"f\")\n"),
            ("shop/own.js", "import \"../policy/x.js\";\n"),
            ("policy/x.star", "def transform(o, p): return o\n"),
            ("policy/x.js", "export const validate = () => null;\n"),
            ("policy/x.yaml", "rules: [{ expression: \"true\" }]\n"),
        ],
    );
    for (app, file) in [
        ("star", "policy/x.star"),
        ("star-loads", "policy/x.star"),
        ("js", "policy/x.js"),
        ("js-loads", "policy/x.js"),
        ("cel", "policy/x.yaml"),
    ] {
        let said = scene.refused(app);
        holds(
            &said,
            &[
                file,
                "there is no such file in this commit, or it lies outside the app's `roots`",
            ],
        );
    }
    let said = scene.refused("leads-out");
    holds(&said, &["config.script", "leads out of the repository"]);
}

#[test]
fn an_error_of_a_script_has_its_place_and_the_app_keeps_what_is_live() {
    let mut scene = Scene::new(
        "apps:\n- { name: shop, path: shop, transform: [{ plugin: starlark, config: { script: /x.star } }] }\n",
        &[
            ("shop/a.yaml", SHOP),
            ("x.star", "def transform_object(o, p):\n    return o\n"),
        ],
    );
    let live = scene.weir.path("live");
    let target = format!("dir:{}", live.display());
    let sync = |scene: &Scene| scene.run(&["sync", "--target", &target]);
    sync(&scene).success().unwrap();
    let held = |live: &Path| all_text(live);
    holds(&held(&live), &["replicas: 7", "colour: red"]);
    scene.change(
        "x.star",
        "def transform_object(o, p):\n    if o[\"kind\"] == \"Deployment\": o[\"spec\"][\"replicas\"] = 2\n    return o\n",
    );
    sync(&scene).success().unwrap();
    let good = held(&live);
    holds(&good, &["replicas: 2"]);
    scene.change(
        "x.star",
        "def inner(o):\n    return o[\"spek\"]\ndef transform_object(o, p):\n    return inner(o)\n",
    );
    let ran = sync(&scene);
    assert_ne!(ran.code, Some(0));
    let said = format!("{}{}", ran.stdout, ran.stderr);
    holds(
        &said,
        &[
            "x.star:2: column 13: key \"spek\" not in dict; in inner (x.star:2:13); in transform_object (x.star:4:17)",
            "(about Deployment web)",
        ],
    );
    assert_eq!(held(&live), good);
}

/// All files below a folder, one after the other.
fn all_text(dir: &Path) -> String {
    let mut out = String::new();
    let mut entries: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    entries.sort();
    for path in entries {
        if path.is_dir() {
            out += &all_text(&path);
        } else if path.extension().is_some_and(|e| e == "yaml") {
            out += &fs::read_to_string(path).unwrap();
        }
    }
    out
}

#[test]
fn what_never_ends_or_never_has_enough_ends_at_the_limits_and_the_good_app_goes_on() {
    let apps = [
        ("star-endless", "starlark", "script: /endless.star", "fuel"),
        ("star-huge", "starlark", "script: /huge.star", "memory"),
        ("js-endless", "js", "script: /endless.js", "fuel"),
        ("js-huge", "js", "script: /huge.js", "fuel"),
        (
            "js-deep",
            "js",
            "script: /deep.js",
            "functions call each other more than 2000 deep",
        ),
        (
            "js-nested",
            "js",
            "script: /nested.js",
            "more than 500 brackets are open here",
        ),
        ("cel-endless", "cel", "script: /endless.yaml", "fuel"),
        (
            "cel-huge",
            "cel",
            "script: /huge.yaml",
            "exceeds maximum allowed",
        ),
    ];
    let mut manifest = "apps:\n- { name: good, path: shop, transform: [{ plugin: starlark, config: { script: /good.star } }] }\n".to_owned();
    for (name, plugin, config, _) in apps {
        manifest += &format!(
            "- {{ name: {name}, path: shop, transform: [{{ plugin: {plugin}, config: {{ {config} }} }}] }}\n"
        );
    }
    let nested = format!("export const x = {}1;\n", "(".repeat(500_000));
    let limits = ", limits: { fuel: 1G, memory: 160Mi } }";
    let manifest = format!("{PLUGINS}{manifest}").replace(" }\n  js", &format!("{limits}\n  js"));
    let manifest = manifest.replace(" }\n  cel", &format!("{limits}\n  cel"));
    let manifest = manifest.replace(" }\napps", &format!("{limits}\napps"));
    let mut scene = Scene::new(
        "apps: []\n",
        &[
            ("shop/a.yaml", SHOP),
            ("good.star", "def transform(o, p): return o\n"),
            (
                "endless.star",
                "def transform(o, p):\n    for i in range(1 << 40):\n        for j in range(1 << 40):\n            pass\n",
            ),
            (
                "huge.star",
                "def transform(o, p):\n    x = \"0123456789\"\n    for i in range(40):\n        x = x + x\n    return [{\"x\": x}]\n",
            ),
            ("endless.js", "export function transform() { for (;;); }\n"),
            (
                "huge.js",
                "export function transform(o) { const all = []; for (let i = 0; ; i++) all.push(\"x\".repeat(2000000) + i); }\n",
            ),
            (
                "deep.js",
                "const f = (n) => f(n + 1) + 1;\nexport const transform = () => f(0);\n",
            ),
            ("nested.js", &nested),
            (
                "endless.yaml",
                "transform: [{ expression: \"lists.range(2000).map(a, lists.range(2000).map(b, lists.range(2000).map(c, a + b + c).size()).size()).size() > 0 ? object : object\" }]\n",
            ),
            (
                "huge.yaml",
                "transform: [{ expression: \"{'x': lists.range(30000000).map(i, string(i))}\" }]\n",
            ),
        ],
    );
    scene.change("weir.yaml", &manifest);
    for (name, _, _, limit) in apps {
        let said = scene.refused(name);
        holds(&said, &[name, limit]);
        assert!(!said.contains("panicked"), "{said}");
    }
    holds(&scene.rendered("good"), &["replicas: 7"]);
}

#[test]
fn a_scripts_clock_is_the_locks_instant_and_nothing_is_random() {
    let mut scene = Scene::new(
        r#"apps:
- { name: clock, path: shop, transform: [{ plugin: js, config: { script: /clock.js } }] }
- { name: random, path: shop, transform: [{ plugin: js, config: { script: /random.js } }] }
"#,
        &[
            ("shop/a.yaml", SHOP),
            (
                "clock.js",
                "export const transform = ([o]) => [{ ...o, metadata: { ...o.metadata, annotations: { now: new Date().toISOString(), zone: `${new Date().getTimezoneOffset()}` } } }];\n",
            ),
            (
                "random.js",
                "export const transform = (o) => {\n  return [{ ...o[0], x: Math.random() }];\n};\n",
            ),
        ],
    );
    scene.run(&["lock"]).success().unwrap();
    let lock = scene.repo.path().join("weir.lock");
    let facts: String = fs::read_to_string(&lock)
        .unwrap()
        .lines()
        .map(|line| match line.trim_start().starts_with("instant:") {
            true => format!(
                "{}instant: \"2026-03-04T05:06:07Z\"\n",
                " ".repeat(line.len() - line.trim_start().len())
            ),
            false => format!("{line}\n"),
        })
        .collect();
    scene.change("weir.lock", &facts);
    let shown = scene.rendered("clock");
    holds(
        &shown,
        &["now: \"2026-03-04T05:06:07.000Z\"", "zone: \"0\""],
    );
    let said = scene.refused("random");
    holds(
        &said,
        &["random.js:2", "Math.random is not here", "params.values"],
    );
}
