//! Git in: where a repository is, what its ref points at, and one commit's files. The only crate that sees gix.
//!
//! - [`RepoUrl`], [`RefName`], [`Credentials`]: parsed once, refused early, never printed with a secret.
//! - [`Source`]: opens a local repository in place, or keeps a bare clone of a remote one; fetches, resolves, snapshots.
//! - [`Keys`]: who signed a commit; [`Source::facts`]: all that `weir_core::commit_policy` judges a commit by.
//! - [`Externals`]: charts and other repositories that a lock pins, fetched by digest and shown as snapshots.
//! - [`Fetching`]: in this process, or in one that keeps no right but to its repository's clone and server, or to the one file that it
//!   fills with a chart or a plugin.
//! - No work tree is ever written, no program but ssh is run, and nothing is read from the environment or from the
//!   configuration of a user's git or ssh.

mod cache;
mod carried;
mod commit;
pub mod cosign;
mod error;
mod exchange;
mod external;
mod fetch;
#[cfg(feature = "fuzzing")]
pub mod fuzzing;
mod history;
mod http;
mod judged;
mod object;
mod process;
mod revision;
mod secret;
mod signature;
mod snapshot;
mod source;
mod ssh;
mod url;
mod wire;
mod worktree;

#[cfg(test)]
mod tests;

pub use cache::CacheLimits;
pub use commit::{CommitInfo, Person};
pub use error::SourceError;
pub use external::{
    AccessHost, Artifact, ArtifactBlob, ArtifactError, CONFIG_TYPE, ExternalAccess, ExternalError,
    ExternalLimits, ExternalPolicy, Externals, GotPlugin, HostPattern, LAYER_TYPE, MANIFEST_TYPE,
    PluginError, PluginToPush, PushedPlugin, Watch, parse_manifest,
};
pub use history::HistoryLimits;
pub use http::pack::PackLimits;
pub use http::{Addresses, HttpOptions};
pub use judged::{Compared, HostKeys};
pub use process::{
    FetchAttempts, FetchProcess, FetcherLimits, Fetching, ProcessEnd, fetch_worker, try_fetching,
    try_getting,
};
pub use revision::RevisionStart;
pub use secret::{Credentials, CredentialsFrom, Secret};
pub use signature::{Keys, KeysError};
pub use source::{FetchLimits, FetchProgress, Fetched, RefChange, Source, SourceConfig};
pub use ssh::known_hosts::{self, KnownHosts, KnownHostsLimits};
pub use ssh::{EntryOf, HostKeyProblem, ShownKey, SshOptions};
pub use url::{HttpUrl, RefName, RepoUrl, SshUrl};
pub use worktree::folder as folder_snapshot;
