//! The benchmark in its smallest form: that it runs, and that every row has both figures. No time is judged.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use serde_json::Value;

#[path = "benches/rows/mod.rs"]
mod rows;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|word| word == rows::HOLD) {
        return match rows::main(arguments) {
            Ok(_) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        };
    }
    let trials = vec![
        Trial::test("the_quick_benchmark_fills_every_row_on_both_sides", || {
            the_quick_benchmark_fills_every_row_on_both_sides();
            Ok::<(), Failed>(())
        }),
        Trial::test(
            "an_unknown_row_is_an_error_that_names_the_known_ones",
            || {
                an_unknown_row_is_an_error_that_names_the_known_ones();
                Ok(())
            },
        ),
    ];
    libtest_mimic::run(&Arguments::from_args(), trials).exit_code()
}

fn main_with(arguments: &[&str]) -> anyhow::Result<bool> {
    rows::main(arguments.iter().map(|a| (*a).to_owned()).collect())
}

fn the_quick_benchmark_fills_every_row_on_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("figures.json");
    let whole = main_with(&["--quick", "--json", file.to_str().unwrap()]).unwrap();
    let figures: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert!(whole, "a row could not run: {figures:#}");
    let rows = figures["rows"].as_array().unwrap();
    for group in [
        "yaml", "sandbox", "meters", "render", "plugins", "impact", "dir", "apps", "kube",
        "ledger", "webhook",
    ] {
        assert!(
            rows.iter().any(|row| row["group"] == group),
            "no row of {group}: {figures:#}"
        );
    }
    for row in rows {
        for side in ["weir", "other"] {
            let median = row[side]["median"].as_f64();
            // That Weir asks nothing at all is a figure, too.
            let may_be_none = row["unit"] == "requests" && side == "weir";
            assert!(
                median.is_some_and(|m| m > 0.0 || (may_be_none && m == 0.0)),
                "{side} has no figure: {row:#}"
            );
        }
    }
}

fn an_unknown_row_is_an_error_that_names_the_known_ones() {
    let error = main_with(&["--quick", "yamll"]).unwrap_err().to_string();
    assert!(
        error.contains("`yamll`")
            && error.contains(
                "yaml, sandbox, isolation, meters, render, plugins, impact, dir, apps, kube, ledger, webhook"
            ),
        "{error}"
    );
}
