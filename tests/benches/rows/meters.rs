//! What fuel and epochs cost: the `metadata` plugin on the same objects, on engines that differ in these only.

use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use anyhow::{Result, ensure};
use tokio::runtime::Runtime;
use wasmtime::component::{Component, HasSelf, Linker, ResourceTable};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};
use weir_core::grant::Limits;
use weir_core::render::{self, Document};
use weir_core::yaml::Budget;
use weir_sandbox::{TICK, engine_config};

use super::Size;
use super::measure::{Pairs, seconds};
use super::table::{Row, Unit};
use super::work;

mod bindings {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "weir:plugin/transformer",
        exports: { default: async },
    });
}
use bindings::weir::plugin::{log, types};
use bindings::{Transformer, TransformerPre};

/// Which meters an engine has.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Meters {
    fuel: bool,
    epochs: bool,
}

/// All rows of this group.
///
/// # Errors
/// The plugin is not built, or a call fails.
pub(crate) fn rows(size: Size) -> Result<Vec<Row>> {
    let component = weir_tests::places::bundled("metadata")?;
    let objects = objects(size.objects)?;
    let make = |fuel, epochs| Metered::new(Meters { fuel, epochs }, &component);
    let (both, fuel, epochs, none) = (
        make(true, true)?,
        make(true, false)?,
        make(false, true)?,
        make(false, false)?,
    );
    let runtime = work::runtime()?;
    let (stop, engine) = (AtomicBool::new(false), [&both.engine, &epochs.engine]);
    thread::scope(|scope| {
        // As the sandbox's own clock.
        scope.spawn(|| {
            while !stop.load(Ordering::Relaxed) {
                thread::sleep(TICK);
                engine.iter().for_each(|e| e.increment_epoch());
            }
        });
        let measured = measure(size, &runtime, &objects, [&both, &fuel, &epochs, &none]);
        stop.store(true, Ordering::Relaxed);
        measured
    })
}

fn measure(
    size: Size,
    runtime: &Runtime,
    objects: &[Vec<u8>],
    [both, fuel, epochs, none]: [&Metered; 4],
) -> Result<Vec<Row>> {
    let row = |what: &str, against: &str, with: &Metered, without: &Metered| -> Result<Row> {
        let pairs = Pairs::take(
            size.rounds,
            || seconds(|| with.run(runtime, objects)),
            || seconds(|| without.run(runtime, objects)),
        )?;
        Ok(Row {
            what: format!("`metadata` on {} objects, {what}", objects.len()),
            against: against.to_owned(),
            unit: Unit::Seconds,
            pairs,
            notes: Vec::new(),
        })
    };
    Ok(vec![
        row(
            "fuel and epochs",
            "epochs only: what fuel costs",
            both,
            epochs,
        )?,
        row("fuel and epochs", "fuel only: what epochs cost", both, fuel)?,
        row("fuel and epochs", "neither", both, none)?,
    ])
}

/// The objects as the host hands them to a transformer.
fn objects(count: usize) -> Result<Vec<Vec<u8>>> {
    let documents: Vec<Document> = work::files(count, 1)
        .into_iter()
        .map(|(origin, text)| Document {
            origin,
            body: text.into_bytes(),
        })
        .collect();
    let objects = render::parse(&documents, &Budget::HOST)?;
    Ok(objects
        .iter()
        .map(|o| serde_json::to_vec(o.json()))
        .collect::<Result<_, _>>()?)
}

/// A plugin on an engine of its own.
struct Metered {
    meters: Meters,
    engine: Engine,
    plugin: TransformerPre<State>,
}

struct State {
    wasi: WasiCtx,
    table: ResourceTable,
}

impl Metered {
    fn new(meters: Meters, component: &[u8]) -> Result<Metered> {
        let mut config = engine_config();
        config
            .consume_fuel(meters.fuel)
            .epoch_interruption(meters.epochs);
        let made = || -> wasmtime::Result<(Engine, TransformerPre<State>)> {
            let engine = Engine::new(&config)?;
            let mut linker: Linker<State> = Linker::new(&engine);
            wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
            log::add_to_linker::<_, HasSelf<State>>(&mut linker, |s| s)?;
            let component = Component::new(&engine, component)?;
            let plugin = TransformerPre::new(linker.instantiate_pre(&component)?)?;
            Ok((engine, plugin))
        };
        let (engine, plugin) = made().map_err(|e| anyhow::anyhow!("{e:#}"))?;
        Ok(Metered {
            meters,
            engine,
            plugin,
        })
    }

    /// One call in a new store.
    fn run(&self, runtime: &Runtime, objects: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        let call = async {
            let state = State {
                wasi: WasiCtx::builder().build(),
                table: ResourceTable::new(),
            };
            let mut store = Store::new(&self.engine, state);
            store.set_hostcall_fuel(usize::MAX);
            if self.meters.fuel {
                store.set_fuel(Limits::HOST.fuel.0)?;
            }
            if self.meters.epochs {
                store.epoch_deadline_async_yield_and_update(1);
                store.set_epoch_deadline(1);
            }
            let plugin: Transformer = self.plugin.instantiate_async(&mut store).await?;
            plugin.call_transform(&mut store, objects, &params()).await
        };
        let answer: wasmtime::Result<_> = runtime.block_on(call);
        let changed = answer
            .map_err(|e| anyhow::anyhow!("{e:#}"))?
            .map_err(|said| anyhow::anyhow!("{said:?}"))?;
        ensure!(
            changed.len() == objects.len() && changed != objects,
            "the plugin changed nothing"
        );
        Ok(changed)
    }
}

fn params() -> types::Params {
    types::Params {
        app: "bench".to_owned(),
        path: work::APP.to_owned(),
        namespace: None,
        target: types::TargetFacts {
            name: "default".to_owned(),
            kubernetes: "1.37.0".to_owned(),
            apis: Vec::new(),
        },
        config: br#"{"labels":{"team":"shop"},"annotations":{"note":"measured"}}"#.to_vec(),
    }
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl types::Host for State {}

impl log::Host for State {
    fn write(&mut self, _: log::Severity, _: String) {}
}
