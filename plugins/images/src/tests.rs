//! What becomes of images, where they are found, and how what is wrong is told.

use serde_json::json;

use super::*;

fn run(config: Value, objects: &[Value]) -> Result<Vec<Value>, String> {
    let objects = objects
        .iter()
        .map(|o| Object::from_json(o.to_string()).unwrap());
    let params = Params::new("shop", "").with_config(config.to_string());
    let out = transform(objects.collect(), &params).map_err(|error| error.to_string())?;
    Ok(out.into_iter().map(Value::from).collect())
}

fn pod(images: &[&str]) -> Value {
    let containers: Vec<Value> = images
        .iter()
        .map(|image| json!({ "image": image }))
        .collect();
    json!({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":containers}})
}

/// What becomes of one image under one entry.
fn one(image: &str, entry: Value) -> String {
    let out = run(
        json!({ "images": [entry], "unmatched": "ignore" }),
        &[pod(&[image])],
    )
    .unwrap();
    out[0]["spec"]["containers"][0]["image"]
        .as_str()
        .unwrap()
        .to_owned()
}

const HEX: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

#[test]
fn a_tag_a_digest_and_a_name_are_set() {
    let digest = format!("sha256:{HEX}");
    let pinned = format!("web@{digest}");
    let both = format!("web:1@{digest}");
    for (image, entry, expected) in [
        ("web:1", json!({"match":"web","tag":"2"}), "web:2"),
        ("web", json!({"match":"web","tag":"2"}), "web:2"),
        (&pinned, json!({"match":"web","tag":"2"}), "web:2"),
        ("web:1", json!({"match":"web","digest":digest}), &pinned),
        (
            "web",
            json!({"match":"web","tag":"1","digest":digest}),
            &both,
        ),
        (
            "web:1",
            json!({"match":"web","name":"r:5000/x/web"}),
            "r:5000/x/web:1",
        ),
        (
            &both,
            json!({"match":"web","name":"web2"}),
            &both.replace("web", "web2"),
        ),
        (
            "r:5000/web:1",
            json!({"match":"r:5000/web","tag":"2"}),
            "r:5000/web:2",
        ),
        ("other:1", json!({"match":"web","tag":"2"}), "other:1"),
        ("x/web:1", json!({"match":"web","tag":"2"}), "x/web:1"),
    ] {
        assert_eq!(one(image, entry.clone()), expected, "{image} {entry}");
    }
}

#[test]
fn stars_match_a_part_or_several_and_their_text_can_be_used() {
    for (image, pattern, name, expected) in [
        (
            "docker.io/shop/web:1",
            "docker.io/**",
            "mirror.example/{1}",
            "mirror.example/shop/web:1",
        ),
        (
            "docker.io/shop/web:1",
            "docker.io/*/*",
            "m/{2}/{1}",
            "m/web/shop:1",
        ),
        (
            "docker.io/shop/web:1",
            "docker.io/*",
            "m/{1}",
            "docker.io/shop/web:1",
        ),
        ("shop/web-api", "*/web-*", "{1}/{2}", "shop/api"),
        ("a/b/c/web", "**/web", "{1}/x", "a/b/c/x"),
        ("a/web/web", "*/web", "{1}/x", "a/web/web"),
        ("web", "*", "x/{1}", "x/web"),
        ("a/b", "**", "x/{1}", "x/a/b"),
        ("a/b/c", "**/b/*", "{2}", "c"),
        // A place that was tried and given up leaves nothing behind, and places may share a slash.
        (
            "r.io/prod/shop/prod/web",
            "**/prod/*",
            "{1}/stage/{2}",
            "r.io/prod/shop/stage/web",
        ),
        (
            "m/library/library/web",
            "**/library/*",
            "{1}/x/{2}",
            "m/library/x/web",
        ),
    ] {
        assert_eq!(
            one(image, json!({"match":pattern,"name":name})),
            expected,
            "{image} {pattern}"
        );
    }
}

#[test]
fn the_first_entry_that_matches_wins() {
    let config = json!({"images":[{"match":"web","tag":"2"},{"match":"*","tag":"3"}]});
    let out = run(config, &[pod(&["web:1", "side:1"])]).unwrap();
    assert_eq!(
        out[0]["spec"]["containers"],
        json!([{"image":"web:2"},{"image":"side:3"}])
    );
    let shadowed = json!({"images":[{"match":"*","tag":"3"},{"match":"web","tag":"2"}]});
    let error = run(shadowed, &[pod(&["web:1"])]).unwrap_err();
    assert!(
        error.contains("config.images[1]: \"web\" matches no image, or an entry before"),
        "{error}"
    );
}

#[test]
fn every_pod_of_a_built_in_kind_is_looked_at_with_all_its_containers() {
    let spec = json!({
        "initContainers":[{"image":"web:1"}],
        "containers":[{"image":"web:1"}],
        "ephemeralContainers":[{"image":"web:1"}],
        "volumes":[{"image":{"reference":"web:1"}},{"emptyDir":{}}]
    });
    let template = json!({"template":{"spec":spec}});
    for (version, kind, body) in [
        ("v1", "Pod", json!({ "spec": spec })),
        ("v1", "PodTemplate", template.clone()),
        ("v1", "ReplicationController", json!({ "spec": template })),
        ("apps/v1", "Deployment", json!({ "spec": template })),
        ("apps/v1", "StatefulSet", json!({ "spec": template })),
        ("apps/v1", "DaemonSet", json!({ "spec": template })),
        ("apps/v1", "ReplicaSet", json!({ "spec": template })),
        ("batch/v1", "Job", json!({ "spec": template })),
        (
            "batch/v1",
            "CronJob",
            json!({"spec":{"jobTemplate":{"spec":template}}}),
        ),
    ] {
        let mut object = body;
        object["apiVersion"] = version.into();
        object["kind"] = kind.into();
        let out = run(json!({"images":[{"match":"web","tag":"2"}]}), &[object]).unwrap();
        let text = out[0].to_string();
        assert_eq!(
            (text.matches("web:2").count(), text.matches("web:1").count()),
            (4, 0),
            "{kind}"
        );
    }
    // The same words in another group mean something else.
    let other = json!({"apiVersion":"example.test/v1","kind":"Deployment","spec":template});
    let config = json!({"images":[{"match":"web","tag":"2"}],"unmatched":"ignore"});
    assert_eq!(run(config, std::slice::from_ref(&other)).unwrap()[0], other);
}

#[test]
fn places_of_custom_kinds_are_named_in_the_config() {
    let thing = json!({"apiVersion":"example.test/v1","kind":"Thing","metadata":{"name":"t"},
        "spec":{"image":"web:1","parts":[{"image":"web:1"},{"image":null},{}],"by":{"a/b":{"image":"web:1"}}}});
    let config = json!({"images":[{"match":"web","tag":"2"}],"paths":[
        {"kinds":["Thing"],"path":"/spec/image"},{"path":"/spec/parts/*/image"},{"path":"/spec/by/a~1b/image"}]});
    let out = run(config, std::slice::from_ref(&thing)).unwrap();
    assert_eq!(out[0].to_string().matches("web:2").count(), 3, "{}", out[0]);
    let all = json!({"images":[{"match":"web","tag":"2"}],"paths":[{"path":"/spec/by/*/image"}]});
    assert_eq!(
        run(all, std::slice::from_ref(&thing)).unwrap()[0]
            .to_string()
            .matches("web:2")
            .count(),
        1
    );
    let other = json!({"images":[],"paths":[{"kinds":["Other"],"path":"/spec/image"}]});
    let error = run(other, &[thing]).unwrap_err();
    assert!(
        error.contains("image-unmatched: config.paths[0]: no object has anything at /spec/image"),
        "{error}"
    );
}

#[test]
fn an_entry_that_matches_nothing_is_an_error_unless_said_otherwise() {
    let entries =
        json!([{"match":"gone","tag":"2"},{"match":"web","tag":"2"},{"match":"also/**","tag":"3"}]);
    let error = run(json!({ "images": entries }), &[pod(&["web:1"])]).unwrap_err();
    assert!(
        error.contains("config.images[0]: \"gone\"") && error.contains("config.images[2]"),
        "{error}"
    );
    assert!(!error.contains("config.images[1]"), "{error}");
    for way in ["warning", "ignore"] {
        let out = run(
            json!({ "images": entries, "unmatched": way }),
            &[pod(&["web:1"])],
        )
        .unwrap();
        assert_eq!(out[0]["spec"]["containers"][0]["image"], "web:2");
    }
}

#[test]
fn an_image_that_is_none_is_an_error_with_object_and_place() {
    for bad in [
        "",
        "Web:1",
        "web:",
        "web:1:2",
        "web@sha256:12",
        "a//b",
        "web:1 ",
        "-web",
        "https://r/web",
        "web@1@2",
    ] {
        let error = run(
            json!({"images":[{"match":"x","tag":"2"}]}),
            &[pod(&["ok", bad])],
        )
        .unwrap_err();
        assert!(
            error.starts_with("bad-image: Pod p: /spec/containers/1/image: "),
            "{bad}: {error}"
        );
        assert!(
            error.contains("[REGISTRY/]NAME[:TAG][@DIGEST] was expected"),
            "{error}"
        );
    }
    let number = json!({"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"spec":{"containers":[{"image":7}]}});
    let error = run(json!({"images":[{"match":"x","tag":"2"}]}), &[number]).unwrap_err();
    assert!(error.contains("the image is 7, not text"), "{error}");
}

#[test]
fn images_that_are_some_are_taken() {
    for good in [
        "web",
        "web:1",
        "a/b/c",
        "r.example:5000/a/b:v1.2-x",
        "localhost/a",
        "[::1]:5000/a",
        "R.Example/a",
        "a__b/c.d_e--f",
        "10.0.0.1:80/x",
        &format!("a:1@sha256:{HEX}"),
        &format!("a@sha512:{HEX}{HEX}"),
    ] {
        assert!(Reference::parse(good).is_some(), "{good}");
    }
}

#[test]
fn a_config_that_makes_no_image_is_refused_with_its_key() {
    for (entry, key, said) in [
        (
            json!({"match":"web"}),
            "config.images[0].match",
            "nothing is said to set",
        ),
        (
            json!({"match":"web","tag":1.10}),
            "config.images[0].tag",
            "put the tag in quotes",
        ),
        (
            json!({"match":"web","tag":"a b"}),
            "config.images[0].tag",
            "is no tag",
        ),
        (
            json!({"match":"web","tag":""}),
            "config.images[0].tag",
            "is no tag",
        ),
        (
            json!({"match":"web","digest":"sha256:1"}),
            "config.images[0].digest",
            "64 digits",
        ),
        (
            json!({"match":"web","name":"web:2"}),
            "config.images[0].name",
            "no tag",
        ),
        (
            json!({"match":"web","name":"{1}"}),
            "config.images[0].name",
            "the pattern has 0 stars",
        ),
        (
            json!({"match":"*","name":"x/{2}"}),
            "config.images[0].name",
            "the pattern has 1 stars",
        ),
        (
            json!({"match":"*","name":"x/{0}"}),
            "config.images[0].name",
            "{0}",
        ),
        (
            json!({"match":"*","name":"x/{1"}),
            "config.images[0].name",
            "without its `}`",
        ),
        (
            json!({"match":"","tag":"2"}),
            "config.images[0].match",
            "the pattern is empty",
        ),
        (
            json!({"match":"web:1","tag":"2"}),
            "config.images[0].match",
            "matched with the name alone",
        ),
        (
            json!({"match":"***","tag":"2"}),
            "config.images[0].match",
            "three stars",
        ),
        (
            json!({"match":"*a*a*a*a*","tag":"2"}),
            "config.images[0].match",
            "more than 4 stars",
        ),
        (
            json!({"match":"web","newTag":"2"}),
            "config.images[0]",
            "unknown field `newTag`",
        ),
        (
            json!({"tag":"2"}),
            "config.images[0]",
            "missing field `match`",
        ),
    ] {
        let error = run(json!({ "images": [entry] }), &[pod(&["web:1"])]).unwrap_err();
        assert!(
            error.contains(&format!("bad-config: {key}")) && error.contains(said),
            "{entry}: {error}"
        );
    }
    for path in ["", "spec/image", "/", "/a//b"] {
        let error = run(json!({"paths":[{"path":path}]}), &[]).unwrap_err();
        assert!(error.contains("config.paths[0].path"), "{path}: {error}");
    }
}

#[test]
fn odd_shapes_are_no_panic() {
    for spec in [
        json!(7),
        json!({"containers":7}),
        json!({"containers":[7, null]}),
        json!({"containers":{"a":{"image":"web"}}}),
    ] {
        let object = json!({"apiVersion":"v1","kind":"Pod","spec":spec});
        run(
            json!({"images":[{"match":"web","tag":"2"}],"unmatched":"ignore"}),
            &[object],
        )
        .unwrap();
    }
}

#[test]
fn an_image_is_set_once_however_many_paths_lead_to_it() {
    let template = json!({"spec":{"containers":[{"image":"web:1"}]}});
    let deployment = json!({"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"a"},"spec":{"template":template}});
    let rollout = json!({"apiVersion":"argoproj.io/v1alpha1","kind":"Rollout","metadata":{"name":"b"},"spec":{"template":template}});
    let config = json!({
        "images":[{"match":"**","name":"mirror.example/{1}"}],
        "paths":[
            {"path":"/spec/template/spec/containers/*/image"},
            {"path":"/spec/template/spec/containers/0/image"}]});
    for object in run(config, &[deployment, rollout]).unwrap() {
        let image = &object["spec"]["template"]["spec"]["containers"][0]["image"];
        assert_eq!(image, "mirror.example/web:1");
    }
}

#[test]
fn what_would_be_no_image_is_refused_with_both_and_the_entry() {
    for (image, pattern, name, new) in [
        (
            "localhost:5000/web:1",
            "**",
            "mirror.example/{1}",
            "mirror.example/localhost:5000/web:1",
        ),
        ("shop/web:1", "shop/web*", "shop/{1}", "shop/:1"),
    ] {
        let entry = json!({"match":pattern,"name":name});
        let error = run(json!({"images":[entry]}), &[pod(&[image])]).unwrap_err();
        for part in ["bad-image", image, pattern, new] {
            assert!(error.contains(part), "{part}: {error}");
        }
    }
}
