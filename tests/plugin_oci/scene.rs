//! A repository of two apps, of which one calls a plugin in a registry, and machines: what the suites of such plugins begin with.

use std::fs;
use std::path::PathBuf;

use weir_tests::charts::sha256;
use weir_tests::scene::map;
use weir_tests::weir::text;
use weir_tests::{Ran, Repo, Weir, places};

/// The repository, and the machine that Weir runs on.
pub(crate) struct Scene {
    pub(crate) weir: Weir,
    pub(crate) repo: Repo,
}

impl Scene {
    /// App `web` calls the plugin of this source, app `plain` none.
    pub(crate) fn new(source: &str) -> Scene {
        let scene = Scene {
            weir: machine(),
            repo: Repo::empty().unwrap(),
        };
        for app in ["web", "plain"] {
            let file = format!("{app}/map.yaml");
            scene.repo.write(&file, map(app, "one")).unwrap();
        }
        scene.takes(source);
        scene
    }

    /// The plugin comes from there from now on.
    pub(crate) fn takes(&self, source: &str) {
        let text = format!(
            "version: 1\nplugins: {{ team: {{ source: \"{source}\" }} }}\napps:\n\
             - {{ name: web, path: web, target: {{ namespace: shop }}, transform: [{{ plugin: team, config: {{ team: red }} }}] }}\n\
             - {{ name: plain, path: plain, target: {{ namespace: shop }} }}\n"
        );
        self.repo.write("weir.yaml", text).unwrap();
    }

    pub(crate) fn run(&self, command: &str, more: &[&str]) -> Ran {
        let path = self.repo.path();
        let start = [command, "--repo", text(&path).unwrap()];
        self.weir.run(start.iter().chain(more).copied()).unwrap()
    }

    /// What a command that must fail says.
    pub(crate) fn fails(&self, command: &str, more: &[&str], code: i32) -> String {
        self.run(command, more).code(code).unwrap().stderr
    }

    pub(crate) fn lock(&self) -> String {
        self.run("lock", &[]).success().unwrap();
        self.locked()
    }

    pub(crate) fn locked(&self) -> String {
        fs::read_to_string(self.repo.path().join("weir.lock")).unwrap()
    }

    /// What app `web` renders to.
    pub(crate) fn web(&self) -> String {
        let ran = self.run("render", &["--worktree", "web"]);
        ran.success().unwrap()
    }

    /// A machine that has nothing yet.
    pub(crate) fn another_machine(&mut self) {
        self.weir = machine();
    }

    /// Nothing that was rendered or compiled is left, but what is kept for good.
    pub(crate) fn forget_cache(&self) {
        fs::remove_dir_all(self.weir.cache_dir()).unwrap();
    }

    /// Where components are kept.
    pub(crate) fn kept(&self) -> PathBuf {
        self.weir.state_dir().join("plugins/registries")
    }

    /// Whether this machine kept a component, or noted where one came from.
    pub(crate) fn keeps(&self, component: &[u8]) -> bool {
        let kept = self.kept();
        let wasm = kept.join(format!("{}.wasm", sha256(component)));
        let names = fs::read_dir(kept).into_iter().flatten();
        let mut names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        wasm.exists() || names.any(|name| name.ends_with(".origin.json"))
    }

    /// A file of the host's.
    pub(crate) fn file(&self, name: &str, content: &str) -> String {
        let path = self.weir.path(name);
        fs::write(&path, content).unwrap();
        text(&path).unwrap().to_owned()
    }

    /// The file of a host that follows the repository and may ask this registry, with more at its top.
    pub(crate) fn host(&self, registry: &str, more: &str) -> String {
        let file = format!(
            "version: 1\nlisten: 127.0.0.1:0\nexternals: {{ hosts: ['{registry}'] }}\n{more}repositories:\n\
             - {{ name: shop, url: {}, interval: 1h, targets: {{ default: 'dir:{}' }} }}\n",
            self.repo.path().display(),
            self.live().display()
        );
        self.file("host.yaml", &file)
    }

    pub(crate) fn live(&self) -> PathBuf {
        self.weir.path("live")
    }

    /// What lies at the target of an app; nothing where there is none.
    pub(crate) fn landed(&self, app: &str) -> String {
        let file = self.live().join(format!("shop/configmap/{app}.yaml"));
        fs::read_to_string(file).unwrap_or_default()
    }
}

/// A machine; in the suite of this name one that gets plugins in processes of their own whatever it does.
fn machine() -> Weir {
    let mut weir = Weir::new().unwrap();
    if env!("CARGO_CRATE_NAME") == "externals_apart" {
        weir.variable("WEIR_ISOLATION", "confined");
    }
    weir
}

/// Two versions of a plugin: the first leaves objects as they are, the second gives them the label `team: red`.
pub(crate) fn versions() -> [Vec<u8>; 2] {
    [("echo-transformer", 1), ("adds-team", 2)].map(|(guest, mark)| {
        let file = places::guest_dir().unwrap().join(format!("{guest}.wasm"));
        // A custom section, so that no plugin folder has just these bytes.
        let section = [0, 7, 4, b't', b'e', b's', b't', mark, mark];
        [fs::read(file).unwrap().as_slice(), &section].concat()
    })
}

pub(crate) fn says(said: &str, words: &[&str]) {
    for word in words {
        assert!(said.contains(word), "{word:?} is not in:\n{said}");
    }
}
