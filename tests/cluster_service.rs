//! Weir as the service of a cluster: teams write Repositories and read Apps, and need nothing but `kubectl`.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use serde_json::{Value, json};
use weir_tests::control_plane::wait;
use weir_tests::scene::{SOON, map};
use weir_tests::team::{Team, condition, definitions, is_ready, plane};
use weir_tests::{Auth, Weir, places};

/// Compares with a file, or writes it where that is asked for.
fn golden(name: &str, found: &str) {
    let path = places::root().join("tests/fixtures/cluster").join(name);
    if std::env::var_os("WEIR_BLESS").is_some_and(|v| v == "1") {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        found == expected,
        "{}: if the change is meant, run again with WEIR_BLESS=1 and read the diff; found:\n{found}",
        path.display()
    );
}

#[test]
fn the_definitions_and_the_policy_are_as_they_were_reviewed() {
    golden("crds.yaml", &definitions().unwrap());
    let policy = Weir::new().unwrap().run(["crds", "--admission"]).unwrap();
    golden("admission.yaml", &policy.code(0).unwrap().stdout);
}

#[test]
fn what_cannot_be_meant_is_refused_by_the_api_server_with_the_reason() {
    let team = Team::new("refused").unwrap();
    for (more, expected) in [
        (
            json!({ "path": "a", "manifest": "b" }),
            "give either path or manifest",
        ),
        (
            json!({ "interval": "500ms" }),
            "expected a time from 1s to 24h",
        ),
        (
            json!({ "interval": "25h" }),
            "expected a time from 1s to 24h",
        ),
        (json!({ "interval": "often" }), "spec.interval"),
        (json!({ "url": "ssh://git@h/x" }), "needs secretRef"),
        (json!({ "url": "git@h:x" }), "needs secretRef"),
        (json!({ "url": "/etc" }), "spec.url"),
        (json!({ "url": "file:///etc" }), "spec.url"),
        (json!({ "targets": [] }), "spec.targets"),
        (
            json!({ "targets": [{ "name": "a" }, { "name": "a" }] }),
            "uplicate",
        ),
        (
            json!({ "policy": { "onDelete": "burn" } }),
            "spec.policy.onDelete",
        ),
        (
            json!({ "policy": { "guard": { "percent": 101 } } }),
            "spec.policy.guard.percent",
        ),
        (json!({ "allow": null }), "spec.allow"),
        (json!({ "allow": {} }), "clusterKinds"),
    ] {
        let answer = team.try_apply(&team.repository("bad", &more)).unwrap();
        assert!(
            !answer.ok && answer.stderr.contains(expected),
            "{more}: {}",
            answer.stderr
        );
    }
    let answer = team.try_apply(&team.repository("a.b", &json!({}))).unwrap();
    assert!(
        answer.stderr.contains("at most 63 characters and no dots"),
        "{}",
        answer.stderr
    );
    assert_eq!(
        team.kubectl(&["get", "repositories", "-o", "name"])
            .unwrap(),
        ""
    );
}

#[test]
fn an_app_becomes_ready_is_seen_at_a_glance_and_follows_pushes() {
    let mut team = Team::new("ready").unwrap();
    let mut host = team.serve().unwrap();
    team.follow("shop", &json!({})).unwrap();
    team.wait(&mut host, "app/web", |_| true).unwrap();
    for what in ["app/web", "repository/shop"] {
        team.kubectl(&["wait", "--for=condition=Ready", what, "--timeout=60s"])
            .unwrap();
    }
    let first = team.repo.head().unwrap();
    let app = team
        .wait(&mut host, "app/web", |app| is_ready(app, "True", "Synced"))
        .unwrap();
    assert_eq!(app["status"]["commit"], first);
    assert_eq!(app["status"]["objects"], 2);
    assert!(app["status"]["record"].is_number(), "{app}");
    assert_eq!(app["metadata"]["labels"]["weir.dev/repository"], "shop");
    let repository = team.get("repository/shop").unwrap().unwrap();
    assert_eq!(
        app["metadata"]["ownerReferences"][0]["uid"],
        repository["metadata"]["uid"]
    );
    assert_eq!(repository["status"]["observedGeneration"], 1);
    assert!(
        condition(&repository, "Reconciling").is_none()
            && condition(&repository, "Stalled").is_none(),
        "{repository}"
    );
    assert_eq!(team.map_value("a").unwrap().as_deref(), Some("one"));

    let shown = team.kubectl(&["get", "repositories,apps"]).unwrap();
    let words = |begin: &str| {
        let line = shown
            .lines()
            .find(|line| line.starts_with(begin))
            .unwrap_or_default();
        line.split_whitespace()
            .map(str::to_owned)
            .collect::<Vec<_>>()
            .join(" ")
    };
    let short = app["status"]["short"].as_str().unwrap();
    assert!(
        words("repository.weir.dev/shop").starts_with(&format!(
            "repository.weir.dev/shop True Synced 1 of 1 ready {short} "
        )),
        "{shown}"
    );
    assert!(
        words("app.weir.dev/web").starts_with("app.weir.dev/web shop True synced "),
        "{shown}"
    );
    assert!(
        shown.contains("READY") && shown.contains("REASON") && shown.contains("HEALTH"),
        "{shown}"
    );

    team.repo.write("web/a.yaml", map("a", "two")).unwrap();
    let second = team.repo.commit("second").unwrap();
    team.wait(&mut host, "app/web", |app| {
        app["status"]["commit"] == second
    })
    .unwrap();
    team.wait(&mut host, "repository/shop", |r| {
        r["status"]["commit"] == second && is_ready(r, "True", "Synced")
    })
    .unwrap();
    assert_eq!(team.map_value("a").unwrap().as_deref(), Some("two"));
    for about in ["App/web", "Repository/shop"] {
        let note = team.wait_event(about, "Synced").unwrap();
        assert!(note.starts_with("at commit "), "{note}");
    }
    team.end(host).unwrap();
}

#[test]
fn annotations_ask_for_a_fetch_and_suspend() {
    let mut team = Team::new("annotations").unwrap();
    let mut host = team.serve().unwrap();
    team.follow("shop", &json!({ "interval": "1h" })).unwrap();
    let at = |commit: String| {
        move |it: &Value| {
            it["status"]["commit"] == commit.as_str() && is_ready(it, "True", "Synced")
        }
    };
    let first = team.repo.head().unwrap();
    team.wait(&mut host, "repository/shop", at(first)).unwrap();

    team.repo.write("web/a.yaml", map("a", "two")).unwrap();
    let second = team.repo.commit("second").unwrap();
    team.annotate("repository/shop", "weir.dev/sync=1").unwrap();
    let repository = team
        .wait(&mut host, "repository/shop", at(second.clone()))
        .unwrap();
    assert_eq!(repository["status"]["lastHandledSync"], "1");

    team.annotate("repository/shop", "weir.dev/suspend=true")
        .unwrap();
    team.wait(&mut host, "repository/shop", |r| {
        is_ready(r, "Unknown", "Suspended")
    })
    .unwrap();
    team.repo.write("web/a.yaml", map("a", "three")).unwrap();
    let third = team.repo.commit("third").unwrap();
    team.annotate("repository/shop", "weir.dev/sync=2").unwrap();
    let repository = team
        .wait(&mut host, "repository/shop", |r| {
            r["status"]["lastHandledSync"] == "2"
        })
        .unwrap();
    assert_eq!(repository["status"]["commit"], second);
    assert_eq!(team.map_value("a").unwrap().as_deref(), Some("two"));
    team.annotate("repository/shop", "weir.dev/suspend-")
        .unwrap();
    team.wait(&mut host, "repository/shop", at(third)).unwrap();
    team.end(host).unwrap();
}

#[test]
fn an_app_that_is_deleted_comes_back_and_what_others_write_is_put_right() {
    let team = Team::new("back").unwrap();
    let mut host = team.serve().unwrap();
    team.follow("shop", &json!({})).unwrap();
    let app = team
        .wait(&mut host, "app/web", |app| is_ready(app, "True", "Synced"))
        .unwrap();
    team.kubectl(&["delete", "app/web"]).unwrap();
    let again = team
        .wait(&mut host, "app/web", |again| {
            is_ready(again, "True", "Synced")
        })
        .unwrap();
    assert_ne!(app["metadata"]["uid"], again["metadata"]["uid"]);
    assert_eq!(app["status"]["conditions"], again["status"]["conditions"]);

    let lie = r#"{"status":{"commit":"a lie","objects":99}}"#;
    for patch in [
        &[
            "patch",
            "app/web",
            "--subresource=status",
            "--type=merge",
            "-p",
            lie,
        ][..],
        &[
            "patch",
            "app/web",
            "--type=merge",
            "-p",
            r#"{"spec":{"app":"other"}}"#,
        ],
        &["label", "app/web", "weir.dev/repository-"],
        &[
            "patch",
            "repository/shop",
            "--subresource=status",
            "--type=merge",
            "-p",
            r#"{"status":{"commit":"a lie"}}"#,
        ],
    ] {
        team.kubectl(patch).unwrap();
    }
    team.wait(&mut host, "app/web", |it| {
        let same = |what: &str| it["status"][what] == again["status"][what];
        let labels = it["metadata"]["labels"] == again["metadata"]["labels"];
        same("commit") && same("objects") && it["spec"] == again["spec"] && labels
    })
    .unwrap();
    let head = team.repo.head().unwrap();
    team.wait(&mut host, "repository/shop", |it| {
        it["status"]["commit"] == head
    })
    .unwrap();
    team.end(host).unwrap();
}

#[test]
fn a_resource_that_cannot_be_read_turns_only_itself_red() {
    let mut team = Team::new("broken").unwrap();
    // As after a schema that was wider once.
    let admin = plane().unwrap().admin();
    let wide = json!({ "openAPIV3Schema": { "type": "object", "x-kubernetes-preserve-unknown-fields": true } });
    let patch =
        json!([{ "op": "replace", "path": "/spec/versions/0/schema", "value": wide }]).to_string();
    let crd = ["patch", "crd", "repositories.weir.dev", "--type=json", "-p"];
    admin.text(&[&crd[..], &[&patch]].concat()).unwrap();
    let broken = team.repository("broken", &json!({ "url": 7 }));
    wait::until(SOON, "the wider schema is served", || {
        Ok(team.try_apply(&broken)?.ok.then_some(()))
    })
    .unwrap();
    let mut host = team.serve().unwrap();
    team.follow("shop", &json!({})).unwrap();
    team.wait(&mut host, "repository/shop", |r| {
        is_ready(r, "True", "Synced")
    })
    .unwrap();
    let red = team
        .wait(&mut host, "repository/broken", |r| {
            is_ready(r, "False", "InvalidSpec")
        })
        .unwrap();
    let [_, _, message] = condition(&red, "Stalled").unwrap();
    assert!(
        message.starts_with("spec.url: invalid type: integer `7`"),
        "{message}"
    );
    let note = team.wait_event("Repository/broken", "InvalidSpec").unwrap();
    assert!(note.contains("spec.url"), "{note}");

    team.repo.write("web/a.yaml", map("a", "two")).unwrap();
    let second = team.repo.commit("second").unwrap();
    team.wait(&mut host, "app/web", |app| {
        app["status"]["commit"] == second
    })
    .unwrap();
    // What is put right is followed.
    team.follow("broken", &json!({ "manifest": "version: 1\napps: []\n" }))
        .unwrap();
    team.wait(&mut host, "repository/broken", |r| {
        is_ready(r, "True", "Synced")
    })
    .unwrap();
    let again = ["apply", "--server-side", "--force-conflicts", "-f", "-"];
    let answer = admin.run_with(&again, &definitions().unwrap()).unwrap();
    assert!(answer.ok, "{}", answer.stderr);
    team.end(host).unwrap();
}

/// The team's Secret has just these keys.
fn secret(team: &Team, keys: &[&str]) {
    let of = [
        "create",
        "secret",
        "generic",
        "git",
        "--dry-run=client",
        "-o",
        "yaml",
    ];
    let text = team.kubectl(&[&of[..], keys].concat()).unwrap();
    team.admin.apply(&text).unwrap();
}

#[test]
fn a_secret_that_changes_is_used_without_a_restart() {
    let mut team = Team::new("secret").unwrap();
    let mut host = team.serve().unwrap();
    team.server.require(Auth::Token("first-token".to_owned()));
    team.follow("shop", &json!({ "secretRef": { "name": "git" } }))
        .unwrap();
    let red = team
        .wait(&mut host, "repository/shop", |r| {
            is_ready(r, "False", "SecretUnusable")
        })
        .unwrap();
    let [_, _, message] = condition(&red, "Reconciling").unwrap();
    assert!(message.contains("there is no Secret"), "{message}");

    secret(&team, &["--from-literal=username=bot"]);
    team.wait(&mut host, "repository/shop", |r| {
        condition(r, "Ready").is_some_and(|c| c[2].contains("both username"))
    })
    .unwrap();
    secret(&team, &["--from-literal=token=first-token"]);
    team.wait(&mut host, "repository/shop", |r| {
        is_ready(r, "True", "Synced")
    })
    .unwrap();

    team.server.require(Auth::Token("second-token".to_owned()));
    team.repo.write("web/a.yaml", map("a", "two")).unwrap();
    let second = team.repo.commit("second").unwrap();
    secret(&team, &["--from-literal=token=second-token"]);
    team.annotate("repository/shop", "weir.dev/sync=now")
        .unwrap();
    team.wait(&mut host, "repository/shop", |r| {
        r["status"]["commit"] == second && is_ready(r, "True", "Synced")
    })
    .unwrap();
    let folder = team
        .weir
        .state_dir()
        .join("repositories")
        .join(format!("{}.shop", team.namespace));
    assert_eq!(
        std::fs::read(folder.join("token")).unwrap(),
        b"second-token"
    );
    let said = host.transcript();
    assert!(
        !said.contains("first-token") && !said.contains("second-token"),
        "{said}"
    );
    team.kubectl(&["delete", "repository/shop", "--wait=false"])
        .unwrap();
    team.wait_gone(&mut host, "repository/shop", SOON).unwrap();
    assert!(
        !folder.exists(),
        "what is shown to a server goes with the Repository"
    );
    team.end(host).unwrap();
}

#[test]
fn what_the_host_does_not_allow_no_repository_has_whatever_it_says_itself() {
    let team = Team::new("bounds").unwrap();
    let file = "version: 1\ncluster: { allow: { kinds: [core/Secret], cluster-kinds: [] } }\n";
    let mut host = team.serve_as(file).unwrap();
    let allow = json!({ "allow": { "kinds": ["*"], "clusterKinds": ["*"] } });
    team.follow("shop", &allow).unwrap();
    let app = team
        .wait(&mut host, "app/web", |app| is_ready(app, "False", "Failed"))
        .unwrap();
    let [_, _, message] = condition(&app, "Ready").unwrap();
    assert!(
        message.contains("`cluster.allow` of this host"),
        "{message}"
    );
    team.wait(&mut host, "repository/shop", |r| {
        is_ready(r, "False", "AppsFailed")
    })
    .unwrap();
    assert_eq!(team.map_value("a").unwrap(), None);
    team.end(host).unwrap();
}
