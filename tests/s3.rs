//! The ledger in a bucket of a real S3 server: the whole story, two writers, lost answers, and each way in which a store
//! can be wrong.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;
use std::time::Duration;

use serde_json::Value;
use weir_tests::proxy::{Act, Proxy, Rule};
use weir_tests::s3::{BUCKET, KEY, S3, SECRET};
use weir_tests::weir::Serving;
use weir_tests::{GitServer, Repo, Weir};

const SOON: Duration = Duration::from_secs(60);
const STOP: Duration = Duration::from_secs(40);

const FIRST: &str = "//- weir.yaml\n\
version: 1\n\
apps: [{ name: web, path: web, target: { namespace: shop } }]\n\
//- web/map.yaml\n\
{ apiVersion: v1, kind: ConfigMap, metadata: { name: map }, data: { value: one } }\n";

/// A repository behind a server, and a store.
struct Scene {
    repo: Repo,
    server: GitServer,
    s3: S3,
}

impl Scene {
    fn new() -> Scene {
        let repo = Repo::from_text(FIRST).unwrap();
        let server = GitServer::of(&repo).unwrap();
        let s3 = S3::start().unwrap();
        Scene { repo, server, s3 }
    }

    /// One more machine whose ledger is in the bucket.
    fn machine(&self) -> Weir {
        let mut weir = Weir::new().unwrap();
        self.s3.hold(&mut weir, "prod/weir");
        weir
    }

    fn words(&self, weir: &Weir, command: &str) -> Vec<String> {
        let target = format!("dir:{}", weir.path("live").display());
        let url = self.server.url("work");
        [command, "--repo", &url, "--target", &target]
            .map(str::to_owned)
            .to_vec()
    }

    fn sync(&self, weir: &Weir) -> String {
        weir.run(self.words(weir, "sync"))
            .unwrap()
            .success()
            .unwrap()
    }

    /// What a sync that fails says.
    fn refused(&self, weir: &Weir, code: i32) -> String {
        let ran = weir
            .run(self.words(weir, "sync"))
            .unwrap()
            .code(code)
            .unwrap();
        assert!(!ran.stderr.contains(SECRET), "{}", ran.stderr);
        ran.stderr
    }

    fn serve(&self, weir: &Weir) -> Serving {
        let mut words = self.words(weir, "serve");
        words.extend(
            [
                "--interval",
                "1h",
                "--listen",
                "127.0.0.1:0",
                "--log",
                "weir=debug",
            ]
            .map(str::to_owned),
        );
        let mut host = weir.start(words).unwrap();
        host.wait_for_text("synced to", SOON).unwrap();
        host
    }

    fn push(&mut self, value: &str) {
        let text = FIRST.replace("value: one", &format!("value: {value}"));
        self.repo.write_text(&text).unwrap();
        self.repo.commit(value).unwrap();
    }
}

fn live(weir: &Weir) -> String {
    fs::read_to_string(weir.path("live/shop/configmap/map.yaml")).unwrap()
}

fn history(weir: &Weir) -> Value {
    let text = weir
        .run(["history", "-o", "json"])
        .unwrap()
        .success()
        .unwrap();
    serde_json::from_str(&text).unwrap()
}

#[test]
fn a_sync_keeps_all_in_the_bucket_and_any_machine_reads_it_back() {
    let mut scene = Scene::new();
    let weir = scene.machine();
    scene.sync(&weir);
    scene.push("two");
    scene.sync(&weir);
    assert!(live(&weir).contains("value: two"));
    assert!(
        !weir.state_dir().join("ledger").exists(),
        "nothing of it is on this machine"
    );
    assert!(scene.s3.file("prod/weir/ledger.json").exists());

    let told = history(&weir);
    let records = told[0]["records"].as_array().unwrap();
    let types: Vec<&str> = records
        .iter()
        .map(|r| r["event"]["type"].as_str().unwrap())
        .collect();
    for expected in ["commit", "staked", "synced"] {
        assert!(types.contains(&expected), "{types:?}");
    }
    let other = scene.machine();
    assert_eq!(history(&other), told);
    let apps = other.run(["apps"]).unwrap().success().unwrap();
    assert!(apps.contains("web") && apps.contains("synced"), "{apps}");
    let found = other.run(["doctor"]).unwrap().success().unwrap();
    assert!(
        found.contains("every link proved") && found.contains("s3://weir-rig/prod/weir"),
        "{found}"
    );

    // A change of any byte is found out there, too.
    let repository = told[0]["repository"].as_str().unwrap();
    let file = scene
        .s3
        .file(&format!("prod/weir/chain/{repository}/000000000001.json"));
    let text = fs::read_to_string(&file)
        .unwrap()
        .replacen("commit", "commix", 1);
    fs::write(&file, text).unwrap();
    let found = other.run(["doctor"]).unwrap().code(1).unwrap();
    assert!(
        found.stdout.contains("s3://weir-rig/prod/weir/chain/") && found.stdout.contains("damaged"),
        "{}",
        found.stdout
    );
}

#[test]
fn a_host_whose_ledger_another_one_writes_stops_there_and_applies_nothing_more() {
    let mut scene = Scene::new();
    let (first, second) = (scene.machine(), scene.machine());
    let mut host = scene.serve(&first);
    scene.push("two");
    scene.sync(&second);
    assert!(live(&second).contains("value: two"));
    for _ in 0..2 {
        let said = first.run(["refresh"]).unwrap();
        assert!(
            said.stderr.contains("was written by another host"),
            "{}",
            said.stderr
        );
    }
    host.wait_for_text("was written by another host", SOON)
        .unwrap();
    assert!(live(&first).contains("value: one"), "{}", live(&first));
    // What somebody changes is not put back by it either.
    assert_eq!(host.terminate(STOP).unwrap(), Some(0));
    // Started again it goes on where the other one is.
    let mut host = scene.serve(&first);
    assert!(live(&first).contains("value: two"));
    assert_eq!(host.terminate(STOP).unwrap(), Some(0));
    assert!(
        first
            .run(["doctor"])
            .unwrap()
            .success()
            .unwrap()
            .contains("every link proved")
    );
}

#[test]
fn a_second_process_on_the_same_state_is_told_of_the_first() {
    let scene = Scene::new();
    let weir = scene.machine();
    let _host = scene.serve(&weir);
    let said = scene.refused(&weir, 1);
    assert!(
        said.contains("is in use by process") && said.contains("weir refresh"),
        "{said}"
    );
}

#[test]
fn a_store_that_goes_away_stops_nothing_for_good_and_nothing_is_applied_without_it() {
    let mut scene = Scene::new();
    let weir = scene.machine();
    let mut host = scene.serve(&weir);
    scene.s3.stop();
    scene.push("two");
    let said = weir.run(["refresh"]).unwrap();
    assert!(
        said.stderr.contains("the store cannot be reached")
            && said.stderr.contains("s3://weir-rig/prod/weir/chain/"),
        "{}",
        said.stderr
    );
    assert!(live(&weir).contains("value: one"));
    scene.s3.again().unwrap();
    weir.run(["refresh"]).unwrap().success().unwrap();
    host.wait_for_text("synced to", SOON).unwrap();
    assert!(live(&weir).contains("value: two"));
    assert_eq!(host.terminate(STOP).unwrap(), Some(0));
    assert!(
        weir.run(["doctor"])
            .unwrap()
            .success()
            .unwrap()
            .contains("every link proved")
    );
}

#[test]
fn wrong_credentials_no_bucket_and_no_server_are_three_different_things() {
    let scene = Scene::new();
    let mut weir = scene.machine();
    weir.variable("AWS_SECRET_ACCESS_KEY", "hunter3hunter3hunter3");
    let said = scene.refused(&weir, 1);
    assert!(
        said.contains("does not accept the credentials")
            && said.contains("s3://weir-rig/prod/weir/probe/"),
        "{said}"
    );
    assert!(!said.contains("hunter3"), "{said}");
    let mut weir = scene.machine();
    weir.variable("AWS_ACCESS_KEY_ID", "AKIANOBODY");
    let said = scene.refused(&weir, 1);
    assert!(said.contains("does not accept the credentials"), "{said}");

    let mut weir = scene.machine();
    weir.variable("WEIR_LEDGER", "s3://nobody-has-this/x");
    let said = scene.refused(&weir, 1);
    assert!(
        said.contains("there is no such bucket") && said.contains("s3://nobody-has-this/x"),
        "{said}"
    );
    let said = weir.run(["apps"]).unwrap().code(1).unwrap().stderr;
    assert!(
        said.contains("there is no such bucket"),
        "a missing bucket is no empty ledger: {said}"
    );

    let mut weir = scene.machine();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    weir.variable("AWS_ENDPOINT_URL", format!("http://{free}"));
    let said = scene.refused(&weir, 1);
    assert!(
        said.contains("the store cannot be reached") && said.contains(&free.to_string()),
        "{said}"
    );
}

#[test]
fn what_is_missing_or_wrong_in_the_set_up_is_said_before_anything_is_asked() {
    let scene = Scene::new();
    let mut weir = scene.machine();
    weir.without_variable("AWS_SECRET_ACCESS_KEY");
    assert!(scene.refused(&weir, 2).contains("go together"));
    weir.without_variable("AWS_ACCESS_KEY_ID");
    assert!(scene.refused(&weir, 2).contains("--s3-credentials-file"));
    let mut weir = scene.machine();
    weir.without_variable("AWS_ALLOW_HTTP");
    assert!(scene.refused(&weir, 1).contains("--s3-allow-http"));
    let weir = scene.machine();
    let ran = weir
        .run(["apps", "--ledger", "s3://No"])
        .unwrap()
        .code(2)
        .unwrap();
    assert!(ran.stderr.contains("s3://BUCKET/PREFIX"), "{}", ran.stderr);
    let ran = weir.run(["apps"]).unwrap().code(2).unwrap();
    assert!(
        ran.stderr.contains("no ledger is there yet")
            && ran.stderr.contains("s3://weir-rig/prod/weir"),
        "{}",
        ran.stderr
    );
}

#[test]
fn the_hosts_file_names_the_bucket_the_credentials_and_how_long_records_stay() {
    let scene = Scene::new();
    let weir = Weir::new().unwrap();
    let credentials =
        format!("[weir]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n");
    fs::write(weir.path("keys"), credentials).unwrap();
    let text = format!(
        "version: 1\nlisten: 127.0.0.1:0\n\
         ledger: {{ place: 's3://{BUCKET}/host', endpoint: '{}', allow-http: true, credentials-file: keys, profile: weir }}\n\
         retention: {{ days: 90, records: 100000 }}\n\
         repositories:\n- {{ name: shop, url: '{}', targets: {{ default: 'dir:./live' }} }}\n",
        scene.s3.origin(),
        scene.server.url("work"),
    );
    fs::write(weir.path("host.yaml"), text).unwrap();
    let file = weir.path("host.yaml");
    let mut host = weir
        .start([
            "serve",
            "--log",
            "weir=debug",
            "--config",
            file.to_str().unwrap(),
        ])
        .unwrap();
    host.wait_for_text("the newest 100000 records stay, for 90 days", SOON)
        .unwrap();
    host.wait_for_text("synced to", SOON).unwrap();
    assert_eq!(host.terminate(STOP).unwrap(), Some(0));
    assert!(scene.s3.file("host/chain/shop/000000000001.json").exists());
    assert!(!host.transcript().contains(SECRET));
}

#[test]
fn a_create_whose_answer_was_lost_is_found_to_be_its_own() {
    let mut scene = Scene::new();
    let proxy = Proxy::of_s3(&scene.s3).unwrap();
    let mut weir = Weir::new().unwrap();
    S3::hold_at(&proxy.origin(), &mut weir, "prod/weir");
    let commits = || {
        let told = history(&weir);
        let records = told[0]["records"].as_array().unwrap().clone();
        let commits = records.iter().filter(|r| r["event"]["type"] == "commit");
        commits.count()
    };
    let lost = proxy.add(Rule::on("PUT", "/chain/", Act::ResetAfter).times(1));
    scene.sync(&weir);
    assert_eq!((lost.times(), commits()), (1, 1));
    // Lost again and again it is not known to be there; a later start finds it.
    scene.push("two");
    let lost = proxy.add(Rule::on("PUT", "/chain/", Act::ResetAfter).times(2));
    let said = scene.refused(&weir, 1);
    assert!(said.contains("the store went away"), "{said}");
    assert_eq!(lost.times(), 2);
    scene.sync(&weir);
    assert!(live(&weir).contains("value: two"));
    assert_eq!(commits(), 2, "each record once");
}

#[test]
fn a_store_that_does_not_do_put_if_absent_is_refused_at_start() {
    let scene = Scene::new();
    let proxy = Proxy::of_s3(&scene.s3).unwrap();
    let mut weir = Weir::new().unwrap();
    S3::hold_at(&proxy.origin(), &mut weir, "prod/weir");
    for act in [Act::Overwritten, Act::s3(501, "NotImplemented")] {
        proxy.clear();
        let done = proxy.add(Rule::on("PUT", "/probe/", act));
        let said = scene.refused(&weir, 1);
        assert!(
            said.contains("put-if-absent") && said.contains("s3://weir-rig/prod/weir"),
            "{said}"
        );
        assert!(done.times() > 0);
    }
    assert!(!scene.s3.file("prod/weir/ledger.json").exists());
}

#[test]
fn a_store_that_is_busy_for_a_while_is_asked_again() {
    let scene = Scene::new();
    let proxy = Proxy::of_s3(&scene.s3).unwrap();
    let mut weir = Weir::new().unwrap();
    S3::hold_at(&proxy.origin(), &mut weir, "prod/weir");
    let busy = proxy.add(Rule::on("PUT", "/chain/", Act::s3(503, "SlowDown")).times(2));
    scene.sync(&weir);
    assert_eq!(busy.times(), 2);
}
