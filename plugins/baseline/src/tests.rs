//! What each check finds, where, and how it is turned off.

use super::*;

const GOOD: &str = r#""resources":{"limits":{"memory":"1Gi"},"requests":{"cpu":"1"}}"#;

fn findings(objects: &[&str], config: &str) -> Vec<Finding> {
    let objects: Vec<Object> = objects
        .iter()
        .map(|json| Object::from_json(json).unwrap())
        .collect();
    validate(&objects, &Params::new("shop", "").with_config(config)).unwrap()
}

fn pod(spec: &str) -> String {
    format!(r#"{{"apiVersion":"v1","kind":"Pod","metadata":{{"name":"p"}},"spec":{{{spec}}}}}"#)
}

fn image(image: &str, config: &str) -> usize {
    let pod = pod(&format!(
        r#""containers":[{{"name":"c","image":"{image}",{GOOD}}}]"#
    ));
    findings(&[&pod], config).len()
}

#[test]
fn a_pinned_unprivileged_limited_pod_passes() {
    assert_eq!(image("registry:5000/web:1.2", "{}"), 0);
}

#[test]
fn an_image_without_a_version_is_found() {
    for bad in [
        "web",
        "web:latest",
        "registry:5000/web",
        "a/b:",
        "web@sha256:abc",
        "",
    ] {
        assert_eq!(image(bad, "{}"), 1, "{bad}");
    }
}

#[test]
fn a_digest_is_enough_and_can_be_required() {
    let digest = format!("web@sha256:{}", "a".repeat(64));
    assert_eq!(image(&digest, "{}"), 0);
    assert_eq!(image(&digest, r#"{"pin":"digest"}"#), 0);
    assert_eq!(image("web:1.2", r#"{"pin":"digest"}"#), 1);
}

#[test]
fn every_kind_with_a_pod_is_looked_at_at_its_place() {
    let inner = r#"{"containers":[{"name":"c","image":"web"}]}"#;
    let cases = [
        ("v1", "Pod", format!(r#""spec":{inner}"#), "/spec"),
        (
            "apps/v1",
            "Deployment",
            format!(r#""spec":{{"template":{{"spec":{inner}}}}}"#),
            "/spec/template/spec",
        ),
        (
            "apps/v1",
            "StatefulSet",
            format!(r#""spec":{{"template":{{"spec":{inner}}}}}"#),
            "/spec/template/spec",
        ),
        (
            "apps/v1",
            "DaemonSet",
            format!(r#""spec":{{"template":{{"spec":{inner}}}}}"#),
            "/spec/template/spec",
        ),
        (
            "apps/v1",
            "ReplicaSet",
            format!(r#""spec":{{"template":{{"spec":{inner}}}}}"#),
            "/spec/template/spec",
        ),
        (
            "batch/v1",
            "Job",
            format!(r#""spec":{{"template":{{"spec":{inner}}}}}"#),
            "/spec/template/spec",
        ),
        (
            "batch/v1",
            "CronJob",
            format!(r#""spec":{{"jobTemplate":{{"spec":{{"template":{{"spec":{inner}}}}}}}}}"#),
            "/spec/jobTemplate/spec/template/spec",
        ),
    ];
    for (version, kind, body, at) in cases {
        let object = format!(
            r#"{{"apiVersion":"{version}","kind":"{kind}","metadata":{{"name":"x"}},{body}}}"#
        );
        let found = findings(&[r#"{"kind":"Service"}"#, &object], "{}");
        let place = format!("{at}/containers/0/image");
        assert_eq!(
            (found[0].object, found[0].path.as_deref()),
            (Some(1), Some(place.as_str())),
            "{kind}"
        );
    }
}

#[test]
fn init_and_ephemeral_containers_are_looked_at() {
    let pod = pod(
        r#""initContainers":[{"name":"a","image":"x"}],"ephemeralContainers":[{"name":"b","image":"y","securityContext":{"privileged":true}}]"#,
    );
    let found = findings(&[&pod], r#"{"checks":{"no-limits":"off"}}"#);
    let seen: Vec<_> = found
        .iter()
        .map(|f| (f.code.as_str(), f.path.as_deref().unwrap()))
        .collect();
    assert_eq!(
        seen,
        [
            ("image-not-pinned", "/spec/initContainers/0/image"),
            ("image-not-pinned", "/spec/ephemeralContainers/0/image"),
            (
                "privileged",
                "/spec/ephemeralContainers/0/securityContext/privileged"
            ),
        ]
    );
}

#[test]
fn access_to_the_host_is_found() {
    let pod = pod(
        r#""hostNetwork":true,"hostPID":false,"volumes":[{"name":"a"},{"name":"b","hostPath":{"path":"/"}}]"#,
    );
    let found = findings(&[&pod], "{}");
    let places: Vec<_> = found.iter().map(|f| f.path.as_deref().unwrap()).collect();
    assert_eq!(places, ["/spec/hostNetwork", "/spec/volumes/1/hostPath"]);
    assert!(
        found
            .iter()
            .all(|f| f.code == "host-access" && f.level == Level::Error)
    );
}

#[test]
fn missing_limits_are_a_warning_unless_said_otherwise() {
    let pod =
        pod(r#""containers":[{"name":"c","image":"web:1","resources":{"limits":{"cpu":"1"}}}]"#);
    let found = findings(&[&pod], "{}");
    assert_eq!(
        (found.len(), found[0].level, found[0].code.as_str()),
        (1, Level::Warning, "no-limits")
    );
    assert!(
        found[0].message.contains("resources.limits.memory"),
        "{}",
        found[0].message
    );
    let found = findings(&[&pod], r#"{"checks":{"no-limits":"error"}}"#);
    assert_eq!(found[0].level, Level::Error);
    assert_eq!(findings(&[&pod], r#"{"checks":{"no-limits":"off"}}"#), []);
}

#[test]
fn an_unknown_check_or_level_is_an_error_with_the_nearest() {
    for (config, said) in [
        (
            r#"{"checks":{"privilegd":"off"}}"#,
            "did you mean `privileged`?",
        ),
        (r#"{"checks":{"privileged":"of"}}"#, "did you mean `off`?"),
    ] {
        let error = validate(&[], &Params::new("shop", "").with_config(config))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("bad-config: config.checks.") && error.contains(said),
            "{error}"
        );
    }
}

#[test]
fn odd_shapes_are_no_panic() {
    for odd in [
        r#""containers":7"#,
        r#""containers":[7,null]"#,
        r#""volumes":{},"containers":[]"#,
    ] {
        findings(&[&pod(odd)], "{}");
    }
}
