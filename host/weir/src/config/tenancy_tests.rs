//! `as` and `allow` of the host's file: what they become, and that nothing that went missing means all.

use std::path::Path;

use weir_core::allow::Rules;
use weir_core::object::ResourceId;

use super::super::file::{HostFile, parse};

fn read(text: &str) -> Result<HostFile, String> {
    parse(text.as_bytes(), "host.yaml", Path::new("/etc/weir")).map_err(|e| e.to_string())
}

/// A file with one repository, which has these targets and more keys from line 5 on.
fn file(targets: &str, more: &str) -> String {
    format!(
        "version: 1\nrepositories:\n- name: shop\n  url: https://h/x\n  targets: {targets}\n{more}"
    )
}

/// What is refused, with the file that says it, and the refusal.
fn refused(text: &str, expected: &str) {
    match read(text) {
        Ok(_) => panic!("accepted:\n{text}"),
        Err(error) => assert_eq!(error, expected, "\n{text}"),
    }
}

fn map_in(namespace: &str) -> ResourceId {
    ResourceId {
        group: String::new(),
        kind: "ConfigMap".to_owned(),
        namespace: Some(namespace.parse().unwrap()),
        name: "a".to_owned(),
    }
}

#[test]
fn a_target_is_its_place_or_a_map_with_account_and_rules() {
    let text = file(
        "{ default: 'kube:', files: { place: 'dir:live' }, eu: { place: kube:eu, as: shop/deployer, allow: { namespaces: [shop], cluster-kinds: [] } } }",
        "  allow: { namespaces: [shop, 'shop-*'], kinds: [core/ConfigMap, 'apps/*'], cluster-kinds: [core/Namespace] }\n",
    );
    let repository = read(&text).unwrap().repositories.remove(0);
    let shown: Vec<String> = repository
        .targets
        .iter()
        .map(|(name, bound)| {
            let account = bound.account.as_ref().map(ToString::to_string);
            let account = account.unwrap_or_default();
            format!("{name} {} {account} {}", bound.place, bound.allow.is_some())
        })
        .collect();
    assert_eq!(
        shown,
        [
            "default kube:  false",
            "eu kube:eu shop/deployer true",
            "files dir:/etc/weir/live  false"
        ]
    );
    let rules = |target: &str| {
        let of_target = repository.targets[target].allow.clone();
        Rules::new(repository.allow.clone().into_iter().chain(of_target))
    };
    assert!(rules("default").check(&map_in("shop-beta")).is_ok());
    let said = rules("default").check(&map_in("till")).unwrap_err();
    assert_eq!(
        said.to_string(),
        "namespace till is not among those of `allow` of repository shop (namespaces: shop, shop-*)"
    );
    let said = rules("eu").check(&map_in("shop-beta")).unwrap_err();
    assert_eq!(
        said.to_string(),
        "namespace shop-beta is not among those of `allow` of target eu of repository shop (namespaces: shop)"
    );
}

#[test]
fn without_rules_all_is_allowed_and_the_hosts_own_account_is_used() {
    let repository = read(&file("{ default: 'kube:' }", "")).unwrap();
    let repository = &repository.repositories[0];
    assert!(repository.allow.is_none());
    let bound = &repository.targets["default"];
    assert!(bound.account.is_none() && bound.allow.is_none());
}

#[test]
fn a_value_that_went_missing_never_means_all() {
    let own = |allow: &str| file("{ default: 'kube:' }", &format!("  allow: {allow}\n"));
    let there = |more: &str| file(&format!("{{ default: {{ place: 'kube:', {more} }} }}"), "");
    for (text, expected) in [
        (own(""), "host.yaml:6:8: expected a map, found nothing"),
        (own("null"), "host.yaml:6:10: expected a map, found nothing"),
        (
            own("{}"),
            "host.yaml:6:10: the key \"cluster-kinds\" is missing",
        ),
        (
            own("{ namespaces: [shop] }"),
            "host.yaml:6:10: the key \"cluster-kinds\" is missing",
        ),
        (
            own("{ namespaces: , cluster-kinds: [] }"),
            "host.yaml:6:22: expected a list, found nothing",
        ),
        (
            own("{ kinds: ~, cluster-kinds: [] }"),
            "host.yaml:6:19: expected a list, found nothing",
        ),
        (
            own("{ cluster-kinds: }"),
            "host.yaml:6:25: expected a list, found nothing",
        ),
        (
            own("{ namespaces: [''], cluster-kinds: [] }"),
            "host.yaml:6:25: \"\": expected a namespace, such as shop, with a * at its end for all that begin so, such as shop-*",
        ),
        (
            there("as: "),
            "host.yaml:5:43: expected text, found nothing",
        ),
        (
            there("as: ''"),
            "host.yaml:5:45: \"\": expected a service account as NAMESPACE/NAME, such as shop/deployer",
        ),
        (
            there("allow: ~"),
            "host.yaml:5:48: expected a map, found nothing",
        ),
        (
            file("{ default: ~ }", ""),
            "host.yaml:5:23: expected a place such as 'kube:', or a map with place, as and allow, found nothing",
        ),
    ] {
        refused(&text, expected);
    }
}

#[test]
fn each_mistake_stands_at_its_place_with_the_nearest_key() {
    let own = |allow: &str| file("{ default: 'kube:' }", &format!("  allow: {allow}\n"));
    let there = |more: &str| file(&format!("{{ default: {{ {more} }} }}"), "");
    for (text, expected) in [
        (
            own("{ namespace: [shop], cluster-kinds: [] }"),
            "host.yaml:6:12: unknown key \"namespace\": expected one of namespaces, kinds, cluster-kinds; did you mean \"namespaces\"?",
        ),
        (
            own("[shop]"),
            "host.yaml:6:10: expected a map, found a list",
        ),
        (
            own("{ namespaces: shop, cluster-kinds: [] }"),
            "host.yaml:6:24: expected a list, found the text \"shop\"",
        ),
        (
            own("{ namespaces: [shop, Till], cluster-kinds: [] }"),
            "host.yaml:6:31: \"Till\": expected a namespace, such as shop, with a * at its end for all that begin so, such as shop-*",
        ),
        (
            own("{ namespaces: ['*-shop'], cluster-kinds: [] }"),
            "host.yaml:6:25: \"*-shop\": expected a namespace, such as shop, with a * at its end for all that begin so, such as shop-*",
        ),
        (
            own("{ kinds: [ConfigMap], cluster-kinds: [] }"),
            "host.yaml:6:20: \"ConfigMap\": expected GROUP/KIND, such as apps/Deployment or core/ConfigMap, GROUP/* or *",
        ),
        (
            own("{ cluster-kinds: [apps/v1/Deployment] }"),
            "host.yaml:6:28: \"apps/v1/Deployment\": expected GROUP/KIND, such as apps/Deployment or core/ConfigMap, GROUP/* or *",
        ),
        (
            there("at: 'kube:'"),
            "host.yaml:5:25: unknown key \"at\": expected one of place, as, allow",
        ),
        (
            there("place: 'kube:', ass: shop/a"),
            "host.yaml:5:41: unknown key \"ass\": expected one of place, as, allow; did you mean \"as\"?",
        ),
        (
            there("as: shop/a"),
            "host.yaml:5:23: the key \"place\" is missing",
        ),
        (
            there("place: 'kube:', as: deployer"),
            "host.yaml:5:45: \"deployer\": expected a service account as NAMESPACE/NAME, such as shop/deployer",
        ),
        (
            there("place: dir:x, as: shop/a"),
            "host.yaml:5:39: a directory has no service accounts: leave `as` out",
        ),
        (
            file("{ default: [1] }", ""),
            "host.yaml:5:23: expected a place such as 'kube:', or a map with place, as and allow, found a list",
        ),
        (
            there("place: live"),
            "host.yaml:5:32: expected dir:PATH, kube: (the current context, or the pod's own cluster), kube:CONTEXT or kube-secret:NAMESPACE/NAME",
        ),
    ] {
        refused(&text, expected);
    }
}

#[test]
fn a_list_without_an_end_is_refused() {
    let many = vec!["a"; super::MAX_PATTERNS + 1].join(", ");
    let text = file(
        "{ default: 'kube:' }",
        &format!("  allow: {{ namespaces: [{many}], cluster-kinds: [] }}\n"),
    );
    refused(&text, "host.yaml:6:24: 1001 items: expected at most 1000");
}

#[test]
fn a_host_of_a_cluster_needs_no_repositories_of_its_own_and_bounds_those_of_teams() {
    let host = read("version: 1\ncluster: {}\n").unwrap();
    assert!(host.repositories.is_empty());
    assert_eq!(host.bounds.map(|bounds| bounds.allow), Some(None));
    let text = "version: 1\ncluster: { allow: { namespaces: ['team-*'], cluster-kinds: [] } }\n";
    let allow = read(text).unwrap().bounds.unwrap().allow;
    let said = Rules::new(allow).check(&map_in("till")).unwrap_err();
    assert_eq!(
        said.to_string(),
        "namespace till is not among those of `cluster.allow` of this host (namespaces: team-*)"
    );
    assert!(
        read(&file("{ default: 'kube:' }", ""))
            .unwrap()
            .bounds
            .is_none()
    );
    for (text, expected) in [
        ("version: 1\ncluster:\n", "host.yaml:2:"),
        ("version: 1\ncluster: { allow: }\n", "host.yaml:2:"),
        ("version: 1\ncluster: { allow: {} }\n", "cluster-kinds"),
        (
            "version: 1\ncluster: {}\nrepositories:\n- { name: a.b, url: https://h/x, targets: { default: 'kube:' } }\n",
            "host.yaml:4:11: a name with a dot is that of a Repository of the cluster",
        ),
    ] {
        let error = read(text).unwrap_err();
        assert!(error.contains(expected), "{text}: {error}");
    }
}
