//! The service in a cluster, as far as the cluster sees it: its custom resources, watching and writing them, what it
//! needs to be installed.

mod app;
mod cluster;
mod condition;
mod install;
mod repository;
mod watch;

pub use app::{App, AppSpec, AppStatus};
pub use cluster::{Note, ServiceCluster, Written};
pub use condition::{Condition, Course, READY, RECONCILING, STALLED, Standing};
pub use install::{APPROVAL_POLICY, admission, cluster_rules, crds, tenant_rules};
pub use repository::{
    AllowSpec, GuardSpec, HealSpec, OnDelete, PolicySpec, Repository, RepositorySpec,
    RepositoryStatus, SecretRef, TargetSpec,
};

pub use watch::{Found, Key, Seen, Watching, Which};

/// The group of the custom resources.
pub const GROUP: &str = "weir.dev";
/// Their version.
pub const VERSION: &str = "v1alpha1";
/// On a Repository: another value than the last one asks for a fetch now.
pub const SYNC: &str = "weir.dev/sync";
/// On a Repository: `true` suspends it, as its policy can.
pub const SUSPEND: &str = "weir.dev/suspend";
/// On an App: `USER HOLD-ID`, the yes of that person to what it is held for.
pub const APPROVE: &str = "weir.dev/approve";
/// The label of an App that names its Repository.
pub const REPOSITORY_LABEL: &str = "weir.dev/repository";
/// What keeps a Repository until the service has let go of it.
pub const FINALIZER: &str = "weir.dev/repository";
/// As whom the service writes.
pub const MANAGER: &str = "weir-service";
