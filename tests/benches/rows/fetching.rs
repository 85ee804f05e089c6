//! What it costs to fetch in a process of its own: one that starts, confines itself and asks the server, against the same in the host's own.

use std::sync::Arc;

use anyhow::{Context as _, Result};
use tempfile::TempDir;
use weir_core::tree::TreeLimits;
use weir_source::{
    FetchLimits, FetchProcess, FetcherLimits, Fetching, HttpOptions, Source, SourceConfig,
    SshOptions,
};
use weir_tests::{GitServer, Repo, places};

use super::Size;
use super::measure::{Pairs, seconds};
use super::table::{Row, Unit};
use super::work;

/// Fetches in one figure: one is too exposed to chance.
const FETCHES: u32 = 10;

/// A source, and the cache that it has for itself.
struct Side {
    source: Source,
    _cache: TempDir,
}

impl Side {
    fn new(url: &str, fetching: Fetching) -> Result<Side> {
        let cache = TempDir::new()?;
        let source = Source::open(SourceConfig {
            name: "bench".parse()?,
            url: url.parse()?,
            reference: "main".parse()?,
            cache_dir: cache.path().to_owned(),
            credentials: None,
            http: HttpOptions::host(),
            ssh: SshOptions::host(),
            fetch_limits: FetchLimits::HOST,
            tree_limits: TreeLimits::HOST,
            fetching,
        })?;
        let side = Side {
            source,
            _cache: cache,
        };
        side.fetch()?;
        Ok(side)
    }

    fn fetch(&self) -> Result<()> {
        let fetched = self.source.fetch(&Arc::default(), &|_| {});
        fetched.map(drop).context("a fetch")
    }

    /// Seconds of a fetch that finds nothing new.
    fn unchanged(&self) -> Result<f64> {
        let took = seconds(|| (0..FETCHES).try_for_each(|_| self.fetch()))?;
        Ok(took / f64::from(FETCHES))
    }

    /// Seconds of a fetch of one new commit.
    fn moved(&self, repo: &mut Repo, count: &mut u32) -> Result<f64> {
        *count += 1;
        repo.write("moved", count.to_string())?;
        repo.commit("one more")?;
        seconds(|| self.fetch())
    }
}

/// Both rows.
///
/// # Errors
/// The binary is not built, or a fetch fails.
pub(crate) fn rows(size: Size) -> Result<Vec<Row>> {
    let repo = work::repository(size.objects)?;
    let server = GitServer::of(&repo)?;
    let url = server.url("work");
    let here = Side::new(&url, Fetching::InProcess)?;
    let apart = Side::new(
        &url,
        Fetching::Process(FetchProcess {
            program: places::weir_binary()?,
            args: vec!["fetch-worker".to_owned()],
            limits: FetcherLimits::HOST,
            is_required: false,
        }),
    )?;
    let unchanged = Pairs::take(size.rounds, || apart.unchanged(), || here.unchanged())?;
    // Each of both fetches a commit that it has not seen; the other one sees it later, with its own.
    let cell = std::cell::RefCell::new((repo, 0));
    let moved = |side: &Side| {
        let (repo, count) = &mut *cell.borrow_mut();
        side.moved(repo, count)
    };
    let moved = Pairs::take(size.rounds, || moved(&apart), || moved(&here))?;
    Ok(vec![
        row("a fetch over http that finds nothing new", unchanged),
        row("a fetch over http of a ref that has moved", moved),
    ])
}

fn row(what: &str, pairs: Pairs) -> Row {
    let more = pairs.weir.iter().zip(&pairs.other);
    let mut more: Vec<f64> = more.map(|(a, b)| (a - b) * 1e3).collect();
    more.sort_by(f64::total_cmp);
    let middle = more.get(more.len() / 2).copied().unwrap_or_default();
    Row {
        what: format!("{what}, in a process of its own"),
        against: "the same in the host's own process".to_owned(),
        unit: Unit::Seconds,
        pairs,
        notes: vec![format!("the process adds {middle:.1} ms to a fetch")],
    }
}
