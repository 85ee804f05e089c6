//! What a keeper writes: statuses and Apps, each only where it is not as it should be, whoever changed it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use futures::StreamExt as _;
use serde::Serialize;
use serde_json::{Value, json};
use weir_api::{AppView, RepositoryView};
use weir_cluster::kube::KubeError;
use weir_cluster::service::{
    AppStatus, Found, Key, Note, REPOSITORY_LABEL, RepositoryStatus, Which, Written,
};
use weir_core::name::AppName;

use super::Input;
use super::keeper::Keeper;
use super::standing::{About, app_note, app_status, repository_note, repository_status, time};
use crate::journal::now;

/// So many Apps of one Repository are written at once.
const AT_ONCE: usize = 8;

/// What was written last, by the App's name.
#[derive(Debug, Default)]
pub(super) struct Book {
    repository: Option<Page>,
    apps: BTreeMap<String, Page>,
    /// The approvals that were answered, by the App's name.
    pub(super) approvals: BTreeMap<String, String>,
}

/// What was written last to one resource.
#[derive(Debug, Clone)]
struct Page {
    /// What was wanted.
    wanted: Value,
    /// What the API server made of it.
    became: Value,
    /// The state that it was written over, as it had been seen: until another one is seen, nothing is known to be wrong.
    over: String,
    /// How many Apps had gone by then: one that was not seen since may have gone with a later one.
    gone: u64,
}

/// What is to be done about one App.
struct Job {
    name: String,
    found: Option<Arc<Found>>,
    app: AppName,
    /// The App itself is not as it should be.
    is_amiss: bool,
    status: AppStatus,
    note: Option<Note>,
}

impl Keeper {
    /// Brings all resources up to how things stand.
    pub(super) async fn write(&mut self, found: &Arc<Found>, input: &Input) {
        let now = time(now());
        let view = input.view.as_deref();
        if let Some(view) = view.filter(|view| view.is_known) {
            self.claim(view.apps.iter().map(|app| app.name.clone()).collect());
            if input.has_apps {
                self.write_apps(found, input, view, &now).await;
            }
        }
        self.write_repository(found, view, &now).await;
    }

    /// Which apps it has: others of the namespace may be called otherwise for that.
    pub(super) fn claim(&self, apps: BTreeSet<AppName>) {
        let touched = self.service.names().set(&self.key, apps);
        for key in touched {
            self.service.tell(&key, |input| input.poked += 1);
        }
    }

    async fn write_repository(&mut self, found: &Found, view: Option<&RepositoryView>, now: &str) {
        let page = self.book.repository.as_ref();
        let before: RepositoryStatus = known(page, &found.status);
        let about = About {
            generation: found.generation,
            now,
        };
        let handled = self.handled_sync.clone();
        let status = repository_status(view, self.trouble.as_ref(), handled, &before, about);
        let wanted = value(&status);
        // A host that began anew says nothing before it knows more than what was said last.
        let is_unsure = self.trouble.is_none()
            && view.is_none_or(|v| v.waiting.is_none() && v.message.is_none() && !v.suspended)
            && before.observed_generation == found.generation
            && !before.conditions.is_empty();
        if is_unsure || is_so(&wanted, page, found) {
            return;
        }
        match self
            .service
            .cluster
            .apply_status(Which::Repositories, &self.key, &wanted)
            .await
        {
            Ok(None) => {}
            Ok(Some(written)) => {
                let note = repository_note(&before, &status);
                self.book.repository = Some(Page::of(wanted, written, Some(found), 0));
                if let Some(note) = note {
                    let key = self.key.clone();
                    self.say(Which::Repositories, &key, &found.uid, &note).await;
                }
            }
            Err(e) => self.owe("its status cannot be written", &e),
        }
    }

    async fn write_apps(
        &mut self,
        found: &Arc<Found>,
        input: &Input,
        view: &RepositoryView,
        now: &str,
    ) {
        let mut jobs = Vec::new();
        let mut names = BTreeSet::new();
        for app in &view.apps {
            let name = self.service.names().of(&self.key, &app.name);
            names.insert(name.clone());
            jobs.extend(self.job(found, input, name, app, now));
        }
        let cluster = &self.service.cluster;
        let done = futures::stream::iter(jobs.into_iter().map(|job| async move {
            let written = write_app(cluster, found, &job).await;
            (job, written)
        }));
        let done: Vec<_> = done.buffer_unordered(AT_ONCE).collect().await;
        for (job, written) in done {
            match written {
                Ok(None) => self.is_owed = true,
                Ok(Some(written)) => {
                    let (key, uid) = (self.app_key(&job.name), written.uid.clone());
                    let page = Page::of(
                        value(&job.status),
                        written,
                        job.found.as_deref(),
                        input.gone,
                    );
                    self.book.apps.insert(job.name, page);
                    if let Some(note) = job.note {
                        self.say(Which::Apps, &key, &uid, &note).await;
                    }
                }
                Err(e) => self.owe(&format!("App {} cannot be written", job.name), &e),
            }
        }
        self.book.apps.retain(|name, _| names.contains(name));
        self.book.approvals.retain(|name, _| names.contains(name));
        // Its own alone are told to it.
        for (name, app) in &input.apps {
            if names.contains(name) {
                continue;
            }
            if let Err(e) = self.service.cluster.delete_app(app).await {
                self.owe(&format!("App {name} cannot be removed"), &e);
            }
        }
    }

    /// What is to be done about one App; nothing where it is as it should be.
    fn job(
        &self,
        repository: &Found,
        input: &Input,
        name: String,
        app: &AppView,
        now: &str,
    ) -> Option<Job> {
        let found = input.apps.get(&name).cloned();
        let page = self.book.apps.get(&name);
        // What was just made and not seen yet is no other one.
        let unseen = found.is_none()
            && page.is_some_and(|page| page.over.is_empty() && page.gone == input.gone);
        let said = found.as_ref().map_or(&Value::Null, |found| &found.status);
        let before: AppStatus = known(page, said);
        let about = About {
            generation: found.as_ref().map_or(Some(1), |found| found.generation),
            now,
        };
        let approval = self.book.approvals.get(&name).cloned();
        let approval = approval.or_else(|| before.last_handled_approval.clone());
        let status = app_status(app, approval, &before, about);
        let wanted = value(&status);
        let is_amiss = match &found {
            None => !unseen,
            Some(found) => !is_app_of(found, repository, &app.name),
        };
        let is_so = match &found {
            None => unseen && page.is_some_and(|page| page.wanted == wanted),
            Some(found) => is_so(&wanted, page, found),
        };
        (is_amiss || !is_so).then(|| Job {
            note: app_note(&before, &status),
            app: app.name.clone(),
            name,
            found,
            is_amiss,
            status,
        })
    }

    pub(super) fn app_key(&self, name: &str) -> Key {
        Key {
            namespace: self.key.namespace.clone(),
            name: name.to_owned(),
        }
    }
}

impl Page {
    fn of(wanted: Value, written: Written, over: Option<&Found>, gone: u64) -> Page {
        Page {
            wanted,
            became: written.status,
            over: over.map(|found| found.version.clone()).unwrap_or_default(),
            gone,
        }
    }
}

/// Makes the App what it should be, then says how it stands. Nothing where it is gone meanwhile.
async fn write_app(
    cluster: &weir_cluster::service::ServiceCluster,
    repository: &Found,
    job: &Job,
) -> Result<Option<Written>, KubeError> {
    if job.is_amiss {
        cluster
            .apply_app(&job.name, repository, job.app.as_str())
            .await?;
    }
    let key = Key {
        namespace: repository.key.namespace.clone(),
        name: job.name.clone(),
    };
    cluster
        .apply_status(Which::Apps, &key, &value(&job.status))
        .await
}

/// Whether an App says whose it is.
fn is_app_of(found: &Found, repository: &Found, app: &AppName) -> bool {
    let spec = json!({ "repository": repository.key.name, "app": app.as_str() });
    let label = found.labels.get(REPOSITORY_LABEL);
    found.spec == spec
        && label == Some(&repository.key.name)
        && found.owners.contains(&repository.uid)
}

/// Whether nothing is to be written: it is as wanted, or as the API server made it of just that, or what was written was
/// not seen yet.
fn is_so(wanted: &Value, page: Option<&Page>, found: &Found) -> bool {
    if found.status == *wanted {
        return true;
    }
    page.is_some_and(|page| {
        page.wanted == *wanted && (page.became == found.status || page.over == found.version)
    })
}

/// What was said last: as it was written, or as the cluster has it.
fn known<T: serde::de::DeserializeOwned + Default>(page: Option<&Page>, found: &Value) -> T {
    let said = page.map_or(found, |page| &page.wanted);
    serde_json::from_value(said.clone()).unwrap_or_default()
}

fn value(status: &impl Serialize) -> Value {
    serde_json::to_value(status).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(version: &str, status: Value) -> Found {
        Found {
            key: Key {
                namespace: "team".to_owned(),
                name: "web".to_owned(),
            },
            uid: "1".to_owned(),
            generation: Some(1),
            version: version.to_owned(),
            is_deleting: false,
            is_kept: false,
            annotations: BTreeMap::new(),
            labels: BTreeMap::from([(REPOSITORY_LABEL.to_owned(), "shop".to_owned())]),
            owners: vec!["9".to_owned()],
            spec: json!({ "repository": "shop", "app": "web" }),
            status,
        }
    }

    #[test]
    fn what_is_as_it_should_be_is_not_written_and_what_somebody_changed_is() {
        let (wanted, other) = (json!({ "objects": 1 }), json!({ "objects": 2 }));
        let more = json!({ "objects": 1, "added": true });
        let page = Page {
            wanted: wanted.clone(),
            became: more.clone(),
            over: "4".to_owned(),
            gone: 0,
        };
        for (page, found, expected) in [
            (None, found("5", wanted.clone()), true),
            (None, found("5", other.clone()), false),
            // What we wrote was not seen yet.
            (Some(&page), found("4", other.clone()), true),
            // It became what the server made of it: writing it again changes nothing.
            (Some(&page), found("5", more), true),
            (Some(&page), found("6", other), false),
        ] {
            assert_eq!(is_so(&wanted, page, &found), expected, "{page:?} {found:?}");
        }
        let news = json!({ "objects": 3 });
        assert!(
            !is_so(&news, Some(&page), &found("4", wanted)),
            "it is to be another one by now"
        );
    }

    #[test]
    fn an_app_that_says_anything_else_than_whose_it_is_is_amiss() {
        let repository = Found {
            key: Key {
                namespace: "team".to_owned(),
                name: "shop".to_owned(),
            },
            uid: "9".to_owned(),
            ..found("1", Value::Null)
        };
        let app: AppName = "web".parse().unwrap();
        let right = || found("1", Value::Null);
        assert!(is_app_of(&right(), &repository, &app));
        for wrong in [
            Found {
                labels: BTreeMap::new(),
                ..right()
            },
            Found {
                owners: vec![],
                ..right()
            },
            Found {
                spec: json!({ "repository": "shop", "app": "db" }),
                ..right()
            },
            Found {
                spec: json!({ "repository": "shop", "app": "web", "more": 1 }),
                ..right()
            },
        ] {
            assert!(!is_app_of(&wrong, &repository, &app), "{wrong:?}");
        }
    }
}
