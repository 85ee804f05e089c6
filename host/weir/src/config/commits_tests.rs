//! `commits` of the host's file: what it becomes, and the words of each refusal.

use super::super::file::{HostFile, parse};
use super::*;

fn read(text: &str) -> Result<HostFile, String> {
    let text = format!(
        "version: 1\nrepositories:\n- name: shop\n  url: https://h/x\n  targets: {{ default: 'dir:x' }}\n{text}"
    );
    parse(text.as_bytes(), "host.yaml", Path::new("/etc/weir")).map_err(|e| e.to_string())
}

fn meant(text: &str) -> Commits {
    let mut file = read(text).unwrap();
    file.repositories.remove(0).commits.unwrap()
}

fn refused(text: &str, expected: &str) {
    match read(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => assert!(error.contains(expected), "\n{text}\n{error}"),
    }
}

#[test]
fn each_key_becomes_what_it_says() {
    let commits = meant(
        "  commits:\n    signed: { signers-file: s, gpg-keys-file: /k, check: every }\n    fast-forward-only: true\n    protected:\n    - { paths: [weir.yaml, 'policy/**'], signers-file: a }\n    - { paths: [b], gpg-keys-file: g }\n",
    );
    let signatures = commits.policy.signatures.unwrap();
    assert_eq!(signatures.check, Check::Every);
    assert_eq!(signatures.signers_in, None);
    assert!(commits.policy.fast_forward_only);
    assert_eq!(
        commits.keys.signers.as_deref(),
        Some(Path::new("/etc/weir/s"))
    );
    assert_eq!(commits.keys.gpg.as_deref(), Some(Path::new("/k")));
    let paths: Vec<String> = commits
        .policy
        .protected
        .iter()
        .flat_map(|entry| entry.paths.iter().map(ToString::to_string))
        .collect();
    assert_eq!(paths, ["weir.yaml", "policy/**", "b"]);
    assert_eq!(
        commits.entries[0].signers.as_deref(),
        Some(Path::new("/etc/weir/a"))
    );
    assert_eq!(
        commits.entries[1].gpg.as_deref(),
        Some(Path::new("/etc/weir/g"))
    );
    let digest = Digest::of(b"x");
    let commits = meant(&format!(
        "  commits: {{ signed: {{ signers-in: .weir/s, first-signers-digest: '{digest}' }} }}\n"
    ));
    let signers = commits.policy.signers_in().unwrap();
    assert_eq!(
        (signers.path.as_str(), signers.first),
        (".weir/s", Some(digest))
    );
    let commits = meant("  commits: { signed: { signers-in: s, first-signers-file: f } }\n");
    assert_eq!(
        commits.keys.signers.as_deref(),
        Some(Path::new("/etc/weir/f"))
    );
    assert_eq!(commits.policy.signers_in().unwrap().first, None);
    // Left out, nobody asks.
    assert!(read("").unwrap().repositories[0].commits.is_none());
}

#[test]
fn what_says_nothing_or_two_things_is_refused_at_its_place() {
    let signed = |keys: &str| format!("  commits: {{ signed: {{ {keys} }} }}\n");
    for (text, expected) in [
        (
            "  commits: {}\n".to_owned(),
            "host.yaml:6:12: expected signed, fast-forward-only or protected",
        ),
        (
            "  commits: { fast-forward-only: false }\n".to_owned(),
            "expected signed, fast-forward-only or protected",
        ),
        ("  commits:\n".to_owned(), "host.yaml:6:"),
        ("  commits: { signed: }\n".to_owned(), "host.yaml:6:"),
        ("  commits: { protected: }\n".to_owned(), "host.yaml:6:"),
        (
            "  commits: { signd: {} }\n".to_owned(),
            "did you mean \"signed\"",
        ),
        (
            signed(""),
            "expected signers-file, signers-in or gpg-keys-file",
        ),
        (
            signed("check: head"),
            "expected signers-file, signers-in or gpg-keys-file",
        ),
        (signed("signers-file: s, check: all"), "host.yaml:6:"),
        (
            signed("signers-file: s, signers-in: t, first-signers-file: f"),
            "give either signers-file or signers-in",
        ),
        (
            signed("signers-in: s"),
            "signers-in needs first-signers-file or first-signers-digest",
        ),
        (
            signed("signers-file: s, first-signers-file: f"),
            "go with signers-in",
        ),
        (
            signed("signers-in: s, first-signers-file: f, first-signers-digest: 'sha256:0'"),
            "host.yaml:6:",
        ),
        (
            signed(&format!(
                "signers-in: s, first-signers-file: f, first-signers-digest: '{}'",
                Digest::of(b"")
            )),
            "give either first-signers-file or first-signers-digest",
        ),
        (
            signed("signers-in: '.', first-signers-file: f"),
            "expected the path of a file",
        ),
        (
            "  commits: { protected: [{ paths: [a] }] }\n".to_owned(),
            "expected signers-file, gpg-keys-file or both",
        ),
        (
            "  commits: { protected: [{ paths: [], signers-file: s }] }\n".to_owned(),
            "expected 1 to 1000 paths",
        ),
        (
            "  commits: { protected: [{ signers-file: s }] }\n".to_owned(),
            "paths",
        ),
        (
            "  commits: { protected: [{ paths: ['../a'], signers-file: s }] }\n".to_owned(),
            "host.yaml:6:36: path pattern \"../a\": expected a path inside the repository",
        ),
    ] {
        refused(&text, expected);
    }
}
