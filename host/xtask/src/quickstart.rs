//! `cargo quickstart`: a Git repository from `examples/quickstart`, and `weir serve` that keeps a directory equal to it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::run::{Run, cargo, program};
use crate::steps::{Steps, seconds};
use crate::{plugins, tools};

/// Where people find it; any free port when it is taken.
const PORT: u16 = 7117;
/// Longer than a first sync takes, with compiling the plugins, on a slow machine.
const FIRST: Duration = Duration::from_secs(120);
/// Longer than a commit takes.
const LATER: Duration = Duration::from_secs(30);

/// The folders of one quickstart.
struct Places {
    repo: PathBuf,
    live: PathBuf,
    state: PathBuf,
    cache: PathBuf,
}

/// Builds, makes the repository and becomes `weir serve`; with `--check` does it once, alone, and ends.
///
/// # Errors
/// A step failed; the text says what to do.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let alone = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => bail!(
            "quickstart takes no arguments but --check, not `{}`",
            arguments.join(" ")
        ),
    };
    let mut steps = Steps::default();
    steps.step("tools", "install what is named above", || {
        tools::git(root)?;
        tools::wasm_target(root)
    })?;
    steps.step("plugins", "see the compiler's message", || {
        plugins::build_plugins(root)
    })?;
    steps.step("host", "see the compiler's message", || {
        cargo(root).args(["build", "--workspace"]).run()
    })?;
    if alone {
        return steps.step("check", "see weir's messages", || check(root));
    }
    let places = Places::below(&root.join("target/quickstart"));
    steps.step(
        "repository",
        "remove target/quickstart and try again",
        || make_repository(root, &places),
    )?;
    let port = free_port()?;
    explain(root, &places, port);
    serve(root, &places, port).become_it()
}

/// The quickstart once, without a person: a commit goes live, its revert too, weir stops cleanly.
///
/// # Errors
/// It does not, in time.
pub(crate) fn check(root: &Path) -> Result<()> {
    let folder = root.join("target/quickstart-check");
    if folder.exists() {
        fs::remove_dir_all(&folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    let places = Places::below(&folder);
    make_repository(root, &places)?;
    let started = Instant::now();
    let mut weir = Stopping(serve(root, &places, free_port()?).spawn()?);
    weir.until(FIRST, "the first sync", || {
        Ok(!contents(&places.live)?.is_empty())
    })?;
    println!("first sync: {}", seconds(started.elapsed()));

    let marker = "this-commit-is-live";
    let object = format!(
        "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: quickstart-check\ndata:\n  marker: {marker}\n"
    );
    fs::write(places.repo.join("apps/web/quickstart-check.yaml"), object)
        .context("writing into apps/web")?;
    git(&places.repo, &["add", "--all"])?;
    git(
        &places.repo,
        &["commit", "--quiet", "--message", "Add a ConfigMap"],
    )?;
    let committed = Instant::now();
    weir.until(LATER, "the commit", || {
        Ok(contents(&places.live)?.contains(marker))
    })?;
    println!("commit to live: {}", seconds(committed.elapsed()));

    git(&places.repo, &["revert", "--no-edit", "HEAD"])?;
    let reverted = Instant::now();
    weir.until(LATER, "the revert", || {
        Ok(!contents(&places.live)?.contains(marker))
    })?;
    println!("revert to gone: {}", seconds(reverted.elapsed()));
    weir.interrupt()
}

impl Places {
    fn below(folder: &Path) -> Places {
        Places {
            repo: folder.join("repo"),
            live: folder.join("live"),
            state: folder.join("state"),
            cache: folder.join("cache"),
        }
    }
}

/// A copy of the example with one commit; one that is there already stays as the reader left it.
fn make_repository(root: &Path, places: &Places) -> Result<()> {
    if places.repo.join(".git").exists() {
        return Ok(());
    }
    fs::create_dir_all(&places.repo)?;
    copy(&root.join("examples/quickstart"), &places.repo)?;
    git(&places.repo, &["init", "--quiet", "--initial-branch=main"])?;
    // `git commit` must work on a machine where nobody has told git a name.
    for (key, value) in [
        ("user.name", "Quickstart"),
        ("user.email", "quickstart@example.test"),
    ] {
        if !program("git", &places.repo)
            .args(["config", key])
            .succeeds()
        {
            git(&places.repo, &["config", key, value])?;
        }
    }
    git(&places.repo, &["add", "--all"])?;
    git(
        &places.repo,
        &[
            "commit",
            "--quiet",
            "--message",
            "Begin with the quickstart example",
        ],
    )
}

fn serve(root: &Path, places: &Places, port: u16) -> Run {
    program(root.join("target/debug/weir"), root)
        .args(["serve", "--ref", "main", "--interval", "1s"])
        .arg("--repo")
        .arg(&places.repo)
        .arg("--target")
        .arg(format!("dir:{}", places.live.display()))
        .arg("--state")
        .arg(&places.state)
        .arg("--cache")
        .arg(&places.cache)
        .arg("--listen")
        .arg(format!("127.0.0.1:{port}"))
        .env("WEIR_PLUGIN_DIR", root.join("target/plugins"))
}

fn explain(root: &Path, places: &Places, port: u16) {
    let short = |path: &Path| {
        path.strip_prefix(root)
            .unwrap_or(path)
            .display()
            .to_string()
    };
    let (repo, live) = (short(&places.repo), short(&places.live));
    println!(
        "
  weir keeps   {live}/
  equal to     {repo}  (branch main)
  status       http://127.0.0.1:{port}/api/v1/apps

  Try, in another terminal:
    find {live} -type f
    cd {repo}
    sed -i 's/replicas: 2/replicas: 3/' apps/web/deployment.yaml
    git commit -am 'Three replicas'          # live within two seconds
    git revert --no-edit HEAD                # and back
  An image without a tag, or a key that weir.yaml does not know, is refused with
  the place of the mistake, and what is live stays.

  Ctrl-C stops it.
"
    );
}

/// weir beside this task: killed when the check fails half-way.
struct Stopping(Child);

impl Stopping {
    /// Waits until something holds, as long as weir runs.
    fn until(
        &mut self,
        bound: Duration,
        what: &str,
        mut holds: impl FnMut() -> Result<bool>,
    ) -> Result<()> {
        let started = Instant::now();
        while !holds()? {
            if let Some(status) = self.0.try_wait()? {
                bail!("weir ended ({status}) before {what} was live");
            }
            if started.elapsed() > bound {
                bail!("{what} was not live within {}", seconds(bound));
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// What Ctrl-C does; weir must end with 0.
    fn interrupt(&mut self) -> Result<()> {
        program("sh", Path::new("."))
            .args(["-c", "kill -INT \"$0\""])
            .arg(self.0.id().to_string())
            .run()?;
        let status = self.0.wait()?;
        if !status.success() {
            bail!("weir was interrupted and ended with {status}; 0 was expected");
        }
        Ok(())
    }
}

impl Drop for Stopping {
    fn drop(&mut self) {
        // Ended already is as good as killed.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Every file's text below a folder, joined; empty while there is none.
fn contents(dir: &Path) -> Result<String> {
    let mut text = String::new();
    let Ok(entries) = fs::read_dir(dir) else {
        return Ok(text);
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            text.push_str(&contents(&entry.path())?);
        } else if let Ok(bytes) = fs::read(entry.path()) {
            // A file may go between the listing and the reading: the next look is right.
            text.push_str(&String::from_utf8_lossy(&bytes));
        }
    }
    Ok(text)
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("listing {}", from.display()))? {
        let entry = entry?;
        // What the example's test compares with is no part of the repository.
        if entry.file_name() == "expected" {
            continue;
        }
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("copying {}", entry.path().display()))?;
        }
    }
    Ok(())
}

fn git(repo: &Path, arguments: &[&str]) -> Result<()> {
    program("git", repo).args(arguments).run()
}

fn free_port() -> Result<u16> {
    let listener =
        TcpListener::bind(("127.0.0.1", PORT)).or_else(|_| TcpListener::bind(("127.0.0.1", 0)));
    Ok(listener
        .context("no free port on 127.0.0.1")?
        .local_addr()?
        .port())
}
