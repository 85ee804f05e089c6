//! Plugins written in Go: made into components by `weir plugin build`, once for the same sources, into the cache.

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use sha2::{Digest as _, Sha256};

use crate::run::{cargo, program};
use crate::tools;

/// The guests that test the Go SDK, in `tests/guests/go`.
const GUESTS: [&str; 3] = ["renders", "transforms", "validates"];
/// Every Go module that is a plugin or part of one.
const MODULES: [&str; 6] = [
    "plugins/sdk/go",
    "tests/guests/go",
    "plugins/helm",
    "plugins/kustomize",
    "plugins/scripts",
    "plugins/jsonnet",
];
/// The plugins that are built with a profile of their own renders, which Go's compiler finds by its name.
const PROFILED: [&str; 2] = ["plugins/helm", "plugins/kustomize"];
/// See <https://go.dev/doc/pgo>.
const PROFILE: &str = "default.pgo";
/// How long each tree is rendered for a profile.
const PROFILE_TIME: &str = "1s";
/// What a component is made of, besides its own folder: the SDK, the interface, and what makes it.
const SHARED: [&str; 8] = [
    "plugins/sdk/go",
    "wit",
    "host/sandbox/src/build.rs",
    "host/sandbox/src/build",
    "host/sandbox/src/world.rs",
    "host/sandbox/src/metadata.rs",
    "host/weir/src/cli/plugin/build.rs",
    "host/weir/src/toolchain/go.rs",
];
/// The crates that write components: their versions, as Cargo.lock has them, are part of what makes one.
const WRITERS: [&str; 7] = [
    "wasi-preview1-component-adapter-provider",
    "wasm-encoder",
    "wasmparser",
    "wasmtime",
    "wasmtime-wizer",
    "wit-component",
    "wit-parser",
];

/// The component of the plugin in a folder of the workspace: from the cache, or made now.
///
/// # Errors
/// Go is missing, or something does not build.
pub(crate) fn component(root: &Path, folder: &str) -> Result<PathBuf> {
    let made = cached(root, folder)?;
    if !made.is_file() {
        println!("    building {folder}");
        build(root, &root.join(folder), &made)?;
    }
    Ok(made)
}

/// Builds the guests of the Go SDK into `target/guests/go`, each by its name.
///
/// # Errors
/// As [`component`].
pub(crate) fn build_guests(root: &Path) -> Result<()> {
    let dir = root.join("target/guests/go");
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    for name in GUESTS {
        let made = component(root, &format!("tests/guests/go/{name}"))?;
        let bytes = fs::read(&made).with_context(|| format!("reading {}", made.display()))?;
        crate::plugins::write_whole(&dir.join(format!("{name}.wasm")), &bytes)?;
    }
    println!("    {} guests in Go", GUESTS.len());
    Ok(())
}

/// Formats, vets and tests every Go module of the plugins and their SDK, natively.
///
/// # Errors
/// A file is not formatted, or a test fails.
pub(crate) fn test(root: &Path) -> Result<()> {
    for module in MODULES {
        let dir = root.join(module);
        let unformatted = program("gofmt", &dir).args(["-l", "."]).output()?;
        if !unformatted.is_empty() {
            bail!("{module}: not formatted (`gofmt -w .` does it): {unformatted}");
        }
        for command in ["vet", "test"] {
            program("go", &dir)
                .args([command, "./..."])
                // What is tested is what the program does: without the profile, packages are compiled once.
                .env("GOFLAGS", "-mod=readonly -pgo=off")
                .run()?;
        }
    }
    Ok(())
}

/// Takes the profiles anew: `BenchmarkRender` of each plugin, run natively. What is called most is the same in Wasm.
///
/// # Errors
/// A tree does not render.
pub(crate) fn profiles(root: &Path) -> Result<()> {
    tools::go(root)?;
    for module in PROFILED {
        let dir = root.join(module);
        // The test's own binary, which `go test` would leave beside the profile.
        let binary = std::env::temp_dir().join(format!("weir-profile-{}", std::process::id()));
        let ran = program("go", &dir)
            .args([
                "test",
                "-pgo=off",
                "-run",
                "^$",
                "-bench",
                "^BenchmarkRender$",
            ])
            .args(["-benchtime", PROFILE_TIME, "-cpuprofile"])
            .arg(dir.join(PROFILE))
            .arg("-o")
            .arg(&binary)
            .arg(".")
            .env("GOFLAGS", "-mod=readonly")
            .run();
        let _ = fs::remove_file(&binary);
        ran?;
    }
    Ok(())
}

/// Makes a component of the same sources in another folder and compares; once for the same sources.
///
/// # Errors
/// The bytes differ, or something does not build.
pub(crate) fn check_reproducible(root: &Path, copy: &Path, folder: &str) -> Result<()> {
    let first = component(root, folder)?;
    let checked = first.with_extension("reproduced");
    if checked.is_file() {
        return Ok(());
    }
    let again = copy.join("again.wasm");
    build(root, &copy.join(folder), &again)?;
    if fs::read(&first)? != fs::read(&again)? {
        bail!(
            "{folder} gives other bytes in {}: compare {} and {} with `wasm-tools print`",
            copy.display(),
            first.display(),
            again.display()
        );
    }
    fs::write(&checked, b"").with_context(|| format!("writing {}", checked.display()))
}

/// Makes the component of a plugin in any folder: `cargo xtask plugin build DIR [--output FILE]`.
///
/// # Errors
/// Something does not build.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    weir(root)?;
    program(root.join("target/debug/weir"), &std::env::current_dir()?)
        .arg("plugin")
        .args(arguments)
        .run()
}

fn build(root: &Path, folder: &Path, file: &Path) -> Result<()> {
    weir(root)?;
    program(root.join("target/debug/weir"), root)
        .args(["plugin", "build"])
        .arg(folder)
        .arg("--output")
        .arg(file)
        .run()
}

/// What makes components. The whole workspace, as the next step builds it too, so that nothing is compiled twice.
fn weir(root: &Path) -> Result<()> {
    tools::go(root)?;
    cargo(root)
        .args(["build", "--quiet", "--workspace"])
        .args(["--features", "weir/crash-points"])
        .run()
}

/// Where the component of these sources is kept.
fn cached(root: &Path, folder: &str) -> Result<PathBuf> {
    tools::go(root)?;
    let mut digest = Sha256::new();
    let go = program("go", root).args(["env", "GOVERSION"]).output()?;
    digest.update(go.as_bytes());
    add_writers(&mut digest, root)?;
    let module = module_of(root, folder)?;
    for source in SHARED.into_iter().map(PathBuf::from).chain([module]) {
        add(&mut digest, root, &source)?;
    }
    let mut key = String::new();
    for byte in digest.finalize().iter().take(8) {
        write!(key, "{byte:02x}")?;
    }
    let dir = tools::cache()?.join("plugins");
    fs::create_dir_all(&dir).with_context(|| format!("making {}", dir.display()))?;
    Ok(dir.join(format!("{}-{key}.wasm", folder.replace('/', "-"))))
}

/// The versions of what writes components, each with its name before it.
fn add_writers(digest: &mut Sha256, root: &Path) -> Result<()> {
    let path = root.join("Cargo.lock");
    let lock = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
    for package in lock.split("[[package]]").skip(1) {
        let mut lines = package.trim_start().lines();
        let (Some(name), Some(version)) = (lines.next(), lines.next()) else {
            continue;
        };
        let is_one = |of: &&str| name == format!("name = \"{of}\"");
        if WRITERS.iter().any(is_one) {
            digest.update(name);
            digest.update(version);
        }
    }
    Ok(())
}

/// The folder of the Go module that a package lies in.
fn module_of(root: &Path, folder: &str) -> Result<PathBuf> {
    Path::new(folder)
        .ancestors()
        .find(|dir| root.join(dir).join("go.mod").is_file())
        .map(Path::to_path_buf)
        .with_context(|| format!("{folder} is in no Go module"))
}

/// A file, or all files below a folder in order of name, each with its path.
fn add(digest: &mut Sha256, root: &Path, source: &Path) -> Result<()> {
    let path = root.join(source);
    if path.is_dir() {
        let mut names = Vec::new();
        for entry in fs::read_dir(&path).with_context(|| format!("reading {}", path.display()))? {
            names.push(entry?.file_name());
        }
        names.sort();
        return names
            .iter()
            .filter(|name| !name.to_string_lossy().ends_with(".wasm"))
            .try_for_each(|name| add(digest, root, &source.join(name)));
    }
    let bytes = fs::read(&path).with_context(|| format!("reading {}", path.display()))?;
    digest.update(source.to_string_lossy().as_bytes());
    digest.update((bytes.len() as u64).to_le_bytes());
    digest.update(&bytes);
    Ok(())
}
