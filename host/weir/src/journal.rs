//! One repository's chain in the ledger with the status that its records fold to: append, then fold.

use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use tokio::sync::{RwLock, RwLockReadGuard};
use weir_api::{Asked, is_listening};
use weir_core::decision::{self, Ask, Decision, Undecided};
use weir_core::digest::Digest;
use weir_core::name::{AppName, RepositoryName};
use weir_core::owner::Claim;
use weir_core::plan::ByObject;
use weir_core::record::{Event, Record};
use weir_core::stake::{Stake, StakeId, StakeLog};
use weir_core::status::Status;
use weir_core::validate::OutputLimits;
use weir_ledger::{Ledger, LedgerError, LedgerId, LedgerLimits, Seq};

use crate::config::Places;
use crate::control::socket_path;
use crate::error::Error;
use crate::pins;

/// Opens this host's ledger for writing, alone.
pub(crate) async fn open_ledger(places: &Places) -> Result<Arc<Ledger>, Error> {
    open_with(places, None).await
}

/// The same, where one that is made has this id: that of a ledger that was lost.
pub(crate) async fn open_ledger_as(places: &Places, id: &LedgerId) -> Result<Arc<Ledger>, Error> {
    open_with(places, Some(id.clone())).await
}

async fn open_with(places: &Places, id: Option<LedgerId>) -> Result<Arc<Ledger>, Error> {
    match Ledger::open_as(&places.ledger, LedgerLimits::HOST, Arc::new(now), id).await {
        Ok(ledger) => Ok(Arc::new(ledger)),
        Err(e) => Err(in_use(places, &e).await),
    }
}

/// The chain of one repository.
pub(crate) struct Journal {
    ledger: Arc<Ledger>,
    repository: RepositoryName,
    kept: Mutex<Kept>,
    /// Whether the outcome of a write is unknown: its records may count nevertheless, so all is read back before the
    /// next one. Held for reading from a write until it is folded.
    unsure: RwLock<bool>,
}

/// What the records fold to, and who holds each object of it.
struct Kept {
    status: Status,
    holders: ByObject,
}

impl Journal {
    /// Folds what the ledger knows of this repository.
    pub(crate) async fn open(
        ledger: Arc<Ledger>,
        repository: RepositoryName,
    ) -> Result<Journal, Error> {
        let status = ledger
            .load(&repository)
            .await
            .map_err(|e| Error::stage("record", &e))?;
        Ok(Journal {
            ledger,
            repository,
            kept: Mutex::new(Kept {
                holders: ByObject::holding(&status),
                status,
            }),
            unsure: RwLock::new(false),
        })
    }

    /// The repository.
    pub(crate) fn repository(&self) -> &RepositoryName {
        &self.repository
    }

    /// The ledger's id.
    pub(crate) fn ledger_id(&self) -> String {
        self.ledger.id().to_string()
    }

    /// Who asks a target, when one app of the repository does.
    pub(crate) fn claim(&self, app: &AppName) -> Claim {
        Claim {
            ledger: self.ledger_id(),
            repository: self.repository.clone(),
            app: app.clone(),
        }
    }

    /// Looks at the status.
    pub(crate) fn status<T>(&self, look: impl FnOnce(&Status) -> T) -> T {
        self.holders(|status, _| look(status))
    }

    /// Looks at the status, and at who holds each object of it.
    pub(crate) fn holders<T>(&self, look: impl FnOnce(&Status, &ByObject) -> T) -> T {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        look(&kept.status, &kept.holders)
    }

    /// Keeps records, then folds them: what the status says is always durable.
    pub(crate) async fn append(&self, records: Vec<Record>) -> Result<(), Error> {
        self.keep(records)
            .await
            .map(drop)
            .map_err(|e| Error::stage("record", &e))
    }

    async fn keep(&self, records: Vec<Record>) -> Result<Seq, LedgerError> {
        let sure = self.sure().await?;
        let kept = self.ledger.append(&self.repository, records.clone()).await;
        match &kept {
            Ok(seq) => self.fold(*seq, &records),
            // Nothing was written.
            Err(LedgerError::Fenced { .. } | LedgerError::TooLarge { .. }) => {}
            Err(_) => {
                drop(sure);
                *self.unsure.write().await = true;
            }
        }
        kept
    }

    /// Reads all back where the outcome of a write was unknown.
    async fn sure(&self) -> Result<RwLockReadGuard<'_, bool>, LedgerError> {
        loop {
            let unsure = self.unsure.read().await;
            if !*unsure {
                return Ok(unsure);
            }
            drop(unsure);
            let mut unsure = self.unsure.write().await;
            let status = self.ledger.load(&self.repository).await?;
            let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
            kept.holders = ByObject::holding(&status);
            kept.status = status;
            *unsure = false;
        }
    }

    /// Keeps an output's bytes in the ledger, durably: the blob's digest.
    pub(crate) async fn keep_bytes(&self, bytes: Bytes) -> Result<Digest, Error> {
        let kept = self.ledger.put_blob(bytes).await;
        kept.map_err(|e| Error::stage("record", &e))
    }

    /// What the ledger keeps under a digest.
    pub(crate) async fn bytes(&self, digest: Digest) -> Result<Bytes, Error> {
        let found = self.ledger.reader().get_blob(digest).await;
        let found = found.map_err(|e| Error::stage("record", &e))?;
        found.ok_or_else(|| {
            Error::host("record", format!("the ledger has no blob {digest}: it was removed, or the record is another ledger's"))
        })
    }

    fn fold(&self, seq: Seq, records: &[Record]) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { status, holders } = &mut *kept;
        for record in records {
            holders.fold(status, seq.0, now(), record);
        }
    }
}

/// Why the ledger did not open, with the way to whoever holds it where that is a host that listens.
async fn in_use(places: &Places, error: &LedgerError) -> Error {
    let stage = Error::stage("record", error);
    let (LedgerError::Locked { .. }, Ok(socket)) = (error, socket_path(&places.state)) else {
        return stage;
    };
    if !is_listening(&socket).await {
        return stage;
    }
    Error::host(
        "record",
        format!(
            "{error}. A host is running there: `weir refresh` with the same --state asks it to sync now"
        ),
    )
}

/// Keeps what was asked for an app, where it fits how the app stands.
///
/// # Errors
/// [`Undecided`] in the inner one; the outer one is the ledger's.
pub(crate) async fn decide(
    journal: &Journal,
    asked: &Asked,
    rendered: Option<Digest>,
) -> Result<Result<(), Undecided>, Error> {
    let app = &asked.app;
    if let Ask::RollBack(to) = &asked.ask {
        pins::check(journal, app, to, OutputLimits::HOST).await?;
    }
    let decided = |status: &Status| decision::decide(status, app, &asked.ask, rendered);
    let choice = match journal.status(decided) {
        Ok(choice) => choice,
        Err(undecided) => return Ok(Err(undecided)),
    };
    let (by, why) = (asked.by.clone(), asked.why.clone());
    let record = Record {
        app: Some(app.clone()),
        event: Event::Decided(Decision { choice, by, why }),
    };
    journal.append(vec![record]).await.map(Ok)
}

impl StakeLog for Journal {
    type Error = LedgerError;

    async fn append_stake(
        &self,
        repository: &RepositoryName,
        app: &AppName,
        stake: Stake,
    ) -> Result<StakeId, LedgerError> {
        debug_assert_eq!(*repository, self.repository);
        let record = Record {
            app: Some(app.clone()),
            event: Event::Staked(stake),
        };
        self.keep(vec![record]).await.map(|seq| StakeId(seq.0))
    }
}

/// Seconds since 1970.
pub(crate) fn now() -> i64 {
    jiff::Timestamp::now().as_second()
}
