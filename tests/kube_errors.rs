//! What the target `kube:` cannot do on a real API server: each error says what a person can do, and shows no object.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::time::Duration;

use serde_json::json;
use weir_tests::control_plane::{ControlPlane, wait};
use weir_tests::duo::{Duo, MARKER, Problem};

/// Longer than the cluster's own parts take to see something.
const SOON: Duration = Duration::from_secs(60);

fn duo(prefix: &str, files: &str) -> Duo<'static> {
    Duo::new(ControlPlane::shared().unwrap(), prefix, files).unwrap()
}

/// Whose fault it is, at which stage, and the whole text after the app and the object.
#[track_caller]
fn says(problem: &Problem, stage: &str, fault: &str, begins: &str, ends: &str) {
    let message = &problem.message;
    assert_eq!(
        (problem.stage.as_str(), problem.fault.as_str()),
        (stage, fault),
        "{message}"
    );
    assert!(
        message.starts_with(&format!("app bad: {begins}")),
        "{message}"
    );
    assert!(message.ends_with(ends), "{message}");
}

/// When it is tried again.
#[track_caller]
fn tries_again(problem: &Problem, when: &str) {
    let retries: Vec<_> = problem.failures.iter().map(|f| f.retry.as_str()).collect();
    assert_eq!(retries, [when], "{problem:?}");
}

fn map(name: &str, value: &str) -> String {
    format!(
        "//- {name}.yaml\n{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: {name} }}, data: {{ value: \"{value}\" }} }}\n"
    )
}

fn secret() -> String {
    format!(
        "//- secret.yaml\n{{ apiVersion: v1, kind: Secret, metadata: {{ name: db }}, stringData: {{ password: {MARKER} }} }}\n"
    )
}

/// One pod that is never started; `more` stands in its spec.
fn deployment(label: &str, more: &str) -> String {
    format!(
        "//- deployment.yaml\n\
         {{ apiVersion: apps/v1, kind: Deployment, metadata: {{ name: web }}, spec: {{ {more}\n\
         selector: {{ matchLabels: {{ app: {label} }} }},\n\
         template: {{ metadata: {{ labels: {{ app: {label} }} }}, spec: {{ containers: [\n\
         {{ name: web, image: example.test/web:1, env: [{{ name: PASSWORD, value: {MARKER} }}] }}] }} }} }} }}\n"
    )
}

#[test]
fn a_missing_role_is_named_with_who_lacks_it_for_what() {
    let mut duo = duo("roles", &(map("a", "one") + &secret()));
    let who = format!("maps-only-{}", duo.namespace);
    let user = duo.plane.user(&who, None).unwrap();
    let admin = duo.plane.admin();
    let may = |namespace: &str, verbs: &str, what: &str| {
        let role = format!("{what}-{}", verbs.len());
        let (verbs, what, to) = (
            format!("--verb={verbs}"),
            format!("--resource={what}"),
            format!("--role={role}"),
        );
        admin
            .text(&["create", "role", &role, &verbs, &what, "-n", namespace])
            .unwrap();
        let user = format!("--user={who}");
        admin
            .text(&["create", "rolebinding", &role, &to, &user, "-n", namespace])
            .unwrap();
    };
    for namespace in [&duo.namespace, &duo.beside] {
        may(namespace, "get,list,create,patch,delete", "configmaps");
    }
    duo.sync_as(&user);
    let secret = format!("Secret {}/db: ", duo.namespace);
    let cannot = |verb: &str| {
        format!(
            "forbidden: secrets \"db\" is forbidden: User \"{who}\" cannot {verb} resource \"secrets\" in API group \"\" in the namespace \"{}\". Give that account a role that allows it, or leave the object out",
            duo.namespace
        )
    };
    let problem = duo.fails().unwrap();
    let unread = format!("{secret}what is there could not be read: ");
    says(&problem, "plan", "target", &unread, &cannot("get"));

    // Who may look only is told so when it comes to writing.
    may(&duo.namespace, "get,list", "secrets");
    let problem = duo.fails().unwrap();
    says(&problem, "apply", "target", &secret, &cannot("patch"));
    tries_again(&problem, "backoff");
    duo.kubectl(&["get", "configmap", "a"]).unwrap();

    // The next sync after the role was given does what is left.
    may(&duo.namespace, "get,list,create,patch", "secrets");
    duo.succeeds().unwrap();
}

#[test]
fn a_kind_that_the_cluster_does_not_have_is_named_with_what_is_missing() {
    let mut duo = duo(
        "kinds",
        "//- widget.yaml\n{ apiVersion: example.com/v1, kind: Widget, metadata: { name: w } }\n",
    );
    let place = format!("Widget.example.com {}/w: ", duo.namespace);
    says(
        &duo.fails().unwrap(),
        "plan",
        "repository",
        &place,
        ": the cluster has no kind Widget in example.com/v1: correct the name, or install its CustomResourceDefinition first, or put that into an app that this one comes `after`",
    );
    duo.push(
        "//- old.yaml\n{ apiVersion: apps/v1beta2, kind: Deployment, metadata: { name: w } }\n",
    )
    .unwrap();
    let place = format!("Deployment.apps {}/w: ", duo.namespace);
    says(
        &duo.fails().unwrap(),
        "plan",
        "repository",
        &place,
        ": the cluster has Deployment in apps/v1, and not in apps/v1beta2: name a version that it has, or have the definition serve this one",
    );
}

#[test]
fn a_field_that_is_wrong_is_named_and_the_object_is_not_shown() {
    let mut duo = duo("fields", &deployment("web", "replicaz: 2,"));
    let place = format!("Deployment.apps {}/web: ", duo.namespace);
    for (more, says_of_it) in [
        (
            "replicaz: 2,",
            ".spec.replicaz: field not declared in schema",
        ),
        (
            "replicas: \"two\",",
            ".spec.replicas: expected numeric (int or float), got string",
        ),
        (
            "strategy: { type: Sideways },",
            "spec.strategy.type: Unsupported value: \"Sideways\"",
        ),
        (
            "replicas: -1,",
            "spec.replicas: Invalid value: -1: must be greater than or equal to 0",
        ),
    ] {
        duo.push(&deployment("web", more)).unwrap();
        let problem = duo.fails().unwrap();
        let begins = format!("{place}the API server refuses it as invalid: ");
        says(
            &problem,
            "apply",
            "repository",
            &begins,
            ". Put it right in the repository",
        );
        tries_again(&problem, "on_change");
        assert!(problem.message.contains(says_of_it), "{}", problem.message);
    }
}
