//! `weir` with a repository behind the real sshd: every command that reads one, a host that follows one, and a machine
//! whose user has settings of ssh and git that would do damage.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::Signal;
use weir_tests::sshd::{Does, Sshd};
use weir_tests::{Repo, Serving, Weir, tree_digest};

/// Longer than any one step takes, on any machine.
const SOON: Duration = Duration::from_secs(60);
const STAYS: &str = "the last good state stays";

struct Scene {
    repo: Repo,
    sshd: Sshd,
    weir: Weir,
    live: PathBuf,
    key: PathBuf,
    known: PathBuf,
}

fn write(repo: &mut Repo, value: &str) -> String {
    let map = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: shop, namespace: a }}\ndata: {{ value: \"{value}\" }}\n"
    );
    repo.write("app/map.yaml", map).unwrap();
    repo.commit(value).unwrap()
}

impl Scene {
    fn new() -> Scene {
        let mut repo = Repo::empty().unwrap();
        let manifest = "version: 1\napps: [{ name: shop, path: app }]\n";
        repo.write("weir.yaml", manifest).unwrap();
        write(&mut repo, "one");
        let sshd = Sshd::start(repo.parent()).unwrap();
        let weir = Weir::new().unwrap();
        Scene {
            live: weir.path("live"),
            key: sshd.key("ed25519").unwrap(),
            known: sshd.known().unwrap(),
            repo,
            sshd,
            weir,
        }
    }

    /// The arguments that say which repository, and how it is reached.
    fn reach(&self) -> Vec<String> {
        self.reach_with(&self.key)
    }

    fn reach_with(&self, key: &Path) -> Vec<String> {
        let text = |path: &Path| path.to_str().unwrap().to_owned();
        [
            "--repo",
            &self.sshd.url("work"),
            "--ssh-key-file",
            &text(key),
        ]
        .into_iter()
        .chain(["--known-hosts-file", &text(&self.known)])
        .map(String::from)
        .collect()
    }

    fn arguments(&self, command: &str, more: &[&str]) -> Vec<String> {
        let mut arguments = vec![command.to_owned()];
        arguments.extend(self.reach());
        arguments.extend(more.iter().map(|a| (*a).to_owned()));
        arguments
    }

    fn target(&self) -> String {
        format!("dir:{}", self.live.display())
    }

    fn sync(&self) -> String {
        let arguments = self.arguments("sync", &["--target", &self.target()]);
        self.weir.run(arguments).unwrap().success().unwrap()
    }

    fn serve(&self) -> Serving {
        let target = self.target();
        let more = [
            "--target",
            &target,
            "--interval",
            "200ms",
            "--listen",
            "127.0.0.1:0",
        ];
        self.weir.start(self.arguments("serve", &more)).unwrap()
    }

    fn value(&self) -> String {
        fs::read_to_string(self.live.join("a/configmap/shop.yaml")).unwrap()
    }
}

#[test]
fn every_command_that_reads_a_repository_reads_one_behind_ssh() {
    let mut scene = Scene::new();
    scene.sync();
    assert!(scene.value().contains("value: one"));
    let run = |scene: &Scene, command: &str, more: &[&str]| {
        let ran = scene.weir.run(scene.arguments(command, more)).unwrap();
        (ran.code, ran.stdout + &ran.stderr)
    };
    let (code, out) = run(&scene, "render", &[]);
    assert!(code == Some(0) && out.contains("value: one"), "{out}");
    write(&mut scene.repo, "two");
    let (code, out) = run(&scene, "diff", &["--from", "HEAD~1"]);
    assert!(code.is_some() && out.contains("two"), "{code:?} {out}");
    let (code, out) = run(&scene, "impact", &["--from", "HEAD~1"]);
    assert!(code.is_some() && out.contains("shop"), "{code:?} {out}");
    let (code, out) = run(&scene, "lock", &[]);
    assert!(
        code != Some(0) && out.contains("give the path of one"),
        "{out}"
    );
    scene.sync();
    assert!(scene.value().contains("value: two"));
}

#[test]
fn a_host_follows_through_all_that_happens_to_key_server_and_known_hosts() {
    let mut scene = Scene::new();
    let mut serving = scene.serve();
    serving.wait_for_text("synced to", SOON).unwrap();
    let good = tree_digest(&scene.live).unwrap();
    let stays = |serving: &mut Serving, live: &Path, said: &str| {
        let line = serving.wait_for_text(said, SOON).unwrap();
        assert!(line.contains(STAYS) && line.contains("ERROR"), "{line}");
        assert_eq!(tree_digest(live).unwrap(), good);
    };
    let live = scene.live.clone();
    // The server goes, and comes back.
    scene.sshd.stop();
    stays(&mut serving, &live, "cannot be reached: no connection");
    scene.sshd.again().unwrap();
    serving.signal(Signal::HUP).unwrap();
    serving.wait_for_text("answers again", SOON).unwrap();
    // The key is withdrawn, and another one takes its place on the host's disk.
    let new = scene.sshd.stranger("rsa").unwrap();
    scene.sshd.let_in_only(&new).unwrap();
    stays(&mut serving, &live, "the server does not take the key");
    fs::remove_file(scene.key.with_extension("pub")).unwrap();
    fs::rename(&new, &scene.key).unwrap();
    serving.signal(Signal::HUP).unwrap();
    serving.wait_for_text("answers again", SOON).unwrap();
    // The server shows a key that the file does not have any more.
    let lines = fs::read_to_string(&scene.known).unwrap();
    let other = scene.sshd.stranger("ed25519").unwrap();
    let other = fs::read_to_string(other.with_extension("pub")).unwrap();
    fs::write(&scene.known, format!("{} {other}", scene.sshd.name())).unwrap();
    stays(
        &mut serving,
        &live,
        "the server's key has changed: it shows ssh-ed25519 SHA256:",
    );
    fs::write(&scene.known, lines).unwrap();
    serving.signal(Signal::HUP).unwrap();
    serving.wait_for_text("answers again", SOON).unwrap();
    // All the while nothing was lost.
    let commit = write(&mut scene.repo, "two");
    serving.signal(Signal::HUP).unwrap();
    let synced = format!("synced to {}", &commit[..10]);
    serving.wait_for_text(&synced, SOON).unwrap();
    assert!(scene.value().contains("value: two"));
    let private = fs::read_to_string(&scene.key).unwrap();
    let secret = private.lines().nth(2).unwrap();
    let code = serving.terminate(SOON).unwrap();
    assert_eq!(code, Some(0), "{}", serving.transcript());
    assert!(!serving.transcript().contains(secret));
}

#[test]
fn a_server_that_hangs_holds_up_no_stop() {
    let mut scene = Scene::new();
    scene.sshd.does(Does::Nothing).unwrap();
    let mut serving = scene.serve();
    scene.sshd.wait_for("Starting session").unwrap();
    let code = serving.terminate(SOON).unwrap();
    assert_eq!(code, Some(0), "{}", serving.transcript());
}

#[test]
fn the_hosts_file_names_key_and_known_hosts_beside_itself() {
    let scene = Scene::new();
    let dir = scene.weir.path("etc");
    fs::create_dir(&dir).unwrap();
    fs::copy(&scene.key, dir.join("key")).unwrap();
    fs::copy(&scene.known, dir.join("known_hosts")).unwrap();
    let file = dir.join("host.yaml");
    let repository = |auth: &str| {
        format!(
            "version: 1\nlisten: 127.0.0.1:0\nrepositories:\n- url: {}\n  targets: {{ default: '{}' }}\n  auth: {auth}\n",
            scene.sshd.url("work"),
            scene.target()
        )
    };
    let config = file.to_str().unwrap();
    fs::write(&file, repository("{ ssh-key-file: key }")).unwrap();
    let refused = scene.weir.run(["serve", "--config", config]).unwrap();
    let refused = refused.code(2).unwrap().stderr;
    assert!(refused.contains("host.yaml:6:9: expected"), "{refused}");
    let both = "{ ssh-key-file: key, known-hosts-file: known_hosts }";
    fs::write(&file, repository(both)).unwrap();
    let mut serving = scene.weir.start(["serve", "--config", config]).unwrap();
    serving.wait_for_text("synced to", SOON).unwrap();
    assert!(scene.value().contains("value: one"));
    assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
}

#[test]
fn flags_of_ssh_and_of_https_do_not_go_together() {
    let scene = Scene::new();
    let says = |arguments: Vec<String>, words: &str| {
        let ran = scene.weir.run(arguments).unwrap();
        assert!(matches!(ran.code, Some(1 | 2)), "{ran:?}");
        assert!(ran.stderr.contains(words), "{words}: {}", ran.stderr);
    };
    let target = scene.target();
    let token = scene.weir.path("token");
    fs::write(&token, "hunter2").unwrap();
    let token = token.to_str().unwrap();
    says(
        scene.arguments("sync", &["--target", &target, "--token-file", token]),
        "cannot be used with",
    );
    let url = scene.sshd.url("work");
    let sync = |more: &[&str]| {
        let words = ["sync", "--target", &target, "--repo", &url];
        words.iter().chain(more).map(|w| (*w).to_owned()).collect()
    };
    says(sync(&["--token-file", token]), "is for https");
    says(sync(&[]), "give an ssh key file");
    says(sync(&["--ssh-key-file", "k"]), "--known-hosts-file");
}

#[test]
fn nothing_of_a_users_agent_settings_or_environment_is_taken() {
    let mut scene = Scene::new();
    let touched = scene.weir.path("touched");
    let home = scene.weir.path("home");
    // A key in the places where ssh would look for one, and options that would run a program.
    let ssh = home.join(".ssh");
    fs::create_dir(&ssh).unwrap();
    let stranger = scene.sshd.stranger("ed25519").unwrap();
    for (from, to) in [(&scene.key, "id_ed25519"), (&stranger, "id_rsa")] {
        fs::copy(from, ssh.join(to)).unwrap();
    }
    let touch = format!("touch {}", touched.display());
    fs::write(
        ssh.join("config"),
        format!("Host *\n  ProxyCommand {touch}\n  StrictHostKeyChecking no\n"),
    )
    .unwrap();
    let git = format!("[core]\n  sshCommand = {touch}\n[url \"/nowhere\"]\n  insteadOf = ssh://\n");
    fs::write(home.join(".gitconfig"), git).unwrap();
    // An agent that writes down who asks it.
    let socket = scene.weir.path("agent");
    let agent = UnixListener::bind(&socket).unwrap();
    agent.set_nonblocking(true).unwrap();
    for (name, value) in [
        ("SSH_AUTH_SOCK", socket.to_str().unwrap()),
        ("SSH_ASKPASS", &touch),
        ("SSH_ASKPASS_REQUIRE", "force"),
        ("GIT_SSH", &touch),
        ("GIT_SSH_COMMAND", &touch),
        ("GIT_PROXY_COMMAND", &touch),
        (
            "GIT_CONFIG_GLOBAL",
            home.join(".gitconfig").to_str().unwrap(),
        ),
        ("DISPLAY", ":0"),
        ("ALL_PROXY", "http://127.0.0.1:1"),
        ("WEIR_GIT_TOKEN", "hunter2"),
    ] {
        scene.weir.variable(name, value);
    }
    scene.sync();
    assert!(scene.value().contains("value: one"));
    // A key that is not let in is refused, though the right one lies in the home.
    let mut arguments = vec!["sync".to_owned(), "--target".to_owned(), scene.target()];
    arguments.extend(scene.reach_with(&stranger));
    let ran = scene.weir.run(arguments).unwrap().code(1).unwrap();
    assert!(
        ran.stderr.contains("does not take the key"),
        "{}",
        ran.stderr
    );
    assert!(agent.accept().is_err(), "the agent was asked");
    assert!(!touched.exists());
    assert!(!ssh.join("known_hosts").exists());
}

#[test]
fn a_url_that_would_be_an_option_runs_nothing() {
    let scene = Scene::new();
    let touched = scene.weir.path("touched");
    let touch = format!("touch${{IFS}}{}", touched.display());
    for url in [
        format!("ssh://-oProxyCommand={touch}/x"),
        format!("ssh://git@-oProxyCommand={touch}/x"),
        format!("-oProxyCommand={touch}@h:x"),
        format!("git@-oProxyCommand={touch}:x"),
        format!("ssh://git@127.0.0.1/-u{touch}"),
        format!("git@127.0.0.1:--upload-pack={touch}"),
        format!("ext::{touch}"),
        format!("ssh://git@127.0.0.1;{touch}/x"),
        format!("ssh://git@$({touch})/x"),
    ] {
        let target = scene.target();
        let key = scene.key.to_str().unwrap();
        let known = scene.known.to_str().unwrap();
        let repo = format!("--repo={url}");
        let arguments = ["sync", &repo, "--target", &target];
        let files = ["--ssh-key-file", key, "--known-hosts-file", known];
        let ran = scene.weir.run(arguments.into_iter().chain(files)).unwrap();
        assert_eq!(ran.code, Some(2), "{url}: {}", ran.stderr);
    }
    assert!(!touched.exists());
}

#[test]
fn a_user_may_fix_what_the_first_sync_says_step_by_step() {
    let mut scene = Scene::new();
    let key = scene.sshd.stranger("ed25519").unwrap();
    scene.key = key;
    scene.known = scene.weir.path("known_hosts");
    let fails = |scene: &Scene| {
        let arguments = scene.arguments("sync", &["--target", &scene.target()]);
        scene.weir.run(arguments).unwrap().code(1).unwrap().stderr
    };
    let said = fails(&scene);
    assert!(said.contains("ssh-keyscan -p"), "{said}");
    // What it says to run.
    let port = scene.sshd.port().to_string();
    let keys = weir_tests::sshd::output("ssh-keyscan", &["-p", &port, "127.0.0.1"]).unwrap();
    fs::write(&scene.known, keys + "\n").unwrap();
    let said = fails(&scene);
    assert!(said.contains("add its public half"), "{said}");
    scene.sshd.let_in(&scene.key).unwrap();
    scene.sync();
    assert!(scene.value().contains("value: one"));
}
