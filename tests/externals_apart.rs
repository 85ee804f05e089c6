//! The suites of externals and of plugins in registries once more, where all that is fetched is got by confined processes: commands get it
//! in their own process otherwise.
#![expect(
    clippy::duplicate_mod,
    reason = "two suites begin with the same scene, and both are modules here"
)]

/// What is got.
#[path = "externals.rs"]
mod externals;
/// What is not what it should be.
#[path = "externals_refused.rs"]
mod externals_refused;
/// Plugins from a registry.
#[path = "plugin_oci.rs"]
mod plugin_oci;
/// Plugins from a registry that is not what it should be.
#[path = "plugin_oci_refused.rs"]
mod plugin_oci_refused;
