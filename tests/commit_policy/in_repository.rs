//! Protected paths, and lists of signers that lie in the repository itself.

use super::*;

const LIST: &str = ".weir/allowed-signers";

/// The lines of a host's file: anybody of both lists may sign, and only Ann may change the manifest and the policy.
fn protected(scene: &Scene) -> String {
    let both = scene.line("ann") + &scene.line("bob");
    scene.signers.write("both.list", &both).unwrap();
    let file = |name: &str| scene.signers.path(name).display().to_string();
    format!(
        "  commits:\n    signed: {{ signers-file: {} }}\n    fast-forward-only: true\n    protected:\n    - {{ paths: [weir.yaml, 'policy/**'], signers-file: {} }}\n",
        file("both.list"),
        file("ann.list")
    )
}

#[test]
fn a_protected_path_is_changed_by_those_who_may_and_held_for_others() {
    let mut scene = Scene::new();
    let lines = protected(&scene);
    scene.repo.write("policy/rules", "one\n").unwrap();
    // At the first start all that is protected has to be vouched for.
    let by_bob = scene.by("bob", "zero");
    let mut host = scene.serve_file(&lines);
    let words = format!("commit {} is refused", &by_bob[..10]);
    let line = host.serving.wait_for_text(&words, SOON).unwrap();
    assert!(line.contains("is protected"), "{line}");
    let first = scene.by("ann", "one");
    host.lands(&first, "one");
    // Elsewhere Bob may.
    let second = scene.by("bob", "two");
    host.lands(&second, "two");
    scene.repo.write("policy/rules", "two\n").unwrap();
    let bad = scene.by("bob", "three");
    let words = format!(
        "policy/rules is protected, and was changed by commit {}",
        &bad[..10]
    );
    host.holds(&scene, &bad, &words);
    // Whoever signs a commit after it, the change is there.
    let after = scene.by("ann", "four");
    host.holds(&scene, &after, &words);
    scene.repo.write("policy/rules", "one\n").unwrap();
    let undone = scene.by("bob", "five");
    host.lands(&undone, "five");
    host.is_well();
    scene.repo.write("policy/rules", "three\n").unwrap();
    let right = scene.by("ann", "six");
    host.lands(&right, "six");
    host.stops();
}

#[test]
fn the_signers_in_the_repository_change_hands_by_those_who_were_listed() {
    let mut scene = Scene::new();
    let first_list = scene.signers.path("ann.list").display().to_string();
    let lines = format!(
        "  commits:\n    signed: {{ signers-in: {LIST}, first-signers-file: {first_list} }}\n"
    );
    scene.repo.write(LIST, scene.line("ann")).unwrap();
    let first = scene.by("ann", "one");
    let mut host = scene.serve_file(&lines);
    host.lands(&first, "one");
    // Bob lists himself.
    scene.repo.write(LIST, scene.line("bob")).unwrap();
    let taken = scene.by("bob", "two");
    host.holds(&scene, &taken, "which is not among the keys that may sign");
    // Ann lists him, and he takes her off, in one push; then a commit of his.
    scene.repo.reset(&first).unwrap();
    let both = scene.line("ann") + &scene.line("bob");
    scene.repo.write(LIST, both).unwrap();
    scene.by("ann", "three");
    scene.repo.write(LIST, scene.line("bob")).unwrap();
    scene.by("bob", "four");
    let handed = scene.by("bob", "five");
    host.lands(&handed, "five");
    let late = scene.by("ann", "six");
    host.holds(&scene, &late, "which is not among the keys that may sign");
    host.stops();
    // A restart asks the last accepted commit and not the host's first list.
    let mut host = scene.serve_file(&lines);
    host.good = (
        tree_digest(&scene.weir.path("live")).unwrap(),
        handed.clone(),
    );
    host.says(&handed, Some("which is not among the keys that may sign"));
    // Nobody can lock everybody out.
    scene.repo.write(LIST, "# nobody\n").unwrap();
    let empty = scene.by("bob", "seven");
    host.holds(&scene, &empty, "could not be used from then on");
    scene.repo.write(LIST, scene.line("bob")).unwrap();
    let good = scene.by("bob", "eight");
    host.lands(&good, "eight");
    host.stops();
}

#[test]
fn the_first_list_in_the_repository_may_be_named_by_its_digest() {
    let mut scene = Scene::new();
    let lines = |digest: &str| {
        format!(
            "  commits: {{ signed: {{ signers-in: {LIST}, first-signers-digest: '{digest}' }} }}\n"
        )
    };
    let digest = weir_core::digest::Digest::of(scene.line("ann").as_bytes()).to_string();
    scene.repo.write(LIST, scene.line("bob")).unwrap();
    let taken = scene.by("bob", "one");
    let mut host = scene.serve_file(&lines(&digest));
    let words = format!("commit {} is refused", &taken[..10]);
    let line = host.serving.wait_for_text(&words, SOON).unwrap();
    assert!(
        line.contains(&format!(
            "is not the first one that this host was told: expected {digest}"
        )),
        "{line}"
    );
    scene.repo.write(LIST, scene.line("ann")).unwrap();
    let good = scene.by("ann", "two");
    host.lands(&good, "two");
    host.stops();
}
