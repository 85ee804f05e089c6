//! What was changed anywhere, and what lies, is found out.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;

use weir_core::digest::Digest;
use weir_core::grant::Fuel;
use weir_core::receipt::{Envelope, Receipt};
use weir_receipt::{Bundle, Keys};
use weir_tests::{GitServer, Repo};

use super::scene::{Scene, flipped, says};

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
    let random = |r: &mut Receipt| {
        r.stable_random = true;
        r.random_secret = Some(other);
    };
    says(
        &forged(&random).code(1).unwrap().stderr,
        &["stable random bytes", "secret", "--random-secret FILE"],
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
