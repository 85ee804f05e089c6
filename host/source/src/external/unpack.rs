//! A chart's archive, unpacked in memory: only plain files below one directory, nothing that a disk or a later reader could trip over.

use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::Arc;

use flate2::read::MultiGzDecoder;
use gix::objs::Kind;
use tar::EntryType;
use weir_core::digest::BlobId;
use weir_core::name::RepoPath;
use weir_core::tree::{Entry, MemoryBlobs, Snapshot, Tree, TreeLimits};

use super::error::{About, ExternalError};
use super::limits::ExternalLimits;
use crate::error::printable;
use crate::object;

/// The file that makes a directory a chart.
const CHART: &str = "Chart.yaml";

/// The files of a chart, its single top directory taken away.
///
/// # Errors
/// `Refused` for what must not be in an archive, `Limit`.
pub(crate) fn chart(
    about: About<'_>,
    archive: &[u8],
    limits: &ExternalLimits,
) -> Result<Snapshot, ExternalError> {
    let size = archive.len() as u64;
    if size > limits.archive_bytes {
        return Err(about.limit(
            "archive_bytes",
            format!(
                "its archive has {size} bytes, at most {} are taken",
                limits.archive_bytes
            ),
        ));
    }
    let by_ratio = size.saturating_mul(limits.ratio).max(limits.ratio_free);
    let (name, most) = if by_ratio < limits.unpacked_bytes {
        ("ratio", by_ratio)
    } else {
        ("unpacked_bytes", limits.unpacked_bytes)
    };
    let tar = Bounded {
        inner: MultiGzDecoder::new(archive),
        left: most,
        passed: false,
    };
    let mut archive = tar::Archive::new(tar);
    let mut unpacking = Unpacking {
        about,
        limits,
        top: None,
        seen: 0,
        files: BTreeMap::new(),
        blobs: MemoryBlobs::default(),
    };
    let result = unpacking.all(&mut archive);
    if archive.into_inner().passed {
        return Err(about.limit(
            name,
            format!("its archive of {size} bytes unpacks to more than {most}"),
        ));
    }
    result?;
    unpacking.finish()
}

/// What is unpacked, under a limit of bytes.
struct Bounded<R> {
    inner: R,
    left: u64,
    passed: bool,
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let read = self.inner.read(buf)?;
        match self.left.checked_sub(read as u64) {
            Some(left) => self.left = left,
            None => {
                self.passed = true;
                return Err(io::Error::other("too large"));
            }
        }
        Ok(read)
    }
}

struct Unpacking<'a> {
    about: About<'a>,
    limits: &'a ExternalLimits,
    top: Option<String>,
    seen: usize,
    files: BTreeMap<RepoPath, Entry>,
    blobs: MemoryBlobs,
}

impl Unpacking<'_> {
    fn all<R: Read>(&mut self, archive: &mut tar::Archive<R>) -> Result<(), ExternalError> {
        let about = self.about;
        let broken = |e: &io::Error| {
            about.refused(format!(
                "its archive cannot be read: {}; expected a gzipped tar",
                printable(&e.to_string())
            ))
        };
        for entry in archive.entries().map_err(|e| broken(&e))? {
            let mut entry = entry.map_err(|e| broken(&e))?;
            self.seen += 1;
            if self.seen > self.limits.files {
                let most = self.limits.files;
                return Err(
                    about.limit("files", format!("its archive has more than {most} entries"))
                );
            }
            let kind = entry.header().entry_type();
            // A comment on all entries, which `git archive` writes; it names no file.
            if kind == EntryType::XGlobalHeader {
                continue;
            }
            let raw = entry.path_bytes().into_owned();
            let Some(path) = self.path(&raw)? else {
                if kind == EntryType::Directory {
                    continue;
                }
                return Err(self.wrong(&raw, "a chart's files lie in one directory"));
            };
            match kind {
                EntryType::Directory => continue,
                EntryType::Regular | EntryType::Continuous => {}
                EntryType::Symlink | EntryType::Link => {
                    return Err(self.wrong(&raw, "it is a link: a chart has plain files only"));
                }
                _ => {
                    return Err(self.wrong(
                        &raw,
                        "it is a device, a pipe or something else that is no plain file",
                    ));
                }
            }
            let executable = entry.header().mode().unwrap_or(0) & 0o100 != 0;
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).map_err(|e| broken(&e))?;
            if bytes.len() as u64 != entry.size() {
                return Err(about.refused("its archive ends in the middle of a file"));
            }
            self.keep(&raw, path, bytes, executable)?;
        }
        Ok(())
    }

    fn keep(
        &mut self,
        raw: &[u8],
        path: RepoPath,
        bytes: Vec<u8>,
        executable: bool,
    ) -> Result<(), ExternalError> {
        let id = blob_id(&bytes)
            .ok_or_else(|| self.wrong(raw, "its bytes are made to collide in SHA-1"))?;
        let entry = Entry::File {
            id,
            size: bytes.len() as u64,
            executable,
        };
        self.blobs.insert(id, bytes);
        match self.files.insert(path, entry) {
            None => Ok(()),
            Some(_) => Err(self.wrong(raw, "it is there twice")),
        }
    }

    /// The path below the single top directory; `None` for that directory itself, and for a file in its place.
    fn path(&mut self, raw: &[u8]) -> Result<Option<RepoPath>, ExternalError> {
        if raw.len() > self.limits.path_bytes {
            let most = self.limits.path_bytes;
            return Err(self.about.limit(
                "path_bytes",
                format!(
                    "a path in its archive has {} bytes, at most {most} are taken",
                    raw.len()
                ),
            ));
        }
        let text =
            std::str::from_utf8(raw).map_err(|_| self.wrong(raw, "the path is not UTF-8"))?;
        if text.starts_with('/') {
            return Err(self.wrong(raw, "the path is absolute"));
        }
        if text.contains('\\') || text.chars().any(char::is_control) {
            return Err(self.wrong(raw, "the path holds a backslash or a control character"));
        }
        // `tar` writes `./` before what it was given as `.`.
        let text = text.strip_prefix("./").unwrap_or(text);
        let text = text.strip_suffix('/').unwrap_or(text);
        let mut parts = text.split('/');
        let top = parts.next().unwrap_or_default();
        let depth = parts.clone().count();
        if text.split('/').any(|part| matches!(part, "" | "." | "..")) {
            return Err(self.wrong(raw, "the path has an empty part, . or .."));
        }
        if depth > self.limits.depth {
            let most = self.limits.depth;
            return Err(self.about.limit(
                "depth",
                format!("a path in its archive has {depth} parts, at most {most} are taken"),
            ));
        }
        match &self.top {
            None => self.top = Some(top.to_owned()),
            Some(first) if first == top => {}
            Some(first) => {
                let why = format!("it lies beside {first:?}: a chart's files lie in one directory");
                return Err(self.wrong(raw, &why));
            }
        }
        if depth == 0 {
            return Ok(None);
        }
        let below = parts.collect::<Vec<_>>().join("/");
        let path = below
            .parse()
            .map_err(|_| self.wrong(raw, "the path is not legal"))?;
        Ok(Some(path))
    }

    fn finish(self) -> Result<Snapshot, ExternalError> {
        let is_chart = CHART
            .parse()
            .is_ok_and(|path| self.files.contains_key::<RepoPath>(&path));
        if !is_chart {
            return Err(self
                .about
                .refused(format!("its archive has no {CHART}: it is no chart")));
        }
        let about = self.about;
        let tree = Tree::new(None, self.files).map_err(|path| {
            about.refused(format!(
                "its archive has {path} below something that is a file"
            ))
        })?;
        let limits = TreeLimits {
            files: self.limits.files,
            bytes: self.limits.unpacked_bytes,
            file_bytes: self.limits.unpacked_bytes,
            depth: self.limits.depth,
        };
        Ok(Snapshot {
            tree: Arc::new(tree),
            blobs: Arc::new(self.blobs),
            limits,
            externals: Default::default(),
        })
    }

    fn wrong(&self, path: &[u8], why: &str) -> ExternalError {
        let path = printable(&String::from_utf8_lossy(path));
        self.about
            .refused(format!("its archive holds {path:?}: {why}"))
    }
}

fn blob_id(bytes: &[u8]) -> Option<BlobId> {
    let hash = gix::objs::compute_hash(gix::hash::Kind::Sha1, Kind::Blob, bytes).ok()?;
    object::from_gix(&hash)
}
