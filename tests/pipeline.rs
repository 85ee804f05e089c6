//! The whole way: a real repository over http by the real `git http-backend`, through real plugins, into a directory.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

use std::path::Path;

use weir_tests::weir::PATIENCE;
use weir_tests::{GitServer, Listing, Repo, Weir, tree_digest};

const APPS: usize = 30;
const OBJECTS: usize = 10;

fn map(name: &str, value: &str) -> String {
    format!(
        "---\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {name}\ndata:\n  value: {value}\n"
    )
}

/// Thirty apps of ten objects, defaults for all, one more transform for one, one stricter check for another.
fn repository() -> Repo {
    let mut repo = Repo::empty().unwrap();
    let mut manifest = "version: 1\nplugins:\n  metadata: { source: \"bundled:metadata\" }\n  baseline: { source: \"bundled:baseline\" }\n\
        defaults:\n  transform: [{ plugin: metadata, config: { labels: { team: shop } } }]\n  validate: [{ plugin: baseline }]\napps:\n"
        .to_owned();
    for app in 0..APPS {
        manifest.push_str(&format!(
            "  - name: app-{app}\n    path: apps/app-{app}\n    target: {{ namespace: ns-{app} }}\n"
        ));
        if app == 0 {
            manifest.push_str(
                "    transform: [{ plugin: metadata, config: { annotations: { note: first } } }]\n",
            );
        }
        if app == 1 {
            manifest.push_str(
                "    validate: [{ plugin: baseline, config: { checks: { no-limits: error } } }]\n",
            );
        }
        let objects: String = (0..OBJECTS)
            .map(|n| map(&format!("map-{n}"), "one"))
            .collect();
        repo.write(&format!("apps/app-{app}/maps.yaml"), objects)
            .unwrap();
    }
    repo.write("weir.yaml", manifest).unwrap();
    repo.commit("Thirty apps").unwrap();
    repo
}

fn sync(weir: &Weir, url: &str, live: &Path) -> String {
    let target = format!("dir:{}", live.display());
    weir.run([
        "sync",
        "--repo",
        url,
        "--ref",
        "main",
        "--target",
        target.as_str(),
    ])
    .unwrap()
    .success()
    .unwrap()
}

fn text(live: &Path, file: &str) -> String {
    std::fs::read_to_string(live.join(file)).unwrap_or_else(|e| panic!("{file}: {e}"))
}

#[test]
fn thirty_apps_over_http_follow_every_kind_of_commit() {
    let mut repo = repository();
    let server = GitServer::of(&repo).unwrap();
    let name = repo
        .path()
        .file_name()
        .unwrap()
        .to_string_lossy()
        .into_owned();
    let url = server.url(&name);
    let weir = Weir::new().unwrap();
    let live = weir.path("live");

    sync(&weir, &url, &live);
    for app in 0..APPS {
        for n in 0..OBJECTS {
            let file = text(&live, &format!("ns-{app}/configmap/map-{n}.yaml"));
            assert!(
                file.contains("team: shop") && file.contains("value: one"),
                "{file}"
            );
            assert_eq!(file.contains("note: first"), app == 0);
        }
    }
    let before = tree_digest(&live).unwrap();
    sync(&weir, &url, &live);
    assert_eq!(
        tree_digest(&live).unwrap(),
        before,
        "nothing changed, so nothing is written"
    );

    // Changes one object, adds one, deletes one, and moves one from app-2 to app-3 within a namespace of its own.
    let mut maps: String = (1..OBJECTS)
        .map(|n| map(&format!("map-{n}"), if n == 1 { "two" } else { "one" }))
        .collect();
    maps.push_str(&map("map-new", "new"));
    repo.write("apps/app-1/maps.yaml", maps).unwrap();
    repo.commit("Change, add and delete in app-1").unwrap();
    sync(&weir, &url, &live);
    assert!(text(&live, "ns-1/configmap/map-1.yaml").contains("value: two"));
    assert!(text(&live, "ns-1/configmap/map-new.yaml").contains("value: new"));
    assert!(!live.join("ns-1/configmap/map-0.yaml").exists());
    assert!(
        live.join("ns-2/configmap/map-0.yaml").exists(),
        "other apps are as they were"
    );

    repo.rename("apps/app-4/maps.yaml", "apps/app-4/renamed.yaml")
        .unwrap();
    repo.commit("Move a file").unwrap();
    let moved = tree_digest(&live).unwrap();
    sync(&weir, &url, &live);
    assert_eq!(
        tree_digest(&live).unwrap(),
        moved,
        "a moved file changes no object"
    );

    repo.revert_head().unwrap();
    repo.git(["revert", "--no-edit", "HEAD~2"]).unwrap();
    sync(&weir, &url, &live);
    assert_eq!(
        tree_digest(&live).unwrap(),
        before,
        "a revert is a rollback"
    );
}

/// Every file's path and bytes; its mode is the umask's to say.
fn contents(live: &Path) -> Vec<(String, Vec<u8>)> {
    let listing = Listing::read(live).unwrap();
    let files = listing
        .paths()
        .into_iter()
        .filter(|p| live.join(p).is_file());
    files
        .map(|p| (p.to_owned(), std::fs::read(live.join(p)).unwrap()))
        .collect()
}

/// A directory that `weir serve` has filled, on a machine of its own.
fn served(weir: &Weir, repo: &str) -> Vec<(String, Vec<u8>)> {
    let live = weir.path("live");
    let target = format!("dir:{}", live.display());
    let words = ["serve", "--repo", repo, "--target", &target];
    let words = words.into_iter().chain(["--listen", "127.0.0.1:0"]);
    let mut host = weir.start(words).unwrap();
    for _ in 0..APPS {
        host.wait_for_text("synced to", PATIENCE).unwrap();
    }
    assert_eq!(host.terminate(PATIENCE).unwrap(), Some(0));
    contents(&live)
}

/// The paths that only one of the two has, or with other bytes.
fn differing<'a>(one: &'a [(String, Vec<u8>)], other: &'a [(String, Vec<u8>)]) -> Vec<&'a str> {
    let missing = |from: &'a [(String, Vec<u8>)], at: &[(String, Vec<u8>)]| {
        let paths = from.iter().filter(|file| !at.contains(file));
        paths.map(|(path, _)| path.as_str()).collect::<Vec<_>>()
    };
    [missing(one, other), missing(other, one)].concat()
}

#[test]
fn time_zone_locale_umask_and_folder_change_no_byte() {
    let repo = repository();
    let path = repo.path();
    let path = path.to_str().unwrap();
    let mut outputs = Vec::new();
    for (zone, locale, umask) in [
        ("UTC", "C", 0o022),
        ("Asia/Kathmandu", "de_DE.UTF-8", 0o077),
    ] {
        let machine = || {
            let mut weir = Weir::new().unwrap();
            weir.timezone(zone).locale(locale).umask(umask);
            let folder = weir.path(&format!("work in {zone}").replace('/', " "));
            std::fs::create_dir(&folder).unwrap();
            weir.current_dir(folder);
            weir
        };
        let weir = machine();
        sync(&weir, path, &weir.path("live"));
        let render = weir.run(["render", "--repo", path]).unwrap();
        outputs.push((
            contents(&weir.path("live")),
            render.success().unwrap(),
            served(&machine(), path),
        ));
    }
    let (files, stream, by_serve) = &outputs[0];
    assert_eq!(files.len(), APPS * OBJECTS);
    assert_eq!(differing(files, by_serve), [""; 0], "sync and serve");
    for (machine, (other, render, other_by_serve)) in outputs.iter().enumerate() {
        assert_eq!(
            differing(files, other),
            [""; 0],
            "sync on machine {machine}"
        );
        assert_eq!(
            differing(files, other_by_serve),
            [""; 0],
            "serve on machine {machine}"
        );
        assert!(render == stream, "render on machine {machine}:\n{render}");
    }
    let mut files: Vec<&[u8]> = files.iter().map(|(_, bytes)| bytes.as_slice()).collect();
    let mut documents: Vec<&[u8]> = stream.split("---\n").skip(1).map(str::as_bytes).collect();
    files.sort_unstable();
    documents.sort_unstable();
    assert!(
        files == documents,
        "the stream of render has other bytes than the files:\n{stream}"
    );
}

#[test]
fn a_compile_is_one_log_line_with_its_duration_and_the_next_start_needs_none() {
    let (weir, repo) = (Weir::new().unwrap(), repository());
    let path = repo.path();
    let compiled = || {
        let ran = weir.run(["render", "--repo", path.to_str().unwrap()]);
        let ran = ran.unwrap().code(0).unwrap();
        let lines = ran.stderr.lines().filter(|l| l.contains("compil"));
        lines
            .map(|line| {
                let value: serde_json::Value = serde_json::from_str(line).unwrap();
                assert_eq!(value["level"], "INFO", "{line}");
                assert!(value["seconds"].as_f64().unwrap() > 0.0, "{line}");
                value["plugin"].as_str().unwrap().to_owned()
            })
            .collect::<Vec<_>>()
    };
    assert_eq!(compiled(), ["baseline", "metadata", "yaml"]);
    assert_eq!(compiled(), [""; 0]);
}

#[test]
fn a_bad_manifest_is_refused_with_its_place_and_leaves_what_is_live() {
    let mut repo = repository();
    let weir = Weir::new().unwrap();
    let live = weir.path("live");
    let path = repo.path();
    sync(&weir, path.to_str().unwrap(), &live);
    let before = tree_digest(&live).unwrap();
    repo.write("weir.yaml", "version: 1\nappps: []\n").unwrap();
    repo.commit("A typing error").unwrap();
    let target = format!("dir:{}", live.display());
    let arguments = [
        "sync",
        "--repo",
        path.to_str().unwrap(),
        "--target",
        target.as_str(),
    ];
    let ran = weir.run(arguments).unwrap().code(2).unwrap();
    assert!(
        ran.stderr.contains("weir.yaml:2:1:") && ran.stderr.contains("apps"),
        "{}",
        ran.stderr
    );
    assert_eq!(tree_digest(&live).unwrap(), before);
}

#[test]
fn a_check_of_one_app_refuses_what_the_default_only_warns_of() {
    let mut repo = repository();
    let server = GitServer::of(&repo).unwrap();
    let name = repo.path();
    let url = server.url(&name.file_name().unwrap().to_string_lossy());
    let weir = Weir::new().unwrap();
    let live = weir.path("live");
    sync(&weir, &url, &live);
    let pod = "apiVersion: v1\nkind: Pod\nmetadata: { name: web }\n\
        spec: { containers: [{ name: web, image: \"registry.example/web:1.4.2\" }] }\n";
    for app in [1, 2] {
        repo.write(&format!("apps/app-{app}/pod.yaml"), pod)
            .unwrap();
    }
    repo.commit("A pod without limits in two apps").unwrap();
    let target = format!("dir:{}", live.display());
    let ran = weir
        .run(["sync", "--repo", &url, "--target", &target])
        .unwrap()
        .code(1)
        .unwrap();
    for part in ["app `app-1`", "baseline", "no-limits", "ns-1/web"] {
        assert!(ran.stderr.contains(part), "{part}: {}", ran.stderr);
    }
    assert!(
        live.join("ns-2/pod/web.yaml").is_file(),
        "the default warns"
    );
    assert!(!live.join("ns-1/pod").exists(), "app-1 is as it was");
    assert!(live.join("ns-1/configmap/map-0.yaml").is_file());
}

#[test]
fn killed_at_every_named_step_the_next_sync_ends_in_the_right_state() {
    let mut repo = repository();
    let path = repo.path();
    let reference = Weir::new().unwrap();
    let steps = reference.run(["crash-points"]).unwrap().success().unwrap();
    assert!(steps.lines().count() >= 10, "{steps}");
    let first = repo.head().unwrap();
    repo.write(
        "apps/app-1/maps.yaml",
        map("map-1", "two") + &map("map-new", "new"),
    )
    .unwrap();
    repo.commit("Change, add, delete").unwrap();
    sync(&reference, path.to_str().unwrap(), &reference.path("live"));
    let right = tree_digest(&reference.path("live")).unwrap();
    for step in steps.lines() {
        let mut weir = Weir::new().unwrap();
        let live = weir.path("live");
        let target = format!("dir:{}", live.display());
        repo.branch("old").unwrap();
        repo.git(["branch", "--force", "old", first.as_str()])
            .unwrap();
        let common = [
            "sync",
            "--repo",
            path.to_str().unwrap(),
            "--target",
            target.as_str(),
            "--ref",
        ];
        weir.run(common.iter().copied().chain(["old"]))
            .unwrap()
            .success()
            .unwrap();
        weir.variable("FAILPOINTS", format!("{step}=return"));
        let killed = weir.run(common.iter().copied().chain(["main"])).unwrap();
        assert!(killed.success().is_err(), "{step}: was to kill the process");
        weir.without_variable("FAILPOINTS");
        weir.run(common.iter().copied().chain(["main"]))
            .unwrap()
            .success()
            .unwrap_or_else(|e| panic!("{step}: {e}"));
        assert_eq!(tree_digest(&live).unwrap(), right, "after a kill at {step}");
        repo.delete_branch("old").unwrap();
    }
}

#[test]
fn killed_by_one_commit_after_a_write_and_by_the_next_before_it_nothing_becomes_a_strangers() {
    let mut repo = Repo::empty().unwrap();
    let manifest = "version: 1\napps:\n  - { name: a, path: a, target: { namespace: ns } }\n";
    repo.write("weir.yaml", manifest).unwrap();
    let mut weir = Weir::new().unwrap();
    let live = weir.path("live");
    let (path, target) = (repo.path(), format!("dir:{}", live.display()));
    let command = [
        "sync",
        "--repo",
        path.to_str().unwrap(),
        "--target",
        &target,
    ];
    for (value, step) in [("one", "after-write"), ("two", "after-stake")] {
        repo.write("a/maps.yaml", map("map-new", value)).unwrap();
        repo.commit(value).unwrap();
        weir.variable("FAILPOINTS", format!("{step}=return"));
        let killed = weir.run(command).unwrap();
        assert!(killed.success().is_err(), "{step}: was to kill the process");
    }
    weir.without_variable("FAILPOINTS");
    let file = live.join("ns/configmap/map-new.yaml");
    let text = || std::fs::read_to_string(&file).unwrap();
    assert!(text().contains("one"), "{}", text());
    weir.run(command).unwrap().success().unwrap();
    assert!(text().contains("two"), "{}", text());
    repo.remove("a/maps.yaml").unwrap();
    repo.write("a/maps.yaml", map("map-other", "one")).unwrap();
    repo.commit("Another").unwrap();
    weir.run(command).unwrap().success().unwrap();
    assert!(!file.exists(), "what is ours and unwanted goes");
}
