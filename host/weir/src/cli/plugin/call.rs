//! A plugin made ready and called as a host does it: the same engine, the same limits.

use std::path::Path;
use std::sync::Arc;

use weir_core::name::PluginName;
use weir_core::name::RepoPath;
use weir_core::tree::View;
use weir_sandbox::{
    Call, CallError, Domain, Inspected, LogLine, Plugin, Role, Sandbox, Severity, Usage,
};

use super::case::Given;
use super::outcome::{Called, Outcome};
use super::{bytes, engine};
use crate::config::Places;
use crate::error::Error;
use crate::open::blocking;
use crate::plugins;
use crate::prepare::json_of;

/// A plugin that is ready to be called.
pub(super) struct Ready {
    sandbox: Arc<Sandbox>,
    plugin: Plugin,
    name: PluginName,
    domain: Domain,
}

impl Ready {
    /// Makes a component ready in the compiled code's own place.
    pub(super) async fn of(
        places: &Places,
        component: Vec<u8>,
        inspected: &Inspected,
        role: Role,
    ) -> Result<Ready, Error> {
        Ready::at(
            &places.cache.join("compiled"),
            places,
            component,
            inspected,
            role,
        )
        .await
    }

    /// The same with compiled code in a folder of its own.
    pub(super) async fn at(
        compiled: &Path,
        places: &Places,
        component: Vec<u8>,
        inspected: &Inspected,
        role: Role,
    ) -> Result<Ready, Error> {
        let name = named(inspected)?;
        let (digest, label, compiled, isolation) = (
            inspected.digest,
            name.clone(),
            compiled.to_owned(),
            places.isolation,
        );
        let made = blocking("plugin", move || {
            let sandbox = engine::sandbox(&compiled, isolation)?;
            let plugin = plugins::load(&sandbox, &label, digest, role, &component, 0)?;
            Ok((sandbox, plugin))
        });
        let (sandbox, plugin) = made.await?;
        Ok(Ready {
            sandbox,
            plugin,
            name,
            domain: Domain::new("plugin"),
        })
    }

    /// Calls it.
    pub(super) async fn call(&self, given: &Given) -> Result<Called, Error> {
        let call = Call {
            domain: &self.domain,
            app: &given.app,
            plugin: &self.name,
            limits: given.limits,
            instant: given.instant,
            // A plugin that is tried out is given none, as in a repository that grants nothing.
            random: None,
            params: given.params.clone(),
        };
        let view = View::new(given.files.clone(), vec![RepoPath::root()]);
        let objects = json_of(&given.objects);
        let (sandbox, plugin) = (&self.sandbox, &self.plugin);
        Ok(match self.plugin.role() {
            Role::Renderer => {
                let called = sandbox.render(plugin, call, view).await;
                of(called.map(|(d, _, usage)| (d, usage)), Outcome::rendered)
            }
            Role::Transformer => {
                let called = sandbox.transform(plugin, call, &objects, view).await;
                of(called.map(|(o, _, usage)| (o, usage)), |after| {
                    Outcome::transformed(&given.objects, &after)
                })
            }
            Role::Validator => {
                let called = sandbox.validate(plugin, call, &objects, view).await;
                of(called.map(|(f, _, usage)| (f, usage)), |findings| {
                    Outcome::found(findings, &given.objects)
                })
            }
        })
    }
}

fn of<T>(called: Result<(T, Usage), CallError>, good: impl FnOnce(T) -> Outcome) -> Called {
    match called {
        Ok((gave, usage)) => Called {
            outcome: good(gave),
            usage,
        },
        Err(e) => Called {
            outcome: Outcome::failed(&e),
            usage: *e.usage,
        },
    }
}

/// What messages call it: what it calls itself, where that is a name.
fn named(inspected: &Inspected) -> Result<PluginName, Error> {
    let said = inspected
        .metadata
        .name
        .text()
        .and_then(|name| name.parse().ok());
    match said {
        Some(name) => Ok(name),
        None => "plugin"
            .parse()
            .map_err(|e: weir_core::name::NameError| Error::host("plugin", e.to_string())),
    }
}

/// What a call cost, in one line.
pub(super) fn cost(usage: &Usage) -> String {
    format!(
        "fuel {}, peak memory {}, {:.1} ms, {} calls of the host",
        usage.fuel,
        bytes(usage.memory),
        usage.micros as f64 / 1000.0,
        usage.host_calls
    )
}

/// What a plugin said during a call: its log and what it printed.
pub(super) fn words(usage: &Usage) -> String {
    let mut out = String::new();
    for LogLine { severity, message } in &usage.log {
        let severity = match severity {
            Severity::Debug => "debug",
            Severity::Info => "info",
            Severity::Warn => "warn",
        };
        out.push_str(&format!("log {severity}: {}\n", printable(message)));
    }
    if usage.log_dropped > 0 {
        out.push_str(&format!(
            "log: {} more lines, which no host keeps\n",
            usage.log_dropped
        ));
    }
    for line in usage.stdio.lines() {
        out.push_str(&format!("printed: {}\n", printable(line)));
    }
    out
}

/// Text of a plugin's, without what would move a terminal's cursor.
fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control(), "\u{fffd}")
}
