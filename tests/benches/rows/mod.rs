//! The rows, the arguments that choose among them, and the run.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a tool for developers: its output is its terminal"
)]

use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};

mod apps;
mod dir;
mod fetching;
mod impact;
mod isolation;
mod kube;
mod ledger;
mod measure;
mod meters;
mod plugins;
mod render;
mod sandbox;
mod serving;
mod table;
mod webhook;
mod work;
mod yaml;

pub(crate) use kube::HOLD;

use table::{Report, Row};

/// How large the work is and how often it is done.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Size {
    /// Objects of the large repository, in ten files.
    pub(crate) objects: usize,
    /// Objects of the large app in a cluster, of which one changes.
    pub(crate) many: usize,
    /// Objects of the largest app, of which the memory is looked at.
    pub(crate) owned: usize,
    /// Apps of a small chart each, of which the plugin changes.
    pub(crate) charts: usize,
    /// Apps of the repositories with many, and of the one that they are held against.
    pub(crate) apps: [usize; 2],
    pub(crate) few_apps: usize,
    /// Whether plugins are built with their authors' own tools, which takes minutes.
    pub(crate) authors: bool,
    /// Pairs of runs inside this process.
    pub(crate) rounds: usize,
    /// Pairs of runs of processes.
    pub(crate) processes: usize,
}

impl Size {
    /// For figures.
    pub(crate) const FULL: Size = Size {
        objects: 1000,
        many: 5000,
        owned: 10_000,
        charts: 400,
        apps: [1000, 10_000],
        few_apps: 100,
        authors: true,
        rounds: 21,
        processes: 11,
    };
    /// To see that everything runs.
    pub(crate) const QUICK: Size = Size {
        objects: 20,
        many: 30,
        owned: 40,
        charts: 3,
        apps: [20, 40],
        few_apps: 10,
        authors: false,
        rounds: 1,
        processes: 1,
    };
}

/// One group of rows: its name on the command line, and what measures it.
type Group = (&'static str, fn(Size) -> Result<Vec<Row>>);

/// All groups, in the order of the table.
const GROUPS: &[Group] = &[
    ("yaml", yaml::rows),
    ("sandbox", sandbox::rows),
    ("isolation", isolation::rows),
    ("meters", meters::rows),
    ("render", render::rows),
    ("plugins", plugins::rows),
    ("impact", impact::rows),
    ("dir", dir::rows),
    ("apps", apps::rows),
    ("kube", kube::rows),
    ("ledger", ledger::rows),
    ("webhook", webhook::rows),
];

/// What was asked for.
struct Options {
    size: Size,
    /// The most pairs of a row, where somebody has less time than the whole takes.
    pairs: usize,
    json: Option<PathBuf>,
    only: Vec<String>,
}

/// Runs and prints; whether every row has both figures.
///
/// # Errors
/// An argument that is none, or a file that cannot be written.
pub(crate) fn main(arguments: Vec<String>) -> Result<bool> {
    // A row starts this program once more, as the process that its memory is held against.
    if let [word, rest @ ..] = &arguments[..]
        && word == HOLD
    {
        return kube::hold(rest).map(|()| true);
    }
    let options = options(arguments)?;
    let report = run(options.size, &options.only);
    println!("{report}");
    if let Some(file) = &options.json {
        let text = serde_json::to_string_pretty(&report.to_json())?;
        std::fs::write(file, text).with_context(|| format!("writing {}", file.display()))?;
    }
    Ok(report.is_whole())
}

fn options(arguments: Vec<String>) -> Result<Options> {
    let mut options = Options {
        size: Size::FULL,
        pairs: usize::MAX,
        json: None,
        only: Vec::new(),
    };
    let mut rest = arguments.into_iter();
    while let Some(word) = rest.next() {
        match word.as_str() {
            // Cargo says this to every benchmark.
            "--bench" => {}
            "--quick" => options.size = Size::QUICK,
            "--pairs" => {
                let pairs = rest.next().and_then(|word| word.parse().ok());
                let pairs = pairs.filter(|pairs| *pairs > 0);
                options.pairs = pairs.context("--pairs N: a number from 1")?;
            }
            "--json" => options.json = Some(rest.next().context("--json FILE")?.into()),
            name if GROUPS.iter().any(|(known, _)| *known == name) => options.only.push(word),
            _ => {
                let known: Vec<&str> = GROUPS.iter().map(|(name, _)| *name).collect();
                bail!(
                    "`{word}`: expected --quick, --pairs N, --json FILE or rows to run: {}",
                    known.join(", ")
                );
            }
        }
    }
    let size = &mut options.size;
    size.rounds = size.rounds.min(options.pairs);
    size.processes = size.processes.min(options.pairs);
    Ok(options)
}

/// Measures the groups that are named; all without a name. A group that fails is a row that says why.
fn run(size: Size, only: &[String]) -> Report {
    let mut report = Report::begin(size);
    for (name, rows) in GROUPS {
        if !only.is_empty() && !only.iter().any(|n| n == name) {
            continue;
        }
        eprintln!("measuring {name} ...");
        report.take(name, rows(size));
    }
    report.end();
    report
}
