//! The private key file, looked at before ssh is: who may read it, and whether it can be used without a person.

use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::error::SourceError;

/// How much of the file is looked at: its first lines say what it is.
const HEAD: u64 = 512;

/// # Errors
/// A key that cannot be read, that others may read, that has a passphrase, or that is none.
pub(super) fn check(path: &Path) -> Result<(), SourceError> {
    let bad = |why: String| SourceError::BadKey {
        file: path.to_owned(),
        why,
    };
    let mut file = File::open(path).map_err(|e| bad(format!("it cannot be read: {e}")))?;
    let meta = file
        .metadata()
        .map_err(|e| bad(format!("it cannot be read: {e}")))?;
    if !meta.is_file() {
        return Err(bad("it is not a file".into()));
    }
    let ours = meta.uid() == rustix::process::geteuid().as_raw();
    if let Some(who) = readable_by(meta.mode(), ours) {
        return Err(bad(format!(
            "{who} may read or change it (mode {:04o}), and ssh does not use such a key: `chmod 600` it; for a Secret \
             in a pod's volume set `defaultMode: 0400`",
            meta.mode() & 0o7777
        )));
    }
    let mut head = Vec::new();
    (&mut file)
        .take(HEAD)
        .read_to_end(&mut head)
        .map_err(|e| bad(format!("it cannot be read: {e}")))?;
    usable(&head).map_err(|why| bad(why.to_owned()))
}

/// Who besides its owner has the key. A group may read one that is not ours: so pods get theirs.
fn readable_by(mode: u32, ours: bool) -> Option<&'static str> {
    if mode & 0o007 != 0 {
        Some("everybody on this machine")
    } else if mode & 0o020 != 0 || (ours && mode & 0o070 != 0) {
        Some("its group")
    } else {
        None
    }
}

/// Whether a file that begins so is a private key without a passphrase.
fn usable(head: &[u8]) -> Result<(), &'static str> {
    const PASSPHRASE: &str = "it has a passphrase, and nobody is there to type it: make a key for this host alone, \
                              without one (`ssh-keygen -t ed25519 -N '' -f FILE`)";
    const EXPECTED: &str = "it is no private key: expected a file as `ssh-keygen -t ed25519` makes it, which begins \
                            with -----BEGIN";
    let text = String::from_utf8_lossy(head);
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().trim_end();
    if ["ssh-", "ecdsa-", "sk-"]
        .iter()
        .any(|p| first.starts_with(p))
    {
        return Err("it is the public half of a key: give the file without .pub");
    }
    let begins = first.starts_with("-----BEGIN ") && first.ends_with("PRIVATE KEY-----");
    if !begins {
        return Err(EXPECTED);
    }
    if first.contains("ENCRYPTED") || lines.clone().any(|l| l.starts_with("Proc-Type:")) {
        return Err(PASSPHRASE);
    }
    if first.contains("OPENSSH") {
        let second = lines.next().unwrap_or_default().trim_end();
        // Whole groups of four: the line may be cut off by the end of what was read.
        let whole = second.get(..second.len() / 4 * 4).unwrap_or_default();
        let bytes = STANDARD.decode(whole).map_err(|_| EXPECTED)?;
        let rest = bytes.strip_prefix(b"openssh-key-v1\0").ok_or(EXPECTED)?;
        // The name of its cipher.
        if rest.get(..8) != Some(b"\0\0\0\x04none".as_slice()) {
            return Err(PASSPHRASE);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_others_may_read_is_refused_as_ssh_would_and_for_the_group_of_a_pod_not() {
        for (mode, ours, refused) in [
            (0o100600, true, false),
            (0o100400, true, false),
            (0o100640, true, true),
            (0o100660, true, true),
            (0o100604, true, true),
            (0o100777, true, true),
            (0o100440, false, false),
            (0o100640, false, false),
            (0o100660, false, true),
            (0o100644, false, true),
            (0o100402, false, true),
        ] {
            assert_eq!(
                readable_by(mode, ours).is_some(),
                refused,
                "{mode:o} {ours}"
            );
        }
    }

    #[test]
    fn what_is_no_usable_private_key_is_said_to_be_so() {
        for (head, why) in [
            ("", "no private key"),
            ("ssh-ed25519 AAAA ann", "public half"),
            ("ecdsa-sha2-nistp256 AAAA ann", "public half"),
            ("-----BEGIN CERTIFICATE-----\nAAAA", "no private key"),
            (
                "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA",
                "no private key",
            ),
            ("-----BEGIN OPENSSH PRIVATE KEY-----\n", "no private key"),
            ("-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA", "passphrase"),
            (
                "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n",
                "passphrase",
            ),
            (
                // What `ssh-keygen -N x` begins with: aes256-ctr.
                "-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAACmFlczI1Ni1jdHIAAAAGYmNyeXB0\n",
                "passphrase",
            ),
        ] {
            assert!(usable(head.as_bytes()).unwrap_err().contains(why), "{head}");
        }
        for good in [
            // What `ssh-keygen -N ''` begins with: none.
            "-----BEGIN OPENSSH PRIVATE KEY-----\r\nb3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ\r\n",
            "-----BEGIN RSA PRIVATE KEY-----\nMIIE",
            "-----BEGIN PRIVATE KEY-----\nMIIE",
        ] {
            assert_eq!(usable(good.as_bytes()), Ok(()), "{good}");
        }
    }
}
