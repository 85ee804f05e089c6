//! Several teams on one host: whatever a repository renders, it is done as the account that the operator named, and only
//! what the host's file allows.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::{Value, json};
use weir_tests::control_plane::{AuditEntry, ControlPlane, Kubectl, With, wait};
use weir_tests::duo::Duo;
use weir_tests::scene::{SOON, Scene};
use weir_tests::{GitServer, Repo, Serving, Weir, places};

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

/// A text as it stands within a line of JSON.
fn in_json(text: &str) -> String {
    Value::from(text).to_string().trim_matches('"').to_owned()
}

/// Waits for a line about an app with this text in it.
fn wait_app(host: &mut Serving, app: &str, text: &str) {
    let (app, text) = (format!("\"app\":\"{app}\""), in_json(text));
    let both = |line: &str| line.contains(&app) && line.contains(&text);
    host.wait_for(&format!("{app}: {text}"), SOON, both)
        .unwrap();
}

/// A host that follows the two apps, of which its file says this.
fn serve(duo: &Duo<'_>, said: &[&str]) -> Serving {
    let url = duo.words("sync")[2].clone();
    let mut file = format!(
        "version: 1\nlisten: 127.0.0.1:0\nrepositories:\n- name: shop\n  url: {url}\n  interval: 1s\n"
    );
    for line in said {
        file.push_str(&format!("  {line}\n"));
    }
    let path = duo.weir.path("host.yaml");
    std::fs::write(&path, file).unwrap();
    let words = ["serve", "--config", path.to_str().unwrap()];
    duo.weir.start(words).unwrap()
}

fn stop(mut host: Serving) {
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

/// What Weir asked of the plane since then.
fn asked(since: weir_tests::control_plane::Mark) -> Vec<AuditEntry> {
    let mut all = plane().audit().since(since).unwrap();
    all.retain(|entry| entry.user_agent.starts_with("weir/"));
    all
}

fn account(namespace: &str, name: &str) -> String {
    format!("system:serviceaccount:{namespace}:{name}")
}

/// Gives somebody a role in a namespace.
fn may(namespace: &str, whom: &str, verbs: &str, what: &[&str]) {
    static COUNT: std::sync::atomic::AtomicUsize = std::sync::atomic::AtomicUsize::new(0);
    let count = COUNT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let (name, verbs) = (format!("role-{count}"), format!("--verb={verbs}"));
    let mut role = vec!["create", "role", &name, &verbs, "-n", namespace];
    role.extend(what);
    let admin = plane().admin();
    admin.text(&role).unwrap();
    let role = format!("--role={name}");
    admin
        .text(&["create", "rolebinding", &name, &role, whom, "-n", namespace])
        .unwrap();
}

/// All rights on config maps.
fn maps(namespace: &str, whom: &str) {
    let verbs = "get,list,create,patch,delete";
    may(namespace, whom, verbs, &["--resource=configmaps"]);
}

// ---- as whom

/// The fenced YAML of the page: the host's file, the host's roles, a team's roles.
fn page() -> [String; 3] {
    let page = std::fs::read_to_string(places::root().join("docs/tenancy.md")).unwrap();
    let mut rest = page.as_str();
    let mut found = Vec::new();
    while let Some((_, after)) = rest.split_once("```yaml\n") {
        let (block, after) = after.split_once("```\n").unwrap();
        found.push(block.to_owned());
        rest = after;
    }
    found.try_into().unwrap()
}

/// A kubeconfig of a service account, by a token that the API server gives out.
fn kubeconfig_of(weir: &Weir, namespace: &str, name: &str) -> PathBuf {
    let admin = plane().admin();
    let token = admin
        .text(&["create", "token", name, "-n", namespace])
        .unwrap();
    let view = ["config", "view", "--raw", "--flatten"];
    let mut config = admin.json(&view).unwrap();
    config["users"][0]["user"] = json!({ "token": token.trim() });
    let path = weir.path("token.kubeconfig");
    std::fs::write(&path, config.to_string()).unwrap();
    path
}

fn team() -> Repo {
    let mut repo = Repo::empty().unwrap();
    repo.write_text(
        "//- weir.yaml\n\
         version: 1\n\
         apps: [{ name: web, path: web, target: { namespace: shop } }]\n\
         //- web/a.yaml\n\
         { apiVersion: v1, kind: ConfigMap, metadata: { name: a }, data: { value: one } }\n\
         //- web/b.yaml\n\
         { apiVersion: v1, kind: ConfigMap, metadata: { name: b }, data: { value: one } }\n\
         //- web/secret.yaml\n\
         { apiVersion: v1, kind: Secret, metadata: { name: s }, stringData: { a: b } }\n\
         //- web/service.yaml\n\
         { apiVersion: v1, kind: Service, metadata: { name: web }, spec: { ports: [{ port: 80 }] } }\n\
         //- web/deployment.yaml\n\
         apiVersion: apps/v1\n\
         kind: Deployment\n\
         metadata: { name: web }\n\
         spec:\n\
         \u{20} selector: { matchLabels: { app: web } }\n\
         \u{20} template: { metadata: { labels: { app: web } }, spec: { containers: [{ name: web, image: x }] } }\n",
    )
    .unwrap();
    repo.commit("first").unwrap();
    repo
}

/// One of the host's own requests: which kinds there are, what changes in them, whether the account is there.
fn is_of_the_host(entry: &AuditEntry) -> bool {
    match (entry.verb.as_str(), entry.resource.as_str()) {
        (_, "") => entry.uri.starts_with("/api"),
        ("get", "serviceaccounts") => entry.namespace == "shop" && entry.name == "deployer",
        (verb, _) => (verb == "list" || verb == "watch") && entry.namespace.is_empty(),
    }
}

#[test]
fn the_roles_of_the_page_are_enough_and_all_but_the_watches_runs_as_the_account() {
    let admin = plane().admin();
    let [file, host, team_roles] = page();
    for yaml in [host, team_roles] {
        admin.apply(&yaml).unwrap();
    }
    let mut repo = team();
    let server = GitServer::of(&repo).unwrap();
    let mut weir = Weir::new().unwrap();
    let kubeconfig = kubeconfig_of(&weir, "weir", "weir");
    weir.variable("KUBECONFIG", &kubeconfig);
    let url = format!("{}\n  interval: 1h", server.url("work"));
    let file = file.replace("https://git.example/team/shop.git", &url);
    let path = weir.path("host.yaml");
    std::fs::write(
        &path,
        file.replace("version: 1\n", "version: 1\nlisten: 127.0.0.1:0\n"),
    )
    .unwrap();

    let since = plane().audit().mark().unwrap();
    let mut serving = weir
        .start(["serve", "--config", path.to_str().unwrap()])
        .unwrap();
    wait_app(&mut serving, "web", "synced to");
    // Nobody polls: the host's own watch sees it, the account puts it back.
    let patch = r#"{"data":{"value":"by hand"}}"#;
    admin
        .text(&["patch", "configmap", "a", "-n", "shop", "--patch", patch])
        .unwrap();
    wait::until(SOON, "the edit is undone", || {
        let map = admin.json(&["get", "configmap", "a", "-n", "shop"])?;
        Ok((map["data"]["value"] == "one").then_some(()))
    })
    .unwrap();
    repo.remove("web/b.yaml").unwrap();
    repo.commit("b leaves").unwrap();
    weir.run(["refresh"]).unwrap().success().unwrap();
    wait::until(SOON, "b is gone", || {
        let b = admin.run(&["get", "configmap", "b", "-n", "shop"])?;
        Ok((!b.ok).then_some(()))
    })
    .unwrap();
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));

    let all = asked(since);
    let deployer = account("shop", "deployer");
    assert!(
        all.iter().all(|e| e.user == account("weir", "weir")),
        "{all:#?}"
    );
    let (acting, own): (Vec<_>, Vec<_>) = all.iter().partition(|e| !e.acting_as.is_empty());
    for entry in &acting {
        assert_eq!(
            (&entry.acting_as, entry.namespace.as_str()),
            (&deployer, "shop"),
            "{entry:?}"
        );
    }
    for entry in &own {
        assert!(is_of_the_host(entry), "{entry:?}");
    }
    // Its page does not let it see Secrets, and it goes on without.
    let refused: BTreeSet<&str> = all
        .iter()
        .filter(|e| e.code == 403)
        .map(|e| e.resource.as_str())
        .collect();
    assert_eq!(refused, BTreeSet::from(["secrets"]));
    let done: BTreeSet<(&str, &str, &str)> = acting
        .iter()
        .map(|e| (e.verb.as_str(), e.resource.as_str(), e.name.as_str()))
        .collect();
    for expected in [
        ("patch", "configmaps", "a"),
        ("patch", "secrets", "s"),
        ("patch", "services", "web"),
        ("patch", "deployments", "web"),
        ("delete", "configmaps", "b"),
    ] {
        assert!(done.contains(&expected), "no {expected:?} in {done:?}");
    }

    // What the page says that these roles are not.
    let host = account("weir", "weir");
    for (verb, what) in [
        ("create", "configmaps"),
        ("get", "secrets"),
        ("impersonate", "serviceaccounts/other"),
        ("impersonate", "serviceaccounts"),
        ("impersonate", "users/ann"),
        ("impersonate", "groups/system:masters"),
    ] {
        let can = ["auth", "can-i", verb, what, "-n", "shop", "--as", &host];
        let answer = admin.run(&can).unwrap();
        assert_eq!(answer.stdout.trim(), "no", "{verb} {what}");
    }
    let can = [
        "auth",
        "can-i",
        "impersonate",
        "serviceaccounts/deployer",
        "-n",
        "default",
        "--as",
        &host,
    ];
    assert_eq!(admin.run(&can).unwrap().stdout.trim(), "no");
}

#[test]
fn an_account_that_is_not_there_stops_all_before_anything_is_written_and_nothing_falls_back() {
    let mut scene = Scene::new(plane(), "gone").unwrap();
    let namespace = scene.namespace.clone();
    let named = format!("{namespace}/deployer");
    let flags = ["--as", named.as_str()];
    // The host itself may do everything: a fall-back would succeed.
    let since = plane().audit().mark().unwrap();
    let said = scene.sync(&flags).unwrap().code(1).unwrap().stderr;
    let why = format!(
        "service account {named}, as which the target kube: runs, is not there, so nothing is read or written: create it, or name another one"
    );
    assert!(said.contains(&why), "{said}");
    for entry in asked(since) {
        let looks = entry.resource.is_empty() || entry.resource == "serviceaccounts";
        assert!(looks && entry.verb == "get", "{entry:?}");
    }

    // Rights come from the groups that an account has by its namespace; nobody may impersonate a group.
    maps(
        &namespace,
        &format!("--group=system:serviceaccounts:{namespace}"),
    );
    scene
        .edit(&["create", "serviceaccount", "deployer"])
        .unwrap();
    let since = plane().audit().mark().unwrap();
    scene.sync(&flags).unwrap().code(0).unwrap();
    let of_maps = |e: &AuditEntry| e.resource == "configmaps";
    let by: BTreeSet<String> = asked(since)
        .into_iter()
        .filter(of_maps)
        .map(|e| e.acting_as)
        .collect();
    assert_eq!(by, BTreeSet::from([account(&namespace, "deployer")]));

    // What was bound to it still is, and would be used by the API server.
    scene
        .edit(&["delete", "serviceaccount", "deployer"])
        .unwrap();
    scene
        .push("web/a.yaml", &weir_tests::scene::map("a", "two"))
        .unwrap();
    let since = plane().audit().mark().unwrap();
    let said = scene.sync(&flags).unwrap().code(1).unwrap().stderr;
    assert!(said.contains(&why), "{said}");
    assert!(!asked(since).iter().any(of_maps));
    assert_eq!(scene.map("a").unwrap()["data"]["value"], "one");
}

#[test]
fn an_account_that_goes_while_a_host_runs_stops_the_next_write() {
    let mut scene = Scene::new(plane(), "going").unwrap();
    let namespace = scene.namespace.clone();
    scene
        .edit(&["create", "serviceaccount", "deployer"])
        .unwrap();
    maps(
        &namespace,
        &format!("--serviceaccount={namespace}:deployer"),
    );
    let url = scene.server.url("work");
    let named = format!("{namespace}/deployer");
    let mut serving = scene
        .weir
        .start([
            "serve",
            "--repo",
            &url,
            "--target",
            "kube:",
            "--as",
            &named,
            "--interval",
            "1h",
            "--listen",
            "127.0.0.1:0",
        ])
        .unwrap();
    wait_app(&mut serving, "web", "synced to");
    scene
        .edit(&["delete", "serviceaccount", "deployer"])
        .unwrap();
    scene
        .push("web/a.yaml", &weir_tests::scene::map("a", "two"))
        .unwrap();
    scene.weir.run(["refresh"]).unwrap().success().unwrap();
    // All that it has is watched, so nothing has to be asked for before the write.
    wait_app(
        &mut serving,
        "web",
        "is not there, so nothing is read or written",
    );
    assert_eq!(scene.map("a").unwrap()["data"]["value"], "one");
    // It is tried again by itself.
    scene
        .edit(&["create", "serviceaccount", "deployer"])
        .unwrap();
    wait_app(&mut serving, "web", "synced to");
    assert_eq!(scene.map("a").unwrap()["data"]["value"], "two");
    stop(serving);
}

#[test]
fn what_an_account_may_not_do_names_it_and_the_role_that_is_missing() {
    let mut scene = Scene::new(plane(), "roles").unwrap();
    let namespace = scene.namespace.clone();
    scene
        .repo
        .write(
            "web/s.yaml",
            "{ apiVersion: v1, kind: Secret, metadata: { name: s }, stringData: { a: b } }\n",
        )
        .unwrap();
    scene.repo.commit("a secret").unwrap();
    scene
        .edit(&["create", "serviceaccount", "deployer"])
        .unwrap();
    let whom = format!("--serviceaccount={namespace}:deployer");
    maps(&namespace, &whom);
    let named = format!("{namespace}/deployer");
    let flags = ["--as", named.as_str()];
    let user = account(&namespace, "deployer");
    let lacks = |verb: &str| {
        format!(
            "service account {named} may not do this: secrets \"s\" is forbidden: User \"{user}\" cannot {verb} resource \"secrets\" in API group \"\" in the namespace \"{namespace}\". Bind it a Role in namespace {namespace} with apiGroups [\"\"], resources [secrets], verbs [{verb}], or leave the object out"
        )
    };
    for (given, verb) in [
        (None, "get"),
        (Some("get,list"), "patch"),
        (Some("patch"), "create"),
    ] {
        if let Some(given) = given {
            may(&namespace, &whom, given, &["--resource=secrets"]);
        }
        let said = scene.sync(&flags).unwrap().code(1).unwrap().stderr;
        assert!(said.contains(&in_json(&lacks(verb))), "{verb}: {said}");
    }
    may(&namespace, &whom, "create", &["--resource=secrets"]);
    scene.sync(&flags).unwrap().code(0).unwrap();

    // A dry run is one's own, too.
    let since = plane().audit().mark().unwrap();
    let url = scene.server.url("work");
    let diff = [
        "diff", "--repo", &url, "--live", "--target", "kube:", "--as", &named,
    ];
    scene.weir.run(diff).unwrap().code(0).unwrap();
    let of_objects = |e: &&AuditEntry| !e.namespace.is_empty() && e.resource != "serviceaccounts";
    let all = asked(since);
    assert!(all.iter().filter(of_objects).count() >= 3, "{all:?}");
    assert!(
        all.iter().filter(of_objects).all(|e| e.acting_as == user),
        "{all:?}"
    );
}

#[test]
fn a_host_that_may_not_be_the_account_does_nothing_in_its_place() {
    let mut scene = Scene::new(plane(), "may-not").unwrap();
    let namespace = scene.namespace.clone();
    scene
        .edit(&["create", "serviceaccount", "deployer"])
        .unwrap();
    maps(
        &namespace,
        &format!("--serviceaccount={namespace}:deployer"),
    );
    let who = format!("host-{namespace}");
    let user: Kubectl = plane().user(&who, None).unwrap();
    // It could write itself.
    maps(&namespace, &format!("--user={who}"));
    scene.weir.variable("KUBECONFIG", user.kubeconfig());
    let named = format!("{namespace}/deployer");
    let flags = ["--as", named.as_str()];
    let said = scene.sync(&flags).unwrap().code(1).unwrap().stderr;
    let why = format!("User \"{who}\" cannot get resource \"serviceaccounts\"");
    assert!(said.contains(&in_json(&why)), "{said}");

    may(
        &namespace,
        &format!("--user={who}"),
        "get",
        &["--resource=serviceaccounts"],
    );
    let said = scene.sync(&flags).unwrap().code(1).unwrap().stderr;
    let why = format!(
        "this host may not run as service account {named}, and does nothing in its place: "
    );
    assert!(said.contains(&why), "{said}");
    assert!(said.contains("cannot impersonate"), "{said}");
    assert!(scene.names().unwrap().is_empty());

    let right = ["--resource=serviceaccounts", "--resource-name=deployer"];
    may(&namespace, &format!("--user={who}"), "impersonate", &right);
    scene.sync(&flags).unwrap().code(0).unwrap();
    assert_eq!(scene.names().unwrap().len(), 2);
}

#[test]
fn flags_and_files_that_name_no_account_are_refused_before_anything_is_made() {
    let weir = Weir::new().unwrap();
    for (account, expected) in [
        ("", "NAMESPACE/NAME"),
        ("deployer", "NAMESPACE/NAME"),
        ("system:serviceaccount:shop:deployer", "NAMESPACE/NAME"),
        ("eu=shop/deployer", "--as: no --target binds eu"),
    ] {
        let words = ["sync", "--repo", ".", "--target", "kube:", "--as", account];
        let said = weir.run(words).unwrap().code(2).unwrap().stderr;
        assert!(said.contains(expected), "{account}: {said}");
    }
    let words = ["serve", "--config", "host.yaml", "--as", "shop/deployer"];
    let said = weir.run(words).unwrap().code(2).unwrap().stderr;
    assert!(said.contains("--config") && said.contains("--as"), "{said}");
    let file = weir.path("host.yaml");
    let text = "version: 1\nrepositories:\n- url: https://h/x\n  targets: { default: { place: 'kube:', as: } }\n";
    std::fs::write(&file, text).unwrap();
    let words = ["serve", "--config", file.to_str().unwrap()];
    let said = weir.run(words).unwrap().code(2).unwrap().stderr;
    assert!(
        said.contains("host.yaml:4:43: expected text, found nothing"),
        "{said}"
    );
    assert!(!weir.state_dir().exists(), "nothing was made");
}

// ---- what

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
