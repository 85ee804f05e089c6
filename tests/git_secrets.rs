//! What a host shows to a Git server is in nothing that it prints, answers, logs at any level or keeps.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;
use std::path::Path;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use weir_tests::server::{Auth, Fault};
use weir_tests::sshd::Sshd;
use weir_tests::weir::http_get;
use weir_tests::{GitServer, Repo, Serving, Weir};

/// Longer than any one step takes, on any machine.
const SOON: Duration = Duration::from_secs(60);
const SECRET: &str = "hunter2-Qm9ib-of-the-rig";

/// The secret as it is, as it is sent, and as a careless dump would have it.
fn forms() -> Vec<String> {
    let base64 = |text: String| STANDARD_NO_PAD.encode(text);
    vec![
        SECRET.to_owned(),
        base64(SECRET.to_owned()),
        base64(format!("ann:{SECRET}")),
        base64(format!("x-access-token:{SECRET}")),
        hex::encode(SECRET),
        hex::encode_upper(SECRET),
        format!("{:?}", SECRET.as_bytes()),
    ]
}

fn clean(what: &str, text: &str) {
    for form in forms() {
        assert!(!text.contains(&form), "{what}: {text}");
    }
}

/// No file below holds it.
fn kept_nowhere(dir: &Path) {
    let Ok(entries) = fs::read_dir(dir) else {
        return;
    };
    for entry in entries.flatten() {
        let path = entry.path();
        match entry.file_type().unwrap() {
            kind if kind.is_dir() => kept_nowhere(&path),
            kind if kind.is_file() => {
                let bytes = fs::read(&path).unwrap();
                clean(
                    &path.display().to_string(),
                    &String::from_utf8_lossy(&bytes),
                );
            }
            _ => {}
        }
    }
}

struct Scene {
    server: GitServer,
    repo: Repo,
    weir: Weir,
}

impl Scene {
    fn new() -> Scene {
        let repo = Repo::from_text(
            "//- weir.yaml\nversion: 1\napps: [{ name: shop, path: app }]\n//- app/map.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata: { name: shop, namespace: a }\n",
        )
        .unwrap();
        let mut weir = Weir::new().unwrap();
        weir.variable("WEIR_LOG", "trace");
        fs::write(weir.path("secret"), SECRET).unwrap();
        Scene {
            server: GitServer::of(&repo).unwrap(),
            repo,
            weir,
        }
    }

    fn arguments(&self, command: &str, url: &str, more: &[&str]) -> Vec<String> {
        let target = format!("dir:{}", self.weir.path("live").display());
        let words = [command, "--repo", url, "--target", &target];
        words.iter().chain(more).map(|w| (*w).to_owned()).collect()
    }

    /// Runs a sync; what it printed has nothing of the secret.
    fn sync(&self, what: &str, url: &str, more: &[&str]) -> (Option<i32>, String) {
        let ran = self.weir.run(self.arguments("sync", url, more)).unwrap();
        let all = ran.stdout + &ran.stderr;
        clean(what, &all);
        (ran.code, all)
    }

    fn ends(self) {
        for folder in [
            self.weir.state_dir(),
            self.weir.cache_dir(),
            self.weir.path("live"),
        ] {
            kept_nowhere(&folder);
        }
    }
}

fn address(serving: &mut Serving) -> String {
    let line = serving.wait_for_text("/api/v1/apps", SOON).unwrap();
    let rest = line.split("http://").nth(1).unwrap();
    rest.split('/').next().unwrap().to_owned()
}

#[test]
fn no_command_shows_what_it_shows_to_a_server_whatever_fails() {
    let mut scene = Scene::new();
    let secret = scene.weir.path("secret").to_str().unwrap().to_owned();
    let token = ["--token-file", &secret];
    let password = ["--username", "ann", "--password-file", &secret];
    let url = scene.server.url("work");
    for (name, fault) in [
        ("401", Fault::Status(401)),
        ("403", Fault::Status(403)),
        ("404", Fault::Status(404)),
        ("407", Fault::Status(407)),
        ("500", Fault::Status(500)),
        ("garbage", Fault::Garbage),
        ("cut", Fault::Truncate(10)),
        (
            "redirect",
            Fault::Redirect(format!("https://ann:{SECRET}@elsewhere.example")),
        ),
    ] {
        scene.server.fault(fault);
        for shown in [&token[..], &password] {
            let (code, all) = scene.sync(name, &url, shown);
            assert_eq!(code, Some(1), "{name}: {all}");
            assert!(all.contains("TRACE"), "{name}: {all}");
        }
    }
    scene.server.fault(Fault::None);
    let origin = scene.server.origin();
    let proxy = origin.replace("http://", &format!("http://ann:{SECRET}@"));
    for (name, url, more) in [
        ("no such name", "https://nope.invalid/x", &token[..]),
        ("TLS", &*url.replace("http:", "https:"), &token),
        ("a proxy that refuses", &url, &["--proxy", &proxy]),
        (
            "no such proxy",
            &url,
            &["--proxy", &format!("http://ann:{SECRET}@nope.invalid:1")],
        ),
        (
            "no proxy at all",
            &url,
            &["--proxy", &format!("ann:{SECRET}")],
        ),
        (
            "a proxy of another kind",
            &url,
            &["--proxy", &format!("socks5://ann:{SECRET}@h:1")],
        ),
    ] {
        let (code, all) = scene.sync(name, url, more);
        assert!(matches!(code, Some(1 | 2)), "{name}: {all}");
    }
    // In the URL it is refused, and what refuses it does not repeat it.
    for bad in [
        format!("https://ann:{SECRET}@git.example/x"),
        format!("https://{SECRET}@git.example/x"),
        format!("https://git.example/x?private_token={SECRET}"),
        format!("https://git.example/x#{SECRET}"),
        format!("ssh://ann:{SECRET}@git.example/x"),
        format!("ann:{SECRET}@git.example:x"),
        format!("ftp://ann:{SECRET}@git.example/x"),
        format!("https://ann:{SECRET}\\@git.example/x"),
    ] {
        let (code, all) = scene.sync("in the URL", &bad, &[]);
        assert_eq!(code, Some(2), "{all}");
    }
    scene.server.down().unwrap();
    let (code, _) = scene.sync("nobody listens", &url, &token);
    assert_eq!(code, Some(1));
    scene.ends();
}

#[test]
fn no_route_log_or_file_of_a_host_has_what_it_shows_to_a_server() {
    let scene = Scene::new();
    let secret = scene.weir.path("secret").to_str().unwrap().to_owned();
    let url = scene.server.url("work");
    for (auth, shown) in [
        (
            Auth::Token(SECRET.to_owned()),
            vec!["--token-file", &secret],
        ),
        (
            Auth::Basic {
                user: "ann".to_owned(),
                password: SECRET.to_owned(),
            },
            vec!["--username", "ann", "--password-file", &secret],
        ),
    ] {
        scene.server.require(auth);
        let mut more = shown;
        more.extend(["--interval", "200ms", "--listen", "127.0.0.1:0"]);
        let mut serving = scene
            .weir
            .start(scene.arguments("serve", &url, &more))
            .unwrap();
        let address = address(&mut serving);
        let routes = |when: &str| {
            for route in ["/healthz", "/readyz", "/metrics", "/api/v1/apps", "/nope"] {
                let (_, body) = http_get(&address, route).unwrap();
                clean(&format!("{route} {when}"), &body);
            }
        };
        routes("begun");
        scene.server.fault(Fault::Status(401));
        serving.wait_for_text("refused access (401)", SOON).unwrap();
        routes("refused");
        scene.server.fault(Fault::None);
        serving.wait_for_text("answers again", SOON).unwrap();
        assert_eq!(serving.terminate(SOON).unwrap(), Some(0));
        clean("the log", &serving.transcript());
        for command in [
            vec!["apps"],
            vec!["history"],
            vec!["apps", "--output", "json"],
        ] {
            let ran = scene.weir.run(&command).unwrap();
            clean(&command.join(" "), &(ran.stdout + &ran.stderr));
        }
    }
    scene.ends();
}

#[test]
fn a_private_key_is_in_nothing_that_a_host_prints_or_keeps() {
    let scene = Scene::new();
    let sshd = Sshd::start(scene.repo.parent()).unwrap();
    let key = sshd.key("ed25519").unwrap();
    let known = sshd.known().unwrap();
    let private = fs::read_to_string(&key).unwrap();
    let lines: Vec<_> = (private.lines()).filter(|l| l.len() > 60).collect();
    assert!(!lines.is_empty());
    let files = [
        "--ssh-key-file",
        key.to_str().unwrap(),
        "--known-hosts-file",
        known.to_str().unwrap(),
    ];
    let arguments = scene.arguments("sync", &sshd.url("work"), &files);
    let ran = scene.weir.run(&arguments).unwrap().code(0).unwrap();
    sshd.let_in_only(&sshd.stranger("ed25519").unwrap())
        .unwrap();
    let refused = scene.weir.run(&arguments).unwrap().code(1).unwrap();
    for text in [ran.stdout, ran.stderr, refused.stdout, refused.stderr] {
        assert!(!lines.iter().any(|line| text.contains(line)), "{text}");
    }
    scene.ends();
}
