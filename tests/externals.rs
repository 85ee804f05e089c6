//! Charts and bases from outside the repository through the real binary: locked, fetched, shown. The servers are a real OCI
//! registry, a chart repository over plain http and `git http-backend`; the renderer is a guest in Go.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;

use weir_tests::charts::{FileServer, archive, sha256};
use weir_tests::registry::Registry;
use weir_tests::{GitServer, Repo};

/// A repository and a machine.
#[path = "externals/scene.rs"]
mod scene;

use scene::{Scene, says, web};

#[test]
fn a_chart_is_found_by_rendering_locked_and_shown_without_the_server() {
    let server = FileServer::start().unwrap();
    let (old, new) = (web("1.2.0", "old"), web("1.3.0", "new"));
    server.charts(&[
        ("web", "1.2.0", &old),
        ("web", "1.3.0", &new),
        ("web", "2.0.0", &old),
    ]);
    let reference = server.reference("web", "%5E1.2");
    let scene = Scene::new(&[]);
    scene.lock();
    scene.asks(&[&reference]);
    says(
        &scene.render().code(1).unwrap().stderr,
        &["not-locked", &reference, "run `weir lock`"],
    );
    let lock = scene.lock();
    says(
        &lock,
        &[
            &reference,
            "version: \"1.3.0\"",
            &format!("sha256:{}", sha256(&new)),
            &format!("size: {}", new.len()),
        ],
    );
    drop(server);
    says(
        &scene.rendered(),
        &["0.templates.a.yaml: new", "0.Chart.yaml:"],
    );
    scene.run("lock", &["--check"]).success().unwrap();
    scene.repo.git(["add", "--all"]).unwrap();
    scene
        .repo
        .git(["commit", "--quiet", "--message", "All"])
        .unwrap();
    let target = format!("dir:{}", scene.weir.path("live").display());
    scene
        .run("sync", &["--ref", "main", "--target", &target])
        .success()
        .unwrap();
    let same = [
        "--live",
        "--exit-code",
        "--ref",
        "main",
        "--target",
        &target,
    ];
    scene.run("diff", &same).success().unwrap();
}

#[test]
fn a_chart_in_a_registry_is_pinned_by_the_digest_of_its_layer() {
    let registry = Registry::start().unwrap();
    let chart = web("1.2.0", "from oci");
    registry.push_chart("charts/web", "1.2.0", &chart).unwrap();
    registry
        .push_chart("charts/web", "1.3.0-rc.1", &web("1.3.0-rc.1", "rc"))
        .unwrap();
    registry
        .push_chart("charts/web", "1.1.0_b.2", &web("1.1.0+b.2", "build"))
        .unwrap();
    registry
        .push_chart("charts/web", "latest", &web("9.9.9", "tag"))
        .unwrap();
    let (any, build) = (
        registry.reference("charts/web", ""),
        registry.reference("charts/web", "1.1.0+b.2"),
    );
    let scene = Scene::new(&[&any, &build]);
    let lock = scene.lock();
    says(
        &lock,
        &[
            &format!("sha256:{}", sha256(&chart)),
            "version: \"1.2.0\"",
            "version: \"1.1.0+b.2\"",
        ],
    );
    drop(registry);
    says(
        &scene.rendered(),
        &["0.templates.a.yaml: from oci", "1.templates.a.yaml: build"],
    );
}

#[test]
fn another_repository_is_pinned_by_its_commit() {
    let mut base =
        Repo::from_text("//- kustomization.yaml\nresources: [a.yaml]\n//- deep/a.yaml\nfirst\n")
            .unwrap();
    base.symlink("linked", "deep/a.yaml").unwrap();
    base.symlink("leaving", "../../../weir.yaml").unwrap();
    let first = base.commit("With links").unwrap();
    base.tag("v1").unwrap();
    let mut server = GitServer::of(&base).unwrap();
    let url = server.url("work").replace("http://", "git+http://");
    let tagged = format!("{url}?ref=v1");
    let scene = Scene::new(&[&tagged, &url]);
    let lock = scene.lock();
    assert_eq!(
        lock.matches(&format!("commit: \"{first}\"")).count(),
        2,
        "{lock}"
    );
    base.write("deep/a.yaml", "second\n").unwrap();
    let second = base.commit("Second").unwrap();
    says(
        &scene.rendered(),
        &[
            "0.deep.a.yaml: |\n    first",
            "0.linked: |\n    first",
            "1.deep.a.yaml: |\n    first",
        ],
    );
    assert!(!scene.rendered().contains("leaving"));
    // On another host nothing is in the cache: the commit is fetched by its id, wherever the refs are by now.
    fs::remove_dir_all(scene.weir.cache_dir().join("externals")).unwrap();
    says(&scene.rendered(), &["1.deep.a.yaml: |\n    first"]);
    scene.run("lock", &["--update"]).success().unwrap();
    says(
        &scene.locked(),
        &[
            &format!("commit: \"{first}\""),
            &format!("commit: \"{second}\""),
        ],
    );
    server.down().unwrap();
    says(
        &scene.rendered(),
        &[
            "0.deep.a.yaml: |\n    first",
            "1.deep.a.yaml: |\n    second",
        ],
    );
    let exact = format!("{url}?ref={first}");
    scene.asks(&[&exact]);
    server.up().unwrap();
    assert!(scene.lock().contains(&format!("commit: \"{first}\"")));
}

#[test]
fn a_pin_is_kept_without_a_question_until_update() {
    let registry = Registry::start().unwrap();
    let server = FileServer::start().unwrap();
    let (old, new) = (web("1.0.0", "old"), web("1.0.0", "new"));
    registry.push_chart("web", "1.0.0", &old).unwrap();
    server.charts(&[("web", "1.0.0", &old)]);
    let (oci, helm) = (
        registry.reference("web", "1.0.0"),
        server.reference("web", ""),
    );
    let scene = Scene::new(&[&oci, &helm]);
    let first = scene.lock();
    let asked = server.requests().len();
    // The tag moves, and the repository publishes something newer.
    registry.push_chart("web", "1.0.0", &new).unwrap();
    server.charts(&[
        ("web", "1.0.0", &old),
        ("web", "1.1.0", &web("1.1.0", "newer")),
    ]);
    assert_eq!(scene.lock(), first);
    assert_eq!(server.requests().len(), asked);
    says(&scene.rendered(), &["0.templates.a.yaml: old"]);
    // A host that has nothing yet gets what is pinned, too, not what the tag names now.
    fs::remove_dir_all(scene.archives()).unwrap();
    says(
        &scene.rendered(),
        &["0.templates.a.yaml: old", "1.templates.a.yaml: old"],
    );
    scene.run("lock", &["--check"]).success().unwrap();
    scene.run("lock", &["--update"]).success().unwrap();
    says(
        &scene.rendered(),
        &["0.templates.a.yaml: new", "1.templates.a.yaml: newer"],
    );
}

#[test]
fn what_is_asked_for_no_more_is_dropped_and_what_is_declared_stays() {
    let server = FileServer::start().unwrap();
    let names: Vec<String> = ["a", "b", "c"]
        .iter()
        .map(|n| server.reference(n, ""))
        .collect();
    let charts: Vec<_> = ["a", "b", "c"]
        .iter()
        .map(|n| archive(n, "1.0.0", &[]).unwrap())
        .collect();
    server.charts(&[
        ("a", "1.0.0", &charts[0]),
        ("b", "1.0.0", &charts[1]),
        ("c", "1.0.0", &charts[2]),
    ]);
    let scene = Scene::new(&[&names[0], &names[1]]);
    let lock = scene.lock();
    assert!(
        lock.contains(&names[0]) && lock.contains(&names[1]),
        "{lock}"
    );
    let declared = format!("externals: [\"{}\"]\n", names[2]);
    scene.manifest(&[&names[1]], &declared);
    scene.run("lock", &["--check"]).code(3).unwrap();
    let lock = scene.lock();
    assert!(
        !lock.contains(&names[0]) && lock.contains(&names[1]) && lock.contains(&names[2]),
        "{lock}"
    );
    // An app that cannot be rendered may need all that is there.
    scene.repo.write("weir.yaml", "version: 1\nplugins: { renders: { source: \"file:renders.wasm\" } }\napps: [{ name: app, path: app, render: { plugin: renders, config: { do: plain } } }]\n").unwrap();
    let ran = scene.run("lock", &[]).code(0).unwrap();
    says(
        &ran.stderr,
        &["could not be rendered while locking", "an ordinary error"],
    );
    assert_eq!(scene.locked(), lock);
    scene.manifest(&[], "");
    assert!(!scene.lock().contains("externals"));
}

#[test]
fn externals_that_lead_to_others_are_followed_to_an_end() {
    let server = FileServer::start().unwrap();
    let last = archive("last", "1.0.0", &[("end", "reached")]).unwrap();
    let next = server.reference("last", "");
    let first = archive("first", "1.0.0", &[("next", &next)]).unwrap();
    server.charts(&[("first", "1.0.0", &first), ("last", "1.0.0", &last)]);
    let scene = Scene::new(&[&server.reference("first", "")]);
    assert!(scene.lock().contains(&next));
    says(&scene.rendered(), &["1.end: reached"]);
    // Each leads to another one, for ever: each name is new, and the charts are the same.
    let mut charts = Vec::new();
    for n in 0..40 {
        let next = server.reference(&format!("c{}", n + 1), "");
        charts.push((
            format!("c{n}"),
            archive("c", "1.0.0", &[("next", &next)]).unwrap(),
        ));
    }
    let all: Vec<(&str, &str, &[u8])> = charts
        .iter()
        .map(|(n, a)| (n.as_str(), "1.0.0", a.as_slice()))
        .collect();
    server.charts(&all);
    scene.asks(&[&server.reference("c0", "")]);
    says(
        &scene.fails("lock", &[], 2),
        &["rounds of rendering", "declare them under `externals:`"],
    );
}
