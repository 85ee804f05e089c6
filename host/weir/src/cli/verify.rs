//! `weir verify`: a receipt, or a bundle with one, held against its repository.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use weir_core::receipt::{Difference, Envelope, MAX_ENVELOPE, Part};
use weir_receipt::{Bundle, CheckError, Keys, MAX_BUNDLE, Trusted};

use super::Done;
use super::histories::{Histories, RefArgs};
use super::keys::public_key;
use super::output::{self, Format};
use crate::config::{GlobalArgs, RepoArgs};
use crate::error::Error;
use crate::open::blocking;
use crate::plugins::read_capped;
use crate::replay::Replay;

/// What `weir verify` takes.
#[derive(Debug, clap::Args)]
pub(super) struct VerifyArgs {
    /// A receipt, or a bundle: a file that `weir receipts export` wrote
    receipt: PathBuf,
    #[command(flatten)]
    repo: RepoArgs,
    #[command(flatten)]
    reference: RefArgs,
    /// A public key (PEM) that is trusted; may be given again [default: the keys below --state]
    #[arg(long = "key", value_name = "FILE")]
    keys: Vec<PathBuf>,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// Checks the signature, renders again, compares.
pub(super) async fn verify(global: &GlobalArgs, args: &VerifyArgs) -> Result<Done, Error> {
    let places = global.places()?;
    let file = args.receipt.clone();
    let (envelope, bundle) = blocking("verify", move || read(&file)).await?;
    let trusted: Trusted = if args.keys.is_empty() {
        let keys = Keys::below(&places.state).trusted();
        keys.map_err(|e| Error::stage("keys", &e))?
    } else {
        let keys = args.keys.iter().map(|file| public_key(file));
        keys.collect::<Result<_, _>>()?
    };
    let receipt = trusted.check(&envelope).map_err(|e| {
        let hint = match (&e, &bundle) {
            (CheckError::UnknownKey { .. }, Some(_)) => {
                ". A key of that id is in the bundle (key.pem), and proves nothing by itself: ask whoever runs that host for its key's id"
            }
            _ => "",
        };
        Error::host("verify", format!("{}: {e}{hint}", args.receipt.display()))
    })?;
    let replay = Replay { receipt, bundle };
    replay.check(&places)?;
    let from = replay.manifest(args.repo.manifest().read()?)?;
    let commit = replay.receipt.inputs.commit;
    let mut histories = Histories::new(&args.repo, &args.reference, &places)?;
    let difference = match histories.commit(commit).await? {
        Some(snapshot) => replay.run(&places, &snapshot, &from).await?,
        None => {
            let found = format!("none of that id in {}", args.repo.url()?);
            let missing = Difference::new(Part::Commit, "the commit", commit.to_string(), found);
            Some(missing.with_hint(
                "is it the right repository? Of a remote one the history of one ref is looked through: name the branch or tag that holds the commit with --ref",
            ))
        }
    };
    said(&replay, &envelope, difference.as_ref(), args.output)?;
    Ok(match difference {
        None => Done::Well,
        Some(_) => Done::Different,
    })
}

/// A receipt with the bundle that it is in.
fn read(file: &Path) -> Result<(Envelope, Option<Arc<Bundle>>), Error> {
    let wrong = |why: String| Error::host("verify", format!("{}: {why}", file.display()));
    let bytes = read_capped(file, MAX_BUNDLE)?;
    let bytes =
        bytes.ok_or_else(|| Error::Usage(format!("{}: there is no such file", file.display())))?;
    if bytes.first() == Some(&b'{') {
        let bytes = bytes.get(..=MAX_ENVELOPE).unwrap_or(&bytes);
        let envelope = Envelope::read(bytes).map_err(|e| wrong(e.to_string()))?;
        return Ok((envelope, None));
    }
    let bundle = Bundle::read(&bytes).map_err(|e| wrong(e.to_string()))?;
    Ok((bundle.envelope.clone(), Some(Arc::new(bundle))))
}

/// Prints the verdict.
fn said(
    replay: &Replay,
    envelope: &Envelope,
    difference: Option<&Difference>,
    format: Format,
) -> Result<Done, Error> {
    let (receipt, key) = (&replay.receipt, envelope.key());
    let (subject, commit, made) = (receipt.subject(), receipt.inputs.commit, receipt.output);
    match (format, difference) {
        (Format::Text, None) => output::print(&format!(
            "equal: {subject} at commit {commit} renders to {made} again, as key {key} signed\n"
        )),
        (Format::Text, Some(difference)) => output::print(&format!(
            "different: {subject} at commit {commit}: {difference}\n"
        )),
        (format, difference) => output::print_value(
            format,
            &serde_json::json!({
                "equal": difference.is_none(), "subject": subject, "commit": commit, "output": made,
                "key": key, "difference": difference,
            }),
        ),
    }
}
