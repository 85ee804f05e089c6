//! The command line of ssh: fixed options, nothing of the user's own, and a URL that no part of can be an option.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::error::SourceError;
use crate::url::SshUrl;

/// What ssh is told besides the files, the host and what to run. The first value of an option counts, and all of
/// these stand before anything else could; files of options there are none (`-F`).
const OPTIONS: &[&str] = &[
    // Nobody is asked anything.
    "BatchMode=yes",
    "NumberOfPasswordPrompts=0",
    "RequestTTY=no",
    "EscapeChar=none",
    // A server is known by the one file, or not at all.
    "StrictHostKeyChecking=yes",
    "GlobalKnownHostsFile=/dev/null",
    "UpdateHostKeys=no",
    "CheckHostIP=no",
    "VerifyHostKeyDNS=no",
    "NoHostAuthenticationForLocalhost=no",
    "CanonicalizeHostname=no",
    // We are known by the one key, or not at all.
    "IdentitiesOnly=yes",
    "IdentityAgent=none",
    "AddKeysToAgent=no",
    "PreferredAuthentications=publickey",
    "PubkeyAuthentication=yes",
    "PasswordAuthentication=no",
    "KbdInteractiveAuthentication=no",
    "HostbasedAuthentication=no",
    "GSSAPIAuthentication=no",
    // Straight to the host, for this one connection, and nothing else through it.
    "ProxyCommand=none",
    "ControlMaster=no",
    "ControlPath=none",
    "ControlPersist=no",
    "PermitLocalCommand=no",
    "ClearAllForwardings=yes",
    "ForwardAgent=no",
    "ForwardX11=no",
    "Tunnel=no",
    // A server that went away is noticed.
    "ConnectionAttempts=1",
    "TCPKeepAlive=yes",
    "ServerAliveInterval=15",
    "ServerAliveCountMax=3",
    // Enough is said to tell what went wrong; the protocol's version is the one variable that goes along.
    "LogLevel=DEBUG1",
    "FingerprintHash=sha256",
    "VisualHostKey=no",
    "SendEnv=GIT_PROTOCOL",
];

/// All that ssh sees of the environment. `HOME` is nobody's; ssh asks the user database for its own.
const ENVIRONMENT: &[(&str, &str)] = &[
    ("PATH", "/usr/local/bin:/usr/bin:/bin"),
    ("HOME", "/nonexistent"),
    ("LC_ALL", "C"),
    ("GIT_PROTOCOL", "version=2"),
];

/// ssh's arguments.
pub(super) fn arguments(
    url: &SshUrl,
    key: &str,
    known_hosts: &str,
    connect: Duration,
) -> Vec<OsString> {
    let mut args: Vec<OsString> = vec!["-F".into(), "/dev/null".into()];
    let mut option = |text: String| args.extend(["-o".into(), text.into()]);
    for text in OPTIONS {
        option((*text).to_owned());
    }
    option(format!("UserKnownHostsFile={known_hosts}"));
    option(format!("IdentityFile={key}"));
    option(format!("ConnectTimeout={}", connect.as_secs().max(1)));
    option(format!("Port={}", url.port()));
    option(format!("User={}", url.user()));
    args.extend(["-T".into(), "--".into(), url.host().into()]);
    args.push(format!("git-upload-pack {}", quoted(url.path())).into());
    args
}

/// The command, not yet started. Its end of each pipe is its own.
#[expect(
    clippy::disallowed_methods,
    reason = "ssh is the one program that the host runs to reach a server"
)]
pub(super) fn command(program: &Path, arguments: Vec<OsString>, own_group: bool) -> Command {
    use std::os::unix::process::CommandExt as _;
    let mut command = Command::new(program);
    command
        .args(arguments)
        .env_clear()
        .envs(ENVIRONMENT.iter().copied())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    if own_group {
        // What a terminal sends to this host (^C) is this host's to pass on.
        command.process_group(0);
    }
    command
}

/// Where ssh is, of the folders that it may be in.
pub(crate) fn program(search: &[PathBuf]) -> Result<PathBuf, SourceError> {
    let found = search.iter().map(|dir| dir.join("ssh"));
    let mut found = found.filter(|program| program.is_file());
    found.next().ok_or_else(|| {
        let looked: Vec<_> = search.iter().map(|d| d.display().to_string()).collect();
        SourceError::SshProgram {
            why: format!(
                "there is none in {}: install OpenSSH's client (on Debian the package openssh-client)",
                looked.join(", ")
            ),
        }
    })
}

/// A text that the server's shell takes for one word, as git quotes it.
fn quoted(text: &str) -> String {
    let mut quoted = String::with_capacity(text.len() + 2);
    quoted.push('\'');
    for c in text.chars() {
        match c {
            '\'' | '!' => {
                quoted.push_str("'\\");
                quoted.push(c);
                quoted.push('\'');
            }
            c => quoted.push(c),
        }
    }
    quoted.push('\'');
    quoted
}

/// A path as an option of ssh has it, which splits at spaces and replaces `%` and `${`.
///
/// # Errors
/// What cannot be written so.
pub(super) fn option_path(path: &Path) -> Result<String, &'static str> {
    const ODD: &str = "its path has a quote, a backslash, a control character or ${ in it, or is not text, which ssh cannot \
                       be told: give it another place";
    let text = path.to_str().ok_or(ODD)?;
    if text.contains(['"', '\'', '\\']) || text.contains("${") || text.contains(char::is_control) {
        return Err(ODD);
    }
    Ok(format!("\"{}\"", text.replace('%', "%%")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RepoUrl;

    fn args(url: &str) -> Vec<String> {
        let RepoUrl::Ssh(url) = url.parse().unwrap() else {
            panic!("{url}")
        };
        let key = option_path(Path::new("/etc/weir/key")).unwrap();
        let known = option_path(Path::new("/etc/weir/known hosts 100%")).unwrap();
        arguments(&url, &key, &known, Duration::from_secs(15))
            .into_iter()
            .map(|a| a.into_string().unwrap())
            .collect()
    }

    #[test]
    fn nothing_of_the_url_stands_where_an_option_may() {
        let args = args("ssh://ann@git.example:2222/srv/it's!");
        let end = args.iter().position(|a| a == "--").unwrap();
        assert_eq!(
            args[end..],
            ["--", "git.example", "git-upload-pack '/srv/it'\\''s'\\!''"]
        );
        assert!(args.contains(&"Port=2222".into()) && args.contains(&"User=ann".into()));
        assert_eq!(args[..2], ["-F", "/dev/null"]);
        let known = "UserKnownHostsFile=\"/etc/weir/known hosts 100%%\"";
        assert!(args.contains(&known.into()), "{args:?}");
    }

    #[test]
    fn no_option_is_given_twice_and_none_is_without_a_value() {
        let args = args("git@h:x");
        let options: Vec<_> = (args.windows(2).filter(|w| w[0] == "-o"))
            .map(|w| w[1].split_once('=').unwrap())
            .collect();
        let mut names: Vec<_> = options.iter().map(|(name, _)| name).collect();
        assert!(options.iter().all(|(_, value)| !value.is_empty()));
        let count = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), count);
    }

    #[test]
    fn a_path_that_ssh_would_read_as_something_else_is_refused() {
        for bad in ["/a\"b", "/a'b", "/a\\b", "/${HOME}/k", "/a\nb"] {
            assert!(option_path(Path::new(bad)).is_err(), "{bad}");
        }
        assert_eq!(option_path(Path::new("/a b/%h")), Ok("\"/a b/%%h\"".into()));
        use std::os::unix::ffi::OsStrExt as _;
        let bytes = std::ffi::OsStr::from_bytes(b"/\xff");
        assert!(option_path(Path::new(bytes)).is_err());
    }

    #[test]
    fn where_there_is_no_ssh_that_is_said() {
        let error = program(&["/nowhere".into()]).unwrap_err().to_string();
        assert!(
            error.contains("/nowhere") && error.contains("openssh-client"),
            "{error}"
        );
    }
}
