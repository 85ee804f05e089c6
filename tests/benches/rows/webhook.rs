//! From a delivery of a webhook to the fetch that it asks for: on a quiet host, and while others send wrong signatures.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use weir_tests::forge::Delivery;
use weir_tests::weir::{PATIENCE, text};
use weir_tests::{GitServer, Repo, Weir};

use super::Size;
use super::measure::{self, Pairs};
use super::serving::Serve;
use super::table::{Row, Unit};

const SECRET: &str = "the secret of the benchmark's hook";
/// Between two looks: more often a host puts them off, and the fetch before is over.
const APART: Duration = Duration::from_millis(1_100);
/// Who send wrong signatures at once, each one after the other.
const FLOOD: usize = 16;
/// The most deliveries of each of them, so that it ends whatever happens.
const FLOOD_EACH: usize = 1_000_000;

/// A repository that is asked once an hour, and a host that takes webhooks for it.
struct Place {
    server: GitServer,
    serve: Serve,
    ids: AtomicUsize,
    _repo: Repo,
    _weir: Weir,
}

/// What a flood came to.
#[derive(Default)]
struct Flood {
    deliveries: usize,
    seconds: f64,
    processor: f64,
}

/// Both rows.
///
/// # Errors
/// The binary or the plugins are not built, or a delivery is refused.
pub(crate) fn rows(size: Size) -> Result<Vec<Row>> {
    let place = Place::new()?;
    let quiet = Pairs::take(size.processes, || place.delivered(), || place.hung_up())?;
    let mut flood = Flood::default();
    let flooded = Pairs::take(
        size.processes,
        || place.flooded(&mut flood),
        || place.delivered(),
    )?;
    let each = flood.processor / flood.deliveries.max(1) as f64;
    let note = format!(
        "{:.0} wrong deliveries a second over {FLOOD} connections, {:.2} ms of the host's processor time for each, from the same cores",
        flood.deliveries as f64 / flood.seconds,
        each * 1e3,
    );
    let rows = vec![
        Row {
            what: "from a push's delivery to the fetch at the Git server".to_owned(),
            against: "from a SIGHUP to the same".to_owned(),
            unit: Unit::Seconds,
            pairs: quiet,
            notes: vec!["the start of the process that fetches is part of both".to_owned()],
        },
        Row {
            what: "from a push's delivery to the fetch, under a flood of wrong signatures"
                .to_owned(),
            against: "the same on a quiet host".to_owned(),
            unit: Unit::Seconds,
            pairs: flooded,
            notes: vec![note],
        },
    ];
    place.serve.stop()?;
    Ok(rows)
}

impl Place {
    fn new() -> Result<Place> {
        let mut repo = Repo::empty()?;
        let manifest =
            "version: 1\napps: [{ name: web, path: web, target: { namespace: shop } }]\n";
        repo.write("weir.yaml", manifest)?;
        let map = "apiVersion: v1\nkind: ConfigMap\nmetadata: { name: map }\n";
        repo.write("web/map.yaml", map)?;
        repo.commit("all")?;
        let server = GitServer::of(&repo)?;
        let weir = Weir::new()?;
        let secret = weir.path("secret");
        std::fs::write(&secret, SECRET)?;
        let target = format!("dir:{}", text(&weir.path("live"))?);
        let url = server.url("work");
        let words = [
            "serve",
            "--repo",
            &url,
            "--name",
            "shop",
            "--target",
            &target,
            "--webhook-forge",
            "github",
            "--webhook-secret-file",
            text(&secret)?,
        ];
        let serve = Serve::start(&weir, words.map(str::to_owned).to_vec())?;
        Ok(Place {
            server,
            serve,
            ids: AtomicUsize::new(0),
            _repo: repo,
            _weir: weir,
        })
    }

    /// Seconds from this to the next request at the Git server.
    fn until_fetched(&self, ask: impl FnOnce() -> Result<()>) -> Result<f64> {
        std::thread::sleep(APART);
        let next = self.server.requests().len() + 1;
        let started = Instant::now();
        ask()?;
        self.server.wait_for_requests(next, PATIENCE)?;
        Ok(started.elapsed().as_secs_f64())
    }

    fn delivered(&self) -> Result<f64> {
        let id = self.ids.fetch_add(1, Ordering::Relaxed).to_string();
        let delivery = Delivery::github(SECRET, &id)?;
        self.until_fetched(|| {
            let answer = delivery.send(self.serve.address(), "shop")?;
            ensure!(answer.status == 202, "{answer:?}");
            Ok(())
        })
    }

    fn hung_up(&self) -> Result<f64> {
        self.until_fetched(|| self.serve.hang_up())
    }

    /// The same delivery while others send what is wrong.
    fn flooded(&self, flood: &mut Flood) -> Result<f64> {
        let (over, count) = (AtomicBool::new(false), AtomicUsize::new(0));
        let address = self.serve.address();
        let wrong = Delivery::github("another secret than the hook's", "x")?;
        let (started, before) = (Instant::now(), measure::processor(self.serve.pid()?)?);
        let took = std::thread::scope(|scope| {
            for _ in 0..FLOOD {
                scope.spawn(|| {
                    for _ in 0..FLOOD_EACH {
                        if over.load(Ordering::Relaxed) {
                            break;
                        }
                        if wrong.send(address, "shop").is_ok() {
                            count.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                });
            }
            let took = self.delivered();
            over.store(true, Ordering::Relaxed);
            took
        });
        flood.deliveries += count.into_inner();
        flood.seconds += started.elapsed().as_secs_f64();
        flood.processor += measure::processor(self.serve.pid()?)? - before;
        took
    }
}
