//! The rig's own tests: a rig that lies makes every suite lie.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::path::Path;
use std::process::Output;
use std::time::Duration;

use weir_tests::invariants;
use weir_tests::repo::{git_command, sections};
use weir_tests::server::{Auth, Fault};
use weir_tests::{GitServer, Listing, Repo, tree_digest};

const SOON: Duration = Duration::from_secs(30);

/// Clones with the real git, as any client would.
fn clone(url: &str, to: &Path) -> Output {
    git_command(to.parent().unwrap())
        .args(["clone", "--quiet", url])
        .arg(to)
        .output()
        .unwrap()
}

fn failure(output: &Output) -> String {
    assert!(!output.status.success(), "the clone should have failed");
    String::from_utf8_lossy(&output.stderr).into_owned()
}

struct Scene {
    repo: Repo,
    server: GitServer,
    dir: tempfile::TempDir,
}

fn scene() -> Scene {
    let repo = Repo::from_text("//- a.yaml\na: 1\n//- sub/b.yaml\nb: 2\n").unwrap();
    let server = GitServer::of(&repo).unwrap();
    Scene {
        repo,
        server,
        dir: tempfile::tempdir().unwrap(),
    }
}

impl Scene {
    fn clone(&self, name: &str) -> Output {
        clone(&self.server.url("work"), &self.dir.path().join(name))
    }

    fn with_userinfo(&self, userinfo: &str) -> String {
        self.server
            .url("work")
            .replace("http://", &format!("http://{userinfo}@"))
    }
}

#[test]
fn a_clone_through_the_server_has_the_files_of_the_repository() {
    let scene = scene();
    let output = scene.clone("copy");
    assert!(output.status.success(), "{output:?}");
    let mine = Listing::read(&scene.repo.path())
        .unwrap()
        .only(|path| !path.starts_with(".git/"));
    let theirs = Listing::read(&scene.dir.path().join("copy"))
        .unwrap()
        .only(|path| !path.starts_with(".git/"));
    assert_eq!(mine.paths(), ["a.yaml", "sub/b.yaml"]);
    assert_eq!(mine.differences(&theirs), "");
    assert!(
        scene
            .server
            .requests()
            .iter()
            .any(|request| request.path.ends_with("/git-upload-pack"))
    );
}

#[test]
fn the_server_refuses_to_be_pushed_to() {
    let scene = scene();
    let push = scene
        .repo
        .git(["push", "--quiet", &scene.server.url("work"), "main:other"]);
    assert!(push.unwrap_err().to_string().contains("403"));
}

#[test]
fn a_token_is_asked_for_and_taken() {
    let scene = scene();
    scene.server.require(Auth::Token("s3cret".into()));
    assert!(failure(&scene.clone("none")).contains("could not read Username"));
    let wrong = clone(
        &scene.with_userinfo("x:wrong"),
        &scene.dir.path().join("wrong"),
    );
    assert!(failure(&wrong).contains("Authentication failed"));
    let right = clone(
        &scene.with_userinfo("x:s3cret"),
        &scene.dir.path().join("right"),
    );
    assert!(right.status.success(), "{right:?}");
}

#[test]
fn a_bearer_token_is_taken_too() {
    let scene = scene();
    scene.server.require(Auth::Token("s3cret".into()));
    let copy = scene.dir.path().join("copy");
    let output = git_command(scene.dir.path())
        .args([
            "-c",
            "http.extraHeader=Authorization: Bearer s3cret",
            "clone",
            "--quiet",
            &scene.server.url("work"),
        ])
        .arg(&copy)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
}

#[test]
fn basic_credentials_need_the_right_user() {
    let scene = scene();
    scene.server.require(Auth::Basic {
        user: "ada".into(),
        password: "pw".into(),
    });
    let wrong = clone(
        &scene.with_userinfo("eve:pw"),
        &scene.dir.path().join("wrong"),
    );
    assert!(failure(&wrong).contains("Authentication failed"));
    let right = clone(
        &scene.with_userinfo("ada:pw"),
        &scene.dir.path().join("right"),
    );
    assert!(right.status.success(), "{right:?}");
}

#[test]
fn a_status_fault_is_seen_by_the_client_and_can_be_lifted() {
    let scene = scene();
    scene.server.fault(Fault::Status(404));
    assert!(failure(&scene.clone("one")).contains("not found"));
    scene.server.fault(Fault::Status(503));
    assert!(failure(&scene.clone("two")).contains("503"));
    scene.server.fault(Fault::None);
    assert!(scene.clone("three").status.success());
}

#[test]
fn a_server_that_is_down_refuses_connections_and_comes_back_on_the_same_port() {
    let mut scene = scene();
    let origin = scene.server.origin();
    scene.server.down().unwrap();
    assert!(failure(&scene.clone("one")).contains("Failed to connect"));
    scene.server.up().unwrap();
    assert_eq!(scene.server.origin(), origin);
    assert!(scene.clone("two").status.success());
}

#[test]
fn a_truncated_answer_breaks_the_clone() {
    let scene = scene();
    scene.server.fault(Fault::Truncate(100));
    failure(&scene.clone("copy"));
}

#[test]
fn a_page_that_is_no_git_breaks_the_clone() {
    let scene = scene();
    scene.server.fault(Fault::Garbage);
    failure(&scene.clone("copy"));
}

#[test]
fn a_redirect_leads_to_the_other_origin() {
    let (here, there) = (scene(), scene());
    here.server.fault(Fault::Redirect(there.server.origin()));
    assert!(here.clone("copy").status.success());
    assert_eq!(here.server.requests().len(), 1);
    assert!(!there.server.requests().is_empty());
}

#[test]
fn a_stalled_request_waits_until_the_fault_is_lifted() {
    let scene = scene();
    scene.server.fault(Fault::Stall);
    std::thread::scope(|scope| {
        let client = scope.spawn(|| scene.clone("copy"));
        scene.server.wait_for_requests(1, SOON).unwrap();
        assert!(!client.is_finished());
        scene.server.fault(Fault::None);
        assert!(client.join().unwrap().status.success());
    });
}

#[test]
fn dropping_the_server_ends_a_stalled_request() {
    let Scene {
        repo: _repo,
        server,
        dir,
    } = scene();
    server.fault(Fault::Stall);
    let (url, copy) = (server.url("work"), dir.path().join("copy"));
    std::thread::scope(|scope| {
        let client = scope.spawn(|| clone(&url, &copy));
        server.wait_for_requests(1, SOON).unwrap();
        drop(server);
        failure(&client.join().unwrap());
    });
}

#[test]
fn waiting_for_requests_that_do_not_come_is_an_error() {
    let scene = scene();
    let error = scene
        .server
        .wait_for_requests(1, Duration::from_millis(1))
        .unwrap_err();
    assert!(error.to_string().contains("0 arrived"), "{error}");
}

#[test]
fn the_same_calls_make_the_same_commits() {
    let make = || {
        let mut repo = Repo::from_text("//- a.yaml\na: 1\n").unwrap();
        repo.write("a.yaml", "a: 2\n").unwrap();
        repo.symlink("link", "a.yaml").unwrap();
        repo.commit("second").unwrap()
    };
    assert_eq!(make(), make());
}

#[test]
fn a_reset_and_a_commit_leave_what_a_force_push_leaves() {
    let mut repo = Repo::from_text("//- a.yaml\na: 1\n").unwrap();
    let first = repo.head().unwrap();
    repo.write("a.yaml", "a: 2\n").unwrap();
    let second = repo.commit("second").unwrap();
    repo.reset(&first).unwrap();
    repo.write("a.yaml", "a: 3\n").unwrap();
    let other = repo.commit("other").unwrap();
    assert!(
        repo.git(["merge-base", "--is-ancestor", &second, &other])
            .is_err()
    );
    assert_eq!(repo.git(["rev-parse", "main"]).unwrap(), other);
}

#[test]
fn a_deleted_branch_is_gone_for_clients() {
    let scene = scene();
    scene.repo.branch("feature").unwrap();
    let url = scene.server.url("work");
    assert!(
        scene
            .repo
            .git(["ls-remote", &url])
            .unwrap()
            .contains("refs/heads/feature")
    );
    scene.repo.delete_branch("feature").unwrap();
    assert!(
        !scene
            .repo
            .git(["ls-remote", &url])
            .unwrap()
            .contains("refs/heads/feature")
    );
}

#[test]
fn moves_removals_and_reverts_are_in_the_tree() {
    let mut repo = Repo::from_text("//- a/x.yaml\nx: 1\n//- b.yaml\nb: 1\n").unwrap();
    repo.rename("a", "c").unwrap();
    repo.remove("b.yaml").unwrap();
    repo.commit("move and remove").unwrap();
    assert_eq!(
        repo.git(["ls-tree", "-r", "--name-only", "HEAD"]).unwrap(),
        "c/x.yaml"
    );
    repo.revert_head().unwrap();
    assert_eq!(
        repo.git(["ls-tree", "-r", "--name-only", "HEAD"]).unwrap(),
        "a/x.yaml\nb.yaml"
    );
}

#[test]
fn a_text_without_a_path_line_first_is_refused() {
    assert!(sections("a: 1\n//- a.yaml\n").is_err());
    assert!(sections("//- a.yaml\n//- a.yaml\n").is_err());
    assert_eq!(
        sections("\n//- a.yaml\na: 1\n").unwrap(),
        [("a.yaml", "a: 1\n".to_owned())]
    );
}

#[test]
fn a_tree_digest_changes_with_bytes_modes_and_paths_only() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("a");
    std::fs::write(&file, "1").unwrap();
    let first = tree_digest(dir.path()).unwrap();
    std::fs::write(&file, "1").unwrap();
    assert_eq!(tree_digest(dir.path()).unwrap(), first);
    std::fs::write(&file, "2").unwrap();
    assert_ne!(tree_digest(dir.path()).unwrap(), first);
    std::fs::rename(&file, dir.path().join("b")).unwrap();
    std::fs::write(dir.path().join("b"), "1").unwrap();
    assert_ne!(tree_digest(dir.path()).unwrap(), first);
}

#[test]
fn invariants_name_the_path_that_breaks_them() {
    let (left, right) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(left.path().join("a"), "1").unwrap();
    assert!(
        invariants::same(left.path(), right.path())
            .unwrap_err()
            .to_string()
            .contains("- a ")
    );
    assert!(invariants::whole(left.path()).is_ok());
    let before = Listing::read(left.path()).unwrap();
    std::fs::write(left.path().join("a"), "").unwrap();
    assert!(
        invariants::whole(left.path())
            .unwrap_err()
            .to_string()
            .contains("a in")
    );
    assert!(invariants::untouched(&before, left.path(), &["a"]).is_err());
}
