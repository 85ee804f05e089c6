//! What a lost ledger held, told anew by what is written on the objects themselves: pure but for the look and the record.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use weir_cluster::Target;
use weir_cluster::kube::{Proof, Survey};
use weir_core::decision::{Choice, Decision, Recovery};
use weir_core::live::Mark;
use weir_core::name::{AppName, RepositoryName, TargetName};
use weir_core::object::ResourceId;
use weir_core::record::{Event, Record};
use weir_core::status::Status;
use weir_ledger::{Ledger, LedgerId};

use crate::config::{Bound, Places, TargetPlace};
use crate::error::Error;
use crate::journal::Journal;
use crate::open;
use crate::progress::Line;

/// One cluster to look at, and what its place is called by whom.
pub(crate) struct Search {
    place: TargetPlace,
    /// Repositories, `None` for every one, and the manifest's name for the place.
    names: Vec<(Option<RepositoryName>, TargetName)>,
}

/// An app's place in a ledger.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Owning {
    pub(crate) repository: RepositoryName,
    pub(crate) app: AppName,
    pub(crate) target: TargetName,
}

/// The objects of each app.
pub(crate) type Estates = BTreeMap<Owning, Vec<(ResourceId, Mark)>>;

/// What all clusters say.
#[derive(Default)]
pub(crate) struct Found {
    /// By the ledger that they name.
    pub(crate) ledgers: BTreeMap<String, Estates>,
    /// Objects of repositories that nothing here binds to the cluster.
    pub(crate) unbound: BTreeMap<RepositoryName, usize>,
    /// Kinds that could not be looked at, with why.
    pub(crate) unread: Vec<(String, String)>,
    /// How many objects were looked at.
    pub(crate) looked: usize,
}

/// The clusters among these targets, each once. A directory says nothing of whose its files are.
pub(crate) fn clusters<'b>(
    targets: impl Iterator<Item = (Option<&'b RepositoryName>, &'b TargetName, &'b Bound)>,
) -> Vec<Search> {
    let mut all: BTreeMap<String, Search> = BTreeMap::new();
    for (repository, name, bound) in targets {
        if matches!(bound.place, TargetPlace::Dir(_)) {
            continue;
        }
        let search = all
            .entry(bound.place.to_string())
            .or_insert_with(|| Search {
                place: bound.place.clone(),
                names: Vec::new(),
            });
        search.names.push((repository.cloned(), name.clone()));
    }
    all.into_values().collect()
}

/// Looks at all of them, as the host's own account.
///
/// # Errors
/// When one does not answer.
pub(crate) async fn look(
    searches: &[Search],
    without: &BTreeSet<String>,
    places: &Places,
) -> Result<Found, Error> {
    let mut found = Found::default();
    for search in searches {
        let line = Line::begin(format!("looking at {}", search.place));
        let target = open::target(&Bound::to(search.place.clone()), places).await?;
        let Target::Kube(kube) = target else { continue };
        let on_kind = |kind: &str| line.say(format!("looking at {}: {kind}", search.place));
        let survey = kube.survey(without, on_kind).await;
        found.take(search, survey.map_err(|e| Error::stage("observe", &e))?);
    }
    Ok(found)
}

impl Found {
    fn take(&mut self, search: &Search, survey: Survey) {
        self.looked += survey.looked;
        let at = |(kind, why)| (format!("{}: {kind}", search.place), why);
        self.unread.extend(survey.unread.into_iter().map(at));
        for Proof { claim, id, mark } in survey.proofs {
            let Some(target) = search.target_of(&claim.repository, &claim.app) else {
                *self.unbound.entry(claim.repository).or_default() += 1;
                continue;
            };
            let owning = Owning {
                repository: claim.repository,
                app: claim.app,
                target: target.clone(),
            };
            let estates = self.ledgers.entry(claim.ledger).or_default();
            estates.entry(owning).or_default().push((id, mark));
        }
    }
}

impl Search {
    /// What an app's target is called here: of several names for one place the one that is part of the app's name, as
    /// with `targets` of a manifest, or else the first.
    fn target_of(&self, repository: &RepositoryName, app: &AppName) -> Option<&TargetName> {
        let of = |by: &Option<RepositoryName>| by.as_ref().is_none_or(|by| by == repository);
        let names = self.names.iter().filter(|(by, _)| of(by));
        let names: Vec<&TargetName> = names.map(|(_, name)| name).collect();
        let after = app.as_str().rsplit_once('.').map(|(_, target)| target);
        let named = names.iter().find(|name| Some(name.as_str()) == after);
        named.or(names.first()).copied()
    }
}

/// What no app of the repository holds by its records.
pub(crate) fn lost(status: &Status, objects: &[(ResourceId, Mark)]) -> Vec<(ResourceId, Mark)> {
    let holds = |id| status.apps.values().any(|a| a.inventory.get(id).is_some());
    let lost = objects.iter().filter(|(id, _)| !holds(id));
    lost.cloned().collect()
}

/// Keeps what is lost, app by app: killed in between, the same look finds the rest.
///
/// # Errors
/// The ledger's.
pub(crate) async fn keep(
    ledger: &Arc<Ledger>,
    estates: &Estates,
    by: &str,
    why: Option<&str>,
) -> Result<usize, Error> {
    let mut kept = 0;
    let mut journal: Option<Journal> = None;
    for (owning, objects) in estates {
        let journal = match &mut journal {
            Some(open) if *open.repository() == owning.repository => open,
            other => {
                let opened = Journal::open(ledger.clone(), owning.repository.clone()).await?;
                other.insert(opened)
            }
        };
        let objects = journal.status(|status| lost(status, objects));
        if objects.is_empty() {
            continue;
        }
        kept += objects.len();
        let target = owning.target.clone();
        let decision = Decision {
            choice: Choice::Recovered(Recovery { target, objects }),
            by: by.to_owned(),
            why: why.map(str::to_owned),
        };
        let record = Record {
            app: Some(owning.app.clone()),
            event: Event::Decided(decision),
        };
        journal.append(vec![record]).await?;
    }
    Ok(kept)
}

/// Which ledger is meant: the one that is named, the one that this host has, or the only one that objects carry.
///
/// # Errors
/// What is in the way, for a person.
pub(crate) fn which(
    found: &Found,
    here: Option<&LedgerId>,
    named: Option<&LedgerId>,
) -> Result<Option<LedgerId>, String> {
    if let (Some(here), Some(named)) = (here, named)
        && here != named
    {
        return Err(format!(
            "this host's ledger is {here}, and not {named}: move it away, or give another --state"
        ));
    }
    if let Some(named) = named {
        return Ok(Some(named.clone()));
    }
    let carried: Vec<&String> = found.ledgers.keys().collect();
    match (here, &carried[..]) {
        (_, []) => Ok(None),
        (Some(here), all) if all.iter().any(|id| *id == here.as_str()) => Ok(Some(here.clone())),
        (Some(here), all) => Err(format!(
            "this host's ledger is {here}, and no object carries that; they carry {}. To take over one of these, move this host's ledger away, or give another --state",
            listed(found, all)
        )),
        (None, [one]) => Ok(Some(one.parse().map_err(|e| format!("{one}: {e}"))?)),
        (None, all) => Err(format!(
            "objects carry the names of {} ledgers: {}. Say which was lost with --ledger ID",
            all.len(),
            listed(found, all)
        )),
    }
}

fn listed(found: &Found, ids: &[&String]) -> String {
    let one = |id: &&String| {
        let estates = found.ledgers.get(*id);
        let repositories: BTreeSet<&str> = estates
            .into_iter()
            .flat_map(BTreeMap::keys)
            .map(|owning| owning.repository.as_str())
            .collect();
        let repositories: Vec<&str> = repositories.into_iter().collect();
        format!("{id} ({})", repositories.join(", "))
    };
    let all: Vec<String> = ids.iter().map(one).collect();
    all.join(", ")
}

#[cfg(test)]
mod tests {
    use weir_core::digest::Digest;
    use weir_core::object::ResourceId;
    use weir_core::owner::Claim;

    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef";
    const B: &str = "fedcba9876543210fedcba9876543210";

    fn proof(ledger: &str, repository: &str, app: &str, name: &str) -> Proof {
        Proof {
            claim: Claim {
                ledger: ledger.to_owned(),
                repository: repository.parse().unwrap(),
                app: app.parse().unwrap(),
            },
            id: ResourceId {
                group: String::new(),
                kind: "ConfigMap".to_owned(),
                namespace: Some("shop".parse().unwrap()),
                name: name.to_owned(),
            },
            mark: Mark::of_content(Digest::of(name.as_bytes())),
        }
    }

    fn found(names: &[(Option<&str>, &str)], proofs: Vec<Proof>) -> Found {
        let bound = Bound::to("kube:".parse().unwrap());
        let names: Vec<(Option<RepositoryName>, TargetName)> = names
            .iter()
            .map(|(by, name)| (by.map(|by| by.parse().unwrap()), name.parse().unwrap()))
            .collect();
        let searches = clusters(names.iter().map(|(by, name)| (by.as_ref(), name, &bound)));
        let mut found = Found::default();
        let survey = Survey {
            proofs,
            ..Survey::default()
        };
        found.take(&searches[0], survey);
        found
    }

    fn targets(found: &Found) -> Vec<String> {
        let all = found.ledgers.values().flat_map(BTreeMap::keys);
        all.map(|o| format!("{} {} {}", o.repository, o.app, o.target))
            .collect()
    }

    #[test]
    fn an_apps_target_is_the_name_that_it_carries_or_the_first_of_its_repository() {
        let proofs = || {
            ["web", "web.eu", "web.us"]
                .map(|app| proof(A, "shop", app, app))
                .to_vec()
        };
        let both = found(&[(None, "default"), (None, "eu")], proofs());
        assert_eq!(
            targets(&both),
            ["shop web default", "shop web.eu eu", "shop web.us default"]
        );
        let by = found(&[(Some("blog"), "default"), (Some("shop"), "us")], proofs());
        assert_eq!(
            targets(&by),
            ["shop web us", "shop web.eu us", "shop web.us us"]
        );
        let none = found(&[(Some("blog"), "default")], proofs());
        assert!(none.ledgers.is_empty());
        assert_eq!(none.unbound.values().sum::<usize>(), 3);
    }

    #[test]
    fn the_ledger_is_the_named_one_or_this_hosts_or_the_only_one() {
        let (a, b): (LedgerId, LedgerId) = (A.parse().unwrap(), B.parse().unwrap());
        let one = found(&[(None, "default")], vec![proof(A, "shop", "web", "a")]);
        let two = found(
            &[(None, "default")],
            vec![proof(A, "shop", "web", "a"), proof(B, "blog", "web", "b")],
        );
        assert_eq!(which(&Found::default(), None, None), Ok(None));
        assert_eq!(which(&one, None, None), Ok(Some(a.clone())));
        assert_eq!(which(&two, Some(&b), None), Ok(Some(b.clone())));
        assert_eq!(which(&two, None, Some(&b)), Ok(Some(b.clone())));
        for (found, here, named, expected) in [
            (&two, None, None, "Say which was lost with --ledger ID"),
            (&two, None, None, "(blog)"),
            (&one, Some(&b), None, "no object carries that"),
            (&one, Some(&b), Some(&a), "move it away"),
        ] {
            let error = which(found, here, named).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
