//! `kill -9` at random moments and at every named step, at least 200 times, in syncs to a real API server and to a directory: what carries our name is what the ledger holds, and nothing is lost. `cargo xtask crash` is the long form.
#![expect(
    clippy::unwrap_used,
    reason = "a test says what is wrong by failing, and what it did"
)]

use weir_tests::crash::{Plan, run};

#[path = "crash/checker.rs"]
mod checker;

#[test]
fn fault_01_killed_at_random_and_at_every_step_what_carries_our_name_is_held_and_nothing_is_lost() {
    let plan = Plan::from_environment().unwrap();
    println!("{plan:?}");
    match run(&plan) {
        Ok(done) => {
            println!("{done}");
            assert!(done.kills() >= plan.kills, "{done}");
        }
        Err(text) => panic!("{text}"),
    }
}
