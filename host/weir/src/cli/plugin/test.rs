//! `weir plugin test`: each case in testdata/, run as a host would run it, and compared with what is expected.

use std::path::{Path, PathBuf};

use similar::TextDiff;
use weir_sandbox::Role;

use super::call::{Ready, words};
use super::outcome::Outcome;
use super::{Done, RoleName, build, case, failed, output};
use crate::config::GlobalArgs;
use crate::error::Error;
use crate::plugins::{read_capped, write_atomic};

/// What has to come out.
const EXPECTED: &str = "expected.yaml";
/// Why nothing may come out.
const EXPECTED_ERROR: &str = "expected-error.yaml";
/// The largest expectation, in bytes: as much as a call may return.
const MAX_EXPECTED: u64 = 128 << 20;
/// Lines around a difference.
const CONTEXT: usize = 3;

/// What `weir plugin test` takes.
#[derive(Debug, clap::Args)]
pub(super) struct TestArgs {
    /// The plugin's folder, which is built first
    #[arg(default_value = ".")]
    dir: PathBuf,
    /// Take this component instead of building the folder
    #[arg(long, value_name = "FILE")]
    component: Option<PathBuf>,
    /// The role to call it in, where it has several
    #[arg(long, value_enum)]
    role: Option<RoleName>,
    /// Only the cases of these names; may be given again
    #[arg(long = "case", value_name = "NAME")]
    cases: Vec<String>,
    /// Write what comes out as what is expected
    #[arg(long)]
    update: bool,
}

/// How a case ended.
enum Verdict {
    Good,
    Updated,
    Bad(String),
}

/// Runs the cases.
pub(super) async fn test(global: &GlobalArgs, args: &TestArgs) -> Result<Done, Error> {
    let places = global.places()?;
    let cases = chosen(args)?;
    let component = args.component.as_ref().unwrap_or(&args.dir);
    let (component, inspected) = build::component(component)?;
    let role = build::role(&inspected, args.role.map(RoleName::role))?;
    let ready = Ready::of(&places, component, &inspected, role).await?;
    let mut bad = 0_usize;
    for dir in &cases {
        let name = name(dir);
        let line = match one(&ready, dir, role, args.update).await? {
            Verdict::Good => format!("ok      {name}"),
            Verdict::Updated => format!("updated {name}"),
            Verdict::Bad(why) => {
                bad += 1;
                format!("FAILED  {name}: {}", why.trim_end())
            }
        };
        output::print(&format!("{line}\n"))?;
    }
    match bad {
        0 => Ok(Done::Well),
        bad => Err(failed(format!(
            "{bad} of {} failed",
            match cases.len() {
                1 => "1 case".to_owned(),
                n => format!("{n} cases"),
            }
        ))),
    }
}

/// The cases that are asked for.
fn chosen(args: &TestArgs) -> Result<Vec<PathBuf>, Error> {
    let all = case::all(&args.dir)?;
    let is_missing = |wanted: &&String| !all.iter().any(|dir| name(dir) == **wanted);
    if let Some(missing) = args.cases.iter().find(is_missing) {
        let all: Vec<String> = all.iter().map(|dir| name(dir)).collect();
        return Err(Error::Usage(format!(
            "--case: there is no case {missing:?}; there are: {}",
            all.join(", ")
        )));
    }
    let is_chosen = |dir: &PathBuf| args.cases.is_empty() || args.cases.contains(&name(dir));
    Ok(all.into_iter().filter(is_chosen).collect())
}

pub(super) fn name(dir: &Path) -> String {
    let name = dir.file_name().unwrap_or(dir.as_os_str());
    name.to_string_lossy().into_owned()
}

/// Runs one case. What is wrong with the case is its own failure, and the others go on.
async fn one(ready: &Ready, dir: &Path, role: Role, update: bool) -> Result<Verdict, Error> {
    let given = match case::read(dir, role) {
        Ok(given) => given,
        Err(e) => return Ok(Verdict::Bad(e.to_string())),
    };
    let called = ready.call(&given).await?;
    let outcome = called.outcome;
    if let Outcome::Failed { told, message } = &outcome
        && matches!(told["failed"].as_str(), Some("host" | "process" | "time"))
    {
        // Says something about this machine and not about the plugin: no case can expect it.
        return Ok(Verdict::Bad(message.clone()));
    }
    let (file, other) = match outcome.is_good() {
        true => (EXPECTED, EXPECTED_ERROR),
        false => (EXPECTED_ERROR, EXPECTED),
    };
    let text = outcome.text();
    if update {
        return write(dir, file, other, &text);
    }
    let expected = |file: &str| read_capped(&dir.join(file), MAX_EXPECTED);
    Ok(match (expected(file)?, expected(other)?) {
        (Some(_), Some(_)) => Verdict::Bad(format!(
            "it has both {EXPECTED} and {EXPECTED_ERROR}: keep the one that is meant"
        )),
        (None, None) => Verdict::Bad(format!(
            "nothing says what is expected: run `weir plugin test --update` and look at the {file} that it writes"
        )),
        (Some(bytes), None) if bytes == text.as_bytes() => Verdict::Good,
        (Some(bytes), None) => Verdict::Bad(format!(
            "{file} differs\n{}{}",
            difference(&String::from_utf8_lossy(&bytes), &text),
            words(&called.usage)
        )),
        (None, Some(_)) => Verdict::Bad(match &outcome {
            Outcome::Failed { message, .. } => {
                format!(
                    "{EXPECTED} says what is to come out, and it failed: {message}\n{}",
                    words(&called.usage)
                )
            }
            _ => format!("{EXPECTED_ERROR} says that it is to fail, and it gave\n{text}"),
        }),
    })
}

/// Makes what came out what is expected.
fn write(dir: &Path, file: &str, other: &str, text: &str) -> Result<Verdict, Error> {
    let (file, other) = (dir.join(file), dir.join(other));
    let host =
        |path: &Path, e: std::io::Error| Error::host("plugin", format!("{}: {e}", path.display()));
    let before = read_capped(&file, MAX_EXPECTED)?;
    let stale = other.exists();
    if stale {
        std::fs::remove_file(&other).map_err(|e| host(&other, e))?;
    }
    if before.as_deref() == Some(text.as_bytes()) && !stale {
        return Ok(Verdict::Good);
    }
    write_atomic(&file, text.as_bytes()).map_err(|e| host(&file, e))?;
    Ok(Verdict::Updated)
}

/// What differs, as `diff -u` shows it.
fn difference(expected: &str, found: &str) -> String {
    let diff = TextDiff::from_lines(expected, found);
    let mut unified = diff.unified_diff();
    unified
        .context_radius(CONTEXT)
        .header("expected", "came out")
        .to_string()
}
