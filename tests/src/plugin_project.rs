//! A project of `weir plugin new` on a machine of its own, with the tools of this one.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

use crate::weir::{Ran, text};
use crate::{Weir, places};

/// Longer than any build takes on a machine that has much else to do.
const PATIENCE: Duration = Duration::from_secs(900);

/// A project and the machine that it lies on.
#[derive(Debug)]
pub struct Project {
    weir: Weir,
    dir: PathBuf,
}

/// A machine with this one's compilers, their downloads and what they compiled before.
///
/// # Errors
/// There is no home folder.
pub fn machine() -> Result<Weir> {
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
    /// A new project called team-labels, with the tools of its language beside it. `role` and `language` are as they are
    /// typed.
    ///
    /// # Errors
    /// It cannot be made, or the tools are not there; the text says how to get them.
    pub fn new(language: &str, role: &str) -> Result<Project> {
        let mut weir = machine()?;
        let dir = weir.path("team-labels");
        let made = weir.run([
            "plugin",
            "new",
            "team-labels",
            "--role",
            role,
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
    ///
    /// # Errors
    /// It does not start or does not end.
    pub fn weir<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<Ran> {
        run(&self.weir, arguments)
    }

    /// The same, and what it prints as JSON.
    ///
    /// # Errors
    /// It fails, or prints something else.
    pub fn json<A: AsRef<OsStr>>(
        &self,
        arguments: impl IntoIterator<Item = A>,
    ) -> Result<serde_json::Value> {
        Ok(serde_json::from_str(&self.weir(arguments)?.success()?)?)
    }

    /// From now on no compiler is in the path.
    pub fn leave_tools_behind(&mut self) {
        self.path("/nonexistent");
    }

    /// The path from now on.
    pub fn path(&mut self, path: impl AsRef<OsStr>) {
        self.weir.variable("PATH", path);
    }

    /// The project's folder.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// A file of the project, as text.
    ///
    /// # Errors
    /// It is not there.
    pub fn read(&self, file: &str) -> Result<String> {
        let path = self.dir.join(file);
        std::fs::read_to_string(&path).with_context(|| path.display().to_string())
    }

    /// Writes a file of the project.
    ///
    /// # Errors
    /// There is no room for it.
    pub fn write(&self, file: &str, text: &str) -> Result<()> {
        let file = self.dir.join(file);
        let folder = file.parent().context("a file lies in a folder")?;
        std::fs::create_dir_all(folder)?;
        std::fs::write(&file, text).with_context(|| file.display().to_string())
    }

    /// Exchanges a piece of a file.
    ///
    /// # Errors
    /// It is not there.
    pub fn exchange(&self, file: &str, from: &str, to: &str) -> Result<()> {
        let text = self.read(file)?;
        ensure!(text.contains(from), "{file}: {from:?} is not in {text}");
        self.write(file, &text.replace(from, to))
    }
}

/// Runs `weir plugin` to its end, for as long as a build may take.
///
/// # Errors
/// It does not start or does not end.
pub fn run<A: AsRef<OsStr>>(weir: &Weir, arguments: impl IntoIterator<Item = A>) -> Result<Ran> {
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
