//! One call of a plugin, in this process or in a worker, and an answer that can be blamed.

use weir_core::digest::Digest;
use weir_core::grant::Limits;
use weir_core::name::{AppName, PluginName};
use weir_core::tree::{ReadSet, View};

use crate::answer::{Ask, Gave};
use crate::error::{CallError, Failure};
use crate::files::Files;
use crate::load::{Made, Plugin, Sandbox};
use crate::run::{Ran, Terms, run, wrong_role};
use crate::values::{Call, Document, Finding, Usage};

impl Sandbox {
    /// Renders an app: its documents, what was read for them, and what it cost.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn render(
        &self,
        plugin: &Plugin,
        call: Call<'_>,
        view: View,
    ) -> Result<(Vec<Document>, ReadSet, Usage), CallError> {
        let named = Named::of(plugin, &call);
        let ran = self
            .ran(plugin, call, Ask::Render, Files::Here(Box::new(view)))
            .await;
        let read_set = ran.files.into_read_set();
        match named.told(ran.gave, ran.usage)? {
            (Gave::Documents(documents), usage) => Ok((documents, read_set, usage)),
            (_, usage) => Err(named.other(usage)),
        }
    }

    /// Turns objects (each one as JSON) into objects: these, what was read for them, and what it cost.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn transform(
        &self,
        plugin: &Plugin,
        call: Call<'_>,
        objects: &[Vec<u8>],
        view: View,
    ) -> Result<(Vec<Vec<u8>>, ReadSet, Usage), CallError> {
        let named = Named::of(plugin, &call);
        let files = Files::Here(Box::new(view));
        let ran = self.ran(plugin, call, Ask::Transform(objects), files).await;
        let read_set = ran.files.into_read_set();
        match named.told(ran.gave, ran.usage)? {
            (Gave::Objects(objects), usage) => Ok((objects, read_set, usage)),
            (_, usage) => Err(named.other(usage)),
        }
    }

    /// Looks at objects (each one as JSON): the findings, what was read for them, and what it cost. No finding means that
    /// all may pass.
    ///
    /// # Errors
    /// See [`Failure`]. A validator that could not look is an error, never an empty list.
    pub async fn validate(
        &self,
        plugin: &Plugin,
        call: Call<'_>,
        objects: &[Vec<u8>],
        view: View,
    ) -> Result<(Vec<Finding>, ReadSet, Usage), CallError> {
        let named = Named::of(plugin, &call);
        let files = Files::Here(Box::new(view));
        let ran = self.ran(plugin, call, Ask::Validate(objects), files).await;
        let read_set = ran.files.into_read_set();
        match named.told(ran.gave, ran.usage)? {
            (Gave::Findings(findings), usage) => Ok((findings, read_set, usage)),
            (_, usage) => Err(named.other(usage)),
        }
    }

    /// Runs a plugin where this sandbox runs plugins.
    async fn ran(&self, plugin: &Plugin, call: Call<'_>, ask: Ask<'_>, files: Files) -> Ran {
        if plugin.role() != ask.role() {
            return Ran {
                gave: Err(wrong_role(plugin.role(), ask.role())),
                usage: Usage::default(),
                files,
            };
        }
        let terms = Terms {
            limits: call.limits,
            instant: call.instant,
            params: call.params,
            random: call.random,
        };
        match plugin.made() {
            Made::Linked(world) => run(self.engine(), world, &terms, ask, files).await,
            Made::Shipped(code) => {
                let pool = code.pool.clone();
                pool.run(call.domain, plugin.clone(), terms, ask, files)
                    .await
            }
        }
    }
}

/// What every error of a call names.
struct Named {
    app: AppName,
    plugin: PluginName,
    digest: Digest,
    limits: Limits,
}

#[expect(
    clippy::result_large_err,
    reason = "one error for each call; the callers give it on as it is"
)]
impl Named {
    fn of(plugin: &Plugin, call: &Call<'_>) -> Named {
        Named {
            app: call.app.clone(),
            plugin: call.plugin.clone(),
            digest: plugin.digest(),
            limits: call.limits,
        }
    }

    fn told(&self, gave: Result<Gave, Failure>, usage: Usage) -> Result<(Gave, Usage), CallError> {
        match gave {
            Ok(gave) => Ok((gave, usage)),
            Err(failure) => Err(self.error(usage, failure)),
        }
    }

    /// An answer to another question than was asked.
    fn other(&self, usage: Usage) -> CallError {
        let what = "an answer of another role than it was asked in".to_owned();
        self.error(usage, Failure::Stray { what })
    }

    fn error(&self, usage: Usage, failure: Failure) -> CallError {
        CallError {
            app: self.app.clone(),
            plugin: self.plugin.clone(),
            digest: self.digest,
            limits: self.limits,
            usage: Box::new(usage),
            failure,
        }
    }
}
