//! Who asks: one key from one file, and nothing else of whoever runs this.

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use weir_core::fault::{Blame as _, Fault, Retry};
use weir_source::{
    Credentials, CredentialsFrom, RefChange, Secret, SourceConfig, SourceError, SshOptions,
};
use weir_tests::sshd::{KINDS, make_key};

use super::scene::{Scene, fetch, open, text};

/// Why the key is of no use, and the server was not asked.
fn bad(scene: &mut Scene, key: &Path) -> String {
    let error = scene.showing(key).unwrap_err();
    assert!(matches!(error, SourceError::BadKey { .. }), "{error:?}");
    assert_eq!(
        (error.fault(), error.retry()),
        (Fault::Host, Retry::Backoff)
    );
    assert_eq!(scene.connections(), 0);
    let said = error.to_string();
    assert!(said.contains(&key.display().to_string()), "{said}");
    said
}

#[test]
fn each_kind_of_key_logs_in() {
    let mut scene = Scene::new();
    for (kind, value) in KINDS.into_iter().zip(["2", "3", "4"]) {
        let key = scene.sshd.key(kind).unwrap();
        scene.commit(value);
        let known = scene.sshd.known().unwrap();
        let source = open(scene.config(&scene.sshd.url("work"), &key, &known)).unwrap();
        fetch(&source).unwrap();
        assert_eq!(text(&source), value, "{kind}");
    }
    // The older form of RSA keys, too.
    let key = scene.sshd.dir().join("pem");
    let file = key.to_str().unwrap();
    let arguments = ["-q", "-t", "rsa", "-m", "PEM", "-N", "", "-f", file];
    weir_tests::sshd::output("ssh-keygen", &arguments).unwrap();
    scene.sshd.let_in(&key).unwrap();
    scene.showing(&key).unwrap();
}

#[test]
fn a_key_that_the_server_does_not_take_is_said_with_its_user_and_file() {
    let scene = Scene::new();
    let stranger = scene.sshd.stranger("ed25519").unwrap();
    let error = scene.showing(&stranger).unwrap_err();
    assert!(matches!(error, SourceError::KeyRefused { .. }), "{error:?}");
    assert_eq!(error.kind(), "key-refused");
    assert_eq!(
        (error.fault(), error.retry()),
        (Fault::Host, Retry::Backoff)
    );
    let said = error.to_string();
    let user = format!("for the user {}", scene.sshd.user());
    for words in [&*stranger.display().to_string(), &user, "public half"] {
        assert!(said.contains(words), "{said}");
    }
    let nobody = scene
        .sshd
        .url("work")
        .replace(scene.sshd.user(), "nobody-of-this-name");
    let config = scene.config(&nobody, &scene.key, &scene.sshd.known().unwrap());
    let error = fetch(&open(config).unwrap()).unwrap_err();
    assert!(error.to_string().contains("nobody-of-this-name"), "{error}");
}

#[test]
fn a_key_that_others_may_read_is_refused_before_it_is_used() {
    let mut scene = Scene::new();
    let key = scene.key.clone();
    for mode in [0o644, 0o640, 0o604, 0o666] {
        fs::set_permissions(&key, fs::Permissions::from_mode(mode)).unwrap();
        let said = bad(&mut scene, &key);
        assert!(said.contains(&format!("mode {mode:04o}")), "{said}");
        assert!(said.contains("chmod 600"), "{said}");
    }
    fs::set_permissions(&key, fs::Permissions::from_mode(0o400)).unwrap();
    scene.showing(&key).unwrap();
}

#[test]
fn a_key_that_is_none_or_wants_a_passphrase_is_said_to_be_so() {
    let mut scene = Scene::new();
    let dir = scene.sshd.dir().to_owned();
    let file = |name: &str, content: &[u8]| {
        let path = dir.join(name);
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    };
    for kind in KINDS {
        let path = dir.join(format!("locked_{kind}"));
        make_key(kind, &path, "hunter2").unwrap();
        assert!(bad(&mut scene, &path).contains("passphrase"), "{kind}");
    }
    let public = fs::read(scene.key.with_extension("pub")).unwrap();
    let public = file("public", &public);
    assert!(bad(&mut scene, &public).contains("public half"));
    let garbage = file("garbage", b"hello\n");
    assert!(bad(&mut scene, &garbage).contains("no private key"));
    let empty = file("empty", b"");
    assert!(bad(&mut scene, &empty).contains("no private key"));
    assert!(bad(&mut scene, &dir.join("missing")).contains("cannot be read"));
    assert!(bad(&mut scene, &dir).contains("not a file"));
    // One that is cut off looks like a key until ssh reads it.
    let whole = fs::read(&scene.key).unwrap();
    let cut = file("cut", &whole[..whole.len() / 2]);
    let error = scene.showing(&cut).unwrap_err();
    assert!(matches!(error, SourceError::BadKey { .. }), "{error}");
    assert!(error.to_string().contains("ssh cannot use it"), "{error}");
}

#[test]
fn a_key_that_is_rotated_on_disk_is_used_by_the_same_source() {
    let mut scene = Scene::new();
    let source = open(scene.good()).unwrap();
    fetch(&source).unwrap();
    let new = scene.sshd.stranger("ecdsa").unwrap();
    scene.sshd.let_in_only(&new).unwrap();
    let first = source.last_good();
    scene.commit("2");
    let error = fetch(&source).unwrap_err();
    assert!(matches!(error, SourceError::KeyRefused { .. }), "{error}");
    assert_eq!(source.last_good(), first);
    assert_eq!(text(&source), "1");
    // As a Secret's volume does it: another file takes the place. The half beside it went with the old key.
    fs::remove_file(scene.key.with_extension("pub")).unwrap();
    fs::rename(&new, &scene.key).unwrap();
    fetch(&source).unwrap();
    assert_eq!(text(&source), "2");
}

#[test]
fn paths_with_spaces_and_percent_signs_are_those_files_and_no_others() {
    let scene = Scene::new();
    let dir = scene.sshd.dir().join("a folder 100% %h %d");
    fs::create_dir(&dir).unwrap();
    let (key, known) = (dir.join("key %u"), dir.join("known hosts"));
    fs::copy(&scene.key, &key).unwrap();
    fs::copy(scene.sshd.known().unwrap(), &known).unwrap();
    let config = scene.config(&scene.sshd.url("work"), &key, &known);
    assert_eq!(
        fetch(&open(config).unwrap()).unwrap().change,
        RefChange::First
    );
    for odd in ["a\"b", "a\\b", "${HOME}", "a\nb"] {
        let config = scene.config(&scene.sshd.url("work"), &dir.join(odd), &known);
        let error = open(config).map(drop).unwrap_err();
        assert!(
            matches!(error, SourceError::BadUrl { .. }),
            "{odd}: {error}"
        );
    }
}

#[test]
fn what_is_missing_or_of_another_way_is_said_when_a_source_is_opened() {
    let scene = Scene::new();
    let error = |config: SourceConfig| open(config).map(drop).unwrap_err().to_string();
    let good = || scene.good();
    let without = |change: fn(&mut SshOptions)| {
        let mut config = good();
        change(&mut config.ssh);
        error(config)
    };
    assert!(without(|ssh| ssh.key_file = None).contains("give an ssh key file"));
    assert!(without(|ssh| ssh.known_hosts_file = None).contains("give a known_hosts file"));
    let token = CredentialsFrom::Given(Credentials::Token(Secret::new("hunter2")));
    let said = error(SourceConfig {
        credentials: Some(token),
        ..good()
    });
    assert!(said.contains("a token or a password is for https") && !said.contains("hunter2"));
    let mut config = good();
    config.http.proxy = Some(Secret::new("http://ann:hunter2@proxy:3128"));
    let said = error(config);
    assert!(
        said.contains("a proxy is for https") && !said.contains("hunter2"),
        "{said}"
    );
    let said = error(SourceConfig {
        url: "https://127.0.0.1:1/x".parse().unwrap(),
        ..good()
    });
    assert!(said.contains("an ssh key is for ssh"), "{said}");
}

#[test]
fn a_machine_without_ssh_is_told_so() {
    let scene = Scene::new();
    let mut config = scene.good();
    config.ssh.search = vec![scene.cache.path().to_owned()];
    let error = fetch(&open(config).unwrap()).unwrap_err();
    assert_eq!(error.kind(), "ssh-program");
    assert_eq!(
        (error.fault(), error.retry()),
        (Fault::Host, Retry::Backoff)
    );
    assert!(error.to_string().contains("openssh-client"), "{error}");
}

/// A program called ssh that writes down what it sees and then becomes the real one, with a file of options that would do
/// damage in place of the empty one.
fn ssh_with(scene: &Scene, config: &str) -> SourceConfig {
    let dir = scene.sshd.dir().join("bin");
    fs::create_dir(&dir).unwrap();
    fs::write(dir.join("config"), config).unwrap();
    let script = format!(
        "#!/bin/sh\n[ \"$1 $2\" = '-F /dev/null' ] || exit 99\nenv > {dir}/env\nshift 2\nexec /usr/bin/ssh -F {dir}/config \"$@\"\n",
        dir = dir.display()
    );
    fs::write(dir.join("ssh"), script).unwrap();
    fs::set_permissions(dir.join("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
    let mut source = scene.good();
    source.ssh.search = vec![dir];
    source
}

#[test]
fn options_of_a_users_file_would_change_nothing_even_if_it_were_read() {
    let scene = Scene::new();
    let touched = scene.sshd.dir().join("touched");
    let stranger = scene.sshd.stranger("ed25519").unwrap();
    let options = format!(
        "Host *\nProxyCommand touch {t}; false\nPermitLocalCommand yes\nLocalCommand touch {t}\nIdentityFile {s}\n\
         UserKnownHostsFile /dev/null\nStrictHostKeyChecking no\nUser nobody\nPort 1\nHostKeyAlgorithms +ssh-rsa\n\
         PubkeyAuthentication no\nForwardAgent yes\nControlMaster auto\nControlPath {t}\nRequestTTY force\n",
        t = touched.display(),
        s = stranger.display()
    );
    let config = ssh_with(&scene, &options);
    let known = config.ssh.known_hosts_file.clone().unwrap();
    let source = open(config).unwrap();
    fetch(&source).unwrap();
    assert!(!touched.exists());
    let seen = fs::read_to_string(scene.sshd.dir().join("bin/env")).unwrap();
    for line in seen
        .lines()
        .filter(|l| !l.starts_with("PWD=") && !l.starts_with("_="))
    {
        let name = line.split('=').next().unwrap();
        assert!(
            ["PATH", "HOME", "LC_ALL", "GIT_PROTOCOL", "SHLVL", "OLDPWD"].contains(&name),
            "{seen}"
        );
    }
    assert!(seen.contains("HOME=/nonexistent"), "{seen}");
    // And a server that is not known stays so.
    let other = fs::read_to_string(stranger.with_extension("pub")).unwrap();
    fs::write(known, format!("{} {other}", scene.sshd.name())).unwrap();
    let error = fetch(&source).unwrap_err();
    assert_eq!(error.kind(), "host-key-changed", "{error}");
}
