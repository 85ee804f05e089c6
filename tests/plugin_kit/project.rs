//! A project of `weir plugin new` on a machine of its own, with the tools of this one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use weir_sandbox::Role;
use weir_tests::weir::{Ran, text};
use weir_tests::{Weir, places};

/// Longer than any build takes on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(900);

/// A project and the machine that it lies on.
pub(crate) struct Project {
    weir: Weir,
    dir: PathBuf,
}

/// A machine with this one's compilers, their downloads and what they compiled before.
pub(crate) fn machine() -> Result<Weir> {
    let mut weir = Weir::new()?;
    let home = std::env::home_dir().context("HOME is not set")?;
    let cache = places::dev_cache()?;
    for (variable, default) in [
        ("CARGO_HOME", home.join(".cargo")),
        ("RUSTUP_HOME", home.join(".rustup")),
        ("GOPATH", home.join("go")),
        ("GOCACHE", home.join(".cache/go-build")),
    ] {
        let given = std::env::var_os(variable);
        weir.variable(variable, given.map_or(default, PathBuf::from));
    }
    // Kept from run to run: what cargo compiled, and the machine code of components whose bytes are the same again.
    weir.variable("CARGO_BUILD_BUILD_DIR", cache.join("plugin-kit/rust"));
    weir.variable("WEIR_CACHE", cache.join("plugin-kit/weir"));
    // Of this workspace's own toolchain, wherever a project lies.
    if let Some(toolchain) = std::env::var_os("RUSTUP_TOOLCHAIN") {
        weir.variable("RUSTUP_TOOLCHAIN", toolchain);
    }
    Ok(weir)
}

impl Project {
    /// A new project called team-labels, with the tools of its language beside it.
    pub(crate) fn new(language: &str, role: Role) -> Result<Project> {
        let mut weir = machine()?;
        let dir = weir.path("team-labels");
        let made = weir.run([
            "plugin",
            "new",
            "team-labels",
            "--role",
            role.as_str(),
            "--lang",
            language,
            "--dir",
            text(&dir)?,
        ])?;
        made.success()?;
        weir.current_dir(&dir);
        let mut project = Project { weir, dir };
        match language {
            "js" => {
                let modules = places::plugin_tools()?.join("js/node_modules");
                std::os::unix::fs::symlink(modules, project.dir.join("node_modules"))?;
                // Where the machine has a Node that is new enough, this is not there.
                project.first_in_path("node/bin")?;
            }
            "python" => project.first_in_path("python/bin")?,
            _ => {}
        }
        Ok(project)
    }

    /// Programs of the tools' folder come before those of the machine.
    fn first_in_path(&mut self, programs: &str) -> Result<()> {
        let programs = places::plugin_tools()?.join(programs);
        let path = std::env::var_os("PATH").unwrap_or_default();
        let all = [programs].into_iter().chain(std::env::split_paths(&path));
        let all = std::env::join_paths(all)?;
        self.weir.variable("PATH", all);
        Ok(())
    }

    /// Runs `weir plugin` in the project's folder, for as long as a build may take.
    pub(crate) fn weir<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<Ran> {
        run(&self.weir, arguments)
    }

    /// The same, and what it prints as JSON.
    pub(crate) fn json<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.weir(arguments)?.success()?)?)
    }

    /// From now on no compiler is in the path.
    pub(crate) fn leave_tools_behind(&mut self) {
        self.path("/nonexistent");
    }

    /// The path from now on.
    pub(crate) fn path(&mut self, path: impl AsRef<OsStr>) {
        self.weir.variable("PATH", path);
    }

    /// The project's folder.
    pub(crate) fn dir(&self) -> &Path {
        &self.dir
    }

    pub(crate) fn read(&self, file: &str) -> String {
        std::fs::read_to_string(self.dir.join(file)).expect(file)
    }

    pub(crate) fn write(&self, file: &str, text: &str) {
        let file = self.dir.join(file);
        std::fs::create_dir_all(file.parent().expect("a file lies in a folder")).expect("a folder");
        std::fs::write(&file, text).expect("the file can be written");
    }

    /// Exchanges a piece of a file, which must be there.
    pub(crate) fn exchange(&self, file: &str, from: &str, to: &str) {
        let text = self.read(file);
        assert!(text.contains(from), "{file}: {from:?} is not in {text}");
        self.write(file, &text.replace(from, to));
    }
}

/// Runs `weir plugin` to its end, for as long as a build may take.
pub(crate) fn run<A: AsRef<OsStr>>(
    weir: &Weir,
    arguments: impl IntoIterator<Item = A>,
) -> Result<Ran> {
    let all: Vec<_> = ["plugin".into()]
        .into_iter()
        .chain(arguments.into_iter().map(|a| a.as_ref().to_owned()))
        .collect();
    let mut serving = weir.start(all)?;
    let code = serving.wait(PATIENCE)?;
    Ok(Ran {
        code,
        stdout: serving.stdout(),
        stderr: serving.stderr(),
    })
}
