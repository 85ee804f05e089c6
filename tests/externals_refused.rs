//! Externals that are not what they should be, through the real binary: changed, absent, too large, not allowed, silent.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;
use std::time::Duration;

use base64::Engine as _;
use weir_tests::charts::{FileServer, archive, sha256};
use weir_tests::registry::{Pushed, Registry};
use weir_tests::server::Fault;
use weir_tests::weir::text;
use weir_tests::{Auth, GitServer, Repo};

/// A repository and a machine.
#[path = "externals/scene.rs"]
mod scene;

use scene::{Scene, says, web};

const SOON: Duration = Duration::from_secs(60);

/// A file of the host's.
fn file_of(scene: &Scene, name: &str, content: &str) -> String {
    let path = scene.weir.path(name);
    fs::write(&path, content).unwrap();
    text(&path).unwrap().to_owned()
}

#[test]
fn bytes_that_were_changed_are_never_shown() {
    let server = FileServer::start().unwrap();
    let registry = Registry::start().unwrap();
    let (chart, other) = (web("1.0.0", "good"), web("1.0.0", "evil"));
    server.charts(&[("web", "1.0.0", &chart)]);
    registry.push_chart("web", "1.0.0", &chart).unwrap();
    let (helm, oci) = (
        server.reference("web", "1.0.0"),
        registry.reference("web", "1.0.0"),
    );
    let scene = Scene::new(&[&helm, &oci]);
    scene.lock();
    let kept = scene.archives().join(format!("{}.tgz", sha256(&chart)));
    // In the cache: fetched anew, and healed.
    fs::write(&kept, &other).unwrap();
    let ran = scene.render().code(0).unwrap();
    says(&ran.stdout, &["0.templates.a.yaml: good"]);
    says(&ran.stderr, &["is not the archive that its name says"]);
    assert_eq!(fs::read(&kept).unwrap(), chart);
    // On the server: refused by name. The index goes along with the change.
    server.charts(&[("web", "1.0.0", &other)]);
    fs::write(&kept, &other).unwrap();
    let said = scene.render().code(1).unwrap().stderr;
    says(
        &said,
        &[
            &helm,
            "other bytes as version 1.0.0",
            &sha256(&chart),
            "weir lock --update",
        ],
    );
    // In the registry.
    registry.tamper(&sha256(&chart), &other).unwrap();
    // The same archive is pinned for both: what the registry gave before has healed the cache.
    fs::write(&kept, &other).unwrap();
    scene.asks(&[&oci]);
    let said = scene.render().code(1).unwrap().stderr;
    says(&said, &[&oci, &sha256(&chart)]);
    assert!(!said.contains("evil"), "{said}");
}

#[test]
fn only_who_looks_at_an_external_that_cannot_be_had_fails() {
    let server = FileServer::start().unwrap();
    let chart = web("1.0.0", "good");
    server.charts(&[("web", "1.0.0", &chart)]);
    let reference = server.reference("web", "1.0.0");
    let scene = Scene::new(&[&reference]);
    scene
        .repo
        .write(
            "plain/a.yaml",
            "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: plain }\n",
        )
        .unwrap();
    let manifest = fs::read_to_string(scene.repo.path().join("weir.yaml")).unwrap();
    scene
        .repo
        .write("weir.yaml", manifest + "- { name: plain, path: plain }\n")
        .unwrap();
    scene.lock();
    drop(server);
    fs::remove_dir_all(scene.archives()).unwrap();
    let said = scene.render().code(1).unwrap().stderr;
    says(&said, &[&reference, "cannot be reached"]);
    says(
        &scene
            .run("render", &["--worktree", "plain"])
            .success()
            .unwrap(),
        &["name: plain"],
    );
    // Locking keeps the pin, and says what it could not do.
    let before = scene.locked();
    let ran = scene.run("lock", &[]).code(0).unwrap();
    says(
        &ran.stderr,
        &["could not be rendered while locking", &reference],
    );
    assert_eq!(scene.locked(), before);
}

#[test]
fn what_is_not_there_is_said_with_what_is() {
    let server = FileServer::start().unwrap();
    let registry = Registry::start().unwrap();
    let base = Repo::from_text("//- a\na\n").unwrap();
    let git = GitServer::of(&base).unwrap();
    let chart = web("1.0.0", "x");
    server.charts(&[("web", "1.0.0", &chart), ("api", "0.1.0", &chart)]);
    registry.push_chart("web", "1.0.0", &chart).unwrap();
    registry
        .push(&Pushed {
            name: "image",
            tag: "1.0.0",
            config: "application/vnd.oci.image.config.v1+json",
            layers: &[("application/vnd.oci.image.layer.v1.tar+gzip", &chart)],
        })
        .unwrap();
    let url = git.url("work").replace("http://", "git+http://");
    let closed = FileServer::start().unwrap().reference("web", "");
    for (reference, code, words) in [
        (
            server.reference("web", "2"),
            1,
            &["no version of web that is \"2\"", "1.0.0"][..],
        ),
        (
            server.reference("wbe", ""),
            1,
            &["has no chart \"wbe\"", "web, api"][..],
        ),
        (
            format!("helm+http://{}/nowhere?chart=web", server.host()),
            1,
            &["index.yaml is not there (404)"][..],
        ),
        (
            registry.reference("web", "9.9.9"),
            1,
            &["no version that is \"9.9.9\"", "1.0.0"][..],
        ),
        (
            registry.reference("web", "%3E1"),
            1,
            &["no version that is \">1\""][..],
        ),
        (
            registry.reference("nothing", ""),
            1,
            &["has no repository \"nothing\""][..],
        ),
        (
            registry.reference("image", "1.0.0"),
            1,
            &[
                "is no Helm chart",
                "application/vnd.oci.image.config.v1+json",
            ][..],
        ),
        (
            registry.reference("web", "no!"),
            1,
            &["\"no!\" is no version"][..],
        ),
        (
            format!("{url}?ref=gone"),
            1,
            &["has no gone", "check the spelling"][..],
        ),
        (closed, 1, &["cannot be reached", "refused"][..]),
        (
            "oci://Bad/Name".to_owned(),
            2,
            &["no external", "expected oci://HOST/PATH"][..],
        ),
    ] {
        let scene = Scene::new(&[&reference]);
        let said = scene.fails("lock", &[], code);
        says(&said, words);
        says(&said, &[&reference]);
        assert!(!scene.repo.path().join("weir.lock").exists(), "{reference}");
    }
}

#[test]
fn a_bomb_and_a_link_are_refused_while_locking() {
    let server = FileServer::start().unwrap();
    let zeros = "0".repeat(64 << 20);
    server.charts(&[
        (
            "bomb",
            "1.0.0",
            &archive("bomb", "1.0.0", &[("a", &zeros)]).unwrap(),
        ),
        ("page", "1.0.0", b"<html>log in</html>"),
    ]);
    for (chart, words) in [
        ("bomb", "exceeds the limit ratio"),
        ("page", "expected a gzipped tar"),
    ] {
        let reference = server.reference(chart, "");
        let scene = Scene::new(&[&reference]);
        says(&scene.fails("lock", &[], 1), &[&reference, words]);
        assert!(!scene.archives().exists(), "{chart}");
    }
    server.charts(&[("web", "1.0.0", &web("1.0.0", "x"))]);
    server.file("/stable/files/web-1.0.0.tgz", web("1.0.0", "y"));
    let reference = server.reference("web", "");
    let scene = Scene::new(&[&reference]);
    says(&scene.fails("lock", &[], 1), &["but its index.yaml says"]);
}

#[test]
fn a_server_that_sends_without_end_or_less_than_it_says_is_given_up() {
    let server = FileServer::start().unwrap();
    let whole = web("1.0.0", "x");
    server.charts(&[("web", "1.0.0", &whole)]);
    let reference = server.reference("web", "");
    let file = "/stable/files/web-1.0.0.tgz";
    let scene = Scene::new(&[&reference]);
    server.cut(file, whole.len() / 2);
    says(&scene.fails("lock", &[], 1), &[&reference]);
    server.cut("/stable/index.yaml", 30);
    says(&scene.fails("lock", &[], 1), &[&reference]);
    // As much as a limit says is read, and not one part more.
    server.endless(file, &[b'x'; 64 << 10]);
    server.cut("/stable/index.yaml", usize::MAX);
    let said = scene.fails("lock", &[], 1);
    says(&said, &[&reference, "exceeds the limit archive_bytes"]);
    server.endless("/stable/index.yaml", b"# and so on\n");
    let said = scene.fails("lock", &[], 1);
    says(&said, &[&reference, "exceeds the limit index_bytes"]);
    assert!(!scene.archives().exists());
}

#[test]
fn only_hosts_that_the_file_names_are_reached() {
    let server = FileServer::start().unwrap();
    let elsewhere = FileServer::start().unwrap();
    let chart = web("1.0.0", "good");
    server.charts(&[("web", "1.0.0", &chart)]);
    let reference = server.reference("web", "");
    let scene = Scene::new(&[&reference]);
    let narrow = file_of(
        &scene,
        "narrow.yaml",
        "version: 1\nhosts: [charts.example]\n",
    );
    let said = scene.fails("lock", &["--externals", &narrow], 1);
    says(
        &said,
        &[
            &reference,
            "may not reach",
            &server.host(),
            "`hosts` does not name it",
        ],
    );
    assert_eq!(server.requests(), []);
    let wide = file_of(
        &scene,
        "wide.yaml",
        &format!("version: 1\nhosts: ['{}']\n", server.host()),
    );
    scene
        .run("lock", &["--externals", &wide])
        .success()
        .unwrap();
    // What is in the cache needs no host.
    scene
        .run("render", &["--worktree", "--externals", &narrow])
        .success()
        .unwrap();
    // A redirect is under the same rule, and so is a file that the index has elsewhere.
    elsewhere.file("/web.tgz", chart);
    server.redirect(
        "/stable/files/web-1.0.0.tgz",
        &format!("http://{}/web.tgz", elsewhere.host()),
    );
    fs::remove_dir_all(scene.archives()).unwrap();
    let said = scene.fails("render", &["--worktree", "--externals", &wide], 1);
    says(&said, &["may not reach", &elsewhere.host()]);
    assert_eq!(elsewhere.requests(), []);
    says(&scene.rendered(), &["0.templates.a.yaml: good"]);
    let plain = "helm+http://charts.example/x?chart=web";
    scene.asks(&[plain]);
    says(
        &scene.fails("lock", &[], 1),
        &[plain, "plain http leaves this machine"],
    );
}

#[test]
fn credentials_are_shown_to_their_own_host_alone() {
    let server = FileServer::start().unwrap();
    let elsewhere = FileServer::start().unwrap();
    let chart = web("1.0.0", "good");
    server.charts(&[("web", "1.0.0", &chart)]);
    elsewhere.file("/web.tgz", chart);
    server.redirect(
        "/stable/files/web-1.0.0.tgz",
        &format!("http://{}/web.tgz", elsewhere.host()),
    );
    server.require(Auth::Basic {
        user: "ann".to_owned(),
        password: "hunter2".to_owned(),
    });
    let reference = server.reference("web", "");
    let scene = Scene::new(&[&reference]);
    says(
        &scene.fails("lock", &[], 1),
        &["refused access (401)", "under `access`"],
    );
    file_of(&scene, "password", "hunter2\n");
    let access = |user: &str| {
        format!(
            "version: 1\naccess: [{{ host: '{}', auth: {{ username: {user}, password-file: password }} }}]\n",
            server.host()
        )
    };
    let wrong = file_of(&scene, "wrong.yaml", &access("eve"));
    let said = scene.fails("lock", &["--externals", &wrong], 1);
    says(&said, &["wrong, expired or revoked"]);
    let right = file_of(&scene, "right.yaml", &access("ann"));
    let ran = scene
        .run("lock", &["--externals", &right, "--log", "trace"])
        .code(0)
        .unwrap();
    assert!(!format!("{}{}", ran.stdout, ran.stderr).contains("hunter2"));
    assert!(
        elsewhere
            .requests()
            .iter()
            .all(|r| r.header("authorization").is_none())
    );
    assert_eq!(elsewhere.requests().len(), 1);
}

#[test]
fn a_registry_that_wants_a_token_gets_one_for_pulling() {
    let (registry, tokens) = Registry::with_token_server().unwrap();
    registry
        .push_chart("team/web", "1.0.0", &web("1.0.0", "good"))
        .unwrap();
    let reference = registry.reference("team/web", "^1");
    let scene = Scene::new(&[&reference]);
    says(
        &scene.fails("lock", &[], 1),
        &[&reference, "refused access (401)", &tokens.host()],
    );
    file_of(&scene, "password", "hunter2");
    let file = file_of(
        &scene,
        "externals.yaml",
        &format!(
            "version: 1\naccess: [{{ host: '{}', auth: {{ username: ann, password-file: password }} }}]\n",
            tokens.host()
        ),
    );
    scene
        .run("lock", &["--externals", &file])
        .success()
        .unwrap();
    let last = tokens.requests().pop().unwrap();
    assert_eq!(
        last.query,
        "service=rig&scope=repository%3Ateam%2Fweb%3Apull"
    );
    let sent = base64::engine::general_purpose::STANDARD.encode("ann:hunter2");
    assert_eq!(
        last.header("authorization"),
        Some(format!("Basic {sent}").as_str())
    );
    says(&scene.rendered(), &["0.templates.a.yaml: good"]);
}

#[test]
fn a_repository_with_files_in_the_reserved_folder_is_refused() {
    let scene = Scene::new(&[]);
    scene
        .repo
        .write(
            ".weir/external/oci%3A%2F%2Fh%2Fweb/Chart.yaml",
            "name: web\n",
        )
        .unwrap();
    for command in ["lock", "render"] {
        let more: &[&str] = if command == "render" {
            &["--worktree"]
        } else {
            &[]
        };
        says(
            &scene.fails(command, more, 2),
            &[".weir/external", "move them elsewhere"],
        );
    }
}

#[test]
fn serve_takes_its_hosts_from_its_own_file_and_shows_what_is_locked() {
    let server = FileServer::start().unwrap();
    server.charts(&[("web", "1.0.0", &web("1.0.0", "good"))]);
    let reference = server.reference("web", "");
    let mut scene = Scene::new(&[&reference]);
    scene.lock();
    scene.repo.commit("All").unwrap();
    let file = |hosts: &str| {
        format!(
            "version: 1\nlisten: 127.0.0.1:0\nexternals: {{ hosts: ['{hosts}'] }}\nrepositories: [{{ url: {}, targets: {{ default: 'dir:{}' }} }}]\n",
            scene.repo.path().display(),
            scene.weir.path("live").display()
        )
    };
    fs::remove_dir_all(scene.archives()).unwrap();
    let narrow = file_of(&scene, "narrow.yaml", &file("charts.example"));
    let mut serving = scene.weir.start(["serve", "--config", &narrow]).unwrap();
    serving.wait_for_text("may not reach", SOON).unwrap();
    serving.terminate(SOON).unwrap();
    let wide = file_of(&scene, "wide.yaml", &file(&server.host()));
    let mut serving = scene.weir.start(["serve", "--config", &wide]).unwrap();
    serving.wait_for_text("synced", SOON).unwrap();
    serving.terminate(SOON).unwrap();
    let also = scene.fails("lock", &["--externals", "/nowhere"], 2);
    says(&also, &["--externals /nowhere"]);
    let ran = scene
        .weir
        .run(["serve", "--config", &wide, "--externals", &wide])
        .unwrap();
    assert_eq!(ran.code, Some(2), "{}", ran.stderr);
}

#[test]
fn a_stop_ends_a_fetch_from_a_silent_server() {
    let base = Repo::from_text("//- a\na\n").unwrap();
    let git = GitServer::of(&base).unwrap();
    let reference = git.url("work").replace("http://", "git+http://");
    let mut scene = Scene::new(&[&reference]);
    scene.lock();
    scene.repo.commit("All").unwrap();
    fs::remove_dir_all(scene.weir.cache_dir().join("externals")).unwrap();
    git.fault(Fault::Stall);
    let asked = git.requests().len();
    let target = format!("dir:{}", scene.weir.path("live").display());
    let path = scene.repo.path();
    let host = git.origin().replace("http://", "");
    let hosts = format!("version: 1\nhosts: ['{host}']\n");
    let hosts = file_of(&scene, "hosts.yaml", &hosts);
    let start = [
        "--externals",
        &hosts,
        "serve",
        "--repo",
        text(&path).unwrap(),
        "--target",
        &target,
        "--listen",
        "127.0.0.1:0",
    ];
    let mut serving = scene.weir.start(start).unwrap();
    git.wait_for_requests(asked + 1, SOON).unwrap();
    serving.terminate(SOON).unwrap();
}
