//! The bridge to the real `git http-backend`, a CGI program: the request in variables and on stdin, headers and body out.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::http::Request;
use crate::repo::git_command;

/// What the program answered.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

/// Where git keeps the program.
pub(super) fn backend(home: &Path) -> Result<PathBuf> {
    let output = git_command(home)
        .arg("--exec-path")
        .output()
        .context("starting git: is it installed and in PATH?")?;
    let path = Path::new(String::from_utf8(output.stdout)?.trim()).join("git-http-backend");
    if !path.exists() {
        bail!(
            "{} does not exist: install Git's http-backend (Debian's `git` and Fedora's `git-core` have it)",
            path.display()
        );
    }
    Ok(path)
}

/// Runs the program for one request.
#[expect(
    clippy::disallowed_methods,
    reason = "the rig serves repositories with the real git http-backend"
)]
pub(super) fn run(backend: &Path, root: &Path, request: &Request) -> Result<Answer> {
    let mut command = Command::new(backend);
    // The same isolated settings as for every git of the rig.
    command.env_clear().envs(
        git_command(root)
            .get_envs()
            .filter_map(|(name, value)| Some((name, value?))),
    );
    command
        .env("GIT_PROJECT_ROOT", root)
        .env("GIT_HTTP_EXPORT_ALL", "1")
        .env("REQUEST_METHOD", &request.method)
        .env("PATH_INFO", &request.path)
        .env("QUERY_STRING", &request.query)
        .env("CONTENT_LENGTH", request.body.len().to_string());
    for (header, variable) in [
        ("content-type", "CONTENT_TYPE"),
        ("content-encoding", "HTTP_CONTENT_ENCODING"),
        ("git-protocol", "HTTP_GIT_PROTOCOL"),
        ("git-protocol", "GIT_PROTOCOL"),
    ] {
        if let Some(value) = request.header(header) {
            command.env(variable, value);
        }
    }
    let mut child = command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("starting git http-backend")?;
    let input = child.stdin.take().context("stdin is piped")?;
    let output = std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut input = input;
            // The program may stop reading early: its answer says why.
            let _ = input.write_all(&request.body);
            drop(input);
        });
        child.wait_with_output()
    })?;
    parse(&output.stdout).with_context(|| {
        format!(
            "git http-backend: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        )
    })
}

fn parse(output: &[u8]) -> Result<Answer> {
    let end = output
        .windows(4)
        .position(|window| window == b"\r\n\r\n")
        .context("an answer without headers")?;
    let mut answer = Answer {
        status: 200,
        headers: Vec::new(),
        body: output[end + 4..].to_vec(),
    };
    for line in std::str::from_utf8(&output[..end])?.split("\r\n") {
        let (name, value) = line
            .split_once(": ")
            .with_context(|| format!("`{line}` is no header"))?;
        if name.eq_ignore_ascii_case("status") {
            answer.status = value
                .split(' ')
                .next()
                .unwrap_or_default()
                .parse()
                .context("a status")?;
        } else if !name.eq_ignore_ascii_case("content-length") {
            answer.headers.push((name.to_owned(), value.to_owned()));
        }
    }
    Ok(answer)
}
