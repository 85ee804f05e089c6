//! `weir adopt`: takes over objects that somebody else made, after showing what that changes.

use weir_cluster::kube::Compare;
use weir_core::decision::{Adoption, Ask};
use weir_core::name::AppName;

use super::decide::{self, Confirm, DecideArgs};
use super::diff::live;
use super::histories::{Histories, RefArgs};
use super::{Done, engine, output, render};
use crate::config::{AccountBinding, DecryptArgs, GlobalArgs, RepoArgs, TargetBinding, bindings};
use crate::error::Error;
use crate::keyring::Keyring;
use crate::prepare::prepare;

/// What `weir adopt` takes.
#[derive(Debug, clap::Args)]
pub(super) struct AdoptArgs {
    /// The app
    app: AppName,
    #[command(flatten)]
    repo: RepoArgs,
    #[command(flatten)]
    reference: RefArgs,
    /// Where the app lands: kube:, kube:CONTEXT or kube-secret:NAMESPACE/NAME; after NAME= for a target of the
    /// manifest; may be given again
    #[arg(long = "target", required = true, value_name = "[NAME=]PLACE")]
    targets: Vec<TargetBinding>,
    /// The cluster's service account that objects are read and written as [default: this host's own account]; after
    /// NAME= for a target of the manifest; may be given again
    #[arg(long = "as", value_name = "[NAME=]NAMESPACE/ACCOUNT")]
    accounts: Vec<AccountBinding>,
    #[command(flatten)]
    decrypt: DecryptArgs,
    #[command(flatten)]
    decide: DecideArgs,
}

/// Shows what would change, asks, and has it kept: the next look at the app takes the objects over.
pub(super) async fn adopt(global: &GlobalArgs, args: &AdoptArgs) -> Result<Done, Error> {
    let places = global.places()?;
    let host = engine::host(&places)?;
    let from = args.repo.manifest().read()?;
    let mut histories = Histories::new(&args.repo, &args.reference, &places)?;
    let snapshot = histories.snapshot("ref", "HEAD").await?;
    let (whose, only) = (args.repo.whose()?, std::slice::from_ref(&args.app));
    let prepared = prepare(&host, &snapshot, &from, &whose, only).await?;
    render::failures(&prepared)?;
    let name = args.repo.reach()?.name;
    let targets = bindings(&args.targets, &args.accounts)?;
    let keyring = Keyring::new(args.decrypt.decrypt(), places.kube.clone());
    let with = (Compare::Adopt, &keyring);
    let report = live::look(&prepared, &name, &targets, &places, with).await?;
    let mut objects = Vec::new();
    let mut text = String::new();
    for difference in &report.fields {
        if let Some(stranger) = difference.stranger() {
            text.push_str(&difference.text(output::has_colour()));
            objects.push(stranger);
        }
    }
    let app = prepared.apps.get(&args.app);
    let rendered = app.and_then(|app| app.rendered.as_ref().ok());
    let (Some(rendered), false) = (rendered, objects.is_empty()) else {
        return output::print(&format!(
            "app {}: nothing to take over: what is there of it is its own\n",
            args.app
        ));
    };
    text.push_str(&format!(
        "{} objects would be taken over; nothing is pruned in that sync\n",
        objects.len()
    ));
    output::print(&text)?;
    let ask = Ask::Adopt(Adoption {
        output: rendered.validated.output(),
        objects,
    });
    let confirm = Confirm::Ask {
        question: "Take them over?",
        flag: "--yes".to_owned(),
    };
    decide::decide(&places, &args.decide, name, &args.app, ask, confirm).await
}
