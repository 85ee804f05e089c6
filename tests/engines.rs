//! Helm and Kustomize through the real binary: what their files imply, what is pinned, and how what is wrong ends.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;

use weir_tests::weir::text;
use weir_tests::{Ran, Repo, Weir};

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: ";

/// A machine that begins with both engines compiled.
fn weir() -> Weir {
    let weir = Weir::new().unwrap();
    weir.begin_with_engines().unwrap();
    weir
}

fn repository(files: &[(&str, &str)]) -> Repo {
    let mut repo = Repo::empty().unwrap();
    for (path, text) in files {
        repo.write(path, text).unwrap();
    }
    repo.commit("first").unwrap();
    repo
}

fn run(weir: &Weir, repo: &Repo, words: &[&str]) -> Ran {
    let path = repo.path();
    let (command, more) = words.split_first().unwrap();
    let start = [command, "--repo", text(&path).unwrap()];
    weir.run(start.iter().chain(more).copied()).unwrap()
}

#[test]
fn a_chart_and_an_overlay_are_rendered_by_what_their_files_imply() {
    let chart = format!("{MAP}{{{{ .Release.Name }}}}-{{{{ .Values.colour }}}}\n");
    let base = format!("{MAP}one\n");
    let mut repo = repository(&[
        (
            "weir.yaml",
            "version: 1\napps: [{name: shop, path: chart}, {name: overlay, path: overlay/prod}]\n",
        ),
        (
            "chart/Chart.yaml",
            "apiVersion: v2\nname: c\nversion: 1.0.0\n",
        ),
        ("chart/values.yaml", "colour: red\n"),
        ("chart/templates/a.yaml", &chart),
        ("overlay/base/kustomization.yaml", "resources: [a.yaml]\n"),
        ("overlay/base/a.yaml", &base),
        (
            "overlay/prod/kustomization.yaml",
            "resources: [../base]\nnamePrefix: over-\n",
        ),
    ]);
    let weir = weir();
    let locked = run(&weir, &repo, &["lock"]).success().unwrap();
    for plugin in ["bundled:helm", "bundled:kustomize"] {
        assert!(locked.contains(plugin), "{locked}");
    }
    repo.commit("Lock").unwrap();
    let shown = run(&weir, &repo, &["render"]).success().unwrap();
    for name in ["name: shop-red\n", "name: over-one\n"] {
        assert!(shown.contains(name), "{shown}");
    }
    assert_eq!(run(&weir, &repo, &["render", "--worktree"]).stdout, shown);
}

/// An app that cannot be rendered: its name, its files, its `render:`, and what is said of it.
struct Wrong {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    render: &'static str,
    said: &'static [&'static str],
}

const CHART: (&str, &str) = ("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n");

const WRONG: &[Wrong] = &[
    Wrong {
        name: "fails",
        files: &[
            CHART,
            ("templates/a.yaml", "a: b\n{{ fail \"because of this\" }}\n"),
        ],
        render: "",
        said: &["fails/templates/a.yaml:2", "because of this"],
    },
    Wrong {
        name: "cycle",
        files: &[
            CHART,
            (
                "templates/_h.tpl",
                "{{ define \"h\" }}{{ include \"h\" . }}{{ end }}",
            ),
            ("templates/a.yaml", "{{ include \"h\" . }}"),
        ],
        render: "",
        said: &["nested reference name: h", "cycle/templates/"],
    },
    Wrong {
        name: "bomb",
        files: &[
            CHART,
            (
                "templates/a.yaml",
                "{{ $x := \"0123456789\" }}{{ range until 40 }}{{ $x = print $x $x }}{{ end }}",
            ),
        ],
        render: "",
        said: &["memory"],
    },
    Wrong {
        name: "endless",
        files: &[
            CHART,
            (
                "templates/a.yaml",
                "{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}",
            ),
        ],
        render: "",
        said: &["fuel"],
    },
    Wrong {
        name: "schema",
        files: &[
            CHART,
            ("values.yaml", "web: {port: eighty}\n"),
            (
                "values.schema.json",
                "{\"properties\": {\"web\": {\"properties\": {\"port\": {\"type\": \"integer\"}}}}}",
            ),
            ("templates/a.yaml", ""),
        ],
        render: "",
        said: &["schema/values.schema.json", "/web/port", "want integer"],
    },
    Wrong {
        name: "values",
        files: &[CHART],
        render: "render: { plugin: helm, config: { values: [none.yaml] } },",
        said: &["wrong/values/none.yaml is not in the repository"],
    },
    Wrong {
        name: "random",
        files: &[
            CHART,
            (
                "templates/a.yaml",
                "apiVersion: v1\nkind: Secret\nmetadata: {name: a}\nstringData:\n  p: {{ .Values.password | default (randAlphaNum 9) }}\n",
            ),
        ],
        render: "",
        said: &["random/templates/a.yaml:5", "`randAlphaNum`", "`password`"],
    },
    Wrong {
        name: "inflated",
        files: &[("kustomization.yaml", "helmCharts:\n- name: x\n")],
        render: "",
        said: &[
            "inflated/kustomization.yaml:1",
            "`helmCharts`",
            "an app of its own",
        ],
    },
    Wrong {
        name: "absent",
        files: &[("kustomization.yaml", "resources: [none.yaml]\n")],
        render: "",
        said: &["absent/kustomization.yaml", "none.yaml"],
    },
    Wrong {
        name: "remote",
        files: &[(
            "kustomization.yaml",
            "resources: [\"https://git.example/o/r?ref=v1\"]\n",
        )],
        render: "",
        said: &[
            "remote/kustomization.yaml:1",
            "git+https://git.example/o/r?ref=v1",
            "run `weir lock`",
        ],
    },
];

#[test]
fn what_is_wrong_with_one_app_is_said_with_its_place_and_the_others_go_on() {
    let mut repo = Repo::empty().unwrap();
    let mut manifest = String::from("version: 1\napps:\n- {name: good, path: good}\n");
    repo.write("good/kustomization.yaml", "resources: [a.yaml]\n")
        .unwrap();
    repo.write("good/a.yaml", format!("{MAP}good\n")).unwrap();
    for wrong in WRONG {
        for (path, text) in wrong.files {
            repo.write(&format!("wrong/{}/{path}", wrong.name), text)
                .unwrap();
        }
        manifest.push_str(&format!(
            "- {{name: {name}, {render} path: wrong/{name}}}\n",
            name = wrong.name,
            render = wrong.render
        ));
    }
    repo.write("weir.yaml", manifest).unwrap();
    repo.commit("Good and wrong").unwrap();
    let weir = weir();
    let live = weir.path("live");
    let target = format!("dir:{}", live.display());
    let ran = run(&weir, &repo, &["sync", "--target", &target]);
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
fn now_is_the_instant_of_the_lock() {
    let template =
        format!("{MAP}a\ndata:\n  now: {{{{ now | date \"2006-01-02T15:04:05\" | quote }}}}\n");
    let mut repo = repository(&[
        ("weir.yaml", "version: 1\napps: [{name: c, path: c}]\n"),
        ("c/Chart.yaml", CHART.1),
        ("c/templates/a.yaml", &template),
    ]);
    let weir = weir();
    run(&weir, &repo, &["lock"]).success().unwrap();
    let lock = fs::read_to_string(repo.path().join("weir.lock")).unwrap();
    let (_, rest) = lock.split_once("instant: ").unwrap();
    let instant = rest.lines().next().unwrap().trim_matches(['"', 'Z', '\'']);
    repo.commit("Lock").unwrap();
    let shown = run(&weir, &repo, &["render"]).success().unwrap();
    assert!(shown.contains(instant), "{instant} is not in {shown}");
}
