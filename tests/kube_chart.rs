//! An app of a chart from a real OCI registry, synced to a real API server; the registry is needed once.

use weir_tests::charts::archive;
use weir_tests::control_plane::ControlPlane;
use weir_tests::registry::Registry;
use weir_tests::scene::Scene;
use weir_tests::weir::text;

const MAP: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-settings\n  namespace: {{ .Release.Namespace }}\ndata:\n  colour: {{ .Values.colour }}\n";
const HOOK: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {{ .Release.Name }}-before\n  annotations: {helm.sh/hook: pre-install, helm.sh/hook-weight: \"3\"}\n";
const JOB: &str = "apiVersion: batch/v1\nkind: Job\nmetadata:\n  name: {{ .Release.Name }}-migrate\n  annotations: {helm.sh/hook: \"pre-install,pre-upgrade\"}\nspec:\n  template:\n    spec: { restartPolicy: Never, containers: [{ name: run, image: 'registry.test/run:1' }] }\n";

#[test]
fn an_app_of_a_chart_from_a_registry_is_synced_and_the_registry_is_asked_once() {
    let mut scene = Scene::new(ControlPlane::shared().unwrap(), "chart").unwrap();
    scene.weir.begin_with_engines().unwrap();
    let registry = Registry::start().unwrap();
    let files = [
        ("values.yaml", "colour: none\n"),
        ("templates/settings.yaml", MAP),
        ("templates/before.yaml", HOOK),
        ("templates/migrate.yaml", JOB),
    ];
    let chart = archive("shop", "1.4.0", &files).unwrap();
    registry.push_chart("charts/shop", "1.4.0", &chart).unwrap();
    let whole = registry.reference("charts/shop", "");
    let (repository, _) = whole.split_once("/shop?").unwrap();
    let manifest = format!(
        "version: 1\napps:\n- name: web\n  path: web\n  render: {{ plugin: helm, config: {{ repository: \"{repository}\", chart: shop, version: 1.x, values: [prod.yaml] }} }}\n  target: {{ namespace: {} }}\n",
        scene.namespace
    );
    for name in ["a", "b"] {
        scene.repo.remove(&format!("web/{name}.yaml")).unwrap();
    }
    scene.repo.write("weir.yaml", manifest).unwrap();
    scene.push("web/prod.yaml", "colour: red\n").unwrap();

    let refused = scene.sync(&[]).unwrap().code(1).unwrap().stderr;
    assert!(refused.contains("run `weir lock`"), "{refused}");
    let path = scene.repo.path();
    let lock = ["lock", "--repo", text(&path).unwrap()];
    scene.weir.run(lock).unwrap().success().unwrap();
    scene.repo.commit("Lock").unwrap();
    scene.synced().unwrap();
    assert_eq!(scene.map("web-settings").unwrap()["data"]["colour"], "red");
    let before = scene.map("web-before").unwrap();
    let annotations = &before["metadata"]["annotations"];
    assert_eq!(annotations["weir.dev/hook"], "pre");
    assert_eq!(annotations["weir.dev/hook-weight"], "3");
    let ran = [
        "get",
        "job",
        "web-migrate",
        "--output=jsonpath={.status.succeeded}",
    ];
    assert_eq!(scene.edit(&ran).unwrap(), "1");

    drop(registry);
    scene.push("web/prod.yaml", "colour: green\n").unwrap();
    scene.synced().unwrap();
    assert_eq!(
        scene.map("web-settings").unwrap()["data"]["colour"],
        "green"
    );
}
