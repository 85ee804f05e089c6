//! Stable random bytes: what an app makes up stays, is nobody else's, needs the host's secret, and says nothing of it.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeMap;
use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use weir_core::random::Whose;
use weir_receipt::RandomSecret;
use weir_tests::scene::map;
use weir_tests::sweep::Sweep;
use weir_tests::told::{stop, wait_app};
use weir_tests::weir::{PATIENCE, text};
use weir_tests::{Ran, Repo, Weir, places};

/// Two apps that make something up, one that could and does not, one that asks and is given nothing.
const MANIFEST: &str = "version: 1\n\
    plugins:\n\
    \x20 random: { source: 'file:plugins/random.wasm', grants: { random: stable } }\n\
    \x20 yaml: { source: 'bundled:yaml', grants: { random: stable } }\n\
    apps:\n\
    - { name: one, path: a, render: { plugin: random } }\n\
    - { name: two, path: a, render: { plugin: random }, target: { namespace: two } }\n\
    - { name: plain, path: a }\n";
const REFUSED: &str = "version: 1\n\
    plugins: { random: { source: 'file:plugins/random.wasm' } }\n\
    apps: [{ name: one, path: a, render: { plugin: random } }]\n";

struct Scene {
    repo: Repo,
    weir: Weir,
}

impl Scene {
    fn new() -> Scene {
        let repo = Repo::empty().unwrap();
        let guest = places::guest_dir().unwrap().join("wants-random.wasm");
        repo.write("plugins/random.wasm", fs::read(guest).unwrap())
            .unwrap();
        repo.write("a/map.yaml", map("a", "one")).unwrap();
        let mut scene = Scene {
            repo,
            weir: Weir::new().unwrap(),
        };
        scene.manifest(MANIFEST);
        scene
    }

    /// From now on this is the manifest, locked.
    fn manifest(&mut self, manifest: &str) {
        self.repo.write("weir.yaml", manifest).unwrap();
        self.repo.commit("manifest").unwrap();
        let path = self.repo.path();
        let lock = ["lock", "--repo", text(&path).unwrap()];
        self.weir.run(lock).unwrap().success().unwrap();
        self.repo.commit("lock").unwrap();
    }

    fn on(&self, weir: &Weir, words: &[&str]) -> Ran {
        let repo = self.repo.path();
        let (command, more) = words.split_first().unwrap();
        let start = [command, "--repo", text(&repo).unwrap(), "--name", "shop"];
        weir.run(start.iter().chain(more).copied()).unwrap()
    }

    fn run(&self, words: &[&str]) -> Ran {
        self.on(&self.weir, words)
    }

    /// What an app made up, with nothing that was made before.
    fn made(&self, app: &str, more: &[&str]) -> String {
        let _ = fs::remove_dir_all(self.weir.cache_dir().join("renders"));
        saw(&self.run(&[&["render", app][..], more].concat()))
    }

    fn sync(&self, more: &[&str]) -> Ran {
        let target = format!("dir:{}", self.weir.path("live").display());
        self.run(&[&["sync", "--target", &target][..], more].concat())
    }

    fn live(&self) -> BTreeMap<PathBuf, String> {
        files(&self.weir.path("live"))
    }

    fn secret(&self) -> PathBuf {
        self.weir.state_dir().join("keys/random.secret")
    }

    /// A receipt in a file.
    fn receipt(&self, app: &str) -> PathBuf {
        let file = self.weir.path(&format!("{app}.receipt"));
        let out = text(&file).unwrap();
        let words = ["receipts", "export", "--app", app, "--out", out];
        self.weir.run(words).unwrap().success().unwrap();
        file
    }

    /// Another machine, that trusts this one's key.
    fn stranger(&self) -> (Weir, PathBuf) {
        let stranger = Weir::new().unwrap();
        let key = stranger.path("key.pem");
        let pem = self.weir.run(["keys", "export"]).unwrap();
        fs::write(&key, pem.success().unwrap()).unwrap();
        (stranger, key)
    }

    fn verify(&self, weir: &Weir, key: &Path, receipt: &Path, more: &[&str]) -> Ran {
        let words = [
            "verify",
            text(receipt).unwrap(),
            "--key",
            text(key).unwrap(),
        ];
        self.on(weir, &[&words[..], more].concat())
    }
}

/// What lies below a folder.
fn files(dir: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut dirs = vec![dir.to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in fs::read_dir(dir).unwrap().map(Result::unwrap) {
            let path = entry.path();
            match path.is_dir() {
                true => dirs.push(path),
                false => drop(found.insert(path.clone(), fs::read_to_string(path).unwrap())),
            }
        }
    }
    found
}

/// The bytes that a guest shows: sixteen numbers.
fn saw(ran: &Ran) -> String {
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let (_, after) = ran.stdout.split_once("saw: '[").unwrap_or_else(|| {
        let (_, after) = ran.stdout.split_once("saw: \"[").unwrap();
        ("", after)
    });
    let (numbers, _) = after.split_once(']').unwrap();
    assert_eq!(numbers.split(", ").count(), 16, "{numbers}");
    numbers.to_owned()
}

/// A file with a secret that only this user can read.
fn secret_file(path: &Path, digits: &str) -> String {
    fs::write(path, digits).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o600)).unwrap();
    text(path).unwrap().to_owned()
}

#[test]
fn what_an_app_makes_up_stays_in_each_way_over_commits_and_is_no_other_apps() {
    let mut scene = Scene::new();
    assert!(!scene.secret().exists(), "it is made at first need");
    let one = scene.made("one", &[]);
    let mode = fs::metadata(scene.secret()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    for way in ["in-process", "processes"] {
        assert_eq!(scene.made("one", &["--isolation", way]), one, "{way}");
    }
    assert_eq!(scene.made("one", &["--canary", "100"]), one);
    assert_ne!(scene.made("two", &[]), one);
    // What was kept is used again, and is the same.
    let again = saw(&scene.run(&["render", "one"]));
    assert_eq!(again, one);
    scene.repo.write("other.txt", "unrelated").unwrap();
    scene.repo.commit("unrelated").unwrap();
    assert_eq!(scene.made("one", &[]), one);
    scene.repo.write("a/map.yaml", map("a", "two")).unwrap();
    scene.repo.commit("related").unwrap();
    assert_eq!(scene.made("one", &[]), one);
}

#[test]
fn another_repository_or_another_secret_gives_others_and_a_shared_secret_the_same() {
    let scene = Scene::new();
    let one = scene.made("one", &[]);
    let repo = scene.repo.path();
    let words = ["render", "one", "--repo", text(&repo).unwrap(), "--name"];
    let other = scene.weir.run(words.iter().chain(&["other"])).unwrap();
    assert_ne!(saw(&other), one, "another repository of the same host");
    let stranger = Weir::new().unwrap();
    assert_ne!(saw(&scene.on(&stranger, &["render", "one"])), one);
    // The same key, by flag, on the machine that has kept renders under its own.
    let digits = fs::read_to_string(scene.secret()).unwrap();
    let copy = secret_file(&stranger.path("copy"), &digits);
    let given = ["render", "one", "--random-secret", &copy];
    assert_eq!(saw(&scene.on(&stranger, &given)), one);
    // It is the stream that the crate and RFC 8439 say, of the seed of just this app.
    let mut generated = RandomSecret::read(&digits).unwrap();
    assert_eq!(first_bytes(&generated, "shop", "one"), one);
    generated = RandomSecret::generate().unwrap();
    assert_ne!(first_bytes(&generated, "shop", "one"), one);
}

/// What the stream of an app begins with.
fn first_bytes(secret: &RandomSecret, repository: &str, app: &str) -> String {
    use chacha20::cipher::{KeyIvInit as _, StreamCipher as _};
    let whose = Whose {
        repository: &repository.parse().unwrap(),
        app: &app.parse().unwrap(),
        plugin: &"random".parse().unwrap(),
    };
    let seed = secret.seed(&whose).unwrap();
    let mut bytes = [0; 16];
    chacha20::ChaCha20::new(seed.expose().into(), &[0; 12].into()).apply_keystream(&mut bytes);
    let shown = format!("{bytes:?}");
    shown.trim_matches(['[', ']']).to_owned()
}

#[test]
fn a_render_that_was_kept_is_not_used_under_another_secret() {
    let scene = Scene::new();
    let one = scene.made("one", &[]);
    let other = secret_file(&scene.weir.path("other"), &"5a".repeat(32));
    let with = ["render", "one", "--random-secret", &other];
    let others = saw(&scene.run(&with));
    assert_ne!(others, one);
    assert_eq!(saw(&scene.run(&with)), others);
    assert_eq!(saw(&scene.run(&["render", "one"])), one);
}

#[test]
fn without_the_grant_it_is_refused_and_the_grant_is_named() {
    let mut scene = Scene::new();
    scene.manifest(REFUSED);
    let said = scene.run(&["render"]).code(1).unwrap().stderr;
    for words in [
        "app `one`",
        "plugin `random`",
        "wasi:random/random.get-random-u64",
        "put it into the repository",
        "`grants: { random: stable }`",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!scene.secret().exists());
    // A file of the repository is no grant.
    scene.repo.write(".weir/grants/random", "stable\n").unwrap();
    scene.repo.commit("a grant of its own").unwrap();
    let said = scene.run(&["render"]).code(1).unwrap().stderr;
    assert!(said.contains("refused during a call"), "{said}");
}

#[test]
fn a_secret_that_others_can_read_or_that_is_none_stops_just_the_apps_that_need_it() {
    let scene = Scene::new();
    scene.made("one", &[]);
    let digits = fs::read_to_string(scene.secret()).unwrap();
    fs::set_permissions(scene.secret(), Permissions::from_mode(0o644)).unwrap();
    let said = scene.run(&["render", "one"]).code(1).unwrap().stderr;
    for words in ["app `one`", "random.secret", "set its mode to 0600"] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let said = scene.weir.run(["doctor"]).unwrap().code(1).unwrap().stdout;
    assert!(said.contains("set its mode to 0600"), "{said}");
    secret_file(&scene.secret(), &digits[1..]);
    let said = scene.run(&["render", "one"]).code(1).unwrap().stderr;
    assert!(said.contains("expected 64 hex digits"), "{said}");
    assert!(!said.contains(&digits[10..40]), "{said}");
    let none = scene.weir.path("none");
    let with = ["render", "one", "--random-secret", text(&none).unwrap()];
    let said = scene.run(&with).code(1).unwrap().stderr;
    assert!(said.contains("never made"), "{said}");
    assert!(!none.exists());
    secret_file(&scene.secret(), &digits);
    let said = scene.weir.run(["doctor"]).unwrap().success().unwrap();
    let id = RandomSecret::read(&digits).unwrap().id().to_string();
    assert!(said.contains(&id), "{said}");
}

#[test]
fn a_receipt_says_which_secret_and_is_proved_where_that_is_and_nowhere_else() {
    let scene = Scene::new();
    scene.sync(&[]).code(0).unwrap();
    let digits = fs::read_to_string(scene.secret()).unwrap();
    let id = RandomSecret::read(&digits).unwrap().id().to_string();
    let show = ["receipts", "show", "--app", "one"];
    let shown = scene.weir.run(show).unwrap().success().unwrap();
    assert!(shown.contains("stableRandom: true"), "{shown}");
    assert!(shown.contains(&format!("randomSecret: {id}")), "{shown}");
    let (receipt, plain) = (scene.receipt("one"), scene.receipt("plain"));
    let (stranger, key) = scene.stranger();
    let said = scene.verify(&scene.weir, &key, &receipt, &[]);
    assert!(said.code(0).unwrap().stdout.contains("equal: shop/one"));
    let said = scene.verify(&stranger, &key, &receipt, &[]);
    let said = said.code(1).unwrap().stderr;
    for words in [
        &*id,
        "is not there",
        "--random-secret FILE",
        "on the host that signed",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    assert!(!stranger.state_dir().join("keys").exists(), "none is made");
    let other = secret_file(&stranger.path("other"), &"5a".repeat(32));
    let said = scene.verify(&stranger, &key, &receipt, &["--random-secret", &other]);
    let said = said.code(1).unwrap().stderr;
    let others = RandomSecret::read(&"5a".repeat(32)).unwrap().id();
    assert!(said.contains(&others.to_string()), "{said}");
    let copy = secret_file(&stranger.path("copy"), &digits);
    let said = scene.verify(&stranger, &key, &receipt, &["--random-secret", &copy]);
    assert!(said.code(0).unwrap().stdout.contains("equal: shop/one"));
    // One that could have taken some and took none is proved anywhere.
    let said = scene.verify(&stranger, &key, &plain, &[]);
    assert!(said.code(0).unwrap().stdout.contains("equal: shop/plain"));
}

#[test]
fn a_host_whose_secret_was_lost_changes_nothing_by_itself() {
    let mut scene = Scene::new();
    scene.sync(&[]).code(0).unwrap();
    let (live, digits) = (scene.live(), fs::read_to_string(scene.secret()).unwrap());
    fs::remove_file(scene.secret()).unwrap();
    let said = scene.sync(&[]).code(4).unwrap().stderr;
    assert!(said.contains("put the former secret back"), "{said}");
    assert_eq!(scene.live(), live);
    // Not with a commit that changes what the apps are made of, either.
    scene.manifest(&MANIFEST.replace("path: a, render", "path: a, roots: [a], render"));
    let said = scene.sync(&[]).code(4).unwrap().stderr;
    assert!(said.contains("put the former secret back"), "{said}");
    assert_eq!(scene.live(), live);
    secret_file(&scene.secret(), &digits);
    scene.sync(&[]).code(0).unwrap();
    assert_eq!(scene.live(), live);
}

#[test]
fn a_host_may_keep_it_from_a_repository_whatever_that_grants() {
    let scene = Scene::new();
    let file = scene.weir.path("host.yaml");
    let (repo, live) = (scene.repo.path(), scene.weir.path("live"));
    let of_file = format!(
        "version: 1\nlisten: 127.0.0.1:0\nrepositories:\n- name: shop\n  url: {}\n  grants: {{ random: none }}\n  targets: {{ default: 'dir:{}' }}\n",
        repo.display(),
        live.display()
    );
    fs::write(&file, of_file).unwrap();
    let words = ["serve", "--config", text(&file).unwrap()];
    let mut host = scene.weir.start(words).unwrap();
    wait_app(
        &mut host,
        "one",
        "lets no plugin of repository shop",
        PATIENCE,
    )
    .unwrap();
    stop(host, PATIENCE).unwrap();
    assert!(!scene.secret().exists());
}

#[test]
fn hosts_that_share_a_secret_render_the_same_in_workers() {
    let scene = Scene::new();
    let one = scene.made("one", &[]);
    let repo = scene.repo.path();
    for _ in 0..2 {
        let weir = Weir::new().unwrap();
        let digits = fs::read_to_string(scene.secret()).unwrap();
        let copy = secret_file(&weir.path("copy"), &digits);
        let live = weir.path("live");
        let target = format!("dir:{}", live.display());
        let words = ["serve", "--repo", text(&repo).unwrap(), "--name", "shop"];
        let more = ["--target", &target, "--listen", "127.0.0.1:0"];
        let secret = ["--random-secret", &copy];
        let words = words.iter().chain(&more).chain(&secret);
        let mut host = weir.start(words).unwrap();
        wait_app(&mut host, "one", "synced to", PATIENCE).unwrap();
        stop(host, PATIENCE).unwrap();
        let found = files(&live);
        assert!(found.values().any(|text| text.contains(&one)), "{found:?}");
        let own = weir.state_dir().join("keys/random.secret");
        assert!(!own.exists(), "a secret that is given is enough");
    }
}

#[test]
fn the_secret_and_its_seeds_are_in_no_output_and_no_file_but_its_own() {
    let mut scene = Scene::new();
    scene.weir.variable("WEIR_LOG", "trace");
    let mut said = Vec::new();
    let mut heard = |ran: Ran| said.push(format!("{}{}", ran.stdout, ran.stderr));
    heard(scene.sync(&["--canary", "100", "--isolation", "processes"]));
    heard(scene.run(&["render"]));
    heard(scene.weir.run(["doctor"]).unwrap());
    heard(scene.weir.run(["history"]).unwrap());
    let receipt = scene.receipt("one");
    let (_stranger, key) = scene.stranger();
    heard(scene.verify(&scene.weir, &key, &receipt, &[]));
    let digits = fs::read_to_string(scene.secret()).unwrap();
    let secret = RandomSecret::read(&digits).unwrap();
    // What fails says nothing of it either.
    fs::set_permissions(scene.secret(), Permissions::from_mode(0o640)).unwrap();
    heard(scene.run(&["render"]));
    let mut looked_for = vec![("digits".to_owned(), digits.trim_end().as_bytes().to_vec())];
    looked_for.push(("bytes".to_owned(), unhex(digits.trim_end())));
    for app in ["one", "two", "plain"] {
        for plugin in ["random", "yaml"] {
            let whose = Whose {
                repository: &"shop".parse().unwrap(),
                app: &app.parse().unwrap(),
                plugin: &plugin.parse().unwrap(),
            };
            let seed = secret.seed(&whose).unwrap();
            looked_for.push((format!("seed of {app} {plugin}"), seed.expose().to_vec()));
        }
    }
    let sweep = Sweep::of(looked_for).unwrap();
    for text in &said {
        assert!(sweep.find(text.as_bytes()).is_empty(), "{text}");
    }
    let mut found = sweep.find_below(&scene.weir.path(".")).unwrap();
    found.retain(|file, _| !file.ends_with("keys/random.secret"));
    assert!(found.is_empty(), "{found:?}");
}

fn unhex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let pairs = pairs.map(|pair| std::str::from_utf8(pair).unwrap());
    pairs
        .map(|pair| u8::from_str_radix(pair, 16).unwrap())
        .collect()
}

/// A chart with a password, a certificate and what is made of neither.
const SECRET: &str = "apiVersion: v1\nkind: Secret\nmetadata: { name: auth }\nstringData:\n  password: {{ randAlphaNum 24 | quote }}\n";
const TLS: &str = "{{ $ca := genCA \"ca\" 365 }}{{ $cert := genSignedCert \"web\" nil (list \"web.ns.svc\") 365 $ca }}\n\
    apiVersion: v1\nkind: Secret\nmetadata: { name: tls }\nstringData:\n  ca.crt: {{ $ca.Cert | quote }}\n  tls.crt: {{ $cert.Cert | quote }}\n  tls.key: {{ $cert.Key | quote }}\n";
const CONFIG: &str = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: web }\ndata:\n  sum: {{ include (print $.Template.BasePath \"/auth.yaml\") . | sha256sum }}\n";

#[test]
fn a_chart_with_passwords_and_certificates_comes_to_the_same_bytes_twice_and_only_what_changes_changes()
 {
    let mut scene = Scene::new();
    scene.weir.begin_with_engines().unwrap();
    for (path, text) in [
        (
            "chart/Chart.yaml",
            "apiVersion: v2\nname: web\nversion: 1.0.0\n",
        ),
        ("chart/templates/auth.yaml", SECRET),
        ("chart/templates/tls.yaml", TLS),
        ("chart/templates/web.yaml", CONFIG),
    ] {
        scene.repo.write(path, text).unwrap();
    }
    let apps = "apps: [{ name: web, path: chart }]\n";
    scene.manifest(&format!("version: 1\n{apps}"));
    let said = scene.run(&["render"]).code(1).unwrap().stderr;
    for words in [
        "chart/templates/auth.yaml:5",
        "randAlphaNum",
        "`grants: { random: stable }`",
    ] {
        assert!(said.contains(words), "{words}: {said}");
    }
    let granted = "plugins: { helm: { source: 'bundled:helm', grants: { random: stable } } }";
    scene.manifest(&format!("version: 1\n{granted}\n{apps}"));
    scene.sync(&[]).code(0).unwrap();
    let first = scene.live();
    assert_eq!(first.len(), 3, "{first:?}");
    fs::remove_dir_all(scene.weir.cache_dir().join("renders")).unwrap();
    scene.sync(&["--isolation", "processes"]).code(0).unwrap();
    assert_eq!(scene.live(), first);
    // Another template, another text: nothing that was made up is another.
    let more = CONFIG.replace("data:\n", "data:\n  more: {{ uuidv4 }}\n");
    scene.repo.write("chart/templates/web.yaml", more).unwrap();
    scene.repo.commit("more").unwrap();
    scene.sync(&[]).code(0).unwrap();
    let second = scene.live();
    let changed = first.iter().filter(|(path, text)| second[*path] != **text);
    let changed: Vec<&PathBuf> = changed.map(|(path, _)| path).collect();
    assert_eq!(changed.len(), 1, "{changed:?}");
    assert!(changed[0].ends_with("configmap/web.yaml"), "{changed:?}");
    let certificate = first
        .values()
        .find(|text| text.contains("tls.crt"))
        .unwrap();
    assert!(certificate.contains("BEGIN CERTIFICATE"), "{certificate}");
}
