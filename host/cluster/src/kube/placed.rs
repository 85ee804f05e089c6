//! Where the cluster has objects, and the last gate before it: what may not land there is neither written nor deleted.

use std::collections::{BTreeMap, BTreeSet};

use weir_core::allow::Rules;
use weir_core::object::ResourceId;

use super::KubeTarget;
use super::error::KubeError;

impl KubeTarget {
    /// Holds all that is written and deleted there to these rules.
    #[must_use]
    pub fn within(mut self, rules: Rules) -> KubeTarget {
        self.rules = rules;
        self
    }

    pub(crate) fn rules(&self) -> &Rules {
        &self.rules
    }

    /// Where the cluster has those that it does not have where their identity says: only the cluster knows which
    /// kinds live in no namespace.
    ///
    /// # Errors
    /// When the API server does not say which kinds it has.
    pub(crate) async fn placed(
        &self,
        ids: &BTreeSet<&ResourceId>,
    ) -> Result<BTreeMap<ResourceId, ResourceId>, KubeError> {
        let kinds = self.kinds_with(|kinds| {
            ids.iter()
                .all(|id| kinds.get(&id.group, &id.kind).is_some())
        });
        let kinds = kinds.await?;
        let moved = |id: &&ResourceId| {
            let placed = kinds.place(id).filter(|placed| placed != *id)?;
            Some(((*id).clone(), placed))
        };
        Ok(ids.iter().filter_map(moved).collect())
    }

    /// Whether this may be written or deleted there, by where the cluster has it.
    ///
    /// # Errors
    /// When a rule says no: the kind is served in another way than when the app was looked at.
    pub(super) fn may_touch(&self, placed: &ResourceId) -> Result<(), KubeError> {
        let checked = self.rules.check(placed);
        checked.map_err(|broken| KubeError::Outside(broken.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use weir_core::allow::Allow;

    use super::super::{KubeAccess, KubeLimits, KubePlace};
    use super::*;

    /// A target at which nobody has to answer.
    async fn target(rules: Rules) -> KubeTarget {
        let home = tempfile::tempdir().unwrap();
        let file = home.path().join("config");
        let config = "current-context: c\ncontexts: [{ name: c, context: { cluster: c } }]\nclusters: [{ name: c, cluster: { server: 'http://127.0.0.1:1' } }]\n";
        std::fs::write(&file, config).unwrap();
        let access = KubeAccess {
            place: KubePlace::Current,
            kubeconfig: vec![file],
            in_cluster: false,
            account: None,
        };
        let target = KubeTarget::open(&access, KubeLimits::HOST).await;
        target.unwrap().within(rules)
    }

    #[tokio::test]
    async fn the_last_gate_knows_an_object_by_where_the_cluster_has_it() {
        let rules = Rules::new([Allow {
            said_by: "the file".to_owned(),
            namespaces: Some(vec!["shop".parse().unwrap()]),
            kinds: None,
            cluster_kinds: Vec::new(),
        }]);
        let id = |namespace: Option<&str>| ResourceId {
            group: "example.com".to_owned(),
            kind: "Issuer".to_owned(),
            namespace: namespace.map(|n| n.parse().unwrap()),
            name: "a".to_owned(),
        };
        let held_to = target(rules).await;
        held_to.may_touch(&id(Some("shop"))).unwrap();
        for outside in [id(None), id(Some("till"))] {
            let error = held_to.may_touch(&outside).unwrap_err().to_string();
            let expected = "the host does not let this repository have it, and nothing was done: ";
            assert!(error.starts_with(expected), "{error}");
        }
        let free = target(Rules::default()).await;
        free.may_touch(&id(None)).unwrap();
    }
}
