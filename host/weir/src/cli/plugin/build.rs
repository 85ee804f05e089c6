//! `weir plugin build`: from a plugin's folder to a component that its role's world takes.

use std::path::{Path, PathBuf};

use weir_sandbox::{BuildLimits, Inspected, Role, build_component, with_claims};

use super::about::{self, About};
use super::{Done, bytes, failed, output};
use crate::error::Error;
use crate::plugins::write_atomic;
use crate::progress::Line;
use crate::toolchain::{Language, Made};

/// What `weir plugin build` takes.
#[derive(Debug, clap::Args)]
pub(super) struct BuildArgs {
    /// The plugin's folder
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Where the component goes; left out: DIR/NAME.wasm, by the name in plugin.yaml, or the folder's
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// A component that was made, and lies in its file.
pub(super) struct Built {
    pub(super) file: PathBuf,
    pub(super) bytes: Vec<u8>,
    pub(super) inspected: Inspected,
}

/// Builds and says what came of it.
pub(super) fn build(args: &BuildArgs) -> Result<Done, Error> {
    let built = make(&args.dir, args.output.as_deref())?;
    let roles: Vec<&str> = built.inspected.roles.iter().map(|r| r.as_str()).collect();
    output::print(&format!(
        "{}: {} of {}, {}\n",
        built.file.display(),
        roles.join(" and "),
        bytes(built.bytes.len() as u64),
        built.inspected.digest
    ))
}

/// Makes the component of a folder.
///
/// # Errors
/// It does not build, or is no plugin.
pub(super) fn make(dir: &Path, output: Option<&Path>) -> Result<Built, Error> {
    let about = About::read(dir)?;
    let language = Language::of(dir)?;
    let name = match &about {
        Some(about) => about.name.to_string(),
        None => name_of(dir)?,
    };
    let line = Line::begin(format!("compiling {name}"));
    let made = language.compile(dir, about.as_ref().map(|about| about.role))?;
    drop(line);
    let component = match made {
        Made::Component(component) => component,
        Made::Module(module) => {
            let _line = Line::begin(format!("making a component of {name}"));
            let built = build_component(&module, &BuildLimits::AUTHOR);
            built
                .map_err(|e| failed(format!("{}: {e}", dir.display())))?
                .bytes
        }
    };
    let component = match &about {
        Some(about) => with_claims(&component, &about.claims()),
        None => component,
    };
    let inspected = checked(dir, about.as_ref(), &component)?;
    let file = match output {
        Some(file) => file.to_owned(),
        None => dir.join(format!("{name}.wasm")),
    };
    write_atomic(&file, &component)
        .map_err(|e| Error::host("plugin", format!("{}: {e}", file.display())))?;
    Ok(Built {
        file,
        bytes: component,
        inspected,
    })
}

/// What a component is, where it is a plugin, and of the role that was said.
fn checked(dir: &Path, about: Option<&About>, component: &[u8]) -> Result<Inspected, Error> {
    let inspected =
        weir_sandbox::inspect(component).map_err(|e| failed(format!("{}: {e}", dir.display())))?;
    let no = |why: String| Err(failed(format!("{}: {why}", dir.display())));
    if !inspected.misfits.is_empty() {
        return no(format!(
            "what was built is no plugin: {}",
            inspected.misfits.join("; ")
        ));
    }
    match about {
        _ if inspected.roles.is_empty() => no(format!(
            "what was built is no plugin: it exports {}, and none of `render`, `transform` and `validate`",
            listed(&inspected.exports)
        )),
        Some(about) if !inspected.roles.contains(&about.role) => no(format!(
            "{} says that it is a {}, and what was built is a {}: change the one or the other",
            about::FILE,
            about.role,
            roles(&inspected.roles)
        )),
        _ => Ok(inspected),
    }
}

/// Names, in the words of a sentence.
fn listed(names: &[String]) -> String {
    match names {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    }
}

pub(super) fn roles(roles: &[Role]) -> String {
    let roles: Vec<&str> = roles.iter().map(|role| role.as_str()).collect();
    roles.join(" and ")
}

/// The folder's own name, however it was given.
fn name_of(dir: &Path) -> Result<String, Error> {
    let whole = dir
        .canonicalize()
        .map_err(|e| Error::Usage(format!("{}: {e}: give a plugin's folder", dir.display())))?;
    let name = whole.file_name().unwrap_or(whole.as_os_str());
    Ok(name.to_string_lossy().into_owned())
}

/// A component: a file's, or that of a plugin's folder, which is built first.
pub(super) fn component(plugin: &Path) -> Result<(Vec<u8>, Inspected), Error> {
    if plugin.is_dir() {
        let built = make(plugin, None)?;
        return Ok((built.bytes, built.inspected));
    }
    let bytes = read(plugin)?;
    let inspected =
        weir_sandbox::inspect(&bytes).map_err(|e| failed(format!("{}: {e}", plugin.display())))?;
    Ok((bytes, inspected))
}

/// A component's file.
pub(super) fn read(file: &Path) -> Result<Vec<u8>, Error> {
    crate::plugins::read_component(file)?.ok_or_else(|| {
        Error::Usage(format!(
            "{}: there is no such file; give a component, or the folder of a plugin",
            file.display()
        ))
    })
}

/// The role that a component is called in: the one that is asked for, or its only one.
pub(super) fn role(inspected: &Inspected, asked: Option<Role>) -> Result<Role, Error> {
    let its = &inspected.roles;
    if its.is_empty() {
        let why = match &inspected.misfits[..] {
            [] => "it exports none of `render`, `transform` and `validate`".to_owned(),
            misfits => misfits.join("; "),
        };
        return Err(failed(format!(
            "the component {} is no plugin: {why}",
            inspected.digest
        )));
    }
    match (asked, &its[..]) {
        (Some(role), its) if its.contains(&role) => Ok(role),
        (Some(role), its) => Err(failed(format!(
            "the component {} is no {role}: it is a {}",
            inspected.digest,
            roles(its)
        ))),
        (None, [role]) => Ok(*role),
        (None, its) => Err(Error::Usage(format!(
            "the component {} is a {}: say which with --role",
            inspected.digest,
            roles(its)
        ))),
    }
}
