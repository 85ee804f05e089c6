//! Other bytes of the same inputs: of another host they wait for a person, of the same one a plugin is at fault. Pure.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::guard::{Cause, Hold};
use crate::record::Made;
use crate::status::AppStatus;

/// What an output is that the same inputs did not give before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remade {
    /// Another program, or another Wasmtime, made it: it waits for a person.
    Held(Hold),
    /// The same host made it: one of the plugins is not deterministic.
    Unsteady {
        /// The output before.
        was: Digest,
    },
}

/// Whether an app has another output though it is made of the same; `None` where it is not so, where not all is known, or
/// where a person said yes to this output.
pub fn remade(known: &AppStatus, made: Option<Made>, output: Digest) -> Option<Remade> {
    let (before, now, was) = (known.made?, made?, known.output?);
    if before.inputs != now.inputs || was == output {
        return None;
    }
    if before.engine == now.engine {
        return Some(Remade::Unsteady { was });
    }
    let deletes = BTreeSet::new();
    let approval = known.approval.as_ref();
    if approval.is_some_and(|approval| approval.covers(output, &deletes)) {
        return None;
    }
    Some(Remade::Held(Hold {
        cause: Cause::Remade { was },
        output,
        deletes,
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digest(text: &str) -> Digest {
        Digest::of(text.as_bytes())
    }

    fn made(inputs: &str, engine: &str) -> Option<Made> {
        Some(Made {
            inputs: digest(inputs),
            engine: digest(engine),
        })
    }

    fn app() -> AppStatus {
        AppStatus {
            made: made("commit", "weir 1"),
            output: Some(digest("bytes")),
            ..AppStatus::default()
        }
    }

    #[test]
    fn other_inputs_and_the_same_bytes_are_nothing_to_ask_about() {
        for (made, output) in [
            (made("other commit", "weir 2"), "other bytes"),
            (made("commit", "weir 2"), "bytes"),
            (made("commit", "weir 1"), "bytes"),
            (None, "other bytes"),
        ] {
            assert_eq!(remade(&app(), made, digest(output)), None, "{made:?}");
        }
        let unknown = AppStatus::default();
        assert_eq!(
            remade(&unknown, made("commit", "weir 1"), digest("x")),
            None
        );
    }

    #[test]
    fn other_bytes_of_another_weir_wait_for_a_yes_to_just_them() {
        let (mut app, made, output) = (app(), made("commit", "weir 2"), digest("other bytes"));
        let Some(Remade::Held(hold)) = remade(&app, made, output) else {
            panic!("it is held");
        };
        assert_eq!((hold.output, hold.deletes.len()), (output, 0));
        assert!(
            hold.to_string()
                .contains("this version of Weir makes other bytes of it"),
            "{hold}"
        );
        app.approval = Some(hold.approved());
        assert_eq!(remade(&app, made, output), None);
        assert!(remade(&app, made, digest("third bytes")).is_some());
    }

    #[test]
    fn other_bytes_of_the_same_weir_are_a_plugins_fault_and_no_yes_helps() {
        let (mut app, output) = (app(), digest("other bytes"));
        app.approval = Some(crate::guard::Approval {
            output,
            deletes: BTreeSet::new(),
        });
        let found = remade(&app, made("commit", "weir 1"), output);
        assert_eq!(
            found,
            Some(Remade::Unsteady {
                was: digest("bytes")
            })
        );
    }
}
