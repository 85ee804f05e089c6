//! `weir plugin inspect`: what a component is, needs and says of itself. Nothing of it is compiled or run.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use weir_core::digest::Digest;
use weir_core::plugin::PluginReference;
use weir_sandbox::{Claim, Inspected, Metadata};

use super::registry::{asking, fetched, keys, pinned, signatures, signed_by};
use super::{Done, build, bytes, failed, output};
use crate::cli::output::Format;
use crate::config::GlobalArgs;
use crate::error::Error;

/// What `weir plugin inspect` takes.
#[derive(Debug, clap::Args)]
pub(super) struct InspectArgs {
    /// The component: a file, or oci://HOST/PATH:TAG in a registry
    #[arg(value_name = "FILE|REFERENCE")]
    plugin: String,
    /// A public key in PEM that may have signed a component in a registry
    #[arg(long, value_name = "FILE")]
    key: Vec<PathBuf>,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// What is known of a component because of where it lies.
struct There {
    /// Its reference, with the digest.
    reference: String,
    manifest: Digest,
    /// How many there are, or why that is not known.
    signatures: Result<usize, String>,
    /// The file of the key that signed, or why none of them did; nothing where no key was given.
    signer: Option<Result<String, String>>,
}

/// Looks and shows.
pub(super) async fn inspect(global: &GlobalArgs, args: &InspectArgs) -> Result<Done, Error> {
    let (component, there) = if args.plugin.starts_with("oci://") {
        let (component, there) = in_registry(global, args).await?;
        (component, Some(there))
    } else if args.key.is_empty() {
        (build::read(Path::new(&args.plugin))?, None)
    } else {
        return Err(Error::Usage(
            "--key: signatures lie in registries; give oci://HOST/PATH:TAG in place of a file"
                .to_owned(),
        ));
    };
    let inspected =
        weir_sandbox::inspect(&component).map_err(|e| failed(format!("{}: {e}", args.plugin)))?;
    match args.output {
        Format::Text => output::print(&text(&inspected, there.as_ref())),
        format => output::print_value(format, &shown(&inspected, there.as_ref())),
    }
}

async fn in_registry(global: &GlobalArgs, args: &InspectArgs) -> Result<(Vec<u8>, There), Error> {
    let keys = keys(&args.key)?;
    let wrong = |e: weir_core::plugin::PluginReferenceError| Error::Usage(e.to_string());
    let reference: PluginReference = args.plugin.parse().map_err(wrong)?;
    let of = reference.clone();
    let (manifest, component, found) = asking(global, move |externals, stop| {
        let (got, component) = fetched(externals, &of, stop)?;
        let manifest = got.pin.manifest;
        let found = signatures(externals, &of, manifest, stop);
        Ok((manifest, component, found))
    })
    .await?;
    let signer = (!keys.is_empty()).then(|| {
        let by = match &found {
            Ok(found) => signed_by(&keys, &reference, manifest, found),
            Err(e) => Err(e.clone()),
        };
        let file = by.map(|by| args.key.get(by).map(|file| file.display().to_string()));
        file.map(Option::unwrap_or_default)
            .map_err(|e| e.to_string())
    });
    let there = There {
        reference: pinned(&reference, manifest),
        manifest,
        signatures: found.map(|found| found.len()).map_err(|e| e.to_string()),
        signer,
    };
    Ok((component, there))
}

/// What it says of itself, each with its name for people.
fn claims(metadata: &Metadata) -> [(&'static str, &Claim); 6] {
    [
        ("name", &metadata.name),
        ("version", &metadata.version),
        ("role", &metadata.role),
        ("description", &metadata.description),
        ("license", &metadata.license),
        ("source", &metadata.source),
    ]
}

/// What of its claims is seen to be wrong.
fn contradiction(inspected: &Inspected) -> Option<String> {
    let said = inspected.metadata.role.text()?;
    if inspected.roles.iter().any(|role| role.as_str() == said) {
        return None;
    }
    Some(match &inspected.roles[..] {
        [] => format!("it says that it is a {said}, and is no plugin at all"),
        its => format!(
            "it says that it is a {said}, and is a {}",
            build::roles(its)
        ),
    })
}

fn shown(inspected: &Inspected, there: Option<&There>) -> Value {
    let mut shown = of_component(inspected);
    if let Some(there) = there {
        let signer = there.signer.as_ref();
        shown["registry"] = json!({
            "reference": there.reference,
            "manifest": there.manifest,
            "signatures": there.signatures.as_ref().ok(),
            "unknownSignatures": there.signatures.as_ref().err(),
            "signer": signer.and_then(|s| s.as_ref().ok()),
            "notSigned": signer.and_then(|s| s.as_ref().err()),
        });
    }
    shown
}

fn of_component(inspected: &Inspected) -> Value {
    let roles: Vec<&str> = inspected.roles.iter().map(|role| role.as_str()).collect();
    let imports = inspected.imports.iter();
    let imports: Vec<Value> = imports
        .map(|import| json!({ "name": import.name, "allowed": import.is_allowed }))
        .collect();
    let claimed = claims(&inspected.metadata).map(|(key, claim)| {
        let value = match claim {
            Claim::Missing => Value::Null,
            Claim::Said(text) => text.clone().into(),
            Claim::Unreadable(why) => json!({ "unreadable": why }),
        };
        (key.to_owned(), value)
    });
    json!({
        "digest": inspected.digest,
        "size": inspected.size,
        "roles": roles,
        "imports": imports,
        "exports": inspected.exports,
        "misfits": inspected.misfits,
        "claims": Value::Object(claimed.into_iter().collect()),
        "contradiction": contradiction(inspected),
    })
}

/// What is known because of where it lies, in words.
fn whereabouts(there: &There) -> Vec<(&'static str, String)> {
    let signed = match (&there.signer, &there.signatures) {
        (Some(Ok(key)), _) => format!("signed by {key}"),
        (Some(Err(why)), _) => format!("NOT signed by a key that was given: {why}"),
        (None, Err(why)) => format!("unknown: signatures could not be read: {why}"),
        (None, Ok(0)) => "not signed".to_owned(),
        (None, Ok(1)) => "1 signature, unverified: give the signer's --key".to_owned(),
        (None, Ok(n)) => format!("{n} signatures, unverified: give a signer's --key"),
    };
    vec![("from", there.reference.clone()), ("signer", signed)]
}

fn text(inspected: &Inspected, there: Option<&There>) -> String {
    let mut rows = there.map(whereabouts).unwrap_or_default();
    rows.extend([
        ("digest", inspected.digest.to_string()),
        ("size", bytes(inspected.size as u64)),
        (
            "roles",
            match &inspected.roles[..] {
                [] => "none: it is no plugin".to_owned(),
                its => build::roles(its),
            },
        ),
    ]);
    rows.extend(inspected.misfits.iter().map(|why| ("", why.clone())));
    let imports = inspected.imports.iter().enumerate();
    rows.extend(imports.map(|(n, import)| {
        let mark = if import.is_allowed {
            ""
        } else {
            "   no plugin may have it"
        };
        (
            if n == 0 { "imports" } else { "" },
            format!("{}{mark}", import.name),
        )
    }));
    rows.push(("exports", inspected.exports.join(", ")));
    let mut out = table(&rows);
    out.push_str("\nIt says of itself, which nobody has checked:\n");
    let said: Vec<(&str, String)> = claims(&inspected.metadata)
        .into_iter()
        .map(|(key, claim)| {
            let shown = match claim {
                Claim::Missing => "-".to_owned(),
                Claim::Said(text) => text.clone(),
                Claim::Unreadable(why) => format!("unreadable: {why}"),
            };
            (key, shown)
        })
        .collect();
    out.push_str(&table(&said));
    if let Some(why) = contradiction(inspected) {
        out.push_str(&format!("\nThat is not so: {why}.\n"));
    }
    out
}

/// Rows of a key and a value.
fn table(rows: &[(&str, String)]) -> String {
    let width = rows.iter().map(|(key, _)| key.len()).max().unwrap_or(0);
    let lines = rows.iter();
    lines
        .map(|(key, value)| format!("{key:<width$}  {value}\n"))
        .collect()
}
