//! Taking over what others made, on a real API server: by kubectl both ways, by `helm install`, as Argo CD and Flux leave it.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use serde_json::{Value, json};
use weir_tests::control_plane::ControlPlane;
use weir_tests::scene::{Scene, map};
use weir_tests::{Ran, places};

fn scene() -> Scene<'static> {
    Scene::new(ControlPlane::shared().unwrap(), "adopt").unwrap()
}

fn adopt(scene: &Scene<'_>, more: &[&str]) -> Ran {
    let url = scene.server.url("work");
    let adopt = ["adopt", "web", "--repo", &url, "--target", "kube:"];
    scene.weir.run(adopt.iter().chain(more)).unwrap()
}

/// What somebody wrote of map `a`: the wanted value's name, one more value, a label and an annotation of theirs.
fn theirs(scene: &Scene<'_>, labels: &str, annotations: &str) -> String {
    format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n  namespace: {}\n  labels: {{ {labels} }}\n  annotations: {{ {annotations} }}\ndata: {{ value: old, extra: old }}\n",
        scene.namespace
    )
}

/// What `kubectl` says to one command with this input.
fn kubectl(scene: &Scene<'_>, arguments: &[&str], input: &str) {
    let ran = scene.kubectl.run_with(arguments, input).unwrap();
    assert!(ran.ok, "{}", ran.stderr);
}

fn managers(map: &Value) -> Vec<String> {
    let entries = map["metadata"]["managedFields"].as_array().unwrap();
    let mut names: Vec<String> = entries
        .iter()
        .map(|e| {
            format!(
                "{} {}",
                e["manager"].as_str().unwrap(),
                e["operation"].as_str().unwrap()
            )
        })
        .collect();
    names.sort();
    names
}

/// Map `a` is as Git says and wholly ours; nothing of a former owner is left on it.
fn is_ours(scene: &Scene<'_>, uid: &Value) {
    let map = scene.map("a").unwrap();
    assert_eq!(map["metadata"]["uid"], *uid, "it was never deleted");
    assert_eq!(map["data"], json!({"value": "one"}));
    assert_eq!(managers(&map), ["weir Apply"]);
    let labels = map["metadata"]["labels"].as_object().unwrap();
    let annotations = map["metadata"]["annotations"].as_object().unwrap();
    for key in labels.keys().chain(annotations.keys()) {
        assert!(key.starts_with("weir.dev/"), "{key} is left");
    }
}

/// A sync names the way, an adoption shows what changes and asks, and then it is ours.
fn is_taken_over(scene: &Scene<'_>) -> String {
    let uid = scene.map("a").unwrap()["metadata"]["uid"].clone();
    let refused = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
    assert!(refused.contains("weir adopt"), "{refused}");
    let before = scene.map("a").unwrap();
    let asked = adopt(scene, &[]).code(2).unwrap();
    assert!(asked.stderr.contains("give --yes"), "{}", asked.stderr);
    assert_eq!(scene.map("a").unwrap(), before, "showing changes nothing");
    adopt(scene, &["--yes", "--why", "from now on by Git"])
        .code(0)
        .unwrap();
    scene.synced().unwrap();
    is_ours(scene, &uid);
    let quiet = scene.synced().unwrap();
    assert!(!quiet.contains("updated"), "{quiet}");
    asked.stdout.replace(&scene.namespace, "NS")
}

#[test]
fn what_kubectl_applied_client_side_is_taken_over_whole() {
    let scene = scene();
    let object = theirs(&scene, "team: shop", "note: hello");
    kubectl(&scene, &["apply", "-f", "-"], &object);
    let shown = is_taken_over(&scene);
    // What kubectl keeps for itself is a whole object in one line.
    let (last, shown): (Vec<&str>, Vec<&str>) = shown
        .lines()
        .partition(|l| l.contains("last-applied-configuration"));
    assert!(last.len() == 1 && last[0].starts_with("  - "), "{last:?}");
    let expected = "\
updated ConfigMap NS/a (app web)
  - data.extra: \"old\"
  ~ data.value: \"old\" -> \"one\"
  - metadata.annotations.note: \"hello\"
  - metadata.labels.team: \"shop\"
1 objects would be taken over; nothing is pruned in that sync
";
    assert_eq!(shown, expected.lines().collect::<Vec<_>>());
}

#[test]
fn what_kubectl_applied_server_side_is_taken_over_whole() {
    let scene = scene();
    let object = theirs(&scene, "team: shop", "note: hello");
    kubectl(&scene, &["apply", "--server-side", "-f", "-"], &object);
    let shown = is_taken_over(&scene);
    assert!(
        shown.contains("- data.extra") && shown.contains("- metadata.labels.team"),
        "{shown}"
    );
}

#[test]
fn what_argo_cd_and_flux_made_is_taken_over_without_their_marks() {
    for (manager, labels, annotations) in [
        (
            "argocd-controller",
            "app.kubernetes.io/instance: shop",
            "argocd.argoproj.io/tracking-id: \"shop:/ConfigMap:x/a\"",
        ),
        (
            "kustomize-controller",
            "kustomize.toolkit.fluxcd.io/name: shop",
            "kustomize.toolkit.fluxcd.io/prune: enabled",
        ),
    ] {
        let scene = scene();
        let object = theirs(&scene, labels, annotations);
        let apply = [
            "apply",
            "--server-side",
            "--field-manager",
            manager,
            "-f",
            "-",
        ];
        kubectl(&scene, &apply, &object);
        is_taken_over(&scene);
    }
}

#[test]
fn a_helm_release_is_taken_over_without_helm_losing_its_record() {
    let mut scene = scene();
    let chart = scene.weir.path("chart");
    std::fs::create_dir_all(chart.join("templates")).unwrap();
    std::fs::write(
        chart.join("Chart.yaml"),
        "apiVersion: v2\nname: shop\nversion: 1.0.0\n",
    )
    .unwrap();
    let template = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata: { value: old, extra: old }\n";
    std::fs::write(chart.join("templates/a.yaml"), template).unwrap();
    let script = format!(
        "{} install shop {} --namespace {}\n",
        places::native().unwrap().join("helm").display(),
        chart.display(),
        scene.namespace
    );
    scene.weir.variable("HELM_DRIVER", "secret");
    let ran = scene.weir.shell(&script, &[]).unwrap().code(0).unwrap();
    assert!(ran.stdout.contains("deployed"), "{}", ran.stdout);
    let before = scene.map("a").unwrap();
    assert_eq!(
        before["metadata"]["labels"]["app.kubernetes.io/managed-by"],
        "Helm"
    );
    is_taken_over(&scene);
    let secrets = scene.edit(&["get", "secrets", "-o", "name"]).unwrap();
    assert!(secrets.contains("sh.helm.release.v1.shop.v1"), "{secrets}");
}

#[test]
fn fields_of_a_controller_stay_its_own_and_a_conflict_with_it_is_named() {
    let scene = scene();
    kubectl(
        &scene,
        &["apply", "-f", "-"],
        &theirs(&scene, "team: shop", "note: hello"),
    );
    let theirs = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata: { value: scaled, own: kept }\n";
    scene.apply_as("a-controller", theirs).unwrap();
    let asked = adopt(&scene, &["--yes"]).code(0).unwrap();
    assert!(asked.stdout.contains("a-controller"), "{}", asked.stdout);
    let refused = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
    assert!(
        refused.contains("a-controller") && refused.contains(".data.value"),
        "{refused}"
    );
    let map = scene.map("a").unwrap();
    assert_eq!(map["data"]["value"], "scaled");
}

#[test]
fn an_adoption_leaves_to_others_what_the_app_leaves_to_them_as_it_shows() {
    let mut scene = scene();
    let manifest = format!(
        "version: 1\napps: [{{ name: web, path: web, target: {{ namespace: {} }}, conflicts: force, \
         ignore: [{{ manager: a-controller }}, {{ fields: [/data/limit] }}] }}]\n",
        scene.namespace
    );
    scene.repo.write("weir.yaml", manifest).unwrap();
    let wanted = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: a }\ndata: { value: one, limit: git, other: git }\n";
    scene.push("web/a.yaml", wanted).unwrap();
    let theirs = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: a, namespace: {} }}\ndata: {{ value: old, limit: old, other: old }}\n",
        scene.namespace
    );
    kubectl(&scene, &["apply", "-f", "-"], &theirs);
    let data = |text: &str| {
        format!("apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: a }}\ndata: {{ {text} }}\n")
    };
    scene
        .apply_as("a-controller", &data("value: scaled"))
        .unwrap();
    scene
        .apply_as("a-person", &data("limit: by hand, other: by hand"))
        .unwrap();
    let shown = adopt(&scene, &["--yes"]).code(0).unwrap().stdout;
    assert!(
        shown.contains("~ data.other")
            && !shown.contains("~ data.value")
            && !shown.contains("data.limit"),
        "{shown}"
    );
    scene.synced().unwrap();
    assert_eq!(
        scene.map("a").unwrap()["data"],
        json!({"value": "scaled", "limit": "by hand", "other": "git"})
    );
}

#[test]
fn an_adoption_is_of_the_objects_and_the_output_that_were_shown_and_prunes_nothing() {
    let mut scene = scene();
    scene.repo.remove("web/a.yaml").unwrap();
    scene.repo.commit("b alone").unwrap();
    scene.synced().unwrap();
    kubectl(
        &scene,
        &["apply", "-f", "-"],
        &theirs(&scene, "team: shop", "note: hello"),
    );
    // The commit that wants it drops b.
    scene.repo.remove("web/b.yaml").unwrap();
    scene.push("web/a.yaml", &map("a", "one")).unwrap();
    adopt(&scene, &["--yes"]).code(0).unwrap();
    // Somebody makes another one of its name: that one was not shown.
    scene.edit(&["delete", "configmap", "a"]).unwrap();
    kubectl(
        &scene,
        &["apply", "-f", "-"],
        &theirs(&scene, "team: shop", "note: hello"),
    );
    scene.sync(&[]).unwrap().code(1).unwrap();
    assert_eq!(scene.map("a").unwrap()["data"]["value"], "old");
    adopt(&scene, &["--yes"]).code(0).unwrap();
    scene.push("web/c.yaml", &map("c", "one")).unwrap();
    scene.sync(&[]).unwrap().code(1).unwrap();
    assert_eq!(
        scene.map("a").unwrap()["data"]["value"],
        "old",
        "another output"
    );
    adopt(&scene, &["--yes"]).code(0).unwrap();
    scene.synced().unwrap();
    let all = ["a", "b", "c"].map(str::to_owned);
    assert_eq!(
        scene.names().unwrap(),
        all.into(),
        "nothing is pruned in that sync"
    );
    scene.synced().unwrap();
    let wanted = ["a", "c"].map(str::to_owned);
    assert_eq!(scene.names().unwrap(), wanted.into());
    let nothing = adopt(&scene, &["--yes"]).code(0).unwrap().stdout;
    assert!(nothing.contains("nothing to take over"), "{nothing}");
}
