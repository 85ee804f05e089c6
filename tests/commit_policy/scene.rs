//! A repository behind http, people with keys, and a host that asks for their signatures.

use weir_tests::control_plane::wait;

use super::*;

/// Longer than any one step takes, on any machine.
pub(super) const SOON: Duration = Duration::from_secs(60);

/// Ann and Bob have keys; the file `ann.list` has Ann's, `bob.list` Bob's.
pub(super) struct Scene {
    pub(super) repo: Repo,
    pub(super) server: GitServer,
    pub(super) weir: Weir,
    pub(super) signers: Signers,
}

impl Scene {
    pub(super) fn new() -> Scene {
        let signers = Signers::new().unwrap();
        for name in ["ann", "bob"] {
            let line = signers.ssh_key(name).unwrap();
            signers
                .write(&format!("{name}.list"), &format!("{line}\n"))
                .unwrap();
        }
        let mut repo = Repo::empty().unwrap();
        let manifest = "version: 1\napps: [{ name: shop, path: app }]\n";
        repo.write("weir.yaml", manifest).unwrap();
        repo.commit("nothing yet").unwrap();
        Scene {
            server: GitServer::of(&repo).unwrap(),
            weir: Weir::new().unwrap(),
            repo,
            signers,
        }
    }

    /// The line of somebody's key.
    pub(super) fn line(&self, name: &str) -> String {
        fs::read_to_string(self.signers.path(&format!("{name}.list"))).unwrap()
    }

    /// Puts other people on a list.
    pub(super) fn allow(&self, list: &str, people: &[&str]) {
        let lines: String = people.iter().map(|name| self.line(name)).collect();
        self.signers.write(&format!("{list}.list"), &lines).unwrap();
    }

    fn set(&self, value: &str) {
        let map = format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata: {{ name: shop, namespace: a }}\ndata: {{ value: \"{value}\" }}\n"
        );
        self.repo.write("app/map.yaml", map).unwrap();
    }

    pub(super) fn unsigned(&mut self, value: &str) -> String {
        self.set(value);
        self.repo.commit(value).unwrap()
    }

    /// A commit that somebody signed with SSH.
    pub(super) fn by(&mut self, who: &str, value: &str) -> String {
        let settings = self.signers.ssh(who);
        self.signed(&settings, value)
    }

    pub(super) fn signed(&mut self, settings: &[String], value: &str) -> String {
        self.set(value);
        self.repo.commit_signed(value, settings).unwrap()
    }

    fn words(&self, command: &str, flags: &[&str]) -> Vec<String> {
        let target = format!("dir:{}", self.weir.path("live").display());
        let url = self.server.url("work");
        let mut words: Vec<String> = vec![command.into(), "--repo".into(), url];
        words.extend(["--target".into(), target]);
        for flag in flags {
            let list = self.signers.path(&format!("{flag}.list"));
            match *flag {
                "ann" | "bob" => words.push(list.display().to_string()),
                flag => words.push(flag.to_owned()),
            }
        }
        words
    }

    pub(super) fn sync(&self, flags: &[&str]) -> Ran {
        self.weir.run(self.words("sync", flags)).unwrap()
    }

    /// Follows until stopped.
    pub(super) fn serve(&self, flags: &[&str]) -> Host {
        let mut words = self.words("serve", flags);
        words.extend(["--interval", "200ms", "--listen", "127.0.0.1:0"].map(str::to_owned));
        self.start(&words)
    }

    /// The same by a file, of which these lines are the repository's.
    pub(super) fn serve_file(&self, lines: &str) -> Host {
        let (url, live) = (self.server.url("work"), self.weir.path("live"));
        let file = format!(
            "version: 1\nlisten: 127.0.0.1:0\nrepositories:\n- name: work\n  url: {url}\n  interval: 200ms\n  targets: {{ default: 'dir:{}' }}\n{lines}",
            live.display()
        );
        let path = self.signers.write("host.yaml", &file).unwrap();
        self.start(&[
            "serve".to_owned(),
            "--config".to_owned(),
            path.display().to_string(),
        ])
    }

    fn start(&self, words: &[String]) -> Host {
        let mut serving = self.weir.start(words).unwrap();
        let line = serving.wait_for_text("/api/v1/apps", SOON).unwrap();
        let address = line
            .split("http://")
            .nth(1)
            .and_then(|rest| rest.split('/').next());
        let address = address
            .unwrap_or_else(|| panic!("no address in {line}"))
            .to_owned();
        Host {
            serving,
            address,
            live: self.weir.path("live"),
            good: (String::new(), String::new()),
        }
    }

    pub(super) fn serve_until_live(&self, flags: &[&str], commit: &str, value: &str) -> Host {
        let mut host = self.serve(flags);
        host.lands(commit, value);
        host
    }

    pub(super) fn says(&self, words: &[&str]) -> String {
        self.weir.run(words).unwrap().success().unwrap()
    }

    /// What is live.
    pub(super) fn value(&self) -> String {
        value(&self.weir.path("live"))
    }
}

fn value(live: &std::path::Path) -> String {
    let text = fs::read_to_string(live.join("a/configmap/shop.yaml")).unwrap_or_default();
    let line = text.lines().find_map(|line| line.strip_prefix("  value: "));
    line.unwrap_or_default().to_owned()
}

/// A host that runs, and what it followed last.
pub(super) struct Host {
    pub(super) serving: Serving,
    pub(super) address: String,
    live: PathBuf,
    /// The target's digest and the commit.
    pub(super) good: (String, String),
}

impl Host {
    /// Waits until something is so.
    pub(super) fn until(&self, what: &str, is: impl Fn(&Host) -> bool) {
        let waited = wait::until(SOON, what, || Ok(is(self).then_some(())));
        if let Err(error) = waited {
            panic!("{error}: {:#}\n{}", self.view(), self.serving.transcript());
        }
    }

    pub(super) fn view(&self) -> Value {
        let (status, body) = http_get(&self.address, "/api/v1/apps")
            .unwrap_or_else(|e| panic!("{e:#}\n{}", self.serving.transcript()));
        assert_eq!(status, 200, "{body}");
        serde_json::from_str(&body).unwrap()
    }

    /// A commit that was pushed is live soon.
    pub(super) fn lands(&mut self, commit: &str, expected: &str) {
        self.serving.signal(Signal::HUP).unwrap();
        self.until(&format!("{commit} lands"), |host| {
            let app = &host.view()["repositories"][0]["apps"][0];
            app["commit"] == *commit && app["state"] == "synced"
        });
        assert_eq!(value(&self.live), expected);
        self.good = (tree_digest(&self.live).unwrap(), commit.to_owned());
    }

    /// A commit that was pushed is refused with these words, and what is live stays as it was.
    pub(super) fn holds(&mut self, scene: &Scene, commit: &str, words: &str) {
        self.serving.signal(Signal::HUP).unwrap();
        let refused = format!("commit {} is refused", &commit[..10]);
        let line = self.serving.wait_for_text(&refused, SOON).unwrap();
        let stays = format!(
            "the last accepted commit {} stays followed",
            &self.good.1[..10]
        );
        for words in ["ERROR", words, &stays] {
            assert!(line.contains(words), "{words}: {line}");
        }
        let good = self.good.1.clone();
        self.says(&good, Some(words));
        assert_eq!(
            tree_digest(&scene.weir.path("live")).unwrap(),
            self.good.0,
            "{words}"
        );
    }

    /// The app is at this commit, and this is said of the repository, or nothing.
    pub(super) fn says(&self, commit: &str, said: Option<&str>) {
        self.until(&format!("{said:?} is said"), |host| {
            let view = host.view();
            let repository = &view["repositories"][0];
            let message = repository["message"].as_str();
            let as_said = match said {
                Some(said) => message.is_some_and(|m| m.contains(said)),
                None => message.is_none() && repository["refused"].is_null(),
            };
            let app = &repository["apps"][0];
            as_said && app["commit"] == *commit && app["state"] == "synced"
        });
    }

    /// Nothing is refused any more.
    pub(super) fn is_well(&self) {
        let good = self.good.1.clone();
        self.says(&good, None);
        let (_, metrics) = http_get(&self.address, "/metrics").unwrap();
        let gauge = metrics
            .lines()
            .find(|l| l.starts_with("weir_commit_refused"));
        assert!(gauge.is_some_and(|line| line.ends_with(" 0")), "{gauge:?}");
    }

    pub(super) fn stops(mut self) {
        let code = self.serving.terminate(SOON).unwrap();
        assert_eq!(code, Some(0), "{}", self.serving.transcript());
    }
}
