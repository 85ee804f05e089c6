//! How much an external may be and take. Every one is named, so that an error can say which one to look at.

use std::time::Duration;

use serde::{Deserialize, Serialize};
use weir_core::tree::TreeLimits;

use crate::cosign;
use crate::source::FetchLimits;

/// What a process that fetches may take, as a limit of an external.
pub(crate) const PROCESS: &str = "process";
/// All names that an error may name a limit of one by.
pub(crate) const NAMES: [&str; 15] = [
    "archive_bytes",
    "unpacked_bytes",
    "ratio",
    "files",
    "depth",
    "path_bytes",
    "redirects",
    "index_bytes",
    "manifest_bytes",
    "tags_bytes",
    "tags",
    "tag_pages",
    cosign::COUNT,
    cosign::SIZE,
    PROCESS,
];

/// What one external may take. Required wherever one is fetched or unpacked.
#[derive(Debug, Clone, Copy, Serialize, Deserialize)]
pub struct ExternalLimits {
    /// Bytes of a chart's archive as it is sent.
    pub archive_bytes: u64,
    /// Bytes of all its files.
    pub unpacked_bytes: u64,
    /// How many times larger than the archive its files may be, in all; small archives have [`Self::ratio_free`].
    pub ratio: u64,
    /// Bytes that may always be unpacked, whatever the ratio: text of a kilobyte compresses very well.
    pub ratio_free: u64,
    /// Entries of an archive: files and directories.
    pub files: usize,
    /// Parts of one path in an archive.
    pub depth: usize,
    /// Bytes of one path in an archive.
    pub path_bytes: usize,
    /// Redirects of one request.
    pub redirects: usize,
    /// Bytes of a chart repository's `index.yaml`.
    pub index_bytes: u64,
    /// Nodes of an `index.yaml`, after aliases are expanded.
    pub index_nodes: usize,
    /// Bytes of a registry's manifest or of a token's answer.
    pub manifest_bytes: u64,
    /// Bytes of a plugin's component.
    pub component_bytes: u64,
    /// Bytes of one page of a registry's list of tags.
    pub tags_bytes: u64,
    /// Tags of one repository of a registry, over all pages.
    pub tags: usize,
    /// Pages of a list of tags.
    pub tag_pages: usize,
    /// Bytes of all archives that are kept on this host's disk; those that were not used for longest go first.
    pub kept_bytes: u64,
    /// The time for all requests of one external together.
    pub time: Duration,
    /// What a fetch of another repository may take.
    pub git: FetchLimits,
    /// What a commit of another repository may hold.
    pub tree: TreeLimits,
}

impl ExternalLimits {
    /// What a host allows that was told nothing else.
    pub const HOST: ExternalLimits = ExternalLimits {
        archive_bytes: 32 << 20,
        unpacked_bytes: 128 << 20,
        ratio: 100,
        ratio_free: 4 << 20,
        files: 10_000,
        depth: 32,
        path_bytes: 1024,
        redirects: 5,
        index_bytes: 32 << 20,
        index_nodes: 2_000_000,
        manifest_bytes: 4 << 20,
        component_bytes: 256 << 20,
        tags_bytes: 4 << 20,
        tags: 20_000,
        tag_pages: 200,
        kept_bytes: 4 << 30,
        time: Duration::from_secs(300),
        git: FetchLimits {
            response_bytes: 1 << 30,
            deadline: Duration::from_secs(300),
            ..FetchLimits::HOST
        },
        tree: TreeLimits {
            files: 50_000,
            bytes: 1 << 30,
            file_bytes: 64 << 20,
            depth: 64,
        },
    };
}
