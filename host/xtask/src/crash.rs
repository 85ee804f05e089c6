//! `cargo xtask crash`: the crash loop in its long form.

use std::path::Path;

use anyhow::{Result, bail};

use crate::arguments::number;
use crate::run::cargo;
use crate::{control_plane, fulltest, plugins_task};

/// Kills of the long form.
const KILLS: u64 = 1_000;
/// How it is called.
const USAGE: &str = "cargo xtask crash [--kills N] [--seed S]";

/// What is asked for.
#[derive(Debug, PartialEq, Eq)]
struct Asked {
    kills: u64,
    seed: Option<u64>,
}

/// Builds what the loop needs, and runs it.
///
/// # Errors
/// Something does not build, or a rule does not hold: the suite says which, and how to repeat it.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let asked = read(arguments)?;
    let building = control_plane::Building::start(root)?;
    plugins_task(root, &[])?;
    cargo(root).arg("build").args(fulltest::SELECTION).run()?;
    let programs = building.finish()?;
    let mut suite = cargo(root)
        .arg("test")
        .args(fulltest::SELECTION)
        .args(["--test", "crash", "--", "--nocapture"])
        .env("WEIR_BIN", root.join("target/debug/weir"))
        .env("WEIR_PLUGIN_DIR", root.join("target/plugins"))
        .env("WEIR_CONTROL_PLANE", programs)
        .env("WEIR_CRASH_KILLS", asked.kills.to_string());
    if let Some(seed) = asked.seed {
        suite = suite.env("WEIR_CRASH_SEED", seed.to_string());
    }
    suite.run()
}

fn read(arguments: &[String]) -> Result<Asked> {
    let mut asked = Asked {
        kills: KILLS,
        seed: None,
    };
    let mut words = arguments.iter();
    while let Some(word) = words.next() {
        let mut number = || number(word, words.next(), USAGE);
        match word.as_str() {
            "--kills" => asked.kills = number()?,
            "--seed" => asked.seed = Some(number()?),
            _ => bail!("`{word}` is no argument of this task: {USAGE}"),
        }
    }
    Ok(asked)
}

#[cfg(test)]
mod tests {
    use super::{Asked, KILLS, read};

    fn asked(words: &str) -> Result<Asked, String> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        read(&words).map_err(|e| e.to_string())
    }

    #[test]
    fn the_long_form_is_a_thousand_kills_and_takes_another_number_and_a_seed() {
        let (kills, seed) = (KILLS, None);
        assert_eq!(asked(""), Ok(Asked { kills, seed }));
        let (kills, seed) = (30, Some(7));
        assert_eq!(asked("--seed 7 --kills 30"), Ok(Asked { kills, seed }));
    }

    #[test]
    fn what_is_no_number_and_no_argument_is_refused_with_the_usage() {
        for (words, part) in [
            ("--kills many", "--kills many"),
            ("--seed", "--seed nothing"),
            ("fast", "`fast`"),
        ] {
            let refused = asked(words).unwrap_err();
            assert!(
                refused.contains(part) && refused.contains("cargo xtask crash"),
                "{refused}"
            );
        }
    }
}
