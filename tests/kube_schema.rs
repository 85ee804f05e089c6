//! The plugin `schema` against a real API server: sound objects, each of their fields spoilt in each of several ways, and custom
//! objects; the plugin `patch` against kubectl's own strategic merges. Each difference is listed with its reason.
#![expect(clippy::unwrap_used, reason = "a test says what is wrong by failing")]

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::{Value, json};
use weir_core::yaml::{Budget, parse};
use weir_plugin::tree::MemoryTree;
use weir_plugin::{Level, Object, Params};
use weir_tests::control_plane::{ControlPlane, connection::Connection, wait};

#[path = "kube_schema/differences.rs"]
mod differences;
#[path = "kube_schema/merges.rs"]
mod merges;
#[path = "kube_schema/spoil.rs"]
mod spoil;

const GOOD: &str = include_str!("kube_schema/good.yaml");

fn documents(text: &str) -> Vec<Value> {
    let nodes = parse(text.as_bytes(), &Budget::HOST).unwrap();
    nodes.iter().map(|node| node.to_json()).collect()
}

/// What the plugin finds that stops an app.
fn plugin(objects: &[&Value]) -> Vec<String> {
    let objects: Vec<Object> = objects
        .iter()
        .map(|object| Object::from_json(object.to_string()).unwrap())
        .collect();
    let params = Params::new("app", "");
    let found = weir_plugin_schema::validate(&objects, &params, &MemoryTree::default()).unwrap();
    let errors = found
        .into_iter()
        .filter(|finding| finding.level == Level::Error);
    errors.map(|finding| finding.message).collect()
}

/// The API server, and a namespace in it.
struct Server {
    connection: Connection,
    namespace: String,
}

impl Server {
    fn new() -> Server {
        let plane = ControlPlane::shared().unwrap();
        Server {
            connection: Connection::open(plane.admin().kubeconfig()).unwrap(),
            namespace: plane.namespace("schema").unwrap(),
        }
    }

    fn takes(&self, object: &Value) -> Result<(), String> {
        let text = |key: &str| object[key].as_str().unwrap_or_default();
        let kind = weir_kubernetes::kind(text("apiVersion"), text("kind"));
        let lives = kind.is_none_or(|kind| kind.namespaced);
        let namespace = lives.then_some(self.namespace.as_str());
        self.connection.would_take(object, namespace).unwrap()
    }
}

#[test]
fn sound_objects_are_taken_by_both() {
    let server = Server::new();
    let good = documents(GOOD);
    assert!(good.len() >= 15);
    for object in &good {
        assert_eq!(plugin(&[object]), [""; 0], "{object}");
        server
            .takes(object)
            .unwrap_or_else(|why| panic!("{object}: {why}"));
    }
}

/// Each field of each sound object, spoilt in each way: the two agree, but for what is listed.
#[test]
fn what_the_plugin_takes_the_api_server_takes_but_for_listed_differences() {
    let server = Server::new();
    let mut found: BTreeMap<String, String> = BTreeMap::new();
    let (mut both_take, mut both_refuse) = (0, 0);
    for object in documents(GOOD) {
        for spoilt in spoil::all(&object) {
            let said = plugin(&[&spoilt.object]);
            let answer = server.takes(&spoilt.object);
            let line = match (said.first(), answer) {
                (None, Ok(())) => {
                    both_take += 1;
                    continue;
                }
                (Some(_), Err(_)) => {
                    both_refuse += 1;
                    continue;
                }
                (None, Err(why)) => format!("only the server refuses: {why}"),
                (Some(why), Ok(())) => format!("only the plugin refuses: {why}"),
            };
            let kind = object["kind"].as_str().unwrap();
            found.insert(format!("{kind} {} {}", spoilt.way, spoilt.at), line);
        }
    }
    println!(
        "both take {both_take}, both refuse {both_refuse}, {} differences",
        found.len()
    );
    assert!(
        both_take > 50 && both_refuse > 400,
        "{both_take} {both_refuse}"
    );
    differences::check(&found);
}

const CRD: &str = "apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: things.schema.example.test}
spec:
  group: schema.example.test
  scope: Namespaced
  names: {kind: Thing, plural: things, singular: thing}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        required: [spec]
        properties:
          spec:
            type: object
            required: [size]
            properties:
              size: {type: integer, minimum: 1, maximum: 9}
              name: {type: string, pattern: '^[a-z]+$', maxLength: 5}
              mode: {type: string, enum: [Fast, Slow], default: Fast}
              port: {x-kubernetes-int-or-string: true}
              free: {type: object, x-kubernetes-preserve-unknown-fields: true, properties: {a: {type: string}}}
              labels: {type: object, additionalProperties: {type: string}}
              when: {type: string, format: date-time, nullable: true}
              set: {type: array, x-kubernetes-list-type: set, items: {type: string}}
              parts:
                type: array
                x-kubernetes-list-type: map
                x-kubernetes-list-map-keys: [name]
                items: {type: object, required: [name], properties: {name: {type: string}, share: {type: number, multipleOf: 0.5}}}
              inner: {type: object, x-kubernetes-embedded-resource: true, x-kubernetes-preserve-unknown-fields: true}
              one: {type: object, properties: {a: {type: string}, b: {type: string}}, oneOf: [{required: [a]}, {required: [b]}]}
";

#[test]
fn custom_objects_are_taken_as_the_api_server_takes_them() {
    let server = Server::new();
    let admin = ControlPlane::shared().unwrap().admin();
    admin.apply(CRD).unwrap();
    let crd = documents(CRD).remove(0);
    let thing = |spec: Value| json!({"apiVersion":"schema.example.test/v1","kind":"Thing","metadata":{"name":"t"},"spec":spec});
    wait::until(Duration::from_secs(60), "the kind is served", || {
        Ok(server
            .takes(&thing(json!({"size":1})))
            .is_ok()
            .then_some(()))
    })
    .unwrap();
    for (spec, taken) in [
        (
            json!({"size":9,"name":"abc","mode":"Slow","port":"http","labels":{"a":"b"},"when":null}),
            true,
        ),
        (
            json!({"size":1.0,"port":80,"free":{"any":[1,null],"a":"x"},"set":["a","b"]}),
            true,
        ),
        (
            json!({"size":1,"mode":null,"when":"2026-01-31T12:00:00Z"}),
            true,
        ),
        (
            json!({"size":1,"parts":[{"name":"a","share":1.5},{"name":"b"}],"one":{"a":"x"}}),
            true,
        ),
        (
            json!({"size":1,"inner":{"apiVersion":"v1","kind":"Pod","metadata":{"name":"p"},"x":1}}),
            true,
        ),
        (json!({}), false),
        (json!({"size":0}), false),
        (json!({"size":10}), false),
        (json!({"size":"1"}), false),
        (json!({"size":1.5}), false),
        (json!({"size":null}), false),
        (json!({"size":1,"sise":1}), false),
        (json!({"size":1,"name":"ABC"}), false),
        (json!({"size":1,"name":"abcdef"}), false),
        (json!({"size":1,"name":null}), false),
        (json!({"size":1,"mode":"fast"}), false),
        (json!({"size":1,"port":true}), false),
        (json!({"size":1,"free":{"a":1}}), false),
        (json!({"size":1,"labels":{"a":1}}), false),
        (json!({"size":1,"when":"today"}), false),
        (json!({"size":1,"set":["a","a"]}), false),
        (json!({"size":1,"parts":[{"name":"a"},{"name":"a"}]}), false),
        (json!({"size":1,"parts":[{"share":1}]}), false),
        (json!({"size":1,"parts":[{"name":"a","share":1.3}]}), false),
        (json!({"size":1,"inner":{"kind":"Pod"}}), false),
        (
            json!({"size":1,"inner":{"apiVersion":"v1","kind":"Pod","metadata":{"labels":{"a":1}}}}),
            false,
        ),
        (json!({"size":1,"one":{"a":"x","b":"y"}}), false),
        (json!({"size":1,"one":{}}), false),
        (json!([]), false),
    ] {
        let object = thing(spec);
        let said = plugin(&[&crd, &object]);
        let answer = server.takes(&object);
        assert_eq!(
            (said.is_empty(), answer.is_ok()),
            (taken, taken),
            "{object}: {said:?} {answer:?}"
        );
    }
    let mut extra = thing(json!({"size":1}));
    extra["spek"] = json!(1);
    assert!(!plugin(&[&crd, &extra]).is_empty() && server.takes(&extra).is_err());
    extra = thing(json!({"size":1}));
    extra["metadata"]["labels"] = json!({"a":1});
    assert!(!plugin(&[&crd, &extra]).is_empty() && server.takes(&extra).is_err());
}
