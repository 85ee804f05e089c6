//! The histories that revisions are looked up in: a local repository has all of them, of a remote one each ref is fetched once.

use std::collections::BTreeMap;
use std::sync::Arc;

use weir_core::digest::CommitId;
use weir_core::fault::Fault;
use weir_core::tree::Snapshot;
use weir_source::{RepoUrl, RevisionStart, Source, SourceError};

use super::engine;
use crate::config::{Places, RepoArgs};
use crate::error::Error;
use crate::open::blocking;

/// Which ref `HEAD` and commit ids are looked up in.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct RefArgs {
    /// The branch or tag that HEAD means, and whose history commit ids are looked up in [default: the repository's HEAD]
    #[arg(long = "ref", value_name = "REF")]
    reference: Option<String>,
}

impl RefArgs {
    /// The ref as given; `HEAD` where none is.
    pub(super) fn or_head(&self) -> &str {
        self.reference.as_deref().unwrap_or("HEAD")
    }
}

/// One repository's histories, as far as a command needs them.
pub(super) struct Histories<'a> {
    args: &'a RepoArgs,
    places: &'a Places,
    /// What `HEAD` and ids are looked up in.
    followed: &'a str,
    local: bool,
    open: BTreeMap<String, Arc<Source>>,
}

impl<'a> Histories<'a> {
    /// Histories of which nothing is fetched yet.
    pub(super) fn new(
        args: &'a RepoArgs,
        reference: &'a RefArgs,
        places: &'a Places,
    ) -> Result<Histories<'a>, Error> {
        Ok(Histories {
            args,
            places,
            followed: reference.or_head(),
            local: matches!(args.url()?, RepoUrl::Local(_)),
            open: BTreeMap::new(),
        })
    }

    /// The followed ref's source, fetched where it is remote.
    pub(super) async fn followed(&mut self) -> Result<Arc<Source>, Error> {
        self.source(self.followed).await
    }

    /// Fetches what the revision that a flag gave starts from.
    pub(super) async fn fetch(&mut self, flag: &str, rev: &str) -> Result<(), Error> {
        match start(flag, rev)? {
            RevisionStart::Ref(name) if !self.local => self.source(name.as_str()).await,
            _ => self.followed().await,
        }
        .map(drop)
    }

    /// The files of a commit; none where the histories that were fetched do not have it.
    pub(super) async fn commit(&mut self, commit: CommitId) -> Result<Option<Snapshot>, Error> {
        let source = self.followed().await?;
        look_up(&source, &commit.to_string()).await
    }

    /// The files at a revision, which a flag gave. What it starts from is fetched first.
    pub(super) async fn snapshot(&mut self, flag: &str, rev: &str) -> Result<Snapshot, Error> {
        self.fetch(flag, rev).await?;
        let start = start(flag, rev)?;
        let sources = match &start {
            RevisionStart::Ref(name) if !self.local => vec![self.source(name.as_str()).await?],
            RevisionStart::Head | RevisionStart::Ref(_) => vec![self.followed().await?],
            RevisionStart::Id(_) => self.open.values().cloned().collect(),
        };
        for source in &sources {
            if let Some(snapshot) = look_up(source, rev).await? {
                return Ok(snapshot);
            }
        }
        // A tag such as 20240101 looks like a short id.
        if let (RevisionStart::Id(text), false) = (&start, self.local)
            && let Some(source) = self.named_like_an_id(text).await?
            && let Some(snapshot) = look_up(&source, rev).await?
        {
            return Ok(snapshot);
        }
        Err(self.not_there(flag, rev, &start, &sources))
    }

    async fn source(&mut self, reference: &str) -> Result<Arc<Source>, Error> {
        if let Some(source) = self.open.get(reference) {
            return Ok(source.clone());
        }
        let source = engine::fetched(self.args, self.places, reference).await?;
        self.open.insert(reference.to_owned(), source.clone());
        Ok(source)
    }

    /// The source of a ref whose name may also be an id; none where the repository has no such ref.
    async fn named_like_an_id(&mut self, text: &str) -> Result<Option<Arc<Source>>, Error> {
        if text.len() == 40 {
            return Ok(None);
        }
        match engine::fetched(self.args, self.places, text).await {
            Ok(source) => Ok(Some(source)),
            Err(engine::NotFetched::NoSuchRef(_)) => Ok(None),
            Err(engine::NotFetched::Failed(e)) => Err(e),
        }
    }

    /// Says what was looked in, and what to do.
    fn not_there(
        &self,
        flag: &str,
        rev: &str,
        start: &RevisionStart,
        sources: &[Arc<Source>],
    ) -> Error {
        let url = sources.first().map_or(self.args.repo.as_str(), |s| s.url());
        let looked_in: Vec<String> = sources.iter().map(describe).collect();
        let what = match (self.local, start) {
            (true, _) => "check the spelling, or fetch it into that repository first".to_owned(),
            (false, RevisionStart::Id(id)) => {
                let more = if id.len() < 40 {
                    "give all 40 digits, as fewer may name several objects; "
                } else {
                    ""
                };
                format!(
                    "{more}name the branch or tag that holds the commit with --ref, or push it first"
                )
            }
            (false, _) => "the history may be shorter than that: check the revision".to_owned(),
        };
        let message = if self.local {
            format!("--{flag}: repository {url} has no revision {rev:?}: {what}")
        } else {
            format!(
                "--{flag}: repository {url}: no revision {rev:?} in the history that was fetched, of {}: {what}",
                looked_in.join(" and ")
            )
        };
        Error::Stage {
            stage: "snapshot",
            fault: Fault::Repository,
            retry: weir_core::fault::Retry::Backoff,
            message,
        }
    }
}

fn start(flag: &str, rev: &str) -> Result<RevisionStart, Error> {
    RevisionStart::of(rev).map_err(|e| Error::Usage(format!("--{flag}: {e}")))
}

/// `main (at 1234abcd)`.
fn describe(source: &Arc<Source>) -> String {
    match source.last_good() {
        Some(commit) => format!("{} (at {})", source.reference(), commit.short()),
        None => source.reference().to_string(),
    }
}

/// The files at a revision; none where this source knows no such revision.
async fn look_up(source: &Arc<Source>, rev: &str) -> Result<Option<Snapshot>, Error> {
    let (source, rev) = (source.clone(), rev.to_owned());
    blocking("snapshot", move || {
        let commit = match source.resolve(&rev) {
            Ok(commit) => commit,
            Err(SourceError::RefNotFound { .. }) => return Ok(None),
            Err(e) => return Err(Error::stage("snapshot", &e)),
        };
        let snapshot = source.snapshot_anew(None, commit, &Arc::default());
        snapshot.map(Some).map_err(|e| Error::stage("snapshot", &e))
    })
    .await
}
