//! A cluster that loses a kind or is away: what is there stays, and things go on by themselves.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeSet;
use std::time::Duration;

use weir_tests::control_plane::{ControlPlane, With, wait};
use weir_tests::duo::Duo;
use weir_tests::weir::{Serving, http_get};

/// Longer than a whole round takes, on any machine.
const SOON: Duration = Duration::from_secs(90);

fn map(value: &str) -> String {
    format!(
        "//- a.yaml\n{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: a }}, data: {{ value: {value} }} }}\n"
    )
}

/// A definition of `Widget` in a group of its own.
fn definition(group: &str) -> String {
    format!(
        "{{ apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {{ name: widgets.{group} }},\n\
         spec: {{ group: {group}, scope: Namespaced, names: {{ kind: Widget, plural: widgets, singular: widget }},\n\
         versions: [{{ name: v1, served: true, storage: true,\n\
         schema: {{ openAPIV3Schema: {{ type: object, x-kubernetes-preserve-unknown-fields: true }} }} }}] }} }}\n"
    )
}

/// So many widgets, one file each.
fn widgets(group: &str, count: usize) -> String {
    let one = |n| {
        format!(
            "//- {n}.yaml\n{{ apiVersion: {group}/v1, kind: Widget, metadata: {{ name: w{n} }} }}\n"
        )
    };
    (0..count).map(one).collect()
}

/// A host that asks its repository each second.
fn serve(duo: &Duo<'_>) -> Serving {
    let mut words = duo.words("serve");
    for word in ["--interval", "1s", "--listen", "127.0.0.1:0"] {
        words.push(word.to_owned());
    }
    duo.weir.start(words).unwrap()
}

fn api(host: &mut Serving) -> String {
    let line = host.wait_for_text("says how apps stand", SOON).unwrap();
    let url = line.split("http://").nth(1).unwrap();
    url.split('/').next().unwrap().to_owned()
}

fn wait_synced(host: &mut Serving, app: &str) {
    let app = format!("\"app\":\"{app}\"");
    let synced = |line: &str| line.contains("synced to") && line.contains(&app);
    host.wait_for("the app is synced", SOON, synced).unwrap();
}

/// Waits until the two apps are synced, in whatever order.
fn wait_both_synced(host: &mut Serving) {
    for _app in 0..2 {
        host.wait_for_text("synced to", SOON).unwrap();
    }
}

/// Syncs that failed so far, of both apps.
fn failures(address: &str) -> u64 {
    let (_, metrics) = http_get(address, "/metrics").unwrap();
    let lines = metrics
        .lines()
        .filter(|l| l.starts_with("weir_syncs_total") && l.contains("failed"));
    lines
        .filter_map(|l| l.rsplit(' ').next()?.parse::<u64>().ok())
        .sum()
}

#[test]
fn an_api_server_that_is_away_is_waited_for_and_nothing_is_lost() {
    let plane = ControlPlane::start(With::ApiServer).unwrap();
    let mut duo = Duo::new(&plane, "away", &map("one")).unwrap();
    let mut host = serve(&duo);
    let address = api(&mut host);
    wait_both_synced(&mut host);
    plane.api_server_down().unwrap();
    duo.push(&map("two")).unwrap();
    host.wait_for_text("the API server of kube: does not answer: ", SOON)
        .unwrap();
    // It goes on trying, and says it once for each app and commit: a look that was under way when the server went
    // was at the commit before.
    wait::until(SOON, "four more tries", || {
        Ok((failures(&address) >= 6).then_some(()))
    })
    .unwrap();
    plane.api_server_up().unwrap();
    wait_both_synced(&mut host);
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
    let said = host.stderr();
    let away: Vec<&str> = said
        .lines()
        .filter(|l| l.contains("does not answer"))
        .collect();
    assert!((1..=4).contains(&away.len()), "{away:?}");
    let mut of_what = BTreeSet::new();
    for line in &away {
        let line_of: serde_json::Value = serde_json::from_str(line).unwrap();
        let what = (line_of["app"].to_string(), line_of["commit"].to_string());
        assert!(of_what.insert(what), "said twice: {away:?}");
        assert!(
            line.contains("\"stage\":\"observe\"") && line.contains("\"fault\":\"target\""),
            "{line}"
        );
        assert!(line.contains(". Weir tries again"), "{line}");
    }
    assert!(
        away.iter().any(|line| line.contains("Connection refused")),
        "{away:?}"
    );
    assert!(!said.contains("kube_client"), "{said}");
    let value = duo
        .kubectl(&["get", "configmap", "a", "-o", "jsonpath={.data.value}"])
        .unwrap();
    assert_eq!(
        (value.as_str(), duo.value_of_good().unwrap().as_str()),
        ("two", "1")
    );
}

#[test]
fn one_sync_to_an_api_server_that_is_away_fails_and_the_last_good_state_stays() {
    let plane = ControlPlane::start(With::ApiServer).unwrap();
    let duo = Duo::new(&plane, "away", &map("one")).unwrap();
    duo.succeeds().unwrap();
    let before = duo
        .kubectl(&["get", "configmap", "a", "-o", "yaml"])
        .unwrap();
    plane.api_server_down().unwrap();
    duo.sync().unwrap().code(1).unwrap();
    let problem = duo.problem().unwrap();
    assert_eq!(
        (problem.stage.as_str(), problem.fault.as_str()),
        ("observe", "target")
    );
    let message = &problem.message;
    assert!(
        message.contains("the API server of kube: does not answer: "),
        "{message}"
    );
    assert!(message.ends_with(". Weir tries again"), "{message}");
    plane.api_server_up().unwrap();
    duo.succeeds().unwrap();
    assert_eq!(
        duo.kubectl(&["get", "configmap", "a", "-o", "yaml"])
            .unwrap(),
        before
    );
}

#[test]
fn fault_34_a_definition_of_ours_that_was_deleted_by_hand_comes_back_with_all_that_it_defines() {
    let plane = ControlPlane::start(With::ApiServer).unwrap();
    let group = "ours.example.com";
    let files = format!("//- crd.yaml\n{}{}", definition(group), widgets(group, 9));
    let duo = Duo::new(&plane, "kinds", &files).unwrap();
    let mut host = serve(&duo);
    wait_synced(&mut host, "bad");
    duo.kubectl(&["delete", "crd", "widgets.ours.example.com"])
        .unwrap();
    wait_synced(&mut host, "bad");
    let there = duo
        .kubectl(&["get", "widgets.ours.example.com", "-o", "name"])
        .unwrap();
    assert_eq!(there.lines().count(), 9, "{there}");
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn a_kind_that_goes_while_a_host_runs_is_named_and_comes_back_by_itself() {
    let plane = ControlPlane::start(With::ApiServer).unwrap();
    // Asked for one by one, and by a list.
    for (group, count) in [("few.example.com", 2), ("many.example.com", 9)] {
        plane.admin().apply(&definition(group)).unwrap();
        let crd = format!("crd/widgets.{group}");
        let established = ["wait", "--for=condition=Established", &crd, "--timeout=60s"];
        plane.admin().text(&established).unwrap();
        let duo = Duo::new(&plane, "kinds", &widgets(group, count)).unwrap();
        let mut host = serve(&duo);
        wait_synced(&mut host, "bad");
        duo.kubectl(&["delete", &crd]).unwrap();
        let no_kind = format!("the cluster has no kind Widget in {group}/v1");
        let line = host.wait_for_text(&no_kind, SOON).unwrap();
        assert!(line.contains("\"fault\":\"repository\""), "{line}");
        plane.admin().apply(&definition(group)).unwrap();
        wait_synced(&mut host, "bad");
        let there = duo
            .kubectl(&["get", &format!("widgets.{group}"), "-o", "name"])
            .unwrap();
        assert_eq!(there.lines().count(), count, "{there}");
        assert_eq!(host.terminate(SOON).unwrap(), Some(0));
    }
}
