//! What a Weir plugin is written with: types, helpers and the export macros.
//!
//! A plugin is one function. It gets values and returns values; the only thing
//! that it can reach is the app's files and a log. There is no
//! file system, network, clock, environment or randomness behind it, so the
//! same commit gives the same bytes everywhere. Where the manifest grants it,
//! `getrandom` gives bytes that are the same at each render of an app.
//!
//! | role | function | export |
//! | --- | --- | --- |
//! | renderer | `fn(&Params, &dyn Tree) -> Result<Vec<Document>, Diagnostics>` | [`renderer!`] |
//! | transformer | `fn(Vec<Object>, &Params) -> Result<Vec<Object>, Diagnostics>` | [`transformer!`] |
//! | validator | `fn(&[Object], &Params) -> Result<Vec<Finding>, Diagnostics>` | [`validator!`] |
//!
//! A transformer or validator that reads files takes `&dyn Tree` as a third argument: `transformer!(function, tree)`. One
//! component may have several roles: a macro for each.
//!
//! # A plugin in 20 lines
//!
//! `Cargo.toml` needs `crate-type = ["cdylib"]`, `weir-plugin` and `serde`;
//! `cargo build --release --target wasm32-wasip2` makes the component.
//!
//! ```
//! use weir_plugin::{Diagnostics, Object, Params};
//!
//! #[derive(serde::Deserialize)]
//! #[serde(deny_unknown_fields)]
//! struct Config {
//!     team: String,
//! }
//!
//! fn add_team(mut objects: Vec<Object>, params: &Params) -> Result<Vec<Object>, Diagnostics> {
//!     let config: Config = params.config()?;
//!     for object in &mut objects {
//!         object.set_label("team", &config.team)?;
//!     }
//!     Ok(objects)
//! }
//!
//! weir_plugin::transformer!(add_team);
//!
//! // The same function is an ordinary one in a native test.
//! let service = Object::from_json(r#"{"apiVersion":"v1","kind":"Service","metadata":{"name":"web"}}"#).unwrap();
//! let params = Params::new("shop", "apps/shop").with_config(r#"{"team":"checkout"}"#);
//! let out = add_team(vec![service], &params).unwrap();
//! assert_eq!(out[0].label("team"), Some("checkout"));
//! ```
//!
//! On a mistake in the config, `params.config()?` answers with a diagnostic
//! that names the key: ``config.taem: unknown field `taem`; did you mean `team`?``
//!
//! # What is deliberately absent
//!
//! No YAML parser (the host parses, as Kubernetes does; with the feature `yaml`
//! the host's own reader is there for files that a config names), no file writes,
//! no state between calls: each call runs in a new instance.

mod diagnostic;
pub mod log;
mod object;
mod params;
mod select;
pub mod tree;
#[cfg(feature = "yaml")]
pub mod yaml;

#[cfg(target_arch = "wasm32")]
#[doc(hidden)]
pub mod component;

pub use diagnostic::{Diagnostic, Diagnostics, Finding, Level};
pub use object::Object;
pub use params::{Params, TargetFacts};
pub use select::Select;
pub use tree::Tree;

/// A stream of YAML or JSON documents and the file it came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Document {
    /// The path in the tree, for traces and error messages.
    pub origin: String,
    /// The bytes. The host parses them, as Kubernetes reads YAML.
    pub body: Vec<u8>,
}

/// Makes a function the component's `render`.
#[macro_export]
macro_rules! renderer {
    ($function:path) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Plugin;
            impl $crate::component::renderer::Guest for Plugin {
                fn render(
                    params: $crate::component::types::Params,
                ) -> Result<
                    Vec<$crate::component::types::Document>,
                    Vec<$crate::component::types::Diagnostic>,
                > {
                    $crate::component::call_renderer($function, params)
                }
            }
            $crate::component::renderer::export_renderer!(Plugin);
        };
    };
}

/// Makes a function the component's `transform`: `transformer!(function)`, or `transformer!(function, tree)` where it takes
/// the app's files as a third argument.
#[macro_export]
macro_rules! transformer {
    ($function:path) => {
        $crate::transformer!(@ |objects, params| $function(objects, params));
    };
    ($function:path, tree) => {
        $crate::transformer!(@ |objects, params| {
            $function(objects, params, &$crate::component::HostTree)
        });
    };
    (@ $call:expr) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Plugin;
            impl $crate::component::transformer::Guest for Plugin {
                fn transform(
                    objects: Vec<Vec<u8>>,
                    params: $crate::component::types::Params,
                ) -> Result<Vec<Vec<u8>>, Vec<$crate::component::types::Diagnostic>> {
                    $crate::component::call_transformer($call, objects, params)
                }
            }
            $crate::component::transformer::export_transformer!(Plugin);
        };
    };
}

/// Makes a function the component's `validate`: `validator!(function)`, or `validator!(function, tree)` where it takes the
/// app's files as a third argument.
#[macro_export]
macro_rules! validator {
    ($function:path) => {
        $crate::validator!(@ |objects, params| $function(objects, params));
    };
    ($function:path, tree) => {
        $crate::validator!(@ |objects, params| {
            $function(objects, params, &$crate::component::HostTree)
        });
    };
    (@ $call:expr) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            struct Plugin;
            impl $crate::component::validator::Guest for Plugin {
                fn validate(
                    objects: Vec<Vec<u8>>,
                    params: $crate::component::types::Params,
                ) -> Result<Vec<$crate::component::types::Finding>, String> {
                    $crate::component::call_validator($call, objects, params)
                }
            }
            $crate::component::validator::export_validator!(Plugin);
        };
    };
}
