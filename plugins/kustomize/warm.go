// What is prepared once, when the component is made.

package main

import (
	"runtime"
	"runtime/debug"
	"testing/fstest"
)

// warm builds a small overlay, so that the schemas are parsed and the field specs read before any call.
func warm() {
	tree := fstest.MapFS{
		"warm/kustomization.yaml": {Data: []byte(`resources: [object.yaml]
namespace: warm
namePrefix: a-
nameSuffix: -b
labels: [{pairs: {a: b}, includeSelectors: true}]
commonAnnotations: {a: b}
images: [{name: x, newTag: "1"}]
replicas: [{name: d, count: 2}]
configMapGenerator: [{name: c, literals: [a=b]}]
secretGenerator: [{name: s, literals: [a=b]}]
patches:
- patch: '{"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "d"}, "spec": {"minReadySeconds": 3}}'
- target: {kind: Deployment}
  patch: '[{"op": "add", "path": "/spec/paused", "value": true}]'
`)},
		"warm/object.yaml": {Data: []byte(`apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec:
  replicas: 1
  selector: {matchLabels: {a: c}}
  template:
    metadata: {labels: {a: c}}
    spec:
      containers:
      - {name: c, image: x, envFrom: [{configMapRef: {name: c}}, {secretRef: {name: s}}]}
`)},
	}
	if _, _, err := build(tree, "warm"); err != nil {
		panic("the overlay that warms Kustomize does not build: " + err.Error())
	}
	// A call is short and its memory goes with it: collecting seldom is quicker, and the limit of memory stands.
	debug.SetGCPercent(400)
	runtime.GC()
}
