//! What an API server (1.3x, as its answers were recorded) says no with, and what a person reads of it.

mod hidden;

use serde_json::{Value, json};

use super::conflicts::SHOWN_CONFLICTS;
use super::*;

/// An answer as it comes over the wire.
fn of(secret: bool, status: Value) -> KubeError {
    let status: Status = serde_json::from_value(status).unwrap();
    KubeError::of("kube:prod", &kube::Error::Api(status.boxed()), secret)
}

/// An answer with a message alone.
fn said(code: u16, message: &str) -> KubeError {
    of(false, json!({"code": code, "message": message}))
}

/// An answer about one field.
fn invalid(kind: &str, field: &str, why: &str) -> Value {
    json!({
        "code": 422, "reason": "Invalid", "message": format!("{kind} \"web\" is invalid: {field}: {why}"),
        "details": {"name": "web", "kind": kind, "causes": [
            {"reason": "FieldValueInvalid", "message": why, "field": field},
        ]},
    })
}

/// Whose fault it is, when to try again, and the whole text.
fn pinned(error: &KubeError, fault: Fault, retry: Retry, text: &str) {
    assert_eq!(error.to_string(), text);
    assert_eq!((error.fault(), error.retry()), (fault, retry), "{text}");
}

#[test]
fn credentials_that_are_not_accepted_name_the_cluster() {
    let error = of(
        false,
        json!({"code": 401, "reason": "Unauthorized", "message": "Unauthorized"}),
    );
    pinned(
        &error,
        Fault::Host,
        Retry::Backoff,
        "the API server does not accept the credentials of kube:prod: Unauthorized. Renew them",
    );
}

#[test]
fn a_missing_role_says_who_may_not_do_what() {
    let error = of(
        false,
        json!({
            "code": 403, "reason": "Forbidden", "details": {"name": "web", "kind": "configmaps"},
            "message": "configmaps \"web\" is forbidden: User \"dev\" cannot patch resource \"configmaps\" in API group \"\" in the namespace \"shop\"",
        }),
    );
    pinned(
        &error,
        Fault::Target,
        Retry::Backoff,
        "forbidden: configmaps \"web\" is forbidden: User \"dev\" cannot patch resource \"configmaps\" in API group \"\" in the namespace \"shop\". Give that account a role that allows it, or leave the object out",
    );
    let error = said(
        403,
        "roles.rbac.authorization.k8s.io \"y\" is forbidden: user \"dev\" (groups=[\"\" \"system:authenticated\"]) is attempting to grant RBAC permissions not currently held:\n{APIGroups:[\"\"], Resources:[\"secrets\"], Verbs:[\"get\"]}",
    );
    assert!(matches!(error, KubeError::Forbidden { .. }), "{error:?}");
    assert!(
        error.to_string().contains("not currently held: {…}. Give"),
        "{error}"
    );
    // A proxy's own no.
    let error = said(403, "Forbidden");
    assert!(matches!(error, KubeError::Forbidden { .. }), "{error:?}");
}

#[test]
fn a_check_that_no_role_helps_against_does_not_ask_for_a_role() {
    for why in [
        "violates PodSecurity \"restricted:latest\": runAsNonRoot != true (pod or container \"a\" must set securityContext.runAsNonRoot=true)",
        "maximum cpu usage per Container is 1, but limit is 2",
        "failed quota: q: must specify limits.cpu for: a",
    ] {
        let error = said(403, &format!("pods \"web\" is forbidden: {why}"));
        pinned(
            &error,
            Fault::Repository,
            Retry::Backoff,
            &format!(
                "an admission check of the cluster refuses it: pods \"web\" is forbidden: {why}. Change the object so that it passes, or have the check changed"
            ),
        );
    }
}

#[test]
fn a_webhooks_or_a_policys_no_is_one_whatever_code_it_chose() {
    let policy = "configmaps \"web\" is forbidden: ValidatingAdmissionPolicy 'p' with binding 'b' denied request: no such maps here";
    let webhook = "admission webhook \"check.example.com\" denied the request: no such maps here";
    for message in [
        webhook,
        policy,
        "admission webhook \"check.example.com\" denied the request without explanation",
    ] {
        for code in [400, 401, 403, 409, 413, 422, 429, 500, 503] {
            let error = said(code, message);
            assert!(
                matches!(error, KubeError::Denied { .. }),
                "{code}: {error:?}"
            );
            assert!(error.to_string().contains(message), "{error}");
        }
    }
    // The words alone are somebody's value.
    let error = of(
        false,
        invalid(
            "Widget",
            "spec.note",
            "Invalid value: \"denied the request\": too long",
        ),
    );
    assert!(matches!(error, KubeError::Invalid { .. }), "{error:?}");
}

#[test]
fn a_webhook_that_does_not_answer_is_to_be_mended() {
    let why = "failed calling webhook \"check.example.com\": failed to call webhook: Post \"https://127.0.0.1:9/x?timeout=2s\": dial tcp 127.0.0.1:9: connect: connection refused";
    let error = of(
        false,
        json!({
            "code": 500, "reason": "InternalError", "message": format!("Internal error occurred: {why}"),
            "details": {"causes": [{"message": why}]},
        }),
    );
    pinned(
        &error,
        Fault::Target,
        Retry::Backoff,
        &format!(
            "an admission webhook of the cluster does not answer: Internal error occurred: {why}. Mend the webhook; Weir tries again"
        ),
    );
}

#[test]
fn a_namespace_that_is_missing_or_leaving_is_named() {
    let error = of(
        false,
        json!({
            "code": 404, "reason": "NotFound", "message": "namespaces \"nope\" not found",
            "details": {"name": "nope", "kind": "namespaces"},
        }),
    );
    pinned(
        &error,
        Fault::Repository,
        Retry::Backoff,
        "its namespace does not exist: namespaces \"nope\" not found. Add the namespace to the repository, or create it",
    );
    let message = "configmaps \"web\" is forbidden: unable to create new content in namespace dying because it is being terminated";
    let error = of(
        false,
        json!({
            "code": 403, "reason": "Forbidden", "message": message,
            "details": {"name": "web", "kind": "configmaps", "causes": [{
                "reason": "NamespaceTerminating", "message": "namespace dying is being terminated",
                "field": "metadata.namespace",
            }]},
        }),
    );
    pinned(
        &error,
        Fault::Target,
        Retry::Backoff,
        &format!(
            "its namespace is being deleted, and nothing can be made in it until it is gone and made again: {message}"
        ),
    );
}

#[test]
fn a_used_up_quota_is_one() {
    let message = "configmaps \"web\" is forbidden: exceeded quota: q, requested: count/configmaps=1, used: count/configmaps=0, limited: count/configmaps=0";
    pinned(
        &said(403, message),
        Fault::Target,
        Retry::Backoff,
        &format!("a quota is used up: {message}. Raise it, or ask for less"),
    );
}

#[test]
fn a_field_that_the_schema_does_not_have_is_the_repositorys_to_mend() {
    for (code, message) in [
        (
            500,
            "failed to create typed patch object (/web; apps/v1, Kind=Deployment): .spec.replicaz: field not declared in schema",
        ),
        (
            500,
            "failed to create typed patch object (/web; apps/v1, Kind=Deployment): .spec.replicas: expected numeric (int or float), got string",
        ),
        (
            500,
            "failed to convert new object (/web; /v1, Kind=ConfigMap) to proper version: unable to convert unstructured object to /v1, Kind=ConfigMap: error decoding from json: illegal base64 data at input byte 7",
        ),
        (
            400,
            "Widget in version \"v1\" cannot be handled as a Widget: strict decoding error: unknown field \"spec.nope\"",
        ),
        (
            422,
            "Deployment.apps \"web\" is invalid: spec.replicas: Invalid value: -2: must be greater than or equal to 0",
        ),
    ] {
        pinned(
            &said(code, message),
            Fault::Repository,
            Retry::OnChange,
            &format!(
                "the API server refuses it as invalid: {message}. Put it right in the repository"
            ),
        );
    }
}

#[test]
fn a_field_that_may_not_change_says_to_make_the_object_anew_and_shows_no_object() {
    for (field, why, shown) in [
        (
            "spec.selector",
            "Invalid value: {\"matchLabels\":{\"app\":\"hunter2\"}}: field is immutable",
            "Invalid value: {…}: field is immutable",
        ),
        (
            "spec.serviceName",
            "Invalid value: \"web2\": field is immutable",
            "Invalid value: \"web2\": field is immutable",
        ),
        (
            "data",
            "Forbidden: field is immutable when `immutable` is set",
            "Forbidden: field is immutable when `immutable` is set",
        ),
        (
            "spec.clusterIPs[0]",
            "Invalid value: [\"10.96.0.8\"]: may not change once set",
            "Invalid value: [\"10.96.0.8\"]: may not change once set",
        ),
        (
            "spec",
            "Forbidden: updates to statefulset spec for fields other than 'replicas', 'template' are forbidden",
            "Forbidden: updates to statefulset spec for fields other than 'replicas', 'template' are forbidden",
        ),
        (
            "spec",
            "Forbidden: pod updates may not change fields other than `spec.tolerations` (only additions)\n@@ -10,7 +10,13 @@\n-   \"Env\": null,\n+   \"Env\": [\n+    {\n+     \"Name\": \"A\",\n+     \"Value\": \"hunter2\",\n",
            "Forbidden: pod updates may not change fields other than `spec.tolerations` (only additions) …",
        ),
    ] {
        pinned(
            &of(false, invalid("Deployment.apps", field, why)),
            Fault::Repository,
            Retry::OnChange,
            &format!(
                "a field that cannot be changed was changed: Deployment.apps \"web\" is invalid: {field}: {shown}. Put the field back, or delete the object so that it is made anew: Weir does that where its annotation weir.dev/recreate is \"true\""
            ),
        );
    }
}

/// A conflict as server-side apply answers it.
fn conflict(causes: &[(&str, &str)]) -> KubeError {
    let cause = |(manager, field): &(&str, &str)| json!({"reason": "FieldManagerConflict", "message": format!("conflict with {manager}"), "field": field});
    let causes: Vec<Value> = causes.iter().map(cause).collect();
    of(
        true,
        json!({"code": 409, "reason": "Conflict", "message": "Apply failed with conflicts", "details": {"causes": causes}}),
    )
}

#[test]
fn a_conflict_names_the_fields_and_their_managers() {
    let error = conflict(&[
        ("\"kubectl-edit\" using v1", ".data.a"),
        (
            "\"kubectl\" with subresource \"scale\" using apps/v1",
            ".spec.replicas",
        ),
    ]);
    pinned(
        &error,
        Fault::Target,
        Retry::OnChange,
        "others manage fields that it sets: .data.a (\"kubectl-edit\" using v1), .spec.replicas (\"kubectl\" with subresource \"scale\" using apps/v1). Leave these fields out, or take them from the other manager",
    );
    let of_scale = |error: &KubeError| matches!(error, KubeError::Conflict(c) if c.is_of_scale());
    assert!(of_scale(&error));
    assert!(!of_scale(&conflict(&[("\"scale\" using v1", ".data.a")])));
}

#[test]
fn a_conflict_over_many_fields_names_a_few_and_counts_the_rest() {
    let fields: Vec<String> = (0..25).map(|n| format!(".data.k{n}")).collect();
    let causes: Vec<(&str, &str)> = fields
        .iter()
        .map(|f| ("\"kubectl\" using v1", f.as_str()))
        .collect();
    let text = conflict(&causes).to_string();
    assert!(
        text.contains(".data.k9 (") && !text.contains(".data.k10"),
        "{text}"
    );
    assert!(text.contains(" and 15 more. Leave"), "{text}");
    let text = conflict(&causes[..SHOWN_CONFLICTS]).to_string();
    assert!(!text.contains("more"), "{text}");
}

#[test]
fn an_object_that_is_another_one_or_in_another_state_is_looked_at_again() {
    let uid = invalid(
        "ConfigMap",
        "metadata.uid",
        "Invalid value: \"d2b8a9d0\": field is immutable",
    );
    let conflict = |message: &str| json!({"code": 409, "reason": "Conflict", "message": message, "details": {"name": "web", "kind": "configmaps"}});
    for status in [
        uid,
        conflict(
            "Operation cannot be fulfilled on configmaps \"web\": uid mismatch: the provided object specified uid d2b8a9d0, and no existing object was found",
        ),
        conflict(
            "Operation cannot be fulfilled on configmaps \"web\": the object has been modified; please apply your changes to the latest version and try again",
        ),
        conflict(
            "Operation cannot be fulfilled on ConfigMap \"web\": the ResourceVersion in the precondition (1) does not match the ResourceVersion in record (222). The object might have been modified",
        ),
        json!({"code": 409, "reason": "AlreadyExists", "message": "configmaps \"web\" already exists"}),
    ] {
        let message = status["message"].as_str().unwrap().to_owned();
        pinned(
            &of(false, status),
            Fault::Target,
            Retry::Backoff,
            &format!(
                "it was changed, made or deleted by someone else in the meantime: Weir looks again ({message})"
            ),
        );
    }
}

#[test]
fn what_is_too_large_is_to_be_split() {
    pinned(
        &said(413, "Request entity too large: limit is 3145728"),
        Fault::Repository,
        Retry::OnChange,
        "it is too large for the API server: Request entity too large: limit is 3145728. Split it",
    );
}

#[test]
fn a_server_that_is_busy_away_or_says_something_unheard_is_tried_again() {
    for (code, message, text) in [
        (
            429,
            "Too many requests, please try again later.",
            "the API server asks for fewer requests: Too many requests, please try again later. Weir tries again later",
        ),
        (
            502,
            "<html>\n<h1>Bad Gateway</h1>",
            "the API server of kube:prod does not answer: <html> <h1>Bad Gateway</h1>. Weir tries again",
        ),
        (
            503,
            "the server is currently unable to handle the request",
            "the API server of kube:prod does not answer: the server is currently unable to handle the request. Weir tries again",
        ),
        (
            504,
            "Timeout: request did not complete within requested timeout",
            "the API server of kube:prod does not answer: Timeout: request did not complete within requested timeout. Weir tries again",
        ),
        (
            500,
            "etcdserver: request timed out",
            "the API server answers 500: etcdserver: request timed out. Weir tries again later",
        ),
        (
            410,
            "The provided continue parameter is too old",
            "the API server answers 410: The provided continue parameter is too old. Weir tries again later",
        ),
        (
            404,
            "404 page not found",
            "the cluster does not serve its kind any more: 404 page not found. Weir asks anew which kinds there are",
        ),
        (
            405,
            "",
            "the API server answers 405: . Weir tries again later",
        ),
    ] {
        pinned(&said(code, message), Fault::Target, Retry::Backoff, text);
    }
}

#[test]
fn a_server_that_cannot_be_reached_is_away_with_all_that_is_behind_it() {
    let refused = std::io::Error::other("tcp connect error: Connection refused (os error 111)");
    let error = KubeError::of("kube:prod", &kube::Error::Service(Box::new(refused)), true);
    pinned(
        &error,
        Fault::Target,
        Retry::Backoff,
        "the API server of kube:prod does not answer: ServiceError: tcp connect error: Connection refused (os error 111). Weir tries again",
    );
}

#[test]
fn the_kinds_that_no_answer_leads_to_say_what_to_do() {
    let (api_version, kind) = ("example.com/v1".to_owned(), "Widget".to_owned());
    for (error, fault, text) in [
        (
            KubeError::UnknownKind { api_version, kind },
            Fault::Repository,
            "the cluster has no kind Widget in example.com/v1: correct the name, or install its CustomResourceDefinition first, or put that into an app that this one comes `after`",
        ),
        (
            KubeError::UnknownVersion {
                api_version: "apps/v1beta2".to_owned(),
                kind: "Deployment".to_owned(),
                served: "apps/v1".to_owned(),
            },
            Fault::Repository,
            "the cluster has Deployment in apps/v1, and not in apps/v1beta2: name a version that it has, or have the definition serve this one",
        ),
        (
            KubeError::GroupAway {
                group: "metrics.k8s.io".to_owned(),
            },
            Fault::Target,
            "the cluster cannot say which kinds group metrics.k8s.io has: the API service behind it does not answer (kubectl get apiservices)",
        ),
        (
            KubeError::StillThere {
                what: "its finalizers: a/b".to_owned(),
            },
            Fault::Target,
            "it is being deleted, which waits for its finalizers: a/b. Weir looks again",
        ),
        (
            KubeError::NotEstablished {
                seconds: 30,
                why: "its names are not accepted: taken".to_owned(),
            },
            Fault::Target,
            "the definition was not established within 30 s: its names are not accepted: taken. Weir looks again; kubectl describe crd shows more",
        ),
        (
            KubeError::Late { minutes: 15 },
            Fault::Target,
            "the run took longer than 15 min, and what was left was not begun: Weir goes on with it in the next one",
        ),
        (KubeError::Config("x".to_owned()), Fault::Host, "x"),
    ] {
        pinned(&error, fault, Retry::Backoff, text);
    }
}
