//! Strategic merges by the plugin `patch` and by `kubectl patch --local`, which uses Kubernetes' own library.

use super::*;

const OBJECT: &str = "apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {a: b}, finalizers: [x/a, x/b], annotations: {n: '1'}}
spec:
  replicas: 1
  selector: {matchLabels: {app: web}}
  strategy: {type: RollingUpdate, rollingUpdate: {maxSurge: 1}}
  template:
    metadata: {labels: {app: web}}
    spec:
      nodeSelector: {disk: ssd}
      imagePullSecrets: [{name: one}, {name: two}]
      tolerations: [{key: a, operator: Exists}]
      hostAliases: [{ip: 10.0.0.1, hostnames: [a]}]
      volumes: [{name: v, emptyDir: {}}, {name: w, configMap: {name: c}}]
      containers:
      - {name: a, image: 'a:1', args: [x, y], env: [{name: A, value: '1'}, {name: B, value: '2'}], ports: [{containerPort: 80, name: http}, {containerPort: 81}]}
      - {name: b, image: 'b:1', volumeMounts: [{mountPath: /v, name: v}]}
      - {name: c, image: 'c:1'}
";

/// Patches of a pod's spec.
const OF_THE_POD: &[&str] = &[
    "containers: [{name: b, image: 'b:2'}]",
    "containers: [{name: new, image: 'n:1'}]",
    "containers: [{name: new, image: 'n:1'}, {name: c, image: 'c:2'}, {name: a, image: 'a:2'}]",
    "containers: [{name: c, image: 'c:2'}, {name: other, image: 'o:1'}, {name: b, image: 'b:2'}]",
    "containers: [{name: b, $patch: delete}]",
    "containers: [{name: b, $patch: delete}, {name: d, image: 'd:1'}]",
    "containers: [{name: none, $patch: delete}, {name: a, image: 'a:2'}]",
    "containers: [{$patch: replace}, {name: only, image: 'o:1'}]",
    "containers: [{name: a, env: [{name: B, value: '3'}, {name: C, value: '4'}], ports: [{containerPort: 81, name: admin}, {containerPort: 82}]}]",
    "containers: [{name: a, args: [z]}]",
    "containers: [{name: a, args: null, env: null}]",
    "containers: [{name: a, env: [{name: A, value: null, valueFrom: {fieldRef: {fieldPath: metadata.name}}}]}]",
    "containers: [{name: b, volumeMounts: [{mountPath: /w, name: w}]}]",
    "{$setElementOrder/containers: [{name: c}, {name: b}, {name: a}], containers: [{name: b, image: 'b:2'}]}",
    "{$setElementOrder/containers: [{name: b}, {name: a}], containers: []}",
    "{$setElementOrder/containers: [{name: c}, {name: new}, {name: a}, {name: b}], containers: [{name: new, image: 'n:1'}]}",
    "imagePullSecrets: [{name: three}, {name: one}]",
    "imagePullSecrets: [{name: one, $patch: delete}]",
    "tolerations: [{key: b, operator: Exists}]",
    "hostAliases: [{ip: 10.0.0.1, hostnames: [b]}, {ip: 10.0.0.2, hostnames: [c]}]",
    "volumes: [{name: v, emptyDir: {sizeLimit: 1Gi}}]",
    "volumes: [{name: v, $retainKeys: [name, secret], secret: {secretName: s}}]",
    "volumes: [{name: w, configMap: null, secret: {secretName: s}}]",
    "nodeSelector: {disk: null, zone: a}",
    "nodeSelector: {$patch: replace, zone: a}",
    "nodeSelector: {$patch: delete}",
    "nodeSelector: null",
    "affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: null}}",
    "initContainers: [{name: i, image: 'i:1', env: [{name: A, value: '1'}]}]",
];

/// Patches of the whole object.
const OF_THE_WHOLE: &[&str] = &[
    "metadata: {finalizers: [x/c, x/a]}",
    "metadata: {$deleteFromPrimitiveList/finalizers: [x/a]}",
    "metadata: {$setElementOrder/finalizers: [x/c, x/b], $deleteFromPrimitiveList/finalizers: [x/a], finalizers: [x/c]}",
    "metadata: {labels: {c: d, a: null}, annotations: null}",
    "spec: {replicas: 3, paused: true}",
    "spec: {strategy: {$retainKeys: [type], type: Recreate}}",
    "spec: {strategy: {rollingUpdate: {maxUnavailable: 50%}}}",
    "spec: {strategy: {$patch: replace, type: Recreate}}",
    "spec: {selector: {matchLabels: {more: x}}}",
];

/// Patches that Kubernetes' library refuses, too.
const REFUSED: &[&str] = &[
    "spec: {template: {spec: {containers: [{image: x}]}}}",
    "spec: {template: {spec: {containers: [{name: a, $patch: merge}]}}}",
    "spec: {template: {spec: {$patch: drop}}}",
    "spec: {strategy: {$retainKeys: [type], type: Recreate, rollingUpdate: {maxSurge: 1}}}",
    "spec: {template: {spec: {$setElementOrder/containers: [{name: b}], containers: [{name: a, image: x}]}}}",
];

fn by_plugin(object: &Value, patch: &Value) -> Result<Value, String> {
    let config = json!({"patches":[{"select":{},"merge":patch}]});
    let params = Params::new("app", "").with_config(config.to_string());
    let objects = vec![Object::from_json(object.to_string()).unwrap()];
    let out = weir_plugin_patch::transform(objects, &params, &MemoryTree::default());
    out.map(|mut out| Value::from(out.remove(0)))
        .map_err(|error| error.to_string())
}

#[test]
fn a_strategic_merge_is_the_one_of_kubectl() {
    let kubectl = ControlPlane::shared().unwrap().admin();
    let object = documents(OBJECT).remove(0);
    let pods = OF_THE_POD.iter().map(|spec| {
        let spec = documents(spec).remove(0);
        json!({"spec":{"template":{"spec":spec}}})
    });
    let wholes = OF_THE_WHOLE.iter().map(|patch| documents(patch).remove(0));
    let refused = REFUSED.iter().map(|patch| documents(patch).remove(0));
    let by_kubectl = |patch: &Value| {
        let patch = patch.to_string();
        let arguments = [
            "patch",
            "--local",
            "--type=strategic",
            "--filename=-",
            "--output=json",
            "--patch",
            &patch,
        ];
        kubectl.run_with(&arguments, &object.to_string()).unwrap()
    };
    for patch in pods.chain(wholes) {
        let answer = by_kubectl(&patch);
        assert!(answer.ok, "{patch}: {}", answer.stderr);
        let expected: Value = serde_json::from_str(&answer.stdout).unwrap();
        assert_eq!(by_plugin(&object, &patch), Ok(expected), "{patch}");
    }
    for patch in refused {
        let (answer, own) = (by_kubectl(&patch), by_plugin(&object, &patch));
        assert!(!answer.ok && own.is_err(), "{patch}: {answer:?} {own:?}");
    }
}
