//! What people read of hooks.

use weir_cluster::kube::KubeTarget;
use weir_core::fault::{Blame as _, Fault, Retry};
use weir_core::hook::{self, Hook};
use weir_core::name::AppName;
use weir_core::object::ResourceId;
use weir_core::record::Problem;

use crate::error::Error;

/// What a person reads of a hook that failed.
pub(super) async fn failure(kube: &KubeTarget, app: &AppName, hook: &Hook, why: &str) -> String {
    let (id, phase) = (hook.object.id(), hook.phase.as_str());
    let logs = kube.logs_of(id).await;
    format!(
        "app {app}: hook {id} ({phase}) failed: {why}. `{logs}` shows what it printed, while it is there. It is not run again for the same output: a commit that changes the app runs it anew"
    )
}

/// An app that is stopped by a hook.
pub(super) fn stopped(retry: Retry, message: String) -> Error {
    Error::Stage {
        stage: hook::STAGE,
        fault: Fault::Target,
        retry,
        message,
    }
}

/// The same error, with what it is about.
pub(super) fn named(app: &AppName, id: &ResourceId, error: &Error) -> Error {
    let Problem { fault, message, .. } = error.problem();
    Error::Stage {
        stage: hook::STAGE,
        fault,
        retry: error.retry(),
        message: format!("app {app}: hook {id}: {message}"),
    }
}
