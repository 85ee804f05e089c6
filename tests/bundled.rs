//! The plugins `patch`, `substitute`, `images`, `schema` and `jsonnet` through the real binary: what each does in a pipeline, and
//! how what is wrong ends. examples/plugins has all of them at work.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;

use weir_tests::weir::text;
use weir_tests::{Ran, Repo, Weir};

const PLUGINS: &str = "version: 1
plugins:
  patch: { source: \"bundled:patch\" }
  substitute: { source: \"bundled:substitute\" }
  images: { source: \"bundled:images\" }
  schema: { source: \"bundled:schema\" }
  jsonnet: { source: \"bundled:jsonnet\", limits: { fuel: 2G, memory: 256Mi } }
apps:
";

const POD: (&str, &str) = (
    "a.yaml",
    "apiVersion: v1\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - {name: c, image: 'web:1', env: [{name: A, value: '${weir:A}'}]}\n",
);
const MAP: (&str, &str) = (
    "a.yaml",
    "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m}\ndata: {a: b}\n",
);

/// A machine that begins with the engines compiled.
fn weir() -> Weir {
    let weir = Weir::new().unwrap();
    weir.begin_with_engines().unwrap();
    weir
}

fn run(weir: &Weir, repo: &Repo, words: &[&str]) -> Ran {
    let path = repo.path();
    let (command, more) = words.split_first().unwrap();
    let start = [command, "--repo", text(&path).unwrap()];
    weir.run(start.iter().chain(more).copied()).unwrap()
}

fn repository(apps: &str, files: &[(&str, &str)]) -> Repo {
    let mut repo = Repo::empty().unwrap();
    repo.write("weir.yaml", format!("{PLUGINS}{apps}")).unwrap();
    for (path, text) in files {
        repo.write(path, text).unwrap();
    }
    repo.commit("first").unwrap();
    repo
}

#[test]
fn transformers_of_one_pipeline_see_what_those_before_them_made() {
    let app = "- name: a
  path: a
  transform:
    - { plugin: patch, config: { patches: [{ select: {}, json: [{ op: add, path: /metadata/labels, value: { host: \"${weir:A}\" } }] }] } }
    - { plugin: substitute, config: { values: { A: example } } }
    - { plugin: images, config: { images: [{ match: web, tag: \"2\" }] } }
  validate: [{ plugin: schema }]
";
    let repo = repository(app, &[("a/a.yaml", POD.1)]);
    let shown = run(&weir(), &repo, &["render"]).success().unwrap();
    for part in ["host: example", "value: example", "image: web:2"] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
}

/// What a plugin read is part of what the render depends on: a change of a patch file is a change of the app.
#[test]
fn a_file_that_a_plugin_read_is_looked_at_again_when_it_changes() {
    let app = "- { name: a, path: a, transform: [{ plugin: patch, config: { patches: [{ file: /patches/p.yaml }] } }] }\n";
    let patch = "kind: ConfigMap\nmetadata: {name: m}\ndata: {c: first}\n";
    let mut repo = repository(app, &[("a/a.yaml", MAP.1), ("patches/p.yaml", patch)]);
    let weir = weir();
    let first = run(&weir, &repo, &["render"]).success().unwrap();
    assert!(first.contains("c: first"), "{first}");
    repo.write("patches/p.yaml", patch.replace("first", "second"))
        .unwrap();
    repo.commit("second").unwrap();
    let second = run(&weir, &repo, &["render"]).success().unwrap();
    assert_eq!(second, first.replace("first", "second"));
}

#[test]
fn a_crd_of_the_same_commit_decides_about_an_object() {
    let crd = |size: &str| {
        format!(
            "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {{name: things.example.test}}\nspec:\n  \
             group: example.test\n  scope: Cluster\n  names: {{kind: Thing, plural: things}}\n  versions: [{{name: v1, served: true, \
             storage: true, schema: {{openAPIV3Schema: {{type: object, properties: {{size: {{type: {size}}}}}}}}}}}]\n"
        )
    };
    let app = "- { name: a, path: a, validate: [{ plugin: schema, config: { crds: [\"/crds/*.yaml\"] } }] }\n";
    let thing = "apiVersion: example.test/v1\nkind: Thing\nmetadata: {name: t}\nsize: 3\n";
    let mut repo = repository(
        app,
        &[("a/a.yaml", thing), ("crds/c.yaml", &crd("integer"))],
    );
    let weir = weir();
    let shown = run(&weir, &repo, &["render"]).success().unwrap();
    assert!(shown.contains("size: 3"), "{shown}");
    repo.write("crds/c.yaml", crd("string")).unwrap();
    repo.commit("second").unwrap();
    let ran = run(&weir, &repo, &["render"]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert!(
        ran.stderr
            .contains("size is the number 3, and must be text"),
        "{}",
        ran.stderr
    );
}

/// An app that cannot be rendered: its name, its files, its pipeline, and what is said of it.
struct Wrong {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    pipeline: &'static str,
    said: &'static [&'static str],
}

const fn jsonnet(
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    said: &'static [&'static str],
) -> Wrong {
    Wrong {
        name,
        files,
        pipeline: "render: { plugin: jsonnet }",
        said,
    }
}

const WRONG: &[Wrong] = &[
    Wrong {
        name: "no-field",
        files: &[MAP],
        pipeline: "transform: [{ plugin: patch, config: { patches: [{ select: {}, json: [{ op: remove, path: /spec }] }] } }]",
        said: &[
            "ConfigMap",
            "operation 0 (remove /spec)",
            "which has: apiVersion, data, kind, metadata",
        ],
    },
    Wrong {
        name: "no-object",
        files: &[MAP],
        pipeline: "transform: [{ plugin: patch, config: { patches: [{ merge: { kind: Secret, metadata: { name: s } } }] } }]",
        said: &["patch-unmatched", "there is no Secret s in the render"],
    },
    Wrong {
        name: "bad-file",
        files: &[MAP, ("p.txt", "\nkind: ConfigMap\nkind: Secret\n")],
        pipeline: "transform: [{ plugin: patch, config: { patches: [{ file: p.txt }] } }]",
        said: &["wrong/bad-file/p.txt:3", "bad-yaml"],
    },
    Wrong {
        name: "outside",
        files: &[MAP],
        pipeline: "transform: [{ plugin: patch, config: { patches: [{ file: ../../../secret.yaml }] } }]",
        said: &["leads out of the repository"],
    },
    Wrong {
        name: "unknown-value",
        files: &[POD],
        pipeline: "transform: [{ plugin: substitute, config: { values: { B: x } } }]",
        said: &[
            "Pod",
            "/spec/containers/0/env/0/value",
            "there is no value `A`",
        ],
    },
    Wrong {
        name: "unmatched-image",
        files: &[POD],
        pipeline: "transform: [{ plugin: images, config: { images: [{ match: api, tag: \"2\" }] } }]",
        said: &["image-unmatched", "config.images[0]", "api"],
    },
    Wrong {
        name: "number-tag",
        files: &[POD],
        pipeline: "transform: [{ plugin: images, config: { images: [{ match: web, tag: 1.10 }] } }]",
        said: &["config.images[0].tag", "put the tag in quotes"],
    },
    Wrong {
        name: "typo",
        files: &[(
            "a.yaml",
            "apiVersion: apps/v1\nkind: Deployment\nmetadata: {name: d}\nspec: {replica: 2, selector: {}, template: {}}\n",
        )],
        pipeline: "validate: [{ plugin: schema }]",
        said: &[
            "Deployment",
            "spec has no field `replica`; did you mean `replicas`?",
        ],
    },
    Wrong {
        name: "number-label",
        files: &[(
            "a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: m, labels: {version: 1.10}}\n",
        )],
        pipeline: "validate: [{ plugin: schema }]",
        said: &["version is the number 1.1, and must be text; put it in quotes"],
    },
    jsonnet(
        "syntax",
        &[("main.jsonnet", "{\n  a: ,\n}\n")],
        &["wrong/syntax/main.jsonnet:2"],
    ),
    jsonnet(
        "inner",
        &[
            ("main.jsonnet", "(import 'l.libsonnet')(1)"),
            ("l.libsonnet", "function(x)\n  error 'because of this'\n"),
        ],
        &[
            "wrong/inner/l.libsonnet:2",
            "because of this",
            "called from wrong/inner/main.jsonnet:1",
        ],
    ),
    jsonnet(
        "reach",
        &[("main.jsonnet", "importstr '../../../../etc/passwd'")],
        &["wrong/reach/main.jsonnet:1", "couldn't open import"],
    ),
    jsonnet(
        "recursion",
        &[("main.jsonnet", "local f(x) = f(x + 1) + 1; f(0)")],
        &["wrong/recursion/main.jsonnet:1", "stack frames exceeded"],
    ),
    jsonnet(
        "endless",
        &[(
            "main.jsonnet",
            "local loop(n) = std.foldl(function(a, i) a + std.foldl(function(b, j) b + j, std.range(1, 9999), 0), std.range(1, n), 0); loop(9999)",
        )],
        &["ran out of fuel"],
    ),
    jsonnet(
        "doubling",
        &[(
            "main.jsonnet",
            "std.length(std.foldl(function(a, b) a + a, std.range(1, 60), 'xxxxxxxx'))",
        )],
        &["ran out of"],
    ),
    jsonnet(
        "array",
        &[("main.jsonnet", "std.length(std.range(1, 100000000))")],
        &["ran out of memory"],
    ),
    jsonnet(
        "scalar",
        &[("main.jsonnet", "{ a: { b: 7 } }")],
        &["wrong/scalar/main.jsonnet", "at a.b: it is 7"],
    ),
    jsonnet("nothing", &[("main.jsonnet", "{}")], &["no-manifests"]),
];

#[test]
fn what_is_wrong_with_one_app_is_said_with_its_place_and_the_others_go_on() {
    let mut apps = String::from("- { name: good, path: good, render: { plugin: jsonnet } }\n");
    let mut files: Vec<(String, &str)> = vec![(
        "good/main.jsonnet".into(),
        "{ a: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'good' } } }",
    )];
    for wrong in WRONG {
        let name = wrong.name;
        files.extend(
            wrong
                .files
                .iter()
                .map(|(path, text)| (format!("wrong/{name}/{path}"), *text)),
        );
        apps.push_str(&format!(
            "- {{ name: {name}, path: wrong/{name}, {} }}\n",
            wrong.pipeline
        ));
    }
    let files: Vec<(&str, &str)> = files
        .iter()
        .map(|(path, text)| (path.as_str(), *text))
        .collect();
    let repo = repository(&apps, &files);
    let weir = weir();
    let live = weir.path("live");
    let ran = run(
        &weir,
        &repo,
        &["sync", "--target", &format!("dir:{}", live.display())],
    );
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(fs::read_dir(&live).unwrap().count(), 1, "the good one only");
    for wrong in WRONG {
        let line = ran.stderr.lines().find(|line| {
            line.contains(&format!("app `{}`", wrong.name))
                || line.contains(&format!("app={}", wrong.name))
        });
        let line = line.unwrap_or_else(|| panic!("nothing of {}: {}", wrong.name, ran.stderr));
        for word in wrong.said {
            assert!(line.contains(word), "{}: no {word:?} in {line}", wrong.name);
        }
    }
}

#[test]
fn with_a_lock_the_same_bytes_come_in_another_place() {
    let app = "- { name: a, path: a, render: { plugin: jsonnet, config: { extVars: { x: [1, 2.5, \"ü\"] } } }, validate: [{ plugin: schema }] }\n";
    let program = "{ apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'm' }, data: { a: std.toString(std.extVar('x')) } }";
    let mut repo = repository(app, &[("a/main.jsonnet", program)]);
    let first = weir();
    let locked = run(&first, &repo, &["lock"]).success().unwrap();
    assert!(
        locked.contains("bundled:jsonnet") && locked.contains("bundled:schema"),
        "{locked}"
    );
    repo.commit("Lock").unwrap();
    let shown = run(&first, &repo, &["render"]).success().unwrap();
    let mut other = weir();
    other.timezone("Asia/Kathmandu").locale("tr_TR.UTF-8");
    assert_eq!(run(&other, &repo, &["render"]).success().unwrap(), shown);
}
