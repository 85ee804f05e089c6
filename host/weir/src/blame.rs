//! Whose output an error is about: the app, the plugins with their digests and what to do, around what is wrong.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::digest::Digest;
use weir_core::fault::{Blame as _, Fault, Retry};
use weir_core::manifest::App;
use weir_core::name::PluginName;
use weir_core::object::ObjectError;
use weir_core::render::ParseError;
use weir_core::tree::ReadSet;
use weir_core::validate::{Level, Refused};

use crate::error::Error;

/// An app and the digests of its plugins.
pub(crate) struct Makers<'a> {
    /// The app.
    pub(crate) app: &'a App,
    /// Its plugins' digests.
    pub(crate) digests: BTreeMap<PluginName, Digest>,
}

impl Makers<'_> {
    /// A renderer's documents are not objects. Where the renderer read the file, the file is to be mended;
    /// otherwise the plugin made it up.
    pub(crate) fn rendered(&self, error: &ParseError, read: &ReadSet) -> Error {
        let origin = match error {
            ParseError::Yaml { path, .. } => path,
            ParseError::Object(ObjectError { origin, .. }) => &origin.path,
        };
        let from_file = origin.parse().is_ok_and(|path| read.has_read(&path));
        let (fault, advice) = if from_file {
            (Fault::Repository, "mend that file")
        } else {
            (
                Fault::Plugin,
                "no file of that name was read, so the plugin made it: report it to its author",
            )
        };
        Error::Stage {
            stage: "render",
            fault,
            retry: error.retry(),
            message: format!(
                "app `{}`: {} rendered what is not a Kubernetes object: {error}; {advice}",
                self.app.name,
                self.named(&self.app.render.plugin)
            ),
        }
    }

    /// A transformer gave back what is not an object.
    pub(crate) fn transformed(&self, plugin: &PluginName, error: &dyn std::error::Error) -> Error {
        Error::Stage {
            stage: "transform",
            fault: Fault::Plugin,
            retry: Retry::OnChange,
            message: format!(
                "app `{}`: {} gave back something that is not a Kubernetes object: {error}; report it to its author",
                self.app.name,
                self.named(plugin)
            ),
        }
    }

    /// The gate was not passed: a validator found an error, or the objects are not fit to be applied.
    pub(crate) fn refused(&self, refused: &Refused) -> Error {
        let errors = refused.0.iter().filter(|f| f.level == Level::Error);
        let validators: BTreeSet<&PluginName> = errors.filter_map(|f| f.plugin.as_ref()).collect();
        let who = if validators.is_empty() {
            let transformers = self.app.transform.iter().map(|call| &call.plugin);
            let makers = std::iter::once(&self.app.render.plugin).chain(transformers);
            format!("what {} made may not pass", self.list(makers, ", then "))
        } else {
            format!(
                "refused by {}; mend what is named, or change that plugin's config in weir.yaml",
                self.list(validators.into_iter(), " and ")
            )
        };
        Error::Stage {
            stage: "validate",
            fault: refused.fault(),
            retry: refused.retry(),
            message: format!("app `{}`: {who}: {refused}", self.app.name),
        }
    }

    fn list<'p>(&self, plugins: impl Iterator<Item = &'p PluginName>, between: &str) -> String {
        let named: Vec<String> = plugins.map(|plugin| self.named(plugin)).collect();
        named.join(between)
    }

    fn named(&self, plugin: &PluginName) -> String {
        match self.digests.get(plugin) {
            Some(digest) => format!("plugin `{plugin}` (sha256:{})", digest.short()),
            None => format!("plugin `{plugin}`"),
        }
    }
}
