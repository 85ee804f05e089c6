//! The package `weir:plugin` as text, and as types to compare a component with.

use wit_parser::{PackageId, Resolve, SourceMap};

/// The package weir:plugin, one interface or world per file: the file's name and its text.
pub const WIT: [(&str, &str); 6] = [
    ("log.wit", include_str!("../../../wit/log.wit")),
    ("renderer.wit", include_str!("../../../wit/renderer.wit")),
    (
        "transformer.wit",
        include_str!("../../../wit/transformer.wit"),
    ),
    ("tree.wit", include_str!("../../../wit/tree.wit")),
    ("types.wit", include_str!("../../../wit/types.wit")),
    ("validator.wit", include_str!("../../../wit/validator.wit")),
];

/// The package, parsed. It fails only where this build's own files are broken.
pub(crate) fn package() -> Result<(Resolve, PackageId), String> {
    let mut sources = SourceMap::new();
    for (name, text) in WIT {
        sources.push_str(name, text);
    }
    let unreadable = |e: String| format!("weir:plugin cannot be read: {e}");
    let mut resolve = Resolve::default();
    let group = sources
        .parse()
        .map_err(|(_, e)| unreadable(format!("{e:#}")))?;
    let package = resolve
        .push_group(group)
        .map_err(|e| unreadable(format!("{e:#}")))?;
    Ok((resolve, package))
}
