//! Damage is found, named and never taken for less.

use super::*;

/// What a load, a full check and the history each say.
async fn errors(place: &Place) -> [Option<LedgerError>; 3] {
    let reader = place.read().await;
    [
        reader.load(&shop()).await.err(),
        reader.verify(&shop()).await.err(),
        reader.history(&shop(), None, usize::MAX).await.err(),
    ]
}

fn flip(path: &std::path::Path, at: usize) {
    let mut bytes = std::fs::read(path).unwrap();
    let at = at % bytes.len();
    bytes[at] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

fn names(error: &LedgerError, place: &Place, number: u64) -> bool {
    matches!(error, LedgerError::Damaged { file, seq: Some(seq), .. } if *file == place.batch(number) && *seq == number)
}

#[tokio::test]
async fn a_flipped_bit_in_any_batch_is_found_and_named() {
    for seq in 1..=3 {
        for at in [0, 20, 90, 150, usize::MAX] {
            let place = Place::with_batches(3).await;
            flip(&place.batch(seq), at);
            for error in errors(&place).await {
                let error = error.unwrap_or_else(|| panic!("batch {seq}, byte {at}: not found"));
                assert!(names(&error, &place, seq), "{error}");
                assert!(
                    error
                        .to_string()
                        .contains(&place.batch(seq).display().to_string()),
                    "{error}"
                );
            }
            let ledger = place.open().await;
            assert!(
                ledger.append(&shop(), vec![moved(1)]).await.is_err(),
                "nothing is written behind damage"
            );
        }
    }
}

#[tokio::test]
async fn a_batch_that_was_cut_short_is_found() {
    let place = Place::with_batches(3).await;
    let bytes = std::fs::read(place.batch(3)).unwrap();
    for cut in [0, 1, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(place.batch(3), &bytes[..cut]).unwrap();
        for error in errors(&place).await {
            assert!(names(&error.unwrap(), &place, 3));
        }
    }
}

#[tokio::test]
async fn a_missing_batch_in_the_middle_or_at_the_start_is_found() {
    for seq in [1, 2] {
        let place = Place::with_batches(3).await;
        std::fs::remove_file(place.batch(seq)).unwrap();
        for error in errors(&place).await {
            assert!(names(&error.unwrap(), &place, seq));
        }
    }
}

#[tokio::test]
async fn lost_batches_at_the_end_are_found_by_a_checkpoint() {
    let place = Place::with_batches(4).await;
    std::fs::remove_file(place.batch(4)).unwrap();
    let [load, verify, _] = errors(&place).await;
    assert!(names(&load.unwrap(), &place, 4));
    assert!(names(&verify.unwrap(), &place, 4));
}

#[tokio::test]
async fn a_batch_from_elsewhere_is_found_though_it_is_whole() {
    let (place, other) = (Place::with_batches(3).await, Place::with_batches(3).await);
    let own = std::fs::read(place.batch(2)).unwrap();
    std::fs::copy(other.batch(2), place.batch(2)).unwrap();
    for error in errors(&place).await {
        let error = error.unwrap();
        assert!(
            names(&error, &place, 2) && error.to_string().contains("in ledger"),
            "{error}"
        );
    }
    // The same ledger's, at another number.
    std::fs::write(place.batch(2), own).unwrap();
    std::fs::copy(place.batch(1), place.batch(3)).unwrap();
    for error in errors(&place).await {
        assert!(names(&error.unwrap(), &place, 3));
    }
}

#[tokio::test]
async fn a_rewritten_batch_breaks_the_link_behind_it() {
    let place = Place::with_batches(3).await;
    let bytes = std::fs::read(place.batch(2)).unwrap();
    let mut batch: chain::Batch = sealed::open(&bytes).unwrap();
    batch.records = vec![failed("web", "nothing happened")];
    std::fs::write(place.batch(2), sealed::seal(&batch).unwrap()).unwrap();
    let mut found = 0;
    for error in errors(&place).await {
        let error = error.unwrap();
        assert!(
            names(&error, &place, 3) && error.to_string().contains("follows a batch with digest"),
            "{error}"
        );
        found += 1;
    }
    assert_eq!(found, 3);
}

#[tokio::test]
async fn torn_files_of_a_killed_write_are_ignored_and_swept() {
    let place = Place::with_batches(2).await;
    let torn = [
        place.dir().join("chain/shop/000000000003.json#1"),
        place.dir().join("chain/shop/000000000002.json#12"),
    ];
    for path in &torn {
        std::fs::write(path, "{\"digest\":\"sha").unwrap();
    }
    let mine = place.dir().join("chain/shop/notes#today");
    std::fs::write(&mine, "mine").unwrap();
    assert_eq!(place.read().await.verify(&shop()).await.unwrap().batches, 2);
    let ledger = place.open().await;
    assert!(torn.iter().all(|path| !path.exists()) && mine.exists());
    assert_eq!(
        ledger.append(&shop(), vec![moved(1)]).await.unwrap(),
        Seq(3)
    );
    let report = ledger.reader().verify(&shop()).await.unwrap();
    assert_eq!((report.batches, report.records), (3, 3));
    assert_eq!(report.strangers, ["chain/shop/notes#today"]);
}

#[tokio::test]
async fn a_damaged_checkpoint_costs_time_and_nothing_else() {
    let place = Place::with_batches(10).await;
    let whole = place.read().await.load(&shop()).await.unwrap();
    assert!(place.checkpoint(4).exists() && place.checkpoint(8).exists());
    flip(&place.checkpoint(8), 200);
    assert_eq!(
        place.read().await.load(&shop()).await.unwrap(),
        whole,
        "from the older one"
    );
    std::fs::write(place.checkpoint(4), "").unwrap();
    assert_eq!(
        place.read().await.load(&shop()).await.unwrap(),
        whole,
        "from the start"
    );
    let report = place.read().await.verify(&shop()).await.unwrap();
    assert_eq!((report.checkpoints, report.bad_checkpoints.len()), (0, 2));
    assert!(
        report.bad_checkpoints[0].starts_with("checkpoint/shop/000000000004.json"),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_checkpoint_that_lies_is_found_by_the_full_check() {
    let place = Place::with_batches(4).await;
    let text = std::fs::read_to_string(place.checkpoint(4)).unwrap();
    let mut content: serde_json::Value = serde_json::from_str(&text).unwrap();
    content["content"]["status"]["apps"] = serde_json::json!({});
    std::fs::write(
        place.checkpoint(4),
        sealed::seal(&content["content"]).unwrap(),
    )
    .unwrap();
    let report = place.read().await.verify(&shop()).await.unwrap();
    assert!(
        report.bad_checkpoints[0].contains("does not agree with the records"),
        "{report:?}"
    );
}

#[tokio::test]
async fn a_checkpoint_of_another_chain_is_not_used() {
    let (place, other) = (Place::with_batches(4).await, Place::with_batches(4).await);
    let whole = place.read().await.load(&shop()).await.unwrap();
    std::fs::copy(other.checkpoint(4), place.checkpoint(4)).unwrap();
    assert_eq!(place.read().await.load(&shop()).await.unwrap(), whole);
}

#[tokio::test]
async fn old_checkpoints_are_removed() {
    let place = Place::with_batches(17).await;
    let left: Vec<_> = std::fs::read_dir(place.dir().join("checkpoint/shop"))
        .unwrap()
        .collect();
    assert_eq!(left.len(), 2);
    assert!(place.checkpoint(12).exists() && place.checkpoint(16).exists());
}

#[tokio::test]
async fn a_damaged_blob_is_an_error_and_not_absent() {
    let place = Place::new();
    let ledger = place.open().await;
    let digest = ledger
        .put_blob(Bytes::from_static(b"rendered"))
        .await
        .unwrap();
    let file = place
        .dir()
        .join("blob")
        .join(&digest.hex()[..2])
        .join(digest.hex());
    for bad in [b"Rendered".as_slice(), b"render", b""] {
        std::fs::write(&file, bad).unwrap();
        let error = ledger.reader().get_blob(digest).await.unwrap_err();
        assert!(
            matches!(&error, LedgerError::Damaged { file: named, .. } if *named == file),
            "{error}"
        );
        assert_eq!(
            ledger.reader().verify_blobs().await.unwrap().damaged.len(),
            1
        );
    }
    assert_eq!(
        ledger
            .put_blob(Bytes::from_static(b"rendered"))
            .await
            .unwrap(),
        digest
    );
    assert!(
        ledger.reader().get_blob(digest).await.unwrap().is_some(),
        "keeping it again heals it"
    );
}

#[tokio::test]
async fn a_newer_format_is_refused_by_name() {
    let place = Place::with_batches(2).await;
    let text = std::fs::read_to_string(place.dir().join("ledger.json")).unwrap();
    let mut identity: serde_json::Value = serde_json::from_str(&text).unwrap();
    identity["content"]["version"] = serde_json::json!(2);
    std::fs::write(
        place.dir().join("ledger.json"),
        sealed::seal(&identity["content"]).unwrap(),
    )
    .unwrap();
    for error in [
        Ledger::open(&place.at(), FEW, clock()).await.err(),
        Ledger::open_read(&place.at(), FEW).await.err(),
    ] {
        let error = error.unwrap();
        assert!(
            matches!(error, LedgerError::Refused { .. })
                && error.to_string().contains("use a newer Weir"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn a_batch_of_a_newer_format_is_refused_by_name() {
    for understood in [true, false] {
        let place = Place::with_batches(2).await;
        let text = std::fs::read_to_string(place.batch(2)).unwrap();
        let mut batch: serde_json::Value = serde_json::from_str(&text).unwrap();
        batch["content"]["version"] = serde_json::json!(2);
        if !understood {
            batch["content"]["records"] = serde_json::json!("in another form");
        }
        std::fs::write(place.batch(2), sealed::seal(&batch["content"]).unwrap()).unwrap();
        let error = place.read().await.load(&shop()).await.unwrap_err();
        assert!(error.to_string().contains("use a newer Weir"), "{error}");
    }
}

#[tokio::test]
async fn chains_without_their_identity_are_not_given_a_new_one() {
    let place = Place::with_batches(1).await;
    std::fs::remove_file(place.dir().join("ledger.json")).unwrap();
    let error = Ledger::open(&place.at(), FEW, clock()).await.err().unwrap();
    assert!(matches!(error, LedgerError::Damaged { .. }), "{error}");
    assert!(!place.dir().join("ledger.json").exists());
}
