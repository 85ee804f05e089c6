//! What is shown to a Git server, from a Secret into files of this host: they are read at each fetch, so that a Secret
//! that changes needs no restart.

use std::collections::BTreeMap;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use weir_core::name::RepositoryName;
use weir_core::reveal::Hidden;
use weir_source::RepoUrl;

use crate::repository::Auth;

/// The folder below the state with a folder for each Repository that names a Secret.
const FOLDER: &str = "repositories";
/// A token, as Weir and as Flux call it.
const TOKENS: [&str; 2] = ["token", "bearerToken"];

/// What is shown, and whom is trusted.
#[derive(Debug, Clone)]
pub(super) struct Shown {
    pub(super) auth: Auth,
    pub(super) ca_file: Option<PathBuf>,
    pub(super) client_cert: Option<(PathBuf, PathBuf)>,
}

impl Shown {
    /// Nothing is shown, and the public certificates are trusted.
    pub(super) fn nothing() -> Shown {
        Shown {
            auth: Auth::None,
            ca_file: None,
            client_cert: None,
        }
    }
}

/// The private folder of one Repository.
#[derive(Debug, Clone)]
pub(super) struct Folder(PathBuf);

impl Folder {
    /// Nothing is made yet.
    pub(super) fn of(state: &Path, repository: &RepositoryName) -> Folder {
        Folder(state.join(FOLDER).join(repository.as_str()))
    }

    /// Writes what of the Secret is used for this address, and says how it is shown. Files that are as they were are not
    /// touched.
    pub(super) fn keep(
        &self,
        url: &RepoUrl,
        secret: &BTreeMap<String, Hidden>,
    ) -> Result<Shown, String> {
        let (shown, files) = self.wanted(url, secret)?;
        let write = || {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&self.0)?;
            self.remove_others(&files)?;
            files.iter().try_for_each(|name| match secret.get(*name) {
                Some(value) => self.write(name, value),
                None => Ok(()),
            })
        };
        write().map_err(|e| format!("{}: {e}", self.0.display()))?;
        Ok(shown)
    }

    /// Nothing of it is here any more.
    pub(super) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.0) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => Err(e),
            _ => Ok(()),
        }
    }

    /// How it is shown, and which keys of the Secret are files for that.
    fn wanted(
        &self,
        url: &RepoUrl,
        secret: &BTreeMap<String, Hidden>,
    ) -> Result<(Shown, Vec<&'static str>), String> {
        let has = |name: &str| secret.contains_key(name);
        let file = |name: &str| self.0.join(name);
        let mut shown = Shown::nothing();
        let mut files = Vec::new();
        if matches!(url, RepoUrl::Ssh(_)) {
            if !has("identity") || !has("known_hosts") {
                return Err("for ssh, expected the keys identity and known_hosts".to_owned());
            }
            shown.auth = Auth::Ssh {
                key: file("identity"),
                known_hosts: file("known_hosts"),
            };
            return Ok((shown, vec!["identity", "known_hosts"]));
        }
        if let Some(token) = TOKENS.into_iter().find(|name| has(name)) {
            shown.auth = Auth::TokenFile(file(token));
            files.push(token);
        } else if has("username") || has("password") {
            let user = secret.get("username").map(Hidden::expose);
            let user = user.and_then(|bytes| String::from_utf8(bytes.to_vec()).ok());
            let (Some(user), true) = (user, has("password")) else {
                return Err("expected both username (a text) and password".to_owned());
            };
            shown.auth = Auth::Password {
                user: user.trim_end_matches('\n').to_owned(),
                file: file("password"),
            };
            files.push("password");
        }
        if has("ca.crt") {
            shown.ca_file = Some(file("ca.crt"));
            files.push("ca.crt");
        }
        match (has("tls.crt"), has("tls.key")) {
            (true, true) => {
                shown.client_cert = Some((file("tls.crt"), file("tls.key")));
                files.extend(["tls.crt", "tls.key"]);
            }
            (false, false) => {}
            _ => return Err("tls.crt and tls.key go together: expected both".to_owned()),
        }
        match files.is_empty() {
            true => Err(
                "expected token, or username and password, or ca.crt, or tls.crt and tls.key; for ssh identity and known_hosts".to_owned(),
            ),
            false => Ok((shown, files)),
        }
    }

    fn remove_others(&self, files: &[&str]) -> io::Result<()> {
        for entry in fs::read_dir(&self.0)? {
            let entry = entry?;
            if !files.iter().any(|name| entry.file_name() == *name) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// A fetch sees the old file or the new one, never a part.
    fn write(&self, name: &str, value: &Hidden) -> io::Result<()> {
        let path = self.0.join(name);
        if fs::read(&path).is_ok_and(|bytes| bytes == value.expose()) {
            return Ok(());
        }
        let making = self.0.join(format!(".{name}"));
        match fs::remove_file(&making) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(e),
            _ => {}
        }
        let mut file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&making)?;
        file.write_all(value.expose())?;
        drop(file);
        fs::rename(making, path)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn secret(keys: &[&str]) -> BTreeMap<String, Hidden> {
        let one = |key: &&str| {
            (
                (*key).to_owned(),
                Hidden::new(format!("{key}!").into_bytes()),
            )
        };
        keys.iter().map(one).collect()
    }

    fn keep(folder: &Folder, url: &str, keys: &[&str]) -> Result<Shown, String> {
        folder.keep(&url.parse().unwrap(), &secret(keys))
    }

    fn names(folder: &Folder) -> Vec<String> {
        let all = fs::read_dir(&folder.0).unwrap();
        let mut names: Vec<String> = all
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn each_form_of_a_secret_becomes_private_files_of_what_is_used_and_no_others() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::of(dir.path(), &"team.shop".parse().unwrap());
        for (url, keys, files) in [
            ("https://h/x", &["token", "other"][..], &["token"][..]),
            ("https://h/x", &["username", "password"], &["password"]),
            (
                "https://h/x",
                &["bearerToken", "ca.crt"],
                &["bearerToken", "ca.crt"],
            ),
            (
                "https://h/x",
                &["tls.crt", "tls.key"],
                &["tls.crt", "tls.key"],
            ),
            (
                "ssh://git@h/x",
                &["identity", "known_hosts", "token"],
                &["identity", "known_hosts"],
            ),
        ] {
            keep(&folder, url, keys).unwrap();
            assert_eq!(names(&folder), files);
            for name in files {
                let path = folder.0.join(name);
                assert_eq!(fs::read(&path).unwrap(), format!("{name}!").into_bytes());
                assert_eq!(
                    fs::metadata(&path).unwrap().permissions().mode() & 0o777,
                    0o600
                );
            }
        }
        assert_eq!(
            fs::metadata(&folder.0).unwrap().permissions().mode() & 0o777,
            0o700
        );
        folder.remove().unwrap();
        folder.remove().unwrap();
        assert!(!folder.0.exists());
    }

    #[test]
    fn a_secret_that_says_half_of_it_is_refused_with_what_is_missing_and_no_value() {
        let dir = tempfile::tempdir().unwrap();
        let folder = Folder::of(dir.path(), &"team.shop".parse().unwrap());
        for (url, keys, expected) in [
            ("https://h/x", &[][..], "expected token"),
            ("https://h/x", &["username"], "both username"),
            ("https://h/x", &["password"], "both username"),
            ("https://h/x", &["tls.crt"], "tls.crt and tls.key"),
            (
                "https://h/x",
                &["identity", "known_hosts"],
                "expected token",
            ),
            ("ssh://git@h/x", &["token"], "identity and known_hosts"),
            ("ssh://git@h/x", &["identity"], "identity and known_hosts"),
        ] {
            let error = keep(&folder, url, keys).unwrap_err();
            assert!(error.contains(expected) && !error.contains('!'), "{error}");
        }
    }
}
