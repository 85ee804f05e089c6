//! Appends that come together share a write, and folding is the same however it is cut.

use proptest::prelude::*;

use super::*;

fn batches(place: &Place) -> usize {
    std::fs::read_dir(place.dir().join("chain/shop"))
        .unwrap()
        .count()
}

#[tokio::test]
async fn appends_that_come_together_become_durable_together() {
    let place = Place::new();
    let ledger = place.open().await;
    let shop = shop();
    let appends = (0..40).map(|n| ledger.append(&shop, vec![failed("web", &n.to_string())]));
    let appends: Vec<_> = futures::future::join_all(appends.collect::<Vec<_>>()).await;
    let seqs: Vec<Seq> = appends.into_iter().map(|seq| seq.unwrap()).collect();
    assert!(
        batches(&place) < 20,
        "{} files for 40 appends",
        batches(&place)
    );
    assert_eq!(seqs.iter().max(), Some(&Seq(batches(&place) as u64)));
    let history = ledger.reader().history(&shop, None, 100).await.unwrap();
    assert_eq!(history.len(), 40, "each one once");
    for (n, seq) in seqs.iter().enumerate() {
        let found = history
            .iter()
            .find(|e| e.record == failed("web", &n.to_string()))
            .unwrap();
        assert_eq!(
            found.seq, *seq,
            "each caller is told the batch that has its records"
        );
    }
}

#[tokio::test]
async fn a_batch_stays_within_its_limits() {
    let place = Place::new();
    let ledger = place.open().await;
    let shop = shop();
    let appends: Vec<_> = (0..30)
        .map(|n| ledger.append(&shop, vec![failed("web", &n.to_string()); 3]))
        .collect();
    assert!(
        futures::future::join_all(appends)
            .await
            .iter()
            .all(std::result::Result::is_ok)
    );
    let history = ledger.reader().history(&shop, None, 1000).await.unwrap();
    for seq in 1..=batches(&place) as u64 {
        let records = history.iter().filter(|e| e.seq == Seq(seq)).count();
        assert!(
            records <= FEW.batch_records && records % 3 == 0,
            "batch {seq} has {records}"
        );
    }
}

#[tokio::test]
async fn what_was_asked_for_before_a_close_is_written() {
    let place = Place::new();
    let ledger = Arc::new(place.open().await);
    let asked: Vec<_> = (0..10)
        .map(|n| {
            let ledger = Arc::clone(&ledger);
            tokio::spawn(async move {
                ledger
                    .append(&shop(), vec![failed("web", &n.to_string())])
                    .await
            })
        })
        .collect();
    for append in asked {
        append.await.unwrap().unwrap();
    }
    Arc::into_inner(ledger).unwrap().close().await;
    assert_eq!(
        place.read().await.verify(&shop()).await.unwrap().records,
        10
    );
}

pub(super) fn any_record() -> impl Strategy<Value = Record> {
    let app = prop_oneof![Just("web"), Just("db"), Just("shop.prod")];
    let id = |name: String| weir_core::object::ResourceId {
        group: "apps".into(),
        kind: "Deployment".into(),
        namespace: Some("shop".parse().unwrap()),
        name,
    };
    let stake = proptest::collection::vec("[a-d]", 0..4).prop_map(move |names| {
        Event::Staked(Stake {
            commit: None,
            target: weir_core::name::TargetName::default_target(),
            output: Digest::of(b"o"),
            writes: names
                .into_iter()
                .map(|name| (id(name.clone()), Digest::of(name.as_bytes())))
                .collect(),
            prunes: Vec::new(),
            taken: vec![(id("a".into()), "db".parse().unwrap())],
            found: Vec::new(),
        })
    });
    let event = prop_oneof![
        stake,
        ".{0,20}".prop_map(|why| Event::Held { why, hold: None }),
        Just(Event::Removed),
        any::<u8>().prop_map(|n| moved(n).event),
        ".{0,20}".prop_map(|m| failed("web", &m).event),
    ];
    (app, event).prop_map(|(app, event)| Record {
        app: Some(app.parse().unwrap()),
        event,
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn a_status_from_a_checkpoint_equals_the_full_fold(
        groups in proptest::collection::vec(proptest::collection::vec(any_record(), 1..4), 1..14),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let place = Place::new();
            let ledger = place.open().await;
            for group in groups {
                ledger.append(&shop(), group).await.unwrap();
            }
            let running = ledger.load(&shop()).await.unwrap();
            ledger.close().await;
            let reader = place.read().await;
            prop_assert_eq!(&reader.load(&shop()).await.unwrap(), &running);
            prop_assert!(reader.verify(&shop()).await.unwrap().bad_checkpoints.is_empty());
            let _ = std::fs::remove_dir_all(place.dir().join("checkpoint"));
            prop_assert_eq!(&reader.load(&shop()).await.unwrap(), &running);
            Ok(())
        })?;
    }
}
