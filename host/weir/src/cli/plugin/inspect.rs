//! `weir plugin inspect`: what a component is, needs and says of itself. Nothing of it is compiled or run.

use std::path::PathBuf;

use serde_json::{Value, json};
use weir_sandbox::{Claim, Inspected, Metadata};

use super::{Done, build, bytes, failed, output};
use crate::cli::output::Format;
use crate::error::Error;

/// What `weir plugin inspect` takes.
#[derive(Debug, clap::Args)]
pub(super) struct InspectArgs {
    /// The component
    file: PathBuf,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// Looks and shows.
pub(super) fn inspect(args: &InspectArgs) -> Result<Done, Error> {
    let component = build::read(&args.file)?;
    let inspected = weir_sandbox::inspect(&component)
        .map_err(|e| failed(format!("{}: {e}", args.file.display())))?;
    match args.output {
        Format::Text => output::print(&text(&inspected)),
        format => output::print_value(format, &shown(&inspected)),
    }
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

fn shown(inspected: &Inspected) -> Value {
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

fn text(inspected: &Inspected) -> String {
    let mut rows = vec![
        ("digest", inspected.digest.to_string()),
        ("size", bytes(inspected.size as u64)),
        (
            "roles",
            match &inspected.roles[..] {
                [] => "none: it is no plugin".to_owned(),
                its => build::roles(its),
            },
        ),
    ];
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
