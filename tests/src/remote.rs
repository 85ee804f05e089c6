//! A repository of one app with one ConfigMap, behind a server of its own.

use anyhow::Result;

use crate::{GitServer, Repo};

/// A repository behind a server of its own.
pub struct Remote {
    /// The repository.
    pub repo: Repo,
    /// Who serves it.
    pub server: GitServer,
}

/// The text of a repository with an app `web`, whose one ConfigMap `map` has this value.
pub fn one_map(value: &str) -> String {
    format!(
        "//- weir.yaml\n\
         version: 1\n\
         apps: [{{ name: web, path: web, target: {{ namespace: shop }} }}]\n\
         //- web/map.yaml\n\
         {{ apiVersion: v1, kind: ConfigMap, metadata: {{ name: map }}, data: {{ value: {value} }} }}\n"
    )
}

impl Remote {
    /// One with the files of a text.
    ///
    /// # Errors
    /// Git or its server cannot be started.
    pub fn new(text: &str) -> Result<Remote> {
        let repo = Repo::from_text(text)?;
        let server = GitServer::of(&repo)?;
        Ok(Remote { repo, server })
    }

    /// A commit with this value in [`one_map`].
    ///
    /// # Errors
    /// Git fails.
    pub fn push(&mut self, value: &str) -> Result<String> {
        self.repo.write_text(&one_map(value))?;
        self.repo.commit(value)
    }

    /// Where it is.
    pub fn url(&self) -> String {
        self.server.url("work")
    }

    /// How often the server was asked for its refs: once for each fetch.
    pub fn fetches(&self) -> usize {
        let requests = self.server.requests();
        let asked = requests.iter().filter(|r| r.path.ends_with("/info/refs"));
        asked.count()
    }
}
