//! The last steps of a plugin's life: pushed to a real registry, locked by a repository, and its effect seen in the target.

use weir_tests::plugin_project::{Project, machine};
use weir_tests::registry::Registry;
use weir_tests::scene::map;
use weir_tests::weir::text;
use weir_tests::{Repo, Weir};

const TAG: &str = "shop/team-labels:0.1.0";

/// What an author and whoever uses the plugin do, each on a machine of their own.
pub(crate) fn is_shipped(project: &Project) {
    let registry = Registry::start().unwrap();
    let reference = format!("oci://{}/{TAG}", registry.host());
    let pushed = project.json(["push", "team-labels.wasm", &reference, "-o", "json"]);
    let pushed = pushed.unwrap();
    let manifest = pushed["manifest"].as_str().unwrap();

    let mut repo = Repo::empty().unwrap();
    repo.write("shop/map.yaml", map("settings", "one")).unwrap();
    let text_of = format!(
        "version: 1\nplugins: {{ team-labels: {{ source: \"{reference}\" }} }}\napps:\n\
         - {{ name: shop, path: shop, target: {{ namespace: shop }}, transform: [{{ plugin: team-labels, config: {{ team: shop }} }}] }}\n"
    );
    repo.write("weir.yaml", text_of).unwrap();
    repo.commit("A plugin of another team").unwrap();
    let user = machine().unwrap();
    let run = |user: &Weir, command: &str, more: &[&str]| {
        let path = repo.path();
        let words = [command, "--repo", text(&path).unwrap()];
        let ran = user.run(words.iter().chain(more).copied()).unwrap();
        ran.success().unwrap()
    };
    run(&user, "lock", &[]);
    let lock = std::fs::read_to_string(repo.path().join("weir.lock")).unwrap();
    assert!(lock.contains(manifest), "{manifest} is not in {lock}");
    repo.git(["add", "--all"]).unwrap();
    repo.git(["commit", "--quiet", "--message", "Locked"])
        .unwrap();

    let live = user.path("live");
    let target = format!("dir:{}", live.display());
    run(&user, "sync", &["--target", &target]);
    let landed = std::fs::read_to_string(live.join("shop/configmap/settings.yaml")).unwrap();
    assert!(landed.contains("    team: shop\n"), "{landed}");
}
