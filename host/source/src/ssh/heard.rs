//! What ssh says on its standard error, line by line within bounds, and what it means. No IO.

use super::host_key::ShownKey;
use crate::error::printable;

/// The longest line that is looked at; the rest of a longer one is passed over.
const MAX_LINE: usize = 1024;
/// How many lines of the server's own are kept, and of ssh's.
const MAX_LINES: usize = 8;

/// All that matters of what was said so far.
#[derive(Debug, Default)]
pub(super) struct Heard {
    line: Vec<u8>,
    /// The server's key, and whether it came as a certificate.
    shown: Option<(ShownKey, bool)>,
    verification_failed: bool,
    revoked: bool,
    /// The server has accepted our key: what follows that is no word of ssh's is the server's.
    logged_in: bool,
    denied: bool,
    /// What ssh itself complained of, in order.
    complaints: Vec<String>,
    /// What the server's program complained of, in order.
    server: Vec<String>,
}

/// How it ended, where it did not end well.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Ended {
    /// The server's key was not accepted.
    HostKey {
        shown: ShownKey,
        is_certificate: bool,
        revoked: bool,
    },
    /// The server does not take our key.
    KeyRefused,
    /// ssh cannot use our key.
    BadKey(String),
    /// ssh itself cannot work here.
    Program(String),
    /// No connection, or none that lasts.
    Unreachable(String),
    /// We were let in; the server's program said no, with these words.
    Server { said: String, not_found: bool },
}

impl Heard {
    /// Takes in what was read.
    pub(super) fn hear(&mut self, bytes: &[u8]) {
        for byte in bytes {
            if *byte == b'\n' {
                self.end_line();
            } else if self.line.len() < MAX_LINE {
                self.line.push(*byte);
            }
        }
    }

    /// Nothing more comes.
    pub(super) fn end(&mut self) {
        self.end_line();
    }

    fn end_line(&mut self) {
        let line = std::mem::take(&mut self.line);
        let line = String::from_utf8_lossy(&line);
        let line = line.trim();
        if !line.is_empty() {
            self.said(line);
        }
    }

    fn said(&mut self, line: &str) {
        if let Some(debug) = line.strip_prefix("debug1: ") {
            return self.debug(debug);
        }
        if self.logged_in {
            // What ssh counts as it ends.
            let counts = ["Transferred: sent ", "Bytes per second: sent "];
            if !counts.iter().any(|c| line.starts_with(c)) {
                keep(&mut self.server, line);
            }
            return;
        }
        if line.starts_with("Authenticated to ") {
            self.logged_in = true;
        } else if line.starts_with("Host key verification failed") {
            self.verification_failed = true;
        } else if line.contains("REVOKED HOST KEY") || line.contains("is marked as revoked") {
            self.revoked = true;
        } else if line.contains(": Permission denied (") {
            self.denied = true;
        } else {
            keep(&mut self.complaints, line);
        }
    }

    fn debug(&mut self, line: &str) {
        let key = |rest: &str| {
            let mut words = rest.split([' ', ',']);
            Some(ShownKey {
                algorithm: printable(words.next()?),
                fingerprint: printable(words.next()?),
            })
        };
        if self.logged_in {
            return;
        }
        if let Some(rest) = line.strip_prefix("Server host key: ") {
            self.shown = key(rest).map(|key| (key, false));
        } else if let Some(rest) = line.strip_prefix("Server host certificate: ") {
            self.shown = key(rest).map(|key| (key, true));
        } else if line.starts_with("Authentication succeeded") {
            self.logged_in = true;
        }
    }

    /// How it ended: `code` is the exit code of ssh, `None` where a signal ended it.
    pub(super) fn ended(&self, code: Option<i32>) -> Ended {
        if self.logged_in {
            return self.server_ended(code);
        }
        if let (true, Some((shown, is_certificate))) = (self.verification_failed, &self.shown) {
            return Ended::HostKey {
                shown: shown.clone(),
                is_certificate: *is_certificate,
                revoked: self.revoked,
            };
        }
        let last = self.complaints.last().map_or("", String::as_str);
        let find = |word: &str| self.complaints.iter().find(|line| line.contains(word));
        if let Some(line) = find("Load key ") {
            return Ended::BadKey(why_not_loaded(line));
        }
        if self.denied {
            return Ended::KeyRefused;
        }
        for word in [
            "No user exists for uid",
            "Bad configuration option",
            "unsupported option",
            "command-line line",
            "command-line: line",
            "usage: ssh",
        ] {
            if let Some(line) = find(word) {
                return Ended::Program(line.clone());
            }
        }
        Ended::Unreachable(unreachable(last))
    }

    fn server_ended(&self, code: Option<i32>) -> Ended {
        // 255 is ssh's own: the connection broke off.
        if code == Some(255) || code.is_none() {
            let why = self.server.last().map_or("", String::as_str);
            return Ended::Unreachable(format!("the connection broke off{}", after_colon(why)));
        }
        let said = self.server.join("; ");
        let lower = said.to_ascii_lowercase();
        let not_found = [
            "not appear to be a git repository",
            "not found",
            "could not be found",
            "not exist",
            "no such",
            "not a git repository",
            "access denied",
            "unauthorized",
            "permission",
        ]
        .iter()
        .any(|words| lower.contains(words))
            // The program itself is what was not found.
            && code != Some(127);
        Ended::Server { said, not_found }
    }
}

fn keep(lines: &mut Vec<String>, line: &str) {
    if lines.len() < MAX_LINES {
        lines.push(printable(line));
    }
}

fn after_colon(text: &str) -> String {
    if text.is_empty() {
        String::new()
    } else {
        format!(": {text}")
    }
}

/// `Load key "FILE": reason`, without the file, which whoever says it names.
fn why_not_loaded(line: &str) -> String {
    let reason = line.rsplit(": ").next().unwrap_or(line);
    match reason {
        r if r.contains("passphrase") => "it has a passphrase".into(),
        r => r.to_owned(),
    }
}

/// What ssh says of a connection that was not made, in our words where there are better ones.
fn unreachable(line: &str) -> String {
    let reason = line.strip_prefix("ssh: ").unwrap_or(line);
    if reason.contains("Could not resolve hostname") {
        return "its host name does not resolve".into();
    }
    if reason.contains("no matching") {
        return format!("ssh and the server have no algorithm in common: {reason}");
    }
    if let Some((_, why)) = reason
        .strip_prefix("connect to host ")
        .and_then(|rest| rest.split_once(": "))
    {
        return format!("no connection to its host and port: {why}");
    }
    if reason.is_empty() {
        "the connection ended before ssh had logged in".into()
    } else {
        format!("the connection ended before ssh had logged in: {reason}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(text: &str, code: i32) -> Ended {
        let mut heard = Heard::default();
        // In pieces of any size it is the same.
        for piece in text.as_bytes().chunks(7) {
            heard.hear(piece);
        }
        heard.end();
        heard.ended(Some(code))
    }

    const SHOWN: &str = "debug1: Server host key: ssh-ed25519 SHA256:abc\r\n";
    const IN: &str = "Authenticated to h ([192.0.2.1]:22) using \"publickey\".\r\n";

    #[test]
    fn each_end_of_ssh_is_told_from_the_others() {
        let text = format!("{SHOWN}@@@@@\r\nHost key verification failed.\r\n");
        assert!(matches!(
            ended(&text, 255),
            Ended::HostKey { revoked: false, is_certificate: false, shown }
                if shown.fingerprint == "SHA256:abc" && shown.algorithm == "ssh-ed25519"
        ));
        let text = format!(
            "{SHOWN}@ WARNING: REVOKED HOST KEY DETECTED! @\r\nHost key verification failed.\r\n"
        );
        assert!(matches!(
            ended(&text, 255),
            Ended::HostKey { revoked: true, .. }
        ));
        let text = format!("{SHOWN}git@h: Permission denied (publickey).\r\n");
        assert_eq!(ended(&text, 255), Ended::KeyRefused);
        let text =
            "Load key \"/k\": error in libcrypto\r\ngit@h: Permission denied (publickey).\r\n";
        assert_eq!(ended(text, 255), Ended::BadKey("error in libcrypto".into()));
        for (text, why) in [
            (
                "ssh: Could not resolve hostname h: Name or service not known\r\n",
                "its host name does not resolve",
            ),
            (
                "ssh: connect to host h port 22: Connection refused\r\n",
                "no connection to its host and port: Connection refused",
            ),
            (
                "kex_exchange_identification: Connection closed by remote host\r\nConnection closed by 192.0.2.1 port 22\r\n",
                "the connection ended before ssh had logged in: Connection closed by 192.0.2.1 port 22",
            ),
            ("", "the connection ended before ssh had logged in"),
        ] {
            assert_eq!(ended(text, 255), Ended::Unreachable(why.into()), "{text}");
        }
        let none = "Unable to negotiate with 192.0.2.1 port 22: no matching host key type found. Their offer: ssh-dss\r\n";
        assert!(matches!(ended(none, 255), Ended::Unreachable(why) if why.contains("ssh-dss")));
        let text = "No user exists for uid 1000700000\r\n";
        assert!(matches!(ended(text, 255), Ended::Program(why) if why.contains("1000700000")));
    }

    #[test]
    fn what_the_server_says_after_the_login_is_the_servers() {
        for (said, code, not_found) in [
            (
                "fatal: '/x' does not appear to be a git repository",
                128,
                true,
            ),
            ("ERROR: Repository not found.", 1, true),
            ("sh: 1: git-upload-pack: not found", 127, false),
            ("This service allows sftp connections only.", 1, false),
        ] {
            let expected = Ended::Server {
                said: said.into(),
                not_found,
            };
            let counted = "Transferred: sent 4580, received 3684 bytes, in 0.4 seconds\r\nBytes per second: sent 1.0\r\n";
            let text = format!("{IN}{said}\n{counted}debug1: Exit status {code}\r\n");
            assert_eq!(ended(&text, code), expected);
        }
        let text = format!("{IN}Connection to h closed by remote host.\r\n");
        assert!(matches!(ended(&text, 255), Ended::Unreachable(why) if why.contains("broke off")));
    }

    #[test]
    fn a_server_cannot_speak_for_ssh() {
        let text = format!(
            "{SHOWN}{IN}debug1: Server host key: ssh-rsa SHA256:evil\nHost key verification failed.\nPermission denied (x)\n"
        );
        assert!(matches!(ended(&text, 1), Ended::Server { .. }));
    }

    #[test]
    fn a_flood_is_kept_within_bounds_and_escape_codes_are_not_kept() {
        let mut heard = Heard::default();
        heard.hear(IN.as_bytes());
        for _ in 0..100_000 {
            heard.hear(b"\x1b[31mno\n");
        }
        heard.hear(&vec![b'x'; 10 << 20]);
        heard.end();
        let Ended::Server { said, .. } = heard.ended(Some(1)) else {
            panic!("{heard:?}")
        };
        assert!(said.len() < 500 && !said.contains('\u{1b}'), "{said}");
        assert!(heard.line.capacity() <= 2 * MAX_LINE);
    }
}
