//! What was measured as a table for people and as JSON for programs.

use std::fmt;

use anyhow::Result;
use serde_json::{Value, json};

use super::Size;
use super::measure::{Machine, Pairs};

/// What a number counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Seconds.
    Seconds,
    /// Bytes.
    Bytes,
    /// Bytes each second.
    BytesPerSecond,
    /// Requests.
    Requests,
    /// Records each second.
    PerSecond,
}

/// One line: what Weir does and what it is held against.
#[derive(Debug)]
pub(crate) struct Row {
    /// The work.
    pub(crate) what: String,
    /// What the other side is.
    pub(crate) against: String,
    /// What the numbers count.
    pub(crate) unit: Unit,
    /// Both sides, run for run.
    pub(crate) pairs: Pairs,
    /// What a reader needs to judge the row.
    pub(crate) notes: Vec<String>,
}

/// Everything that one run measured.
pub(crate) struct Report {
    size: Size,
    before: Machine,
    after: Option<Machine>,
    rows: Vec<(&'static str, Result<Row>)>,
}

/// The least, the middle and the greatest of some numbers.
struct Spread {
    min: f64,
    median: f64,
    max: f64,
}

impl Report {
    pub(crate) fn begin(size: Size) -> Report {
        Report {
            size,
            before: Machine::now(),
            after: None,
            rows: Vec::new(),
        }
    }

    pub(crate) fn take(&mut self, group: &'static str, rows: Result<Vec<Row>>) {
        match rows {
            Ok(rows) => self
                .rows
                .extend(rows.into_iter().map(|row| (group, Ok(row)))),
            Err(error) => self.rows.push((group, Err(error))),
        }
    }

    pub(crate) fn end(&mut self) {
        self.after = Some(Machine::now());
    }

    /// Whether every row has both figures.
    pub(crate) fn is_whole(&self) -> bool {
        !self.rows.is_empty()
            && self.rows.iter().all(|(_, row)| {
                row.as_ref()
                    .is_ok_and(|r| !r.pairs.weir.is_empty() && !r.pairs.other.is_empty())
            })
    }

    pub(crate) fn to_json(&self) -> Value {
        let side = |numbers: &[f64]| {
            let s = Spread::of(numbers);
            json!({ "min": s.min, "median": s.median, "max": s.max, "all": numbers })
        };
        let rows = self.rows.iter().map(|(group, row)| match row {
            Ok(r) => json!({
                "group": group, "what": r.what, "against": r.against, "unit": r.unit.name(),
                "weir": side(&r.pairs.weir), "other": side(&r.pairs.other), "ratio": r.pairs.ratio(),
                "runs": r.pairs.weir.len(), "notes": r.notes,
            }),
            Err(e) => json!({ "group": group, "cannot_run": format!("{e:#}") }),
        });
        json!({
            "before": self.before.to_json(),
            "after": self.after.as_ref().map(Machine::to_json),
            "objects": self.size.objects,
            "rows": rows.collect::<Vec<_>>(),
        })
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.before)?;
        writeln!(
            f,
            "Each figure: median (least to greatest). Ratio: Weir / other, pair by pair, the median.\n"
        )?;
        writeln!(f, "| what | Weir | against | other | ratio | runs |")?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- |")?;
        for (group, row) in &self.rows {
            match row {
                Ok(r) => writeln!(
                    f,
                    "| {} | {} | {} | {} | {} | {} |",
                    r.what,
                    r.unit.spread(&r.pairs.weir),
                    r.against,
                    r.unit.spread(&r.pairs.other),
                    figure(r.pairs.ratio()),
                    r.pairs.weir.len(),
                )?,
                Err(e) => writeln!(f, "| {group} | cannot run: {e:#} | | | | |")?,
            }
        }
        for row in self.rows.iter().filter_map(|(_, row)| row.as_ref().ok()) {
            for note in &row.notes {
                writeln!(f, "- {}, against {}: {note}", row.what, row.against)?;
            }
        }
        if let Some(after) = &self.after {
            write!(f, "\nload at the end: {}", after.load)?;
        }
        Ok(())
    }
}

impl Unit {
    fn name(self) -> &'static str {
        match self {
            Unit::Seconds => "s",
            Unit::Bytes => "B",
            Unit::BytesPerSecond => "B/s",
            Unit::Requests => "requests",
            Unit::PerSecond => "records/s",
        }
    }

    /// Median, least and greatest, in units that a person reads.
    fn spread(self, numbers: &[f64]) -> String {
        let s = Spread::of(numbers);
        let (factor, unit) = self.scale(s.median);
        let show = |x: f64| match self {
            Unit::Requests => format!("{x:.0}"),
            _ => figure(x / factor),
        };
        format!(
            "{} {unit} ({} to {})",
            show(s.median),
            show(s.min),
            show(s.max)
        )
    }

    fn scale(self, like: f64) -> (f64, &'static str) {
        match self {
            Unit::Seconds if like >= 1.0 => (1.0, "s"),
            Unit::Seconds if like >= 1e-3 => (1e-3, "ms"),
            Unit::Seconds if like >= 1e-6 => (1e-6, "µs"),
            Unit::Seconds => (1e-9, "ns"),
            Unit::Bytes => (f64::from(1 << 20), "MiB"),
            Unit::BytesPerSecond => (1e6, "MB/s"),
            Unit::Requests => (1.0, "requests"),
            Unit::PerSecond => (1.0, "records/s"),
        }
    }
}

impl Spread {
    fn of(numbers: &[f64]) -> Spread {
        let mut sorted = numbers.to_vec();
        sorted.sort_by(f64::total_cmp);
        let at = |n: usize| sorted.get(n).copied().unwrap_or(f64::NAN);
        Spread {
            min: at(0),
            median: median(numbers),
            max: at(sorted.len().saturating_sub(1)),
        }
    }
}

/// The middle of some numbers; of an even count, the mean of the two in the middle.
pub(crate) fn median(numbers: &[f64]) -> f64 {
    let mut sorted = numbers.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (upper, lower) = (sorted.len() / 2, sorted.len().saturating_sub(1) / 2);
    match (sorted.get(lower), sorted.get(upper)) {
        (Some(a), Some(b)) => f64::midpoint(*a, *b),
        _ => f64::NAN,
    }
}

/// Three figures that count.
fn figure(x: f64) -> String {
    match x.abs() {
        a if a >= 100.0 => format!("{x:.0}"),
        a if a >= 10.0 => format!("{x:.1}"),
        _ => format!("{x:.2}"),
    }
}
