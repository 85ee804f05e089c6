//! Bases: all files of a commit of another repository, through the same fetch as the repository itself.

use weir_core::digest::CommitId;
use weir_core::external::{GitObject, WebUrl};
use weir_core::name::RepositoryName;
use weir_core::tree::Snapshot;

use super::error::{About, ExternalError};
use super::policy::Origin;
use super::{Externals, Watch};
use crate::error::SourceError;
use crate::secret::CredentialsFrom;
use crate::source::{Source, SourceConfig};
use crate::ssh::SshOptions;

/// Another repository, with the clone that this host has of it.
pub(crate) struct Base<'a> {
    about: About<'a>,
    externals: &'a Externals,
    origin: Origin,
    source: Source,
    /// The reference names a commit itself.
    exact: Option<CommitId>,
    /// Why what is shown to the server could not be read.
    unreadable: Option<String>,
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
        http.addresses = externals.policy.addresses(&origin);
        let name = "external".parse::<RepositoryName>();
        let config = SourceConfig {
            name: name.map_err(|e| about.refused(e.to_string()))?,
            url: url.to_string().parse().map_err(wrong)?,
            reference: reference.parse().map_err(wrong)?,
            cache_dir: externals.cache_dir.join("git"),
            credentials: access.credentials.map(CredentialsFrom::Given),
            http,
            ssh: SshOptions::host(),
            fetch_limits: externals.limits.git,
            tree_limits: externals.limits.tree,
            fetching: externals.fetching.clone(),
        };
        Ok(Base {
            about,
            externals,
            origin,
            source: Source::open(config).map_err(|e| about.source(e))?,
            exact,
            unreadable: access.unreadable,
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
        match self.source.bring(commit, watch.stop, watch.progress) {
            Ok(()) => {}
            Err(SourceError::Damaged { why, .. }) => return self.by_ref(commit, &why, watch),
            Err(e) => return Err(self.about.source(e)),
        }
        let snapshot = self.source.snapshot(commit);
        snapshot.map_err(|e| self.about.source(e))
    }

    /// From a server that does not give a commit by its id: perhaps the ref still leads to it.
    fn by_ref(
        &self,
        commit: CommitId,
        why: &str,
        watch: Watch<'_>,
    ) -> Result<Snapshot, ExternalError> {
        let fetched = self.source.fetch(watch.stop, watch.progress);
        if let Err(e @ SourceError::Stopped { .. }) = fetched {
            return Err(self.about.source(e));
        }
        self.source.snapshot(commit).map_err(|_| {
            let url = self.source.url();
            self.about.not_found(format!(
                "{url} does not give commit {commit} any more, which is pinned: push it again, or run `weir lock --update` ({why})"
            ))
        })
    }

    /// A commit that [`Base::show`] has shown, with all its trees and blobs.
    pub(crate) fn objects(&self, commit: CommitId) -> Result<Vec<GitObject>, ExternalError> {
        let most = self.externals.limits.tree.bytes;
        let objects = self.source.objects(commit, most);
        objects.map_err(|e| self.about.source(e))
    }

    fn allowed(&self) -> Result<(), ExternalError> {
        let allowed = self.externals.policy.allows(&self.origin);
        allowed.map_err(|why| self.about.not_allowed(self.origin.to_string(), why))?;
        match &self.unreadable {
            Some(why) => Err(self.about.unreachable(self.source.url(), why)),
            None => Ok(()),
        }
    }
}
