//! Two writers of one chain, and a store whose answers get lost.

use std::sync::atomic::AtomicUsize;

use futures::stream::BoxStream;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::{
    CopyOptions, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    PutMode, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};

use super::*;

/// What goes wrong with creates under `chain/`, as it goes wrong on a network or a full disk.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Trouble {
    /// The write is done and its answer lost, this many times.
    AnswerLost(usize),
    /// Nothing is written, this many times.
    Refused(usize),
    /// A create replaces what is there.
    CreatesTwice,
    /// All is well.
    None,
}

#[derive(Debug)]
struct Troubled {
    inner: LocalFileSystem,
    trouble: Trouble,
    met: AtomicUsize,
}

impl std::fmt::Display for Troubled {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a troubled store")
    }
}

fn trouble() -> object_store::Error {
    let io = std::io::Error::from(std::io::ErrorKind::StorageFull);
    object_store::Error::Generic {
        store: "troubled",
        source: Box::new(io),
    }
}

#[async_trait::async_trait]
impl ObjectStore for Troubled {
    async fn put_opts(
        &self,
        location: &Path,
        payload: PutPayload,
        mut options: PutOptions,
    ) -> Result<PutResult> {
        if self.trouble == Trouble::CreatesTwice {
            options.mode = PutMode::Overwrite;
        }
        if !location.as_ref().starts_with("chain/") {
            return self.inner.put_opts(location, payload, options).await;
        }
        let met = self.met.fetch_add(1, Ordering::Relaxed);
        match self.trouble {
            Trouble::AnswerLost(times) if met < times => {
                let _ = self.inner.put_opts(location, payload, options).await;
                Err(trouble())
            }
            Trouble::Refused(times) if met < times => Err(trouble()),
            _ => self.inner.put_opts(location, payload, options).await,
        }
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
        self.inner.delete_stream(locations)
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

/// A ledger over a troubled store. Its lock is another one than [`Place::open`]'s: another host's.
async fn troubled(place: &Place, trouble: Trouble) -> std::result::Result<Ledger, LedgerError> {
    std::fs::create_dir_all(place.dir()).unwrap();
    let inner = LocalFileSystem::new_with_prefix(place.dir()).unwrap();
    let store = Troubled {
        inner,
        trouble,
        met: AtomicUsize::new(0),
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let lock = Lock::take(elsewhere.path()).unwrap();
    Ledger::over(
        Store::over(Arc::new(store), &place.dir(), FEW.file_bytes),
        FEW,
        clock(),
        (lock, None),
    )
    .await
}

async fn messages(place: &Place) -> Vec<String> {
    let history = place
        .read()
        .await
        .history(&shop(), None, 100)
        .await
        .unwrap();
    history
        .into_iter()
        .rev()
        .filter_map(|entry| match entry.record.event {
            Event::Failed { problem, .. } => Some(problem.message),
            _ => None,
        })
        .collect()
}

#[tokio::test]
async fn a_retry_that_finds_its_own_batch_has_succeeded() {
    let place = Place::new();
    let ledger = troubled(&place, Trouble::AnswerLost(1)).await.unwrap();
    assert_eq!(
        ledger
            .append(&shop(), vec![failed("web", "one")])
            .await
            .unwrap(),
        Seq(1)
    );
    assert_eq!(
        ledger
            .append(&shop(), vec![failed("web", "two")])
            .await
            .unwrap(),
        Seq(2)
    );
    assert_eq!(messages(&place).await, ["one", "two"]);
}

#[tokio::test]
async fn a_write_that_failed_leaves_no_gap() {
    let place = Place::new();
    let ledger = troubled(&place, Trouble::Refused(2)).await.unwrap();
    let error = ledger
        .append(&shop(), vec![failed("web", "lost")])
        .await
        .unwrap_err();
    assert!(
        matches!(error, LedgerError::Store { .. }) && error.to_string().contains("disk is full"),
        "{error}"
    );
    assert_eq!(
        ledger
            .append(&shop(), vec![failed("web", "kept")])
            .await
            .unwrap(),
        Seq(1)
    );
    assert_eq!(messages(&place).await, ["kept"]);
    assert_eq!(
        ledger.load(&shop()).await.unwrap(),
        place.read().await.load(&shop()).await.unwrap()
    );
}

#[tokio::test]
async fn a_write_that_failed_and_is_there_counts_as_it_would_after_a_restart() {
    let place = Place::new();
    let ledger = troubled(&place, Trouble::AnswerLost(2)).await.unwrap();
    assert!(
        ledger
            .append(&shop(), vec![failed("web", "said to be lost")])
            .await
            .is_err()
    );
    assert_eq!(
        ledger
            .append(&shop(), vec![failed("db", "kept")])
            .await
            .unwrap(),
        Seq(2)
    );
    assert_eq!(messages(&place).await, ["said to be lost", "kept"]);
    assert_eq!(
        ledger.load(&shop()).await.unwrap(),
        place.read().await.load(&shop()).await.unwrap()
    );
}

#[tokio::test]
async fn a_batch_of_another_writer_fences_this_one_for_good() {
    let place = Place::with_batches(1).await;
    let stale = troubled(&place, Trouble::None).await.unwrap();
    assert_eq!(stale.load(&shop()).await.unwrap().apps.len(), 1);
    let other = place.open().await;
    other
        .append(&shop(), vec![failed("db", "from the other host")])
        .await
        .unwrap();
    for _ in 0..2 {
        let error = stale
            .append(&shop(), vec![failed("web", "too late")])
            .await
            .unwrap_err();
        assert!(
            matches!(&error, LedgerError::Fenced { repository, seq: 2 } if *repository == shop()),
            "{error}"
        );
    }
    assert_eq!(messages(&place).await, ["message 1", "from the other host"]);
    assert!(
        other
            .append(&shop(), vec![failed("db", "goes on")])
            .await
            .is_ok()
    );
}

#[tokio::test]
async fn a_store_that_creates_one_file_twice_is_refused() {
    let place = Place::new();
    let error = troubled(&place, Trouble::CreatesTwice)
        .await
        .err()
        .expect("it cannot keep a chain");
    assert!(
        matches!(&error, LedgerError::Refused { why, .. } if why.contains("put-if-absent")),
        "{error}"
    );
    assert!(!place.dir().join("ledger.json").exists());
}

#[tokio::test]
async fn two_hosts_that_start_at_once_share_one_identity() {
    let place = Place::new();
    let (one, two) = tokio::join!(
        troubled(&place, Trouble::None),
        troubled(&place, Trouble::None)
    );
    assert_eq!(one.unwrap().id(), two.unwrap().id());
}
