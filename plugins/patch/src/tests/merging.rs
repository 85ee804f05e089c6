//! Strategic merge patches: the merge keys of real kinds, and the directives. That they do the same as Kubernetes' own
//! library is shown by the suite `bundled`, against the real kubectl.

use super::*;

fn pod(spec: Value) -> Value {
    let merge = json!({"spec":{"template":{"spec":spec}}});
    let out = patched(json!({"select":{"kinds":["Deployment"]},"merge":merge}));
    out["spec"]["template"]["spec"].clone()
}

fn wrong(spec: Value) -> String {
    let merge = json!({"spec":{"template":{"spec":spec}}});
    refused(json!({"select":{"kinds":["Deployment"]},"merge":merge}))
}

fn names(list: &Value) -> Vec<&str> {
    let items = list.as_array().unwrap().iter();
    items.map(|item| item["name"].as_str().unwrap()).collect()
}

#[test]
fn containers_are_merged_by_name_and_their_lists_by_their_own_keys() {
    let out = pod(json!({"containers":[{"name":"app","image":"web:2",
        "env":[{"name":"A","value":"2"},{"name":"B","value":"3"}],
        "ports":[{"containerPort":80,"name":"http"},{"containerPort":81}],"args":["-b"]}]}));
    let app = &out["containers"][0];
    assert_eq!(names(&out["containers"]), ["app", "side"]);
    assert_eq!(app["image"], "web:2");
    assert_eq!(
        app["env"],
        json!([{"name":"A","value":"2"},{"name":"B","value":"3"}])
    );
    assert_eq!(
        app["ports"],
        json!([{"containerPort":80,"name":"http"},{"containerPort":81}])
    );
    assert_eq!(
        app["args"],
        json!(["-b"]),
        "arguments are replaced as a whole"
    );
}

#[test]
fn a_new_item_comes_first_as_kubernetes_has_it() {
    let out = pod(json!({"containers":[{"name":"new","image":"n"}]}));
    assert_eq!(names(&out["containers"]), ["new", "app", "side"]);
    let out = pod(json!({"containers":[{"name":"new"},{"name":"side"}]}));
    assert_eq!(names(&out["containers"]), ["new", "app", "side"]);
}

#[test]
fn an_item_is_deleted_and_a_list_or_a_map_replaced_where_the_patch_says_so() {
    let out = pod(json!({"containers":[{"name":"side","$patch":"delete"}]}));
    assert_eq!(names(&out["containers"]), ["app"]);
    let out = pod(json!({"containers":[{"$patch":"replace"},{"name":"only","image":"o"}]}));
    assert_eq!(out["containers"], json!([{"name":"only","image":"o"}]));
    let merge = json!({"metadata":{"labels":{"$patch":"replace","a":"b"}}});
    let out = patched(json!({"select":{"names":["web"]},"merge":merge}));
    assert_eq!(out["metadata"]["labels"], json!({"a":"b"}));
    let merge = json!({"metadata":{"labels":{"$patch":"delete"}}});
    let out = patched(json!({"select":{"names":["web"]},"merge":merge}));
    assert_eq!(out["metadata"]["labels"], json!({}));
}

#[test]
fn null_deletes_a_field_and_is_never_left_behind() {
    let out = pod(
        json!({"containers":[{"name":"app","args":null}],"affinity":{"a":null,"b":{"c":null}}}),
    );
    assert_eq!(out["containers"][0].get("args"), None);
    assert_eq!(out["affinity"], json!({"b":{}}));
    let out = pod(json!({"containers":[{"name":"new","image":null}]}));
    assert_eq!(out["containers"][0], json!({"name":"new"}));
}

#[test]
fn values_merge_as_a_set_and_are_taken_out_by_a_list_beside() {
    let merge = |metadata: Value| {
        let first =
            json!({"select":{"names":["web"]},"merge":{"metadata":{"finalizers":["a","b"]}}});
        let second = json!({"select":{"names":["web"]},"merge":{"metadata":metadata}});
        let out = run(json!({"patches":[first, second]}), &[]).unwrap();
        out[0]["metadata"]["finalizers"].clone()
    };
    assert_eq!(
        merge(json!({"finalizers":["b","c"]})),
        json!(["a", "b", "c"])
    );
    assert_eq!(
        merge(json!({"$deleteFromPrimitiveList/finalizers":["a"]})),
        json!(["b"])
    );
    assert_eq!(
        merge(json!({"$setElementOrder/finalizers":["c","b","a"],"finalizers":["c"]})),
        json!(["c", "b", "a"])
    );
}

#[test]
fn an_order_is_set_and_keys_are_retained() {
    let out = pod(
        json!({"$setElementOrder/containers":[{"name":"side"},{"name":"app"}],
        "containers":[{"name":"app","image":"web:2"}]}),
    );
    assert_eq!(names(&out["containers"]), ["side", "app"]);
    assert_eq!(out["containers"][1]["image"], "web:2");
    let merge = json!({"spec":{"$retainKeys":["template","paused"],"paused":true}});
    let out = patched(json!({"select":{"names":["web"]},"merge":merge}));
    assert_eq!(out["spec"].get("replicas"), None);
    assert_eq!(out["spec"]["paused"], true);
}

#[test]
fn a_whole_object_is_deleted_or_replaced_with_its_identity_kept() {
    let delete = json!({"kind":"Deployment","metadata":{"name":"web"},"$patch":"delete"});
    let out = run(json!({"patches":[{"merge":delete}]}), &[]).unwrap();
    assert_eq!(out.len(), 1);
    let replace = json!({"$patch":"replace","data":{"z":"9"}});
    let out = run(
        json!({"patches":[{"select":{"names":["settings"]},"merge":replace}]}),
        &[],
    )
    .unwrap();
    assert_eq!(
        out[1],
        json!({"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"settings"},"data":{"z":"9"}})
    );
}

#[test]
fn of_a_custom_kind_maps_are_merged_and_lists_replaced() {
    let custom = r#"{"apiVersion":"example.test/v1","kind":"Thing","metadata":{"name":"t"},"spec":{"a":{"b":1},"list":[{"name":"x"}]}}"#;
    let merge =
        json!({"kind":"Thing","metadata":{"name":"t"},"spec":{"a":{"c":2},"list":[{"name":"y"}]}});
    let config = json!({"patches":[{"merge":merge}]});
    let params = Params::new("shop", "").with_config(config.to_string());
    let objects = vec![Object::from_json(custom).unwrap()];
    let out = transform(objects, &params, &MemoryTree::default()).unwrap();
    assert_eq!(
        out[0].pointer("/spec"),
        Some(&json!({"a":{"b":1,"c":2},"list":[{"name":"y"}]}))
    );
}

#[test]
fn a_patch_that_cannot_be_merged_says_where_and_why() {
    for (spec, at, why) in [
        (
            json!({"containers":[{"image":"x"}]}),
            "/spec/template/spec/containers: ",
            "has no `name`",
        ),
        (
            json!({"containers":["x"]}),
            "/spec/template/spec/containers: ",
            "has no `name`",
        ),
        (
            json!({"containers":[{"name":"app","$patch":"merge"}]}),
            "/spec/template/spec/containers: ",
            "`$patch: \"merge\"` is not known",
        ),
        (
            json!({"$patch":"drop"}),
            "/spec/template/spec: ",
            "`replace` or `delete`",
        ),
        (
            json!({"containers":[{"name":"app","args":[{"$patch":"replace"}]}]}),
            "/spec/template/spec/containers[\"app\"]/args: ",
            "write the whole list",
        ),
        (
            json!({"containers":[{"name":"app","args":[{"sub":{"$patch":"delete"}}]}]}),
            "/spec/template/spec/containers[\"app\"]/args: ",
            "write the whole list",
        ),
        (
            json!({"$retainKeys":["a"],"b":1}),
            "/spec/template/spec: ",
            "the patch sets `b`",
        ),
        (
            json!({"$retainKeys":"a"}),
            "/spec/template/spec: ",
            "a list of field names",
        ),
        (
            json!({"$setElementOrder/containers":{}}),
            "/spec/template/spec/containers: ",
            "is a list",
        ),
        (
            json!({"$setElementOrder/containers":[{"name":"side"}],"containers":[{"name":"app"}]}),
            "/spec/template/spec/containers: ",
            "does not name",
        ),
        (
            json!({"$deleteFromPrimitiveList/containers":1}),
            "/spec/template/spec/containers: ",
            "is a list of values",
        ),
    ] {
        let error = wrong(spec.clone());
        let start = format!("patch-failed: config.patches[0]: Deployment web: {at}");
        assert!(
            error.contains(&start) && error.contains(why),
            "{spec}: {error}"
        );
    }
}

#[test]
fn no_directive_is_left_where_a_patch_meets_nothing() {
    let out = patched(
        json!({"merge":{"kind":"Deployment","metadata":{"name":"web"},"spec":{
        "strategy":{"$retainKeys":["type"],"type":"Recreate"},
        "template":{"spec":{"containers":[
            {"name":"new","$setElementOrder/env":[{"name":"A"}],"env":[{"name":"A","value":"1"}]}]}}}}}),
    );
    assert_eq!(out["spec"]["strategy"], json!({"type":"Recreate"}));
    assert!(!out.to_string().contains('$'), "{out}");
}
