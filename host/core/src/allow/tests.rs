//! Which objects pass which rules, what is no pattern, and rules that hold for all rules.

use proptest::prelude::*;
use serde_json::json;

use super::*;

fn id(group: &str, kind: &str, namespace: Option<&str>, name: &str) -> ResourceId {
    ResourceId {
        group: group.to_owned(),
        kind: kind.to_owned(),
        namespace: namespace.map(|n| n.parse().unwrap()),
        name: name.to_owned(),
    }
}

fn map_in(namespace: &str) -> ResourceId {
    id("", "ConfigMap", Some(namespace), "a")
}

fn parsed<P: FromStr<Err = String>>(patterns: &[&str]) -> Vec<P> {
    patterns.iter().map(|p| p.parse().unwrap()).collect()
}

fn allowing(namespaces: Option<&[&str]>, kinds: Option<&[&str]>, cluster: &[&str]) -> Allow {
    Allow {
        said_by: "`allow` of repository shop".to_owned(),
        namespaces: namespaces.map(parsed),
        kinds: kinds.map(parsed),
        cluster_kinds: parsed(cluster),
    }
}

fn object(id: &ResourceId, path: &str, line: u32) -> Object {
    let api = match id.group.as_str() {
        "" => "v1".to_owned(),
        group => format!("{group}/v1"),
    };
    let mut body = json!({"apiVersion": api, "kind": id.kind, "metadata": {"name": id.name}});
    if let Some(namespace) = &id.namespace {
        body["metadata"]["namespace"] = json!(namespace.as_str());
    }
    let path = path.to_owned();
    Object::new(body, Origin { path, line }).unwrap()
}

#[test]
fn a_namespace_passes_by_its_name_or_its_beginning_and_no_other_does() {
    let rule = allowing(Some(&["shop", "team-*"]), None, &[]);
    for (namespace, passes) in [
        ("shop", true),
        ("shop-2", false),
        ("sho", false),
        ("team-", false),
        ("team-a", true),
        ("team-a-b", true),
        ("team", false),
        ("a-team-b", false),
        ("default", false),
    ] {
        // Not every beginning is a namespace by itself.
        if namespace.ends_with('-') {
            continue;
        }
        let checked = rule.check(&map_in(namespace));
        assert_eq!(checked.is_ok(), passes, "{namespace}: {checked:?}");
    }
    assert!(
        allowing(Some(&["*"]), None, &[])
            .check(&map_in("any"))
            .is_ok()
    );
    assert!(
        allowing(Some(&[]), None, &[])
            .check(&map_in("any"))
            .is_err()
    );
    assert!(allowing(None, None, &[]).check(&map_in("any")).is_ok());
}

#[test]
fn a_kind_passes_with_its_own_group_only() {
    let rule = allowing(None, Some(&["apps/Deployment", "core/*"]), &[]);
    let in_shop = |group: &str, kind: &str| id(group, kind, Some("shop"), "a");
    for (group, kind, passes) in [
        ("apps", "Deployment", true),
        ("apps", "StatefulSet", false),
        ("extensions", "Deployment", false),
        ("", "Deployment", true),
        ("", "Secret", true),
        ("core", "Secret", false),
        ("apps.example.com", "Deployment", false),
    ] {
        let checked = rule.check(&in_shop(group, kind));
        assert_eq!(checked.is_ok(), passes, "{group}/{kind}: {checked:?}");
    }
    let all = allowing(None, Some(&["*"]), &[]);
    assert!(all.check(&in_shop("any.example.com", "Any")).is_ok());
}

#[test]
fn what_lives_in_no_namespace_passes_only_where_it_is_named() {
    let role = id("rbac.authorization.k8s.io", "ClusterRole", None, "reader");
    for (rule, passes) in [
        (allowing(None, None, &[]), false),
        (allowing(None, Some(&["*"]), &[]), false),
        (allowing(Some(&["*"]), Some(&["*"]), &[]), false),
        (allowing(None, Some(&[]), &["*"]), true),
        (
            allowing(None, None, &["rbac.authorization.k8s.io/ClusterRole"]),
            true,
        ),
        (
            allowing(
                None,
                None,
                &["rbac.authorization.k8s.io/ClusterRoleBinding"],
            ),
            false,
        ),
    ] {
        assert_eq!(rule.check(&role).is_ok(), passes, "{rule:?}");
    }
    // A list for kinds without a namespace says nothing of those in one.
    let only_roles = allowing(None, Some(&["core/ConfigMap"]), &["*"]);
    assert!(
        only_roles
            .check(&id("", "Secret", Some("shop"), "a"))
            .is_err()
    );
}

#[test]
fn a_namespace_object_counts_as_one_of_the_namespace_that_it_makes() {
    let rule = allowing(Some(&["shop", "shop-*"]), None, &["core/Namespace"]);
    let namespace = |name: &str| id("", "Namespace", None, name);
    assert!(rule.check(&namespace("shop")).is_ok());
    assert!(rule.check(&namespace("shop-eu")).is_ok());
    let Err(Outside::Namespace { namespace: of, .. }) = rule.check(&namespace("kube-system"))
    else {
        panic!("kube-system passes");
    };
    assert_eq!(of, "kube-system");
    let none = allowing(Some(&["shop"]), None, &[]);
    assert!(matches!(
        none.check(&namespace("shop")),
        Err(Outside::ClusterKind { .. })
    ));
    // A kind of that name in another group is none.
    let other = id("example.com", "Namespace", None, "kube-system");
    assert!(
        allowing(Some(&["shop"]), None, &["*"])
            .check(&other)
            .is_ok()
    );
}

#[test]
fn an_object_is_judged_by_where_the_target_has_it() {
    let rules = Rules::new([allowing(Some(&["shop"]), None, &[])]);
    let issuer = id("cert.example.com", "ClusterIssuer", Some("shop"), "a");
    let objects = [object(&issuer, "a.yaml", 3)];
    assert!(rules.admit(&objects, &BTreeMap::new()).is_ok());
    let in_none = ResourceId {
        namespace: None,
        ..issuer.clone()
    };
    let placed = BTreeMap::from([(issuer.clone(), in_none)]);
    let refused = rules.admit(&objects, &placed).unwrap_err().to_string();
    assert!(
        refused.contains("cert.example.com/ClusterIssuer lives in no namespace"),
        "{refused}"
    );
    let held = BTreeSet::from([issuer]);
    assert_eq!(rules.outside(&held, &placed).len(), 1);
    assert_eq!(rules.outside(&held, &BTreeMap::new()).len(), 0);
}

#[test]
fn each_rule_has_to_allow_it_and_the_one_that_does_not_is_named() {
    let of_repository = allowing(Some(&["shop", "beta"]), None, &[]);
    let mut of_target = allowing(Some(&["shop"]), None, &[]);
    of_target.said_by = "`allow` of target eu of repository shop".to_owned();
    let rules = Rules::new([of_repository, of_target]);
    assert!(rules.check(&map_in("shop")).is_ok());
    let said = rules.check(&map_in("beta")).unwrap_err().to_string();
    assert_eq!(
        said,
        "namespace beta is not among those of `allow` of target eu of repository shop (namespaces: shop)"
    );
    let said = rules.check(&map_in("other")).unwrap_err().to_string();
    assert!(said.contains("(namespaces: shop, beta)"), "{said}");
    assert!(Rules::default().check(&map_in("other")).is_ok());
}

#[test]
fn a_refusal_names_object_place_rule_and_what_to_do() {
    let rules = Rules::new([allowing(Some(&["shop"]), Some(&["core/ConfigMap"]), &[])]);
    let objects = [
        object(&map_in("shop"), "web/a.yaml", 1),
        object(&id("", "Secret", Some("shop"), "s"), "web/b.yaml", 7),
        object(&map_in("kube-system"), "web/b.yaml", 2),
        object(&id("", "Node", None, "n"), "web/c.yaml", 1),
    ];
    let refused = rules.admit(&objects, &BTreeMap::new()).unwrap_err();
    assert_eq!(
        refused.to_string(),
        "web/b.yaml:2: ConfigMap kube-system/a: namespace kube-system is not among those of `allow` of repository shop (namespaces: shop); \
         nothing of the app is applied: take it out of the repository, or have the host's operator allow it\n\
         web/b.yaml:7: Secret shop/s: kind core/Secret is not among those of `allow` of repository shop (kinds: core/ConfigMap)\n\
         web/c.yaml:1: Node n: kind core/Node lives in no namespace and is not among those of `allow` of repository shop (cluster-kinds: none)"
    );
    assert_eq!(
        (refused.fault(), refused.retry()),
        (Fault::Repository, Retry::OnChange)
    );
}

#[test]
fn a_long_refusal_and_a_long_list_are_cut() {
    let many: Vec<String> = (0..30).map(|n| format!("team-{n}")).collect();
    let many: Vec<&str> = many.iter().map(String::as_str).collect();
    let rules = Rules::new([allowing(Some(&many), None, &[])]);
    let objects: Vec<Object> = (0..25)
        .map(|n| {
            object(
                &id("", "ConfigMap", Some("other"), &format!("m{n}")),
                "a",
                n + 1,
            )
        })
        .collect();
    let text = rules
        .admit(&objects, &BTreeMap::new())
        .unwrap_err()
        .to_string();
    assert_eq!(text.lines().count(), 11, "{text}");
    assert!(text.ends_with("... and 15 more"), "{text}");
    assert!(text.contains("team-9, and 20 more)"), "{text}");
}

#[test]
fn what_is_no_namespace_is_refused_with_what_was_expected() {
    let long = "a".repeat(64);
    for bad in [
        "", " ", "Shop", "shop-", "-shop", "shop.eu", "shop_eu", "a*b", "*shop", "**", "shop-**",
        "-*", "shop/*", "shöp", "shop ", &long,
    ] {
        let error = bad.parse::<NamespacePattern>().unwrap_err();
        assert!(error.contains("such as shop-*"), "{bad:?}: {error}");
    }
    let error = "x".repeat(500).parse::<NamespacePattern>().unwrap_err();
    assert!(error.len() < 250, "{error}");
}

#[test]
fn what_is_no_kind_is_refused_with_what_was_expected() {
    for bad in [
        "",
        "/",
        "Deployment",
        "apps",
        "apps/",
        "/ConfigMap",
        "*/Deployment",
        "apps/v1/Deployment",
        "v1/ConfigMap/x",
        "apps/Dep*",
        "Apps/Deployment",
        "apps/Deploy ment",
        ".apps/A",
        "apps./A",
        "apps/Depl\u{f6}yment",
        "**",
        "apps/**",
    ] {
        let error = bad.parse::<KindPattern>().unwrap_err();
        assert!(error.contains("core/ConfigMap"), "{bad:?}: {error}");
    }
    let error = "apps/deployments".parse::<KindPattern>().unwrap_err();
    assert!(
        error.ends_with("begins with a capital letter, as in its file"),
        "{error}"
    );
}

fn some_namespaces() -> impl Strategy<Value = Vec<NamespacePattern>> {
    let one = "[a-c]{1,2}\\*?".prop_map(|p| p.parse().unwrap());
    prop::collection::vec(one, 0..4)
}

fn some_kinds() -> impl Strategy<Value = Vec<KindPattern>> {
    let one = prop_oneof!["\\*", "(core|g)/\\*", "(core|g)/(Namespace|A|B)"];
    prop::collection::vec(one.prop_map(|p| p.parse().unwrap()), 0..4)
}

fn some_allow() -> impl Strategy<Value = Allow> {
    let lists = (
        prop::option::of(some_namespaces()),
        prop::option::of(some_kinds()),
        some_kinds(),
    );
    lists.prop_map(|(namespaces, kinds, cluster_kinds)| Allow {
        said_by: "it".to_owned(),
        namespaces,
        kinds,
        cluster_kinds,
    })
}

fn some_id() -> impl Strategy<Value = ResourceId> {
    let group = prop_oneof![Just(""), Just("g"), Just("core")];
    let kind = prop_oneof![Just("Namespace"), Just("A"), Just("B")];
    (group, kind, prop::option::of("[a-d]{1,3}"), "[a-d]{1,3}")
        .prop_map(|(group, kind, namespace, name)| id(group, kind, namespace.as_deref(), &name))
}

proptest! {
    #[test]
    fn a_pattern_reads_as_it_is_written(namespaces in some_namespaces(), kinds in some_kinds()) {
        for pattern in namespaces {
            prop_assert_eq!(pattern.to_string().parse::<NamespacePattern>().unwrap(), pattern);
        }
        for pattern in kinds {
            prop_assert_eq!(pattern.to_string().parse::<KindPattern>().unwrap(), pattern);
        }
    }

    #[test]
    fn one_more_rule_never_allows_more_and_one_more_pattern_never_less(
        allow in some_allow(), other in some_allow(), id in some_id(),
        namespaces in some_namespaces(), kinds in some_kinds(),
    ) {
        let both = Rules::new([allow.clone(), other.clone()]).check(&id).is_ok();
        prop_assert_eq!(both, allow.check(&id).is_ok() && other.check(&id).is_ok());
        let mut wider = allow.clone();
        if let Some(own) = &mut wider.namespaces {
            own.extend(namespaces);
        }
        if let Some(own) = &mut wider.kinds {
            own.extend(kinds.clone());
        }
        wider.cluster_kinds.extend(kinds);
        prop_assert!(allow.check(&id).is_err() || wider.check(&id).is_ok());
    }

    #[test]
    fn a_render_passes_just_when_each_of_its_objects_does(
        allow in some_allow(), ids in prop::collection::btree_set(some_id(), 0..6),
    ) {
        let rules = Rules::new([allow]);
        let objects: Vec<Object> = ids.iter().map(|id| object(id, "a.yaml", 1)).collect();
        let all = ids.iter().all(|id| rules.check(id).is_ok());
        prop_assert_eq!(rules.admit(&objects, &BTreeMap::new()).is_ok(), all);
        let outside = rules.outside(&ids, &BTreeMap::new());
        for id in &ids {
            prop_assert_eq!(outside.contains_key(id), rules.check(id).is_err());
        }
    }
}
