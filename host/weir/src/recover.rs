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
    pub(crate) ledgers: BTreeMap<LedgerId, Estates>,
    /// Objects of a ledger's repositories that nothing here binds to the cluster.
    pub(crate) unbound: BTreeMap<(LedgerId, RepositoryName), usize>,
    /// Apps of which is not clear what the manifest calls their target, and what it may be.
    unclear: BTreeMap<(RepositoryName, AppName), BTreeSet<TargetName>>,
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
            // Anybody may write an annotation: what no ledger is called says nothing.
            let Ok(ledger) = claim.ledger.parse::<LedgerId>() else {
                continue;
            };
            let (repository, app) = (claim.repository, claim.app);
            let names = search.targets_of(&repository, &app);
            let Some(target) = names.first() else {
                *self.unbound.entry((ledger, repository)).or_default() += 1;
                continue;
            };
            let target = TargetName::clone(target);
            if names.len() > 1 {
                let unclear = self.unclear.entry((repository.clone(), app.clone()));
                unclear.or_default().extend(names.into_iter().cloned());
            }
            let owning = Owning {
                repository,
                app,
                target,
            };
            let estates = self.ledgers.entry(ledger).or_default();
            estates.entry(owning).or_default().push((id, mark));
        }
    }

    /// Leaves only what is one repository's.
    pub(crate) fn only(&mut self, repository: &RepositoryName) {
        for estates in self.ledgers.values_mut() {
            estates.retain(|owning, _| owning.repository == *repository);
        }
        self.ledgers.retain(|_, estates| !estates.is_empty());
        self.unbound.retain(|(_, name), _| name == repository);
        self.unclear.retain(|(name, _), _| name == repository);
    }

    /// An app of a ledger of which is not clear where it lands: it would be held, or lose what is in the other place.
    ///
    /// # Errors
    /// Which, for a person.
    pub(crate) fn clear(&self, ledger: &LedgerId) -> Result<(), String> {
        let mut targets = self.unclear.clone();
        let estates = self.ledgers.get(ledger).into_iter();
        for owning in estates.flat_map(BTreeMap::keys) {
            let key = (owning.repository.clone(), owning.app.clone());
            targets
                .entry(key)
                .or_default()
                .insert(owning.target.clone());
        }
        let unclear = targets.into_iter().find(|(_, names)| names.len() > 1);
        let Some(((repository, app), names)) = unclear else {
            return Ok(());
        };
        let names: Vec<&str> = names.iter().map(TargetName::as_str).collect();
        Err(format!(
            "app {app} of repository {repository} may land in {}: give only the name that its manifest uses (--target NAME=PLACE), and one repository at a time (--repository)",
            names.join(" or ")
        ))
    }
}

impl Search {
    /// What an app's target may be called here: of several names for one place the one that is part of the app's name, as
    /// with `targets` of a manifest, or else all.
    fn targets_of(&self, repository: &RepositoryName, app: &AppName) -> Vec<&TargetName> {
        let of = |by: &Option<RepositoryName>| by.as_ref().is_none_or(|by| by == repository);
        let names = self.names.iter().filter(|(by, _)| of(by));
        let names: Vec<&TargetName> = names.map(|(_, name)| name).collect();
        let after = app.as_str().rsplit_once('.').map(|(_, target)| target);
        match names.iter().find(|name| Some(name.as_str()) == after) {
            Some(named) => vec![named],
            None => names,
        }
    }
}

/// What nobody holds there by the repository's records: one identity in two targets is two objects.
pub(crate) fn lost(
    status: &Status,
    owning: &Owning,
    objects: &[(ResourceId, Mark)],
) -> Vec<(ResourceId, Mark)> {
    let here = |app: &AppName, target: Option<&TargetName>| {
        *app == owning.app || target.is_none_or(|target| *target == owning.target)
    };
    let holds = |id| {
        let mut apps = status.apps.iter();
        apps.any(|(name, app)| here(name, app.target.as_ref()) && app.inventory.get(id).is_some())
    };
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
        let objects = journal.status(|status| lost(status, owning, objects));
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
    let carried: Vec<&LedgerId> = found.ledgers.keys().collect();
    match (here, &carried[..]) {
        (_, []) => Ok(None),
        (Some(here), all) if all.contains(&here) => Ok(Some(here.clone())),
        (Some(here), all) => Err(format!(
            "this host's ledger is {here}, and no object carries that; they carry {}. To take over one of these, move this host's ledger away, or give another --state",
            listed(found, all)
        )),
        (None, [one]) => Ok(Some(LedgerId::clone(one))),
        (None, all) => Err(format!(
            "objects carry the names of {} ledgers: {}. Say which was lost with --ledger-id ID",
            all.len(),
            listed(found, all)
        )),
    }
}

fn listed(found: &Found, ids: &[&LedgerId]) -> String {
    let one = |id: &&LedgerId| {
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
    fn an_apps_target_is_the_name_that_it_carries_or_the_one_of_its_repository() {
        let proofs = || {
            ["web", "web.eu", "web.us"]
                .map(|app| proof(A, "shop", app, app))
                .to_vec()
        };
        let (a, both) = (
            A.parse().unwrap(),
            found(&[(None, "default"), (None, "eu")], proofs()),
        );
        let unclear = both.clear(&a).unwrap_err();
        assert!(
            unclear.contains("app web of repository shop may land in default or eu"),
            "{unclear}"
        );
        let named = found(&[(None, "us"), (None, "eu")], proofs()[1..].to_vec());
        assert_eq!(targets(&named), ["shop web.eu eu", "shop web.us us"]);
        assert_eq!(named.clear(&a), Ok(()));
        let by = found(&[(Some("blog"), "default"), (Some("shop"), "us")], proofs());
        assert_eq!(
            targets(&by),
            ["shop web us", "shop web.eu us", "shop web.us us"]
        );
        let none = found(&[(Some("blog"), "default")], proofs());
        assert!(none.ledgers.is_empty());
        // In two clusters at once, and its name says nothing of it.
        let mut twice = found(&[(None, "default")], proofs());
        let again = found(&[(None, "eu")], proofs());
        for (owning, objects) in again.ledgers.into_values().flatten() {
            twice
                .ledgers
                .entry(a.clone())
                .or_default()
                .insert(owning, objects);
        }
        assert!(twice.clear(&a).unwrap_err().contains("app web of"));
        assert_eq!(none.unbound.values().sum::<usize>(), 3);
    }

    #[test]
    fn one_identity_in_two_targets_is_lost_twice_and_found_twice() {
        let owning = |app: &str, target: &str| Owning {
            repository: "shop".parse().unwrap(),
            app: app.parse().unwrap(),
            target: target.parse().unwrap(),
        };
        let Proof { id, mark, .. } = proof(A, "shop", "web.eu", "a");
        let objects = vec![(id, mark)];
        let (eu, us) = (owning("web.eu", "eu"), owning("web.us", "us"));
        let mut status = Status::default();
        let mut record = |owning: &Owning| {
            let choice = Choice::Recovered(Recovery {
                target: owning.target.clone(),
                objects: lost(&status, owning, &objects),
            });
            let decision = Decision {
                choice,
                by: "ada".to_owned(),
                why: None,
            };
            let record = Record {
                app: Some(owning.app.clone()),
                event: Event::Decided(decision),
            };
            status.fold(1, 7, &record);
            assert!(lost(&status, owning, &objects).is_empty(), "{owning:?}");
        };
        record(&eu);
        record(&us);
        for owning in [&eu, &us] {
            let app = status.apps.get(&owning.app).unwrap();
            assert_eq!((app.inventory.len(), app.since), (1, 7), "{owning:?}");
            assert_eq!(app.target.as_ref(), Some(&owning.target));
        }
        // Another app of the same place has it: it moved there.
        assert!(lost(&status, &owning("other", "eu"), &objects).is_empty());
        assert_eq!(lost(&status, &owning("other", "de"), &objects).len(), 1);
    }

    #[test]
    fn what_no_ledger_is_called_says_nothing() {
        let odd = found(
            &[(None, "default")],
            vec![proof("x", "r", "a", "a"), proof(A, "shop", "web", "b")],
        );
        assert_eq!(which(&odd, None, None), Ok(Some(A.parse().unwrap())));
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
            (&two, None, None, "Say which was lost with --ledger-id ID"),
            (&two, None, None, "(blog)"),
            (&one, Some(&b), None, "no object carries that"),
            (&one, Some(&b), Some(&a), "move it away"),
        ] {
            let error = which(found, here, named).unwrap_err();
            assert!(error.contains(expected), "{error}");
        }
    }
}
