//! What the target `kube:` cannot do on a real API server: each error says what a person can do, and shows no object.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::time::Duration;

use weir_tests::control_plane::{ControlPlane, wait};
use weir_tests::duo::{Duo, MARKER, Problem};

/// Longer than the cluster's own parts take to see something.
const SOON: Duration = Duration::from_secs(60);

/// The longest message that a person has to read, in characters.
const LONGEST: usize = 1_000;

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
    assert!(message.chars().count() <= LONGEST, "{message}");
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
            "spec.strategy: Unsupported value: {…}: supported values: \"Recreate\", \"RollingUpdate\"",
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

#[test]
fn no_value_of_a_secret_is_in_any_output_at_any_level() {
    let wrong = format!(
        "//- secret.yaml\n{{ apiVersion: v1, kind: Secret, metadata: {{ name: db }}, data: {{ password: \"{MARKER}!\" }} }}\n"
    );
    let mut duo = duo("secrets", &wrong);
    let place = format!("Secret {}/db: ", duo.namespace);
    let left_out = "(the server's words are left out, since they may hold the Secret's values). Put it right in the repository";
    let typed = format!(
        "//- secret.yaml\n{{ apiVersion: v1, kind: Secret, metadata: {{ name: db }}, stringData: {{ password: {{ a: {MARKER} }} }} }}\n"
    );
    for (files, level) in [(&wrong, "info"), (&wrong, "debug"), (&typed, "trace")] {
        duo.weir.variable("WEIR_LOG", level);
        duo.push(files).unwrap();
        let problem = duo.fails().unwrap();
        let begins = format!("{place}the API server refuses it as invalid: ");
        says(&problem, "apply", "repository", &begins, left_out);
        tries_again(&problem, "on_change");
    }
    // One that is written shows its value as little, whatever is asked for.
    duo.weir.variable("WEIR_LOG", "trace,kube_client=trace");
    duo.push(&secret()).unwrap();
    let said = duo.succeeds().unwrap().stderr;
    assert!(said.contains("\"level\":\"TRACE\""), "{said}");
}

#[test]
fn a_field_that_somebody_else_took_is_named_with_who_took_it() {
    let mut duo = duo(
        "taken",
        &(deployment("web", "replicas: 1,") + &map("a", "one")),
    );
    duo.succeeds().unwrap();
    duo.kubectl(&["scale", "deployment/web", "--replicas=3"])
        .unwrap();
    let problem = duo.fails().unwrap();
    let begins = format!(
        "Deployment.apps {}/web: others manage fields that it sets: .spec.replicas (\"kubectl\" with subresource \"scale\"",
        duo.namespace
    );
    let ends = "). Leave these fields out, or take them from the other manager";
    says(&problem, "apply", "target", &begins, ends);
    tries_again(&problem, "on_change");

    // What another manager applied is not overwritten by a newer commit.
    let theirs = r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"value":"theirs"}}"#;
    let words = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager=other-tool",
        "-n",
        &duo.namespace,
        "-f",
        "-",
    ];
    let applied = duo.plane.admin().run_with(&words, theirs).unwrap();
    assert!(applied.ok, "{applied:?}");
    duo.push(&map("a", "two")).unwrap();
    let problem = duo.fails().unwrap();
    let begins = format!(
        "ConfigMap {}/a: others manage fields that it sets: .data.value (\"other-tool\"",
        duo.namespace
    );
    says(&problem, "apply", "target", &begins, ends);
}

#[test]
fn fault_41_a_field_that_cannot_change_is_named_and_the_object_is_not_shown() {
    let objects = |label: &str, ip: &str, value: &str| {
        format!(
            "{}//- service.yaml\n{{ apiVersion: v1, kind: Service, metadata: {{ name: web }}, spec: {{ clusterIP: {ip}, ports: [{{ port: 80 }}] }} }}\n\
             //- map.yaml\n{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: fixed }}, immutable: true, data: {{ value: {value} }} }}\n",
            deployment(label, "")
        )
    };
    let mut duo = duo("fixed", &objects("web", "10.96.77.77", MARKER));
    duo.succeeds().unwrap();
    let changed = format!("{MARKER}2");
    for (files, kind, field) in [
        (
            objects("other", "10.96.77.77", MARKER),
            "Deployment",
            "spec.selector: Invalid value: {…}",
        ),
        (
            objects("web", "10.96.77.78", MARKER),
            "Service",
            "spec.clusterIPs[0]: Invalid value: ",
        ),
        (
            objects("web", "10.96.77.77", &changed),
            "ConfigMap",
            "data: Forbidden: field is immutable when `immutable` is set",
        ),
    ] {
        duo.push(&files).unwrap();
        let problem = duo.fails().unwrap();
        let ends = ". Put the field back, or delete the object so that it is made anew: Weir does that where its annotation weir.dev/recreate is \"true\"";
        says(&problem, "apply", "repository", kind, ends);
        let expected = ": a field that cannot be changed was changed: ";
        assert!(
            problem.message.contains(expected) && problem.message.contains(field),
            "{problem:?}"
        );
        tries_again(&problem, "on_change");
    }
}

#[test]
fn a_namespace_that_is_not_there_or_going_is_named() {
    let plane = ControlPlane::shared().unwrap();
    let duo = Duo::into(plane, "nobody-made-it".to_owned(), &map("a", "one")).unwrap();
    let problem = duo.fails().unwrap();
    says(
        &problem,
        "apply",
        "repository",
        "ConfigMap nobody-made-it/a: its namespace does not exist: namespaces \"nobody-made-it\" not found",
        ". Add the namespace to the repository, or create it",
    );
    tries_again(&problem, "backoff");

    let duo = self::duo("going", &map("a", "one"));
    duo.kubectl(&["create", "configmap", "stays"]).unwrap();
    let finalizer = r#"{"metadata":{"finalizers":["example.test/stays"]}}"#;
    duo.kubectl(&["patch", "configmap", "stays", "--patch", finalizer])
        .unwrap();
    duo.kubectl(&["delete", "namespace", &duo.namespace, "--wait=false"])
        .unwrap();
    wait::until(SOON, "the namespace is going", || {
        let phase = duo.kubectl(&[
            "get",
            "namespace",
            &duo.namespace,
            "-o",
            "jsonpath={.status.phase}",
        ])?;
        Ok((phase == "Terminating").then_some(()))
    })
    .unwrap();
    let problem = duo.fails().unwrap();
    let begins = format!(
        "ConfigMap {}/a: its namespace is being deleted, and nothing can be made in it until it is gone and made again: ",
        duo.namespace
    );
    says(
        &problem,
        "apply",
        "target",
        &begins,
        "because it is being terminated",
    );
    tries_again(&problem, "backoff");
}

#[test]
fn a_quota_that_is_used_up_is_named_with_what_is_used() {
    let duo = duo("quota", &secret());
    duo.kubectl(&["create", "quota", "few", "--hard=count/secrets=0"])
        .unwrap();
    wait::until(SOON, "the quota is in force", || {
        let hard = duo.kubectl(&["get", "quota", "few", "-o", "jsonpath={.status.hard}"])?;
        Ok((!hard.is_empty()).then_some(()))
    })
    .unwrap();
    let problem = duo.fails().unwrap();
    let begins = format!(
        "Secret {}/db: a quota is used up: secrets \"db\" is forbidden: exceeded quota: few, ",
        duo.namespace
    );
    says(
        &problem,
        "apply",
        "target",
        &begins,
        ". Raise it, or ask for less",
    );
    assert!(
        problem.message.contains("limited: count/secrets=0"),
        "{problem:?}"
    );
    tries_again(&problem, "backoff");
    duo.kubectl(&["delete", "quota", "few"]).unwrap();
    duo.succeeds().unwrap();
}

/// A webhook that nobody answers for, for the maps of one namespace.
fn dead_webhook(namespace: &str) -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    format!(
        "{{ apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingWebhookConfiguration,\n\
         metadata: {{ name: check-{namespace} }}, webhooks: [{{ name: check.example.test, failurePolicy: Fail,\n\
         clientConfig: {{ url: \"https://127.0.0.1:{port}/check\" }}, timeoutSeconds: 2, sideEffects: None,\n\
         admissionReviewVersions: [v1],\n\
         namespaceSelector: {{ matchLabels: {{ kubernetes.io/metadata.name: {namespace} }} }},\n\
         rules: [{{ apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps] }}] }}] }}\n"
    )
}

#[test]
fn fault_08_a_webhook_that_is_down_is_named_and_tried_again() {
    let duo = duo("hooks", &map("a", MARKER));
    let admin = duo.plane.admin();
    admin.apply(&dead_webhook(&duo.namespace)).unwrap();
    wait::until(SOON, "the webhook is asked", || {
        let words = [
            "create",
            "configmap",
            "probe",
            "--dry-run=server",
            "-n",
            &duo.namespace,
        ];
        Ok((!admin.run(&words)?.ok).then_some(()))
    })
    .unwrap();
    let problem = duo.fails().unwrap();
    let begins = format!(
        "ConfigMap {}/a: an admission webhook of the cluster does not answer: ",
        duo.namespace
    );
    says(
        &problem,
        "apply",
        "target",
        &begins,
        ". Mend the webhook; Weir tries again",
    );
    assert!(
        problem
            .message
            .contains("failed calling webhook \"check.example.test\""),
        "{problem:?}"
    );
    tries_again(&problem, "backoff");
    let name = format!("check-{}", duo.namespace);
    admin
        .text(&["delete", "validatingwebhookconfiguration", &name])
        .unwrap();
    wait::until(SOON, "the webhook is asked no more", || {
        let words = [
            "create",
            "configmap",
            "probe",
            "--dry-run=server",
            "-n",
            &duo.namespace,
        ];
        Ok(admin.run(&words)?.ok.then_some(()))
    })
    .unwrap();
    duo.succeeds().unwrap();
}
