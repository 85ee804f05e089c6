//! Protected paths where lines of history come together.

use super::*;

#[test]
fn a_merge_that_takes_an_older_protected_file_back_is_a_change_of_its_own() {
    let scene = Scene::new();
    let policy = protected();
    scene.repo.git(&["checkout", "-q", "-b", "old"]);
    let old = scene.repo.commit(&[("b", "1")]);
    scene.repo.git(&["checkout", "-q", "main"]);
    let trusted = scene.by("ann", &[("policy/p", "2")]);
    // The right merge, in either order of its parents.
    scene
        .repo
        .git(&["merge", "-q", "--no-ff", "-m", "m", "old"]);
    assert!(
        scene
            .judged(&policy, Some(trusted), scene.repo.head())
            .is_ok()
    );
    scene.repo.git(&["checkout", "-q", "-B", "other", "old"]);
    scene
        .repo
        .git(&["merge", "-q", "--no-ff", "-m", "m", &trusted.to_string()]);
    assert!(
        scene
            .judged(&policy, Some(trusted), scene.repo.head())
            .is_ok()
    );
    // The wrong one, in either order.
    for parents in [[old, trusted], [trusted, old]] {
        let [one, two] = parents.map(|id| id.to_string());
        let tree = scene.repo.git(&["rev-parse", &format!("{old}^{{tree}}")]);
        let merge = scene
            .repo
            .git(&["commit-tree", "-p", &one, "-p", &two, "-m", "m", &tree]);
        let verdict = scene.judged(&policy, Some(trusted), merge.parse().unwrap());
        says(verdict, "protected", &format!("commit {}", &merge[..10]));
    }
}

#[test]
fn a_merge_of_the_owners_own_vouches_for_nothing_that_it_only_took() {
    let scene = Scene::new();
    let policy = protected();
    let git = |words: &[&str]| scene.repo.git(words);
    scene.by("ann", &[("policy/p", "1")]);
    git(&["checkout", "-q", "-b", "feature"]);
    scene.repo.commit(&[("b", "1")]);
    git(&["checkout", "-q", "main"]);
    scene.by("ann", &[("policy/p", "2")]);
    // Ann brings a branch of somebody else up to date: the file is as it is on main.
    git(&["checkout", "-q", "feature"]);
    let merge = ["merge", "-q", "-S", "--no-ff", "-m", "m", "main"];
    let updated = scene.home.signed(&scene.repo, "ann", &merge);
    git(&["checkout", "-q", "main"]);
    let trusted = scene.by("ann", &[("policy/p", "3")]);
    // Nobody who may made it 2 again.
    let tree = git(&["rev-parse", &format!("{updated}^{{tree}}")]);
    let (one, two) = (trusted.to_string(), updated.to_string());
    let merge = git(&["commit-tree", "-p", &one, "-p", &two, "-m", "m", &tree]);
    let verdict = scene.judged(&policy, Some(trusted), merge.parse().unwrap());
    says(verdict, "protected", &format!("commit {}", &merge[..10]));
    // Ann herself may, by a merge as by any commit.
    git(&["reset", "-q", "--hard", &merge]);
    let amend = ["commit", "-q", "-S", "--amend", "--no-edit"];
    let merge = scene.home.signed(&scene.repo, "ann", &amend);
    let verdict = scene.judged(&policy, Some(trusted), merge);
    assert!(verdict.is_ok(), "{verdict:?}");
}
