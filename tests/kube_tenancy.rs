//! Whatever a repository renders, it is done as the service account that the operator named, and as nobody else.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::OnceLock;

use serde_json::json;
use weir_tests::control_plane::{AuditEntry, ControlPlane, Kubectl, With, wait};
use weir_tests::scene::{SOON, Scene};
use weir_tests::told::{self, in_json};
use weir_tests::{GitServer, Repo, Serving, Weir, places};

/// The plane of all tests here: no controllers, so that nobody but Weir and the tests asks for anything.
fn plane() -> &'static ControlPlane {
    static PLANE: OnceLock<ControlPlane> = OnceLock::new();
    PLANE.get_or_init(|| ControlPlane::start(With::ApiServer).unwrap())
}

/// Waits for a line about an app with this text in it.
fn wait_app(host: &mut Serving, app: &str, text: &str) {
    told::wait_app(host, app, text, SOON).unwrap();
}

fn stop(host: Serving) {
    told::stop(host, SOON).unwrap();
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

/// All that was asked was asked as the account of the page, but for what is the host's own.
fn only_as_the_account(all: &[AuditEntry]) {
    let deployer = account("shop", "deployer");
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
}

/// What the page says that its roles are not.
fn nothing_more() {
    let admin = plane().admin();
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

    // Other tests ask the same plane at the same time.
    let mut all = asked(since);
    all.retain(|e| e.user == account("weir", "weir"));
    only_as_the_account(&all);
    nothing_more();
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
    let mut here = asked(since);
    here.retain(|e| e.namespace == namespace);
    assert!(!here.is_empty());
    for entry in here {
        let looks = entry.verb == "get" && entry.resource == "serviceaccounts";
        assert!(looks, "{entry:?}");
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
    let of_maps = |e: &AuditEntry| e.resource == "configmaps" && e.namespace == namespace;
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
    let of_objects = |e: &&AuditEntry| e.namespace == namespace && e.resource != "serviceaccounts";
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
