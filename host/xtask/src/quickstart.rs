//! `cargo quickstart`: a Git repository from `examples/quickstart`, and `weir serve` that keeps a directory, or with `--cluster` a cluster, equal to it.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::run::{Run, cargo, program};
use crate::steps::{Steps, seconds};
use crate::{cluster, control_plane, plugins, tools};

mod live;

use live::{Live, Rig};

/// Where people find it; any free port when it is taken.
const PORT: u16 = 7117;
/// Longer than a first sync takes, with compiling Helm, Kustomize and the small plugins, on a slow machine.
const FIRST: Duration = Duration::from_secs(300);
/// Longer than a commit takes.
const LATER: Duration = Duration::from_secs(30);
/// Between two looks at what is live.
const LOOK: Duration = Duration::from_millis(10);

/// The folders of one quickstart.
struct Places {
    repo: PathBuf,
    state: PathBuf,
    cache: PathBuf,
}

/// What was asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    /// Into the cluster of `cargo xtask cluster up` instead of a directory.
    cluster: bool,
    /// Once, without a person.
    check: bool,
}

/// Builds, makes the repository and becomes `weir serve`; with `--check` does it once, alone, and ends.
///
/// # Errors
/// A step failed; the text says what to do.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let asked = Asked::of(arguments)?;
    let mut steps = Steps::default();
    let building = steps.step("tools", "install what is named above", || {
        tools::git(root)?;
        tools::wasm_target(root)?;
        // The control plane's programs are built beside the steps that follow.
        let building = || control_plane::Building::start(root);
        asked.cluster.then(building).transpose()
    })?;
    steps.step("plugins", "see the compiler's message", || {
        plugins::build_plugins(root)
    })?;
    steps.step("host", "see the compiler's message", || {
        cargo(root).args(["build", "--workspace"]).run()
    })?;
    let up = building
        .map(|building| steps.step("cluster", "see above", || cluster::up_with(root, building)));
    match (up.transpose()?, asked.check) {
        (None, true) => steps.step("check", "see weir's messages", || check(root)),
        (Some(up), true) => steps.step("check", "see weir's messages", || {
            check_cluster_of(root, up)
        }),
        (None, false) => {
            let folder = root.join("target/quickstart");
            let live = Live::Folder(folder.join("live"));
            stay(root, &mut steps, &Places::below(&folder), &live)
        }
        (Some(up), false) => {
            let live = Live::Cluster(Rig::of(up, live::NAMESPACE));
            let places = Places::below(&root.join("target/quickstart-cluster"));
            stay(root, &mut steps, &places, &live)
        }
    }
}

/// Makes what is not there yet, says what to try and becomes `weir serve`.
fn stay(root: &Path, steps: &mut Steps, places: &Places, live: &Live) -> Result<()> {
    let remedy = match live {
        Live::Folder(_) => "remove target/quickstart and try again",
        Live::Cluster(_) => {
            "`cargo xtask cluster down`, remove target/quickstart-cluster and try again"
        }
    };
    steps.step("repository", remedy, || {
        make_repository(root, places, live)?;
        live.prepare()
    })?;
    let port = free_port()?;
    explain(root, places, live, port);
    serve(root, places, live, port).become_it()
}

/// The quickstart once, without a person: a commit goes live, its revert too, weir stops cleanly.
///
/// # Errors
/// It does not, in time.
pub(crate) fn check(root: &Path) -> Result<()> {
    let folder = root.join("target/quickstart-check");
    let live = Live::Folder(folder.join("live"));
    check_in(root, &folder, &live)
}

/// The same in the cluster of `cargo xtask cluster up`: one that runs is used, in a namespace of its own, and
/// left; one that had to be started is stopped again.
///
/// # Errors
/// The cluster does not start, or the check fails.
pub(crate) fn check_cluster(root: &Path) -> Result<()> {
    check_cluster_of(root, cluster::up(root)?)
}

fn check_cluster_of(root: &Path, up: cluster::Up) -> Result<()> {
    let started = up.started;
    let rig = Rig::of(up, live::CHECKED);
    let checked = rig.without_namespace().and_then(|()| {
        let live = Live::Cluster(rig.clone());
        check_in(root, &root.join("target/quickstart-cluster-check"), &live)
    });
    // However the check ended, what it made goes.
    let cleared = if started {
        cluster::down(root)
    } else {
        rig.without_namespace()
    };
    checked.and(cleared)
}

/// The check, in a folder that is made anew.
fn check_in(root: &Path, folder: &Path, live: &Live) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("removing {}", folder.display()))?;
    }
    let places = Places::below(folder);
    make_repository(root, &places, live)?;
    live.prepare()?;
    let started = Instant::now();
    let mut weir = Stopping(serve(root, &places, live, free_port()?).spawn()?);
    weir.until(FIRST, "the first sync", || live.is_whole())?;
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
        Ok(live.contents()?.contains(marker))
    })?;
    println!("commit to live: {}", seconds(committed.elapsed()));

    git(&places.repo, &["revert", "--no-edit", "HEAD"])?;
    let reverted = Instant::now();
    weir.until(LATER, "the revert", || {
        Ok(!live.contents()?.contains(marker))
    })?;
    println!("revert to gone: {}", seconds(reverted.elapsed()));
    weir.interrupt()
}

impl Asked {
    fn of(arguments: &[String]) -> Result<Asked> {
        let mut asked = Asked {
            cluster: false,
            check: false,
        };
        for word in arguments {
            match word.as_str() {
                "--cluster" => asked.cluster = true,
                "--check" => asked.check = true,
                _ => bail!("quickstart takes --cluster and --check, not `{word}`"),
            }
        }
        Ok(asked)
    }
}

impl Places {
    fn below(folder: &Path) -> Places {
        Places {
            repo: folder.join("repo"),
            state: folder.join("state"),
            cache: folder.join("cache"),
        }
    }
}

/// A copy of the example with one commit; one that is there already stays as the reader left it.
fn make_repository(root: &Path, places: &Places, live: &Live) -> Result<()> {
    if places.repo.join(".git").exists() {
        return Ok(());
    }
    fs::create_dir_all(&places.repo)?;
    copy(&root.join("examples/quickstart"), &places.repo)?;
    live.adapt(&places.repo.join("weir.yaml"))?;
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

fn serve(root: &Path, places: &Places, live: &Live, port: u16) -> Run {
    program(root.join("target/debug/weir"), root)
        .args(["serve", "--ref", "main", "--interval", "1s"])
        .arg("--repo")
        .arg(&places.repo)
        .args(live.arguments())
        .arg("--state")
        .arg(&places.state)
        .arg("--cache")
        .arg(&places.cache)
        .arg("--listen")
        .arg(format!("127.0.0.1:{port}"))
        .env("WEIR_PLUGIN_DIR", root.join("target/plugins"))
}

fn explain(root: &Path, places: &Places, live: &Live, port: u16) {
    let short = |path: &Path| {
        path.strip_prefix(root)
            .unwrap_or(path)
            .display()
            .to_string()
    };
    let repo = short(&places.repo);
    let (kept, look, stop) = match live {
        Live::Folder(live) => {
            let live = short(live);
            let look = format!("find {live} -type f");
            (format!("{live}/"), look, "Ctrl-C stops it.".to_owned())
        }
        Live::Cluster(rig) => (
            format!("namespace {} of a cluster on this machine", rig.namespace()),
            rig.look(),
            "Ctrl-C stops weir; the cluster stays until `cargo xtask cluster down`.".to_owned(),
        ),
    };
    println!(
        "
  weir keeps   {kept}
  equal to     {repo}  (branch main)
  status       http://127.0.0.1:{port}/api/v1/apps

  Try, in another terminal:
    {look}
    cd {repo}
    sed -i 's/replicas: 2/replicas: 3/' apps/web/deployment.yaml
    git commit -am 'Three replicas'          # live within two seconds
    git revert --no-edit HEAD                # and back
  An image without a tag, or a key that weir.yaml does not know, is refused with
  the place of the mistake, and what is live stays.

  {stop}
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
            std::thread::sleep(LOOK);
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

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(arguments: &[&str]) -> Result<Asked> {
        let words: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        Asked::of(&words)
    }

    #[test]
    fn where_it_goes_and_whether_it_stays_are_said_in_any_order() {
        for (words, cluster, check) in [
            (&[][..], false, false),
            (&["--check"], false, true),
            (&["--cluster"], true, false),
            (&["--cluster", "--check"], true, true),
            (&["--check", "--cluster"], true, true),
        ] {
            assert_eq!(asked(words).ok(), Some(Asked { cluster, check }));
        }
    }

    #[test]
    fn a_word_that_it_does_not_know_is_named_with_those_that_it_knows() {
        let error = asked(&["--check", "--clutser"])
            .err()
            .map(|e| e.to_string());
        assert_eq!(
            error.as_deref(),
            Some("quickstart takes --cluster and --check, not `--clutser`")
        );
    }
}
