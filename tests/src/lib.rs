//! The rig: real Git repositories, a real Git server with faults on demand and the real `weir` binary, for the suites in this folder.
//!
//! Nothing here sleeps or polls a clock: waiting is reading a pipe or a socket
//! until a deadline (other people's servers, in [`control_plane`], are asked
//! again and again until one). Everything that a test starts or writes is gone when its
//! value is dropped.

/// Archives of charts, and a chart repository over plain http.
pub mod charts;
/// A whole Kubernetes control plane.
pub mod control_plane;
/// `kill -9` anywhere, hundreds of times, and what must hold after each.
pub mod crash;
/// A server that never says anything.
pub mod deaf;
/// Two apps on a cluster, one of them in trouble.
pub mod duo;
/// A forge that sends webhooks.
pub mod forge;
/// What must hold of a target directory and a state directory at any time.
pub mod invariants;
/// Helm and Kustomize themselves, outside any sandbox.
pub mod native;
/// The real `cosign`, `oras` and `wkg`.
pub mod oci_tools;
/// Packs as no git writes them.
pub mod pack;
/// Where the workspace, its binary and its plugins are.
pub mod places;
/// Projects of `weir plugin new`, with the tools of their languages.
pub mod plugin_project;
/// Faults on the way to an API server or a Git server.
pub mod proxy;
/// The real OCI registry.
pub mod registry;
/// A repository of one app behind a server of its own.
pub mod remote;
/// Git repositories made by the real `git`.
pub mod repo;
/// A real S3 server.
pub mod s3;
/// A repository, a namespace and a machine.
pub mod scene;
/// A loopback Git server over `git http-backend`, with faults.
pub mod server;
/// Keys and signatures of the real `ssh-keygen` and `gpg`.
pub mod signing;
/// The real `sops` and `age-keygen`.
pub mod sops;
/// The real sshd.
pub mod sshd;
/// Secrets that have left their place.
pub mod sweep;
/// What a running host tells of its apps.
pub mod told;
/// Digests and listings of directories.
pub mod tree;
/// The `weir` process.
pub mod weir;

pub use repo::Repo;
pub use server::{Auth, GitServer};
pub use tree::{Listing, tree_digest};
pub use weir::{Ran, Serving, Weir};
