//! What an entry is read into: memory of this process, or a file in memory that nobody can write to any more.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, AsRawFd as _, BorrowedFd};
use std::path::PathBuf;

/// Bytes whose authentication code was checked, in memory of our own: nobody changes them any more.
pub struct Verified(Vec<u8>);

impl Verified {
    /// Bytes that this process has just made, or has just checked.
    pub fn fresh(bytes: Vec<u8>) -> Verified {
        Verified(bytes)
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }
}

/// Bytes whose authentication code was checked, where they can be mapped from without another copy.
pub enum Mappable {
    /// A file in memory, sealed: the kernel lets nobody write to it, not even this process.
    Sealed(SealedFile),
    /// Where the kernel has no such files.
    Bytes(Verified),
}

/// A file in memory that can be read and mapped, and never changes.
pub struct SealedFile(File);

/// To hand it to another process, which can no more write to it than this one.
impl AsFd for SealedFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl Mappable {
    /// The same in a file in memory, where it is in none yet.
    ///
    /// # Errors
    /// This system has no such files, or no room.
    pub fn into_sealed(self) -> io::Result<SealedFile> {
        let bytes = match self {
            Mappable::Sealed(file) => return Ok(file),
            Mappable::Bytes(bytes) => bytes.0,
        };
        let mut sink = Sink::mappable(bytes.len());
        sink.write(&bytes)?;
        match sink.finish()? {
            Mappable::Sealed(file) => Ok(file),
            Mappable::Bytes(_) => Err(io::Error::from(io::ErrorKind::Unsupported)),
        }
    }
}

impl SealedFile {
    /// Where this process can open it as long as this value lives.
    pub fn path(&self) -> PathBuf {
        place(&self.0)
    }
}

/// An open file's path in `/proc`.
fn place(file: &File) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()))
}

/// Where the bytes of an entry go while they are checked.
pub(crate) enum Sink {
    /// To a file that will be sealed.
    File(File),
    /// To memory.
    Memory(Vec<u8>),
}

impl Sink {
    /// A file in memory of about this size; memory where there are none.
    #[cfg(target_os = "linux")]
    pub(crate) fn mappable(size: usize) -> Sink {
        use rustix::fs::MemfdFlags;
        let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
        let file = rustix::fs::memfd_create("weir-cache", flags).map(File::from);
        // An old kernel, one that forbids them, or no /proc to find them by.
        match file {
            Ok(file) if place(&file).exists() => Sink::File(file),
            _ => Sink::memory(size),
        }
    }

    /// Memory: this system has no files that can be sealed.
    #[cfg(not(target_os = "linux"))]
    pub(crate) fn mappable(size: usize) -> Sink {
        Sink::memory(size)
    }

    /// Room for so many bytes at once: an entry may have tens of megabytes, which would be copied as they grow.
    pub(crate) fn memory(size: usize) -> Sink {
        Sink::Memory(Vec::with_capacity(size))
    }

    pub(crate) fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        match self {
            Sink::File(file) => file.write_all(bytes),
            Sink::Memory(memory) => {
                memory.extend_from_slice(bytes);
                Ok(())
            }
        }
    }

    /// What was written, once its authentication code was found to fit.
    pub(crate) fn finish(self) -> io::Result<Mappable> {
        match self {
            Sink::File(file) => sealed(file).map(Mappable::Sealed),
            Sink::Memory(memory) => Ok(Mappable::Bytes(Verified::fresh(memory))),
        }
    }
}

/// The same file, which nobody can write to, cut or make longer from now on.
#[cfg(target_os = "linux")]
fn sealed(file: File) -> io::Result<SealedFile> {
    use rustix::fs::SealFlags;
    let all = SealFlags::WRITE | SealFlags::SHRINK | SealFlags::GROW | SealFlags::SEAL;
    rustix::fs::fcntl_add_seals(&file, all)?;
    Ok(SealedFile(file))
}

#[cfg(not(target_os = "linux"))]
fn sealed(_: File) -> io::Result<SealedFile> {
    Err(io::Error::from(io::ErrorKind::Unsupported))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_sealed_file_is_read_by_its_path_and_cannot_be_written_to() {
        let mut sink = Sink::mappable(10);
        sink.write(b"some ").unwrap();
        sink.write(b"bytes").unwrap();
        let Mappable::Sealed(sealed) = sink.finish().unwrap() else {
            panic!("Linux has files in memory");
        };
        let path = sealed.path();
        assert_eq!(std::fs::read(&path).unwrap(), b"some bytes");
        let mut again = File::options().write(true).open(&path).unwrap();
        assert!(again.write_all(b"other").is_err());
        assert!(again.set_len(0).is_err());
        assert_eq!(std::fs::read(&path).unwrap(), b"some bytes");
    }
}
