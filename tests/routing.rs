//! A commit costs what it changes: in a repository of fifty apps only those run that it may have changed, and the ledger has
//! one record for all others.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::Value;
use weir_tests::scene::map;
use weir_tests::weir::{Serving, http_get};
use weir_tests::{Repo, Weir};

const SOON: Duration = Duration::from_secs(120);
/// Apps that come from one glob.
const MANY: usize = 50;

/// `apps/app-NN`, each in a namespace of its own; `middle` comes after app-00, and `late` after that.
const MANIFEST: &str = "version: 1\n\
    apps:\n\
    - { each: 'apps/*', name: '{1}', target: { namespace: '{1}' } }\n\
    - { name: middle, path: middle, target: { namespace: middle }, after: [app-00] }\n\
    - { name: late, path: late, target: { namespace: late }, after: [middle] }\n";

struct Scene {
    repo: Repo,
    weir: Weir,
}

/// What a commit is about, the files that it writes, and the apps that run for it.
type Step<'a> = (&'a str, &'a [(&'a str, &'a str)], &'a [&'a str]);

/// What a commit came to.
#[derive(Debug, PartialEq)]
struct Came {
    /// The apps that ran for it.
    ran: BTreeSet<String>,
    /// How many were carried.
    carried: u64,
    /// How many were rendered.
    rendered: u64,
}

fn named(n: usize) -> String {
    format!("app-{n:02}")
}

fn came(ran: &[&str], rendered: u64) -> Came {
    Came {
        ran: ran.iter().map(|app| (*app).to_owned()).collect(),
        carried: (MANY + 2 - ran.len()) as u64,
        rendered,
    }
}

impl Scene {
    fn new() -> Scene {
        let mut repo = Repo::empty().unwrap();
        repo.write("weir.yaml", MANIFEST).unwrap();
        for n in 0..MANY {
            let file = format!("apps/{}/map.yaml", named(n));
            repo.write(&file, map("own", "one")).unwrap();
        }
        for name in ["middle", "late"] {
            repo.write(&format!("{name}/map.yaml"), map("own", "one"))
                .unwrap();
        }
        // Two apps read one file, and a third asks for one that is not there.
        repo.write("shared/common.yaml", map("common", "one"))
            .unwrap();
        for n in [1, 2] {
            let link = format!("apps/{}/common.yaml", named(n));
            repo.symlink(&link, "../../shared/common.yaml").unwrap();
        }
        repo.symlink("apps/app-03/later.yaml", "../../shared/later.yaml")
            .unwrap();
        repo.commit("first").unwrap();
        let weir = Weir::new().unwrap();
        Scene { repo, weir }
    }

    fn words(&self) -> Vec<String> {
        let target = format!("dir:{}", self.weir.path("live").display());
        let repo = self.repo.path();
        let repo = repo.to_str().unwrap();
        let flags = ["--interval", "1h", "--listen", "127.0.0.1:0"];
        let words = ["serve", "--repo", repo, "--target", &target];
        let words = words.into_iter().chain(flags);
        words.map(str::to_owned).collect()
    }

    /// A host that does nothing by itself from now on; so many apps are news to it.
    fn serve(&self, news: usize) -> Serving {
        let mut host = self.weir.start(self.words()).unwrap();
        for _ in 0..news {
            host.wait_for_text("synced to", SOON).unwrap();
        }
        host
    }

    fn push(&mut self, what: &str) -> String {
        let commit = self.repo.commit(what).unwrap();
        self.weir.run(["refresh"]).unwrap().success().unwrap();
        commit
    }

    /// A commit that is made of these files, and what came of it when so many apps have said how they ended.
    fn pushed(&mut self, host: &mut Serving, files: &[(&str, &str)], ends: usize) -> Came {
        let before = made(host);
        for (path, text) in files {
            self.repo.write(path, text).unwrap();
        }
        let commit = self.push("change");
        let ended = |line: &str| {
            let words = ["synced to", "nothing to change", "failed:", "as they were"];
            words.iter().any(|word| line.contains(word))
        };
        for _ in 0..=ends {
            host.wait_for("an app ended, or the others are carried", SOON, ended)
                .unwrap();
        }
        let record = self.carried(&commit).unwrap();
        Came {
            ran: strings(&record["but"]),
            carried: record["count"].as_u64().unwrap(),
            rendered: made(host) - before,
        }
    }

    fn history(&self) -> Vec<Value> {
        let words = ["history", "-n", "10000", "-o", "json"];
        let text = self.weir.run(words).unwrap().success().unwrap();
        let all: Value = serde_json::from_str(&text).unwrap();
        all[0]["records"].as_array().unwrap().clone()
    }

    /// The record that says which apps were carried to a commit: there is one at most.
    fn carried(&self, commit: &str) -> Option<Value> {
        let records = self.history();
        let mut found = records
            .iter()
            .map(|entry| &entry["event"])
            .filter(|event| event["type"] == "carried" && event["to"] == commit);
        let record = found.next().cloned();
        assert_eq!(found.next(), None, "two records");
        record
    }

    /// How each app stands, and at which commit.
    fn apps(&self) -> BTreeMap<String, (String, String)> {
        let text = self.weir.run(["apps", "-o", "json"]).unwrap();
        let all: Value = serde_json::from_str(&text.success().unwrap()).unwrap();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let apps = all[0]["apps"].as_array().unwrap().iter();
        apps.map(|app| {
            (
                text(&app["name"]),
                (text(&app["state"]), text(&app["commit"])),
            )
        })
        .collect()
    }

    /// Whether each app is synced at a commit, but for these.
    #[track_caller]
    fn all_are_at(&self, commit: &str, but: &[&str]) {
        let others: Vec<_> = self
            .apps()
            .into_iter()
            .filter(|(_, (state, at))| state != "synced" || at != commit)
            .map(|(name, _)| name)
            .collect();
        assert_eq!(others, but);
    }

    fn live(&self, app: &str, name: &str) -> Option<String> {
        let file = format!("live/{app}/configmap/{name}.yaml");
        std::fs::read_to_string(self.weir.path(&file)).ok()
    }
}

fn strings(list: &Value) -> BTreeSet<String> {
    let list = list.as_array().into_iter().flatten();
    list.map(|text| text.as_str().unwrap().to_owned()).collect()
}

/// Renders that the host made so far, those that were kept left out.
fn made(host: &Serving) -> u64 {
    let stderr = host.stderr();
    let line = stderr.lines().find(|l| l.contains("says how apps stand"));
    let address = line.unwrap().split("http://").nth(1).unwrap();
    let address = address.split('/').next().unwrap();
    let (_, metrics) = http_get(address, "/metrics").unwrap();
    let lines = metrics
        .lines()
        .filter(|l| l.starts_with("weir_renders_total") && l.contains("made"));
    let numbers = lines.filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok());
    numbers.sum()
}

#[test]
fn only_the_apps_that_a_commit_may_have_changed_run_and_one_record_says_it_of_all_others() {
    let mut scene = Scene::new();
    let mut host = scene.serve(MANY + 2);
    let two = map("own", "two");
    let steps: [Step<'_>; 6] = [
        (
            "a file of one app",
            &[("apps/app-07/map.yaml", &two)],
            &["app-07"],
        ),
        ("a file that nobody reads", &[("README.md", "hello")], &[]),
        (
            "a file that two apps read",
            &[("shared/common.yaml", &map("common", "two"))],
            &["app-01", "app-02"],
        ),
        (
            "a file that was asked for and not there",
            &[("shared/later.yaml", &map("later", "one"))],
            &["app-03"],
        ),
        (
            "a file more in a directory that is listed",
            &[("apps/app-04/more.yaml", &map("more", "one"))],
            &["app-04"],
        ),
        (
            "a file that says what renders an app",
            &[("apps/app-05/kustomization.yaml", "resources: [map.yaml]\n")],
            &["app-05"],
        ),
    ];
    for (what, files, ran) in steps {
        let done = scene.pushed(&mut host, files, ran.len());
        assert_eq!(done, came(ran, ran.len() as u64), "{what}");
        scene.all_are_at(&scene.repo.head().unwrap(), &[]);
    }
    assert!(scene.live("app-07", "own").unwrap().contains("value: two"));
    assert!(
        scene
            .live("app-02", "common")
            .unwrap()
            .contains("value: two")
    );
    assert!(scene.live("app-03", "later").is_some());
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
    // Nothing was lost or made up on the way: another host finds nothing to do, and says nothing.
    let records = scene.history().len();
    scene.weir.run(scene.once()).unwrap().success().unwrap();
    assert_eq!(scene.history().len(), records);
    scene
        .repo
        .write("apps/app-07/map.yaml", map("own", "three"))
        .unwrap();
    scene.repo.commit("while no host runs").unwrap();
    let mut host = scene.serve(1);
    assert_eq!(made(&host), 1, "all others were rendered before");
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn a_manifest_that_changes_one_entry_runs_that_app() {
    let mut scene = Scene::new();
    let mut host = scene.serve(MANY + 2);
    let prune = MANIFEST.replace("after: [middle] }", "after: [middle], remove: prune }");
    let done = scene.pushed(&mut host, &[("weir.yaml", &prune)], 1);
    assert_eq!(
        done,
        came(&["late"], 0),
        "what is done with it later is no render"
    );
    // An entry that moves down a line is the same entry.
    let moved = prune.replace("apps:\n", "# All of them.\napps:\n");
    let done = scene.pushed(&mut host, &[("weir.yaml", &moved)], 0);
    assert_eq!(done, came(&[], 0));
    let config = moved.replace(
        "name: late, path: late,",
        "name: late, path: late, transform: [{ plugin: metadata, config: { labels: { a: b } } }],",
    );
    let config = config.replace(
        "version: 1\n",
        "version: 1\nplugins: { metadata: { source: 'bundled:metadata' } }\n",
    );
    let done = scene.pushed(&mut host, &[("weir.yaml", &config)], 1);
    assert_eq!(done, came(&["late"], 1));
    assert!(scene.live("late", "own").unwrap().contains("a: b"));
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn an_app_that_failed_or_is_held_is_not_passed_by() {
    let mut scene = Scene::new();
    let mut host = scene.serve(MANY + 2);
    let broken = [("apps/app-09/map.yaml", "{ not: [yaml")];
    scene.pushed(&mut host, &broken, 1);
    let done = scene.pushed(&mut host, &[("README.md", "one")], 0);
    assert!(done.ran.contains("app-09"), "{done:?}");
    let failed = scene.apps().remove("app-09").unwrap();
    assert_eq!(failed.0, "failed");
    let mended = [("apps/app-09/map.yaml", map("own", "mended"))];
    let mended = mended.each_ref().map(|(path, text)| (*path, text.as_str()));
    scene.pushed(&mut host, &mended, 1);
    assert!(scene.live("app-09", "own").unwrap().contains("mended"));
    // An app that leaves is held, and stays so.
    scene.repo.remove("apps/app-10").unwrap();
    scene.push("an app less");
    host.wait_for_text("held: app app-10", SOON).unwrap();
    for text in ["two", "three"] {
        let done = scene.pushed(&mut host, &[("README.md", text)], 0);
        assert_eq!(done.ran, ["app-10".to_owned()].into(), "{text}");
    }
    assert_eq!(scene.apps().remove("app-10").unwrap().0, "held");
    assert!(scene.live("app-10", "own").is_some());
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn what_comes_after_an_app_that_changed_waits_for_it_though_one_between_them_did_not() {
    let mut scene = Scene::new();
    let mut host = scene.serve(MANY + 2);
    let two = map("own", "two");
    let files = [("apps/app-00/map.yaml", &*two), ("late/map.yaml", &*two)];
    let done = scene.pushed(&mut host, &files, 2);
    assert_eq!(done, came(&["app-00", "late"], 2));
    let records = scene.history();
    let at = |app: &str| {
        let mut newest = records.iter();
        newest.position(|r| r["app"] == app && r["event"]["type"] == "staked")
    };
    let synced = |app: &str| {
        let mut newest = records.iter();
        newest.position(|r| r["app"] == app && r["event"]["type"] == "synced")
    };
    // The newest come first.
    assert!(at("late").unwrap() < synced("app-00").unwrap());
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn an_app_that_was_rolled_back_stays_there_while_commits_pass_by() {
    let mut scene = Scene::new();
    let first = scene.repo.head().unwrap();
    let mut host = scene.serve(MANY + 2);
    scene.pushed(
        &mut host,
        &[("apps/app-07/map.yaml", &map("own", "bad"))],
        1,
    );
    let back = ["rollback", "app-07", "--to", "previous", "--yes"];
    scene.weir.run(back).unwrap().success().unwrap();
    host.wait_for_text("pinned: it was rolled back", SOON)
        .unwrap();
    for text in ["one", "two"] {
        let done = scene.pushed(&mut host, &[("README.md", text)], 0);
        assert_eq!(done, came(&["app-07"], 0), "{text}");
        let pinned = scene.apps().remove("app-07").unwrap();
        assert_eq!(pinned, ("pinned".to_owned(), first.clone()));
        scene.all_are_at(&scene.repo.head().unwrap(), &["app-07"]);
    }
    let mended = map("own", "mended");
    scene.pushed(&mut host, &[("apps/app-07/map.yaml", &mended)], 1);
    scene.all_are_at(&scene.repo.head().unwrap(), &[]);
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn killed_while_it_says_that_apps_are_carried_the_next_host_ends_in_the_right_state() {
    for (step, is_kept) in [("before-carry", false), ("after-carry", true)] {
        let mut scene = Scene::new();
        scene.weir.variable("FAILPOINTS", format!("{step}=return"));
        let mut host = scene.serve(MANY + 2);
        scene.repo.write("README.md", "hello").unwrap();
        let head = scene.repo.commit("nothing of any app").unwrap();
        scene.weir.run(["refresh"]).unwrap();
        assert_eq!(
            host.wait(SOON).unwrap(),
            None,
            "{step}: {}",
            host.transcript()
        );
        assert_eq!(scene.carried(&head).is_some(), is_kept, "{step}");
        scene.weir.without_variable("FAILPOINTS");
        let records = scene.history().len();
        scene.weir.run(scene.once()).unwrap().success().unwrap();
        scene.all_are_at(&head, &[]);
        let said = scene.history().len() - records;
        let expected = if is_kept { 0 } else { MANY + 2 };
        assert_eq!(
            said, expected,
            "{step}: what the ledger has is not said again"
        );
        scene.weir.run(scene.once()).unwrap().success().unwrap();
        assert_eq!(scene.history().len() - records, expected, "{step}");
    }
}

impl Scene {
    /// `weir sync` of the same.
    fn once(&self) -> Vec<String> {
        let words = self.words().into_iter().take(5);
        let words = words.map(|word| match word.as_str() {
            "serve" => "sync".to_owned(),
            _ => word,
        });
        words.collect()
    }
}
