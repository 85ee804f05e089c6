//! A render by the `yaml` plugin against the same without a plugin, and the YAML reader against another.

use anyhow::{Result, ensure};
use weir_core::object::Object;
use weir_core::render::{self, Document};
use weir_core::tree::View;
use weir_core::yaml::{self, Budget};
use weir_sandbox::Role;

use super::Size;
use super::measure::{Pairs, seconds};
use super::table::{Row, Unit};
use super::work::{self, Bench};

/// All rows of this group.
///
/// # Errors
/// The plugin is not built, or a side gives something else than the other.
pub(crate) fn rows(size: Size) -> Result<Vec<Row>> {
    Ok(vec![
        render_row(size.objects, 10, size.rounds)?,
        render_row(3, 1, size.rounds)?,
        read_row(size)?,
    ])
}

fn render_row(objects: usize, count: usize, rounds: usize) -> Result<Row> {
    let bench = Bench::new()?;
    let plugin = bench.load(Role::Renderer, &weir_tests::places::bundled("yaml")?)?;
    let files = work::files(objects, count);
    let snapshot = work::snapshot(&files)?;
    let mut calls = Vec::new();
    let mut through_plugin = || {
        let view = View::new(snapshot.clone(), work::roots());
        let call = bench.call();
        let rendered = bench
            .runtime
            .block_on(bench.sandbox.render(&plugin, call, view));
        let (documents, _, usage) = rendered.map_err(|e| anyhow::anyhow!("{e}"))?;
        calls.push(usage.micros);
        let documents = documents.into_iter().map(|d| Document {
            origin: d.origin,
            body: d.body,
        });
        objects_of(&documents.collect::<Vec<_>>())
    };
    let natively = || {
        let mut view = View::new(snapshot.clone(), work::roots());
        let mut documents = Vec::new();
        for entry in view.entries(work::APP)? {
            let origin = format!("{}/{}", work::APP, entry.name);
            let body = view.read(&origin)?.to_vec();
            documents.push(Document { origin, body });
        }
        objects_of(&documents)
    };
    let (ours, theirs) = (through_plugin()?, natively()?);
    let texts =
        |list: &[Object]| -> Vec<String> { list.iter().map(|o| o.text().to_owned()).collect() };
    ensure!(
        ours.len() == objects && texts(&ours) == texts(&theirs),
        "the two sides differ: {} and {} objects of {objects}",
        ours.len(),
        theirs.len()
    );
    let pairs = Pairs::take(
        rounds,
        || seconds(&mut through_plugin),
        || seconds(natively),
    )?;
    calls.sort_unstable();
    let call = calls.get(calls.len() / 2).copied().unwrap_or_default();
    Ok(Row {
        what: format!("render by `yaml`: {count} files, {objects} objects"),
        against: "the same files, no plugin".to_owned(),
        unit: Unit::Seconds,
        pairs,
        notes: vec![format!(
            "both sides read from memory, parse, and write and digest each object; of Weir's side the plugin's call is {call} µs (median)"
        )],
    })
}

/// Parsed, written as canonical YAML and digested, which [`Object::new`] does.
fn objects_of(documents: &[Document]) -> Result<Vec<Object>> {
    Ok(render::parse(documents, &Budget::HOST)?)
}

fn read_row(size: Size) -> Result<Row> {
    let text = work::files(size.objects, 1)
        .pop()
        .map(|(_, text)| text)
        .unwrap_or_default();
    let ours = || -> Result<Vec<serde_json::Value>> {
        let nodes = yaml::parse(text.as_bytes(), &Budget::HOST)?;
        Ok(nodes.iter().map(yaml::Node::to_json).collect())
    };
    let theirs = || -> Result<Vec<serde_json::Value>> { Ok(serde_saphyr::from_multiple(&text)?) };
    ensure!(ours()? == theirs()?, "the two readers differ");
    let bytes = text.len() as f64;
    let pairs = Pairs::take(size.rounds, || seconds(ours), || seconds(theirs))?;
    Ok(Row {
        what: format!("YAML to JSON values, {} documents", size.objects),
        against: "serde-saphyr".to_owned(),
        unit: Unit::BytesPerSecond,
        pairs: pairs.map(|spent| bytes / spent),
        notes: vec![
            "more is better; both stand on the same event parser, and Weir's keeps lines, columns and Kubernetes' types".to_owned(),
        ],
    })
}
