//! `weir render` and `weir diff` over http: any revision that Git understands, and clear words for those that are not there.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use weir_tests::{GitServer, Repo, Weir};

/// Three commits on `main` with values one, two and three, a tag on the second; `side` leaves after the first.
struct Rig {
    repo: Repo,
    server: GitServer,
    weir: Weir,
    ids: [String; 3],
    side: String,
}

fn rig() -> Rig {
    let mut repo = Repo::empty().unwrap();
    let commit = |repo: &mut Repo, value: &str| {
        let map = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: shop, namespace: a }}\ndata: {{ value: \"{value}\" }}\n"
        );
        repo.write("app/map.yaml", map).unwrap();
        repo.commit(value).unwrap()
    };
    repo.write(
        "weir.yaml",
        "version: 1\napps: [{ name: shop, path: app }]\n",
    )
    .unwrap();
    let one = commit(&mut repo, "one");
    repo.git(["checkout", "--quiet", "-b", "side"]).unwrap();
    let side = commit(&mut repo, "aside");
    repo.git(["checkout", "--quiet", "main"]).unwrap();
    let two = commit(&mut repo, "two");
    repo.tag("v2").unwrap();
    // A tag whose name is hex digits only, as dates are.
    repo.tag("20240101").unwrap();
    let three = commit(&mut repo, "three");
    let server = GitServer::of(&repo).unwrap();
    let weir = Weir::new().unwrap();
    Rig {
        repo,
        server,
        weir,
        ids: [one, two, three],
        side,
    }
}

impl Rig {
    fn repositories(&self) -> [String; 2] {
        [
            self.server.url("work"),
            self.repo.path().to_str().unwrap().to_owned(),
        ]
    }

    fn ok(&self, repository: &str, command: &str, flags: &[&str]) -> String {
        let arguments = [command, "--repo", repository].into_iter();
        let ran = self.weir.run(arguments.chain(flags.iter().copied()));
        ran.unwrap().success().unwrap()
    }

    /// What a command says that must end with this exit code.
    fn error(&self, command: &str, flags: &[&str], code: i32) -> String {
        let url = self.server.url("work");
        let arguments = [command, "--repo", &url].into_iter();
        let ran = self.weir.run(arguments.chain(flags.iter().copied()));
        ran.unwrap().code(code).unwrap().stderr
    }
}

#[test]
fn a_revision_means_the_same_over_http_and_in_place() {
    let rig = rig();
    let [one, two, three] = &rig.ids;
    let before_two = format!("{two}~1");
    for repository in rig.repositories() {
        for (flags, value) in [
            (vec![], "three"),
            (vec!["--rev", "HEAD~1"], "two"),
            (vec!["--rev", "HEAD^^"], "one"),
            (vec!["--rev", "@~2"], "one"),
            (vec!["--rev", "main"], "three"),
            (vec!["--rev", "main~2"], "one"),
            (vec!["--rev", "refs/heads/main~1"], "two"),
            (vec!["--rev", "side"], "aside"),
            (vec!["--rev", "side~1"], "one"),
            (vec!["--rev", "v2"], "two"),
            (vec!["--rev", "v2~1"], "one"),
            (vec!["--rev", "v2^{commit}"], "two"),
            (vec!["--rev", "20240101"], "two"),
            (vec!["--rev", three], "three"),
            (vec!["--rev", one], "one"),
            (vec!["--rev", &before_two], "one"),
            (vec!["--rev", &two[..9]], "two"),
            (vec!["--ref", "side"], "aside"),
            (vec!["--ref", "side", "--rev", "HEAD~1"], "one"),
            (vec!["--ref", "side", "--rev", &rig.side[..12]], "aside"),
            (vec!["--ref", "side", "--rev", "main~1"], "two"),
        ] {
            let text = rig.ok(&repository, "render", &flags);
            assert!(
                text.contains(&format!("value: {value}\n")),
                "{repository} {flags:?}: {text}"
            );
        }
    }
}

#[test]
fn a_diff_takes_each_side_from_its_own_history() {
    let rig = rig();
    let [one, two, three] = &rig.ids;
    for repository in rig.repositories() {
        for (flags, before, after) in [
            (vec!["--from", "HEAD~1"], "two", "three"),
            (vec!["--from", "main~2", "--to", "main~1"], "one", "two"),
            (vec!["--from", one], "one", "three"),
            (vec!["--from", &one[..10], "--to", two], "one", "two"),
            (vec!["--from", "side", "--to", "v2"], "aside", "two"),
            (vec!["--from", "v2", "--to", "side"], "two", "aside"),
            (vec!["--from", &rig.side, "--to", "side~1"], "aside", "one"),
            (vec!["--from", "side~1", "--to", &rig.side], "one", "aside"),
            (vec!["--from", "side", "--to", three], "aside", "three"),
            (vec!["--ref", "side", "--from", "HEAD~1"], "one", "aside"),
        ] {
            let text = rig.ok(&repository, "diff", &flags);
            let lines = [format!("-  value: {before}"), format!("+  value: {after}")];
            assert!(
                lines.iter().all(|l| text.contains(l))
                    && text.ends_with("0 created, 1 updated, 0 pruned\n"),
                "{repository} {flags:?}: {text}"
            );
        }
    }
}

#[test]
fn a_revision_that_is_not_in_the_fetched_history_says_what_was_fetched_and_what_to_do() {
    let rig = rig();
    let tip = &rig.ids[2][..7];
    let head = format!("HEAD (at {tip}");
    let side = rig.side.clone();
    for (flags, said) in [
        // A commit that is there, on another branch.
        (vec!["--rev", &side], vec![&*side, &*head, "--ref"]),
        (
            vec!["--rev", &side[..8]],
            vec![&side[..8], &*head, "--ref", "all 40 digits"],
        ),
        (
            vec!["--rev", "00000000deadbeef00000000deadbeef00000000"],
            vec!["deadbeef", &*head, "--ref"],
        ),
        (vec!["--rev", "HEAD~9"], vec!["HEAD~9", &*head, "shorter"]),
        (
            vec!["--rev", "main~9"],
            vec!["main~9", "main (at ", "shorter"],
        ),
        (
            vec!["--rev", "nope~1"],
            vec!["has no nope", "check the spelling"],
        ),
        (vec!["--rev", "HEAD@{1}"], vec!["HEAD@{1}", &*head]),
        (
            vec!["--rev", "HEAD:app/map.yaml"],
            vec!["HEAD:app/map.yaml", &*head],
        ),
        (vec!["--ref", "nope"], vec!["has no nope"]),
    ] {
        let text = rig.error("render", &flags, 1);
        assert!(said.iter().all(|s| text.contains(s)), "{flags:?}: {text}");
    }
    for flags in [
        ["--from", "side~1", "--to", "HEAD~9"],
        ["--from", "HEAD~9", "--to", "side"],
    ] {
        let text = rig.error("diff", &flags, 1);
        assert!(
            text.contains("\"HEAD~9\"") && text.contains(&head),
            "{flags:?}: {text}"
        );
    }
    for bad in ["main..side", "--all", "a b", ""] {
        let flag = format!("--rev={bad}");
        let text = rig.error("render", &[&flag], 2);
        assert!(
            text.contains("--rev: ")
                && text.contains("expected a branch, a tag, HEAD or a commit id"),
            "{bad:?}: {text}"
        );
    }
}
