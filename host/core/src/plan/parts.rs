//! A plan in the parts between which hooks run.

use super::Plan;

impl Plan {
    /// The waves below 0, the other waves, and the prunes. What the plan says beside its steps stays with the first.
    #[must_use]
    pub fn parts(mut self) -> [Plan; 3] {
        let early = self.early.min(self.apply.len());
        let main = Plan {
            policy: self.policy.clone(),
            adopts: self.adopts.clone(),
            apply: self.apply.split_off(early),
            ..Plan::default()
        };
        let last = Plan {
            policy: self.policy.clone(),
            prune: std::mem::take(&mut self.prune),
            ..Plan::default()
        };
        [self, main, last]
    }

    /// The same, but nothing is pruned: what comes before that is known to fail.
    #[must_use]
    pub fn without_prunes(mut self) -> Plan {
        self.prune.clear();
        self
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use serde_json::json;

    use super::super::{Others, WAVE_ANNOTATION, plan};
    use crate::inventory::Inventory;
    use crate::live::Live;
    use crate::object::{Object, Origin};

    fn object(kind: &str, name: &str, wave: &str) -> Object {
        let body = json!({
            "apiVersion": "v1", "kind": kind,
            "metadata": { "name": name, "annotations": { WAVE_ANNOTATION: wave } },
        });
        let origin = Origin {
            path: "a.yaml".to_owned(),
            line: 1,
        };
        Object::new(body, origin).unwrap()
    }

    #[test]
    fn the_parts_are_the_waves_below_zero_the_others_and_the_prunes() {
        let objects = [
            object("ConfigMap", "first", "-3"),
            object("Namespace", "space", "7"),
            object("ConfigMap", "used", "-1"),
            object("ConfigMap", "own", "0"),
            object("ConfigMap", "late", "1"),
        ];
        let live: BTreeMap<_, _> = objects
            .iter()
            .map(|o| (o.id().clone(), Live::Absent))
            .collect();
        let whole = plan(&objects, &Inventory::default(), &live, &Others::default());
        let names: Vec<Vec<String>> = whole
            .clone()
            .parts()
            .iter()
            .map(|part| part.steps().map(|s| s.id().name.clone()).collect())
            .collect();
        assert_eq!(
            names,
            [vec!["space", "first", "used"], vec!["own", "late"], vec![]]
        );
        let all: usize = names.iter().map(Vec::len).sum();
        assert_eq!(whole.steps().count(), all);
    }
}
