//! The programs of a Kubernetes control plane: built once from Go modules (`tests/control-plane`) into the cache, beside other steps.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Child;

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::run::{Run, program};
use crate::tools;

/// What a rollout needs; the packages that make them, in [`PACKAGES`], are in the same order.
const PROGRAMS: [&str; 6] = [
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kwok",
    "kubectl",
];
const PACKAGES: [&str; 6] = [
    "go.etcd.io/etcd/server/v3",
    "k8s.io/kubernetes/cmd/kube-apiserver",
    "k8s.io/kubernetes/cmd/kube-controller-manager",
    "k8s.io/kubernetes/cmd/kube-scheduler",
    "sigs.k8s.io/kwok/cmd/kwok",
    "k8s.io/kubernetes/cmd/kubectl",
];
/// What Go calls the program of etcd's package.
const ETCD_BY_GO: &str = "server";
/// Folders that a person may have the programs in already, the first that is set.
const VARIABLES: [&str; 2] = ["WEIR_CONTROL_PLANE", "KUBEBUILDER_ASSETS"];
const GOFLAGS: &str = "-mod=readonly -buildvcs=false -trimpath";

/// The programs, perhaps still being built.
pub(crate) struct Building {
    root: PathBuf,
    state: State,
}

enum State {
    /// They are in this folder.
    There(PathBuf),
    /// Somebody else builds into the same cache.
    Elsewhere(Build),
    Here(Build, Child),
    Taken,
}

/// One build: `lock` is held by whoever builds, and let go of when that process ends in any way.
struct Build {
    lock: File,
    folder: PathBuf,
    /// Where Go writes; renamed to `folder` when everything is there.
    half: PathBuf,
    log: PathBuf,
    stamps: String,
}

impl Building {
    /// Begins the build where these versions are not in the cache.
    ///
    /// # Errors
    /// Go is missing, or a configured folder lacks programs.
    pub(crate) fn start(root: &Path) -> Result<Building> {
        let state = match configured()? {
            Some(folder) => State::There(folder),
            None => begin(root)?,
        };
        Ok(Building {
            root: root.to_path_buf(),
            state,
        })
    }

    /// Waits for the build; the folder with the programs. `target/control-plane` is a link to it.
    ///
    /// # Errors
    /// It failed; its log says why.
    pub(crate) fn finish(mut self) -> Result<PathBuf> {
        let folder = match std::mem::replace(&mut self.state, State::Taken) {
            State::There(folder) => folder,
            State::Elsewhere(build) => {
                println!("waiting for another task that builds the control plane");
                build.lock.lock().context("waiting for the cache's lock")?;
                if build.folder.is_dir() {
                    build.folder
                } else {
                    let child = build.spawn(&self.root)?;
                    build.wait(child)?
                }
            }
            State::Here(build, child) => build.wait(child)?,
            State::Taken => bail!("the control plane was waited for twice"),
        };
        link(&self.root, &folder)?;
        Ok(folder)
    }
}

impl Drop for Building {
    /// A task that fails early leaves no compiler running behind it.
    fn drop(&mut self) {
        if let State::Here(build, child) = &mut self.state {
            // Go removes its own temporary files when it is interrupted.
            let _ = program("sh", &self.root)
                .args(["-c", "kill -INT \"$0\""])
                .arg(child.id().to_string())
                .run();
            let _ = child.wait();
            let _ = fs::remove_dir_all(&build.half);
        }
    }
}

impl Build {
    fn spawn(&self, root: &Path) -> Result<Child> {
        // What a killed build left: nobody else builds while the lock is held.
        let parent = self.folder.parent().context("the cache is a folder")?;
        for entry in fs::read_dir(parent)? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().contains(".half-") {
                fs::remove_dir_all(entry.path())?;
            }
        }
        fs::create_dir_all(&self.half)
            .with_context(|| format!("making {}", self.half.display()))?;
        println!(
            "building the Kubernetes control plane, once (about 15 minutes on 2 cores); its log: {}",
            self.log.display()
        );
        go(root)
            .args(["build", "-ldflags"])
            .arg(&self.stamps)
            .arg("-o")
            .arg(&self.half)
            .args(PACKAGES)
            .spawn_into(&self.log)
    }

    fn wait(&self, mut child: Child) -> Result<PathBuf> {
        println!("waiting for the control plane");
        if !child.wait()?.success() {
            let log = fs::read_to_string(&self.log).unwrap_or_default();
            let lines: Vec<&str> = log.lines().collect();
            let _ = fs::remove_dir_all(&self.half);
            bail!(
                "the control plane does not build; the end of {}:\n{}",
                self.log.display(),
                lines[lines.len().saturating_sub(20)..].join("\n")
            );
        }
        fs::rename(self.half.join(ETCD_BY_GO), self.half.join("etcd"))
            .context("naming etcd's program")?;
        complete(&self.half, "the build")?;
        fs::rename(&self.half, &self.folder)
            .with_context(|| format!("making {}", self.folder.display()))?;
        Ok(self.folder.clone())
    }
}

fn begin(root: &Path) -> Result<State> {
    if !program("go", root).arg("version").succeeds() {
        bail!(
            "go is not in PATH: install Go (https://go.dev/dl), or name a folder with {} by {}",
            PROGRAMS.join(", "),
            VARIABLES.join(" or ")
        );
    }
    let module = root.join("tests/control-plane");
    let version = go(root).args(["version"]).output()?;
    let stamps = stamps(&fs::read_to_string(module.join("go.mod"))?)?;
    let mut digest = Sha256::new();
    for file in ["go.mod", "go.sum"] {
        digest.update(fs::read(module.join(file)).with_context(|| format!("reading {file}"))?);
    }
    digest.update([version.as_str(), GOFLAGS, &stamps].join("\n"));
    let mut key = String::new();
    for byte in &digest.finalize()[..8] {
        write!(key, "{byte:02x}")?;
    }
    let cache = tools::cache()?;
    let folder = cache.join("control-plane").join(&key);
    if folder.is_dir() {
        return Ok(State::There(folder));
    }
    fs::create_dir_all(cache.join("control-plane"))?;
    let build = Build {
        lock: File::create(cache.join("control-plane.lock"))?,
        half: folder.with_extension(format!("half-{}", std::process::id())),
        log: cache.join("control-plane.log"),
        folder,
        stamps,
    };
    match build.lock.try_lock() {
        // Finished between the two looks.
        Ok(()) if build.folder.is_dir() => Ok(State::There(build.folder)),
        Ok(()) => {
            let child = build.spawn(root)?;
            Ok(State::Here(build, child))
        }
        Err(fs::TryLockError::WouldBlock) => Ok(State::Elsewhere(build)),
        Err(fs::TryLockError::Error(error)) => Err(error).context("locking the cache"),
    }
}

/// Go in the module, with nothing of the user's settings in what it builds.
fn go(root: &Path) -> Run {
    program("go", &root.join("tests/control-plane"))
        .env("GOFLAGS", GOFLAGS)
        .env("CGO_ENABLED", "0")
        .env("GOWORK", "off")
}

/// The linker's flags: no debug information, and the version that a release would say.
fn stamps(module: &str) -> Result<String> {
    let version = module
        .lines()
        .find_map(|line| line.trim().strip_prefix("k8s.io/kubernetes v"))
        .and_then(|rest| rest.split(' ').next())
        .context("tests/control-plane/go.mod names no version of k8s.io/kubernetes")?;
    let mut parts = version.split('.');
    let (major, minor) = (
        parts.next().unwrap_or_default(),
        parts.next().unwrap_or_default(),
    );
    let mut flags = String::from("-s -w");
    for package in [
        "k8s.io/component-base/version",
        "k8s.io/client-go/pkg/version",
    ] {
        for (name, value) in [
            ("gitVersion", format!("v{version}").as_str()),
            ("gitMajor", major),
            ("gitMinor", minor),
        ] {
            write!(flags, " -X {package}.{name}={value}")?;
        }
    }
    Ok(flags)
}

fn configured() -> Result<Option<PathBuf>> {
    for variable in VARIABLES {
        if let Some(folder) = std::env::var_os(variable) {
            let folder = PathBuf::from(folder);
            complete(&folder, variable)?;
            return Ok(Some(folder.canonicalize()?));
        }
    }
    Ok(None)
}

fn complete(folder: &Path, who: &str) -> Result<()> {
    let missing: Vec<&str> = PROGRAMS
        .into_iter()
        .filter(|name| !folder.join(name).is_file())
        .collect();
    if !missing.is_empty() {
        bail!(
            "{} ({who}) lacks {}: rollouts need all of {}; without the variable they are built",
            folder.display(),
            missing.join(", "),
            PROGRAMS.join(", ")
        );
    }
    Ok(())
}

/// Where the suites look without a variable.
fn link(root: &Path, folder: &Path) -> Result<()> {
    let link = root.join("target/control-plane");
    fs::create_dir_all(root.join("target"))?;
    if fs::read_link(&link).is_ok_and(|to| to == folder) {
        return Ok(());
    }
    let new = root.join(format!("target/control-plane.{}", std::process::id()));
    std::os::unix::fs::symlink(folder, &new)?;
    fs::rename(&new, &link).with_context(|| format!("making {}", link.display()))
}
