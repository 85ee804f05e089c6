//! `cargo fulltest`: everything that the continuous integration runs, in one command, from a fresh clone.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

use crate::run::{cargo, cargo_tool, program};
use crate::steps::Steps;
use crate::tally::Tally;
use crate::{
    control_plane, deny, go_plugins, native, plugin_tools, plugins, quickstart, services, shapes,
    sshd, tools, wkg,
};

/// One selection for build, lints and tests, so that everything is compiled once.
/// The crash points are for the tests that kill the host at each step; a plain build has none.
pub(crate) const SELECTION: &[&str] = &["--workspace", "--features", "weir/crash-points"];

/// Runs all steps; the last line printed is the tests' sum.
///
/// # Errors
/// The first step that failed, with what to do.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    if let Some(unknown) = arguments.first() {
        bail!(
            "`{unknown}`: fulltest takes no arguments; for a single suite: cargo test --workspace --test NAME"
        );
    }
    let mut steps = Steps::default();
    let (installing, building) = steps.step("tools", "install what is named above", || {
        tools::git(root)?;
        tools::signing(root)?;
        tools::components(root)?;
        tools::wasm_target(root)?;
        Ok((
            deny::Installing::start(root)?,
            control_plane::Building::start(root)?,
        ))
    })?;
    steps.step("format", "run `cargo xtask fmt` and commit", || {
        cargo(root).args(["fmt", "--all", "--check"]).run()
    })?;
    steps.step("build", "see the compiler's message", || {
        cargo(root).arg("build").args(SELECTION).run()
    })?;
    steps.step("plugins", "see the compiler's message", || {
        plugins::build_plugins(root)
    })?;
    steps.step("guests", "see the compiler's message", || {
        plugins::build_guests(root)?;
        go_plugins::build_guests(root)
    })?;
    steps.step("Go SDK", "see Go's message", || go_plugins::test(root))?;
    steps.step(
        "clippy",
        "mend what it names; an exception is `#[expect(LINT, reason = \"...\")]`",
        || clippy(root),
    )?;
    let oracle = steps.step("yaml oracle", "see above", || tools::yaml_oracle(root))?;
    steps.step(
        "reproducible plugins",
        "find what of the folder or the time is in the bytes",
        || plugins::check_reproducible(root),
    )?;
    steps.step("quickstart", "run `cargo quickstart` and look", || {
        quickstart::check(root)
    })?;
    steps.step("licences, bans, sources", "see deny.toml", || {
        installing.finish()?.check()
    })?;
    let programs = steps.step("control plane", "see Go's message", || building.finish())?;
    steps.step(
        "quickstart on a cluster",
        "run `cargo quickstart --cluster` and look",
        || quickstart::check_cluster(root),
    )?;
    steps.step(
        "shapes of Kubernetes",
        "run `cargo xtask shapes` and read the diff",
        || shapes::run(root, &["--check".into()]),
    )?;
    let made = made(root, &mut steps, &oracle, &programs)?;
    let mut tally = Tally::default();
    let tests = steps.step(
        "tests",
        "run the failing suite alone: cargo test --workspace --test NAME",
        || test(root, &made, &mut tally),
    );
    steps.table();
    if let Err(error) = &tests {
        println!("\n{error:#}");
    }
    println!("{}\n", tally.details());
    println!("{tally}");
    tests
}

/// Builds what the suites run against: where each of them lies, by the variable that says it to them.
fn made(
    root: &Path,
    steps: &mut Steps,
    oracle: &Path,
    programs: &Path,
) -> Result<Vec<(&'static str, PathBuf)>> {
    let registry = steps.step("registry", "see Go's message", || {
        services::REGISTRY.build(root)
    })?;
    let s3 = steps.step("S3 server", "see Go's message", || services::S3.build(root))?;
    let sshd = steps.step("sshd", "see above", || sshd::get(root))?;
    let (sops, age_keygen) = steps.step("sops and age-keygen", "see Go's message", || {
        let sops = services::SOPS.build(root)?;
        Ok((sops, services::AGE_KEYGEN.build(root)?))
    })?;
    let (cosign, oras) = steps.step("cosign and oras", "see Go's message", || {
        let cosign = services::COSIGN.build(root)?;
        Ok((cosign, services::ORAS.build(root)?))
    })?;
    let wkg = steps.step("wkg", "see cargo's message", || wkg::get(root))?;
    let plugin_tools = steps.step(
        "componentize-js and -py",
        "see npm's or pip's message",
        || plugin_tools::get(root),
    )?;
    let native = steps.step("Helm and Kustomize", "see Go's message", || {
        native::check(root)?;
        native::build(root)
    })?;
    Ok(vec![
        ("WEIR_YAML_ORACLE", oracle.to_owned()),
        ("WEIR_CONTROL_PLANE", programs.to_owned()),
        (services::REGISTRY.variable, registry),
        (services::S3.variable, s3),
        (sshd::VARIABLE, sshd),
        (services::SOPS.variable, sops),
        (services::AGE_KEYGEN.variable, age_keygen),
        (services::COSIGN.variable, cosign),
        (services::ORAS.variable, oras),
        (wkg::VARIABLE, wkg),
        (plugin_tools::VARIABLE, plugin_tools),
        ("WEIR_NATIVE", native),
    ])
}

/// Clippy over everything; warnings are errors.
///
/// # Errors
/// A lint fired.
pub(crate) fn clippy(root: &Path) -> Result<()> {
    // `cargo clippy` takes the place of the workspace wrapper that keeps clones apart (.cargo/config.toml):
    // reached through this clone's own folder, its results are this clone's own, too.
    let sysroot = program("rustc", root)
        .args(["--print", "sysroot"])
        .output()?;
    let real = Path::new(&sysroot).join("bin");
    let own = root.join("target/clippy");
    fs::create_dir_all(&own).with_context(|| format!("making {}", own.display()))?;
    // The driver is looked for beside the real file of what runs, so that one is a copy; the driver's own
    // libraries are found from its real file, so that one is a link.
    let driver = own.join("clippy-driver");
    if !driver.exists() {
        symlink(real.join("clippy-driver"), &driver)
            .with_context(|| format!("making {}", driver.display()))?;
    }
    let clippy = own.join("cargo-clippy");
    fs::copy(real.join("cargo-clippy"), &clippy)
        .with_context(|| format!("making {}", clippy.display()))?;
    cargo_tool(clippy, root)
        .arg("clippy")
        .args(SELECTION)
        .args(["--all-targets", "--", "-D", "warnings"])
        .run()
}

/// `made` are the programs of others that suites need, by the variables that name them.
fn test(root: &Path, made: &[(&str, PathBuf)], tally: &mut Tally) -> Result<()> {
    let mut unread = None;
    let mut tests = cargo(root);
    for (variable, program) in made {
        tests = tests.env(variable, program);
    }
    let passed = tests
        .arg("test")
        .args(SELECTION)
        .arg("--no-fail-fast")
        .env("WEIR_BIN", root.join("target/debug/weir"))
        .env("WEIR_PLUGIN_DIR", root.join("target/plugins"))
        .env("WEIR_GUEST_DIR", root.join("target/guests"))
        .lines(|line| {
            if let Err(error) = tally.see(line) {
                unread = Some(error);
            }
        })?;
    if let Some(error) = unread {
        return Err(error);
    }
    if !passed {
        bail!("`cargo test` failed: {tally}");
    }
    if !tally.is_good() {
        bail!(
            "no test ran, or some were ignored: {tally}, {}",
            tally.details()
        );
    }
    Ok(())
}
