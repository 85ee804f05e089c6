//! The ledger against a real directory: what it keeps, what it finds damaged, and who may write.

mod damage;
mod fence;
mod group;
mod stops;
mod trim;

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};

use weir_core::digest::CommitId;
use weir_core::fault::Fault;
use weir_core::record::{CommitRecord, Movement, Problem};

use super::*;

const FEW: LedgerLimits = LedgerLimits {
    batch_records: 8,
    batch_bytes: 4096,
    queue: 16,
    file_bytes: 1 << 20,
    checkpoint_every: 4,
};

/// A clock that moves one second at each look.
fn clock() -> Clock {
    let now = AtomicI64::new(1_700_000_000);
    Arc::new(move || now.fetch_add(1, Ordering::Relaxed))
}

fn shop() -> RepositoryName {
    "shop".parse().unwrap()
}

fn failed(app: &str, message: &str) -> Record {
    let problem = Problem {
        stage: "render".into(),
        fault: Fault::Plugin,
        message: message.into(),
    };
    Record {
        app: Some(app.parse().unwrap()),
        event: Event::Failed {
            commit: None,
            problem,
        },
    }
}

fn moved(n: u8) -> Record {
    let commit = CommitRecord {
        commit: CommitId::from_bytes([n; 20]),
        movement: Movement::First,
        author: "A <a@example>".into(),
        committer: "A <a@example>".into(),
        merger: None,
        committed: 0,
        subject: format!("commit {n}"),
        signer: None,
        accepted: false,
    };
    Record {
        app: None,
        event: Event::Commit(commit),
    }
}

/// A directory for one ledger.
struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Place {
        Place(tempfile::tempdir().unwrap())
    }

    fn dir(&self) -> PathBuf {
        self.0.path().join("ledger")
    }

    fn at(&self) -> crate::Place {
        crate::Place::Dir(self.dir())
    }

    fn anchor(&self, seq: u64) -> PathBuf {
        self.dir().join(format!("anchor/shop/{seq:012}.json"))
    }

    fn batch(&self, seq: u64) -> PathBuf {
        self.dir().join(format!("chain/shop/{seq:012}.json"))
    }

    fn checkpoint(&self, seq: u64) -> PathBuf {
        self.dir().join(format!("checkpoint/shop/{seq:012}.json"))
    }

    async fn open(&self) -> Ledger {
        Ledger::open(&self.at(), FEW, clock()).await.unwrap()
    }

    async fn read(&self) -> Reader {
        Ledger::open_read(&self.at(), FEW).await.unwrap()
    }

    /// Writes this many batches of one record and closes.
    async fn with_batches(count: u64) -> Place {
        let place = Place::new();
        let ledger = place.open().await;
        for n in 1..=count {
            assert_eq!(
                ledger
                    .append(&shop(), vec![failed("web", &format!("message {n}"))])
                    .await
                    .unwrap(),
                Seq(n)
            );
        }
        ledger.close().await;
        place
    }
}

#[tokio::test]
async fn a_restart_finds_what_was_written() {
    let place = Place::new();
    let ledger = place.open().await;
    let id = ledger.id().clone();
    ledger
        .append(&shop(), vec![moved(1), failed("web", "first")])
        .await
        .unwrap();
    ledger
        .append(&shop(), vec![failed("db", "second")])
        .await
        .unwrap();
    let status = ledger.load(&shop()).await.unwrap();
    ledger.close().await;

    let ledger = place.open().await;
    assert_eq!(ledger.id(), &id);
    assert_eq!(ledger.load(&shop()).await.unwrap(), status);
    assert_eq!(status.apps.len(), 2);
    let history = ledger.reader().history(&shop(), None, 10).await.unwrap();
    let records: Vec<_> = history
        .iter()
        .map(|entry| (entry.seq.0, entry.record.clone()))
        .collect();
    assert_eq!(
        records,
        [
            (2, failed("db", "second")),
            (1, failed("web", "first")),
            (1, moved(1))
        ]
    );
    assert!(history[0].at > history[1].at);
    assert_eq!(
        ledger.append(&shop(), vec![moved(2)]).await.unwrap(),
        Seq(3),
        "the chain goes on"
    );
}

#[tokio::test]
async fn history_is_of_one_app_and_no_longer_than_asked_for() {
    let place = Place::with_batches(5).await;
    let ledger = place.open().await;
    ledger
        .append(
            &shop(),
            vec![failed("db", "a"), failed("db", "b"), failed("web", "c")],
        )
        .await
        .unwrap();
    let db = "db".parse().unwrap();
    let of_db = ledger
        .reader()
        .history(&shop(), Some(&db), 9)
        .await
        .unwrap();
    assert_eq!(
        of_db.iter().map(|e| &e.record).collect::<Vec<_>>(),
        [&failed("db", "b"), &failed("db", "a")]
    );
    assert_eq!(
        ledger
            .reader()
            .history(&shop(), None, 2)
            .await
            .unwrap()
            .len(),
        2
    );
    assert_eq!(
        ledger
            .reader()
            .history(&shop(), None, 0)
            .await
            .unwrap()
            .len(),
        0
    );
}

#[tokio::test]
async fn an_unknown_repository_has_an_empty_status_and_writes_nothing() {
    let place = Place::new();
    let ledger = place.open().await;
    assert_eq!(ledger.load(&shop()).await.unwrap(), Status::default());
    assert!(ledger.reader().repositories().await.unwrap().is_empty());
    assert!(!place.dir().join("chain").exists());
}

#[tokio::test]
async fn repositories_have_chains_of_their_own() {
    let place = Place::with_batches(2).await;
    let ledger = place.open().await;
    let infra: RepositoryName = "infra".parse().unwrap();
    assert_eq!(ledger.append(&infra, vec![moved(9)]).await.unwrap(), Seq(1));
    assert_eq!(
        ledger.reader().repositories().await.unwrap(),
        [infra.clone(), shop()]
    );
    assert!(ledger.load(&infra).await.unwrap().apps.is_empty());
    std::fs::write(place.batch(1), "damaged").unwrap();
    assert!(ledger.load(&shop()).await.is_err());
    assert!(
        ledger.append(&infra, vec![moved(10)]).await.is_ok(),
        "one repository's damage stops no other"
    );
}

#[tokio::test]
async fn a_stake_is_a_record_that_the_status_knows() {
    let place = Place::new();
    let ledger = place.open().await;
    let id = weir_core::object::ResourceId {
        group: String::new(),
        kind: "ConfigMap".into(),
        namespace: None,
        name: "a".into(),
    };
    let digest = Digest::of(b"a");
    let stake = Stake {
        commit: None,
        target: weir_core::name::TargetName::default_target(),
        output: digest,
        writes: vec![(id.clone(), digest)],
        prunes: Vec::new(),
        taken: Vec::new(),
        found: Vec::new(),
    };
    let web: AppName = "web".parse().unwrap();
    assert_eq!(
        ledger.append_stake(&shop(), &web, stake).await.unwrap(),
        StakeId(1)
    );
    ledger.close().await;
    let status = place.read().await.load(&shop()).await.unwrap();
    assert_eq!(
        status.apps[&web].inventory.get(&id),
        Some(&weir_core::inventory::Holding::Intended(digest))
    );
}

#[tokio::test]
async fn the_directory_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let place = Place::new();
    let _ledger = place.open().await;
    assert_eq!(
        std::fs::metadata(place.dir()).unwrap().permissions().mode() & 0o777,
        0o700
    );
}

#[tokio::test]
async fn more_than_one_batch_may_hold_is_refused_and_nothing_is_written() {
    let place = Place::new();
    let ledger = place.open().await;
    let error = ledger.append(&shop(), vec![moved(1); 9]).await.unwrap_err();
    assert!(
        matches!(
            error,
            LedgerError::TooLarge {
                unit: "records",
                size: 9,
                limit: 8
            }
        ),
        "{error}"
    );
    let error = ledger
        .append(&shop(), vec![failed("web", &"x".repeat(5000))])
        .await
        .unwrap_err();
    assert!(
        matches!(error, LedgerError::TooLarge { unit: "bytes", .. }),
        "{error}"
    );
    let error = ledger
        .put_blob(Bytes::from(vec![0; (1 << 20) + 1]))
        .await
        .unwrap_err();
    assert!(
        matches!(error, LedgerError::TooLarge { unit: "bytes", .. }),
        "{error}"
    );
    assert!(!place.dir().join("chain").exists() && !place.dir().join("blob").exists());
}

#[tokio::test]
async fn a_second_process_is_refused_and_may_look_on() {
    let place = Place::with_batches(1).await;
    let ledger = place.open().await;
    let error = Ledger::open(&place.at(), FEW, clock())
        .await
        .err()
        .expect("it is locked");
    assert!(
        matches!(
            error,
            LedgerError::Locked {
                holder: Some(_),
                ..
            }
        ),
        "{error}"
    );
    let reader = place.read().await;
    assert_eq!(
        reader.load(&shop()).await.unwrap(),
        ledger.load(&shop()).await.unwrap()
    );
    ledger.append(&shop(), vec![moved(1)]).await.unwrap();
    assert!(
        reader.load(&shop()).await.unwrap().head.is_some(),
        "it sees what was written since"
    );
    ledger.close().await;
    place.open().await;
}

#[tokio::test]
async fn looking_at_a_ledger_that_is_not_there_says_so_and_makes_none() {
    let place = Place::new();
    let error = Ledger::open_read(&place.at(), FEW)
        .await
        .err()
        .expect("there is none");
    assert!(
        error.to_string().contains("there is no ledger yet"),
        "{error}"
    );
    assert!(!place.dir().exists());
    std::fs::create_dir(place.dir()).unwrap();
    let error = Ledger::open_read(&place.at(), FEW)
        .await
        .err()
        .expect("there is none");
    assert!(
        error.to_string().contains("there is no ledger yet"),
        "{error}"
    );
}

#[tokio::test]
async fn bytes_are_kept_by_digest() {
    let place = Place::new();
    let ledger = place.open().await;
    let digest = ledger
        .put_blob(Bytes::from_static(b"rendered"))
        .await
        .unwrap();
    assert_eq!(digest, Digest::of(b"rendered"));
    assert_eq!(
        ledger
            .put_blob(Bytes::from_static(b"rendered"))
            .await
            .unwrap(),
        digest,
        "twice is once"
    );
    ledger.close().await;
    let reader = place.read().await;
    assert_eq!(
        reader.get_blob(digest).await.unwrap().as_deref(),
        Some(b"rendered".as_slice())
    );
    assert_eq!(reader.get_blob(Digest::of(b"other")).await.unwrap(), None);
    assert_eq!(
        reader.verify_blobs().await.unwrap(),
        BlobReport {
            good: 1,
            ..BlobReport::default()
        }
    );
}
