//! Webhooks through the real binary: a push and its delivery, replays, wrong signatures, secrets that change, two repositories.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fmt::Write as _;
use std::fs;
use std::time::Duration;

use weir_tests::forge::{Answer, Delivery};
use weir_tests::remote::{Remote, one_map};
use weir_tests::server::Fault;
use weir_tests::weir::{http_get, text};
use weir_tests::{Serving, Weir};

#[path = "webhooks/refused.rs"]
mod refused;

const SOON: Duration = Duration::from_secs(60);
const SECRET: &str = "the secret of the hook of shop";
const OTHER: &str = "the secret of the hook of docs";
const SIGNING: &str = "whsec_dGVzdHRlc3R0ZXN0dGVzdHRlc3R0ZXN0dGVzdHRlc3Q=";

fn remote() -> Remote {
    Remote::new(&one_map("one")).unwrap()
}

/// A machine with a host's file, whose repositories are asked once an hour.
struct Scene {
    weir: Weir,
    file: String,
}

impl Scene {
    fn new() -> Scene {
        Scene {
            weir: Weir::new().unwrap(),
            file: "version: 1\nlisten: 127.0.0.1:0\nrepositories:\n".to_owned(),
        }
    }

    /// One more repository, with these further keys.
    fn with(mut self, name: &str, remote: &Remote, more: &str) -> Scene {
        let url = remote.url();
        writeln!(
            self.file,
            "- {{ name: {name}, url: '{url}', interval: 1h, targets: {{ default: 'dir:./{name}' }}, {more} }}"
        )
        .unwrap();
        self
    }

    /// A file with a secret beside the host's file.
    fn secret(&self, name: &str, secret: &str) {
        fs::write(self.weir.path(name), secret).unwrap();
    }

    /// A host that has synced so many repositories, and does nothing by itself from now on; and where webhooks go.
    fn start(&self, repositories: usize) -> (Serving, String) {
        let config = self.weir.path("host.yaml");
        fs::write(&config, &self.file).unwrap();
        let words = ["serve", "--log", "weir=debug", "--config"];
        let words = words.into_iter().chain([text(&config).unwrap()]);
        started(&self.weir, words, repositories)
    }

    fn live(&self, name: &str) -> String {
        let path = self.weir.path(name).join("shop/configmap/map.yaml");
        fs::read_to_string(path).unwrap_or_default()
    }

    /// A fetch that was asked for otherwise: what was asked for before has begun by its end.
    fn refresh(&self, name: &str) {
        self.weir.run(["refresh", name]).unwrap().success().unwrap();
    }
}

fn started<'a>(
    weir: &Weir,
    words: impl IntoIterator<Item = &'a str>,
    repositories: usize,
) -> (Serving, String) {
    let mut host = weir.start(words).unwrap();
    let line = host.wait_for_text("takes webhooks", SOON).unwrap();
    let address = line.split("http://").nth(1).unwrap();
    let address = address.split('/').next().unwrap().to_owned();
    for _ in 0..repositories {
        host.wait_for_text("synced to", SOON).unwrap();
    }
    (host, address)
}

/// A host that follows `shop` on GitHub.
fn shop() -> (Scene, Remote) {
    let remote = remote();
    let scene = Scene::new().with(
        "shop",
        &remote,
        "webhook: { forge: github, secret-file: secret }",
    );
    scene.secret("secret", &format!("{SECRET}\n"));
    (scene, remote)
}

fn github(id: &str) -> Delivery {
    Delivery::github(SECRET, id).unwrap()
}

fn outcome(answer: &Answer) -> (u16, &str) {
    let word = answer.body.strip_prefix(r#"{"result":""#);
    (
        answer.status,
        word.map_or("", |w| w.trim_end_matches("\"}")),
    )
}

#[test]
fn a_push_is_live_when_its_forge_says_so_long_before_the_next_poll() {
    let mut remotes: Vec<Remote> = (0..5).map(|_| remote()).collect();
    let names = [
        "on-github",
        "on-gitlab",
        "on-signing",
        "on-gitea",
        "on-generic",
    ];
    let mut scene = Scene::new();
    for (name, remote) in names.iter().zip(&remotes) {
        let forge = name.trim_start_matches("on-").replace("signing", "gitlab");
        let more = format!("webhook: {{ forge: {forge}, secret-file: {name}.secret }}");
        scene = scene.with(name, remote, &more);
        let secret = match *name {
            "on-signing" => SIGNING,
            _ => SECRET,
        };
        scene.secret(&format!("{name}.secret"), secret);
    }
    let (mut host, address) = scene.start(names.len());
    let deliveries = [
        github("g-1"),
        Delivery::gitlab(SECRET, "l-1"),
        Delivery::standard(SIGNING, "s-1", 0).unwrap(),
        Delivery::gitea(SECRET, "t-1").unwrap(),
        Delivery::standard(SECRET, "x-1", -200).unwrap(),
    ];
    for ((name, remote), delivery) in names.iter().zip(&mut remotes).zip(deliveries) {
        remote.push("two").unwrap();
        let answer = delivery.send(&address, name).unwrap();
        assert_eq!(outcome(&answer), (202, "accepted"), "{name}: {answer:?}");
        let line = host.wait_for_text("asks for a look", SOON).unwrap();
        assert!(
            line.contains(&format!("\"repository\":\"{name}\"")),
            "{line}"
        );
        host.wait_for_text("synced to", SOON).unwrap();
        assert!(scene.live(name).contains("value: two"), "{name}");
    }
    let (_, metrics) = http_get(&address, "/metrics").unwrap();
    for (forge, number) in [("github", 1), ("gitlab", 2), ("gitea", 1), ("generic", 1)] {
        let line = format!(
            "weir_webhook_requests_total{{forge=\"{forge}\",outcome=\"accepted\"}} {number}"
        );
        assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    }
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn a_delivery_that_comes_again_and_a_ping_are_answered_well_and_fetch_nothing() {
    let (scene, remote) = shop();
    let (mut host, address) = scene.start(1);
    let (before, arrived) = (remote.fetches(), remote.server.requests().len());
    let first = github("72d3162e-cc78-11e3-81ab-4c9367dc0958");
    assert_eq!(
        outcome(&first.send(&address, "shop").unwrap()),
        (202, "accepted")
    );
    remote.server.wait_for_requests(arrived + 1, SOON).unwrap();
    for _ in 0..5 {
        let answer = first.send(&address, "shop").unwrap();
        assert_eq!(outcome(&answer), (200, "seen"));
    }
    let ping = github("another").changed("X-GitHub-Event", |_| "ping".to_owned());
    assert_eq!(
        outcome(&ping.send(&address, "shop").unwrap()),
        (200, "ignored")
    );
    scene.refresh("shop");
    assert_eq!(remote.fetches() - before, 2, "the first and the refresh");
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn deliveries_during_a_fetch_are_answered_by_one_more() {
    let (scene, remote) = shop();
    let (mut host, address) = scene.start(1);
    let (before, arrived) = (remote.fetches(), remote.server.requests().len());
    remote.server.fault(Fault::Stall);
    assert_eq!(github("first").send(&address, "shop").unwrap().status, 202);
    remote.server.wait_for_requests(arrived + 1, SOON).unwrap();
    // That fetch may have read the ref before these pushes.
    for id in ["second", "third", "fourth"] {
        assert_eq!(github(id).send(&address, "shop").unwrap().status, 202);
    }
    remote.server.fault(Fault::None);
    // A fetch that finds nothing new asks twice: the third request is the next fetch.
    remote.server.wait_for_requests(arrived + 3, SOON).unwrap();
    scene.refresh("shop");
    assert_eq!(remote.fetches() - before, 3, "two, and the refresh");
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn a_secret_is_changed_while_the_host_runs_and_no_delivery_is_lost_on_the_way() {
    let remote = remote();
    let more = "webhook: { forge: github, secret-file: [old, new] }";
    let scene = Scene::new().with("shop", &remote, more);
    scene.secret("old", SECRET);
    let (mut host, address) = scene.start(1);
    // The other file is not there yet, which is said and stops nothing.
    assert!(
        host.stderr().contains("the secret of its webhook"),
        "{}",
        host.stderr()
    );
    let send = |secret: &str, id: &str| {
        let delivery = Delivery::github(secret, id).unwrap();
        delivery.send(&address, "shop").unwrap().status
    };
    assert_eq!((send(SECRET, "1"), send(OTHER, "2")), (202, 401));
    scene.secret("new", OTHER);
    assert_eq!((send(SECRET, "3"), send(OTHER, "4")), (202, 202));
    fs::remove_file(scene.weir.path("old")).unwrap();
    assert_eq!((send(SECRET, "5"), send(OTHER, "6")), (401, 202));
    // In one and the same file, of the same length.
    scene.secret("new", SECRET);
    assert_eq!((send(SECRET, "7"), send(OTHER, "8")), (202, 401));
    assert!(!host.stderr().contains(SECRET) && !host.stderr().contains(OTHER));
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn a_suspended_repository_stays_as_it_is() {
    let (shop_remote, mut idle) = (remote(), remote());
    let webhook = "webhook: { forge: github, secret-file: secret }";
    let scene = Scene::new().with("shop", &shop_remote, webhook).with(
        "idle",
        &idle,
        &format!("suspend: true, {webhook}"),
    );
    scene.secret("secret", SECRET);
    let (mut host, address) = scene.start(1);
    idle.push("two").unwrap();
    let answer = github("1").send(&address, "idle").unwrap();
    assert_eq!(outcome(&answer), (200, "suspended"));
    // Whoever does not know the secret does not learn it.
    let wrong = Delivery::github(OTHER, "2").unwrap();
    assert_eq!(wrong.send(&address, "idle").unwrap().status, 401);
    assert_eq!(idle.fetches(), 0);
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn webhooks_on_a_port_of_their_own_have_it_alone() {
    let (mut scene, mut remote) = shop();
    let own = "webhooks: { listen: 127.0.0.1:0 }\nrepositories:";
    scene.file = scene.file.replace("repositories:", own);
    let (mut host, address) = scene.start(1);
    let line = host.stderr();
    let line = line.lines().find(|l| l.contains("says how apps stand"));
    let api = line.unwrap().split("http://").nth(1).unwrap();
    let api = api.split('/').next().unwrap();
    assert_ne!(api, address);
    remote.push("two").unwrap();
    let on_api = github("1").send(api, "shop").unwrap();
    assert_eq!(on_api.status, 404, "{on_api:?}");
    for path in ["/healthz", "/metrics", "/api/v1/apps", "/"] {
        assert_eq!(http_get(&address, path).unwrap().0, 404, "{path}");
    }
    assert_eq!(github("1").send(&address, "shop").unwrap().status, 202);
    host.wait_for_text("synced to", SOON).unwrap();
    assert!(scene.live("shop").contains("value: two"));
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

/// The example of docs/webhooks.md for whoever is no forge.
fn example() -> String {
    let page = fs::read_to_string(weir_tests::places::root().join("docs/webhooks.md")).unwrap();
    let block = page.split("```sh\nbody=").nth(1).unwrap();
    format!("body={}", block.split("```").next().unwrap())
}

#[test]
fn the_pages_example_with_openssl_and_curl_has_a_host_of_flags_look() {
    let mut remote = remote();
    let weir = Weir::new().unwrap();
    let secret = weir.path("hook.secret");
    fs::write(&secret, SECRET).unwrap();
    let target = format!("dir:{}", weir.path("shop").display());
    let url = remote.url();
    let words = [
        "serve",
        "--repo",
        &url,
        "--name",
        "shop",
        "--target",
        &target,
        "--interval",
        "1h",
        "--listen",
        "127.0.0.1:0",
        "--webhook-forge",
        "generic",
        "--webhook-secret-file",
        text(&secret).unwrap(),
    ];
    let (mut host, address) = started(&weir, words, 1);
    remote.push("two").unwrap();
    let script = example();
    for part in ["127.0.0.1:7117", "hook.secret", "/hooks/v1/shop"] {
        assert!(script.contains(part), "{part} is not in {script}");
    }
    let script = script
        .replace("127.0.0.1:7117", &address)
        .replace("hook.secret", text(&secret).unwrap());
    let ran = weir.shell(&script, &[]).unwrap();
    assert_eq!(ran.success().unwrap().trim(), r#"{"result":"accepted"}"#);
    host.wait_for_text("synced to", SOON).unwrap();
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn what_is_wrong_with_a_webhook_of_the_file_is_refused_at_its_place() {
    let remote = remote();
    let url = remote.url();
    let scene = Scene::new();
    let refuse = |webhook: &str| {
        let file = format!(
            "version: 1\nrepositories:\n- url: '{url}'\n  targets: {{ default: dir:x }}\n  webhook: {webhook}\n"
        );
        fs::write(scene.weir.path("home/host.yaml"), file).unwrap();
        let ran = scene.weir.run(["serve", "--config", "host.yaml"]).unwrap();
        ran.code(2).unwrap().stderr.trim_end().to_owned()
    };
    for (webhook, expected) in [
        (
            "{ forge: bitbucket, secret-file: a }",
            "host.yaml:5:21: \"bitbucket\": expected github, gitlab, gitea (for Forgejo, too) or generic",
        ),
        (
            "{ forge: github, secret-file: [] }",
            "host.yaml:5:42: 0 files: expected 1 to 4",
        ),
        (
            "{ forge: github, secret-file: [a, b, c, d, e] }",
            "host.yaml:5:42: 5 files: expected 1 to 4",
        ),
    ] {
        let refused = refuse(webhook);
        assert!(refused.ends_with(expected), "{refused}");
    }
    for (webhook, part) in [
        ("{ forge: github }", "secret-file"),
        ("{ secret-file: a }", "forge"),
        (
            "{ forge: github, secret-file: 7 }",
            "a file, or a list of files",
        ),
        (
            "{ forge: github, secret: a, secret-file: b }",
            "unknown key \"secret\"",
        ),
        ("", "host.yaml:5:"),
    ] {
        let refused = refuse(webhook);
        assert!(refused.contains(part), "{webhook}: {refused}");
    }
    for words in [
        &["--webhook-forge", "github"][..],
        &["--webhook-secret-file", "a"],
        &["--webhook-forge", "svn", "--webhook-secret-file", "a"],
    ] {
        let all = ["serve", "--repo", &url, "--target", "dir:x"];
        let all = all.iter().chain(words);
        let ran = scene.weir.run(all).unwrap().code(2).unwrap();
        assert!(ran.stderr.contains("--webhook-"), "{}", ran.stderr);
    }
}

#[test]
fn an_id_is_shown_without_what_would_change_a_terminal() {
    let (scene, _remote) = shop();
    let (mut host, address) = scene.start(1);
    let odd = github("a\tb \u{1b}[31m");
    // The escape is no header: nobody hears of it.
    assert_eq!(odd.send(&address, "shop").unwrap().status, 400);
    let odd = github("a\tb \u{e9}");
    assert_eq!(odd.send(&address, "shop").unwrap().status, 202);
    let line = host.wait_for_text("asks for a look", SOON).unwrap();
    assert!(line.contains(r#"a\\tb \\xc3\\xa9"#), "{line}");
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}
