//! `weir audit` beside a removal of old records, and after one that was cut short.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;
use std::num::NonZeroU64;
use std::path::Path;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use weir_core::retention::Retention;
use weir_ledger::{Ledger, LedgerLimits, Place, Removed};
use weir_tests::scene::map;
use weir_tests::weir::text;
use weir_tests::{Repo, Weir};

const MANIFEST: &str =
    "version: 1\napps:\n- { name: web, path: web, target: { namespace: shop } }\n";

/// Ten days from now, so that what was just written is old enough to go.
fn in_ten_days() -> i64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    i64::try_from(now.as_secs()).unwrap() + 10 * 86_400
}

/// Removes all records but the newest two.
async fn trim(dir: &Path) -> Vec<Removed> {
    let place = Place::Dir(dir.to_owned());
    let clock = Arc::new(in_ten_days);
    let ledger = Ledger::open(&place, LedgerLimits::HOST, clock)
        .await
        .unwrap();
    let rule = Retention {
        days: None,
        records: NonZeroU64::new(2),
    };
    let removed = ledger.trim(&rule).await.unwrap();
    ledger.close().await;
    removed
}

#[tokio::test]
async fn what_a_removal_that_was_cut_short_took_is_nothing_that_is_missing() {
    let mut repo = Repo::empty().unwrap();
    repo.write("weir.yaml", MANIFEST).unwrap();
    let weir = Weir::new().unwrap();
    let target = format!("dir:{}", weir.path("live").display());
    for value in ["one", "two", "three"] {
        repo.write("web/map.yaml", map("web", value)).unwrap();
        repo.commit(value).unwrap();
        let from = repo.path();
        let words = ["sync", "--repo", text(&from).unwrap(), "--target", &target];
        weir.run(words).unwrap().code(0).unwrap();
    }
    let ledger = weir.state_dir().join("ledger");
    let mut chains = fs::read_dir(ledger.join("chain")).unwrap();
    let chain = chains.next().unwrap().unwrap().path();
    let before: Vec<_> = fs::read_dir(&chain)
        .unwrap()
        .map(|file| file.unwrap().path())
        .map(|file| (fs::read(&file).unwrap(), file))
        .collect();
    let removed = trim(&ledger).await;
    assert!(removed[0].blobs > 0, "{removed:?}");
    // As it was when the blobs were gone and the batches that name them were not yet.
    let gone: Vec<_> = before.iter().filter(|(_, file)| !file.exists()).collect();
    assert!(!gone.is_empty());
    for (bytes, file) in gone {
        fs::write(file, bytes).unwrap();
    }
    let said = weir.run(["audit", "verify"]).unwrap().success().unwrap();
    assert!(said.contains("every link proved"), "{said}");
    weir.run(["audit", "export"]).unwrap().code(0).unwrap();

    // What a record that stays names is missed as ever.
    fs::remove_dir_all(ledger.join("blob")).unwrap();
    let said = weir.run(["audit", "verify"]).unwrap().code(1).unwrap();
    assert!(said.stdout.contains("is not there"), "{said:?}");
}
