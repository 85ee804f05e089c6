//! Charts and kustomizations that mean harm, all in one repository beside an honest app: each ends with an error of its own app, in bounded memory.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;
use std::time::Duration;

use weir_tests::{Repo, Serving, Weir};

/// Longer than any one step takes, on any machine.
const SOON: Duration = Duration::from_secs(300);
const MIB: u64 = 1 << 20;
/// What a host that renders all of it may have in use at once.
const PEAK: u64 = 1500 * MIB;

const CHART: &str = "apiVersion: v2\nname: c\nversion: 1.0.0\n";
const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: a}\n";

/// One app: its name, its files, and words of its error.
struct Hostile {
    name: &'static str,
    files: Vec<(String, String)>,
    said: &'static str,
}

fn hostile(name: &'static str, files: &[(&str, &str)], said: &'static str) -> Hostile {
    let own = |(path, text): &(&str, &str)| ((*path).to_owned(), (*text).to_owned());
    Hostile {
        name,
        files: files.iter().map(own).collect(),
        said,
    }
}

fn with_schema(name: &'static str, schema: &str, said: &'static str) -> Hostile {
    let files = [
        ("Chart.yaml", CHART),
        ("values.yaml", "a: {a: {a: {}}}\n"),
        ("values.schema.json", schema),
        ("templates/a.yaml", MAP),
    ];
    hostile(name, &files, said)
}

fn laughs() -> String {
    let mut text = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for n in 1..12 {
        let all = vec![format!("*a{}", n - 1); 10].join(", ");
        text.push_str(&format!("a{n}: &a{n} [{all}]\n"));
    }
    text
}

/// A thousand bases, each of the next one.
fn chain(length: usize) -> Vec<(String, String)> {
    (0..length)
        .map(|n| {
            let next = format!("resources: [../k{}]\n", n + 1);
            (format!("k{n}/kustomization.yaml"), next)
        })
        .chain([(
            "kustomization.yaml".to_owned(),
            "resources: [k0]\n".to_owned(),
        )])
        .collect()
}

fn all() -> Vec<Hostile> {
    let deep = format!("a: {}\n", "[".repeat(1_000_000));
    let deep_schema = format!("{}true{}", "{\"not\":".repeat(100_000), "}".repeat(100_000));
    let wide: String = (0..18).fold("{\"$defs\":{".to_owned(), |text, n| {
        let next = if n == 17 {
            "true".to_owned()
        } else {
            format!("{{\"$ref\":\"#/$defs/d{}\"}}", n + 1)
        };
        let comma = if n == 0 { "" } else { "," };
        format!("{text}{comma}\"d{n}\":{{\"allOf\":[{next},{next},{next},{next}]}}")
    }) + "},\"$ref\":\"#/$defs/d0\"}";
    let chart = |values: &str| {
        vec![
            ("Chart.yaml".to_owned(), CHART.to_owned()),
            ("values.yaml".to_owned(), values.to_owned()),
            ("templates/a.yaml".to_owned(), MAP.to_owned()),
        ]
    };
    vec![
        with_schema("ref-of-itself", "{\"$ref\":\"#\"}", "values.schema.json"),
        with_schema(
            "ref-to-a-file",
            "{\"$ref\":\"file:///etc/passwd\"}",
            "values.schema.json",
        ),
        with_schema(
            "ref-to-a-server",
            "{\"$ref\":\"http://127.0.0.1:9/schema.json\"}",
            "values.schema.json",
        ),
        with_schema("deep-schema", &deep_schema, "deep-schema"),
        with_schema("wide-schema", &wide, "fuel"),
        Hostile {
            name: "laughing-values",
            files: chart(&laughs()),
            said: "laughing-values",
        },
        Hostile {
            name: "deep-values",
            files: chart(&deep),
            said: "deep-values",
        },
        hostile(
            "its-own-parent",
            &[("kustomization.yaml", "resources: [..]\n")],
            "its-own-parent/kustomization.yaml",
        ),
        hostile(
            "a-cycle",
            &[
                ("kustomization.yaml", "resources: [one]\n"),
                ("one/kustomization.yaml", "resources: [../two]\n"),
                ("two/kustomization.yaml", "resources: [../one]\n"),
            ],
            "cycle",
        ),
        Hostile {
            name: "a-chain",
            files: chain(10_000),
            said: "a-chain",
        },
        Hostile {
            name: "laughing-overlay",
            files: vec![
                (
                    "kustomization.yaml".to_owned(),
                    "resources: [a.yaml]\n".to_owned(),
                ),
                ("a.yaml".to_owned(), format!("{MAP}{}", laughs())),
            ],
            said: "laughing-overlay",
        },
    ]
}

fn start(weir: &Weir, repo: &Repo) -> Serving {
    let (path, live) = (repo.path(), weir.path("live"));
    let target = format!("dir:{}", live.display());
    let words = [
        "serve",
        "--repo",
        path.to_str().unwrap(),
        "--target",
        &target,
    ];
    let more = ["--interval", "1h", "--listen", "127.0.0.1:0"];
    weir.start(words.iter().chain(&more)).unwrap()
}

#[test]
fn each_hostile_chart_and_overlay_ends_with_its_own_error_in_bounded_memory_and_the_honest_app_is_synced()
 {
    let mut repo = Repo::empty().unwrap();
    let mut manifest = String::from("version: 1\napps:\n- {name: good, path: good}\n");
    repo.write("good/kustomization.yaml", "resources: [a.yaml]\n")
        .unwrap();
    repo.write("good/a.yaml", MAP).unwrap();
    let all = all();
    for one in &all {
        for (path, text) in &one.files {
            repo.write(&format!("bad/{}/{path}", one.name), text)
                .unwrap();
        }
        let name = one.name;
        manifest.push_str(&format!("- {{name: {name}, path: bad/{name}}}\n"));
    }
    repo.write("weir.yaml", manifest).unwrap();
    repo.commit("Good and hostile").unwrap();
    let weir = Weir::new().unwrap();
    weir.begin_with_engines().unwrap();
    let mut serving = start(&weir, &repo);
    let mut left: Vec<&Hostile> = all.iter().collect();
    let mut good = false;
    while !left.is_empty() || !good {
        let names: Vec<&str> = left.iter().map(|one| one.name).collect();
        let what = format!("of {names:?}, and the good one: {good}");
        let line = serving
            .wait_for(&what, SOON, |line| {
                line.contains("ERROR") || line.contains("synced to")
            })
            .unwrap();
        good |= line.contains("\"app\":\"good\"") && line.contains("synced to");
        left.retain(|one| {
            let is_its_own = line.contains(&format!("\"app\":\"{}\"", one.name));
            assert!(
                !is_its_own || line.contains(one.said),
                "{}: {:?} was expected in {line}",
                one.name,
                one.said
            );
            !is_its_own
        });
    }
    let used = serving.peak_memory().unwrap();
    println!("at most {} MiB", used / MIB);
    assert!(used < PEAK, "{} MiB", used / MIB);
    assert_eq!(fs::read_dir(weir.path("live")).unwrap().count(), 1);
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
    let said = serving.transcript();
    for secret in ["root:x:", "/bin/bash"] {
        assert!(!said.contains(secret), "{said}");
    }
}
