//! The spine on a real cluster: thirty apps with namespaces, definitions and their resources, RBAC, Deployments, Jobs, Secrets and Services, over http, until they run.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::{Value, json};
use weir_core::owner::{ANNOTATION, APP_LABEL};
use weir_tests::control_plane::{AuditEntry, ControlPlane, Kubectl, wait};
use weir_tests::weir::Ran;
use weir_tests::{GitServer, Repo, Weir};

#[path = "kube_spine/objects.rs"]
mod objects;

use objects::{deployment, has, job, map, object, secret, title};

/// Longer than a rollout takes on a fake node, on any machine.
const SOON: Duration = Duration::from_secs(90);
const APPS: usize = 30;
const WEBS: usize = 6;
const JOBS: usize = 4;
/// Maps of each app that has nothing else, as in the spine.
const MAPS: usize = 10;
const RBAC: &str = "rbac.authorization.k8s.io";
/// The kinds that are always there; those of a scene's definitions come to them.
const KINDS: &str = "namespace,customresourcedefinition,configmap,secret,serviceaccount,role,rolebinding,\
    clusterrole,clusterrolebinding,deployment,service,job";

/// What each app has in Git, or in the cluster: `Kind namespace/name`.
type Objects = BTreeMap<String, BTreeSet<String>>;

/// One repository with everything in it named after `prefix`, and a user of the cluster of that name.
struct Spine {
    plane: &'static ControlPlane,
    prefix: &'static str,
    repo: Repo,
    server: GitServer,
    weir: Weir,
    kubectl: Kubectl,
    /// By app, then by file.
    files: BTreeMap<String, BTreeMap<String, Vec<Value>>>,
}

impl Spine {
    fn new(prefix: &'static str) -> Spine {
        let plane = ControlPlane::shared().unwrap();
        let repo = Repo::empty().unwrap();
        let server = GitServer::of(&repo).unwrap();
        let mut weir = Weir::new().unwrap();
        let user = plane.user(prefix, Some("system:masters")).unwrap();
        weir.variable("KUBECONFIG", user.kubeconfig());
        let mut spine = Spine {
            plane,
            prefix,
            repo,
            server,
            weir,
            kubectl: plane.admin(),
            files: BTreeMap::new(),
        };
        spine.put_first();
        for n in 0..WEBS {
            spine.put_web(n);
        }
        for n in 0..JOBS {
            let app = format!("job-{n}");
            let objects = [
                job(&app, &spine.namespace(n)),
                map(&app, &spine.namespace(n), "one"),
            ];
            spine.put(&app, "all", &objects);
        }
        for n in 0..APPS - spine.files.len() {
            let app = format!("config-{n}");
            for m in 0..MAPS {
                let object = map(&format!("{app}-{m}"), &spine.namespace(n), "one");
                spine.put(&app, &format!("map-{m}"), &[object]);
            }
        }
        assert_eq!(spine.files.len(), APPS);
        spine.write_manifest();
        spine.repo.commit("Thirty apps").unwrap();
        spine
    }

    /// What others need, and what needs an order.
    fn put_first(&mut self) {
        let namespaces: Vec<Value> = (0..3)
            .map(|n| object("v1", "Namespace", &self.namespace(n), None, json!({})))
            .collect();
        self.put("namespaces", "all", &namespaces);
        let home = self.namespace(0);
        let widgets: Vec<Value> = (0..3).map(|n| self.resource("Widget", n)).collect();
        self.put("crds", "widget", &[self.definition("Widget")]);
        self.put("crds", "about", &[map("about-crds", &home, "one")]);
        self.put("widgets", "widgets", &widgets);
        self.put("widgets", "about", &[map("about-widgets", &home, "one")]);
        let gadgets: Vec<Value> = (0..3).map(|n| self.resource("Gadget", n)).collect();
        // The resources first, in the order of files: that is not the order of apply.
        self.put("gadgets", "a-gadgets", &gadgets);
        self.put("gadgets", "b-definition", &[self.definition("Gadget")]);
        self.put("gadgets", "about", &[map("about-gadgets", &home, "one")]);
        self.put_rbac();
        let secrets: Vec<Value> = (0..5)
            .map(|n| secret(&format!("plain-{n}"), &self.namespace(n)))
            .collect();
        self.put("secrets", "all", &secrets);
    }

    fn put_rbac(&mut self) {
        let (home, wide) = (self.namespace(1), format!("{}-reader", self.prefix));
        let rbac = format!("{RBAC}/v1");
        let rules =
            json!({ "rules": [{ "apiGroups": [""], "resources": ["pods"], "verbs": ["get"] }] });
        let binding = |kind: &str, name: &str| {
            json!({
                "roleRef": { "apiGroup": RBAC, "kind": kind, "name": name },
                "subjects": [{ "kind": "ServiceAccount", "name": "reader", "namespace": home }],
            })
        };
        let objects = [
            object("v1", "ServiceAccount", "reader", Some(&home), json!({})),
            object(&rbac, "Role", "reader", Some(&home), rules.clone()),
            object(
                &rbac,
                "RoleBinding",
                "reader",
                Some(&home),
                binding("Role", "reader"),
            ),
            object(&rbac, "ClusterRole", &wide, None, rules),
            object(
                &rbac,
                "ClusterRoleBinding",
                &wide,
                None,
                binding("ClusterRole", &wide),
            ),
        ];
        self.put("rbac", "all", &objects);
    }

    /// A Deployment with what it uses, and a Service before it.
    fn put_web(&mut self, n: usize) {
        let (app, home) = (format!("web-{n}"), self.namespace(n));
        let ports = json!([{ "port": 80, "targetPort": 8080 }]);
        let service = json!({ "spec": { "selector": { "run": app }, "ports": ports } });
        let objects = [
            map(&app, &home, "one"),
            secret(&app, &home),
            object("v1", "Service", &app, Some(&home), service),
        ];
        self.put(&app, "all", &objects);
        self.put(&app, "deployment", &[deployment(&app, &home, 1)]);
    }

    fn put(&mut self, app: &str, file: &str, objects: &[Value]) {
        let text: String = objects.iter().map(|o| format!("---\n{o}\n")).collect();
        self.repo
            .write(&format!("apps/{app}/{file}.yaml"), text)
            .unwrap();
        let files = self.files.entry(app.to_owned()).or_default();
        files.insert(file.to_owned(), objects.to_vec());
    }

    fn remove(&mut self, app: &str, file: &str) -> Vec<Value> {
        self.repo
            .remove(&format!("apps/{app}/{file}.yaml"))
            .unwrap();
        self.files.get_mut(app).unwrap().remove(file).unwrap()
    }

    fn write_manifest(&self) {
        let apps: Vec<Value> = self
            .files
            .keys()
            .map(|app| {
                let after = match app.as_str() {
                    "namespaces" => vec![],
                    "widgets" => vec!["namespaces", "crds"],
                    _ => vec!["namespaces"],
                };
                json!({ "name": app, "path": format!("apps/{app}"), "after": after })
            })
            .collect();
        let manifest = json!({
            "version": 1,
            "plugins": {
                "metadata": { "source": "bundled:metadata" },
                "baseline": { "source": "bundled:baseline" },
            },
            "defaults": {
                "transform": [{ "plugin": "metadata", "config": { "labels": { "team": "shop" } } }],
                "validate": [{ "plugin": "baseline" }],
            },
            "apps": apps,
        });
        self.repo.write("weir.yaml", manifest.to_string()).unwrap();
    }

    fn namespace(&self, n: usize) -> String {
        format!("{}-{}", self.prefix, n % 3)
    }

    fn group(&self) -> String {
        format!("{}.example.test", self.prefix)
    }

    fn definition(&self, kind: &str) -> Value {
        let (singular, group) = (kind.to_lowercase(), self.group());
        let plural = format!("{singular}s");
        let size = json!({ "type": "object", "properties": { "size": { "type": "integer" } } });
        let schema = json!({ "type": "object", "properties": { "spec": size } });
        let name = format!("{plural}.{group}");
        let version = json!({
            "name": "v1", "served": true, "storage": true, "schema": { "openAPIV3Schema": schema },
        });
        let names = json!({ "kind": kind, "plural": plural, "singular": singular });
        let spec = json!({
            "group": group, "scope": "Namespaced", "names": names, "versions": [version],
        });
        let api = "apiextensions.k8s.io/v1";
        object(
            api,
            "CustomResourceDefinition",
            &name,
            None,
            json!({ "spec": spec }),
        )
    }

    fn resource(&self, kind: &str, n: usize) -> Value {
        let api = format!("{}/v1", self.group());
        let name = format!("{}-{n}", kind.to_lowercase());
        let spec = json!({ "spec": { "size": n } });
        object(&api, kind, &name, Some(&self.namespace(n)), spec)
    }

    fn sync(&self) -> Ran {
        let url = self.server.url("work");
        let words = [
            "sync",
            "--repo",
            &url,
            "--name",
            self.prefix,
            "--target",
            "kube:",
        ];
        self.weir.run(words).unwrap()
    }

    fn commit_and_sync(&mut self) {
        self.repo.commit("Change").unwrap();
        self.sync().code(0).unwrap();
    }

    /// A sync is held, since the app loses what takes more with it, and a person says yes.
    fn approved(&self, app: &str) {
        self.sync().code(4).unwrap();
        let approve = self.weir.run(["approve", app, "--yes"]).unwrap();
        approve.code(0).unwrap();
    }

    /// What a sync asks of the cluster.
    fn requests_of(&self, sync: impl FnOnce()) -> Vec<AuditEntry> {
        let mark = self.plane.audit().mark().unwrap();
        sync();
        let entries = self.plane.audit().since(mark).unwrap();
        let ours = entries.into_iter().filter(|e| e.user == self.prefix);
        ours.collect()
    }

    fn in_git(&self) -> Objects {
        let of =
            |files: &BTreeMap<String, Vec<Value>>| files.values().flatten().map(title).collect();
        let apps = self.files.iter();
        apps.map(|(app, files)| (app.clone(), of(files))).collect()
    }

    /// What carries our labels, by the app that they name.
    fn in_the_cluster(&self) -> Objects {
        let mut kinds = KINDS.to_owned();
        let all = self.files.values().flat_map(BTreeMap::values).flatten();
        for definition in all.filter(|o| o["kind"] == "CustomResourceDefinition") {
            kinds = format!(
                "{kinds},{}",
                definition["metadata"]["name"].as_str().unwrap()
            );
        }
        let mut found = Objects::new();
        for item in self.labelled(&kinds) {
            let app = item["metadata"]["labels"][APP_LABEL].as_str().unwrap();
            found
                .entry(app.to_owned())
                .or_default()
                .insert(title(&item));
        }
        found
    }

    fn labelled(&self, kinds: &str) -> Vec<Value> {
        let label = format!("weir.dev/repository={}", self.prefix);
        let all = ["get", kinds, "--all-namespaces", "--selector", &label];
        let found = self.kubectl.json(&all).unwrap();
        found["items"].as_array().unwrap().clone()
    }

    fn one(&self, kind: &str, namespace: &str, name: &str) -> Value {
        self.kubectl
            .json(&["get", kind, name, "--namespace", namespace])
            .unwrap()
    }

    fn is_there(&self, kind: &str, name: &str, namespace: &str) -> bool {
        let answer = self
            .kubectl
            .run(&["get", kind, name, "--namespace", namespace])
            .unwrap();
        assert!(
            answer.ok
                || answer.stderr.contains("not found")
                || answer.stderr.contains("NotFound")
                || answer.stderr.contains("doesn't have a resource type"),
            "{answer:?}"
        );
        answer.ok
    }

    /// Waits until every Deployment is available in its newest form, and every Job complete.
    fn wait_until_it_runs(&self) {
        let what = "Deployments are available and Jobs complete";
        wait::until(SOON, what, || {
            let all = self.labelled("deployment,job");
            let run = |o: &Value| match o["kind"].as_str() {
                Some("Job") => has(o, "Complete"),
                _ => {
                    has(o, "Available")
                        && o["status"]["observedGeneration"] == o["metadata"]["generation"]
                }
            };
            Ok(all.iter().all(run).then_some(all.len()))
        })
        .map(|ran| assert_eq!(ran, WEBS + JOBS))
        .unwrap();
    }
}

#[test]
fn thirty_apps_of_all_kinds_run_and_a_second_sync_writes_nothing() {
    let mut spine = Spine::new("spine");
    spine.sync().code(0).unwrap();
    assert_eq!(spine.in_the_cluster(), spine.in_git());
    spine.wait_until_it_runs();

    let again = spine.requests_of(|| drop(spine.sync().code(0).unwrap()));
    let writes: Vec<_> = again
        .iter()
        .filter(|e| !matches!(e.verb.as_str(), "get" | "list"))
        .collect();
    assert!(writes.is_empty(), "{writes:?}");
    let objects: usize = spine.in_git().values().map(BTreeSet::len).sum();
    println!(
        "a second sync of {objects} objects in {APPS} apps: {} requests",
        again.len()
    );
    assert!(again.len() < objects, "{}: {again:?}", again.len());

    // A rollout: the same objects in a newer form.
    let before = spine.one("deployment", &spine.namespace(0), "web-0");
    let newer = deployment("web-0", &spine.namespace(0), 2);
    spine.put("web-0", "deployment", &[newer]);
    spine.commit_and_sync();
    spine.wait_until_it_runs();
    let after = spine.one("deployment", &spine.namespace(0), "web-0");
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    let image = &after["spec"]["template"]["spec"]["containers"][0]["image"];
    assert_eq!(image, "registry.example/web-0:1.0.2");
}

#[test]
fn an_apps_label_shows_its_objects() {
    let spine = Spine::new("labels");
    spine.sync().code(0).unwrap();
    let shown = spine
        .kubectl
        .text(&[
            "get",
            "deploy,svc,cm,secret,job",
            "-A",
            "-l",
            "weir.dev/app=web-1",
        ])
        .unwrap();
    let home = spine.namespace(1);
    let here = shown.lines().filter(|line| line.starts_with(&home));
    let names: BTreeSet<&str> = here.filter_map(|l| l.split_whitespace().nth(1)).collect();
    let expected = [
        "configmap/web-1",
        "deployment.apps/web-1",
        "secret/web-1",
        "service/web-1",
    ];
    assert_eq!(names, BTreeSet::from(expected), "{shown}");
}

#[test]
fn what_leaves_git_leaves_the_cluster_and_what_moves_stays_the_same_object() {
    let mut spine = Spine::new("moves");
    spine.sync().code(0).unwrap();
    spine.wait_until_it_runs();
    let home = spine.namespace(1);
    let before = spine.one("configmap", &home, "config-1-3");

    spine.remove("config-1", "map-4");
    spine.remove("web-1", "deployment");
    let moved = spine.remove("config-1", "map-3");
    spine.put("config-4", "map-3-moved", &moved);
    // An app may end with nothing of a kind that it had.
    let home_of_job = spine.namespace(2);
    spine.put("job-2", "all", &[map("job-2", &home_of_job, "two")]);
    spine.commit_and_sync();

    assert_eq!(spine.in_the_cluster(), spine.in_git());
    let after = spine.one("configmap", &home, "config-1-3");
    assert_eq!(after["metadata"]["uid"], before["metadata"]["uid"]);
    let owner = after["metadata"]["annotations"][ANNOTATION]
        .as_str()
        .unwrap();
    assert!(owner.contains("/config-4:"), "{owner}");
    assert!(!spine.is_there("configmap", "config-1-4", &home));
    // What controllers made of them goes with them.
    for (selector, namespace) in [("run=web-1", &home), ("job-name=job-2", &home_of_job)] {
        let words = [
            "get",
            "pod",
            "--namespace",
            namespace,
            "--selector",
            selector,
        ];
        wait::until(SOON, &format!("no pod with {selector} is left"), || {
            let pods = spine.kubectl.json(&words)?;
            Ok(pods["items"].as_array().unwrap().is_empty().then_some(()))
        })
        .unwrap();
    }
}

#[test]
fn a_definition_goes_after_its_resources_and_leaves_nothing_behind() {
    let mut spine = Spine::new("defined");
    spine.sync().code(0).unwrap();
    assert_eq!(spine.in_the_cluster(), spine.in_git());

    // In one app.
    spine.remove("gadgets", "a-gadgets");
    spine.remove("gadgets", "b-definition");
    spine.repo.commit("No gadgets").unwrap();
    spine.approved("gadgets");
    let asked = spine.requests_of(|| drop(spine.sync().code(0).unwrap()));
    let deletes = asked.iter().filter(|e| e.verb == "delete");
    let deleted: Vec<&str> = deletes.map(|e| e.resource.as_str()).collect();
    assert_eq!(
        deleted,
        ["gadgets", "gadgets", "gadgets", "customresourcedefinitions"]
    );
    assert_eq!(spine.in_the_cluster(), spine.in_git());

    // In two: the app that needs the definition comes after the one that has it, also when both go.
    spine.remove("crds", "widget");
    spine.remove("widgets", "widgets");
    spine.repo.commit("No widgets").unwrap();
    spine.approved("crds");
    spine.sync().code(0).unwrap();
    assert_eq!(spine.in_the_cluster(), spine.in_git());
    let name = format!("widgets.{}", spine.group());
    assert!(!spine.is_there("customresourcedefinition", &name, "default"));

    // And back again.
    let widgets: Vec<Value> = (0..3).map(|n| spine.resource("Widget", n)).collect();
    let definition = spine.definition("Widget");
    spine.put("crds", "widget", &[definition]);
    spine.put("widgets", "widgets", &widgets);
    spine.commit_and_sync();
    assert_eq!(spine.in_the_cluster(), spine.in_git());
    let again = spine.requests_of(|| drop(spine.sync().code(0).unwrap()));
    assert!(
        again
            .iter()
            .all(|e| matches!(e.verb.as_str(), "get" | "list")),
        "{again:?}"
    );
}
