//! What counts as a change of an app, what is said once for many, and which deletes wait.

use serde_json::{Value, json};

use super::*;
use crate::manifest::Manifest;
use crate::object::Origin;
use crate::tree::Tree;
use crate::validate::{OutputLimits, admit};

/// One app as a test writes it: its entry in the manifest, and its objects or why there are none.
struct Given {
    app: App,
    render: Result<(Validated, BTreeMap<PluginName, Digest>), String>,
}

fn object(kind: &str, name: &str, more: &Value) -> Value {
    let api = match kind {
        "Deployment" => "apps/v1",
        _ => "v1",
    };
    let mut body = json!({
        "apiVersion": api, "kind": kind, "metadata": {"name": name, "namespace": "shop"},
    });
    for (key, value) in more.as_object().unwrap() {
        body[key] = value.clone();
    }
    body
}

fn map(name: &str, value: &str) -> Value {
    object("ConfigMap", name, &json!({"data": {"key": value}}))
}

fn app(name: &str, entry: &str, objects: Result<Vec<Value>, &str>, plugin: u8) -> Given {
    let text = format!(
        "version: 1\ntargets: {{ default: {{}}, eu: {{}} }}\napps:\n- {{ name: {name}, path: a.yaml{entry} }}\n"
    );
    let mut entries = BTreeMap::new();
    let file = crate::tree::Entry::File {
        id: crate::digest::ObjectId::from_bytes([1; 20]),
        size: 1,
        executable: false,
    };
    entries.insert("a.yaml".parse().unwrap(), file);
    let tree = Tree::new(None, entries).unwrap();
    let manifest = Manifest::parse(text.as_bytes(), "weir.yaml", &tree).unwrap();
    let origin = Origin {
        path: "a.yaml".into(),
        line: 1,
    };
    let render = objects.map_err(str::to_owned).map(|objects| {
        let objects = objects.into_iter();
        let objects = objects.map(|o| Object::new(o, origin.clone()).unwrap());
        let validated = admit(objects.collect(), Vec::new(), OutputLimits::HOST).unwrap();
        let plugins = [("yaml".parse().unwrap(), Digest::of(&[plugin]))];
        (validated, plugins.into())
    });
    let app = manifest.manifest.apps.into_iter().next().unwrap();
    Given { app, render }
}

fn plain(name: &str, objects: Vec<Value>) -> Given {
    app(name, "", Ok(objects), 1)
}

fn side(given: &[Given]) -> Side<'_> {
    let side = given.iter().map(|g| {
        let render = match &g.render {
            Ok((validated, plugins)) => Ok(Render { validated, plugins }),
            Err(e) => Err(e.clone()),
        };
        (
            &g.app.name,
            AppSide {
                app: &g.app,
                render,
            },
        )
    });
    side.collect()
}

fn compared(before: &[Given], after: &[Given]) -> Impact {
    let key = MaskKey::new([5; 32]);
    impact(&side(before), &side(after), GuardLimits::HOST, &key)
}

/// Each change in words: the app, what becomes of it, its objects with their fields.
fn words(impact: &Impact) -> Vec<String> {
    let mut out = Vec::new();
    for change in &impact.changes {
        let what = serde_json::to_value(change).unwrap();
        out.push(format!(
            "{} {}",
            change.app,
            what["change"].as_str().unwrap()
        ));
        for object in &change.objects {
            out.push(format!("  {} {}", object.change.sign(), object.object));
            out.extend(object.fields.iter().map(|f| format!("    {f}")));
        }
    }
    out
}

#[test]
fn an_app_changes_where_its_objects_do_and_only_there() {
    let before = [
        plain("a", vec![map("one", "1"), map("two", "2")]),
        plain("b", vec![map("b", "1")]),
        plain("goes", vec![map("goes", "1")]),
    ];
    let after = [
        plain("a", vec![map("one", "9"), map("three", "3")]),
        plain("b", vec![map("b", "1")]),
        plain("new", vec![map("new", "1")]),
    ];
    let impact = compared(&before, &after);
    assert_eq!((impact.changed, impact.apps), (3, 4));
    assert_eq!(
        words(&impact),
        [
            "a changed",
            "  ~ ConfigMap shop/one",
            r#"    ~ data.key: "1" -> "9""#,
            "  + ConfigMap shop/three",
            "  - ConfigMap shop/two",
            "goes removed",
            "  - ConfigMap shop/goes",
            "new added",
            "  + ConfigMap shop/new",
        ]
    );
}

#[test]
fn the_same_on_both_sides_changes_nothing() {
    let one = || [plain("a", vec![map("a", "1")]), app("b", "", Err("no"), 1)];
    let impact = compared(&one(), &one());
    assert_eq!((impact.changed, impact.apps), (0, 2));
    assert!(impact.changes.is_empty() && impact.plugins.is_empty());
    assert_eq!(impact.unrendered[0].error, "no");
}

#[test]
fn an_app_that_can_no_longer_be_rendered_is_a_change_that_deletes_nothing() {
    let before = [
        plain("a", vec![map("a", "1")]),
        app("b", "", Err("b was ill"), 1),
    ];
    let after = [
        app("a", "", Err("a is ill"), 1),
        plain("b", vec![map("b", "1")]),
    ];
    let impact = compared(&before, &after);
    let [a, b] = &impact.changes[..] else {
        panic!("{impact:?}")
    };
    let broken = AppChange::Broken {
        error: "a is ill".to_owned(),
    };
    assert_eq!((&a.change, a.objects.len(), &a.held), (&broken, 0, &None));
    let mended = AppChange::Mended {
        error: "b was ill".to_owned(),
    };
    assert_eq!((&b.change, b.objects.len()), (&mended, 1));
}

#[test]
fn what_many_apps_share_is_said_once_and_nothing_else_is() {
    let image = |image: &str| {
        let container = json!([{"name": "main", "image": image}]);
        object(
            "Deployment",
            "web",
            &json!({"spec": {"containers": container, "replicas": 1}}),
        )
    };
    let name = |n: usize| format!("a{n}");
    let before: Vec<Given> = (0..5)
        .map(|n| plain(&name(n), vec![image("web:1")]))
        .collect();
    let mut after: Vec<Given> = (0..4)
        .map(|n| plain(&name(n), vec![image("web:2")]))
        .collect();
    // One of them changes in another way, too, and one in another way only.
    let mut other = image("web:2");
    other["spec"]["replicas"] = json!(7);
    after[3] = plain("a3", vec![other]);
    after.push(plain("a4", vec![image("web:3")]));
    let impact = compared(&before, &after);
    assert_eq!(impact.changed, 5);
    let [common] = &impact.common[..] else {
        panic!("{impact:?}")
    };
    assert_eq!(
        (common.apps.len(), common.objects, common.kind.as_str()),
        (4, 4, "Deployment.apps")
    );
    assert_eq!(
        common.field.to_string(),
        r#"~ spec.containers[name=main].image: "web:1" -> "web:2""#
    );
    let keys = impact.common_keys();
    let own = |n: usize| {
        let objects = impact.changes[n].objects.iter();
        let fields = objects.flat_map(|o| o.fields.iter().map(move |f| (&o.object, f)));
        fields.filter(|(id, f)| !keys.has(id, f)).count()
    };
    assert_eq!([own(0), own(3), own(4)], [0, 1, 1]);
}

#[test]
fn fewer_apps_than_are_many_have_nothing_in_common() {
    let count = COMMON_APPS - 1;
    let all = |value: &str| -> Vec<Given> {
        let app = |n| plain(&format!("a{n}"), vec![map("a", value)]);
        (0..count).map(app).collect()
    };
    assert_eq!(compared(&all("1"), &all("2")).common, []);
}

#[test]
fn a_plugin_that_is_another_one_is_said_with_the_apps_that_it_changes() {
    let one = |name: &str, value: &str, plugin| app(name, "", Ok(vec![map(name, value)]), plugin);
    let before = [one("a", "1", 1), one("b", "1", 1)];
    let after = [one("a", "1", 2), one("b", "2", 2)];
    let impact = compared(&before, &after);
    let [plugin] = &impact.plugins[..] else {
        panic!("{impact:?}")
    };
    assert_eq!((plugin.apps, plugin.changed), (2, 1));
    assert_eq!(
        (plugin.before, plugin.after),
        (Digest::of(&[1]), Digest::of(&[2]))
    );
}

#[test]
fn deletes_that_the_guard_would_hold_are_said() {
    let maps = |n: usize| {
        (0..n)
            .map(|n| map(&format!("m{n}"), "1"))
            .collect::<Vec<_>>()
    };
    // (before, after, how many would wait)
    for (before, after, held) in [
        (20, 10, None),
        (20, 9, Some(11)),
        (5, 1, None),
        (100, 80, None),
    ] {
        let impact = compared(&[plain("a", maps(before))], &[plain("a", maps(after))]);
        let found = impact.changes[0].held.as_ref().map(|h| h.0.deletes.len());
        assert_eq!(found, held, "{before} objects become {after}");
    }
    let namespace = object("Namespace", "shop", &json!({"metadata": {"name": "shop"}}));
    let impact = compared(
        &[plain("a", vec![map("a", "1"), namespace])],
        &[plain("a", maps(1))],
    );
    let said = impact.changes[0].held.as_ref().unwrap().message();
    assert!(
        said.contains("takes more with it") && said.contains("Namespace shop"),
        "{said}"
    );
}

#[test]
fn an_app_that_leaves_waits_unless_it_said_that_it_may_be_pruned() {
    let leaves = |entry: &str| {
        let impact = compared(&[app("a", entry, Ok(vec![map("a", "1")]), 1)], &[]);
        impact.changes[0].held.as_ref().map(Held::message)
    };
    assert!(leaves("").unwrap().contains("left the manifest"));
    assert_eq!(leaves(", remove: prune"), None);
}

#[test]
fn what_moves_to_another_app_or_must_not_be_pruned_is_no_delete() {
    let kept = object(
        "ConfigMap",
        "kept",
        &json!({"metadata": {"name": "kept", "annotations": {PRUNE_ANNOTATION: "false"}}}),
    );
    let before = [plain("a", vec![map("moves", "1"), kept])];
    let impact = compared(&before, &[plain("b", vec![map("moves", "1")])]);
    assert!(
        impact.changes.iter().all(|c| c.held.is_none()),
        "{impact:?}"
    );
    // In another place the same identity is another object.
    let elsewhere = [app(
        "b",
        ", target: { name: eu }",
        Ok(vec![map("moves", "1")]),
        1,
    )];
    let impact = compared(&before, &elsewhere);
    assert!(impact.changes[0].held.is_some(), "{impact:?}");
}

#[test]
fn an_app_that_lands_elsewhere_changes_though_its_objects_do_not() {
    let (before, after) = (
        [plain("a", vec![map("a", "1")])],
        [app(
            "a",
            ", target: { name: eu }",
            Ok(vec![map("a", "1")]),
            1,
        )],
    );
    let impact = compared(&before, &after);
    let moved = impact.changes[0].target.as_ref().unwrap();
    assert_eq!(
        (moved.before.as_str(), moved.after.as_str()),
        ("default", "eu")
    );
}

#[test]
fn no_value_of_a_secret_is_in_what_is_serialized() {
    let secret = |value: &str| object("Secret", "s", &json!({"stringData": {"password": value}}));
    let all = |value: &str| -> Vec<Given> {
        ["a", "b", "c"]
            .map(|name| plain(name, vec![secret(value)]))
            .into()
    };
    let impact = compared(&all("hunter2"), &all("hunter3"));
    assert_eq!((impact.changed, impact.common.len()), (3, 1));
    let text = format!("{}{impact:?}", serde_json::to_string(&impact).unwrap());
    assert!(!text.contains("hunter"), "{text}");
    assert!(
        text.contains("stringData.password") && text.contains("(secret)"),
        "{text}"
    );
}
