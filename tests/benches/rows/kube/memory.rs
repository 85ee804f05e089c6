//! What is held in memory of many objects: by `weir serve`, and by a process that keeps them whole as kube's reflector does.

use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};
use futures::StreamExt as _;
use kube::core::DynamicObject;
use kube::runtime::{WatchStreamExt as _, reflector, watcher};

use super::super::Size;
use super::super::measure::{self, Pairs};
use super::super::serving::{LOOK, Serve};
use super::super::table::{Row, Unit, median};
use super::{Scene, Work, bare};

/// The word that makes this program the other side: `hold KUBECONFIG NAMESPACE COUNT`.
pub(crate) const HOLD: &str = "hold";
/// What it says when it has them all.
const HELD: &str = "held";

/// What one process has: resident now, and at most.
type Memory = (f64, f64);

/// All rows of this module.
///
/// # Errors
/// A run fails.
pub(super) fn rows(scene: &Scene, size: Size) -> Result<Vec<Row>> {
    let (mut resident, mut peak) = (Pairs::default(), Pairs::default());
    let mut one = Pairs::default();
    for _ in 0..size.processes.min(3) {
        for count in [1, size.owned] {
            let work = scene.work(count)?;
            let weir = serve(scene, &work)?;
            let other = holder(scene, &work)?;
            scene.clear(&work)?;
            let add = |pairs: &mut Pairs, weir, other| {
                pairs.weir.push(weir);
                pairs.other.push(other);
            };
            if count == 1 {
                add(&mut one, weir.0, other.0);
            } else {
                add(&mut resident, weir.0, other.0);
                add(&mut peak, weir.1, other.1);
            }
        }
    }
    let mebibytes = |bytes: f64| format!("{:.1} MiB", bytes / f64::from(1 << 20));
    let side = |many: &[f64], one: &[f64]| {
        let (many, one) = (median(many), median(one));
        format!(
            "{} with one object, {} more",
            mebibytes(one),
            mebibytes(many - one)
        )
    };
    let small = format!(
        "resident (medians): {}; the other {}",
        side(&resident.weir, &one.weir),
        side(&resident.other, &one.other)
    );
    let row = |what: &str, pairs, note: &str| Row {
        what: format!("{what}, {} objects in `kube:`", size.owned),
        against: "a process with kube's reflector that holds them whole".to_owned(),
        unit: Unit::Bytes,
        pairs,
        notes: vec![note.to_owned(), small.clone()],
    };
    Ok(vec![
        row(
            "resident memory of `weir serve`",
            resident,
            "VmRSS after the first sync and one unchanged refresh; the other's once it has listed all",
        ),
        row("peak resident memory of `weir serve`", peak, "VmHWM then"),
    ])
}

fn serve(scene: &Scene, work: &Work) -> Result<Memory> {
    let mut serve = Serve::start(&scene.weir, scene.arguments("serve", work)?)?;
    serve.refresh(LOOK)?;
    let memory = measure::memory(serve.pid()?)?;
    serve.stop()?;
    Ok(memory)
}

/// Starts this program once more as the one that holds them.
#[expect(
    clippy::disallowed_methods,
    reason = "the other side is a process of its own"
)]
fn holder(scene: &Scene, work: &Work) -> Result<Memory> {
    let child = Command::new(std::env::current_exe()?)
        .arg(HOLD)
        .arg(scene.plane.admin().kubeconfig())
        .args([&work.namespace, &work.objects.len().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("starting the process that holds whole objects")?;
    let mut holder = Holder(child);
    let said = holder.0.stdout.take().context("stdout is piped")?;
    let mut line = String::new();
    BufReader::new(said).read_line(&mut line)?;
    ensure!(line.trim_end() == HELD, "the holder said {line:?}");
    measure::memory(i32::try_from(holder.0.id())?)
}

/// Ended with the value.
struct Holder(Child);

impl Drop for Holder {
    fn drop(&mut self) {
        // Gone already is as good.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Holds a namespace's ConfigMaps whole until its standard input ends.
///
/// # Errors
/// They cannot be watched, or are not as many.
pub(crate) fn hold(arguments: &[String]) -> Result<()> {
    let [kubeconfig, namespace, count] = arguments else {
        bail!("{HOLD} KUBECONFIG NAMESPACE COUNT");
    };
    let count: usize = count.parse().context("COUNT is no number")?;
    let store = bare::runtime()?.block_on(watched(Path::new(kubeconfig), namespace))?;
    let held = store.state();
    ensure!(held.len() == count, "{} of {count} are held", held.len());
    println!("{HELD}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    drop(store);
    Ok(())
}

/// The store after the first list.
async fn watched(kubeconfig: &Path, namespace: &str) -> Result<reflector::Store<DynamicObject>> {
    let api = bare::maps(&bare::client(kubeconfig).await?, namespace);
    let writer = reflector::store::Writer::new(bare::map());
    let store = writer.as_reader();
    let events = watcher(api, watcher::Config::default());
    let mut events = std::pin::pin!(events.reflect(writer));
    while let Some(event) = events.next().await {
        if let watcher::Event::InitDone = event? {
            break;
        }
    }
    Ok(store)
}
