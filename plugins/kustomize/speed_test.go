// What the profile of the build is taken of: builds of the parity suite's overlays and of larger ones.
//
// `cargo xtask profiles` runs this and writes default.pgo, which the Go compiler reads by itself.

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"weir.dev/plugin"
)

// ours are the overlays of the parity suite.
const ours = "../../tests/parity/kustomize"

// overlayCase is one overlay in a tree.
type overlayCase struct {
	name, dir string
	tree      fs.FS
}

// BenchmarkRender builds each overlay; those that many people have come in three sizes.
func BenchmarkRender(b *testing.B) {
	for _, one := range append(parityOverlays(b), madeOverlay(3), madeOverlay(50), madeOverlay(300)) {
		b.Run(one.name, func(b *testing.B) {
			for b.Loop() {
				_, err := render(one.tree, plugin.Params{App: "bench", Path: one.dir, Config: []byte("{}")})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func parityOverlays(b *testing.B) []overlayCase {
	b.Helper()
	files, err := filepath.Glob(filepath.Join(ours, "*", "case.json"))
	if err != nil || len(files) == 0 {
		b.Fatalf("%s: no cases: %v", ours, err)
	}
	var overlays []overlayCase
	for _, file := range files {
		var one struct{ Dir string }
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &one)
		}
		if err != nil {
			b.Fatalf("%s: %v", file, err)
		}
		folder := filepath.Dir(file)
		overlays = append(overlays, overlayCase{filepath.Base(folder), one.Dir, os.DirFS(folder)})
	}
	return overlays
}

// madeOverlay is an overlay on a base of so many resources.
func madeOverlay(resources int) overlayCase {
	tree := fstest.MapFS{}
	add := func(name, text string) { tree[name] = &fstest.MapFile{Data: []byte(text)} }
	add("app/kustomization.yaml", madeKustomization)
	add("app/app.properties", "level=warn\nmode=prod\n")
	var list strings.Builder
	list.WriteString("resources:\n")
	for n := range resources {
		text := [...]string{madeDeployment, madeService, madeConfig}[n%3]
		add(fmt.Sprintf("base/r%03d.yaml", n), strings.ReplaceAll(text, "NUMBER", fmt.Sprint(n)))
		fmt.Fprintf(&list, "- r%03d.yaml\n", n)
	}
	add("base/kustomization.yaml", list.String())
	return overlayCase{fmt.Sprint("made-", resources), "app", tree}
}

const madeKustomization = `namespace: bench
namePrefix: prod-
resources: [../base]
labels:
- {pairs: {team: bench}, includeSelectors: true}
commonAnnotations: {owner: bench}
images:
- {name: registry.example/part, newTag: 2.0.0}
replicas:
- {name: d0, count: 5}
configMapGenerator:
- {name: app, files: [app.properties]}
patches:
- patch: |-
    apiVersion: apps/v1
    kind: Deployment
    metadata: {name: d0}
    spec: {template: {spec: {containers: [{name: main, imagePullPolicy: Always}]}}}
- target: {kind: Deployment}
  patch: |-
    - {op: add, path: /spec/template/spec/containers/0/env/-, value: {name: MODE, value: prod}}
`

const madeDeployment = `apiVersion: apps/v1
kind: Deployment
metadata:
  name: dNUMBER
spec:
  replicas: 2
  selector:
    matchLabels: {app: dNUMBER}
  template:
    metadata:
      labels: {app: dNUMBER}
    spec:
      containers:
        - name: main
          image: registry.example/part:1.0.0
          envFrom:
            - configMapRef: {name: app}
          env:
            - {name: HOST, value: sNUMBER.example}
          resources:
            limits: {cpu: 200m, memory: 128Mi}
`

const madeService = `apiVersion: v1
kind: Service
metadata:
  name: sNUMBER
spec:
  selector: {app: dNUMBER}
  ports:
    - {port: 80, targetPort: 8080}
`

const madeConfig = `apiVersion: v1
kind: ConfigMap
metadata:
  name: cNUMBER
data:
  host: svc-NUMBER.example
  text: the quick brown fox jumps over the lazy dog
`
