//! Old records go, what they fold to stays, and whatever is cut short or damaged is found.

use std::collections::BTreeSet;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::atomic::AtomicI64;
use std::time::{SystemTime, UNIX_EPOCH};

use futures::TryStreamExt as _;
use proptest::prelude::*;
use weir_core::retention::{Retention, Trim};

use super::group::any_record;
use super::stops::stopping;
use super::*;

const DAY: i64 = 86_400;

fn keep(days: u32, records: u64) -> Retention {
    Retention {
        days: NonZeroU32::new(days),
        records: NonZeroU64::new(records),
    }
}

/// A clock that stands still unless it is moved. It begins now: files' own times are the machine's.
fn hands() -> (Arc<AtomicI64>, Clock) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let hands = Arc::new(AtomicI64::new(i64::try_from(now.as_secs()).unwrap()));
    let shared = Arc::clone(&hands);
    (hands, Arc::new(move || shared.load(Ordering::Relaxed)))
}

/// A day's records, and one for each of the days after it.
async fn days(ledger: &Ledger, hands: &AtomicI64, count: u64) {
    for n in 1..=count {
        let record = failed("web", &format!("day {n}"));
        ledger.append(&shop(), vec![record]).await.unwrap();
        hands.fetch_add(DAY, Ordering::Relaxed);
    }
}

fn files(place: &Place, folder: &str) -> Vec<String> {
    let dir = place.dir().join(folder);
    let mut names: Vec<String> = match std::fs::read_dir(dir) {
        Err(_) => Vec::new(),
        Ok(entries) => entries
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect(),
    };
    names.sort();
    names
}

fn seqs(place: &Place, folder: &str) -> Vec<u64> {
    let names = files(place, folder);
    names
        .iter()
        .filter_map(|name| chain::number(name))
        .collect()
}

async fn trims(place: &Place) -> Vec<Trim> {
    let history = place
        .read()
        .await
        .history(&shop(), None, 1000)
        .await
        .unwrap();
    history
        .into_iter()
        .filter_map(|entry| match entry.record.event {
            Event::Trimmed(trim) => Some(trim),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn records_that_are_too_old_go_and_the_chain_says_so_and_still_folds_to_the_same() {
    let place = Place::new();
    let (hands, clock) = hands();
    let ledger = Ledger::open(&place.at(), FEW, clock).await.unwrap();
    days(&ledger, &hands, 10).await;
    let before = ledger.load(&shop()).await.unwrap();
    let removed = ledger.trim(&keep(3, 0)).await.unwrap();
    assert_eq!(removed.len(), 1);
    assert_eq!((removed[0].through, removed[0].batches), (Seq(7), 7));
    assert_eq!(seqs(&place, "chain/shop"), [8, 9, 10, 11]);
    assert_eq!(seqs(&place, "anchor/shop"), [7]);
    let said = trims(&place).await;
    assert_eq!(said.len(), 1);
    assert_eq!(
        (said[0].through, said[0].records, said[0].rule),
        (7, 7, keep(3, 0))
    );
    let reader = place.read().await;
    assert_eq!(reader.load(&shop()).await.unwrap(), before);
    let report = reader.verify(&shop()).await.unwrap();
    assert_eq!((report.batches, report.records, report.removed), (4, 4, 7));
    assert_eq!(report.trim.as_ref(), Some(&said[0]));
    assert!(report.bad_checkpoints.is_empty(), "{report:?}");
    assert!(
        ledger.trim(&keep(3, 0)).await.unwrap().is_empty(),
        "nothing is left to do"
    );
    ledger.append(&shop(), vec![moved(1)]).await.unwrap();
    ledger.close().await;
    let ledger = place.open().await;
    assert_eq!(
        ledger.append(&shop(), vec![moved(2)]).await.unwrap(),
        Seq(13),
        "the chain goes on"
    );
}

#[tokio::test]
async fn only_the_newest_records_stay_and_a_second_removal_replaces_the_anchor() {
    let place = Place::new();
    let (hands, clock) = hands();
    let ledger = Ledger::open(&place.at(), FEW, clock).await.unwrap();
    days(&ledger, &hands, 10).await;
    ledger.trim(&keep(0, 4)).await.unwrap();
    assert_eq!(seqs(&place, "chain/shop"), [7, 8, 9, 10, 11]);
    days(&ledger, &hands, 3).await;
    let removed = ledger.trim(&keep(0, 4)).await.unwrap();
    assert_eq!((removed[0].through, removed[0].batches), (Seq(10), 4));
    assert_eq!(seqs(&place, "chain/shop"), [11, 12, 13, 14, 15]);
    assert_eq!(seqs(&place, "anchor/shop"), [10]);
    let report = place.read().await.verify(&shop()).await.unwrap();
    assert_eq!((report.records, report.removed), (5, 10));
    assert_eq!(
        trims(&place)
            .await
            .iter()
            .map(|t| t.records)
            .collect::<Vec<_>>(),
        [4, 6]
    );
}

#[tokio::test]
async fn a_record_stays_for_a_day_whatever_the_rule_says() {
    let place = Place::new();
    let (_, clock) = hands();
    let ledger = Ledger::open(&place.at(), FEW, clock).await.unwrap();
    for _ in 0..5 {
        ledger.append(&shop(), vec![moved(1)]).await.unwrap();
    }
    assert!(ledger.trim(&keep(0, 1)).await.unwrap().is_empty());
    assert!(ledger.trim(&Retention::default()).await.unwrap().is_empty());
    assert_eq!(seqs(&place, "chain/shop"), [1, 2, 3, 4, 5]);
}

fn synced(app: &str, output: Digest) -> Record {
    let target = weir_core::name::TargetName::default_target();
    let sync = weir_core::record::SyncRecord {
        commit: None,
        output,
        plugins: Default::default(),
        target,
        prune_on_removal: false,
        outcomes: Vec::new(),
        counts: Default::default(),
        kept: Vec::new(),
        drifted: Vec::new(),
        problem: None,
        bytes: Some(output),
        made: None,
        changed: Vec::new(),
        micros: Default::default(),
    };
    Record {
        app: Some(app.parse().unwrap()),
        event: Event::Synced(sync),
    }
}

#[tokio::test]
async fn bytes_that_only_removed_records_name_go_and_those_that_are_needed_stay() {
    let place = Place::new();
    let (hands, clock) = hands();
    let ledger = Ledger::open(&place.at(), FEW, clock).await.unwrap();
    let put = async |text: &'static str| {
        ledger
            .put_blob(Bytes::from_static(text.as_bytes()))
            .await
            .unwrap()
    };
    let (old, standing, shared, strange) = (
        put("old").await,
        put("standing").await,
        put("shared").await,
        put("strange").await,
    );
    let infra: RepositoryName = "infra".parse().unwrap();
    ledger
        .append(&shop(), vec![synced("web", old), synced("db", standing)])
        .await
        .unwrap();
    ledger
        .append(&shop(), vec![synced("web", shared)])
        .await
        .unwrap();
    hands.fetch_add(9 * DAY, Ordering::Relaxed);
    let new = put("new").await;
    ledger
        .append(&infra, vec![synced("net", shared)])
        .await
        .unwrap();
    ledger
        .append(&shop(), vec![synced("web", new)])
        .await
        .unwrap();
    let removed = ledger.trim(&keep(3, 0)).await.unwrap();
    assert_eq!(removed.iter().map(|r| r.blobs).collect::<Vec<_>>(), [1]);
    let reader = place.read().await;
    assert_eq!(reader.get_blob(old).await.unwrap(), None);
    for digest in [standing, shared, strange, new] {
        assert!(reader.get_blob(digest).await.unwrap().is_some(), "{digest}");
    }
}

#[tokio::test]
async fn bytes_that_were_kept_again_of_late_stay_until_a_record_names_them() {
    let place = Place::new();
    let (hands, clock) = hands();
    let ledger = Ledger::open(&place.at(), FEW, clock).await.unwrap();
    let digest = ledger.put_blob(Bytes::from_static(b"again")).await.unwrap();
    ledger
        .append(&shop(), vec![synced("web", digest)])
        .await
        .unwrap();
    ledger
        .append(&shop(), vec![synced("web", Digest::of(b"other"))])
        .await
        .unwrap();
    let file = place
        .dir()
        .join(format!("blob/{}/{}", &digest.hex()[..2], digest.hex()));
    let long_ago = SystemTime::now() - std::time::Duration::from_secs(9 * 86_400);
    std::fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_modified(long_ago)
        .unwrap();
    ledger.put_blob(Bytes::from_static(b"again")).await.unwrap();
    let written = std::fs::metadata(&file).unwrap().modified().unwrap();
    assert!(
        written > long_ago + std::time::Duration::from_secs(86_400),
        "it is written anew"
    );
    hands.fetch_add(9 * DAY, Ordering::Relaxed);
    std::fs::File::options()
        .write(true)
        .open(&file)
        .unwrap()
        .set_modified(SystemTime::now() + std::time::Duration::from_secs(9 * 86_400))
        .unwrap();
    let removed = ledger.trim(&keep(3, 0)).await.unwrap();
    assert_eq!((removed[0].through, removed[0].blobs), (Seq(2), 0));
    assert!(place.read().await.get_blob(digest).await.unwrap().is_some());
}

/// A chain of which seven days were removed.
async fn trimmed() -> Place {
    let place = Place::new();
    let (hands, clock) = hands();
    let ledger = Ledger::open(&place.at(), FEW, clock).await.unwrap();
    days(&ledger, &hands, 10).await;
    ledger.trim(&keep(3, 0)).await.unwrap();
    // Without checkpoints each load has to look at the anchor.
    ledger.close().await;
    let _ = std::fs::remove_dir_all(place.dir().join("checkpoint"));
    place
}

#[tokio::test]
async fn a_lost_anchor_or_a_batch_behind_it_is_found_and_named() {
    for (lost, named) in [
        (
            "anchor/shop/000000000007.json",
            "anchor/shop/000000000007.json",
        ),
        (
            "chain/shop/000000000008.json",
            "chain/shop/000000000008.json",
        ),
        (
            "chain/shop/000000000009.json",
            "chain/shop/000000000009.json",
        ),
    ] {
        let place = trimmed().await;
        std::fs::remove_file(place.dir().join(lost)).unwrap();
        let reader = place.read().await;
        for error in [
            reader.load(&shop()).await.err(),
            reader.verify(&shop()).await.err(),
            reader.history(&shop(), None, 99).await.err(),
        ] {
            let error = error.unwrap_or_else(|| panic!("{lost}: not found"));
            assert!(
                matches!(error, LedgerError::Damaged { .. }) && error.to_string().contains(named),
                "{lost}: {error}"
            );
        }
        assert!(
            place
                .open()
                .await
                .append(&shop(), vec![moved(1)])
                .await
                .is_err()
        );
    }
}

#[tokio::test]
async fn all_batches_behind_an_anchor_cannot_be_lost_unseen() {
    let place = trimmed().await;
    for seq in 8..=11 {
        std::fs::remove_file(place.batch(seq)).unwrap();
    }
    let error = place.read().await.load(&shop()).await.unwrap_err();
    assert!(
        error.to_string().contains("000000000001.json")
            || error.to_string().contains("000000000008.json"),
        "{error}"
    );
}

#[tokio::test]
async fn an_anchor_that_lies_is_found_though_it_is_sealed() {
    let place = trimmed().await;
    let text = std::fs::read_to_string(place.anchor(7)).unwrap();
    let mut content: serde_json::Value = serde_json::from_str(&text).unwrap();
    content["content"]["status"]["apps"] = serde_json::json!({});
    std::fs::write(place.anchor(7), sealed::seal(&content["content"]).unwrap()).unwrap();
    let error = place.read().await.verify(&shop()).await.unwrap_err();
    assert!(
        error.to_string().contains("no record of the chain says"),
        "{error}"
    );
}

#[tokio::test]
async fn a_reader_beside_a_removal_sees_one_whole_chain() {
    let place = Place::new();
    let (hands, clock) = hands();
    let ledger = Ledger::open(&place.at(), FEW, clock).await.unwrap();
    days(&ledger, &hands, 30).await;
    let whole = ledger.load(&shop()).await.unwrap();
    let reader = ledger.reader().clone();
    let looks = async {
        for _ in 0..20 {
            assert_eq!(reader.load(&shop()).await.unwrap(), whole);
            reader.verify(&shop()).await.unwrap();
            reader.history(&shop(), None, 99).await.unwrap();
            let walk = reader.records(&shop()).await.unwrap();
            let seen = walk.map_ok(|entry| entry.seq);
            let seen: Vec<Seq> = seen
                .and_then(|seq| async move {
                    tokio::task::yield_now().await;
                    Ok(seq)
                })
                .try_collect()
                .await
                .unwrap();
            assert!(seen.is_sorted(), "{seen:?}");
            assert!(seen.last() >= Some(&Seq(30)), "{seen:?}");
        }
    };
    let removals = async {
        for days in (1..20).rev() {
            ledger.trim(&keep(days, 0)).await.unwrap();
            tokio::task::yield_now().await;
        }
    };
    tokio::join!(looks, removals);
}

/// What a full check says is wrong.
async fn wrong(reader: &Reader) -> Option<String> {
    match reader.verify(&shop()).await {
        Err(e) => Some(e.to_string()),
        Ok(report) if !report.bad_checkpoints.is_empty() => Some(format!("{report:?}")),
        Ok(_) => {
            let blobs = reader.verify_blobs().await.unwrap();
            (!blobs.damaged.is_empty()).then(|| format!("{blobs:?}"))
        }
    }
}

fn all_files(dir: &std::path::Path, into: &mut BTreeSet<PathBuf>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => all_files(&path, into),
            false => drop(into.insert(path)),
        }
    }
}

/// One step of a ledger's life.
#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Record>),
    Days(i64),
    /// A removal that is killed before its so many-th write or delete, where it has as many.
    Trim {
        days: u32,
        records: u64,
        stop: usize,
    },
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => proptest::collection::vec(any_record(), 1..4).prop_map(Step::Append),
        3 => (1_i64..4).prop_map(Step::Days),
        2 => (0_u32..4, 0_u64..6, 0_usize..14)
            .prop_map(|(days, records, stop)| Step::Trim { days, records, stop }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whatever_is_removed_and_wherever_it_is_killed_the_status_is_that_of_all_records_ever(
        steps in proptest::collection::vec(any_step(), 1..24),
        flips in proptest::collection::vec((any::<prop::sample::Index>(), any::<prop::sample::Index>(), 0_u8..8), 6),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let (hands, clock) = hands();
            let mut ever = Status::default();
            let mut removed = 0;
            drop(Ledger::open(&place.at(), FEW, clock.clone()).await.unwrap());
            for step in steps {
                match step {
                    Step::Days(days) => { hands.fetch_add(days * DAY, Ordering::Relaxed); }
                    Step::Append(records) => {
                        let ledger = Ledger::open(&place.at(), FEW, clock.clone()).await.unwrap();
                        let seq = ledger.append(&shop(), records.clone()).await.unwrap();
                        ledger.close().await;
                        let at = hands.load(Ordering::Relaxed);
                        records.iter().for_each(|record| ever.fold(seq.0, at, record));
                    }
                    Step::Trim { days, records, stop } => {
                        let (ledger, _) = stopping(&place, clock.clone(), stop).await;
                        let _ = ledger.trim(&keep(days, records)).await;
                        ledger.close().await;
                    }
                }
                let reader = place.read().await;
                prop_assert_eq!(&reader.load(&shop()).await.unwrap(), &ever);
                let found = wrong(&reader).await;
                prop_assert!(found.is_none(), "{:?}", found);
                if !reader.repositories().await.unwrap().is_empty() {
                    let report = reader.verify(&shop()).await.unwrap();
                    prop_assert!(report.removed >= removed, "what was removed stays removed");
                    removed = report.removed;
                }
            }
            let mut all = BTreeSet::new();
            for folder in ["chain", "anchor", "checkpoint"] {
                let dir = place.dir().join(folder);
                if dir.exists() {
                    all_files(&dir, &mut all);
                }
            }
            let all: Vec<PathBuf> = all.into_iter().collect();
            for (file, byte, bit) in flips {
                if all.is_empty() {
                    break;
                }
                let file = file.get(&all);
                let good = std::fs::read(file).unwrap();
                let mut bad = good.clone();
                let at = byte.index(bad.len());
                bad[at] ^= 1 << bit;
                std::fs::write(file, bad).unwrap();
                prop_assert!(wrong(&place.read().await).await.is_some(), "{}: byte {at}, bit {bit}", file.display());
                std::fs::write(file, good).unwrap();
            }
            Ok(())
        })?;
    }
}
