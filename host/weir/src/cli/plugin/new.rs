//! `weir plugin new`: a project that builds and tests, from templates in this binary.

use std::path::{Path, PathBuf};

use weir_core::name::PluginName;

use super::{Done, RoleName, output, templates};
use crate::error::Error;
use crate::plugins::write_atomic;
use crate::toolchain::Language;

/// What `weir plugin new` takes.
#[derive(Debug, clap::Args)]
pub(super) struct NewArgs {
    /// What the plugin is called: a-z, 0-9 and -, beginning with a letter
    #[arg(value_parser = name)]
    name: PluginName,
    /// What it is for
    #[arg(long, value_enum)]
    role: RoleName,
    /// What it is written in
    #[arg(long, value_enum)]
    lang: Language,
    /// Where the project goes; it must not be there, or be empty [default: ./NAME]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
}

/// A plugin's name that is one for cargo and npm, too.
fn name(text: &str) -> Result<PluginName, String> {
    let name: PluginName = text
        .parse()
        .map_err(|e: weir_core::name::NameError| e.to_string())?;
    if !text.starts_with(|c: char| c.is_ascii_lowercase()) {
        return Err(format!(
            "plugin name {text:?}: expected a letter at its beginning"
        ));
    }
    if text == templates::SDK {
        return Err(format!(
            "plugin name {text:?}: that is what the SDK is called; take another"
        ));
    }
    Ok(name)
}

/// Writes the project and says what to do next.
pub(super) fn new(args: &NewArgs) -> Result<Done, Error> {
    let dir = args
        .dir
        .clone()
        .unwrap_or_else(|| args.name.as_str().into());
    is_free(&dir)?;
    let role = args.role.role();
    let files = templates::project(args.name.as_str(), role, args.lang);
    for (path, text) in &files {
        let path = dir.join(path);
        write_atomic(&path, text.as_bytes())
            .map_err(|e| Error::host("plugin", format!("{}: {e}", path.display())))?;
    }
    output::print(&format!(
        "{}: a {role} in {}. Next:\n  weir plugin build {0}\n  weir plugin test {0}\n",
        dir.display(),
        args.lang
    ))
}

/// Nothing lies there that a project would be mixed with.
fn is_free(dir: &Path) -> Result<(), Error> {
    let taken = |why: &str| {
        Err(Error::Usage(format!(
            "{}: {why}: name a folder that is not there yet with --dir",
            dir.display()
        )))
    };
    match std::fs::read_dir(dir) {
        Ok(mut entries) => match entries.next() {
            None => Ok(()),
            Some(_) => taken("the folder is not empty"),
        },
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(e) => taken(&e.to_string()),
    }
}
