//! Receipts through the real binary: signed at each sync, proved on another machine, found out where anything was changed.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;

use weir_core::digest::Digest;
use weir_core::receipt::Envelope;
use weir_receipt::Bundle;
use weir_tests::charts::{FileServer, archive};
use weir_tests::{GitServer, Repo, Weir, places};

/// What was changed anywhere, and what lies.
#[path = "receipts/found_out.rs"]
mod found_out;
/// A repository, a machine, and strangers.
#[path = "receipts/scene.rs"]
mod scene;

use scene::{MAP, Scene, says};

#[test]
fn a_stranger_with_repository_receipt_and_key_proves_the_bytes() {
    let scene = Scene::new();
    scene.sync();
    let shown = scene
        .run(&["receipts", "show", "--app", "web"])
        .success()
        .unwrap();
    says(
        &shown,
        &[
            "subject: shop/web",
            "signature: good",
            "stableRandom: false",
        ],
    );
    let receipt = scene.export(&["--app", "web"]);
    let stranger = scene.stranger();
    let said = stranger.verify(&receipt, &[]).code(0).unwrap().stdout;
    says(
        &said,
        &["equal: shop/web at commit", &scene.repo.head().unwrap()],
    );
    // It was made anew, and nothing of it is kept.
    assert!(!stranger.weir.cache_dir().join("renders").exists());
    assert!(!stranger.weir.state_dir().exists());
    let json = stranger
        .verify(&receipt, &["-o", "json"])
        .code(0)
        .unwrap()
        .stdout;
    says(&json, &["\"equal\": true", "\"difference\": null"]);
    // What the receipt says is the digest of what anybody can print.
    let rendered = scene.on_repo("render", &["web"]).success().unwrap();
    says(&said, &[&Digest::of(rendered.as_bytes()).to_string()]);
}

#[test]
fn a_bundle_proves_the_bytes_on_a_machine_that_has_nothing() {
    let scene = Scene::new();
    scene.locked();
    scene.sync();
    let (receipt, bundle) = (scene.export(&["--app", "web"]), scene.bundle());
    assert_eq!(
        fs::read(&bundle).unwrap(),
        fs::read(scene.bundle()).unwrap()
    );
    let mode = fs::metadata(&bundle).unwrap().permissions().mode();
    assert_eq!(mode & 0o077, 0, "it holds what Secrets hold");
    let mut stranger = scene.stranger();
    stranger.without_plugins();
    let said = stranger.verify(&receipt, &[]).code(3).unwrap().stdout;
    says(&said, &["plugin", "none here", "receipts export --bundle"]);
    let said = stranger.verify(&bundle, &[]).code(0).unwrap().stdout;
    says(&said, &["equal: shop/web"]);
    assert!(!stranger.weir.state_dir().exists());
}

#[test]
fn a_chart_from_outside_is_proved_with_its_server_gone() {
    let scene = Scene::new();
    scene.weir.begin_with_engines().unwrap();
    let server = FileServer::start().unwrap();
    let template = MAP.replace("one", "{{ .Values.colour }}");
    let files = [
        ("values.yaml", "colour: none\n"),
        ("templates/a.yaml", &template),
    ];
    let chart = archive("shop", "1.4.0", &files).unwrap();
    server.charts(&[("shop", "1.4.0", &chart)]);
    let manifest = format!(
        "version: 1\napps:\n- name: web\n  path: web\n  render: {{ plugin: helm, config: {{ repository: \"http://{}/stable\", chart: shop, version: 1.x, values: [prod.yaml] }} }}\n",
        server.host()
    );
    scene.repo.write("weir.yaml", manifest).unwrap();
    scene.repo.write("web/prod.yaml", "colour: red\n").unwrap();
    scene.locked();
    scene.sync();
    drop(server);
    let (receipt, bundle) = (scene.export(&["--app", "web"]), scene.bundle());
    let mut stranger = scene.stranger();
    stranger.weir.begin_with_engines().unwrap();
    let said = stranger.verify(&receipt, &[]).code(3).unwrap().stdout;
    says(
        &said,
        &[
            "external `helm+http://",
            "none here",
            "receipts export --bundle",
        ],
    );
    stranger.without_plugins();
    let said = stranger.verify(&bundle, &[]).code(0).unwrap().stdout;
    says(&said, &["equal: shop/web"]);
    // The archive is in there once, as it was served.
    let read = Bundle::read(&fs::read(&bundle).unwrap()).unwrap();
    assert_eq!(read.archives.into_values().collect::<Vec<_>>(), [chart]);
}

#[test]
fn another_repository_is_proved_with_its_server_gone_and_none_of_its_objects_changed() {
    let mut base = Repo::from_text("//- deep/a.yaml\nfirst\n//- b.yaml\nother\n").unwrap();
    base.symlink("linked", "deep/a.yaml").unwrap();
    base.commit("With a link").unwrap();
    let server = GitServer::of(&base).unwrap();
    let reference = server.url("work").replace("http://", "git+http://");
    let mut scene = Scene::new();
    scene.shows(&reference);
    scene.locked();
    scene.sync();
    drop(server);
    let bundle = scene.bundle();
    let mut stranger = scene.stranger();
    stranger.without_plugins();
    let said = stranger.verify(&bundle, &[]).code(0).unwrap().stdout;
    says(&said, &["equal: shop/web"]);
    let good = Bundle::read(&fs::read(&bundle).unwrap()).unwrap();
    let count = good.objects.values().map(Vec::len).sum::<usize>();
    assert_eq!(count, 6, "a commit, two trees, two files and a link");
    for n in 0..count {
        let mut bad = good.clone();
        let object = &mut bad.objects.values_mut().next().unwrap()[n];
        object.bytes[3] ^= 1;
        let file = scene.weir.path("bad.tar");
        let mut bytes = Vec::new();
        bad.write(&mut bytes).unwrap();
        fs::write(&file, bytes).unwrap();
        let said = stranger.verify(&file, &[]).code(1).unwrap().stderr;
        says(&said, &["its bytes do not match its id"]);
    }
}

#[test]
fn after_a_rotation_an_old_receipt_is_proved_by_the_key_that_signed_it() {
    let mut scene = Scene::new();
    scene.sync();
    let (old, old_key) = (scene.export(&["--app", "web"]), scene.key());
    let said = scene.run(&["keys", "rotate"]).success().unwrap();
    says(&said, &["are signed with sha256:"]);
    scene.push("two");
    scene.sync();
    let (new, new_key) = (scene.export(&["--app", "web"]), scene.key());
    assert_ne!(fs::read(&old_key).unwrap(), fs::read(&new_key).unwrap());
    let listed = scene.run(&["keys", "list"]).success().unwrap();
    says(&listed, &["signing", "retired"]);
    let all = scene.run(&["receipts", "list"]).success().unwrap();
    assert_eq!(all.matches("good").count(), 2, "{all}");
    // This host trusts both, whoever has one of the keys what that one signed.
    for receipt in [&old, &new] {
        let repo = scene.repo.path();
        let words = [
            "verify",
            receipt.to_str().unwrap(),
            "--repo",
            repo.to_str().unwrap(),
        ];
        scene.weir.run(words).unwrap().code(0).unwrap();
    }
    let mut stranger = scene.stranger();
    stranger.key = old_key.clone();
    stranger.verify(&old, &[]).code(0).unwrap();
    let said = stranger.verify(&new, &[]).code(1).unwrap().stderr;
    let id = Envelope::read(&fs::read(&new).unwrap()).unwrap().key();
    says(&said, &["which is not trusted here", &id.to_string()]);
    // A key that is imported is trusted without being named, and signs nothing.
    let import = ["keys", "import", old_key.to_str().unwrap()];
    stranger.weir.run(import).unwrap().success().unwrap();
    let repo = scene.repo.path();
    let words = [
        "verify",
        old.to_str().unwrap(),
        "--repo",
        repo.to_str().unwrap(),
    ];
    stranger.weir.run(words).unwrap().code(0).unwrap();
    let listed = stranger.weir.run(["keys", "list", "-o", "json"]).unwrap();
    says(&listed.success().unwrap(), &["\"standing\": \"imported\""]);
    stranger
        .weir
        .run(["keys", "export"])
        .unwrap()
        .code(2)
        .unwrap();
}

#[test]
fn what_is_rolled_back_keeps_the_receipt_that_it_had() {
    let mut scene = Scene::new();
    scene.sync();
    let receipts = || {
        let listed = scene_receipts(&scene.weir);
        listed
            .into_iter()
            .map(|r| (r["receipt"].clone(), r["blob"].clone()))
            .collect::<Vec<_>>()
    };
    let first = receipts();
    scene.push("two");
    scene.sync();
    scene
        .run(&["rollback", "web", "--to", "previous", "--yes"])
        .success()
        .unwrap();
    scene.try_sync().code(4).unwrap();
    let all = scene_receipts(&scene.weir);
    assert_eq!(all.len(), 3, "{all:?}");
    assert_eq!(
        (&all[0]["receipt"], &all[0]["blob"]),
        (&first[0].0, &first[0].1)
    );
    assert_ne!(all[1]["receipt"], all[0]["receipt"]);
    let receipt = scene.export(&["--app", "web"]);
    scene.stranger().verify(&receipt, &[]).code(0).unwrap();
}

fn scene_receipts(weir: &Weir) -> Vec<serde_json::Value> {
    let listed = weir
        .run(["receipts", "list", "--app", "web", "-o", "json"])
        .unwrap();
    serde_json::from_str(&listed.success().unwrap()).unwrap()
}

#[test]
fn a_manifest_of_the_hosts_and_a_bare_directory_are_proved_too() {
    let scene = Scene::new();
    let manifest = scene.weir.path("host.yaml");
    fs::write(&manifest, "version: 1\napps: [{ name: web, path: web }]\n").unwrap();
    let file = manifest.to_str().unwrap();
    scene.sync_with(&["--manifest", file]).code(0).unwrap();
    let receipt = scene.export(&["--app", "web"]);
    let stranger = scene.stranger();
    says(
        &stranger.verify(&receipt, &[]).code(2).unwrap().stderr,
        &["--manifest FILE"],
    );
    stranger
        .verify(&receipt, &["--manifest", file])
        .code(0)
        .unwrap();
    let bundle = scene.bundle_with(&["--manifest", file]);
    stranger.verify(&bundle, &[]).code(0).unwrap();
    fs::write(&manifest, "version: 1\napps: [{ name: web, path: web }] \n").unwrap();
    let said = stranger
        .verify(&receipt, &["--manifest", file])
        .code(3)
        .unwrap();
    says(&said.stdout, &["the manifest"]);
    let bare = Scene::new();
    bare.sync_with(&["--path", "web"]).code(0).unwrap();
    let receipt = bare.export(&["--app", "web"]);
    bare.stranger().verify(&receipt, &[]).code(0).unwrap();
}

#[test]
fn the_commands_of_the_page_run_in_the_order_given() {
    let mut scene = Scene::new();
    scene.sync();
    scene.weir.current_dir(scene.repo.path());
    let page = fs::read_to_string(places::root().join("docs/receipts.md")).unwrap();
    let commands: Vec<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("$ weir "))
        .collect();
    assert_eq!(commands.len(), 11, "{commands:?}");
    for command in commands {
        let (words, file) = match command.split_once(" > ") {
            Some((words, file)) => (words, Some(file)),
            None => (command, None),
        };
        let ran = scene.weir.run(words.split(' ')).unwrap();
        assert_eq!(ran.code, Some(0), "weir {command}: {ran:?}");
        if let Some(file) = file {
            fs::write(scene.repo.path().join(file), ran.stdout).unwrap();
        }
    }
}
