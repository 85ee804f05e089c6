//! Parity: what Weir's sandbox renders of Helm charts and Kustomize overlays is what the tools themselves render.
//!
//! The trees are those of Helm's and Kustomize's own tests (`cargo xtask native` makes them) and our own in
//! `parity/helm` and `parity/kustomize`, one feature each. Each one is a trial: rendered by the tool's own library in a
//! native process, and by the bundled plugin in the sandbox. `parity/differences.txt` lists the cases that differ, each
//! with its reason; a listed case that is equal fails too. With `--nocapture`, cases where both fail say how.

use std::process::ExitCode;
use std::sync::{Arc, OnceLock};

use anyhow::{Result, anyhow, bail, ensure};
use cases::{Case, Cases, Tool};
use compare::Rendered;
use libtest_mimic::{Arguments, Failed, Trial};

/// What is rendered, and which differences are known.
#[path = "parity/cases.rs"]
mod cases;
/// When two renders are the same.
#[path = "parity/compare.rs"]
mod compare;
/// The tools' own libraries, in processes that are asked again and again.
#[path = "parity/native.rs"]
mod native;
/// The bundled plugins in Weir's sandbox.
#[path = "parity/sandboxed.rs"]
mod sandboxed;

/// Trees of the tools' own tests: fewer mean that they are not found any more.
const AT_LEAST: [(Tool, usize); 2] = [(Tool::Helm, 128), (Tool::Kustomize, 300)];

fn main() -> ExitCode {
    let arguments = Arguments::from_args();
    let trials = match trials(arguments.nocapture) {
        Ok(trials) => trials,
        // A trial of its own, so that it is counted.
        Err(error) => vec![Trial::test("the_cases_can_be_read", move || {
            Err(failed(&error))
        })],
    };
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Both sides, made by the first trial that needs them.
#[derive(Default)]
struct Sides {
    native: OnceLock<Result<native::Pool>>,
    weir: OnceLock<Result<sandboxed::Machine>>,
}

fn trials(talks: bool) -> Result<Vec<Trial>> {
    let cases = Arc::new(cases::read()?);
    let sides = Arc::new(Sides::default());
    let mut trials = Vec::new();
    for at in 0..cases.all.len() {
        let (cases, sides) = (Arc::clone(&cases), Arc::clone(&sides));
        trials.push(Trial::test(cases.all[at].name(), move || {
            look(&cases, &cases.all[at], &sides, talks).map_err(|e| failed(&e))
        }));
    }
    trials.push(Trial::test(
        "the_trees_of_the_tools_own_tests_are_all_there",
        move || all_there(&cases).map_err(|e| failed(&e)),
    ));
    Ok(trials)
}

fn failed(error: &anyhow::Error) -> Failed {
    format!("{error:#}").into()
}

#[expect(
    clippy::print_stderr,
    reason = "asked for with --nocapture: how both fail"
)]
fn look(cases: &Cases, case: &Case, sides: &Sides, talks: bool) -> Result<()> {
    let pool = made(&sides.native, native::Pool::start)?;
    let machine = made(&sides.weir, sandboxed::Machine::start)?;
    let native = pool.render(case)?.map(|answer| native_form(case, &answer));
    let weir = machine.render(case)?;
    let difference = match (native, weir) {
        (Err(native), _) if case.is_ours => bail!(
            "{}: our own cases render, and the native tool says: {native}",
            case.name()
        ),
        (Err(native), Err(weir)) => {
            if talks {
                eprintln!(
                    "{}\n    native: {native}\n    weir:   {}",
                    case.name(),
                    weir.text
                );
            }
            // A crash or a limit is no refusal.
            (!weir.is_refusal).then(|| {
                format!(
                    "the native tool refuses ({native}), Weir breaks: {}",
                    weir.text
                )
            })
        }
        (Err(native), Ok(_)) => Some(format!(
            "Weir renders what the native tool refuses: {native}"
        )),
        (Ok(_), Err(weir)) => Some(format!(
            "the native tool renders, Weir does not: {}",
            weir.text
        )),
        (Ok(native), Ok(weir)) => native.difference(&weir_form(case, weir)),
    };
    match (cases.differences.get(&case.name()), difference) {
        (None, None) | (Some(_), Some(_)) => Ok(()),
        (None, Some(difference)) => Err(anyhow!(
            "{difference}\nthe tree: {}; mend it, or list `{}: REASON` in tests/parity/differences.txt",
            case.tree.display(),
            case.name()
        )),
        (Some(reason), None) => Err(anyhow!(
            "no difference any more: take it out of tests/parity/differences.txt, which says: {reason}"
        )),
    }
}

fn made<T>(slot: &OnceLock<Result<T>>, make: fn() -> Result<T>) -> Result<&T> {
    slot.get_or_init(make)
        .as_ref()
        .map_err(|error| anyhow!("{error:#}"))
}

/// The tool's answer: CRDs first, as `helm template --include-crds` prints them, hooks apart.
fn native_form(case: &Case, answer: &native::Answer) -> Rendered {
    let streams = answer.crds.iter().chain([&answer.output]);
    let mut rendered = Rendered::default();
    for text in streams {
        rendered.add(text.as_bytes());
    }
    if case.tool == Tool::Helm {
        for hook in &answer.hooks {
            rendered.add_native_hook(hook);
        }
    }
    rendered
}

fn weir_form(case: &Case, documents: Vec<weir_sandbox::Document>) -> Rendered {
    let mut rendered = Rendered::default();
    for document in documents {
        rendered.add(&document.body);
    }
    if case.tool == Tool::Helm {
        rendered.part_hooks();
    }
    rendered
}

fn all_there(cases: &Cases) -> Result<()> {
    for (tool, wanted) in AT_LEAST {
        let of = |ours: bool| {
            cases
                .all
                .iter()
                .filter(move |c| c.tool == tool && c.is_ours == ours)
        };
        let found = of(false).count();
        ensure!(
            found >= wanted,
            "{} trees of {tool}'s own tests, {wanted} or more expected; skipped: {:?}",
            found,
            cases.skipped
        );
        ensure!(of(true).count() > 0, "no case of our own for {tool}");
    }
    let known: Vec<String> = cases.all.iter().map(Case::name).collect();
    let unknown = cases.differences.keys().find(|name| !known.contains(name));
    ensure!(
        unknown.is_none(),
        "tests/parity/differences.txt names {unknown:?}, which is no case"
    );
    Ok(())
}
