//! Receipts through the real binary: signed at each sync, proved on another machine, found out where anything was changed.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use weir_core::digest::Digest;
use weir_core::grant::Fuel;
use weir_core::receipt::{Envelope, Receipt};
use weir_receipt::{Bundle, Keys};
use weir_tests::charts::{FileServer, archive};
use weir_tests::{GitServer, Repo, Weir, places};

#[path = "receipts/scene.rs"]
mod scene;

use scene::{MAP, Scene, flipped, says};

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
fn whatever_byte_is_changed_nothing_else_is_proved() {
    let scene = Scene::new();
    scene.sync();
    let (receipt, bundle) = (scene.export(&["--app", "web"]), scene.bundle());
    let stranger = scene.stranger();
    stranger.verify(&receipt, &[]).code(0).unwrap();
    let bad = scene.weir.path("bad");
    // Each bit of the receipt and each byte of a bundle are changed in the tests of `weir-receipt`; here it is seen
    // that the command believes those.
    for (file, step) in [(&receipt, 61), (&bundle, 20_011)] {
        let bytes = fs::read(file).unwrap();
        for at in (0..bytes.len()).step_by(step) {
            fs::write(&bad, flipped(&bytes, at)).unwrap();
            let ran = stranger.verify(&bad, &[]);
            assert_eq!(
                ran.code,
                Some(1),
                "byte {at} of {}: {ran:?}",
                file.display()
            );
        }
    }
    let pem = fs::read(&stranger.key).unwrap();
    let mut other = scene.stranger();
    other.key = bad.clone();
    for at in (0..pem.len()).step_by(7) {
        fs::write(&bad, flipped(&pem, at)).unwrap();
        let ran = other.verify(&receipt, &[]);
        assert!(matches!(ran.code, Some(1 | 2)), "byte {at}: {ran:?}");
    }
}

#[test]
fn what_was_read_of_the_repository_cannot_be_changed() {
    let scene = Scene::new();
    scene.sync();
    let receipt = scene.export(&["--app", "web"]);
    let stranger = scene.stranger();
    let equal = stranger.verify(&receipt, &[]).code(0).unwrap().stdout;
    for what in [
        "HEAD:web/map.yaml",
        "HEAD:web",
        "HEAD^{tree}",
        "HEAD",
        "HEAD:weir.yaml",
    ] {
        let id = scene.repo.git(["rev-parse", what]).unwrap();
        let file = scene
            .repo
            .path()
            .join(format!(".git/objects/{}/{}", &id[..2], &id[2..]));
        let bytes = fs::read(&file).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let said = scene.repo.git(["cat-file", "-p", &id]).unwrap();
        for at in (0..bytes.len()).step_by(5) {
            fs::write(&file, flipped(&bytes, at)).unwrap();
            let ran = stranger.verify(&receipt, &[]);
            // A bit of the packing that changes nothing of what is packed is no change.
            let same = scene
                .repo
                .git(["cat-file", "-p", &id])
                .is_ok_and(|now| now == said);
            assert!(
                matches!(ran.code, Some(1 | 3)) || (same && ran.stdout == equal),
                "{what}, byte {at}: {ran:?}"
            );
        }
        fs::write(&file, &bytes).unwrap();
    }
    stranger.verify(&receipt, &[]).code(0).unwrap();
}

#[test]
fn a_kept_output_that_was_changed_gives_no_receipt() {
    let scene = Scene::new();
    scene.sync();
    let shown = scene.run(&["receipts", "show", "--app", "web", "-o", "json"]);
    let shown: serde_json::Value = serde_json::from_str(&shown.success().unwrap()).unwrap();
    let hex = shown["blob"]
        .as_str()
        .unwrap()
        .trim_start_matches("sha256:")
        .to_owned();
    let blob = scene
        .weir
        .state_dir()
        .join(format!("ledger/blob/{}/{hex}", &hex[..2]));
    let bytes = fs::read(&blob).unwrap();
    for at in (0..bytes.len()).step_by(97) {
        fs::write(&blob, flipped(&bytes, at)).unwrap();
        let said = scene
            .run(&["receipts", "export", "--app", "web"])
            .code(1)
            .unwrap()
            .stderr;
        says(&said, &["its bytes have the digest"]);
    }
    fs::remove_file(&blob).unwrap();
    let said = scene.run(&["receipts", "list"]).code(1).unwrap().stderr;
    says(&said, &["the ledger has no blob"]);
}

#[test]
fn the_wrong_repository_and_a_commit_that_is_gone_are_said() {
    let mut scene = Scene::new();
    scene.sync();
    let receipt = scene.export(&["--app", "web"]);
    let mut stranger = scene.stranger();
    let other = Repo::from_text("//- a\nb\n").unwrap();
    stranger.repo = other.path();
    let said = stranger.verify(&receipt, &[]).code(3).unwrap().stdout;
    says(
        &said,
        &["different:", "the commit", "is it the right repository?"],
    );
    // Over http it is looked for in what was fetched.
    let gone = scene.repo.head().unwrap();
    let server = GitServer::of(&scene.repo).unwrap();
    stranger.repo = PathBuf::from(server.url("work"));
    let equal = stranger
        .verify(&receipt, &["--ref", "main"])
        .code(0)
        .unwrap();
    says(&equal.stdout, &[&gone]);
    scene
        .repo
        .git(["checkout", "--quiet", "--orphan", "new"])
        .unwrap();
    scene.push("two");
    scene.repo.delete_branch("main").unwrap();
    let said = scene
        .stranger()
        .at(&server.url("work"))
        .verify(&receipt, &["--ref", "new", "-o", "json"]);
    says(
        &said.code(3).unwrap().stdout,
        &["\"part\": \"commit\"", &gone, "--ref"],
    );
}

#[test]
fn a_key_that_others_can_read_signs_nothing_and_nothing_is_changed() {
    let mut scene = Scene::new();
    scene.sync();
    let key = scene.weir.state_dir().join("keys/signing.pem");
    fs::set_permissions(&key, fs::Permissions::from_mode(0o644)).unwrap();
    scene.push("two");
    let live = scene.live();
    let ran = scene.try_sync().code(1).unwrap();
    says(
        &ran.stderr,
        &["others have access", "nothing is changed", "0600"],
    );
    assert_eq!(scene.live(), live);
    for words in [
        &["keys", "list"][..],
        &["keys", "export"],
        &["receipts", "list"],
    ] {
        says(
            &scene.run(words).code(1).unwrap().stderr,
            &["others have access"],
        );
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o600)).unwrap();
    scene.sync();
    assert_ne!(scene.live(), live);
}

#[test]
fn a_receipt_that_lies_is_found_out_and_what_differs_is_named() {
    let scene = Scene::new();
    // With a lock, so that the repository says which plugins are meant.
    scene.locked();
    scene.sync();
    let (file, bundle) = (scene.export(&["--app", "web"]), scene.bundle());
    let good = Envelope::read(&fs::read(file).unwrap())
        .unwrap()
        .unchecked()
        .unwrap();
    let bundle = Bundle::read(&fs::read(bundle).unwrap()).unwrap();
    let keys = Keys::below(&scene.weir.state_dir());
    let stranger = scene.stranger();
    // Signed with the key that is trusted: by a host that was taken over.
    let forged = |change: &dyn Fn(&mut Receipt)| {
        let mut receipt = good.clone();
        change(&mut receipt);
        let file = scene.weir.path("forged.json");
        fs::write(&file, keys.sign(&receipt).unwrap().to_line().unwrap()).unwrap();
        stranger.verify(&file, &[])
    };
    let other = Digest::of(b"other");
    type Change = Box<dyn Fn(&mut Receipt)>;
    let changes: Vec<(&str, Change)> = vec![
        (
            "the commit's tree",
            Box::new(|r| r.inputs.tree = r.inputs.commit),
        ),
        ("weir.lock", Box::new(move |r| r.inputs.lock = Some(other))),
        (
            "the digest of plugin",
            Box::new(move |r| r.inputs.plugins[1].digest = other),
        ),
        (
            "the configuration of plugin",
            Box::new(move |r| r.inputs.plugins[1].config = other),
        ),
        (
            "the target's Kubernetes version",
            Box::new(|r| "1.36.0".clone_into(&mut r.inputs.facts.kubernetes)),
        ),
        (
            "the app",
            Box::new(|r| r.inputs.app.name = "wob".parse().unwrap()),
        ),
        ("what was read", Box::new(move |r| r.reads.digest = other)),
        ("the output", Box::new(move |r| r.output = other)),
    ];
    for (what, change) in &changes {
        let said = forged(change.as_ref()).code(3).unwrap().stdout;
        says(&said, &["different: shop/", what]);
    }
    let more = |r: &mut Receipt| r.inputs.plugins[0].limits.fuel = Fuel(900_000_000_000);
    says(
        &forged(&more).code(1).unwrap().stderr,
        &["lets it spend fuel 900G", "allows 40G at most"],
    );
    let random = |r: &mut Receipt| r.stable_random = true;
    says(
        &forged(&random).code(1).unwrap().stderr,
        &["stable random bytes"],
    );
    let less = |r: &mut Receipt| r.inputs.plugins[0].limits.fuel = Fuel(1);
    says(&forged(&less).code(1).unwrap().stderr, &["fuel"]);
    // With the bytes it is said which object is other, and no Secret's value.
    let text = String::from_utf8(bundle.output.clone()).unwrap();
    for (from, to, names) in [
        ("one", "won", "data.value"),
        ("hidden", "hudden", "Secret default/s"),
    ] {
        let mut forged = bundle.clone();
        forged.output = text.replace(from, to).into_bytes();
        let mut receipt = good.clone();
        receipt.output = Digest::of(&forged.output);
        forged.envelope = keys.sign(&receipt).unwrap();
        let (file, mut bytes) = (scene.weir.path("forged.tar"), Vec::new());
        forged.write(&mut bytes).unwrap();
        fs::write(&file, bytes).unwrap();
        let said = stranger.verify(&file, &[]).code(3).unwrap().stdout;
        says(&said, &["the output", names]);
        assert!(
            !said.contains("hidden") && !said.contains("hudden"),
            "{said}"
        );
    }
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
