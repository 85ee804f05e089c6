// What the profile of the build is taken of: renders of the parity suite's charts and of larger ones.
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

// ours are the charts of the parity suite.
const ours = "../../tests/parity/helm"

// chartCase is one chart in a tree and its config.
type chartCase struct {
	name, dir, config string
	tree              fs.FS
}

// BenchmarkRender renders each chart; those that many people have come in three sizes.
func BenchmarkRender(b *testing.B) {
	for _, one := range append(parityCharts(b), madeChart(4, 3), madeChart(30, 10), madeChart(150, 60)) {
		b.Run(one.name, func(b *testing.B) {
			for b.Loop() {
				_, err := render(one.tree, plugin.Params{
					App: "bench", Path: one.dir, Config: []byte(one.config),
					Target: plugin.TargetFacts{Name: "t", Kubernetes: "1.37.0"},
				})
				if err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func parityCharts(b *testing.B) []chartCase {
	b.Helper()
	files, err := filepath.Glob(filepath.Join(ours, "*", "case.json"))
	if err != nil || len(files) == 0 {
		b.Fatalf("%s: no cases: %v", ours, err)
	}
	var charts []chartCase
	for _, file := range files {
		var one struct {
			Dir    string
			Config map[string]any
		}
		text, err := os.ReadFile(file)
		if err == nil {
			err = json.Unmarshal(text, &one)
		}
		if err != nil {
			b.Fatalf("%s: %v", file, err)
		}
		if one.Config == nil {
			one.Config = map[string]any{}
		}
		config, err := json.Marshal(one.Config)
		if err != nil {
			b.Fatalf("%s: %v", file, err)
		}
		folder := filepath.Dir(file)
		charts = append(charts, chartCase{filepath.Base(folder), one.Dir, string(config), os.DirFS(folder)})
	}
	return charts
}

// madeChart is a chart of the kind that `helm create` makes, with so many templates over so many components.
func madeChart(templates, components int) chartCase {
	tree := fstest.MapFS{}
	add := func(name, text string) { tree["chart/"+name] = &fstest.MapFile{Data: []byte(text)} }
	add("Chart.yaml", chartOf("made", "appVersion: \"1.0\"\n"))
	add("templates/_helpers.tpl", madeHelpers)
	var values strings.Builder
	values.WriteString("global: {registry: registry.example}\ncomponents:\n")
	for n := range components {
		fmt.Fprintf(&values, madeValues, n)
	}
	add("values.yaml", values.String())
	add("values-prod.yaml", values.String())
	for n := range templates {
		text := [...]string{madeDeployment, madeService, madeConfig}[n%3]
		text = strings.ReplaceAll(text, "COMPONENT", fmt.Sprint("c", n%components))
		add(fmt.Sprintf("templates/t%03d.yaml", n), strings.ReplaceAll(text, "NUMBER", fmt.Sprint(n)))
	}
	return chartCase{fmt.Sprint("made-", templates), "chart", `{"values": ["values-prod.yaml"]}`, tree}
}

const madeValues = `  c%[1]d:
    replicas: 2
    image: {repository: part%[1]d, tag: 1.%[1]d.0}
    settings: {logging: {level: info, fields: {a: 1, b: two}}, limits: {connections: %[1]d00}}
    env: {HOST: svc-%[1]d.example, PORT: "80%[1]d"}
    resources: {requests: {cpu: 50m, memory: 64Mi}, limits: {cpu: 200m, memory: 128Mi}}
`

const madeHelpers = `{{- define "made.labels" -}}
app.kubernetes.io/name: {{ .Chart.Name | trunc 63 | trimSuffix "-" }}
app.kubernetes.io/instance: {{ .Release.Name }}
{{- if .Chart.AppVersion }}
app.kubernetes.io/version: {{ .Chart.AppVersion | quote }}
{{- end }}
helm.sh/chart: {{ printf "%s-%s" .Chart.Name .Chart.Version | replace "+" "_" }}
{{- end }}
`

const madeDeployment = `{{- $part := index .Values.components "COMPONENT" }}
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {{ .Release.Name }}-NUMBER
  labels: {{- include "made.labels" . | nindent 4 }}
spec:
  replicas: {{ $part.replicas | default 1 }}
  selector:
    matchLabels: {app: aNUMBER}
  template:
    metadata:
      labels: {app: aNUMBER}
      annotations:
        checksum/settings: {{ toYaml $part.settings | sha256sum }}
    spec:
      containers:
        - name: main
          image: "{{ .Values.global.registry }}/{{ $part.image.repository }}:{{ $part.image.tag }}"
          env:
            {{- range $name, $value := $part.env }}
            - name: {{ $name }}
              value: {{ $value | quote }}
            {{- end }}
          {{- with $part.resources }}
          resources: {{- toYaml . | nindent 12 }}
          {{- end }}
`

const madeService = `{{- $part := index .Values.components "COMPONENT" }}
{{- if gt (int $part.replicas) 0 }}
apiVersion: v1
kind: Service
metadata:
  name: {{ .Release.Name }}-NUMBER
  labels: {{- include "made.labels" . | nindent 4 }}
spec:
  selector: {app: aNUMBER}
  ports:
    - port: {{ $part.env.PORT | int }}
      name: {{ lower $part.image.repository | trunc 15 }}
{{- end }}
`

const madeConfig = `{{- $part := index .Values.components "COMPONENT" }}
apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-NUMBER
  labels: {{- include "made.labels" . | nindent 4 }}
data:
  settings.yaml: |
    {{- tpl (toYaml $part.settings) $ | nindent 4 }}
  level: {{ $part.settings.logging.level | upper | quote }}
`
