//! Two writers over one bucket of a real S3 server, and the removal of old records there, without the binary.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tempfile::TempDir;
use weir_core::name::RepositoryName;
use weir_core::record::{Event, Record};
use weir_ledger::{
    Clock, Ledger, LedgerError, LedgerLimits, Place, S3Credentials, S3Keys, S3Options, S3Place,
    S3Secret, Seq,
};
use weir_tests::s3::{BUCKET, KEY, S3, SECRET};

/// Two hosts' ledgers over one bucket, in this process.
struct Hosts {
    s3: S3,
    locks: TempDir,
}

impl Hosts {
    fn place(&self, host: &str) -> Place {
        Place::S3(Box::new(S3Place {
            url: format!("s3://{BUCKET}/race").parse().unwrap(),
            options: S3Options {
                endpoint: Some(self.s3.origin()),
                region: "us-east-1".into(),
                virtual_host: false,
                allow_http: true,
                ca_file: None,
                credentials: S3Credentials::Keys(S3Keys {
                    id: KEY.into(),
                    secret: S3Secret::new(SECRET),
                    token: None,
                }),
            },
            lock: self.locks.path().join(host),
        }))
    }

    async fn open(&self, host: &str) -> Ledger {
        let clock: Clock = Arc::new(|| 1_700_000_000);
        Ledger::open(&self.place(host), LedgerLimits::HOST, clock)
            .await
            .unwrap()
    }
}

fn held(why: &str) -> Vec<Record> {
    vec![Record {
        app: Some("web".parse().unwrap()),
        event: Event::Held {
            why: why.into(),
            hold: None,
        },
    }]
}

fn run(test: impl Future<Output = ()>) {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
        .block_on(test);
}

#[test]
fn two_writers_race_for_one_record_and_one_wins_and_the_other_stops() {
    run(async {
        let hosts = Hosts {
            s3: S3::start().unwrap(),
            locks: tempfile::tempdir().unwrap(),
        };
        for round in 0..10 {
            let repository: RepositoryName = format!("shop-{round}").parse().unwrap();
            let (one, two) = (hosts.open("one").await, hosts.open("two").await);
            assert_eq!(one.id(), two.id());
            one.load(&repository).await.unwrap();
            two.load(&repository).await.unwrap();
            let (a, b) = tokio::join!(
                one.append(&repository, held("a")),
                two.append(&repository, held("b"))
            );
            let (winner, loser, lost) = match (a, b) {
                (Ok(seq), Err(e)) => (seq, &two, e),
                (Err(e), Ok(seq)) => (seq, &one, e),
                other => panic!("one of them wins: {other:?}"),
            };
            assert_eq!(winner, Seq(1));
            assert!(
                matches!(&lost, LedgerError::Fenced { seq: 1, .. }),
                "{lost}"
            );
            let again = loser.append(&repository, held("late")).await.unwrap_err();
            assert!(matches!(again, LedgerError::Fenced { .. }), "{again}");
            assert!(
                loser.load(&repository).await.is_err(),
                "what it knows is not how things stand"
            );
            let report = one.reader().verify(&repository).await.unwrap();
            assert_eq!((report.batches, report.records), (1, 1));
            one.close().await;
            two.close().await;
        }
    });
}

#[test]
fn old_records_go_from_a_bucket_too() {
    run(async {
        let hosts = Hosts {
            s3: S3::start().unwrap(),
            locks: tempfile::tempdir().unwrap(),
        };
        let day = Arc::new(std::sync::atomic::AtomicI64::new(20_000));
        let now = day.clone();
        let clock: Clock =
            Arc::new(move || now.load(std::sync::atomic::Ordering::Relaxed) * 86_400);
        let ledger = Ledger::open(&hosts.place("one"), LedgerLimits::HOST, clock)
            .await
            .unwrap();
        let shop: RepositoryName = "shop".parse().unwrap();
        for n in 0..10 {
            ledger.append(&shop, held(&n.to_string())).await.unwrap();
            day.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        }
        let before = ledger.load(&shop).await.unwrap();
        let rule = weir_core::retention::Retention {
            days: std::num::NonZeroU32::new(3),
            records: None,
        };
        let removed = ledger.trim(&rule).await.unwrap();
        assert_eq!((removed[0].through, removed[0].batches), (Seq(7), 7));
        let left = names(&hosts.s3.file("race/chain/shop"));
        assert_eq!(
            left.first().map(String::as_str),
            Some("000000000008.json"),
            "{left:?}"
        );
        let report = ledger.reader().verify(&shop).await.unwrap();
        assert_eq!((report.removed, report.records), (7, 4));
        ledger.close().await;
        let ledger = hosts.open("two").await;
        assert_eq!(ledger.load(&shop).await.unwrap(), before);
    });
}

fn names(dir: &Path) -> Vec<String> {
    let paths: Vec<PathBuf> = fs::read_dir(dir)
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    let mut names: Vec<String> = paths
        .iter()
        .map(|p| p.file_name().unwrap().to_str().unwrap().to_owned())
        .collect();
    names.sort();
    names
}
