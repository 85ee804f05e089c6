//! One writing process for each ledger, by an advisory lock on a file that names its holder.

use std::fs::{File, OpenOptions};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FlockOperation, OFlags, flock};

use crate::error::LedgerError;
use crate::store::store_error;

/// The most that is read of the lock's file: a process id and a newline.
const MAX_HOLDER: u64 = 32;

/// The lock. It is released when this is dropped or the process dies, however it dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock or says who has it. Never waits.
    pub(crate) fn take(dir: &Path) -> Result<Lock, LedgerError> {
        let path = dir.join("lock");
        let failed = |act, e: std::io::Error| store_error(act, path.clone(), e);
        let mut options = OpenOptions::new();
        options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600);
        options.custom_flags(i32::try_from(OFlags::NOFOLLOW.bits()).unwrap_or(0));
        let mut file = options.open(&path).map_err(|e| failed("open", e))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => {}
            Err(rustix::io::Errno::WOULDBLOCK) => {
                return Err(LedgerError::Locked {
                    dir: dir.to_owned(),
                    holder: holder(&file),
                });
            }
            Err(e) => return Err(failed("lock", e.into())),
        }
        // For people only: who holds the lock is the kernel's to say.
        let wrote = file
            .set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| writeln!(file, "{}", std::process::id()));
        wrote.map_err(|e| failed("write", e))?;
        Ok(Lock { _file: file })
    }
}

fn holder(file: &File) -> Option<u32> {
    let mut text = String::new();
    file.take(MAX_HOLDER).read_to_string(&mut text).ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_second_holder_is_refused_and_told_who_has_it() {
        let dir = tempfile::tempdir().unwrap();
        let first = Lock::take(dir.path()).unwrap();
        let error = Lock::take(dir.path()).unwrap_err();
        let here = std::process::id();
        assert!(
            matches!(error, LedgerError::Locked { holder: Some(pid), .. } if pid == here),
            "{error}"
        );
        assert!(
            error.to_string().contains(&format!("process {here}")),
            "{error}"
        );
        drop(first);
        Lock::take(dir.path()).unwrap();
    }

    #[test]
    fn a_lock_file_without_a_readable_holder_still_locks() {
        let dir = tempfile::tempdir().unwrap();
        let _first = Lock::take(dir.path()).unwrap();
        std::fs::write(dir.path().join("lock"), "not a number").unwrap();
        let error = Lock::take(dir.path()).unwrap_err();
        assert!(error.to_string().contains("another process"), "{error}");
    }
}
