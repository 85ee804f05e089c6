//! A file that one process fills and its host reads: by the host's own handle, when the process is gone.

use std::cell::Cell;
use std::fs::{self, File};
use std::io::{self, Read as _, Seek as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// After this a file is a leftover of a host that was killed.
const LEFTOVER: Duration = Duration::from_secs(3600);
/// The most files of others that are looked at.
const MOST: usize = 1000;

/// A file that a process fills. It has no name any more when the process begins, or at the latest when this is dropped.
pub(super) struct Incoming {
    file: File,
    path: PathBuf,
    hidden: Cell<bool>,
}

/// Why it was not taken.
#[derive(Debug)]
pub(super) enum NotTaken {
    /// It is not what was said.
    Other(String),
    /// It cannot be read.
    Unread(io::Error),
}

impl Incoming {
    /// An empty one in this folder, which is made where it is not there.
    pub(super) fn new(dir: &Path) -> io::Result<Incoming> {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(dir)?;
        for entry in fs::read_dir(dir)?.flatten().take(MOST) {
            let age = entry.metadata().and_then(|meta| meta.modified());
            if age.is_ok_and(|at| at.elapsed().is_ok_and(|age| age > LEFTOVER)) {
                // Another process may have removed it meanwhile.
                let _ = fs::remove_file(entry.path());
            }
        }
        let process = std::process::id();
        let mut options = File::options();
        options.read(true).write(true).create_new(true).mode(0o600);
        for _ in 0..MOST {
            let count = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = dir.join(format!("{process}.{count}"));
            let hidden = Cell::new(false);
            match options.open(&path) {
                Ok(file) => return Ok(Incoming { file, path, hidden }),
                // Of a process that has this one's number, on another machine or before.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
        Err(io::Error::other("too many files are in it already"))
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// It has a name no more: whoever has it open has it.
    pub(super) fn hide(&self) {
        // Once: its name may be another's by then. Where it was removed already, nothing is left to do.
        if !self.hidden.replace(true) {
            let _ = fs::remove_file(&self.path);
        }
    }

    /// The parts of it, which are all of it: each as long as was said, and none longer than this.
    pub(super) fn taken(mut self, said: &[u64], most: &[u64]) -> Result<Vec<Vec<u8>>, NotTaken> {
        let other = |what: &str| Err(NotTaken::Other(what.to_owned()));
        if said.len() != most.len() || said.iter().zip(most).any(|(said, most)| said > most) {
            return other("it said that it got more or less than was asked for");
        }
        let there = self.file.metadata().map_err(NotTaken::Unread)?.len();
        if Some(there)
            != said
                .iter()
                .try_fold(0_u64, |sum, one| sum.checked_add(*one))
        {
            return other("it did not hand over what it said that it got");
        }
        self.file.rewind().map_err(NotTaken::Unread)?;
        let mut parts = Vec::new();
        for len in said {
            let mut part = Vec::new();
            let mut from = (&self.file).take(*len);
            from.read_to_end(&mut part).map_err(NotTaken::Unread)?;
            parts.push(part);
        }
        Ok(parts)
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.hide();
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn filled(dir: &Path, bytes: &[u8]) -> Incoming {
        let incoming = Incoming::new(dir).unwrap();
        let mut file = File::options().write(true).open(incoming.path()).unwrap();
        incoming.hide();
        file.write_all(bytes).unwrap();
        incoming
    }

    #[test]
    fn what_was_written_comes_in_its_parts_and_no_name_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let parts = filled(dir.path(), b"onetwo").taken(&[3, 0, 3], &[3, 3, 3]);
        assert_eq!(parts.unwrap(), [b"one".to_vec(), vec![], b"two".to_vec()]);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn more_less_or_other_parts_than_were_said_are_not_taken() {
        let dir = tempfile::tempdir().unwrap();
        for (said, most) in [
            (&[3_u64][..], &[6_u64][..]),
            (&[7], &[7]),
            (&[6], &[5]),
            (&[3, 3], &[6]),
            (&[u64::MAX, 7], &[u64::MAX, 7]),
            (&[], &[]),
        ] {
            let taken = filled(dir.path(), b"onetwo").taken(said, most);
            assert!(matches!(taken, Err(NotTaken::Other(_))), "{said:?}");
        }
    }

    #[test]
    fn a_link_in_its_place_is_not_followed_and_what_a_killed_host_left_goes() {
        let dir = tempfile::tempdir().unwrap();
        let secret = dir.path().join("secret");
        fs::write(&secret, "x").unwrap();
        let place = dir.path().join("incoming");
        let incoming = Incoming::new(&place).unwrap();
        incoming.hide();
        let link = incoming.path().to_owned();
        std::os::unix::fs::symlink(&secret, &link).unwrap();
        assert!(matches!(
            incoming.taken(&[1], &[1]),
            Err(NotTaken::Other(_))
        ));
        assert_eq!(fs::read_to_string(&secret).unwrap(), "x");
        fs::remove_file(link).unwrap();
        let old = File::create(place.join("1.0")).unwrap();
        let then = std::time::SystemTime::now() - LEFTOVER * 2;
        old.set_modified(then).unwrap();
        drop(Incoming::new(&place).unwrap());
        assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    }
}
