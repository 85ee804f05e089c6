//! A repository has what the operator allows it, by namespace and kind, and its apps say what they may not have.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::sync::OnceLock;

use serde_json::{Value, json};
use weir_tests::control_plane::{AuditEntry, ControlPlane, With, wait};
use weir_tests::duo::Duo;
use weir_tests::scene::SOON;
use weir_tests::{GitServer, Repo, Serving, Weir, told};

/// The plane of all tests here: no controllers, so that nobody but Weir and the tests asks for anything.
fn plane() -> &'static ControlPlane {
    static PLANE: OnceLock<ControlPlane> = OnceLock::new();
    PLANE.get_or_init(|| ControlPlane::start(With::ApiServer).unwrap())
}

fn map(name: &str, value: &str) -> String {
    format!(
        "//- {name}.yaml\n{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: {name} }}, data: {{ value: {value} }} }}\n"
    )
}

const SECRET: &str = "//- secret.yaml\n{ apiVersion: v1, kind: Secret, metadata: { name: s }, stringData: { a: b } }\n";

/// Waits for a line about an app with this text in it.
fn wait_app(host: &mut Serving, app: &str, text: &str) {
    told::wait_app(host, app, text, SOON).unwrap();
}

fn stop(host: Serving) {
    told::stop(host, SOON).unwrap();
}

/// A host that follows the two apps, of which its file says this.
fn serve(duo: &Duo<'_>, said: &[&str]) -> Serving {
    serve_one(&duo.weir, &duo.words("sync")[2], said)
}

/// A host that follows one repository, of which its file says this.
fn serve_one(weir: &Weir, url: &str, said: &[&str]) -> Serving {
    let mut file = format!(
        "version: 1\nlisten: 127.0.0.1:0\nrepositories:\n- name: shop\n  url: {url}\n  interval: 1s\n"
    );
    for line in said {
        file.push_str(&format!("  {line}\n"));
    }
    let path = weir.path("host.yaml");
    std::fs::write(&path, file).unwrap();
    let words = ["serve", "--config", path.to_str().unwrap()];
    weir.start(words).unwrap()
}

/// What Weir asked of the plane since then.
fn asked(since: weir_tests::control_plane::Mark) -> Vec<AuditEntry> {
    let mut all = plane().audit().since(since).unwrap();
    all.retain(|entry| entry.user_agent.starts_with("weir/"));
    all
}

#[test]
fn one_object_outside_the_rules_stops_its_app_and_no_other() {
    let elsewhere = "//- more.yaml\n{ apiVersion: v1, kind: ConfigMap, metadata: { name: b, namespace: kube-system } }\n---\n\
        { apiVersion: rbac.authorization.k8s.io/v1, kind: ClusterRole, metadata: { name: reader }, rules: [] }\n";
    let mut duo = Duo::new(plane(), "outside", &(map("a", "one") + SECRET + elsewhere)).unwrap();
    let (own, beside) = (duo.namespace.clone(), duo.beside.clone());
    let allow = format!(
        "allow: {{ namespaces: [{own}, {beside}], kinds: [core/ConfigMap], cluster-kinds: [] }}"
    );
    let since = plane().audit().mark().unwrap();
    let mut host = serve(&duo, &["targets: { default: 'kube:' }", &allow]);
    wait_app(&mut host, "bad", "nothing of the app is applied");
    wait::until(SOON, "good is synced", || Ok(duo.value_of_good().ok())).unwrap();
    let problem = duo.problem().unwrap();
    assert_eq!(
        (problem.stage.as_str(), problem.fault.as_str()),
        ("validate", "repository")
    );
    let by = "`allow` of repository shop";
    let lines: Vec<&str> = problem.message.lines().collect();
    assert_eq!(
        lines,
        [
            format!(
                "app `bad`: bad/more.yaml:1: ConfigMap kube-system/b: namespace kube-system is not among those of {by} (namespaces: {own}, {beside}); nothing of the app is applied: take it out of the repository, or have the host's operator allow it"
            ),
            format!(
                "bad/more.yaml:3: ClusterRole.rbac.authorization.k8s.io reader: kind rbac.authorization.k8s.io/ClusterRole lives in no namespace and is not among those of {by} (cluster-kinds: none)"
            ),
            format!(
                "bad/secret.yaml:1: Secret {own}/s: kind core/Secret is not among those of {by} (kinds: core/ConfigMap)"
            ),
        ]
    );
    // Not even looked at.
    let touched: Vec<AuditEntry> = asked(since)
        .into_iter()
        .filter(|e| e.namespace == own || e.namespace == "kube-system" || e.name == "reader")
        .collect();
    assert!(touched.is_empty(), "{touched:?}");

    duo.push(&map("a", "two")).unwrap();
    wait_app(&mut host, "bad", "synced to");
    duo.kubectl(&["get", "configmap", "a"]).unwrap();
    stop(host);
}

#[test]
fn what_is_held_outside_of_narrower_rules_is_neither_changed_nor_deleted() {
    let mut duo = Duo::new(
        plane(),
        "narrowed",
        &(map("a", "one") + &map("c", "one") + SECRET),
    )
    .unwrap();
    let target = "targets: { default: 'kube:' }";
    let wide = "allow: { kinds: ['*'], cluster-kinds: [] }";
    let narrow = "allow: { kinds: [core/ConfigMap], cluster-kinds: [] }";
    let mut host = serve(&duo, &[target, wide]);
    wait_app(&mut host, "bad", "synced to");
    stop(host);
    let secret = |duo: &Duo<'_>| {
        let version = "jsonpath={.metadata.uid} {.metadata.resourceVersion}";
        duo.kubectl(&["get", "secret", "s", "-o", version])
    };
    let before = secret(&duo).unwrap();

    // It leaves Git too, and so does a map; another map changes.
    duo.push(&map("a", "two")).unwrap();
    let mut host = serve(&duo, &[target, narrow]);
    wait_app(&mut host, "bad", "is neither changed nor deleted now");
    let problem = duo.problem().unwrap();
    let expected = format!(
        "app bad: Secret {}/s: it was synced when the host allowed it, and is neither changed nor deleted now: kind core/Secret is not among those of `allow` of repository shop (kinds: core/ConfigMap). Delete it by hand, or have the host's operator allow it again",
        duo.namespace
    );
    assert_eq!(problem.message, expected);
    assert_eq!(problem.fault, "host");
    let maps = duo.kubectl(&[
        "get",
        "configmap",
        "-o",
        "jsonpath={range .items[*]}{.metadata.name}={.data.value} {end}",
    ]);
    assert_eq!(maps.unwrap(), "a=two ", "the rest of the app is synced");
    wait::until(SOON, "good is synced", || {
        Ok((duo.value_of_good()? == "1").then_some(()))
    })
    .unwrap();
    assert_eq!(secret(&duo).unwrap(), before);
    let by_hand = r#"{"stringData":{"a":"by hand"}}"#;
    duo.kubectl(&["patch", "secret", "s", "--patch", by_hand])
        .unwrap();
    let edited = secret(&duo).unwrap();
    // Rendered again it is no better: now it is wanted and not allowed.
    duo.push(&(map("a", "three") + SECRET)).unwrap();
    wait_app(&mut host, "bad", "nothing of the app is applied");
    let a = ["get", "configmap", "a", "-o", "jsonpath={.data.value}"];
    assert_eq!(duo.kubectl(&a).unwrap(), "two");
    assert_eq!(secret(&duo).unwrap(), edited);
    stop(host);

    // Allowed again it goes as it would have gone.
    duo.push(&map("a", "four")).unwrap();
    let mut host = serve(&duo, &[target, wide]);
    wait_app(&mut host, "bad", "synced to");
    assert!(secret(&duo).is_err());
    stop(host);
}

#[test]
fn what_is_deleted_by_hand_outside_of_the_rules_is_forgotten() {
    let mut duo = Duo::new(plane(), "forgotten", &(map("a", "one") + SECRET)).unwrap();
    let target = "targets: { default: 'kube:' }";
    let mut host = serve(&duo, &[target]);
    wait_app(&mut host, "bad", "synced to");
    stop(host);
    duo.push(&map("a", "two")).unwrap();
    duo.kubectl(&["delete", "secret", "s"]).unwrap();
    let narrow = "allow: { kinds: [core/ConfigMap], cluster-kinds: [] }";
    let mut host = serve(&duo, &[target, narrow]);
    // A map that is changed in the second in which it was made is not counted.
    wait_app(&mut host, "bad", " to");
    stop(host);
    let apps = duo.weir.run(["apps", "-o", "json"]).unwrap();
    let apps: Value = serde_json::from_str(&apps.success().unwrap()).unwrap();
    let bad = &apps[0]["apps"][0];
    assert_eq!(
        (&bad["name"], &bad["state"], &bad["objects"]),
        (&json!("bad"), &json!("synced"), &json!(1))
    );
}

#[test]
fn an_app_that_leaves_prunes_nothing_while_it_holds_something_outside_of_the_rules() {
    let manifest =
        "version: 1\napps:\n- { name: stays, path: stays, target: { namespace: shop } }\n";
    let leaving = "- { name: bad, path: bad, remove: prune, target: { namespace: shop } }\n";
    let mut repo = Repo::empty().unwrap();
    repo.write_text(&map("a", "one").replace("//- ", "//- bad/"))
        .unwrap();
    repo.write_text(&SECRET.replace("//- ", "//- bad/"))
        .unwrap();
    repo.write_text(&map("z", "one").replace("//- ", "//- stays/"))
        .unwrap();
    repo.write("weir.yaml", format!("{manifest}{leaving}"))
        .unwrap();
    repo.commit("first").unwrap();
    let server = GitServer::of(&repo).unwrap();
    let weir = Weir::new().unwrap();
    let wide = "allow: { kinds: ['*'], cluster-kinds: [] }";
    let narrow = "allow: { kinds: [core/ConfigMap], cluster-kinds: [] }";
    let target = "targets: { default: 'dir:./live' }";
    let start = |rules: &str| serve_one(&weir, &server.url("work"), &[target, rules]);
    let mut host = start(wide);
    wait_app(&mut host, "bad", "synced to");
    stop(host);
    repo.write("weir.yaml", manifest).unwrap();
    repo.commit("bad leaves").unwrap();
    let mut host = start(narrow);
    wait_app(
        &mut host,
        "bad",
        "is neither changed nor deleted now: kind core/Secret",
    );
    stop(host);
    let live = weir.path("live/shop");
    assert!(live.join("secret/s.yaml").exists() && live.join("configmap/a.yaml").exists());
    let mut host = start(wide);
    wait_app(&mut host, "bad", "pruned");
    stop(host);
    assert!(!live.join("secret/s.yaml").exists() && !live.join("configmap/a.yaml").exists());
    assert!(live.join("configmap/z.yaml").exists());
}

/// A definition of a kind that lives in no namespace.
fn definition(group: &str) -> String {
    format!(
        "{{ apiVersion: apiextensions.k8s.io/v1, kind: CustomResourceDefinition, metadata: {{ name: issuers.{group} }},\n\
         spec: {{ group: {group}, scope: Cluster, names: {{ kind: Issuer, plural: issuers, singular: issuer }},\n\
         versions: [{{ name: v1, served: true, storage: true,\n\
         schema: {{ openAPIV3Schema: {{ type: object, x-kubernetes-preserve-unknown-fields: true }} }} }}] }} }}\n"
    )
}

#[test]
fn a_custom_kind_in_no_namespace_does_not_get_one_by_naming_it() {
    let group = "issuers.example.test";
    plane().admin().apply(&definition(group)).unwrap();
    let crd = format!("crd/issuers.{group}");
    let established = ["wait", "--for=condition=Established", &crd, "--timeout=60s"];
    plane().admin().text(&established).unwrap();
    let named = |metadata: &str| {
        format!(
            "//- issuer.yaml\n{{ apiVersion: {group}/v1, kind: Issuer, metadata: {{ {metadata} }} }}\n"
        )
    };
    // The render puts it into the app's namespace, which is allowed; so does the file itself.
    let mut duo = Duo::new(plane(), "scope", &named("name: i")).unwrap();
    let (own, beside) = (duo.namespace.clone(), duo.beside.clone());
    let allow = |cluster: &str| {
        format!("allow: {{ namespaces: [{own}, {beside}], cluster-kinds: [{cluster}] }}")
    };
    let mut host = serve(&duo, &["targets: { default: 'kube:' }", &allow("")]);
    let why = |name: &str| {
        format!(
            "Issuer.{group} {own}/{name}: kind {group}/Issuer lives in no namespace and is not among those of"
        )
    };
    wait_app(&mut host, "bad", &why("i"));
    duo.push(&named(&format!("name: j, namespace: {own}")))
        .unwrap();
    wait_app(&mut host, "bad", &why("j"));
    let issuers = format!("issuers.{group}");
    let get = ["get", issuers.as_str(), "-o", "name"];
    assert_eq!(duo.kubectl(&get).unwrap(), "");
    stop(host);
    let mut host = serve(
        &duo,
        &[
            "targets: { default: 'kube:' }",
            &allow(&format!("{group}/Issuer")),
        ],
    );
    wait_app(&mut host, "bad", "synced to");
    assert_eq!(duo.kubectl(&get).unwrap().lines().count(), 1);
    stop(host);
}

#[test]
fn a_namespace_is_made_and_labelled_only_where_its_name_is_allowed() {
    let namespace = |name: &str| {
        format!(
            "//- ns.yaml\n{{ apiVersion: v1, kind: Namespace, metadata: {{ name: {name}, labels: {{ pod-security.kubernetes.io/enforce: privileged }} }} }}\n"
        )
    };
    let mut duo = Duo::new(plane(), "labels", &namespace("kube-system")).unwrap();
    let (own, beside) = (duo.namespace.clone(), duo.beside.clone());
    let allow =
        format!("allow: {{ namespaces: ['{own}*', {beside}], cluster-kinds: [core/Namespace] }}");
    let mut host = serve(&duo, &["targets: { default: 'kube:' }", &allow]);
    wait_app(
        &mut host,
        "bad",
        "namespace kube-system is not among those of",
    );
    let labels = [
        "get",
        "namespace",
        "kube-system",
        "-o",
        "jsonpath={.metadata.labels}",
    ];
    let labels = plane().admin().text(&labels).unwrap();
    assert!(!labels.contains("privileged"), "{labels}");
    let more = format!("{own}-more");
    duo.push(&namespace(&more)).unwrap();
    wait_app(&mut host, "bad", "synced to");
    plane().admin().text(&["get", "namespace", &more]).unwrap();
    stop(host);
}

#[test]
fn a_directory_is_held_to_the_rules_of_its_repository_and_its_own() {
    let mut duo = Duo::new(plane(), "files", &(map("a", "one") + SECRET)).unwrap();
    let (own, beside) = (duo.namespace.clone(), duo.beside.clone());
    let allow = format!("allow: {{ namespaces: [{own}, {beside}], cluster-kinds: [] }}");
    let target = "targets: { default: { place: 'dir:./live', allow: { kinds: [core/ConfigMap], cluster-kinds: ['*'] } } }";
    let mut host = serve(&duo, &[target, &allow]);
    wait_app(
        &mut host,
        "bad",
        "kind core/Secret is not among those of `allow` of target default of repository shop",
    );
    let live = duo.weir.path("live");
    let file =
        |namespace: &str, name: &str| live.join(format!("{namespace}/configmap/{name}.yaml"));
    wait::until(SOON, "good is there", || {
        Ok(file(&beside, "map").exists().then_some(()))
    })
    .unwrap();
    assert!(!live.join(&own).exists(), "nothing of bad is there");
    // The target's rules say nothing of namespaces, the repository's do.
    let elsewhere = "//- b.yaml\n{ apiVersion: v1, kind: ConfigMap, metadata: { name: b, namespace: other } }\n";
    duo.push(elsewhere).unwrap();
    wait_app(
        &mut host,
        "bad",
        "namespace other is not among those of `allow` of repository shop",
    );
    duo.push(&map("a", "one")).unwrap();
    wait_app(&mut host, "bad", "synced to");
    assert!(file(&own, "a").exists());
    stop(host);
}

#[test]
fn a_repository_cannot_say_whose_its_objects_are() {
    let says = |field: &str, key: &str| {
        format!(
            "//- a.yaml\n{{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: a, {field}: {{ {key}: x }} }} }}\n"
        )
    };
    let mut duo = Duo::new(plane(), "names", &says("annotations", "weir.dev/owner")).unwrap();
    for (field, key, said) in [
        ("annotations", "weir.dev/owner", "annotation weir.dev/owner"),
        ("labels", "weir.dev/repository", "label weir.dev/repository"),
        ("labels", "weir.dev/app", "label weir.dev/app"),
    ] {
        duo.push(&says(field, key)).unwrap();
        let problem = duo.fails().unwrap();
        assert_eq!(problem.stage, "validate");
        let expected = format!(
            "bad/a.yaml:1: error [reserved-key] ConfigMap {}/a: {said} is written by Weir alone",
            duo.namespace
        );
        assert!(problem.message.contains(&expected), "{}", problem.message);
    }
    assert!(duo.kubectl(&["get", "configmap", "a"]).is_err());
}
