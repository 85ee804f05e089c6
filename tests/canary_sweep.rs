//! Marked secrets in every place where a secret can be; every command, route and error path; and a look at all that was said and written.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use weir_tests::control_plane::ControlPlane;
use weir_tests::forge::Delivery;
use weir_tests::s3::{S3, SECRET};
use weir_tests::scene::{SOON, Scene};
use weir_tests::server::Fault;
use weir_tests::sops::{Key, Sops};
use weir_tests::sshd::Sshd;
use weir_tests::sweep::Sweep;
use weir_tests::weir::{http_get, text};
use weir_tests::{Auth, Repo, Serving};

const GIT_PASSWORD: &str = "canary-git-password-7fA3xQ9";
const WRONG_PASSWORD: &str = "canary-wrong-password-Zk28vP";
const IN_DATA: &str = "canary-secret-data-Lw61mB4";
const IN_STRING_DATA: &str = "canary-secret-string-Hs93tN7";
const WEBHOOK: &str = "canary-webhook-secret-Tn40yD2";
const WRONG_WEBHOOK: &str = "canary-webhook-refused-Xb17rF5";
const WEBHOOK_TOKEN: &str = "canary-webhook-token-Mk86cJ3";
const IN_SOPS: &str = "canary-encrypted-value-Qe52vK8";

/// Everything that was said, by who said it.
#[derive(Default)]
struct Said(BTreeMap<String, Vec<u8>>);

impl Said {
    fn keep(&mut self, who: impl Into<String>, what: impl AsRef<[u8]>) {
        let all = self.0.entry(who.into()).or_default();
        all.extend_from_slice(what.as_ref());
        all.push(b'\n');
    }
}

/// A repository behind ssh whose Secret is encrypted, and the keys for both.
struct Vault {
    repo: Repo,
    sshd: Sshd,
    ssh_key: PathBuf,
    sops: Sops,
    age: Key,
}

impl Vault {
    fn new(namespace: &str) -> Vault {
        let repo = Repo::empty().unwrap();
        let manifest = format!(
            "version: 1\napps: [{{ name: vault, path: vault, target: {{ namespace: {namespace} }} }}]\n"
        );
        repo.write("weir.yaml", manifest).unwrap();
        let sshd = Sshd::start(repo.parent()).unwrap();
        let sops = Sops::new().unwrap();
        let mut vault = Vault {
            ssh_key: sshd.key("ed25519").unwrap(),
            age: sops.key("own").unwrap(),
            repo,
            sshd,
            sops,
        };
        let sealed = vault.sealed();
        vault.push(&sealed);
        vault
    }

    /// The Secret as Git has it.
    fn sealed(&self) -> String {
        let plain = format!(
            "apiVersion: v1\nkind: Secret\nmetadata:\n  name: sealed\nstringData:\n  token: {IN_SOPS}\n"
        );
        let only = ["--encrypted-regex", "^(data|stringData)$"];
        let sealed = self.sops.encrypt(&[&self.age], "sealed.yaml", plain, &only);
        String::from_utf8(sealed.unwrap()).unwrap()
    }

    fn push(&mut self, secret: &str) {
        self.repo.write("vault/sealed.yaml", secret).unwrap();
        self.repo.commit("vault").unwrap();
    }
}

/// One host with a password for Git, a key for ssh, a key for Secrets, a bucket for its ledger and a cluster.
struct Place {
    scene: Scene<'static>,
    vault: Vault,
    s3: S3,
    said: Said,
}

impl Place {
    fn new() -> Place {
        let mut scene = Scene::new(ControlPlane::shared().unwrap(), "sweep").unwrap();
        let secret = secret(IN_DATA, IN_STRING_DATA);
        scene.push("web/secret.yaml", &secret).unwrap();
        scene.server.require(Auth::Basic {
            user: "deployer".to_owned(),
            password: GIT_PASSWORD.to_owned(),
        });
        let s3 = S3::start().unwrap();
        s3.hold(&mut scene.weir, "host");
        scene.weir.variable("WEIR_LOG", "trace");
        let place = Place {
            vault: Vault::new(&scene.namespace),
            scene,
            s3,
            said: Said::default(),
        };
        place.own("password", GIT_PASSWORD);
        place.own("hook", WEBHOOK);
        place.own("hook-token", WEBHOOK_TOKEN);
        place.own("keys.agekey", &place.vault.age.secret().unwrap());
        place.own("ssh", &fs::read_to_string(&place.vault.ssh_key).unwrap());
        let known = place.vault.sshd.known().unwrap();
        let file = format!(
            "version: 1\nlisten: 127.0.0.1:0\nrepositories:\n- name: shop\n  url: '{}'\n  interval: 1h\n  \
             auth: {{ username: deployer, password-file: own/password }}\n  targets: {{ default: 'kube:' }}\n  \
             webhook: {{ forge: github, secret-file: [own/hook, own/no-hook] }}\n\
             - name: vault\n  url: '{}'\n  interval: 1h\n  \
             auth: {{ ssh-key-file: own/ssh, known-hosts-file: '{}' }}\n  \
             decrypt: {{ age-key-files: [own/keys.agekey] }}\n  targets: {{ default: 'kube:' }}\n  \
             webhook: {{ forge: gitlab, secret-file: own/hook-token }}\n",
            place.scene.server.url("work"),
            place.vault.sshd.url("work"),
            text(&known).unwrap(),
        );
        fs::write(place.scene.weir.path("host.yaml"), file).unwrap();
        place
    }

    /// A file that the host reads a secret from.
    fn own(&self, name: &str, secret: &str) {
        let own = self.scene.weir.path("own");
        fs::create_dir_all(&own).unwrap();
        fs::write(own.join(name), secret).unwrap();
        let only_own = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        fs::set_permissions(own.join(name), only_own).unwrap();
    }

    fn serve(&self) -> Serving {
        let file = self.scene.weir.path("host.yaml");
        self.scene
            .weir
            .start(["serve", "--config", text(&file).unwrap()])
            .unwrap()
    }

    /// Runs a command, however it ends, and keeps what it says.
    fn run(&mut self, words: &[&str]) -> Option<i32> {
        let ran = self.scene.weir.run(words).unwrap();
        let who = words.join(" ");
        self.said.keep(&who, ran.stdout);
        self.said.keep(&who, ran.stderr);
        ran.code
    }

    /// Every command that reads, in each form that it prints.
    fn look_around(&mut self) {
        let namespace = self.scene.namespace.clone();
        let url = self.scene.server.url("work");
        let own = |name: &str| self.scene.weir.path("own").join(name).display().to_string();
        let (password, ssh, keys) = (own("password"), own("ssh"), own("keys.agekey"));
        let password = password.as_str();
        let (vault, known) = (
            self.vault.sshd.url("work"),
            self.vault.sshd.known().unwrap(),
        );
        let from_vault = [
            "diff",
            "--live",
            "--repo",
            &vault,
            "--ssh-key-file",
            &ssh,
            "--known-hosts-file",
            text(&known).unwrap(),
            "--target",
            "kube:",
        ];
        self.run(&from_vault);
        self.run(&[&from_vault[..], &["--age-key-file", &keys]].concat());
        for output in ["text", "json"] {
            for words in [
                vec!["apps", "-o", output],
                vec!["history", "web", "-o", output],
                vec!["history", "vault", "-o", output],
                vec!["trace", "secret/db", "-n", &namespace, "-o", output],
                vec!["trace", "secret/sealed", "-n", &namespace, "-o", output],
                vec!["audit", "verify", "-o", output],
                vec!["receipts", "list", "-o", output],
                vec!["receipts", "show", "--app", "web", "-o", output],
                vec!["keys", "list", "-o", output],
                vec!["doctor", "-o", output],
            ] {
                self.run(&words);
            }
        }
        self.run(&["audit", "export"]);
        let from = [
            "--repo",
            &url,
            "--username",
            "deployer",
            "--password-file",
            password,
        ];
        for words in [
            &["diff", "--from", "HEAD~1", "--to", "HEAD"][..],
            &["diff", "--live", "--target", "kube:"],
            &["impact", "--from", "HEAD~1", "--to", "HEAD"],
            &["impact", "--from", "HEAD~1", "--to", "HEAD", "-o", "json"],
            &[
                "impact", "--from", "HEAD~1", "--to", "HEAD", "-o", "markdown",
            ],
        ] {
            let words: Vec<&str> = words.iter().chain(&from).copied().collect();
            self.run(&words);
        }
    }

    /// Every route of the API.
    fn ask(&mut self, address: &str) {
        for path in [
            "/healthz",
            "/readyz",
            "/metrics",
            "/api/v1/apps",
            "/api/v1/apps?repository=no",
            "/none",
        ] {
            let (status, body) = http_get(address, path).unwrap();
            self.said.keep(format!("GET {path}: {status}"), body);
        }
    }

    /// Deliveries of webhooks, right and wrong, also ones that show a secret where none belongs.
    fn deliver(&mut self, address: &str) {
        let github = |secret, id| Delivery::github(secret, id).unwrap();
        let as_id = format!("{WRONG_WEBHOOK}-as-an-id");
        for (what, repository, delivery) in [
            ("right", "shop", github(WEBHOOK, "1")),
            ("again", "shop", github(WEBHOOK, "1")),
            ("wrong", "shop", github(WRONG_WEBHOOK, &as_id)),
            ("of another forge", "shop", Delivery::gitlab(WEBHOOK, "2")),
            (
                "right, with a token",
                "vault",
                Delivery::gitlab(WEBHOOK_TOKEN, "3"),
            ),
            (
                "with a wrong token",
                "vault",
                Delivery::gitlab(WRONG_WEBHOOK, "4"),
            ),
            ("twice", "vault", {
                let token = Delivery::gitlab(WEBHOOK_TOKEN, "5");
                token.with("X-Gitlab-Token", WRONG_WEBHOOK)
            }),
            ("of none", "absent", Delivery::gitlab(WEBHOOK_TOKEN, "6")),
            ("in the path", WRONG_WEBHOOK, github(WEBHOOK, "7")),
        ] {
            let answer = delivery.send(address, repository).unwrap();
            self.said
                .keep(format!("a delivery, {what}"), format!("{answer:?}"));
        }
        self.own("hook", &WRONG_WEBHOOK[..12]);
        let short = github(WEBHOOK, "8").send(address, "shop").unwrap();
        self.said
            .keep("a delivery, short secret", format!("{short:?}"));
        self.own("hook", WEBHOOK);
    }

    /// Each way to fail on the way from Git to the cluster and the ledger.
    fn fail(&mut self, host: &mut Serving) {
        // The cluster refuses a Secret, in words that quote it.
        let good = secret(IN_DATA, IN_STRING_DATA);
        for bad in [
            good.replace("  password:", "  \"not a key!\":"),
            good.replace(
                "stringData:\n",
                "stringData:\n  list: [ canary-secret-string-Hs93tN7 ]\n",
            ),
            good.replace("kind: Secret\n", "kind: Secret\ntype: kubernetes.io/tls\n"),
        ] {
            self.scene.push("web/secret.yaml", &bad).unwrap();
            self.run(&["refresh"]);
            host.wait_for_text("words are left out", SOON).unwrap();
            self.look_around();
        }
        self.scene.push("web/secret.yaml", &good).unwrap();
        self.run(&["refresh"]);
        host.wait_for_text("nothing to change", SOON).unwrap();
        // The Git server refuses the password, or answers nonsense, or sends elsewhere, or is away.
        self.own("password", WRONG_PASSWORD);
        self.run(&["refresh"]);
        self.own("password", GIT_PASSWORD);
        for fault in [
            Fault::Status(403),
            Fault::Status(404),
            Fault::Status(500),
            Fault::Truncate(10),
            Fault::Garbage,
            Fault::Redirect("http://127.0.0.2:1".to_owned()),
        ] {
            self.scene.server.fault(fault);
            self.run(&["refresh"]);
            self.look_around();
        }
        self.scene.server.fault(Fault::None);
        self.scene.server.down().unwrap();
        self.run(&["refresh"]);
        self.scene.server.up().unwrap();
        self.fail_to_open(host);
        // The bucket is away.
        self.s3.stop();
        for words in [
            &["apps"][..],
            &["audit", "verify"],
            &["rollback", "web", "--to", "previous", "--yes"],
        ] {
            self.run(words);
        }
        self.s3.again().unwrap();
        // Decisions, also ones that cannot be.
        for words in [
            &[
                "rollback", "web", "--to", "previous", "--yes", "--why", "canary",
            ][..],
            &["resume", "web", "--yes"],
            &["rollback", "vault", "--to", "previous", "--yes"],
            &["resume", "vault", "--yes"],
            &["rollback", "web", "--to", "999", "--yes"],
            &["approve", "web", "--yes"],
            &["adopt", "web", "--yes"],
        ] {
            self.run(words);
        }
    }

    /// The encrypted repository: a key that nobody lets in, a key that opens nothing, a value that was changed, one that is plain.
    fn fail_to_open(&mut self, host: &mut Serving) {
        let stranger = self.vault.sshd.stranger("ed25519").unwrap();
        self.own("ssh", &fs::read_to_string(stranger).unwrap());
        self.run(&["refresh", "vault"]);
        self.own("ssh", &fs::read_to_string(&self.vault.ssh_key).unwrap());
        let other = self.vault.sops.key("other").unwrap();
        self.own("keys.agekey", &other.secret().unwrap());
        let mut sealed = self.vault.sealed();
        self.vault.push(&sealed);
        self.run(&["refresh", "vault"]);
        host.wait_for_text("none of this host's keys fits", SOON)
            .unwrap();
        self.look_around();
        self.own("keys.agekey", "AGE-SECRET-KEY-1CANARY");
        self.run(&["refresh", "vault"]);
        self.own("keys.agekey", &self.vault.age.secret().unwrap());
        let token = sealed.find("token: ENC[AES256_GCM,data:").unwrap() + 27;
        let changed = if sealed[token..].starts_with('A') {
            "B"
        } else {
            "A"
        };
        sealed.replace_range(token..=token, changed);
        self.vault.push(&sealed);
        self.run(&["refresh", "vault"]);
        host.wait_for_text("was changed after it was encrypted", SOON)
            .unwrap();
        self.look_around();
        let good = self.vault.sealed();
        self.vault.push(&good);
        self.run(&["refresh", "vault"]);
        host.wait_for("the vault lands", SOON, |line| {
            (line.contains("\"is at ") || line.contains("synced to")) && line.contains("\"vault\"")
        })
        .unwrap();
    }

    /// What is to be nowhere but in its own place.
    fn credentials(&self) -> Sweep {
        let kubeconfig = fs::read_to_string(self.scene.kubectl.kubeconfig()).unwrap();
        let key = kubeconfig
            .lines()
            .find_map(|line| line.trim().strip_prefix("client-key-data: "));
        let signing = fs::read_dir(self.scene.weir.state_dir().join("keys")).unwrap();
        let signing = signing
            .map(|file| fs::read_to_string(file.unwrap().path()).unwrap_or_default())
            .find(|text| text.contains("PRIVATE KEY"));
        let signing = signing.unwrap().lines().nth(1).unwrap().to_owned();
        let mut all = vec![
            ("the password of Git", GIT_PASSWORD.to_owned()),
            ("a password that is refused", WRONG_PASSWORD.to_owned()),
            ("the secret of a webhook", WEBHOOK.to_owned()),
            ("the token of a webhook", WEBHOOK_TOKEN.to_owned()),
            ("a secret that a delivery shows", WRONG_WEBHOOK.to_owned()),
            ("the bucket's secret", SECRET.to_owned()),
            ("the key that signs receipts", signing),
            (
                "the key that opens Secrets",
                self.vault.age.secret().unwrap(),
            ),
            ("an encrypted value", IN_SOPS.to_owned()),
        ];
        let ssh = fs::read_to_string(&self.vault.ssh_key).unwrap();
        all.push(("the key for ssh", ssh.lines().nth(2).unwrap().to_owned()));
        all.extend(key.map(|key| ("the key for the cluster", key[100..200].to_owned())));
        Sweep::of(all).unwrap()
    }
}

fn secret(data: &str, string: &str) -> String {
    use base64::Engine as _;
    let data = base64::engine::general_purpose::STANDARD.encode(data);
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata:\n  name: db\ndata:\n  password: {data}\nstringData:\n  token: {string}\n"
    )
}

/// Which files below a folder have some secret, but for those below these folders.
fn found(sweep: &Sweep, dir: &Path, but: &[&str]) -> Vec<String> {
    let found = sweep.find_below(dir).unwrap();
    let lines = found.into_iter().filter_map(|(path, what)| {
        let path = path.strip_prefix(dir).unwrap().to_owned();
        let is_allowed = but.iter().any(|folder| path.starts_with(folder));
        (!is_allowed).then(|| format!("{}: {what:?}", path.display()))
    });
    lines.collect()
}

#[test]
fn no_secret_is_anywhere_but_in_its_place_whatever_is_asked_and_whatever_fails() {
    let mut place = Place::new();
    let mut host = place.serve();
    let line = host.wait_for_text("says how apps stand", SOON).unwrap();
    let address = line.split("http://").nth(1).unwrap();
    let address = address.split(['"', '/', ' ']).next().unwrap().to_owned();
    // One app in each of the two repositories.
    for _ in 0..2 {
        host.wait_for_text("synced to", SOON).unwrap();
    }
    place.ask(&address);
    place.deliver(&address);
    place.look_around();
    place.fail(&mut host);
    place.ask(&address);
    place.look_around();
    host.terminate(SOON).unwrap();
    place.said.keep("serve", host.transcript());

    let in_git = Sweep::of([
        ("data of a Secret", IN_DATA),
        ("stringData of a Secret", IN_STRING_DATA),
    ])
    .unwrap();
    let credentials = place.credentials();
    let mut wrong = BTreeSet::new();
    for (who, what) in &place.said.0 {
        for sweep in [&in_git, &credentials] {
            let found = sweep.find(what);
            if !found.is_empty() {
                wrong.insert(format!("`weir {who}` says {found:?}"));
            }
        }
    }
    // What is plain in Git lies where Git's objects and an app's rendered bytes are kept, and nowhere else.
    let weir = &place.scene.weir;
    let (state, cache) = (weir.state_dir(), weir.cache_dir());
    wrong.extend(found(&in_git, &state, &[]));
    wrong.extend(found(&in_git, &cache, &["git", "renders"]));
    wrong.extend(found(&in_git, &place.s3.file("host"), &["blob"]));
    wrong.extend(found(&credentials, &state, &["keys"]));
    wrong.extend(found(&credentials, &cache, &[]));
    wrong.extend(found(&credentials, &place.s3.file("host"), &[]));
    for dir in ["tmp", "home"] {
        wrong.extend(found(&in_git, &weir.path(dir), &[]));
        wrong.extend(found(&credentials, &weir.path(dir), &[]));
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    // The sweep sees: the Secret is in the cluster, and the password in its file.
    let live = place.scene.kubectl.text(&[
        "get",
        "secret",
        "db",
        "-n",
        &place.scene.namespace,
        "-o",
        "yaml",
    ]);
    assert!(!in_git.find(live.unwrap().as_bytes()).is_empty());
    assert!(!found(&credentials, &weir.path("own"), &[]).is_empty());
}
