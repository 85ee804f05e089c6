//! The host's file: what each key becomes, and the exact words of each refusal.

use super::*;
use crate::repository::Auth;

fn read(text: &str) -> Result<HostFile, String> {
    parse(text.as_bytes(), "host.yaml", Path::new("/etc/weir")).map_err(|e| e.to_string())
}

/// What is refused, with the file that says it, and the refusal.
fn refused(text: &str, expected: &str) {
    match read(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => assert_eq!(error, expected, "\n{text}"),
    }
}

#[test]
fn every_key_becomes_what_the_flag_of_its_name_becomes() {
    let text = "\
version: 1
listen: 127.0.0.1:1
parallel: 3
repositories:
  - name: shop
    url: https://git.example/team/shop.git
    ref: stable
    path: apps/shop
    interval: 1m
    suspend: true
    heal: enforce
    guard: { percent: 50 }
    targets: { default: 'dir:./live', prod: 'dir:/srv/prod', eu: 'kube:eu', us: 'kube-secret:fleet/us' }
    auth: { token-file: token }
    tls: { ca-file: ca.pem, client-cert: /c.pem, client-key: key.pem }
    proxy: http://proxy:3128
  - url: ../repo
    manifest: weir.yaml
    targets: { default: dir:x }
    auth: { username: ann, password-file: p }
";
    let file = read(text).unwrap();
    assert_eq!(file.listen, Some("127.0.0.1:1".parse().unwrap()));
    assert_eq!(file.parallel, 3);
    let [shop, other] = &file.repositories[..] else {
        panic!("{file:?}")
    };
    assert_eq!(shop.reach.name.as_str(), "shop");
    assert_eq!(
        shop.reach.url.to_string(),
        "https://git.example/team/shop.git"
    );
    assert_eq!(shop.reference.as_str(), "stable");
    assert_eq!(
        shop.manifest,
        ManifestAt::Path("apps/shop".parse().unwrap())
    );
    assert_eq!(shop.interval, Millis(60_000));
    let policy = Policy {
        suspend: true,
        heal: Heal::Enforce,
        guard: GuardLimits {
            percent: 50,
            objects: 10,
        },
        may_random: true,
    };
    assert_eq!(shop.policy, policy);
    let places: Vec<_> = shop.targets.values().map(|b| b.place.to_string()).collect();
    assert_eq!(
        places,
        [
            "dir:/etc/weir/./live",
            "kube:eu",
            "dir:/srv/prod",
            "kube-secret:fleet/us"
        ]
    );
    assert!(
        matches!(&shop.reach.auth, Auth::TokenFile(f) if f == Path::new("/etc/weir/token")),
        "{shop:?}"
    );
    assert_eq!(shop.reach.ca_file, Some("/etc/weir/ca.pem".into()));
    let pair = ("/c.pem".into(), "/etc/weir/key.pem".into());
    assert_eq!(shop.reach.client_cert, Some(pair));
    assert!(shop.reach.proxy.is_some());

    assert_eq!(
        other.reach.url.local(),
        Some(Path::new("/etc/weir/../repo"))
    );
    assert!(other.reach.name.as_str().starts_with("repo-"));
    assert_eq!(other.reference.as_str(), "main");
    assert_eq!(
        other.manifest,
        ManifestAt::File("/etc/weir/weir.yaml".into())
    );
    assert_eq!(
        (other.interval, other.policy),
        (INTERVAL, Policy::default())
    );
    assert!(
        matches!(&other.reach.auth, Auth::Password { user, file } if user == "ann" && file == Path::new("/etc/weir/p")),
        "{other:?}"
    );
}

#[test]
fn a_repository_behind_ssh_has_its_key_and_known_hosts_beside_the_file() {
    let text = |auth: &str| {
        format!(
            "version: 1\nrepositories:\n- url: git@git.example:team/shop.git\n  targets: {{ default: dir:x }}\n  auth: {auth}\n"
        )
    };
    let good = text("{ ssh-key-file: key, known-hosts-file: /etc/ssh/known }");
    let file = parse(good.as_bytes(), "host.yaml", Path::new("/etc/weir")).unwrap();
    let reach = &file.repositories[0].reach;
    assert!(reach.name.as_str().starts_with("shop-"), "{}", reach.name);
    assert_eq!(reach.url.to_string(), "git@git.example:team/shop.git");
    assert!(
        matches!(&reach.auth, Auth::Ssh { key, known_hosts } if key == Path::new("/etc/weir/key") && known_hosts == Path::new("/etc/ssh/known")),
        "{reach:?}"
    );
    for half in [
        "{ ssh-key-file: key }",
        "{ known-hosts-file: known }",
        "{ ssh-key-file: key, known-hosts-file: known, token-file: token }",
        "{ token-file: token, known-hosts-file: known }",
    ] {
        let error = parse(text(half).as_bytes(), "host.yaml", Path::new("/")).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("host.yaml:5:9: expected token-file"),
            "{error}"
        );
    }
}

#[test]
fn each_refusal_stands_at_its_place_and_says_what_was_expected() {
    let one = |more: &str| {
        format!(
            "version: 1\nrepositories:\n- url: https://h/x\n  targets: {{ default: dir:x }}\n{more}"
        )
    };
    for (text, expected) in [
        (
            String::new(),
            "host.yaml:1:1: the file is empty; expected `version: 1` and more",
        ),
        (
            "version: 2\n".into(),
            "host.yaml:1:10: version 2: expected 1, the only one that this Weir reads",
        ),
        (
            "version: 1\n".into(),
            "host.yaml:1:1: expected at least one repository",
        ),
        (
            "version: 1\nrepositories: []\n".into(),
            "host.yaml:2:15: expected at least one repository",
        ),
        (
            "version: 1\nrepositorys: []\n".into(),
            "host.yaml:2:1: unknown key \"repositorys\": expected one of version, listen, parallel, repositories, cluster, externals, plugins, canary, isolation, ledger, retention, random-secret; did you mean \"repositories\"?",
        ),
        (
            "version: 1\nlisten: here\nrepositories: []\n".into(),
            "host.yaml:2:9: \"here\": expected IP:PORT, such as 127.0.0.1:7117",
        ),
        (
            one("parallel: 0\n"),
            "host.yaml:5:11: expected a number from 1 to 256",
        ),
        (
            one("  interval: 15\n"),
            "host.yaml:5:13: expected text with a time above zero, such as 5s or 250ms, found the number 15",
        ),
        (
            one("  interval: 1ms\n"),
            "host.yaml:5:13: expected a time from 100ms to 24h",
        ),
        (
            one("  interval: 48h\n"),
            "host.yaml:5:13: expected a time from 100ms to 24h",
        ),
        (
            one("  heal: never\n"),
            "host.yaml:5:9: unknown value \"never\": expected one of enforce, report",
        ),
        (
            one("  path: a\n  manifest: b\n"),
            "host.yaml:6:3: give either path or manifest: a path means that there is no manifest",
        ),
        (
            one("  auth: { token-file: a, username: b }\n"),
            "host.yaml:5:9: expected token-file, or username and password-file, or for ssh ssh-key-file and known-hosts-file",
        ),
        (
            one("  auth: { token: s3cret }\n"),
            "host.yaml:5:11: unknown key \"token\": expected one of token-file, username, password-file, ssh-key-file, known-hosts-file; did you mean \"token-file\"?",
        ),
        (
            one("  tls: { client-cert: a }\n"),
            "host.yaml:5:8: client-cert and client-key go together: give both",
        ),
        (
            one("- url: https://h/x\n  targets: { default: dir:y }\n")
                .replace("- url", "- name: a\n  url"),
            "host.yaml:6:9: a repository a is there already, at line 3: give each a name of its own",
        ),
        (
            "version: 1\nrepositories:\n- targets: { default: dir:x }\n".into(),
            "host.yaml:3:3: the key \"url\" is missing",
        ),
        (
            "version: 1\nrepositories:\n- url: https://h/x\n".into(),
            "host.yaml:3:3: the key \"targets\" is missing",
        ),
        (
            "version: 1\nrepositories:\n- url: https://h/x\n  targets: {}\n".into(),
            "host.yaml:4:12: expected 1 to 100 targets, such as default: 'kube:'",
        ),
        (
            "version: 1\nrepositories:\n- url: https://h/x\n  targets: { default: live }\n".into(),
            "host.yaml:4:23: expected dir:PATH, kube: (the current context, or the pod's own cluster), kube:CONTEXT or kube-secret:NAMESPACE/NAME",
        ),
    ] {
        refused(&text, expected);
    }
}

#[test]
fn a_url_with_credentials_is_refused_at_its_line_and_never_repeated() {
    let text = "version: 1\nrepositories:\n- url: https://ann:hunter2@h/x\n  targets: { default: dir:x }\n";
    let error = read(text).unwrap_err();
    assert!(error.starts_with("host.yaml:3:8: "), "{error}");
    assert!(error.contains("give them as credentials"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[test]
fn a_guard_that_is_none_is_refused_at_its_place() {
    for (guard, expected) in [
        (
            "{ percent: 101 }",
            "host.yaml:5:21: expected a number from 0 to 100",
        ),
        (
            "{ percents: 3 }",
            "host.yaml:5:12: unknown key \"percents\": expected one of percent, objects; did you mean \"percent\"?",
        ),
        ("30", "host.yaml:5:10: expected a map, found the number 30"),
    ] {
        let text = format!(
            "version: 1\nrepositories:\n- url: https://h/x\n  targets: {{ default: dir:x }}\n  guard: {guard}\n"
        );
        refused(&text, expected);
    }
}

#[test]
fn one_wrong_repository_hides_no_other_one() {
    let text = "version: 1\nrepositories:\n- url: ftp://h/x\n  targets: { default: dir:x }\n- url: https://h/y\n  target: {}\n";
    let error = read(text).unwrap_err();
    let lines: Vec<&str> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    assert!(lines[0].starts_with("host.yaml:3:8: ") && lines[0].contains("ftp"));
    assert!(
        lines[1].starts_with("host.yaml:6:3: ") && lines[1].contains("did you mean \"targets\"")
    );
}

#[test]
fn more_repositories_than_a_host_takes_are_refused() {
    let text = |n: usize| {
        let mut text = String::from("version: 1\nrepositories:\n");
        for n in 0..n {
            text += &format!("- {{ url: \"https://h/{n}\", targets: {{ default: dir:x }} }}\n");
        }
        text
    };
    assert_eq!(
        read(&text(MAX_REPOSITORIES)).unwrap().repositories.len(),
        MAX_REPOSITORIES
    );
    refused(
        &text(MAX_REPOSITORIES + 1),
        "host.yaml:3:3: 1001 repositories: expected at most 1000",
    );
}

/// Refused, in words that have these among them.
fn refused_with(text: &str, part: &str) {
    match read(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => assert!(error.contains(part), "no {part:?} in {error}\n{text}"),
    }
}

#[test]
fn externals_stand_beside_the_repositories() {
    let repositories = "repositories:\n- url: https://h/x\n  targets: { default: dir:x }\n";
    let text = |externals: &str| format!("version: 1\nexternals: {externals}\n{repositories}");
    let file = read(&text(
        "{ hosts: [a.example], access: [{ host: a.example, ca-file: ca.pem }] }",
    ));
    let externals = file.unwrap().externals.unwrap();
    assert_eq!(externals.hosts.unwrap().len(), 1);
    assert_eq!(
        externals.access[0].ca_file.as_deref(),
        Some(Path::new("/etc/weir/ca.pem"))
    );
    assert!(
        read(&format!("version: 1\n{repositories}"))
            .unwrap()
            .externals
            .is_none()
    );
    refused_with(
        &text("{ hosts: [https://a/b] }"),
        "host.yaml:2:22: \"https://a/b\": expected HOST, HOST:PORT or *.DOMAIN",
    );
    refused_with(
        &text("{ host: [] }"),
        "host.yaml:2:14: unknown key \"host\": expected one of hosts, access; did you mean \"hosts\"?",
    );
    refused_with(
        &text("{ access: [{ host: a, auth: { token-file: x, username: ann } }] }"),
        "expected token-file, or username and password-file, or for ssh ssh-key-file and known-hosts-file",
    );
}
