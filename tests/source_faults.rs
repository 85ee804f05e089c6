//! `weir serve` while its repository fails: the target stays as it was, the log and the API say what happened, and it recovers.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;
use weir_tests::proxy::{Act, Proxy, Rule};
use weir_tests::server::{Auth, Fault};
use weir_tests::weir::http_get;
use weir_tests::{GitServer, Repo, Serving, Weir, tree_digest};

/// Longer than any one step takes, on any machine.
const SOON: Duration = Duration::from_secs(60);
const WELL_AGAIN: &str = "the repository answers again";
const STAYS: &str = "the last good state stays";

/// A repository behind http, followed by `weir serve` into a directory.
struct Scene {
    repo: Repo,
    server: GitServer,
    weir: Weir,
    serving: Serving,
    address: String,
    live: PathBuf,
    /// The target's digest and the commit that it is at.
    good: (String, String),
}

fn write(repo: &mut Repo, value: &str) -> String {
    let map = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: shop, namespace: a }}\ndata: {{ value: \"{value}\" }}\n"
    );
    repo.write("app/map.yaml", map).unwrap();
    repo.commit(value).unwrap()
}

/// The target is at the first commit. `token` is what the server wants, and what Weir is given.
fn scene(token: Option<&str>) -> Scene {
    followed(token, "main", |server| server.url("work"))
}

/// The same with another ref, and by another way to the server.
fn followed(token: Option<&str>, reference: &str, url: impl FnOnce(&GitServer) -> String) -> Scene {
    let mut repo = Repo::empty().unwrap();
    repo.write(
        "weir.yaml",
        "version: 1\napps: [{ name: shop, path: app }]\n",
    )
    .unwrap();
    let first = write(&mut repo, "one");
    repo.tag("v1").unwrap();
    let server = GitServer::of(&repo).unwrap();
    let weir = Weir::new().unwrap();
    let live = weir.path("live");
    let (url, target) = (url(&server), format!("dir:{}", live.display()));
    let mut arguments = vec!["serve", "--repo", &url, "--target", &target];
    arguments.extend(["--ref", reference]);
    arguments.extend(["--interval", "200ms", "--listen", "127.0.0.1:0"]);
    let file = weir.path("token");
    if let Some(token) = token {
        server.require(Auth::Token(token.to_owned()));
        std::fs::write(&file, token).unwrap();
        arguments.extend(["--token-file", file.to_str().unwrap()]);
    }
    let mut serving = weir.start(arguments).unwrap();
    let line = serving.wait_for_text("/api/v1/apps", SOON).unwrap();
    let address = line
        .split("http://")
        .nth(1)
        .and_then(|rest| rest.split('/').next())
        .unwrap_or_else(|| panic!("no address in {line}"))
        .to_owned();
    serving.wait_for_text("synced to", SOON).unwrap();
    let good = (tree_digest(&live).unwrap(), first);
    let mut scene = Scene {
        repo,
        server,
        weir,
        serving,
        address,
        live,
        good,
    };
    scene.api_says(None);
    scene
}

impl Scene {
    /// Waits until the API's word on the repository has this text, or until there is none; the app is at the
    /// good commit all the while.
    fn api_says(&mut self, said: Option<&str>) {
        let until = Instant::now() + SOON;
        loop {
            let (status, body) = http_get(&self.address, "/api/v1/apps").unwrap();
            assert_eq!(status, 200, "{body}");
            let body: Value = serde_json::from_str(&body).unwrap();
            let (repository, app) = find(&body);
            let message = repository["message"].as_str();
            let as_said = match said {
                Some(said) => message.is_some_and(|m| m.contains(said)),
                None => message.is_none(),
            };
            if as_said && app["state"] == "synced" && app["commit"] == *self.good.1 {
                return;
            }
            assert!(
                Instant::now() < until,
                "{said:?}, synced to {} was expected, this came: {body:#}\n{}",
                self.good.1,
                self.serving.transcript()
            );
            std::thread::yield_now();
        }
    }

    /// The log says this, then the API; the target is as it was, and so is the app for `weir apps`.
    fn fails_with(&mut self, said: &str) {
        let line = self.serving.wait_for_text(said, SOON).unwrap();
        assert!(line.contains(STAYS) && line.contains("ERROR"), "{line}");
        self.api_says(Some(said));
        assert_eq!(tree_digest(&self.live).unwrap(), self.good.0, "{said}");
        let apps = self.weir.run(["apps", "--output", "json"]).unwrap();
        let apps = apps.success().unwrap();
        assert!(
            apps.contains("\"synced\"") && apps.contains(&self.good.1),
            "{said}: {apps}"
        );
        let (status, body) = http_get(&self.address, "/readyz").unwrap();
        assert_eq!(status, 200, "what is there still stands: {body}");
    }

    /// Asks at once and waits for the log to say that the repository answers, with nothing changed.
    fn is_well_again(&mut self) {
        self.serving.signal(Signal::HUP).unwrap();
        self.serving.wait_for_text(WELL_AGAIN, SOON).unwrap();
        self.api_says(None);
        assert_eq!(tree_digest(&self.live).unwrap(), self.good.0);
    }

    /// A commit that is pushed now is live soon.
    fn follows(&mut self, value: &str) {
        let commit = write(&mut self.repo, value);
        self.lands(commit, value);
    }

    fn lands(&mut self, commit: String, value: &str) {
        self.serving.signal(Signal::HUP).unwrap();
        let synced = format!("synced to {}", &commit[..10]);
        self.serving.wait_for_text(&synced, SOON).unwrap();
        let map = std::fs::read_to_string(self.live.join("a/configmap/shop.yaml")).unwrap();
        assert!(map.contains(&format!("value: {value}")), "{map}");
        self.good = (tree_digest(&self.live).unwrap(), commit);
        self.api_says(None);
    }

    fn stops(mut self) {
        let code = self.serving.terminate(SOON).unwrap();
        assert_eq!(code, Some(0), "{}", self.serving.transcript());
    }
}

/// The one repository and its one app, in the API's answer.
fn find(body: &Value) -> (&Value, &Value) {
    let repository = &body["repositories"][0];
    (repository, &repository["apps"][0])
}

#[test]
fn a_deleted_branch_leaves_the_target_and_is_followed_again_when_it_is_back() {
    let mut scene = scene(None);
    let first = scene.good.1.clone();
    scene.repo.git(["checkout", "--quiet", "--detach"]).unwrap();
    scene.repo.delete_branch("main").unwrap();
    scene.serving.signal(Signal::HUP).unwrap();
    scene.fails_with(&format!(
        "has no main any more: it was deleted or renamed (it last pointed at {})",
        &first[..10]
    ));
    scene
        .repo
        .git(["checkout", "--quiet", "-b", "main"])
        .unwrap();
    scene.is_well_again();
    scene.follows("two");
    scene.stops();
}

#[test]
fn fault_14_a_push_with_force_is_said_and_followed_there_and_back() {
    let mut scene = scene(None);
    let first = scene.good.1.clone();
    scene.follows("two");
    let second = scene.good.1.clone();
    // The branch moves once, when the other commit is there: as a push does.
    let detach = ["checkout", "--quiet", "--detach", "HEAD~1"];
    scene.repo.git(detach).unwrap();
    let third = write(&mut scene.repo, "three");
    let push = ["branch", "--quiet", "--force", "main"];
    scene.repo.git(push).unwrap();
    scene.repo.git(["checkout", "--quiet", "main"]).unwrap();
    scene.serving.signal(Signal::HUP).unwrap();
    let line = scene
        .serving
        .wait_for_text("history was rewritten", SOON)
        .unwrap();
    assert!(
        line.contains(&second[..10]) && line.contains(&third[..10]) && line.contains("WARN"),
        "{line}"
    );
    scene.lands(third, "three");
    // Back to a commit from before: no new commit at all.
    scene.repo.reset("HEAD~1").unwrap();
    assert_eq!(scene.repo.head().unwrap(), first);
    scene.serving.signal(Signal::HUP).unwrap();
    scene
        .serving
        .wait_for_text("history was rewritten", SOON)
        .unwrap();
    scene.lands(first, "one");
    scene.stops();
}

#[test]
fn a_server_that_goes_away_and_comes_back_costs_nothing() {
    let mut scene = scene(None);
    scene.server.down().unwrap();
    scene.serving.signal(Signal::HUP).unwrap();
    scene.fails_with("cannot be reached: no connection to its host and port");
    scene.server.up().unwrap();
    scene.is_well_again();
    scene.follows("two");
    for (fault, said) in [
        (
            Fault::Status(503),
            "cannot be reached: the server answered 503",
        ),
        (
            Fault::Status(404),
            "does not exist: the server answered 404",
        ),
        (Fault::Garbage, "not as a Git server"),
        (
            Fault::Redirect("http://127.0.0.1:9".to_owned()),
            "redirects to http://127.0.0.1:9/work",
        ),
    ] {
        scene.server.fault(fault);
        scene.serving.signal(Signal::HUP).unwrap();
        scene.fails_with(said);
        scene.server.fault(Fault::None);
        scene.is_well_again();
    }
    scene.follows("three");
    scene.stops();
}

#[test]
fn credentials_that_end_are_said_and_what_they_brought_stays() {
    let mut scene = scene(Some("hunter2"));
    scene.server.require(Auth::Token("another".to_owned()));
    write(&mut scene.repo, "two");
    scene.serving.signal(Signal::HUP).unwrap();
    scene.fails_with("refused access (401): the credentials are wrong, expired or revoked");
    scene.server.fault(Fault::Status(403));
    scene.serving.signal(Signal::HUP).unwrap();
    scene.fails_with("refused access (403)");
    scene.server.require(Auth::Token("hunter2".to_owned()));
    scene.server.fault(Fault::None);
    let commit = scene.repo.head().unwrap();
    scene.lands(commit, "two");
    let transcript = scene.serving.transcript();
    assert!(transcript.contains(WELL_AGAIN), "{transcript}");
    assert!(!transcript.contains("hunter2"), "{transcript}");
    scene.stops();
}

#[test]
fn fault_11_a_pack_that_is_cut_or_changed_on_the_way_leaves_the_last_good_state() {
    let mut proxy = None;
    let mut scene = followed(None, "main", |server| {
        proxy.insert(Proxy::of_git(server).unwrap()).url("work")
    });
    let proxy = proxy.unwrap();
    for (n, act) in [
        Act::Corrupt,
        Act::Truncate(100),
        Act::ResetBefore,
        Act::ResetAfter,
        Act::status(503, "", "busy"),
    ]
    .into_iter()
    .enumerate()
    {
        let done = proxy.add(Rule::on("POST", "git-upload-pack", act.clone()));
        let value = format!("v{n}");
        let commit = write(&mut scene.repo, &value);
        scene.serving.signal(Signal::HUP).unwrap();
        let line = scene.serving.wait_for_text(STAYS, SOON).unwrap();
        assert!(line.contains("ERROR"), "{act:?}: {line}");
        assert!(done.times() > 0, "{act:?}");
        assert_eq!(tree_digest(&scene.live).unwrap(), scene.good.0, "{act:?}");
        proxy.clear();
        scene.lands(commit, &value);
    }
    scene.stops();
}

#[test]
fn fault_15_a_tag_that_moves_is_said_and_followed_there_and_back() {
    let mut scene = followed(None, "v1", |server| server.url("work"));
    let first = scene.good.1.clone();
    let second = write(&mut scene.repo, "two");
    let moved = |scene: &mut Scene, to: &str, said: &str| {
        let tag = [
            "tag",
            "--force",
            "--annotate",
            "--message",
            "moved",
            "v1",
            to,
        ];
        scene.repo.git(tag).unwrap();
        scene.serving.signal(Signal::HUP).unwrap();
        scene.serving.wait_for_text(said, SOON).unwrap()
    };
    let line = moved(&mut scene, &second, "new commit");
    assert!(line.contains(&second[..10]), "{line}");
    scene.lands(second.clone(), "two");
    let line = moved(&mut scene, &first, "history was rewritten");
    assert!(
        line.contains(&second[..10]) && line.contains("WARN"),
        "{line}"
    );
    scene.lands(first, "one");
    scene.stops();
}

#[test]
fn fault_16_a_path_that_is_gone_is_named_and_is_no_empty_render() {
    let mut scene = scene(None);
    scene.repo.rename("app", "elsewhere").unwrap();
    scene.repo.commit("moved").unwrap();
    scene.serving.signal(Signal::HUP).unwrap();
    scene.fails_with("expected a path of this commit");
    let transcript = scene.serving.transcript();
    let line = transcript.lines().find(|l| l.contains("expected a path"));
    assert!(line.unwrap().contains("weir.yaml:2:"), "{transcript}");
    scene.repo.rename("elsewhere", "app").unwrap();
    scene.follows("two");
    scene.stops();
}

#[test]
fn fault_17_a_directory_without_objects_is_an_error_and_deletes_nothing() {
    let mut scene = scene(None);
    let empties = ["", "# later\n", "---\n---\n"];
    for (n, empty) in empties.into_iter().enumerate() {
        scene.repo.write("app/map.yaml", empty).unwrap();
        scene.repo.commit("emptied").unwrap();
        scene.serving.signal(Signal::HUP).unwrap();
        let said = "an empty render never means";
        let line = scene.serving.wait_for_text(said, SOON).unwrap();
        assert!(
            line.contains("ERROR") && line.contains("\"fault\":\"repository\""),
            "{line}"
        );
        assert_eq!(tree_digest(&scene.live).unwrap(), scene.good.0);
        scene.follows(&format!("v{n}"));
    }
    scene.stops();
}
