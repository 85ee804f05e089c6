//! That the text is sound, and says of well-known kinds what Kubernetes' documentation says.

use std::collections::BTreeSet;

use super::*;

fn of(api_version: &str, kind: &str) -> Definition {
    super::kind(api_version, kind).unwrap().definition
}

fn inside(definition: Definition, path: &[&str]) -> Field {
    let (first, rest) = path.split_first().unwrap();
    let field = definition.field(first).unwrap();
    if rest.is_empty() {
        return field;
    }
    let mut shape = field.shape();
    loop {
        shape = match shape {
            Shape::Of(definition) => return inside(definition, rest),
            Shape::List(_, inner) | Shape::Map(inner) => inner.shape(),
            other => panic!("{first} is {other:?}"),
        };
    }
}

#[test]
fn the_lines_are_sorted_so_that_halving_finds_each() {
    let names: Vec<&str> = SHAPES
        .lines()
        .map(|line| line.split('\t').next().unwrap())
        .collect();
    assert!(names.is_sorted(), "sorted as bytes");
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    for (name, whole) in names.iter().zip(SHAPES.lines()) {
        let rest = whole[name.len()..].trim_start_matches('\t');
        assert_eq!(line(name), Some(rest), "{name}");
    }
}

#[test]
fn what_is_not_there_is_not_found() {
    assert_eq!(kind("apps/v1", "Deploymen"), None);
    assert_eq!(kind("apps/v1", "Deployments"), None);
    assert_eq!(kind("", ""), None);
    assert_eq!(kind("v1", "Zebra"), None);
    assert_eq!(definition("core.v1"), None);
    assert_eq!(definition("zzz.v1.Z"), None);
    assert_eq!(definition(""), None);
}

#[test]
fn every_definition_that_is_named_is_there_and_every_letter_is_known() {
    let mut kinds = 0;
    for name in super::kinds() {
        let (version, kind) = name.rsplit_once('/').unwrap();
        let found = super::kind(version, kind).unwrap();
        assert!(found.definition.field("metadata").is_some(), "{name}");
        kinds += 1;
    }
    assert!(kinds > 80, "{kinds} kinds");
    for line in SHAPES.lines().filter(|line| !line.starts_with(['#', '='])) {
        for text in line.split('\t').skip(1) {
            let (_, mut shape) = text.split_once('=').unwrap();
            loop {
                let rest = shape.trim_start_matches(['[', '{']);
                shape = match rest.strip_prefix('<').and_then(|r| r.split_once('>')) {
                    Some((_, item)) => item,
                    None if rest == shape => break,
                    None => rest,
                };
            }
            let shape = shape.trim_start_matches('(');
            match shape.strip_prefix('@') {
                Some(name) => {
                    let name = name.split('/').next().unwrap();
                    assert!(definition(name).is_some(), "{text}: {name}");
                }
                None => assert!(
                    shape.starts_with("s(") || "sytqpilnbo*".split("").any(|l| l == shape),
                    "{text}"
                ),
            }
        }
    }
}

#[test]
fn a_deployment_is_what_its_documentation_says() {
    let deployment = of("apps/v1", "Deployment");
    assert_eq!(
        inside(deployment, &["spec", "replicas"]).shape(),
        Shape::Int32
    );
    assert!(inside(deployment, &["spec", "selector"]).required);
    assert!(!inside(deployment, &["spec", "replicas"]).required);
    let pod = ["spec", "template", "spec"];
    let at = |more: &[&str]| inside(deployment, &[&pod, more].concat());
    assert_eq!(at(&["containers"]).merge, Merge::ByKey("name"));
    assert_eq!(at(&["volumes"]).merge, Merge::ByKey("name"));
    assert_eq!(
        at(&["containers", "ports"]).merge,
        Merge::ByKey("containerPort")
    );
    assert_eq!(at(&["containers", "args"]).merge, Merge::Plain);
    assert_eq!(
        at(&["containers", "resources", "limits"]).shape(),
        Shape::Map(Inner("q"))
    );
    let Shape::Text(Some(list)) = at(&["containers", "imagePullPolicy"]).shape() else {
        panic!("an enumeration");
    };
    let policies: Vec<_> = choices(list).collect();
    assert_eq!(policies, ["Always", "IfNotPresent", "Never"]);
    let Shape::List(Some(list), _) = at(&["containers", "ports"]).shape() else {
        panic!("a list with keys");
    };
    let keys: Vec<_> = keys(list).collect();
    assert_eq!(keys, [("containerPort", None), ("protocol", Some("TCP"))]);
}

#[test]
fn where_a_kind_lives_is_known() {
    for (version, kind, namespaced) in [
        ("v1", "Namespace", false),
        ("v1", "ConfigMap", true),
        ("rbac.authorization.k8s.io/v1", "ClusterRole", false),
        ("rbac.authorization.k8s.io/v1", "Role", true),
    ] {
        assert_eq!(
            super::kind(version, kind).unwrap().namespaced,
            namespaced,
            "{kind}"
        );
    }
    assert!(version().starts_with("1."), "{}", version());
}

#[test]
fn values_that_merge_as_a_set_have_no_key() {
    let meta = definition("meta.v1.ObjectMeta").unwrap();
    assert_eq!(meta.field("finalizers").unwrap().merge, Merge::Values);
    assert_eq!(
        meta.field("finalizers").unwrap().shape(),
        Shape::List(Some(""), Inner("s"))
    );
    assert_eq!(
        meta.field("ownerReferences").unwrap().merge,
        Merge::ByKey("uid")
    );
    let budget = of("policy/v1", "PodDisruptionBudget");
    assert_eq!(inside(budget, &["spec", "selector"]).merge, Merge::Replace);
}
