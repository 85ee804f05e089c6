//! Repositories of the cluster service over time: deleted, approved by people, found again after a restart.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::time::Duration;

use serde_json::{Value, json};
use weir_tests::control_plane::{Kubectl, wait};
use weir_tests::scene::SOON;
use weir_tests::team::{Team, condition, is_ready, plane};
use weir_tests::{Weir, told};

/// Longer than a Repository is kept that cannot be pruned.
const LET_GO: Duration = Duration::from_secs(120);

fn synced(it: &Value) -> bool {
    is_ready(it, "True", "Synced")
}

#[test]
fn a_repository_that_is_deleted_leaves_its_objects_or_takes_them_along_and_says_which_before() {
    let team = Team::new("deleted").unwrap();
    let mut host = team.serve().unwrap();
    team.follow("shop", &json!({})).unwrap();
    team.wait(&mut host, "app/web", synced).unwrap();
    team.kubectl(&["delete", "repository/shop", "--wait=false"])
        .unwrap();
    team.wait_gone(&mut host, "repository/shop", SOON).unwrap();
    let note = team.wait_event("Repository/shop", "Orphaned").unwrap();
    assert_eq!(
        note,
        "deleted with onDelete: orphan: 2 objects of its apps stay"
    );
    assert_eq!(team.map_value("a").unwrap().as_deref(), Some("one"));

    // The same one again: what it left is its own.
    team.follow("shop", &json!({ "policy": { "onDelete": "prune" } }))
        .unwrap();
    team.wait(&mut host, "repository/shop", synced).unwrap();
    team.kubectl(&["delete", "repository/shop", "--wait=false"])
        .unwrap();
    team.wait_gone(&mut host, "repository/shop", SOON).unwrap();
    team.wait_event("Repository/shop", "Pruning").unwrap();
    team.wait_event("Repository/shop", "Pruned").unwrap();
    for name in ["a", "b"] {
        assert_eq!(team.map_value(name).unwrap(), None, "{name}");
    }
    team.end(host).unwrap();
}

#[test]
fn a_repository_whose_objects_cannot_be_reached_is_let_go_of_and_what_is_left_is_named() {
    let team = Team::new("hangs").unwrap();
    let mut host = team.serve().unwrap();
    team.follow("shop", &json!({ "policy": { "onDelete": "prune" } }))
        .unwrap();
    team.wait(&mut host, "repository/shop", synced).unwrap();
    team.kubectl(&["delete", "serviceaccount/deployer"])
        .unwrap();
    team.kubectl(&["delete", "repository/shop", "--wait=false"])
        .unwrap();
    team.wait_gone(&mut host, "repository/shop", LET_GO)
        .unwrap();
    let note = team.wait_event("Repository/shop", "LeftBehind").unwrap();
    assert!(note.starts_with("2 objects are left behind"), "{note}");
    assert!(note.contains("is not there"), "it says why: {note}");
    assert_eq!(team.map_value("a").unwrap().as_deref(), Some("one"));
    team.end(host).unwrap();
}

/// Somebody of the team who may write annotations on Apps.
fn person(team: &Team, name: &str) -> Kubectl {
    let role = format!("approver-{name}");
    team.kubectl(&[
        "create",
        "role",
        &role,
        "--verb=get,patch",
        "--resource=apps.weir.dev",
    ])
    .unwrap();
    let whom = format!("--user={name}");
    team.kubectl(&[
        "create",
        "rolebinding",
        &role,
        &format!("--role={role}"),
        &whom,
    ])
    .unwrap();
    plane().unwrap().user(name, None).unwrap()
}

#[test]
fn only_the_person_who_is_named_may_approve_and_only_what_is_held() {
    let mut team = Team::new("approve").unwrap();
    let mut host = team.serve().unwrap();
    team.follow(
        "shop",
        &json!({ "policy": { "guard": { "percent": 0, "objects": 0 } } }),
    )
    .unwrap();
    team.wait(&mut host, "app/web", synced).unwrap();
    team.repo.remove("web/b.yaml").unwrap();
    team.repo.commit("without b").unwrap();
    let app = team
        .wait(&mut host, "app/web", |app| is_ready(app, "False", "Held"))
        .unwrap();
    assert!(condition(&app, "Stalled").is_some(), "{app}");
    team.wait_event("App/web", "Held").unwrap();
    let hold = app["status"]["hold"]
        .as_str()
        .unwrap()
        .get(..12)
        .unwrap()
        .to_owned();
    let (ann, bob) = (person(&team, "ann"), person(&team, "bob"));
    let write = |who: &Kubectl, said: &str| {
        let annotation = format!("weir.dev/approve={said}");
        let words = [
            "-n",
            &*team.namespace,
            "annotate",
            "--overwrite",
            "app/web",
            &*annotation,
        ];
        who.run(&words).unwrap()
    };

    // Anybody could have written that: nobody's yes counts.
    assert!(write(&bob, &format!("ann {hold}")).ok);
    let note = team.wait_event("App/web", "Refused").unwrap();
    assert!(
        note.contains("weir.dev-approve") && note.contains("weir crds --admission"),
        "{note}"
    );
    assert_eq!(team.map_value("b").unwrap().as_deref(), Some("one"));

    let policy = Weir::new()
        .unwrap()
        .run(["crds", "--admission"])
        .unwrap()
        .code(0)
        .unwrap()
        .stdout;
    team.admin.apply(&policy).unwrap();
    // A policy is in force a moment after it is there.
    wait::until(SOON, "the API server refuses bob", || {
        let answer = write(&bob, &format!("ann {hold} "));
        let refused = answer.stderr.contains("with your own name, which is bob");
        Ok((!answer.ok && refused).then_some(()))
    })
    .unwrap();
    let refused = |said: &str, expected: &str| {
        assert!(write(&ann, said).ok, "{said}");
        let found = wait::until(SOON, expected, || {
            let events = team.kubectl(&[
                "get",
                "events.v1.events.k8s.io",
                "-o",
                "jsonpath={.items[*].note}",
            ])?;
            Ok(events.contains(expected).then_some(()))
        });
        found.unwrap();
    };
    refused("ann 01234567", "not as 01234567");
    refused("ann", "expected \"USER HOLD\"");
    assert_eq!(team.map_value("b").unwrap().as_deref(), Some("one"));

    let answer = write(&ann, &format!("ann {hold}"));
    assert!(answer.ok, "{}", answer.stderr);
    team.wait(&mut host, "app/web", synced).unwrap();
    let note = team.wait_event("App/web", "Approved").unwrap();
    assert!(note.starts_with("approved by ann: hold "), "{note}");
    team.wait_gone(&mut host, "configmap/b", SOON).unwrap();
    told::wait_app(&mut host, "web", "decided: ", SOON).unwrap();
    team.end(host).unwrap();
}

#[test]
fn a_service_that_begins_again_finds_everything_and_writes_nothing() {
    let team = Team::new("again").unwrap();
    let mut host = team.serve().unwrap();
    team.follow("shop", &json!({})).unwrap();
    team.wait(&mut host, "app/web", synced).unwrap();
    let before = team.wait(&mut host, "repository/shop", synced).unwrap();
    told::stop(host, SOON).unwrap();
    let since = plane().unwrap().audit().mark().unwrap();

    let mut host = team.serve().unwrap();
    told::wait_app(&mut host, "web", "nothing to change", SOON).unwrap();
    // Two more fetches: what was to be written is written by then.
    let asked = team.server.requests().len();
    team.server.wait_for_requests(asked + 8, SOON).unwrap();
    let entries = plane().unwrap().audit().since(since).unwrap();
    let writes: Vec<_> = entries
        .iter()
        .filter(|e| {
            e.user_agent.starts_with("weir/")
                && !["get", "list", "watch"].contains(&e.verb.as_str())
        })
        .collect();
    assert!(writes.is_empty(), "{writes:#?}");
    let after = team.get("repository/shop").unwrap().unwrap();
    assert_eq!(
        before["metadata"]["resourceVersion"],
        after["metadata"]["resourceVersion"]
    );
    team.end(host).unwrap();
}

#[test]
fn two_repositories_with_an_app_of_one_name_have_an_app_each() {
    let team = Team::new("names").unwrap();
    let mut host = team.serve().unwrap();
    let app = |map: &str| {
        let manifest = json!({ "version": 1, "apps": [{ "name": "web", "path": format!("web/{map}.yaml"), "target": { "namespace": team.namespace } }] });
        json!({ "manifest": manifest.to_string() })
    };
    team.follow("two", &app("b")).unwrap();
    team.wait(&mut host, "app/web", synced).unwrap();
    team.follow("one", &app("a")).unwrap();
    let of = |repository: &'static str| {
        move |app: &Value| synced(app) && app["spec"]["repository"] == repository
    };
    team.wait(&mut host, "app/web", of("one")).unwrap();
    team.wait(&mut host, "app/web.of.two", of("two")).unwrap();
    team.kubectl(&["delete", "repository/one", "--wait=false"])
        .unwrap();
    team.wait(&mut host, "app/web", of("two")).unwrap();
    team.wait_gone(&mut host, "app/web.of.two", SOON).unwrap();
    team.end(host).unwrap();
}
