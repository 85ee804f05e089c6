//! What is refused: signatures of every wrong form, bodies beyond the limits, names that there are not, and a flood of it.

use std::collections::BTreeSet;

use weir_tests::forge::{BODY, exchange};

use super::*;

#[test]
fn a_signature_that_is_wrong_missing_doubled_or_of_another_form_fetches_nothing() {
    let (scene, remote) = shop();
    let (mut host, address) = scene.start(1);
    let before = remote.fetches();
    let header = "X-Hub-Signature-256";
    let changed = |change: fn(&str) -> String| github("x").changed(header, change);
    let flipped = |tag: &str| match tag.strip_suffix('0') {
        Some(start) => format!("{start}1"),
        None => format!("{}0", &tag[..tag.len() - 1]),
    };
    let wrong = [
        ("another body", github("x").saying("{}")),
        ("no body", github("x").saying("")),
        ("another secret", Delivery::github(OTHER, "x").unwrap()),
        ("another digit", changed(flipped)),
        ("missing", Delivery::of(BODY).with("X-GitHub-Event", "push")),
        ("empty", changed(|_| String::new())),
        ("twice", github("x").with(header, "sha256=00")),
        ("odd length", changed(|tag| tag[..tag.len() - 1].to_owned())),
        (
            "upper case",
            changed(|tag| tag.to_uppercase().replace("SHA", "sha")),
        ),
        ("SHA-1", changed(|tag| tag.replace("sha256", "sha1"))),
        (
            "the secret itself",
            Delivery::of(BODY).with("X-Gitlab-Token", SECRET),
        ),
        ("Gitea's header", {
            let all = Delivery::gitea(SECRET, "x").unwrap();
            all.changed(header, |_| String::new())
        }),
        (
            "Standard Webhooks",
            Delivery::standard(SECRET, "x", 0).unwrap(),
        ),
    ];
    for (what, delivery) in &wrong {
        let answer = delivery.send(&address, "shop").unwrap();
        assert_eq!(answer.status, 401, "{what}: {answer:?}");
        assert!(answer.body.contains("\"error\""), "{what}: {answer:?}");
        assert!(
            answer.head.contains("connection: close"),
            "{what}: {answer:?}"
        );
    }
    scene.refresh("shop");
    assert_eq!(remote.fetches() - before, 1, "that of the refresh");
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn a_signature_of_another_time_is_refused_and_says_so_to_who_knows_the_secret() {
    let remote = remote();
    let more = "webhook: { forge: generic, secret-file: secret }";
    let scene = Scene::new().with("shop", &remote, more);
    scene.secret("secret", SIGNING);
    let (mut host, address) = scene.start(1);
    for from_now in [-400, 400] {
        let stale = Delivery::standard(SIGNING, "x", from_now).unwrap();
        let answer = stale.send(&address, "shop").unwrap();
        assert_eq!(answer.status, 401);
        assert!(answer.body.contains("the signature is right"), "{answer:?}");
        let wrong = Delivery::standard(SECRET, "x", from_now).unwrap();
        let answer = wrong.send(&address, "shop").unwrap();
        assert!(
            !answer.body.contains("the signature is right"),
            "{answer:?}"
        );
    }
    let good = Delivery::standard(SIGNING, "x", 0).unwrap();
    assert_eq!(good.send(&address, "shop").unwrap().status, 202);
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn the_secret_of_one_repository_opens_no_other_and_nobody_learns_which_there_are() {
    let (one, two, three) = (remote(), remote(), remote());
    let scene = Scene::new()
        .with(
            "shop",
            &one,
            "webhook: { forge: github, secret-file: secret }",
        )
        .with(
            "docs",
            &two,
            "webhook: { forge: github, secret-file: other }",
        )
        .with("plain", &three, "heal: enforce");
    scene.secret("secret", SECRET);
    scene.secret("other", OTHER);
    let (mut host, address) = scene.start(3);
    let before = two.fetches();
    assert_eq!(github("1").send(&address, "shop").unwrap().status, 202);
    assert_eq!(github("2").send(&address, "docs").unwrap().status, 401);
    // One that there is, one without a webhook, none, and what is no name: the same bytes for each.
    let wrong = Delivery::github("a secret of somebody else", "3").unwrap();
    for delivery in [wrong, Delivery::of(BODY), github("4").saying("{}")] {
        let answers: BTreeSet<String> = ["shop", "docs", "plain", "absent", "No_Name", "%20"]
            .iter()
            .map(|name| format!("{:?}", delivery.send(&address, name).unwrap()))
            .collect();
        assert_eq!(answers.len(), 1, "{answers:#?}");
        assert!(
            answers.iter().all(|a| a.contains("status: 401")),
            "{answers:#?}"
        );
    }
    scene.refresh("docs");
    assert_eq!(two.fetches() - before, 1, "that of the refresh");
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn a_body_beyond_the_limit_a_get_and_a_request_that_lies_are_refused() {
    let (scene, _remote) = shop();
    let (mut host, address) = scene.start(1);
    let head = |method: &str, more: &str| {
        format!("{method} /hooks/v1/shop HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{more}\r\n")
    };
    let signed = format!("X-Hub-Signature-256: sha256={}\r\n", "0".repeat(64));
    let large = format!("{signed}Content-Length: 26214401\r\n");
    for (what, bytes, status) in [
        ("too large", head("POST", &large), 413),
        ("GET", head("GET", ""), 405),
        ("PUT", head("PUT", &signed), 405),
        ("OPTIONS", head("OPTIONS", ""), 405),
        (
            "two lengths",
            head(
                "POST",
                &format!("{signed}Content-Length: 3\r\nContent-Length: 4\r\n"),
            ),
            400,
        ),
        (
            "no length",
            head("POST", &format!("{signed}Content-Length: many\r\n")),
            400,
        ),
        (
            "a chunk that is none",
            head("POST", &format!("{signed}Transfer-Encoding: chunked\r\n")) + "zz\r\n",
            400,
        ),
        (
            "a head without end",
            head("POST", &format!("X: {}\r\n", "y".repeat(40_000))),
            431,
        ),
        (
            "many headers",
            head(
                "POST",
                &(0..100).fold(String::new(), |all, n| format!("{all}X-{n}: y\r\n")),
            ),
            431,
        ),
    ] {
        let answer = exchange(&address, bytes.as_bytes()).unwrap();
        assert_eq!(answer.status, status, "{what}: {answer:?}");
    }
    assert_eq!(github("1").send(&address, "shop").unwrap().status, 202);
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn a_flood_of_wrong_signatures_is_counted_hardly_logged_and_keeps_no_right_one_out() {
    const CALLERS: usize = 8;
    const EACH: usize = 100;
    let (scene, mut remote) = shop();
    let (mut host, address) = scene.start(1);
    let commit = remote.push("two").unwrap();
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let address = &address;
            scope.spawn(move || {
                for n in 0..EACH {
                    let id = format!("{caller}-{n}");
                    let wrong = Delivery::github(OTHER, &id).unwrap();
                    assert_eq!(wrong.send(address, "shop").unwrap().status, 401);
                }
            });
        }
        assert_eq!(github("1").send(&address, "shop").unwrap().status, 202);
        host.wait_for_text("synced to", SOON).unwrap();
    });
    assert!(scene.live("shop").contains("value: two"), "{commit}");
    let (_, metrics) = http_get(&address, "/metrics").unwrap();
    let all = CALLERS * EACH;
    let line = format!("weir_webhook_requests_total{{forge=\"github\",outcome=\"wrong\"}} {all}");
    assert!(metrics.lines().any(|l| l == line), "{line}\n{metrics}");
    assert_eq!(host.terminate(SOON).unwrap(), Some(0));
    let log = host.stderr();
    let told = log.lines().filter(|l| l.contains("is refused")).count();
    assert!((1..20).contains(&told), "{told} lines");
    assert!(
        log.contains("none of the secrets that it has for github fits"),
        "{log}"
    );
}
