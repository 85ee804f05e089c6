//! The benchmark in its smallest form: that it runs, and that every row has both figures. No time is judged.

use serde_json::Value;

#[path = "benches/rows/mod.rs"]
mod rows;

fn main_with(arguments: &[&str]) -> anyhow::Result<bool> {
    rows::main(arguments.iter().map(|a| (*a).to_owned()).collect())
}

#[test]
fn the_quick_benchmark_fills_every_row_on_both_sides() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("figures.json");
    let whole = main_with(&["--quick", "--json", file.to_str().unwrap()]).unwrap();
    let figures: Value = serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap();
    assert!(whole, "a row could not run: {figures:#}");
    let rows = figures["rows"].as_array().unwrap();
    for group in ["yaml", "sandbox", "meters", "dir"] {
        assert!(
            rows.iter().any(|row| row["group"] == group),
            "no row of {group}: {figures:#}"
        );
    }
    for row in rows {
        for side in ["weir", "other"] {
            let median = row[side]["median"].as_f64().unwrap_or_default();
            assert!(median > 0.0, "{side} has no figure: {row:#}");
        }
    }
}

#[test]
fn an_unknown_row_is_an_error_that_names_the_known_ones() {
    let error = main_with(&["--quick", "yamll"]).unwrap_err().to_string();
    assert!(
        error.contains("`yamll`") && error.contains("yaml, sandbox, meters, dir"),
        "{error}"
    );
}
