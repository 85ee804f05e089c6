//! The component's side of the WIT: generated bindings and the way between them
//! and the types of this crate. Private in all but name: the macros need it.

use crate::tree::{Entry, Kind, Tree, TreeError};
use crate::{Diagnostic, Diagnostics, Document, Finding, Level, Object, Params, TargetFacts};

/// The `renderer` world. It also holds what the three worlds share.
#[expect(
    missing_docs,
    reason = "generated from the WIT, which carries the docs"
)]
pub mod renderer {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "renderer",
        generate_unused_types: true,
        pub_export_macro: true,
        export_macro_name: "export_renderer",
        default_bindings_module: "weir_plugin::component::renderer",
    });
}

/// The `transformer` world.
#[expect(
    missing_docs,
    reason = "generated from the WIT, which carries the docs"
)]
pub mod transformer {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "transformer",
        with: {
            "weir:plugin/types@0.1.0": super::renderer::weir::plugin::types,
            "weir:plugin/log@0.1.0": super::renderer::weir::plugin::log,
            "weir:plugin/tree@0.1.0": super::renderer::weir::plugin::tree,
        },
        pub_export_macro: true,
        export_macro_name: "export_transformer",
        default_bindings_module: "weir_plugin::component::transformer",
    });
}

/// The `validator` world.
#[expect(
    missing_docs,
    reason = "generated from the WIT, which carries the docs"
)]
pub mod validator {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "validator",
        with: {
            "weir:plugin/types@0.1.0": super::renderer::weir::plugin::types,
            "weir:plugin/log@0.1.0": super::renderer::weir::plugin::log,
            "weir:plugin/tree@0.1.0": super::renderer::weir::plugin::tree,
        },
        pub_export_macro: true,
        export_macro_name: "export_validator",
        default_bindings_module: "weir_plugin::component::validator",
    });
}

pub use renderer::weir::plugin::types;
use renderer::weir::plugin::{log as wit_log, tree as wit_tree};

/// The app's files as the host serves them.
pub struct HostTree;

impl Tree for HostTree {
    fn entries(&self, dir: &str) -> Result<Vec<Entry>, TreeError> {
        let entries = wit_tree::entries(dir).map_err(tree_error)?;
        Ok(entries.into_iter().map(entry).collect())
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, TreeError> {
        wit_tree::read(path).map_err(tree_error)
    }
}

/// Runs a renderer's function on what came over the WIT.
pub fn call_renderer(
    function: fn(&Params, &dyn Tree) -> Result<Vec<Document>, Diagnostics>,
    given: types::Params,
) -> Result<Vec<types::Document>, Vec<types::Diagnostic>> {
    let documents = function(&params(given), &HostTree).map_err(diagnostics)?;
    Ok(documents
        .into_iter()
        .map(|document| types::Document {
            origin: document.origin,
            body: document.body,
        })
        .collect())
}

/// Runs a transformer's function on what came over the WIT.
pub fn call_transformer(
    function: impl FnOnce(Vec<Object>, &Params) -> Result<Vec<Object>, Diagnostics>,
    objects: Vec<Vec<u8>>,
    given: types::Params,
) -> Result<Vec<Vec<u8>>, Vec<types::Diagnostic>> {
    let objects = parse(objects).map_err(diagnostics)?;
    let objects = function(objects, &params(given)).map_err(diagnostics)?;
    Ok(objects.iter().map(Object::to_json).collect())
}

/// Runs a validator's function on what came over the WIT.
pub fn call_validator(
    function: impl FnOnce(&[Object], &Params) -> Result<Vec<Finding>, Diagnostics>,
    objects: Vec<Vec<u8>>,
    given: types::Params,
) -> Result<Vec<types::Finding>, String> {
    let objects = parse(objects).map_err(|error| error.to_string())?;
    let findings = function(&objects, &params(given)).map_err(|error| error.to_string())?;
    Ok(findings.into_iter().map(finding).collect())
}

/// Hands a message to the host's log.
pub(crate) fn write_log(level: crate::log::Severity, message: &str) {
    let severity = match level {
        crate::log::Severity::Debug => wit_log::Severity::Debug,
        crate::log::Severity::Info => wit_log::Severity::Info,
        crate::log::Severity::Warn => wit_log::Severity::Warn,
    };
    wit_log::write(severity, message);
}

fn parse(objects: Vec<Vec<u8>>) -> Result<Vec<Object>, Diagnostics> {
    Ok(objects
        .iter()
        .map(|bytes| Object::from_json(bytes))
        .collect::<Result<_, _>>()?)
}

fn params(given: types::Params) -> Params {
    Params {
        app: given.app,
        path: given.path,
        namespace: given.namespace,
        target: TargetFacts {
            name: given.target.name,
            kubernetes: given.target.kubernetes,
            apis: given.target.apis,
        },
        config: given.config,
    }
}

fn diagnostics(diagnostics: Diagnostics) -> Vec<types::Diagnostic> {
    diagnostics.into_iter().map(diagnostic).collect()
}

fn diagnostic(diagnostic: Diagnostic) -> types::Diagnostic {
    types::Diagnostic {
        level: level(diagnostic.level),
        code: diagnostic.code,
        message: diagnostic.message,
        path: diagnostic.path,
        line: diagnostic.line,
    }
}

fn finding(finding: Finding) -> types::Finding {
    types::Finding {
        level: level(finding.level),
        code: finding.code,
        message: finding.message,
        object: finding.object,
        path: finding.path,
        line: finding.line,
    }
}

fn level(level: Level) -> types::Level {
    match level {
        Level::Error => types::Level::Error,
        Level::Warning => types::Level::Warning,
        Level::Info => types::Level::Info,
    }
}

fn entry(entry: wit_tree::Entry) -> Entry {
    Entry {
        name: entry.name,
        kind: match entry.kind {
            wit_tree::Kind::File => Kind::File,
            wit_tree::Kind::Directory => Kind::Directory,
        },
        size: entry.size,
        executable: entry.executable,
        digest: entry.digest,
    }
}

fn tree_error(error: wit_tree::FsError) -> TreeError {
    match error {
        wit_tree::FsError::NotFound => TreeError::NotFound,
        wit_tree::FsError::NotADirectory => TreeError::NotADirectory,
        wit_tree::FsError::IsADirectory => TreeError::IsADirectory,
        wit_tree::FsError::InvalidPath => TreeError::InvalidPath,
    }
}
