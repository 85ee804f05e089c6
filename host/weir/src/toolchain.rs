//! The author's own toolchain, run by `weir plugin build`: from a plugin's folder to a component, or to a core module for
//! WASI preview 1 that becomes one.

mod go;
mod javascript;
mod python;
mod rust;
mod tool;

use std::fmt;
use std::path::Path;

use weir_core::fault::{Fault, Retry};
use weir_sandbox::Role;

use crate::error::Error;

pub(crate) use javascript::COMPONENTIZE_JS;
pub(crate) use python::COMPONENTIZE_PY;

/// What a plugin is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Language {
    /// Rust, through cargo and the target wasm32-wasip2
    Rust,
    /// Go, through its own compiler
    Go,
    /// JavaScript, through componentize-js from npm
    #[value(name = "js")]
    JavaScript,
    /// Python, through componentize-py from PyPI
    Python,
}

/// What a toolchain made.
pub(crate) enum Made {
    /// A core module, which the host makes a component of.
    Module(Vec<u8>),
    /// A component.
    Component(Vec<u8>),
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Language::Rust => "Rust",
            Language::Go => "Go",
            Language::JavaScript => "JavaScript",
            Language::Python => "Python",
        })
    }
}

impl Language {
    /// What the plugin in a folder is written in.
    ///
    /// # Errors
    /// The folder cannot be read, or holds nothing that says it.
    pub(crate) fn of(dir: &Path) -> Result<Language, Error> {
        let failed = |e: std::io::Error| Error::Usage(format!("{}: {e}", dir.display()));
        let mut extensions = Vec::new();
        for entry in std::fs::read_dir(dir).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            extensions.extend(path.extension().map(std::ffi::OsStr::to_owned));
        }
        let has = |extension: &str| extensions.iter().any(|e| e == extension);
        let is_there = |name: &str| dir.join(name).is_file();
        if is_there("Cargo.toml") {
            Ok(Language::Rust)
        } else if is_there("go.mod") || has("go") {
            Ok(Language::Go)
        } else if is_there("package.json") {
            Ok(Language::JavaScript)
        } else if is_there("pyproject.toml") || has("py") {
            Ok(Language::Python)
        } else {
            Err(Error::Usage(format!(
                "{}: this is no plugin's folder: it has no Cargo.toml (Rust), no .go file, no package.json (JavaScript) and no .py file; `weir plugin new` makes one",
                dir.display()
            )))
        }
    }

    /// Compiles the plugin in a folder. `role` is the one that its plugin.yaml says.
    ///
    /// # Errors
    /// A tool is missing, or says no; what it said goes to stderr.
    pub(crate) fn compile(self, dir: &Path, role: Option<Role>) -> Result<Made, Error> {
        let role = || {
            role.ok_or_else(|| {
                Error::Usage(format!(
                    "{}: there is no plugin.yaml, which says the role that a plugin in {self} is built for: write one with `name`, `version` and `role`",
                    dir.display()
                ))
            })
        };
        match self {
            Language::Rust => rust::compile(dir).map(Made::Component),
            Language::Go => go::compile(dir).map(Made::Module),
            Language::JavaScript => javascript::compile(dir, role()?).map(Made::Component),
            Language::Python => python::compile(dir, role()?).map(Made::Component),
        }
    }
}

/// The build of a folder failed, and whose fault it is.
fn failed(dir: &Path, fault: Fault, why: impl fmt::Display) -> Error {
    Error::Stage {
        stage: "plugin",
        fault,
        retry: Retry::OnChange,
        message: format!("{}: {why}", dir.display()),
    }
}
