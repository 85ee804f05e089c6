//! Faults on the way to the API server and back, by the numbers of the fault table: each through the fault proxy, with a proof that it happened.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::time::{Duration, Instant};

use weir_tests::control_plane::{ControlPlane, wait};
use weir_tests::proxy::{Act, Asked, Proxy, Rule};
use weir_tests::scene::{SOON, Scene, map};
use weir_tests::weir::http_get;
use weir_tests::{GitServer, Repo};

/// Longer than the test: nothing is looked at because a poll says so.
const NEVER: &str = "1h";

/// A scene whose Weir goes to the cluster through a proxy.
struct Through {
    scene: Scene<'static>,
    proxy: Proxy,
}

fn through() -> Through {
    let plane = ControlPlane::shared().unwrap();
    let proxy = Proxy::of_plane(plane).unwrap();
    let mut scene = Scene::new(plane, "faults").unwrap();
    let kubeconfig = proxy.kubectl().unwrap().kubeconfig().to_owned();
    scene.weir.variable("KUBECONFIG", kubeconfig);
    Through { scene, proxy }
}

impl Through {
    /// The path of the scene's maps, or of one of them.
    fn maps(&self, name: &str) -> String {
        let all = format!("/namespaces/{}/configmaps", self.scene.namespace);
        match name {
            "" => all,
            name => format!("{all}/{name}"),
        }
    }

    /// The requests so far of this method whose path begins so.
    fn asked(&self, method: &str, path: &str) -> Vec<Asked> {
        let all = self.proxy.asked().into_iter();
        all.filter(|a| a.method == method && a.path.contains(path))
            .collect()
    }

    fn value(&self, name: &str) -> String {
        self.scene.map(name).unwrap()["data"]["value"]
            .as_str()
            .unwrap()
            .to_owned()
    }

    /// So many maps more.
    fn many(&mut self, count: usize) {
        for n in 0..count {
            let name = format!("m{n}");
            let path = format!("web/{name}.yaml");
            self.scene.repo.write(&path, map(&name, "one")).unwrap();
        }
        self.scene.repo.commit("many").unwrap();
    }

    /// A sync that has nothing to do and writes nothing: what was written is what is known of it.
    fn is_settled(&self) {
        self.proxy.clear();
        let before = self.asked("PATCH", "").len();
        let said = self.scene.synced().unwrap();
        assert!(!said.contains("ConfigMap"), "{said}");
        assert_eq!(self.asked("PATCH", "").len(), before);
    }
}

/// What happens to answers, when the server may have done what it was asked to.
fn answers() -> [Act; 8] {
    [
        Act::ResetBefore,
        Act::ResetAfter,
        Act::Truncate(10),
        Act::Corrupt,
        Act::status(500, "InternalError", "etcdserver: leader changed"),
        Act::status(502, "", "bad gateway"),
        Act::status(503, "ServiceUnavailable", "apiserver is shutting down"),
        Act::status(504, "Timeout", "etcdserver: request timed out"),
    ]
}

#[test]
fn fault_02_a_429_is_waited_for_and_is_no_failure() {
    let mut it = through();
    it.many(40);
    let maps = it.maps("");
    let done = it
        .proxy
        .add(Rule::on("PATCH", &maps, Act::too_many(1)).after(5).times(6));
    let started = Instant::now();
    it.scene.synced().unwrap();
    assert_eq!(done.times(), 6);
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(it.scene.names().unwrap().len(), 42);
    // Nobody writes while the server has asked for quiet.
    let writes = it.asked("PATCH", &maps);
    let gaps = writes.windows(2).map(|two| two[1].at - two[0].at);
    assert!(gaps.max().unwrap() >= 900, "{writes:?}");
    assert!(writes.len() <= 42 + 6, "{} writes", writes.len());
    it.is_settled();
}

#[test]
fn fault_02_whatever_is_asked_is_asked_again_when_the_server_has_room() {
    let mut it = through();
    let busy = Act::Answer {
        status: 503,
        retry_after: Some(1),
        content: ("text/plain", "apiserver is shutting down".to_owned()),
    };
    let initializing = Act::status(429, "TooManyRequests", "storage is (re)initializing");
    it.scene.synced().unwrap();
    it.scene.repo.remove("web/b.yaml").unwrap();
    it.scene.push("web/a.yaml", &map("a", "two")).unwrap();
    let maps = it.maps("");
    let done = [
        it.proxy
            .add(Rule::on("GET", "/apis", Act::too_many(1)).times(1)),
        it.proxy.add(Rule::on("GET", &maps, busy).times(1)),
        it.proxy
            .add(Rule::on("PATCH", &maps, Act::too_many(1)).times(2)),
        it.proxy
            .add(Rule::on("DELETE", &maps, initializing).times(2)),
    ];
    it.scene.synced().unwrap();
    assert_eq!(done.map(|done| done.times()), [1, 1, 2, 2]);
    assert_eq!(it.value("a"), "two");
    assert_eq!(it.scene.names().unwrap().len(), 1);
    it.is_settled();
}

#[test]
fn fault_03_an_apply_whose_outcome_is_unknown_is_sent_again_and_ends_as_wanted() {
    let mut it = through();
    it.scene.synced().unwrap();
    for (n, act) in answers().into_iter().enumerate() {
        let name = format!("x{n}");
        let (file, path) = (format!("web/{name}.yaml"), it.maps(&name));
        for value in ["one", "two"] {
            it.scene.push(&file, &map(&name, value)).unwrap();
            let rule = Rule::on("PATCH", &path, act.clone()).times(2);
            let done = it.proxy.add(rule);
            it.scene.synced().unwrap();
            assert_eq!(done.times(), 2, "{act:?}");
            assert_eq!(it.value(&name), value, "{act:?}");
        }
        it.is_settled();
    }
}

#[test]
fn fault_03_a_delete_whose_outcome_is_unknown_is_looked_for_and_done() {
    let mut it = through();
    let acts = answers();
    it.many(acts.len());
    it.scene.synced().unwrap();
    for (n, act) in acts.into_iter().enumerate() {
        let name = format!("m{n}");
        it.scene.repo.remove(&format!("web/{name}.yaml")).unwrap();
        it.scene.repo.commit("it leaves").unwrap();
        let path = it.maps(&name);
        let done = it
            .proxy
            .add(Rule::on("DELETE", &path, act.clone()).times(1));
        let said = it.scene.synced().unwrap();
        assert_eq!(done.times(), 1, "{act:?}");
        assert!(said.contains("1 pruned"), "{act:?}: {said}");
        assert!(!it.scene.names().unwrap().contains(&name), "{act:?}");
        it.is_settled();
    }
}

#[test]
fn fault_03_a_look_that_breaks_off_is_asked_again() {
    let mut it = through();
    it.scene.synced().unwrap();
    for (n, act) in answers().into_iter().enumerate() {
        it.scene
            .push("web/a.yaml", &map("a", &format!("v{n}")))
            .unwrap();
        let done = [
            it.proxy.add(Rule::on("GET", "/apis", act.clone()).times(1)),
            it.proxy
                .add(Rule::on("GET", &it.maps("a"), act.clone()).times(1)),
        ];
        it.scene.synced().unwrap();
        assert_eq!(done.map(|done| done.times()), [1, 1], "{act:?}");
        assert_eq!(it.value("a"), format!("v{n}"));
    }
    it.is_settled();
}

#[test]
fn fault_03_what_somebody_else_made_in_between_is_not_taken_for_ours() {
    let mut it = through();
    it.scene.synced().unwrap();
    it.scene.push("web/x.yaml", &map("x", "ours")).unwrap();
    let path = it.maps("x");
    let sent = it
        .proxy
        .add(Rule::on("PATCH", &path, Act::ResetBefore).times(1));
    // The look before the write is the first one; the one after it waits until somebody was faster.
    let look = Rule::on("GET", &path, Act::Delay(Duration::from_secs(5)));
    let looked = it.proxy.add(look.after(1).times(1));
    let url = it.scene.server.url("work");
    let mut sync = it
        .scene
        .weir
        .start(["sync", "--repo", &url, "--target", "kube:"])
        .unwrap();
    it.proxy.wait_for(&looked, 1, SOON).unwrap();
    it.scene
        .edit(&["create", "configmap", "x", "--from-literal=value=theirs"])
        .unwrap();
    assert_eq!(sync.wait(SOON).unwrap(), Some(1));
    assert_eq!(sent.times(), 1);
    let said = sync.stderr();
    assert!(said.contains("somebody else made it"), "{said}");
    assert_eq!(it.value("x"), "theirs");
    assert_eq!(it.asked("PATCH", &path).len(), 1);
}

#[test]
fn fault_04_one_request_that_nobody_answers_is_given_up_and_sent_again() {
    let mut it = through();
    it.scene.synced().unwrap();
    it.scene.weir.variable("WEIR_REQUEST_TIMEOUT", "2s");
    it.scene.repo.remove("web/b.yaml").unwrap();
    it.scene.push("web/a.yaml", &map("a", "two")).unwrap();
    let done = [
        ("GET", "/apis".to_owned()),
        ("GET", it.maps("a")),
        ("PATCH", it.maps("a")),
        ("DELETE", it.maps("b")),
    ]
    .map(|(method, path)| it.proxy.add(Rule::on(method, &path, Act::Swallow).times(1)));
    it.scene.synced().unwrap();
    assert_eq!(done.map(|done| done.times()), [1; 4]);
    assert_eq!(it.value("a"), "two");
    assert_eq!(it.scene.names().unwrap().len(), 1);
    it.is_settled();
}

#[test]
fn fault_04_a_cluster_that_answers_nothing_frees_its_turn_and_others_go_on() {
    let mut it = through();
    it.many(200);
    let mut notes = Repo::from_text(&format!(
        "//- weir.yaml\nversion: 1\napps: [{{ name: notes, path: notes, target: {{ namespace: shop }} }}]\n\
         //- notes/note.yaml\n{}",
        map("note", "one")
    ))
    .unwrap();
    let server = GitServer::of(&notes).unwrap();
    let file = format!(
        "version: 1\nlisten: 127.0.0.1:0\nparallel: 1\nrepositories:\n\
         - {{ name: stuck, url: '{}', interval: 1h, targets: {{ default: 'kube:' }} }}\n\
         - {{ name: notes, url: '{}', interval: 1h, targets: {{ default: 'dir:./notes' }} }}\n",
        it.scene.server.url("work"),
        server.url("work"),
    );
    let config = it.scene.weir.path("host.yaml");
    std::fs::write(&config, file).unwrap();
    it.scene.weir.variable("WEIR_REQUEST_TIMEOUT", "1s");
    let maps = it.maps("");
    let swallowed = it.proxy.add(Rule::on("PATCH", &maps, Act::Swallow));
    let words = ["serve", "--config", config.to_str().unwrap()];
    let mut serving = it.scene.weir.start(words).unwrap();
    it.proxy.wait_for(&swallowed, 1, SOON).unwrap();
    it.proxy.add(Rule::all("", Act::Swallow));
    // The one turn is with the cluster that answers nothing, and comes back.
    let line = serving
        .wait_for_text("does not answer: no answer within 1 s", SOON)
        .unwrap();
    assert!(line.contains("\"fault\":\"target\""), "{line}");
    // Not one object after the other, two hundred times: the run ends where it sees that nobody answers.
    assert!(swallowed.times() <= 50, "{} requests", swallowed.times());
    notes.write("notes/note.yaml", map("note", "two")).unwrap();
    notes.commit("second").unwrap();
    it.scene
        .weir
        .run(["refresh", "notes"])
        .unwrap()
        .code(0)
        .unwrap();
    serving
        .wait_for("the other repository is synced", SOON, |line| {
            line.contains("synced to") && line.contains("\"app\":\"notes\"")
        })
        .unwrap();
    // By itself, when it answers again.
    it.proxy.clear();
    wait::until(SOON, "all objects", || {
        Ok((it.scene.names()?.len() == 202).then_some(()))
    })
    .unwrap();
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn fault_04_a_watch_whose_list_nobody_answers_begins_anew() {
    let mut it = through();
    it.scene.weir.variable("WEIR_REQUEST_TIMEOUT", "1s");
    let list = Rule::on("GET", "/api/v1/configmaps", Act::Swallow);
    let done = it.proxy.add(list.query("labelSelector").times(1));
    let mut serving = it.scene.serve(NEVER).unwrap();
    it.scene.set_by_hand("a", "by hand").unwrap();
    wait::until(SOON, "a is put back", || {
        Ok((it.value("a") == "one").then_some(()))
    })
    .unwrap();
    assert_eq!(done.times(), 1);
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
}

/// A write that came between the server's read and its own.
fn raced(what: &str) -> Act {
    let message = format!(
        "Operation cannot be fulfilled on {what}: the object has been modified; please apply your changes to the latest version and try again"
    );
    Act::status(409, "Conflict", &message)
}

#[test]
fn fault_05_a_write_that_lost_a_race_is_sent_again_at_once() {
    let mut it = through();
    it.scene.synced().unwrap();
    it.scene.push("web/a.yaml", &map("a", "two")).unwrap();
    let act = raced("configmaps \"a\"");
    let done = it.proxy.add(Rule::on("PATCH", &it.maps("a"), act).times(2));
    it.scene.synced().unwrap();
    assert_eq!((done.times(), it.value("a").as_str()), (2, "two"));
    // Who loses each time is told so, and not asked for ever.
    it.scene.push("web/a.yaml", &map("a", "three")).unwrap();
    let act = raced("configmaps \"a\"");
    let done = it.proxy.add(Rule::on("PATCH", &it.maps("a"), act));
    let said = it.scene.sync(&[]).unwrap().code(1).unwrap().stderr;
    assert!(said.contains("the object has been modified"), "{said}");
    assert!((2..=5).contains(&done.times()), "{} tries", done.times());
    it.proxy.clear();
    it.scene.synced().unwrap();
    assert_eq!(it.value("a"), "three");
}

#[test]
fn fault_40_a_quota_that_others_count_at_the_same_instant_is_asked_again_at_once() {
    let mut it = through();
    it.scene.synced().unwrap();
    it.scene.push("web/x.yaml", &map("x", "one")).unwrap();
    let act = raced("resourcequotas \"few\"");
    let done = it.proxy.add(Rule::on("PATCH", &it.maps("x"), act).times(2));
    it.scene.synced().unwrap();
    assert_eq!((done.times(), it.value("x").as_str()), (2, "one"));
    it.is_settled();
}

#[test]
fn fault_44_watches_that_end_all_the_time_are_gone_on_with_and_nothing_is_listed_again() {
    let it = through();
    let end = Act::End(Duration::from_millis(300));
    let ended = it.proxy.add(Rule::on("GET", "", end).query("watch=true"));
    let mut serving = it.scene.serve(NEVER).unwrap();
    let lists = || {
        let lists = it.asked("GET", "/api/v1/configmaps").into_iter();
        lists.filter(|a| !a.query.contains("watch=true")).count()
    };
    let before = (lists(), it.asked("PATCH", "").len());
    it.proxy.wait_for(&ended, 10, SOON).unwrap();
    assert_eq!((lists(), it.asked("PATCH", "").len()), before);
    for value in ["by hand", "again"] {
        let patch = format!("{{\"data\":{{\"value\":\"{value}\"}}}}");
        it.scene
            .edit(&["patch", "configmap", "a", "--patch", &patch])
            .unwrap();
        wait::until(SOON, "a is put back", || {
            Ok((it.value("a") == "one").then_some(()))
        })
        .unwrap();
    }
    assert_eq!(lists(), before.0);
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn fault_44_a_watch_that_is_gone_each_time_is_listed_ever_later_and_drift_is_still_seen() {
    let it = through();
    let gone = Act::status(410, "Expired", "too old resource version: 1 (2)");
    let done = it
        .proxy
        .add(Rule::on("GET", "/api/v1/configmaps", gone).query("watch=true"));
    let mut serving = it.scene.serve(NEVER).unwrap();
    it.proxy.wait_for(&done, 4, SOON).unwrap();
    let gone: Vec<u128> = it
        .asked("GET", "/api/v1/configmaps")
        .iter()
        .filter(|a| a.query.contains("watch=true"))
        .map(|a| a.at)
        .collect();
    let gap = |n: usize| gone[n] - gone[n - 1];
    assert!(gap(3) > gap(1), "no back-off: {gone:?}");
    it.scene.set_by_hand("a", "by hand").unwrap();
    // A list shows it, though no watch ever does.
    wait::until(SOON, "a is put back", || {
        Ok((it.value("a") == "one").then_some(()))
    })
    .unwrap();
    it.proxy.clear();
    // Nothing is rendered or applied for it: one commit, one sync and one heal.
    let address = serving.stderr();
    let address = address.split("http://").nth(1).unwrap();
    let (_, metrics) = http_get(address.split('/').next().unwrap(), "/metrics").unwrap();
    let failed = metrics
        .lines()
        .find(|l| l.starts_with("weir_syncs_total") && l.contains("failed"));
    assert!(failed.is_none_or(|l| l.ends_with(" 0")), "{metrics}");
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn fault_50_a_stop_ends_a_sync_that_nobody_answers_and_the_next_one_finishes_it() {
    let mut it = through();
    it.many(40);
    let maps = it.maps("");
    let rule = Rule::on("PATCH", &maps, Act::Swallow).after(20);
    let swallowed = it.proxy.add(rule);
    let url = it.scene.server.url("work");
    let words = ["serve", "--repo", &url, "--target", "kube:"];
    let listen = ["--listen", "127.0.0.1:0"];
    let mut serving = it.scene.weir.start(words.iter().chain(&listen)).unwrap();
    it.proxy.wait_for(&swallowed, 1, SOON).unwrap();
    // What a host may take to stop, and a little for a slow machine to say so.
    let stop = Duration::from_secs(40);
    let started = Instant::now();
    assert_eq!(serving.terminate(stop).unwrap(), Some(0));
    assert!(started.elapsed() < stop);
    it.proxy.clear();
    it.scene.synced().unwrap();
    assert_eq!(it.scene.names().unwrap().len(), 42);
    it.is_settled();
}
