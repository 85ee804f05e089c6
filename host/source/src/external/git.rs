//! Bases: all files of a commit of another repository, through the same fetch as the repository itself.

use weir_core::digest::CommitId;
use weir_core::external::WebUrl;
use weir_core::name::RepositoryName;
use weir_core::tree::Snapshot;

use super::error::{About, ExternalError};
use super::policy::Origin;
use super::{Externals, Watch};
use crate::error::SourceError;
use crate::source::{Source, SourceConfig};

/// Another repository, with the clone that this host has of it.
pub(crate) struct Base<'a> {
    about: About<'a>,
    externals: &'a Externals,
    origin: Origin,
    source: Source,
    /// The reference names a commit itself.
    exact: Option<CommitId>,
}

impl<'a> Base<'a> {
    /// Nothing is asked over the network.
    pub(crate) fn open(
        externals: &'a Externals,
        about: About<'a>,
        url: &WebUrl,
        revision: &str,
    ) -> Result<Base<'a>, ExternalError> {
        let wrong = |e: SourceError| about.refused(e.to_string());
        let exact: Option<CommitId> = revision.parse().ok();
        let reference = match (revision, exact) {
            ("", _) | (_, Some(_)) => "HEAD",
            (name, None) => name,
        };
        let origin = Origin::of(url);
        let access = externals.policy.access(&origin);
        let mut http = externals.http.clone();
        // Forges look for this at the start of the name of who asks for Git.
        http.user_agent = format!("git/{}", http.user_agent);
        http.ca_file = access.ca_file.or(http.ca_file);
        let name = "external".parse::<RepositoryName>();
        let config = SourceConfig {
            name: name.map_err(|e| about.refused(e.to_string()))?,
            url: url.to_string().parse().map_err(wrong)?,
            reference: reference.parse().map_err(wrong)?,
            cache_dir: externals.cache_dir.join("git"),
            credentials: access.credentials,
            http,
            fetch_limits: externals.limits.git,
            tree_limits: externals.limits.tree,
        };
        Ok(Base {
            about,
            externals,
            origin,
            source: Source::open(config).map_err(|e| about.source(e))?,
            exact,
        })
    }

    /// The commit that the reference means now.
    pub(crate) fn resolve(&self, watch: Watch<'_>) -> Result<(CommitId, Snapshot), ExternalError> {
        self.allowed()?;
        if let Some(commit) = self.exact {
            return Ok((commit, self.show(commit, watch)?));
        }
        let fetched = self.source.fetch(watch.stop, watch.progress);
        let commit = fetched.map_err(|e| self.about.source(e))?.commit;
        let snapshot = self.source.snapshot(commit);
        Ok((commit, snapshot.map_err(|e| self.about.source(e))?))
    }

    /// A commit's files: of the clone where it is in there, else fetched by its id.
    pub(crate) fn show(
        &self,
        commit: CommitId,
        watch: Watch<'_>,
    ) -> Result<Snapshot, ExternalError> {
        match self.source.snapshot(commit) {
            // Never fetched, or not in what was.
            Err(SourceError::Unreachable { .. } | SourceError::Damaged { .. }) => {}
            other => return other.map_err(|e| self.about.source(e)),
        }
        self.allowed()?;
        let brought = self.source.bring(commit, watch.stop, watch.progress);
        brought.map_err(|e| match e {
            SourceError::Damaged { .. } | SourceError::Unreachable { .. }
                if self.is_elsewhere(&e) =>
            {
                self.about.not_found(format!(
                    "{} does not give commit {commit} any more, which weir.lock pins: push it again, or run `weir lock --update` ({e})",
                    self.source.url()
                ))
            }
            e => self.about.source(e),
        })?;
        let snapshot = self.source.snapshot(commit);
        snapshot.map_err(|e| self.about.source(e))
    }

    /// Whether the server answered, and only does not have what was asked for.
    fn is_elsewhere(&self, error: &SourceError) -> bool {
        let text = error.to_string();
        text.contains("not our ref") || matches!(error, SourceError::Damaged { .. })
    }

    fn allowed(&self) -> Result<(), ExternalError> {
        let allowed = self.externals.policy.allows(&self.origin);
        allowed.map_err(|why| self.about.not_allowed(self.origin.to_string(), why))
    }
}
