//! How much of an app may be deleted without a person: `guard` of the host's file.

use schemars::JsonSchema;
use serde::Deserialize;
use weir_core::guard::GuardLimits;
use weir_core::manifest::{Errors, Place};

/// How much of an app may be deleted without a person: a delete of more than both waits for `weir approve`.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub(super) struct RawGuard {
    /// So many percent of what the app owns, 0 to 100. Left out: 30.
    percent: Option<usize>,
    /// So many objects. Left out: 10.
    objects: Option<usize>,
}

/// As meant; what is wrong with it goes to the errors.
pub(super) fn guard(
    raw: Option<RawGuard>,
    place: Place<'_>,
    errors: &mut Errors<'_>,
) -> GuardLimits {
    let Some(raw) = raw else {
        return GuardLimits::HOST;
    };
    let percent = raw.percent.unwrap_or(GuardLimits::HOST.percent);
    if percent > 100 {
        errors.push(
            place.key("percent").mark(),
            "expected a number from 0 to 100",
        );
    }
    GuardLimits {
        percent,
        objects: raw.objects.unwrap_or(GuardLimits::HOST.objects),
    }
}
