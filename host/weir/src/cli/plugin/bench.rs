//! `weir plugin bench`: what a case costs, cold and warm.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::call::Ready;
use super::case::{self, Given};
use super::outcome::Called;
use super::{Done, RoleName, build, bytes, failed, output};
use crate::cli::output::Format;
use crate::config::GlobalArgs;
use crate::error::Error;
use crate::progress::Line;

/// What `weir plugin bench` takes.
#[derive(Debug, clap::Args)]
pub(super) struct BenchArgs {
    /// The plugin's folder, which is built first, or a component
    #[arg(default_value = ".")]
    plugin: PathBuf,
    /// The case: a folder [default: the first in the plugin's testdata/ that comes out well]
    #[arg(long, value_name = "DIR")]
    case: Option<PathBuf>,
    /// The role to call it in, where it has several
    #[arg(long, value_enum)]
    role: Option<RoleName>,
    /// Calls that are measured
    #[arg(long, default_value = "50", value_parser = clap::value_parser!(u32).range(2..=100_000))]
    runs: u32,
    /// How to print
    #[arg(short, long, value_enum, default_value = "text")]
    output: Format,
}

/// What was measured.
struct Measured {
    /// Compiling, and loading what was compiled.
    compile: Duration,
    /// Loading what a cache on disk holds.
    load: Duration,
    /// The first call after that.
    first: Duration,
    /// The calls after it, shortest first.
    warm: Vec<Duration>,
    fuel: u64,
    memory: u64,
}

/// Measures and shows.
pub(super) async fn bench(global: &GlobalArgs, args: &BenchArgs) -> Result<Done, Error> {
    let places = global.places()?;
    let (component, inspected) = build::component(&args.plugin)?;
    let role = build::role(&inspected, args.role.map(RoleName::role))?;
    let scratch = tempfile::Builder::new()
        .prefix("weir-plugin-bench-")
        .tempdir();
    let scratch = scratch.map_err(|e| Error::host("plugin", format!("a temporary folder: {e}")))?;
    let compiled = scratch.path().join("compiled");
    let cases = match &args.case {
        Some(dir) => vec![dir.clone()],
        None if args.plugin.is_dir() => case::all(&args.plugin)?,
        None => {
            return Err(Error::Usage(
                "a component alone has no case to measure: name one with --case DIR".to_owned(),
            ));
        }
    };
    let line = Line::begin("measuring");
    let began = Instant::now();
    drop(Ready::at(&compiled, &places, component.clone(), &inspected, role).await?);
    let compile = began.elapsed();
    let began = Instant::now();
    let ready = Ready::at(&compiled, &places, component, &inspected, role).await?;
    let load = began.elapsed();
    let mut chosen = None;
    for dir in &cases {
        let given = case::read(dir, role)?;
        let began = Instant::now();
        let called = ready.call(&given).await?;
        let took = began.elapsed();
        if called.outcome.is_good() {
            chosen = Some((dir, given, called, took));
            break;
        }
        if args.case.is_some() {
            return Err(failed(format!(
                "{}: {}",
                dir.display(),
                called.outcome.text()
            )));
        }
    }
    let (dir, given, called, first) = chosen.ok_or_else(|| {
        failed("no case comes out well: a call that fails is not worth measuring".to_owned())
    })?;
    let warm = repeated(&ready, &given, &called, args.runs).await?;
    drop(line);
    let measured = Measured {
        compile,
        load,
        first,
        warm,
        fuel: called.usage.fuel,
        memory: called.usage.memory,
    };
    let name = super::test::name(dir);
    match args.output {
        Format::Text => output::print(&text(&measured, &name, inspected.size as u64)),
        format => output::print_value(format, &shown(&measured, &name, inspected.size as u64)),
    }
}

/// The same call again and again: how long each took, shortest first.
async fn repeated(
    ready: &Ready,
    given: &Given,
    before: &Called,
    runs: u32,
) -> Result<Vec<Duration>, Error> {
    let mut took = Vec::new();
    for run in 0..runs {
        let began = Instant::now();
        let called = ready.call(given).await?;
        took.push(began.elapsed());
        if called.outcome != before.outcome || called.usage.fuel != before.usage.fuel {
            return Err(failed(format!(
                "run {}: the same call gave something else, or took other fuel ({} and {}): it is not deterministic, and no receipt of it will verify",
                run + 2,
                before.usage.fuel,
                called.usage.fuel
            )));
        }
    }
    took.sort();
    Ok(took)
}

impl Measured {
    /// The time below which so many percent of the warm calls are.
    fn percentile(&self, percent: usize) -> Duration {
        let last = self.warm.len().saturating_sub(1);
        self.warm
            .get(last * percent / 100)
            .copied()
            .unwrap_or_default()
    }
}

fn text(measured: &Measured, case: &str, size: u64) -> String {
    let ms = |time: Duration| format!("{:.2} ms", time.as_secs_f64() * 1000.0);
    let rows = [
        ("case", case.to_owned()),
        ("size", bytes(size)),
        ("compile, once", ms(measured.compile)),
        ("load from the cache", ms(measured.load)),
        ("first call", ms(measured.first)),
        (
            "warm call",
            format!(
                "{} median of {} ({} to {} without the tenth at each end)",
                ms(measured.percentile(50)),
                measured.warm.len(),
                ms(measured.percentile(10)),
                ms(measured.percentile(90))
            ),
        ),
        ("fuel", measured.fuel.to_string()),
        ("peak memory", bytes(measured.memory)),
    ];
    rows.into_iter()
        .map(|(key, value)| format!("{key:<20} {value}\n"))
        .collect()
}

fn shown(measured: &Measured, case: &str, size: u64) -> Value {
    let micros = |time: Duration| u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
    json!({
        "case": case,
        "size": size,
        "compileMicros": micros(measured.compile),
        "loadMicros": micros(measured.load),
        "firstMicros": micros(measured.first),
        "warmMicros": {
            "runs": measured.warm.len(),
            "median": micros(measured.percentile(50)),
            "p10": micros(measured.percentile(10)),
            "p90": micros(measured.percentile(90)),
            "min": micros(measured.percentile(0)),
            "max": micros(measured.percentile(100)),
        },
        "fuel": measured.fuel,
        "memory": measured.memory,
    })
}
