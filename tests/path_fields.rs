//! Every field that takes a path, with paths that lead elsewhere: each is refused in one way, nothing of what lies there is shown, and nobody can tell whether it is there.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

use std::collections::BTreeMap;
use std::fs;

use weir_tests::weir::text;
use weir_tests::{Ran, Repo, Weir};

/// Stands in files outside of the repository, and must never be shown.
const CANARY: &str = "canary-7f3a9c";
/// Where a field takes a path.
const PATH: &str = "{P}";
const CHART: (&str, &str) = ("Chart.yaml", "apiVersion: v2\nname: c\nversion: 1.0.0\n");

/// One field: the files of its app, and its `render:`.
struct Field {
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
    render: &'static str,
}

const fn kustomization(
    name: &'static str,
    files: &'static [(&'static str, &'static str)],
) -> Field {
    Field {
        name,
        files,
        render: "",
    }
}

/// The fields of plugins. The tree is the only way to files that a plugin has, and it resolves all of these.
const FIELDS: &[Field] = &[
    Field {
        name: "helm-values",
        files: &[CHART, ("templates/a.yaml", "a: {{ .Values }}\n")],
        render: "render: { plugin: helm, config: { values: [\"{P}\"] } },",
    },
    Field {
        name: "helm-set-file",
        files: &[CHART, ("templates/a.yaml", "a: {{ .Values }}\n")],
        render: "render: { plugin: helm, config: { setFile: [\"k={P}\"] } },",
    },
    Field {
        name: "helm-chart",
        files: &[("empty.yaml", "")],
        render: "render: { plugin: helm, config: { chart: \"{P}\" } },",
    },
    Field {
        name: "helm-dependency",
        files: &[(
            "Chart.yaml",
            "apiVersion: v2\nname: c\nversion: 1.0.0\ndependencies: [{name: d, version: 1.0.0, repository: \"file://{P}\"}]\n",
        )],
        render: "",
    },
    Field {
        name: "helm-files-get",
        files: &[
            CHART,
            (
                "templates/a.yaml",
                "a: {{ required \"nothing is there\" (.Files.Get \"{P}\") }}\n",
            ),
        ],
        render: "",
    },
    kustomization(
        "resources",
        &[("kustomization.yaml", "resources: [\"{P}\"]\n")],
    ),
    kustomization(
        "components",
        &[("kustomization.yaml", "components: [\"{P}\"]\n")],
    ),
    kustomization("bases", &[("kustomization.yaml", "bases: [\"{P}\"]\n")]),
    kustomization("crds", &[("kustomization.yaml", "crds: [\"{P}\"]\n")]),
    kustomization(
        "configurations",
        &[("kustomization.yaml", "configurations: [\"{P}\"]\n")],
    ),
    kustomization(
        "openapi",
        &[("kustomization.yaml", "openapi: { path: \"{P}\" }\n")],
    ),
    kustomization(
        "generators",
        &[("kustomization.yaml", "generators: [\"{P}\"]\n")],
    ),
    kustomization(
        "transformers",
        &[("kustomization.yaml", "transformers: [\"{P}\"]\n")],
    ),
    kustomization(
        "validators",
        &[("kustomization.yaml", "validators: [\"{P}\"]\n")],
    ),
    kustomization(
        "patches",
        &[("kustomization.yaml", "patches: [{ path: \"{P}\" }]\n")],
    ),
    kustomization(
        "replacements",
        &[("kustomization.yaml", "replacements: [{ path: \"{P}\" }]\n")],
    ),
    kustomization(
        "config-map-files",
        &[(
            "kustomization.yaml",
            "configMapGenerator: [{ name: a, files: [\"k={P}\"] }]\n",
        )],
    ),
    kustomization(
        "config-map-envs",
        &[(
            "kustomization.yaml",
            "configMapGenerator: [{ name: a, envs: [\"{P}\"] }]\n",
        )],
    ),
    kustomization(
        "secret-files",
        &[(
            "kustomization.yaml",
            "secretGenerator: [{ name: a, files: [\"k={P}\"] }]\n",
        )],
    ),
];

/// Paths that lead out, in pairs: what lies there, and the same place where nothing does.
struct Outside {
    pairs: Vec<(String, String)>,
}

impl Outside {
    /// Beside the repository, at the root of this machine, and through links that the repository has.
    fn of(repo: &Repo) -> Outside {
        let secret = repo.parent().join("secret.yaml");
        let map = format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: {CANARY} }}\n");
        fs::write(&secret, map).unwrap();
        let pair = |there: &str, not: &str| (there.to_owned(), not.to_owned());
        let absolute = text(&secret).unwrap();
        Outside {
            pairs: vec![
                pair("../../../secret.yaml", "../../../absent.yaml"),
                pair("x/../../../../secret.yaml", "x/../../../../absent.yaml"),
                pair("/etc/passwd", "/etc/absent"),
                pair("file:///etc/passwd", "file:///etc/absent"),
                pair(absolute, &absolute.replace("secret", "absent")),
                pair("out.yaml", "dangling.yaml"),
                pair("chain.yaml", "dangling-chain.yaml"),
                pair("root.yaml", "dangling-root.yaml"),
                pair("updir/secret.yaml", "updir/absent.yaml"),
            ],
        }
    }

    /// The links that they go through, in one app's directory.
    fn link(repo: &Repo, dir: &str) {
        for (name, target) in [
            ("out.yaml", "../../../secret.yaml"),
            ("dangling.yaml", "../../../absent.yaml"),
            ("chain.yaml", "out.yaml"),
            ("dangling-chain.yaml", "dangling.yaml"),
            ("root.yaml", "/etc/passwd"),
            ("dangling-root.yaml", "/etc/absent"),
            ("updir", "../../.."),
        ] {
            repo.symlink(&format!("{dir}/{name}"), target).unwrap();
        }
    }
}

fn run(weir: &Weir, repo: &Repo, words: &[&str]) -> Ran {
    let path = repo.path();
    let (command, more) = words.split_first().unwrap();
    let start = [command, "--repo", text(&path).unwrap()];
    weir.run(start.iter().chain(more).copied()).unwrap()
}

/// The same words for what is there and for what is not: paths and links differ by their names alone, and lines by when
/// they were said.
fn alike(text: &str) -> String {
    const WHEN: &str = "\"timestamp\":\"";
    let mut text: String = text
        .lines()
        .map(|line| match line.split_once(WHEN) {
            Some((before, rest)) => format!("{before}{}\n", rest.split_once('"').unwrap().1),
            None => format!("{line}\n"),
        })
        .collect();
    for (absent, there) in [
        ("dangling-chain", "chain"),
        ("dangling-root", "root"),
        ("dangling.yaml", "out.yaml"),
        ("absent.yaml", "secret.yaml"),
        ("etc/absent", "etc/passwd"),
        ("-absent", "-there"),
    ] {
        text = text.replace(absent, there);
    }
    text
}

fn shows_nothing(ran: &Ran) {
    for output in [&ran.stdout, &ran.stderr] {
        for secret in [CANARY, "root:x:", "/bin/bash"] {
            assert!(!output.contains(secret), "{secret}: {output}");
        }
    }
}

/// What is said of an app.
fn said(ran: &Ran, app: &str) -> String {
    let line = ran.stderr.lines().find(|line| {
        line.contains(&format!("app `{app}`")) || line.contains(&format!("\"app\":\"{app}\""))
    });
    let line = line.unwrap_or_else(|| panic!("nothing of {app}: {}", ran.stderr));
    let json: serde_json::Value = serde_json::from_str(line).unwrap();
    json["message"].as_str().unwrap().to_owned()
}

#[test]
fn a_path_of_a_plugin_that_leads_out_shows_nothing_and_not_whether_something_is_there() {
    let mut repo = Repo::empty().unwrap();
    let outside = Outside::of(&repo);
    let mut manifest = String::from("version: 1\napps:\n- {name: good, path: good}\n");
    repo.write(
        "good/a.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: good}}\n",
    )
    .unwrap();
    let mut apps: BTreeMap<(usize, usize), [(String, String); 2]> = BTreeMap::new();
    for (f, field) in FIELDS.iter().enumerate() {
        for (p, (there, not)) in outside.pairs.iter().enumerate() {
            let both = [("there", there), ("absent", not)].map(|(kind, path)| {
                let app = format!("{}-{p}-{kind}", field.name);
                let dir = format!("apps/{app}");
                for (file, content) in field.files {
                    let content = content.replace(PATH, path);
                    repo.write(&format!("{dir}/{file}"), content).unwrap();
                }
                Outside::link(&repo, &dir);
                let render = field.render.replace(PATH, path);
                manifest.push_str(&format!("- {{name: {app}, {render} path: {dir}}}\n"));
                (app, path.clone())
            });
            apps.insert((f, p), both);
        }
    }
    repo.write("weir.yaml", manifest).unwrap();
    repo.commit("Paths that lead out").unwrap();
    let weir = Weir::new().unwrap();
    weir.begin_with_engines().unwrap();
    let live = weir.path("live");
    let target = format!("dir:{}", live.display());
    let ran = run(&weir, &repo, &["sync", "--target", &target]);
    assert_eq!(ran.code, Some(1), "{}", ran.stderr);
    assert_eq!(fs::read_dir(&live).unwrap().count(), 1, "the good one only");
    shows_nothing(&ran);
    let mut ways: BTreeMap<String, usize> = BTreeMap::new();
    for [(there, path), (absent, other)] in apps.values() {
        let (one, two) = (said(&ran, there), said(&ran, absent));
        assert_eq!(
            alike(&one),
            alike(&two),
            "{path} and {other} are told apart"
        );
        *ways
            .entry(
                one.replace(there.as_str(), "APP")
                    .replace(path.as_str(), PATH),
            )
            .or_default() += 1;
    }
    println!("{} ways to say it: {ways:#?}", ways.len());
}

/// The fields of the manifest and of the command line. One that leads out fails the whole manifest, with its place.
#[test]
fn a_path_of_the_manifest_that_leads_out_is_refused_where_it_stands() {
    let mut repo = Repo::empty().unwrap();
    let outside = Outside::of(&repo);
    repo.write(
        "app/a.yaml",
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: good}}\n",
    )
    .unwrap();
    Outside::link(&repo, "app/deep/deeper");
    let weir = Weir::new().unwrap();
    let fields = [
        ("path", "apps: [{name: a, path: \"{P}\"}]"),
        (
            "roots",
            "apps: [{name: a, path: app, roots: [app, \"{P}\"]}]",
        ),
        ("each", "apps: [{each: \"{P}/*\", name: \"{1}\"}]"),
        (
            "source",
            "plugins: { p: { source: \"file:{P}\" } }\napps: [{name: a, path: app, render: {plugin: p}}]",
        ),
    ];
    for (field, manifest) in fields {
        for (there, not) in &outside.pairs {
            let both = [there, not].map(|path| {
                // Links are looked up from the root.
                let path = match path.as_str() {
                    link if !link.starts_with('/')
                        && !link.contains(':')
                        && !link.starts_with("..") =>
                    {
                        format!("app/deep/deeper/{link}")
                    }
                    other => other.to_owned(),
                };
                let manifest = format!("version: 1\n{}\n", manifest.replace(PATH, &path));
                repo.write("weir.yaml", manifest).unwrap();
                repo.commit(field).unwrap();
                let ran = run(&weir, &repo, &["render"]);
                assert_eq!(ran.stdout, "", "{field} {path}");
                shows_nothing(&ran);
                // A pattern that goes through a link matches nothing, and is no error.
                let is_said = ran.code != Some(0) && ran.stderr.contains("weir.yaml:");
                assert!(is_said || field == "each", "{field} {path}: {ran:?}");
                alike(&ran.stderr)
            });
            assert_eq!(both[0], both[1], "{field}");
        }
    }
    for path in [
        "../secret.yaml",
        "/etc/passwd",
        "file:///etc/passwd",
        "app/deep/deeper/updir",
    ] {
        let ran = run(&weir, &repo, &["render", "--path", path]);
        assert_ne!(ran.code, Some(0), "{path}: {}", ran.stdout);
        assert_eq!(ran.stdout, "");
        shows_nothing(&ran);
    }
}
