//! Git repositories made by the real `git` under an environment of their own: same calls, same commit ids, on any machine.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;

/// A work tree with its `.git`, in a temporary folder that goes with the value.
///
/// Every commit has a fixed author and a date that counts commits, so that the
/// same calls make the same ids.
#[derive(Debug)]
pub struct Repo {
    dir: TempDir,
    commits: u64,
}

impl Repo {
    /// An empty repository on branch `main`.
    ///
    /// # Errors
    /// No `git`, or no room.
    pub fn empty() -> Result<Repo> {
        let dir = tempfile::Builder::new().prefix("weir-repo-").tempdir()?;
        fs::create_dir(dir.path().join("work"))?;
        let repo = Repo { dir, commits: 0 };
        repo.git(["init", "--quiet", "--initial-branch=main"])?;
        repo.git(["config", "http.receivepack", "false"])?;
        // What a forge allows, and what a test of an exact commit needs.
        repo.git(["config", "uploadpack.allowAnySHA1InWant", "true"])?;
        Ok(repo)
    }

    /// A repository with one commit, from a text in which `//- path` lines begin files.
    ///
    /// # Errors
    /// The text does not begin with such a line, or git fails.
    pub fn from_text(text: &str) -> Result<Repo> {
        let mut repo = Repo::empty()?;
        repo.write_text(text)?;
        repo.commit("first")?;
        Ok(repo)
    }

    /// A repository with one commit: a copy of a folder, without what `skip` names at its top.
    ///
    /// # Errors
    /// The folder cannot be read, or git fails.
    pub fn from_dir(source: &Path, skip: &[&str]) -> Result<Repo> {
        let mut repo = Repo::empty()?;
        copy(source, &repo.path(), skip)?;
        repo.commit("first")?;
        Ok(repo)
    }

    /// The work tree. As a URL for `--repo`, a local path.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.dir.path().join("work")
    }

    /// The folder that holds the work tree: what a [`crate::GitServer`] serves, as `/work/.git`.
    #[must_use]
    pub fn parent(&self) -> &Path {
        self.dir.path()
    }

    /// Writes the files of a text in which `//- path` lines begin files.
    ///
    /// # Errors
    /// The text does not begin with such a line, or a file cannot be written.
    pub fn write_text(&self, text: &str) -> Result<()> {
        for (path, content) in sections(text)? {
            self.write(path, content)?;
        }
        Ok(())
    }

    /// Writes one file, with its folders.
    ///
    /// # Errors
    /// It cannot be written.
    pub fn write(&self, path: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let file = self.path().join(path);
        make_parent(&file)?;
        fs::write(&file, content).with_context(|| format!("writing {path}"))
    }

    /// Removes one file or one folder with everything in it.
    ///
    /// # Errors
    /// It is not there or cannot be removed.
    pub fn remove(&self, path: &str) -> Result<()> {
        let file = self.path().join(path);
        let kind = fs::symlink_metadata(&file).with_context(|| format!("removing {path}"))?;
        if kind.is_dir() {
            fs::remove_dir_all(&file)
        } else {
            fs::remove_file(&file)
        }
        .with_context(|| format!("removing {path}"))
    }

    /// Moves a file or a folder.
    ///
    /// # Errors
    /// It is not there or cannot be moved.
    pub fn rename(&self, from: &str, to: &str) -> Result<()> {
        let target = self.path().join(to);
        make_parent(&target)?;
        fs::rename(self.path().join(from), target).with_context(|| format!("moving {from} to {to}"))
    }

    /// Makes a symbolic link at `path` that says `target`.
    ///
    /// # Errors
    /// Something is there already.
    pub fn symlink(&self, path: &str, target: &str) -> Result<()> {
        let link = self.path().join(path);
        make_parent(&link)?;
        std::os::unix::fs::symlink(target, link).with_context(|| format!("linking {path}"))
    }

    /// Commits everything in the work tree on the current branch; returns the commit's id.
    ///
    /// # Errors
    /// Git fails. A commit without changes is allowed.
    pub fn commit(&mut self, message: &str) -> Result<String> {
        self.commits += 1;
        self.git(["add", "--all"])?;
        self.git(["commit", "--quiet", "--allow-empty", "--message", message])?;
        self.head()
    }

    /// The same, with these settings of git: for a signature, `-S` with the key that they name.
    ///
    /// # Errors
    /// Git fails, such as where it cannot sign.
    pub fn commit_signed(&mut self, message: &str, settings: &[String]) -> Result<String> {
        self.commits += 1;
        self.git(["add", "--all"])?;
        let settings = settings.iter().flat_map(|one| ["-c", one.as_str()]);
        let words = [
            "commit",
            "--quiet",
            "--allow-empty",
            "-S",
            "--message",
            message,
        ];
        self.git(settings.chain(words))?;
        self.head()
    }

    /// Moves the branch to a commit that these bytes are: whatever they say, without a look at them.
    ///
    /// # Errors
    /// Git fails.
    pub fn raw_commit(&self, bytes: &[u8]) -> Result<String> {
        let file = self.dir.path().join("raw");
        fs::write(&file, bytes)?;
        let file = file.to_str().context("a path of UTF-8")?;
        let id = self.git(["hash-object", "-t", "commit", "-w", file])?;
        self.reset(&id)?;
        Ok(id)
    }

    /// The id of the current commit.
    ///
    /// # Errors
    /// There is none.
    pub fn head(&self) -> Result<String> {
        self.git(["rev-parse", "HEAD"])
    }

    /// What a force push leaves: the branch at an older revision, and the work tree with it. A commit on top makes history diverge.
    ///
    /// # Errors
    /// No such revision.
    pub fn reset(&self, revision: &str) -> Result<()> {
        self.git(["reset", "--quiet", "--hard", revision]).map(drop)
    }

    /// Undoes the current commit with a commit.
    ///
    /// # Errors
    /// It cannot be reverted.
    pub fn revert_head(&mut self) -> Result<String> {
        self.commits += 1;
        self.git(["revert", "--no-edit", "HEAD"])?;
        self.head()
    }

    /// Makes a branch here without leaving the current one.
    ///
    /// # Errors
    /// It is there already.
    pub fn branch(&self, name: &str) -> Result<()> {
        self.git(["branch", name]).map(drop)
    }

    /// Deletes a branch, even the current one (as a forge can).
    ///
    /// # Errors
    /// No such branch.
    pub fn delete_branch(&self, name: &str) -> Result<()> {
        self.git(["update-ref", "-d", &format!("refs/heads/{name}")])
            .map(drop)
    }

    /// An annotated tag on the current commit.
    ///
    /// # Errors
    /// It is there already.
    pub fn tag(&self, name: &str) -> Result<()> {
        self.git(["tag", "--annotate", "--message", name, name])
            .map(drop)
    }

    /// Runs git in the work tree; returns what it printed, without the last newline.
    ///
    /// # Errors
    /// It cannot be started or fails; the text has what it said.
    pub fn git<A: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = A>) -> Result<String> {
        let mut command = git_command(self.dir.path());
        // A minute for each commit from a fixed start: the same calls give the same ids.
        let date = format!("{} +0000", 1_767_225_600 + self.commits * 60);
        command
            .arg("-C")
            .arg(self.path())
            .args(arguments)
            .env("GIT_AUTHOR_DATE", &date)
            .env("GIT_COMMITTER_DATE", &date);
        let output = command
            .output()
            .context("starting git: is it installed and in PATH?")?;
        if !output.status.success() {
            bail!(
                "{command:?}: {}: {}",
                output.status,
                String::from_utf8_lossy(&output.stderr).trim()
            );
        }
        Ok(String::from_utf8(output.stdout)?
            .trim_end_matches('\n')
            .to_owned())
    }
}

/// A `git` that sees nothing of the machine's or the user's settings.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "the rig makes repositories with the real git"
)]
pub fn git_command(home: &Path) -> Command {
    let mut command = Command::new("git");
    command.env_clear();
    if let Some(path) = std::env::var_os("PATH") {
        command.env("PATH", path);
    }
    command
        .env("HOME", home)
        .env("LC_ALL", "C")
        .env("GIT_CONFIG_NOSYSTEM", "1")
        .env("GIT_CONFIG_GLOBAL", "/dev/null")
        .env("GIT_TERMINAL_PROMPT", "0")
        .env("GIT_AUTHOR_NAME", "Ada Writer")
        .env("GIT_AUTHOR_EMAIL", "ada@example.test")
        .env("GIT_COMMITTER_NAME", "Ada Writer")
        .env("GIT_COMMITTER_EMAIL", "ada@example.test");
    command
}

/// The files of a text in which lines `//- path` begin files.
///
/// # Errors
/// Something other than blank lines comes before the first such line, or a path is empty or twice there.
pub fn sections(text: &str) -> Result<Vec<(&str, String)>> {
    let mut files: Vec<(&str, String)> = Vec::new();
    for line in text.lines() {
        if let Some(path) = line.strip_prefix("//- ") {
            let path = path.trim();
            if path.is_empty() || files.iter().any(|(seen, _)| *seen == path) {
                bail!("`{line}`: a path that is not empty and not yet in the text was expected");
            }
            files.push((path, String::new()));
        } else if let Some((_, content)) = files.last_mut() {
            content.push_str(line);
            content.push('\n');
        } else if !line.trim().is_empty() {
            bail!("`{line}` comes before the first `//- path` line");
        }
    }
    Ok(files)
}

fn make_parent(file: &Path) -> Result<()> {
    let Some(parent) = file.parent() else {
        bail!("{} has no folder", file.display())
    };
    fs::create_dir_all(parent).with_context(|| format!("making {}", parent.display()))
}

fn copy(from: &Path, to: &Path, skip: &[&str]) -> Result<()> {
    for entry in fs::read_dir(from).with_context(|| format!("listing {}", from.display()))? {
        let entry = entry?;
        if skip.iter().any(|name| entry.file_name() == *name) {
            continue;
        }
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            fs::create_dir_all(&target)?;
            copy(&entry.path(), &target, &[])?;
        } else {
            fs::copy(entry.path(), &target)
                .with_context(|| format!("copying {}", entry.path().display()))?;
        }
    }
    Ok(())
}
