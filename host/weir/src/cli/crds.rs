//! `weir crds`: the definitions of the custom resources, as YAML for `kubectl apply -f -`.

use weir_cluster::service;

use super::{Done, output};
use crate::error::Error;

/// What `weir crds` takes.
#[derive(Debug, clap::Args)]
pub(super) struct CrdsArgs {
    /// Print the policy instead that lets people approve in no other name than their own
    #[arg(long)]
    admission: bool,
}

/// Prints them.
pub(super) fn crds(args: &CrdsArgs) -> Result<Done, Error> {
    let all = match args.admission {
        true => service::admission(),
        false => service::crds(),
    };
    let text: Vec<String> = all.iter().map(weir_core::yaml::emit).collect();
    output::print(&text.join("---\n"))
}
