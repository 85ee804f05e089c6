//! Which kinds a cluster serves, where they live and at which versions: from its aggregated discovery.

use std::collections::{BTreeMap, BTreeSet};

use kube::Client;
use kube::core::discovery::v2::{APIGroupDiscovery, APIVersionDiscovery};
use kube::core::{ApiResource, GroupVersionKind};
use weir_core::object::ResourceId;

/// One kind that the cluster serves.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Served {
    /// The resource's name in paths, such as `configmaps`.
    pub(super) plural: String,
    /// Whether its objects live in namespaces.
    pub(super) namespaced: bool,
    /// Its versions, the server's favourite first.
    pub(super) versions: Vec<String>,
}

impl Served {
    /// The resource at one version: the wanted one where it is served.
    pub(super) fn resource(
        &self,
        group: &str,
        kind: &str,
        wanted: Option<&str>,
    ) -> Option<ApiResource> {
        let version = match wanted {
            Some(wanted) => self.versions.iter().find(|v| *v == wanted)?,
            None => self.versions.first()?,
        };
        let gvk = GroupVersionKind::gvk(group, version, kind);
        Some(ApiResource::from_gvk_with_plural(&gvk, &self.plural))
    }
}

/// All kinds of a cluster, as it said at one time.
#[derive(Debug, Default)]
pub(super) struct Kinds {
    /// By group and kind.
    served: BTreeMap<String, BTreeMap<String, Served>>,
    /// Groups of which the cluster itself does not know what they serve now.
    stale: BTreeSet<String>,
}

impl Kinds {
    /// Asks the cluster: two requests.
    pub(super) async fn ask(client: &Client) -> Result<Kinds, kube::Error> {
        let (groups, core) = futures::try_join!(
            client.list_api_groups_aggregated(),
            client.list_core_api_versions_aggregated(),
        )?;
        let mut kinds = Kinds::default();
        for group in core.items.into_iter().chain(groups.items) {
            kinds.take(group);
        }
        Ok(kinds)
    }

    fn take(&mut self, group: APIGroupDiscovery) {
        let name = group.metadata.and_then(|m| m.name).unwrap_or_default();
        for version in group.versions {
            if version.freshness.as_deref() == Some("Stale") {
                self.stale.insert(name.clone());
            }
            self.take_version(&name, version);
        }
    }

    fn take_version(&mut self, group: &str, version: APIVersionDiscovery) {
        let Some(number) = version.version else {
            return;
        };
        for resource in version.resources {
            let kind = resource.response_kind.and_then(|k| k.kind);
            let (Some(kind), Some(plural)) = (kind, resource.resource) else {
                continue;
            };
            // What cannot be patched and deleted is a question to the server, not an object.
            if !["get", "patch", "delete"]
                .iter()
                .all(|v| resource.verbs.iter().any(|has| has == v))
            {
                continue;
            }
            let served = self
                .served
                .entry(group.to_owned())
                .or_default()
                .entry(kind)
                .or_insert_with(|| Served {
                    plural: plural.clone(),
                    namespaced: resource.scope.as_deref() == Some("Namespaced"),
                    versions: Vec::new(),
                });
            if served.plural == plural && !served.versions.contains(&number) {
                served.versions.push(number.clone());
            }
        }
    }

    /// One kind.
    pub(super) fn get(&self, group: &str, kind: &str) -> Option<&Served> {
        self.served.get(group)?.get(kind)
    }

    /// Whether the kind of the definition of this name is served: it is called `PLURAL.GROUP`.
    pub(super) fn has_definition(&self, name: &str) -> bool {
        let Some((plural, group)) = name.split_once('.') else {
            return false;
        };
        let mut all = self.served.get(group).into_iter().flatten();
        all.any(|(_, served)| served.plural == plural)
    }

    /// All kinds, with their groups, at the server's favourite version.
    pub(super) fn all(&self) -> impl Iterator<Item = ApiResource> {
        let of = |(group, kinds): (&'_ String, &BTreeMap<String, Served>)| -> Vec<ApiResource> {
            let kinds = kinds.iter();
            kinds
                .filter_map(|(kind, served)| served.resource(group, kind, None))
                .collect()
        };
        self.served.iter().flat_map(of)
    }

    /// The groups that the cluster knows not all kinds of.
    pub(super) fn away(&self) -> impl Iterator<Item = &String> {
        self.stale.iter()
    }

    /// Whether the cluster knows all kinds of this group.
    pub(super) fn is_whole(&self, group: &str) -> bool {
        !self.stale.contains(group)
    }

    /// An identity as the cluster has it: a kind that lives in no namespace has none there, one that does
    /// lives in `default` where nothing else is said.
    pub(super) fn place(&self, id: &ResourceId) -> Option<ResourceId> {
        Some(match self.moved(id)? {
            Some(placed) => placed,
            None => id.clone(),
        })
    }

    /// The same where it is another one than it says; the outer `None` for a kind that is not served.
    fn moved(&self, id: &ResourceId) -> Option<Option<ResourceId>> {
        let namespaced = self.get(&id.group, &id.kind)?.namespaced;
        if id.namespace.is_some() == namespaced {
            return Some(None);
        }
        Some(Some(ResourceId {
            namespace: namespaced.then(|| "default".parse().ok()).flatten(),
            ..id.clone()
        }))
    }

    /// Identities that stand for one object here, and the other one of each: the one that is wanted, where one is.
    pub(super) fn doubles<'i>(
        &self,
        wanted: impl Iterator<Item = &'i ResourceId>,
        held: impl Iterator<Item = &'i ResourceId>,
    ) -> BTreeMap<ResourceId, ResourceId> {
        let mut first: BTreeMap<ResourceId, &ResourceId> = BTreeMap::new();
        let mut doubles = BTreeMap::new();
        // Few kinds are elsewhere than their file says, so this is all that there is to compare.
        let moved = |id: &'i ResourceId| self.moved(id).flatten();
        let all: Vec<&ResourceId> = wanted.chain(held).collect();
        let placed: BTreeSet<ResourceId> = all.iter().filter_map(|id| moved(id)).collect();
        for id in all {
            let place = match moved(id) {
                Some(place) => place,
                None if placed.contains(id) => id.clone(),
                None => continue,
            };
            match first.get(&place) {
                Some(other) if *other != id => drop(doubles.insert(id.clone(), (*other).clone())),
                Some(_) => {}
                None => drop(first.insert(place, id)),
            }
        }
        doubles
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn kinds(groups: serde_json::Value) -> Kinds {
        let groups: Vec<APIGroupDiscovery> = serde_json::from_value(groups).unwrap();
        let mut kinds = Kinds::default();
        for group in groups {
            kinds.take(group);
        }
        kinds
    }

    fn version(name: &str, freshness: &str) -> serde_json::Value {
        let verbs = ["get", "list", "patch", "delete"];
        json!({"version": name, "freshness": freshness, "resources": [
            {"resource": "widgets", "responseKind": {"kind": "Widget"}, "scope": "Namespaced", "verbs": verbs},
            {"resource": "worlds", "responseKind": {"kind": "World"}, "scope": "Cluster", "verbs": verbs},
            {"resource": "reviews", "responseKind": {"kind": "Review"}, "scope": "Cluster", "verbs": ["create"]},
        ]})
    }

    fn id(kind: &str, namespace: Option<&str>) -> ResourceId {
        ResourceId {
            group: "example.com".to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.map(|n| n.parse().unwrap()),
            name: "a".to_owned(),
        }
    }

    #[test]
    fn a_kind_has_its_path_scope_and_versions_the_favourite_first() {
        let kinds = kinds(json!([{
            "metadata": {"name": "example.com"},
            "versions": [version("v2", "Current"), version("v1", "Current")],
        }]));
        let widget = kinds.get("example.com", "Widget").unwrap();
        assert_eq!(widget.versions, ["v2", "v1"]);
        let at = |wanted| {
            widget
                .resource("example.com", "Widget", wanted)
                .map(|r| r.api_version)
        };
        assert_eq!(at(None).as_deref(), Some("example.com/v2"));
        assert_eq!(at(Some("v1")).as_deref(), Some("example.com/v1"));
        assert_eq!(at(Some("v3")), None);
        assert!(
            kinds.get("example.com", "Review").is_none(),
            "it can only be created"
        );
        assert!(kinds.get("", "Widget").is_none());
        assert!(kinds.has_definition("widgets.example.com"));
        for other in ["widgets.example.org", "reviews.example.com", "widgets", ""] {
            assert!(!kinds.has_definition(other), "{other}");
        }
    }

    #[test]
    fn a_namespace_is_given_or_taken_as_the_cluster_has_it() {
        let kinds = kinds(
            json!([{"metadata": {"name": "example.com"}, "versions": [version("v1", "Current")]}]),
        );
        let placed = |kind, namespace| {
            let placed = kinds.place(&id(kind, namespace)).unwrap();
            placed.namespace.map(|n| n.to_string())
        };
        assert_eq!(placed("Widget", None).as_deref(), Some("default"));
        assert_eq!(placed("Widget", Some("shop")).as_deref(), Some("shop"));
        assert_eq!(placed("World", Some("shop")), None);
        assert!(kinds.place(&id("Unheard", None)).is_none());
    }

    #[test]
    fn two_names_of_one_object_are_told_and_the_wanted_one_is_the_first() {
        let kinds = kinds(
            json!([{"metadata": {"name": "example.com"}, "versions": [version("v1", "Current")]}]),
        );
        let (with, without) = (id("World", Some("shop")), id("World", None));
        let (other, widget) = (id("Widget", Some("shop")), id("Widget", Some("till")));
        let all = [&with, &without, &other, &widget];
        for (wanted, held, expected) in [
            (vec![&with], vec![&without], vec![(&without, &with)]),
            (vec![&without], vec![&with], vec![(&with, &without)]),
            (vec![&with, &without], vec![], vec![(&without, &with)]),
            (vec![], vec![&without, &with], vec![(&with, &without)]),
            (vec![&with], vec![&with], vec![]),
            (vec![&other, &widget], vec![&other], vec![]),
            (
                vec![&id("Unheard", None)],
                all.to_vec(),
                vec![(&without, &with)],
            ),
        ] {
            let expected: BTreeMap<_, _> = expected
                .into_iter()
                .map(|(a, b)| (a.clone(), b.clone()))
                .collect();
            let doubles = kinds.doubles(wanted.iter().copied(), held.iter().copied());
            assert_eq!(doubles, expected, "{wanted:?} {held:?}");
        }
        let nowhere = kinds.doubles(
            [id("Widget", None)].iter(),
            [id("Widget", Some("default"))].iter(),
        );
        assert_eq!(nowhere.len(), 1, "no namespace is `default`");
    }

    #[test]
    fn a_group_whose_server_is_away_is_known_not_to_be_known() {
        let kinds = kinds(
            json!([{"metadata": {"name": "example.com"}, "versions": [version("v1", "Stale")]}]),
        );
        assert!(!kinds.is_whole("example.com") && kinds.is_whole("apps"));
    }
}
