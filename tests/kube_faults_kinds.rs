//! Faults of the cluster's own making, by the numbers of the fault table: checks that say no, kinds, namespaces and objects that go.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use weir_tests::control_plane::{ControlPlane, Kubectl, wait};
use weir_tests::duo::Duo;
use weir_tests::proxy::Proxy;
use weir_tests::scene::{SOON, Scene, map};

fn plane() -> &'static ControlPlane {
    ControlPlane::shared().unwrap()
}

fn scene() -> Scene<'static> {
    Scene::new(plane(), "faults").unwrap()
}

fn file(name: &str, value: &str) -> String {
    format!("//- {name}.yaml\n{}", map(name, value))
}

/// A policy of the cluster that says no to this operation on the maps of one namespace, where that holds.
struct Policy {
    admin: Kubectl,
    name: String,
}

impl Policy {
    fn new(scene: &Scene<'_>, operation: &str, refuses: &str) -> Policy {
        let verb = operation.split(',').next().unwrap().to_lowercase();
        let name = format!("no-{verb}-{}", scene.namespace);
        let admin = scene.plane.admin();
        admin
            .apply(&format!(
                "{{ apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicy,\n\
                 metadata: {{ name: {name} }}, spec: {{ failurePolicy: Fail,\n\
                 matchConstraints: {{ namespaceSelector: {{ matchLabels: {{ kubernetes.io/metadata.name: {} }} }},\n\
                 resourceRules: [{{ apiGroups: [\"\"], apiVersions: [v1], operations: [{operation}], resources: [configmaps] }}] }},\n\
                 validations: [{{ expression: \"!({refuses})\", message: \"not on a Friday\" }}] }} }}\n\
                 ---\n\
                 {{ apiVersion: admissionregistration.k8s.io/v1, kind: ValidatingAdmissionPolicyBinding,\n\
                 metadata: {{ name: {name} }}, spec: {{ policyName: {name}, validationActions: [Deny] }} }}\n",
                scene.namespace
            ))
            .unwrap();
        Policy { admin, name }
    }

    fn remove(&self) {
        for kind in [
            "validatingadmissionpolicybinding",
            "validatingadmissionpolicy",
        ] {
            self.admin.text(&["delete", kind, &self.name]).unwrap();
        }
    }
}

/// Waits until `kubectl` in the scene's namespace is allowed to do this as a dry run, or is not.
fn until_allowed(scene: &Scene<'_>, allowed: bool, words: &[&str]) {
    let all = [
        words,
        &["--dry-run=server", "--namespace", &scene.namespace],
    ]
    .concat();
    wait::until(SOON, "the policy is seen", || {
        Ok((scene.kubectl.run(&all)?.ok == allowed).then_some(()))
    })
    .unwrap();
}

#[test]
fn fault_06_what_a_check_refuses_holds_later_waves_and_prunes_and_nothing_beside_it() {
    let mut scene = scene();
    scene.synced().unwrap();
    let policy = Policy::new(
        &scene,
        "CREATE, UPDATE",
        "object.metadata.name.startsWith('bad')",
    );
    until_allowed(&scene, false, &["create", "configmap", "bad-probe"]);
    let late = map("late", "one").replace(
        "name: late",
        "name: late, annotations: { weir.dev/wave: \"1\" }",
    );
    for (name, text) in [
        ("bad", map("bad", "hunter2")),
        ("beside", map("beside", "one")),
        ("late", late),
    ] {
        scene.repo.write(&format!("web/{name}.yaml"), text).unwrap();
    }
    scene.repo.remove("web/b.yaml").unwrap();
    scene.repo.commit("four changes").unwrap();
    let said = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
    assert!(
        said.contains("not on a Friday") && said.contains(&policy.name),
        "{said}"
    );
    assert!(!said.contains("hunter2"), "{said}");
    let names = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
    assert_eq!(scene.names().unwrap(), names(&["a", "b", "beside"]));
    policy.remove();
    until_allowed(&scene, true, &["create", "configmap", "bad-probe"]);
    scene.synced().unwrap();
    // What had to leave is still known.
    assert_eq!(
        scene.names().unwrap(),
        names(&["a", "bad", "beside", "late"])
    );
}

#[test]
fn fault_07_what_may_not_be_deleted_stays_known_and_is_tried_again() {
    let scene = scene();
    scene.synced().unwrap();
    let policy = Policy::new(&scene, "DELETE", "oldObject.metadata.name == 'b'");
    until_allowed(&scene, false, &["delete", "configmap", "b"]);
    scene.repo.remove("web/b.yaml").unwrap();
    let mut scene = scene;
    scene.push("web/a.yaml", &map("a", "two")).unwrap();
    for _ in 0..2 {
        let said = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
        assert!(said.contains("not on a Friday"), "{said}");
        assert_eq!(scene.map("a").unwrap()["data"]["value"], "two");
        assert_eq!(scene.map("b").unwrap()["data"]["value"], "one");
    }
    policy.remove();
    until_allowed(&scene, true, &["delete", "configmap", "b"]);
    scene.synced().unwrap();
    assert_eq!(scene.names().unwrap().len(), 1);
}

#[test]
fn fault_09_a_webhook_that_changes_each_write_causes_no_write_of_ours() {
    let mut scene = scene();
    let name = format!("bump-{}", scene.namespace);
    // It touches what we set and what we do not, anew with each write.
    scene
        .kubectl
        .apply(&format!(
            "{{ apiVersion: admissionregistration.k8s.io/v1, kind: MutatingAdmissionPolicy,\n\
             metadata: {{ name: {name} }}, spec: {{ failurePolicy: Fail, reinvocationPolicy: Never,\n\
             matchConstraints: {{ namespaceSelector: {{ matchLabels: {{ kubernetes.io/metadata.name: {} }} }},\n\
             resourceRules: [{{ apiGroups: [\"\"], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [configmaps] }}] }},\n\
             mutations: [{{ patchType: JSONPatch, jsonPatch: {{ expression: '[\n\
             JSONPatch{{ op: \"add\", path: \"/metadata/annotations/bumped\",\n\
             value: has(object.metadata.annotations.bumped) ? object.metadata.annotations.bumped + \"x\" : \"x\" }},\n\
             JSONPatch{{ op: \"add\", path: \"/data/value\", value: \"the webhook\" }}]' }} }}] }} }}\n\
             ---\n\
             {{ apiVersion: admissionregistration.k8s.io/v1, kind: MutatingAdmissionPolicyBinding,\n\
             metadata: {{ name: {name} }}, spec: {{ policyName: {name} }} }}\n",
            scene.namespace
        ))
        .unwrap();
    let probe = [
        "create",
        "configmap",
        "probe",
        "--from-literal=value=mine",
        "--dry-run=server",
        "--output=jsonpath={.data.value}",
    ];
    wait::until(SOON, "the policy is seen", || {
        // Without annotations there is no place for one, and the policy fails: seen as well.
        let said = scene.edit(&probe).unwrap_or_default();
        Ok((said != "mine").then_some(()))
    })
    .unwrap();
    let bumped = |scene: &Scene<'_>| {
        let found = scene.map("a").unwrap();
        assert_eq!(found["data"]["value"], "the webhook");
        found["metadata"]["annotations"]["bumped"].clone()
    };
    let mut serving = scene.serve("100ms").unwrap();
    assert_eq!(bumped(&scene), "x");
    scene.push("web/c.yaml", &map("c", "one")).unwrap();
    // The next commit is there, so the host heard of what came of its own writes before.
    wait::until(SOON, "the next commit", || {
        Ok(scene.map("c").ok().map(drop))
    })
    .unwrap();
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
    let said = scene.synced().unwrap();
    assert!(!said.contains("ConfigMap"), "{said}");
    assert_eq!(bumped(&scene), "x");
    for kind in ["mutatingadmissionpolicybinding", "mutatingadmissionpolicy"] {
        scene.kubectl.text(&["delete", kind, &name]).unwrap();
    }
}

fn definition(group: &str) -> String {
    format!(
        "//- crd.yaml\n\
         {{ apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {{ name: widgets.{group} }},\n\
         spec: {{ group: {group}, scope: Namespaced, names: {{ kind: Widget, plural: widgets, singular: widget }},\n\
         versions: [{{ name: v1, served: true, storage: true,\n\
         schema: {{ openAPIV3Schema: {{ type: object, x-kubernetes-preserve-unknown-fields: true }} }} }}] }} }}\n"
    )
}

fn widget(group: &str, name: &str) -> String {
    format!(
        "//- {name}.yaml\n{{ apiVersion: {group}/v1, kind: Widget, metadata: {{ name: {name} }} }}\n"
    )
}

/// Somebody else's finalizer, put on or taken off.
fn finalize(duo: &Duo<'_>, what: &str, finalizers: &str) {
    let patch = format!("{{\"metadata\":{{\"finalizers\":{finalizers}}}}}");
    duo.kubectl(&["patch", what, "--type=merge", "--patch", &patch])
        .unwrap();
}

#[test]
fn fault_35_a_definition_that_is_going_is_waited_for_and_made_again_with_all_of_its_kind() {
    let group = "going.example.com";
    let files = definition(group) + &widget(group, "w1") + &file("a", "one");
    let mut duo = Duo::new(plane(), "going", &files).unwrap();
    duo.succeeds().unwrap();
    let (crd, w1) = (
        format!("crd/widgets.{group}"),
        format!("widgets.{group}/w1"),
    );
    finalize(&duo, &w1, "[\"example.test/stays\"]");
    duo.kubectl(&["delete", &crd, "--wait=false"]).unwrap();
    let terminating = ["wait", "--for=condition=Terminating", &crd, "--timeout=60s"];
    duo.kubectl(&terminating).unwrap();
    // One more of its kind, and a change beside it.
    let files = definition(group) + &widget(group, "w1") + &widget(group, "w2") + &file("a", "two");
    duo.push(&files).unwrap();
    let problem = duo.fails().unwrap();
    assert_eq!(problem.fault, "target", "{problem:?}");
    assert!(
        problem.message.contains("it is being deleted"),
        "{problem:?}"
    );
    let value = ["get", "configmap", "a", "-o", "jsonpath={.data.value}"];
    assert_eq!(duo.kubectl(&value).unwrap(), "two");
    // Nobody took the finalizer off.
    let there = duo.kubectl(&["get", &w1, "-o", "jsonpath={.metadata.finalizers}"]);
    assert_eq!(there.unwrap(), "[\"example.test/stays\"]");
    finalize(&duo, &w1, "null");
    duo.kubectl(&["wait", "--for=delete", &crd, "--timeout=60s"])
        .unwrap();
    duo.succeeds().unwrap();
    let widgets = format!("widgets.{group}");
    let there = duo.kubectl(&["get", &widgets, "-o", "name"]).unwrap();
    assert_eq!(there.lines().count(), 2, "{there}");
}

#[test]
fn fault_36_an_api_service_that_is_away_holds_the_kinds_of_its_group_alone() {
    let group = "away.example.com";
    let admin = plane().admin();
    let service = format!(
        "{{ apiVersion: apiregistration.k8s.io/v1, kind: APIService, metadata: {{ name: v1.{group} }},\n\
         spec: {{ group: {group}, version: v1, groupPriorityMinimum: 100, versionPriority: 100, insecureSkipTLSVerify: true,\n\
         service: {{ namespace: default, name: nobody }} }} }}\n"
    );
    admin.apply(&service).unwrap();
    let name = format!("apiservice/v1.{group}");
    let away = [
        "wait",
        "--for=condition=Available=False",
        &name,
        "--timeout=60s",
    ];
    admin.text(&away).unwrap();
    let files = file("a", "one") + &widget(group, "w");
    let mut duo = Duo::new(plane(), "away", &files).unwrap();
    let problem = duo.fails().unwrap();
    let message = &problem.message;
    assert!(
        message.contains(&format!("Widget.{group} {}/w", duo.namespace)),
        "{message}"
    );
    // What is asked of another group goes on, in the same app too.
    let value = ["get", "configmap", "a", "-o", "jsonpath={.data.value}"];
    assert_eq!(duo.kubectl(&value).unwrap(), "one");
    admin.text(&["delete", &name]).unwrap();
    duo.push(&file("a", "two")).unwrap();
    duo.succeeds().unwrap();
    assert_eq!(duo.kubectl(&value).unwrap(), "two");
}

#[test]
fn fault_37_what_was_in_a_namespace_that_went_is_made_again_with_it() {
    let namespace = plane().namespace("gone").unwrap();
    let files = format!(
        "//- ns.yaml\n{{ apiVersion: v1, kind: Namespace, metadata: {{ name: {namespace}-own }} }}\n\
         //- inside.yaml\n{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: inside, namespace: {namespace}-own }} }}\n{}",
        file("outside", "one")
    );
    let mut duo = Duo::into(plane(), namespace.clone(), &files).unwrap();
    duo.succeeds().unwrap();
    let admin = plane().admin();
    let own = format!("{namespace}-own");
    let inside = ["-n", &own, "get", "configmap", "inside", "-o", "name"];
    let finalizer = |finalizers: &str| {
        let patch = format!("{{\"metadata\":{{\"finalizers\":{finalizers}}}}}");
        let words = [
            "-n",
            &own,
            "patch",
            "configmap",
            "inside",
            "--type=merge",
            "-p",
            &patch,
        ];
        admin.text(&words).unwrap();
    };
    finalizer("[\"example.test/stays\"]");
    admin
        .text(&["delete", "namespace", &own, "--wait=false"])
        .unwrap();
    duo.push(&files.replace("value: one", "value: two"))
        .unwrap();
    let problem = duo.fails().unwrap();
    assert!(
        problem
            .message
            .contains("it is being deleted, and made again once it is gone"),
        "{problem:?}"
    );
    let value = [
        "get",
        "configmap",
        "outside",
        "-o",
        "jsonpath={.data.value}",
    ];
    assert_eq!(duo.kubectl(&value).unwrap(), "two");
    finalizer("null");
    let gone = format!("namespace/{own}");
    admin
        .text(&["wait", "--for=delete", &gone, "--timeout=60s"])
        .unwrap();
    duo.succeeds().unwrap();
    admin.text(&inside).unwrap();
}

#[test]
fn fault_38_what_a_finalizer_keeps_stays_known_and_holds_no_apply() {
    let plane = plane();
    let proxy = Proxy::of_plane(plane).unwrap();
    let mut scene = Scene::new(plane, "stays").unwrap();
    let kubeconfig = proxy.kubectl().unwrap().kubeconfig().to_owned();
    scene.weir.variable("KUBECONFIG", kubeconfig);
    scene.synced().unwrap();
    let finalizers = |finalizers: &str| {
        let patch = format!("{{\"metadata\":{{\"finalizers\":{finalizers}}}}}");
        scene
            .kubectl
            .text(&[
                "-n",
                &scene.namespace,
                "patch",
                "configmap",
                "b",
                "--type=merge",
                "-p",
                &patch,
            ])
            .unwrap();
    };
    finalizers("[\"example.test/stays\"]");
    scene.repo.remove("web/b.yaml").unwrap();
    let mut commits = ["two", "three"].into_iter();
    let mut repo = &scene.repo;
    for value in commits.by_ref() {
        repo.write("web/a.yaml", map("a", value)).unwrap();
        repo.git(["add", "--all"]).unwrap();
        repo.git(["commit", "--quiet", "--message", value]).unwrap();
        let said = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
        assert!(
            said.contains(
                "it is being deleted, which waits for its finalizers: example.test/stays"
            ),
            "{said}"
        );
        assert_eq!(scene.map("a").unwrap()["data"]["value"], value);
        let b = scene.map("b").unwrap();
        assert_eq!(b["metadata"]["finalizers"][0], "example.test/stays");
        repo = &scene.repo;
    }
    // It was asked to go once: what is on its way out is not asked again.
    let deletes = proxy.asked().into_iter().filter(|a| a.method == "DELETE");
    assert_eq!(deletes.count(), 1);
    finalizers("null");
    scene.synced().unwrap();
    assert_eq!(scene.names().unwrap().len(), 1);
}

#[test]
fn fault_40_a_limit_of_the_namespace_is_named_and_stops_that_object_alone() {
    let pod = "//- pod.yaml\n\
         { apiVersion: v1, kind: Pod, metadata: { name: big }, spec: { nodeSelector: { no: node }, containers: [\n\
         { name: big, image: registry.test/big:1, resources: { limits: { cpu: \"2\" } } }] } }\n";
    let duo = Duo::new(plane(), "limits", &(pod.to_owned() + &file("a", "one"))).unwrap();
    let limits = format!(
        "{{ apiVersion: v1, kind: LimitRange, metadata: {{ name: small, namespace: {} }},\n\
         spec: {{ limits: [{{ type: Container, max: {{ cpu: \"1\" }} }}] }} }}\n",
        duo.namespace
    );
    plane().admin().apply(&limits).unwrap();
    wait::until(SOON, "the limit is in force", || {
        let words = [
            "run", "probe", "--image=registry.test/a", "--dry-run=server",
            "--overrides={\"spec\":{\"containers\":[{\"name\":\"probe\",\"image\":\"a\",\"resources\":{\"limits\":{\"cpu\":\"2\"}}}]}}",
            "-n", &duo.namespace,
        ];
        Ok((!plane().admin().run(&words)?.ok).then_some(()))
    })
    .unwrap();
    let problem = duo.fails().unwrap();
    assert!(
        problem
            .message
            .contains("maximum cpu usage per Container is 1, but limit is 2"),
        "{problem:?}"
    );
    duo.kubectl(&["get", "configmap", "a"]).unwrap();
    duo.kubectl(&["delete", "limitrange", "small"]).unwrap();
    wait::until(SOON, "the limit is gone", || {
        Ok(duo.sync()?.code.is_some_and(|code| code == 0).then_some(()))
    })
    .unwrap();
}

#[test]
fn fault_42_an_object_of_two_repositories_stays_the_first_ones_and_both_are_named() {
    let scene = scene();
    scene.synced().unwrap();
    let before = scene.map("a").unwrap();
    let url = scene.server.url("work");
    let words = [
        "sync", "--repo", &url, "--name", "second", "--target", "kube:",
    ];
    let said = scene.weir.run(words).unwrap().code(1).unwrap().stderr;
    assert!(
        said.contains("app web of repository") && said.contains("work"),
        "{said}"
    );
    assert_eq!(scene.map("a").unwrap(), before);
    // The first one's next sync finds all as it was.
    let said = scene.synced().unwrap();
    assert!(!said.contains("ConfigMap"), "{said}");
}
