//! Other bytes of the same inputs: of another host they wait for a person, of the same one a plugin is at fault. Bytes that
//! are made from another secret wait for a person whatever else they are made of. Pure.

use std::collections::BTreeSet;

use crate::digest::Digest;
use crate::guard::{Cause, Hold};
use crate::record::Made;
use crate::status::AppStatus;

/// What an output is that the same inputs did not give before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Remade {
    /// Another program, another Wasmtime or another secret made it: it waits for a person.
    Held(Hold),
    /// The same host made it: one of the plugins is not deterministic.
    Unsteady {
        /// The output before.
        was: Digest,
    },
}

/// Whether an app has another output though it is made of the same, or one that is made from another secret; `None` where
/// it is not so, where not all is known, or where a person said yes to this output.
pub fn remade(known: &AppStatus, made: Option<Made>, output: Digest) -> Option<Remade> {
    let (before, now, was) = (known.made?, made?, known.output?);
    if was == output {
        return None;
    }
    let cause = match (before.random, now.random) {
        // A lost secret is noticed with the next commit as well as without one.
        (Some(before), Some(now)) if before != now => Cause::OtherSecret { was, before, now },
        _ if before.inputs != now.inputs => return None,
        _ if before.engine == now.engine => return Some(Remade::Unsteady { was }),
        _ => Cause::Remade { was },
    };
    let deletes = BTreeSet::new();
    let approval = known.approval.as_ref();
    if approval.is_some_and(|approval| approval.covers(output, &deletes)) {
        return None;
    }
    Some(Remade::Held(Hold {
        cause,
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
            random: None,
        })
    }

    fn drawn(inputs: &str, engine: &str, secret: &str) -> Option<Made> {
        let random = Some(digest(secret));
        made(inputs, engine).map(|made| Made { random, ..made })
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
    fn another_secret_waits_for_a_yes_whatever_else_changed() {
        let mut app = AppStatus {
            made: drawn("commit", "weir 1", "secret"),
            ..app()
        };
        let output = digest("other bytes");
        for (inputs, engine) in [
            ("commit", "weir 1"),
            ("commit", "weir 2"),
            ("other commit", "weir 1"),
        ] {
            let other = drawn(inputs, engine, "another secret");
            let Some(Remade::Held(hold)) = remade(&app, other, output) else {
                panic!("{inputs}, {engine}: it is held");
            };
            assert!(
                hold.to_string().contains("put the former secret back"),
                "{hold}"
            );
            assert_eq!(remade(&app, other, digest("bytes")), None);
            let approved = AppStatus {
                approval: Some(hold.approved()),
                ..app.clone()
            };
            assert_eq!(remade(&approved, other, output), None);
        }
        for now in [
            drawn("other commit", "weir 1", "secret"),
            made("other commit", "weir 1"),
        ] {
            assert_eq!(remade(&app, now, output), None, "{now:?}");
        }
        app.made = made("commit", "weir 1");
        let first = drawn("other commit", "weir 1", "secret");
        assert_eq!(remade(&app, first, output), None, "it took none before");
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
