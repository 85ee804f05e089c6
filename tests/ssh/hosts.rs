//! Who may answer: `known_hosts`, strict, with every kind of line.

use weir_core::fault::{Blame as _, Fault, Retry};
use weir_source::{HostKeyProblem, RefChange, SourceError};
use weir_tests::sshd::{self, KINDS, Setup};

use super::scene::{Scene, fetch, open, problem};

fn setup(kinds: &[&'static str]) -> Setup {
    Setup {
        host_keys: kinds.to_vec(),
        ..Setup::default()
    }
}

#[test]
fn a_server_is_known_by_each_kind_of_host_key() {
    for kind in KINDS {
        let scene = Scene::with(setup(&[kind]));
        let fetched = scene.knowing(&scene.line(kind)).unwrap();
        assert_eq!(fetched.change, RefChange::First, "{kind}");
    }
}

#[test]
fn a_hashed_line_as_ssh_keygen_makes_it_is_found() {
    let scene = Scene::new();
    let file = scene.sshd.known_hosts(&scene.line("ed25519")).unwrap();
    let path = file.to_str().unwrap();
    sshd::output("ssh-keygen", &["-q", "-H", "-f", path]).unwrap();
    let text = std::fs::read_to_string(&file).unwrap();
    assert!(
        text.starts_with("|1|") && !text.contains("127.0.0.1"),
        "{text}"
    );
    scene.knowing(&text).unwrap();
}

#[test]
fn a_pattern_a_list_and_a_comment_are_read_as_ssh_reads_them() {
    let scene = Scene::new();
    let key = scene.sshd.host_key("ed25519").unwrap();
    let port = scene.sshd.port();
    for hosts in [
        format!("[127.0.0.*]:{port}"),
        format!("other.example,[127.0.0.1]:{port}"),
        "127.0.0.1".to_owned(),
        "*".to_owned(),
    ] {
        let text = format!("# ours\n\n{hosts} {key} a comment\r\n");
        assert!(scene.knowing(&text).is_ok(), "{hosts}");
    }
    let not = format!("*,![127.0.0.1]:{port},!127.0.0.1 {key}");
    let (unlisted, _) = problem(scene.knowing(&not));
    assert!(matches!(unlisted, HostKeyProblem::Unlisted { .. }));
}

#[test]
fn a_server_that_is_not_listed_is_not_even_asked() {
    let mut scene = Scene::new();
    let key = scene.sshd.host_key("ed25519").unwrap();
    let other_port = format!("[127.0.0.1]:{} {key}", scene.sshd.port() ^ 1);
    for text in [other_port, format!("other.example {key}")] {
        let (unlisted, said) = problem(scene.knowing(&text));
        assert!(matches!(unlisted, HostKeyProblem::Unlisted { .. }));
        let way_out = format!("`ssh-keyscan -p {} 127.0.0.1`", scene.sshd.port());
        for words in [
            &*scene.sshd.name(),
            &way_out,
            "compare their fingerprints",
            "known_hosts_",
        ] {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
    assert_eq!(scene.connections(), 0);
}

#[test]
fn a_file_that_is_missing_empty_or_broken_is_named_with_its_line_before_anything_is_asked() {
    let mut scene = Scene::new();
    let good = scene.line("ed25519");
    for (text, words) in [
        ("", "no key is in it; get its keys with `ssh-keyscan"),
        ("# nothing\n", "no key is in it"),
        (&*format!("{good}\n{}\n", &good[..40]), ":2: "),
        (
            &*format!("{good}\n@revoked x\n"),
            ":2: there is no key type",
        ),
        ("<html>\n", ":1: there is no key type"),
    ] {
        let (problem, said) = problem(scene.knowing(text));
        assert!(matches!(problem, HostKeyProblem::File { .. }));
        assert!(said.contains(words), "{text}: {said}");
    }
    let config = scene.config(
        &scene.sshd.url("work"),
        &scene.key,
        "/nowhere/known".as_ref(),
    );
    let (_, said) = problem(fetch(&open(config).unwrap()));
    assert!(said.contains("/nowhere/known: it cannot be read"), "{said}");
    assert_eq!(scene.connections(), 0);
}

#[test]
fn a_changed_key_is_refused_with_both_fingerprints_the_line_and_the_way_out() {
    let scene = Scene::new();
    let other = scene.sshd.stranger("ed25519").unwrap();
    let known = std::fs::read_to_string(other.with_extension("pub")).unwrap();
    let result = scene.knowing(&format!("# one line before\n{} {known}", scene.sshd.name()));
    let error = result.as_ref().unwrap_err();
    assert_eq!(
        (error.fault(), error.retry()),
        (Fault::Host, Retry::Backoff)
    );
    assert_eq!(error.kind(), "host-key-changed");
    let (changed, said) = problem(result);
    let shown = scene.sshd.fingerprint("ed25519").unwrap();
    let was = sshd::fingerprint(&other.with_extension("pub")).unwrap();
    assert!(
        matches!(&changed, HostKeyProblem::Changed { line: 2, known, shown: s, .. } if *known == was && s.fingerprint == shown),
        "{changed:?}"
    );
    for words in [
        &*shown,
        &was,
        ":2 has",
        "nothing was sent",
        "put the new key into that line",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
}

#[test]
fn a_revoked_key_is_refused_whatever_else_the_file_says() {
    let scene = Scene::new();
    let key = scene.sshd.host_key("ed25519").unwrap();
    let text = format!("{}\n@revoked * {key}\n", scene.line("ed25519"));
    let result = scene.knowing(&text);
    assert_eq!(result.as_ref().unwrap_err().kind(), "host-key-revoked");
    let (revoked, said) = problem(result);
    assert!(matches!(
        revoked,
        HostKeyProblem::Revoked { line: Some(2), .. }
    ));
    assert!(
        said.contains(&scene.sshd.fingerprint("ed25519").unwrap()),
        "{said}"
    );
}

#[test]
fn a_key_of_another_kind_than_the_known_one_is_no_proof() {
    // The server may have been made to hide the key that it is known by.
    let scene = Scene::with(setup(&["rsa"]));
    let other = scene.sshd.stranger("ed25519").unwrap();
    let known = std::fs::read_to_string(other.with_extension("pub")).unwrap();
    let result = scene.knowing(&format!("{} {known}", scene.sshd.name()));
    assert_eq!(result.as_ref().unwrap_err().kind(), "host-key-unknown");
    let (unknown, said) = problem(result);
    let shown = scene.sshd.fingerprint("rsa").unwrap();
    assert!(
        matches!(&unknown, HostKeyProblem::Unknown { shown: s, .. } if s.fingerprint == shown && s.algorithm == "ssh-rsa"),
        "{unknown:?}"
    );
    assert!(said.contains("only ssh-ed25519 (line 1)"), "{said}");
    // One that has several is asked for the known one.
    let scene = Scene::with(setup(&KINDS));
    for kind in KINDS {
        scene.knowing(&scene.line(kind)).unwrap();
    }
}

#[test]
fn a_host_certificate_of_a_listed_authority_is_accepted_for_its_own_names_and_until_it_is_revoked()
{
    let scene = Scene::with(Setup {
        more: "HostCertificate {dir}/host_ed25519-cert.pub\n".to_owned(),
        ..Setup::default()
    });
    let authority = scene.sshd.stranger("ed25519").unwrap();
    let public = std::fs::read_to_string(authority.with_extension("pub")).unwrap();
    let host_key = scene.sshd.dir().join("host_ed25519.pub");
    let sign = |names: &str| {
        let authority = authority.to_str().unwrap();
        let arguments = ["-q", "-s", authority, "-I", "rig", "-h", "-n", names];
        let file = host_key.to_str().unwrap();
        sshd::output("ssh-keygen", &[&arguments[..], &[file]].concat()).unwrap();
    };
    let line = format!("@cert-authority {} {public}", scene.sshd.name());
    let mut scene = scene;
    sign("127.0.0.1");
    scene.sshd.stop();
    scene.sshd.again().unwrap();
    scene.knowing(&line).unwrap();
    let revoked = format!("{line}@revoked * {public}");
    let (problem_, said) = problem(scene.knowing(&revoked));
    assert!(matches!(problem_, HostKeyProblem::Revoked { .. }), "{said}");
    sign("other.example");
    scene.sshd.stop();
    scene.sshd.again().unwrap();
    let error = scene.knowing(&line).unwrap_err();
    assert!(
        matches!(
            &error,
            SourceError::HostKey {
                problem,
                ..
            } if matches!(**problem, HostKeyProblem::Unknown { .. })
        ),
        "{error}"
    );
}

#[test]
fn a_known_hosts_that_is_mended_is_enough_for_the_same_source_to_go_on() {
    let scene = Scene::new();
    let file = scene.sshd.known_hosts("# not yet\n").unwrap();
    let source = open(scene.config(&scene.sshd.url("work"), &scene.key, &file)).unwrap();
    problem(fetch(&source));
    std::fs::write(&file, scene.line("ed25519")).unwrap();
    fetch(&source).unwrap();
    // And one that stops knowing the server stops it.
    let key = scene.sshd.host_key("ed25519").unwrap();
    std::fs::write(
        &file,
        format!("{}\n@revoked * {key}", scene.line("ed25519")),
    )
    .unwrap();
    problem(fetch(&source));
    assert!(source.last_good().is_some());
}
