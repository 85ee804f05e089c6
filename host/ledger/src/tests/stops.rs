//! A store that dies before its so many-th change, as a killed process does, at every step of a write and of a removal.

use std::sync::atomic::AtomicUsize;

use futures::StreamExt as _;
use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::*;

/// Does so many changes and none after, whatever is asked; reads go on, for a dead process asks nothing.
#[derive(Debug)]
struct Stopping {
    inner: LocalFileSystem,
    left: Arc<AtomicUsize>,
    done: Arc<AtomicUsize>,
}

impl std::fmt::Display for Stopping {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a store that stops")
    }
}

fn step(left: &AtomicUsize, done: &AtomicUsize) -> Result<()> {
    let took = left.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
        left.checked_sub(1)
    });
    match took {
        Ok(_) => {
            done.fetch_add(1, Ordering::SeqCst);
            Ok(())
        }
        Err(_) => Err(object_store::Error::Generic {
            store: "stopping",
            source: "killed".into(),
        }),
    }
}

#[async_trait::async_trait]
impl ObjectStore for Stopping {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        options: PutOptions,
    ) -> Result<PutResult> {
        step(&self.left, &self.done)?;
        self.inner.put_opts(location, payload, options).await
    }
    async fn put_multipart_opts(
        &self,
        location: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(location, options).await
    }
    async fn get_opts(&self, location: &Path, options: GetOptions) -> Result<GetResult> {
        self.inner.get_opts(location, options).await
    }
    fn delete_stream(
        &self,
        locations: BoxStream<'static, Result<Path>>,
    ) -> BoxStream<'static, Result<Path>> {
        let (left, done) = (self.left.clone(), self.done.clone());
        let allowed = locations.map(move |location| step(&left, &done).and(location));
        self.inner.delete_stream(allowed.boxed())
    }
    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }
    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }
    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// A ledger that was opened well and then may change its store so many times; and how many it did.
pub(super) async fn stopping(
    place: &Place,
    clock: Clock,
    changes: usize,
) -> (Ledger, Arc<AtomicUsize>) {
    let lock = Lock::take(&place.dir()).unwrap();
    let left = Arc::new(AtomicUsize::new(usize::MAX));
    let done = Arc::new(AtomicUsize::new(0));
    let store = Stopping {
        inner: LocalFileSystem::new_with_prefix(place.dir()).unwrap(),
        left: left.clone(),
        done: done.clone(),
    };
    let store = Store::over(Arc::new(store), &place.dir(), FEW.file_bytes);
    let ledger = Ledger::over(store, FEW, clock, (lock, None)).await.unwrap();
    left.store(changes, Ordering::SeqCst);
    done.store(0, Ordering::SeqCst);
    (ledger, done)
}

#[tokio::test]
async fn killed_at_every_step_of_a_write_its_records_are_all_there_or_none() {
    // The fourth batch brings a checkpoint, the twelfth removes one.
    for before in [0, 3, 11] {
        let mut stop = 0;
        loop {
            let place = Place::with_batches(before).await;
            let known = place.read().await.load(&shop()).await.unwrap();
            let (ledger, done) = stopping(&place, clock(), stop).await;
            let result = ledger
                .append(&shop(), vec![moved(1), failed("db", "both")])
                .await;
            ledger.close().await;
            let ended = done.load(Ordering::SeqCst) < stop;

            let reader = place.read().await;
            let report = reader.verify(&shop()).await.unwrap();
            assert!(report.bad_checkpoints.is_empty(), "{report:?}");
            let status = reader.load(&shop()).await.unwrap();
            match &result {
                Ok(seq) => {
                    assert_eq!((seq.0, report.records), (before + 1, before + 2));
                    assert!(status.head.is_some() && status.apps.len() > known.apps.len());
                }
                Err(_) => assert_eq!(
                    (report.records, &status),
                    (before, &known),
                    "stopped at {stop}"
                ),
            }
            let ledger = place.open().await;
            assert_eq!(
                ledger.append(&shop(), vec![moved(2)]).await.unwrap().0,
                report.batches + 1
            );
            if ended {
                assert!(stop >= 2, "a write has steps to be killed at");
                break;
            }
            stop += 1;
        }
    }
}

#[tokio::test]
async fn killed_at_every_step_of_its_making_a_ledger_is_whole_or_is_made_by_the_next_start() {
    for stop in 0..4 {
        let place = Place::new();
        std::fs::create_dir_all(place.dir()).unwrap();
        let lock = Lock::take(&place.dir()).unwrap();
        let store = Stopping {
            inner: LocalFileSystem::new_with_prefix(place.dir()).unwrap(),
            left: Arc::new(AtomicUsize::new(stop)),
            done: Arc::default(),
        };
        let store = Store::over(Arc::new(store), &place.dir(), FEW.file_bytes);
        let made = Ledger::over(store, FEW, clock(), (lock, None)).await;
        let id = made.ok().map(|ledger| ledger.id().clone());
        let again = place.open().await;
        assert!(id.is_none_or(|id| id == *again.id()), "stopped at {stop}");
        assert_eq!(again.append(&shop(), vec![moved(1)]).await.unwrap(), Seq(1));
    }
}

#[tokio::test]
async fn killed_at_every_step_bytes_are_whole_or_not_there() {
    let bytes = Bytes::from_static(b"rendered");
    for stop in 0..2 {
        let place = Place::with_batches(1).await;
        let (ledger, _) = stopping(&place, clock(), stop).await;
        let kept = ledger.put_blob(bytes.clone()).await;
        ledger.close().await;
        let reader = place.read().await;
        let found = reader.get_blob(Digest::of(&bytes)).await.unwrap();
        assert_eq!(found.is_some(), kept.is_ok(), "stopped at {stop}");
        assert!(reader.verify_blobs().await.unwrap().damaged.is_empty());
    }
}
