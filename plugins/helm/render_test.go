// What an app of a chart gets, natively: the engine is the same as in the sandbox.

package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"sigs.k8s.io/yaml"
	"weir.dev/plugin"
)

// repository is files by their paths.
func repository(files ...string) fstest.MapFS {
	tree := fstest.MapFS{}
	for i := 0; i+1 < len(files); i += 2 {
		tree[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return tree
}

// chartOf is Chart.yaml with more keys.
func chartOf(name, more string) string {
	return "apiVersion: v2\nname: " + name + "\nversion: 1.2.3\n" + more
}

// object is a template of one ConfigMap with these data.
func object(name, data string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\ndata:\n  " + data + "\n"
}

func rendered(tree fs.FS, config string) ([]plugin.Document, error) {
	if config == "" {
		config = "{}"
	}
	return render(tree, plugin.Params{
		App: "shop", Path: "chart", Namespace: "ns", Config: []byte(config),
		Target: plugin.TargetFacts{Name: "t", Kubernetes: "1.37.2", APIs: []string{"cert-manager.io/v1"}},
	})
}

// shown is each document's origin, name and data, a line each.
func shown(t *testing.T, tree fs.FS, config string) string {
	t.Helper()
	documents, err := rendered(tree, config)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, document := range documents {
		var object struct {
			Kind     string
			Metadata struct {
				Name        string
				Annotations map[string]string
			}
			Data map[string]string
		}
		if err := yaml.Unmarshal(document.Body, &object); err != nil {
			t.Fatalf("%s: %v\n%s", document.Origin, err, document.Body)
		}
		line := fmt.Sprintf("%s %s/%s", document.Origin, object.Kind, object.Metadata.Name)
		for _, more := range []map[string]string{object.Metadata.Annotations, object.Data} {
			if len(more) > 0 {
				text, _ := json.Marshal(more)
				line += " " + string(text)
			}
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

func expect(t *testing.T, got, expected string) {
	t.Helper()
	if got != expected {
		t.Errorf("got\n%s\nexpected\n%s", got, expected)
	}
}

func expectError(t *testing.T, tree fs.FS, config, expected string) {
	t.Helper()
	documents, err := rendered(tree, config)
	if err == nil {
		t.Errorf("%d documents; expected the error %s", len(documents), expected)
	} else if !strings.Contains(err.Error(), expected) {
		t.Errorf("got\n%s\nexpected\n%s", err, expected)
	}
}

func TestAChartSeesItsReleaseItsValuesAndItsTarget(t *testing.T) {
	tree := repository(
		"chart/Chart.yaml", chartOf("web", ""),
		"chart/values.yaml", "a: default\nb: default\nc: default\nd: default\n",
		"chart/prod.yaml", "b: file\nc: file\nd: file\n",
		"values/more.yaml", "d: last\n",
		"chart/templates/a.yaml", object("{{ .Release.Name }}", `x: "{{ .Release.Namespace }} {{ .Values.a }} {{ .Values.b }} {{ .Values.c }} {{ .Values.d }} {{ .Capabilities.KubeVersion }} {{ .Capabilities.APIVersions.Has "cert-manager.io/v1" }} {{ .Capabilities.APIVersions.Has "none/v1" }} {{ .Chart.Version }} {{ len (lookup "v1" "Secret" "" "") }}"`),
		"chart/templates/NOTES.txt", "installed",
		"chart/README.md", "{{ not a template }}",
	)
	expect(t, shown(t, tree, `{"values":["prod.yaml","/values/more.yaml"],"inline":{"c":"inline"},"set":["a=set"]}`),
		`chart/templates/a.yaml ConfigMap/shop {"x":"ns set file inline last v1.37.2 true false 1.2.3 0"}`)
}

func TestTheWaysToSetAValueFollowHelmsOrder(t *testing.T) {
	tree := repository(
		"chart/Chart.yaml", chartOf("web", ""),
		"chart/text", "from a file",
		"chart/templates/a.yaml", object("a", `x: {{ toJson .Values | quote }}`),
	)
	config := `{"setJson":["a=[1,2]","{\"b\":{\"c\":null,\"d\":1}}"],"set":["n=1,l[1]=x","e\\.f=true"],"setString":["s=1"],"setFile":["f=text"],"setLiteral":["t=a,b={c}"]}`
	got := shown(t, tree, config)
	for _, part := range []string{`\"a\":[1,2]`, `\"d\":1`, `\"n\":1`, `\"l\":[null,\"x\"]`, `\"e.f\":true`, `\"s\":\"1\"`, `\"f\":\"from a file\"`, `\"t\":\"a,b={c}\"`} {
		if !strings.Contains(got, strings.ReplaceAll(part, `\"`, `\\\"`)) && !strings.Contains(got, part) {
			t.Errorf("%s is not in %s", part, got)
		}
	}
}

func TestSubchartsComeFromFoldersArchivesAndOtherPlacesOfTheRepository(t *testing.T) {
	sub := func(name string) string { return object(name+"-{{ .Chart.Name }}", "v: {{ .Values.v | quote }}") }
	tree := repository(
		"chart/Chart.yaml", chartOf("web", `dependencies:
- {name: folder, version: 1.2.3, condition: folder.enabled}
- {name: spare, version: 1.2.3, condition: spare.enabled}
- {name: packed, version: 1.2.3, alias: other}
- {name: near, version: 1.2.3, repository: "file://../near"}
`),
		"chart/values.yaml", "folder: {v: 1}\nother: {v: 2}\nnear: {v: 3}\nspare: {enabled: false}\n",
		"chart/charts/folder/Chart.yaml", chartOf("folder", ""), "chart/charts/folder/templates/a.yaml", sub("a"),
		"chart/charts/spare/Chart.yaml", chartOf("spare", ""), "chart/charts/spare/templates/a.yaml", sub("a"),
		"near/Chart.yaml", chartOf("near", ""), "near/templates/a.yaml", sub("a"),
	)
	tree["chart/charts/packed-1.2.3.tgz"] = &fstest.MapFile{Data: packed(t, map[string]string{
		"packed/Chart.yaml": chartOf("packed", ""), "packed/templates/a.yaml": sub("a"),
	})}
	expect(t, shown(t, tree, ""), `chart/charts/folder/templates/a.yaml ConfigMap/a-folder {"v":"1"}
near/templates/a.yaml ConfigMap/a-near {"v":"3"}
chart/charts ConfigMap/a-other {"v":"2"}`)
}

// packed is a chart's archive.
func packed(t *testing.T, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	zip := gzip.NewWriter(&out)
	archive := tar.NewWriter(zip)
	for name, content := range files {
		if err := archive.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: int64(len(content))}); err != nil {
			t.Fatal(err)
		}
		if _, err := archive.Write([]byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if err := errorsOf(archive.Close(), zip.Close()); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func errorsOf(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

func TestAChartFromElsewhereIsWhatTheLockShows(t *testing.T) {
	at := plugin.ExternalPath("oci://registry.example/charts/web?version=1.x")
	tree := repository(at+"/Chart.yaml", chartOf("web", ""), at+"/templates/a.yaml", object("a", "k: v"))
	expect(t, shown(t, tree, `{"repository":"oci://registry.example/charts","chart":"web","version":"1.x"}`),
		at+`/templates/a.yaml ConfigMap/a {"k":"v"}`)
	expectError(t, tree, `{"repository":"https://charts.example/stable/","chart":"web"}`,
		"not-locked: `helm+https://charts.example/stable?chart=web&version=` is not in weir.lock: run `weir lock` and commit the file")
	expectError(t, tree, `{"repository":"charts.example","chart":"web"}`, `"charts.example" is no repository of charts`)
}

func TestADependencyFromElsewhereHasTheVersionOfItsLock(t *testing.T) {
	at := plugin.ExternalPath("helm+https://charts.example/stable?chart=db&version=2.0.1")
	tree := repository(
		"chart/Chart.yaml", chartOf("web", "dependencies: [{name: db, version: 2.x, repository: 'https://charts.example/stable'}]"),
		"chart/Chart.lock", "dependencies: [{name: db, version: 2.0.1, repository: 'https://charts.example/stable'}]",
		at+"/Chart.yaml", chartOf("db", ""), at+"/templates/a.yaml", object("a", "k: v"),
	)
	expect(t, shown(t, tree, ""), at+`/templates/a.yaml ConfigMap/a {"k":"v"}`)
	delete(tree, "chart/Chart.lock")
	expectError(t, tree, "", "chart/Chart.yaml: not-locked: `helm+https://charts.example/stable?chart=db&version=2.x` is not in weir.lock")
	tree["chart/Chart.yaml"].Data = []byte(chartOf("web", "dependencies: [{name: db, version: 2.x, repository: '@mine'}]"))
	expectError(t, tree, "", "chart/Chart.yaml: missing-dependency: dependency \"db\" is not in charts/, and its repository is \"@mine\"")
}

func TestDefinitionsComeFirstAndAreLeftOutWhereTheAppSaysSo(t *testing.T) {
	tree := repository(
		"chart/Chart.yaml", chartOf("web", ""),
		"chart/crds/thing.yaml", "apiVersion: apiextensions.k8s.io/v1\nkind: CustomResourceDefinition\nmetadata: {name: things.example}\n",
		"chart/templates/a.yaml", object("a", "k: v"),
	)
	expect(t, shown(t, tree, ""), `chart/crds/thing.yaml CustomResourceDefinition/things.example
chart/templates/a.yaml ConfigMap/a {"k":"v"}`)
	expect(t, shown(t, tree, `{"skipCrds":true}`), `chart/templates/a.yaml ConfigMap/a {"k":"v"}`)
}

func TestHooksBecomeWavesAndTestsAreLeftOut(t *testing.T) {
	hook := func(name, annotations string) string {
		return "---\napiVersion: batch/v1\nkind: Job\nmetadata:\n  name: " + name + "\n  annotations: {" + annotations + "}\n"
	}
	tree := repository(
		"chart/Chart.yaml", chartOf("web", ""),
		"chart/templates/a.yaml", object("a", "k: v"),
		"chart/templates/hooks.yaml", hook("before", `helm.sh/hook: "pre-install,pre-upgrade", helm.sh/hook-weight: "-5", mine: kept`)+
			hook("after", `helm.sh/hook: post-install, helm.sh/hook-delete-policy: "before-hook-creation, hook-succeeded"`)+
			hook("test", `helm.sh/hook: test`)+hook("gone", `helm.sh/hook: pre-delete`)+hook("unknown", `helm.sh/hook: crd-install`),
	)
	expect(t, shown(t, tree, ""), `chart/templates/a.yaml ConfigMap/a {"k":"v"}
chart/templates/hooks.yaml Job/before {"mine":"kept","weir.dev/hook":"pre","weir.dev/hook-weight":"-5","weir.dev/wave":"-1"}
chart/templates/hooks.yaml Job/after {"weir.dev/hook":"post","weir.dev/hook-delete-policy":"before-hook-creation,hook-succeeded","weir.dev/hook-weight":"0","weir.dev/wave":"1"}`)
}

func TestAnErrorNamesTheFileAndTheLine(t *testing.T) {
	chart := chartOf("web", "")
	for expected, files := range map[string][]string{
		"chart/templates/a.yaml:2: template: ":                                                              {"chart/Chart.yaml", chart, "chart/templates/a.yaml", "a: b\n{{ fail \"because\" }}\n"},
		"chart/templates/_h.tpl:1: template: ":                                                              {"chart/Chart.yaml", chart, "chart/templates/_h.tpl", `{{ define "h" }}{{ .Values.a.b.c }}{{ end }}`, "chart/templates/a.yaml", "a: b\n{{ include \"h\" . }}"},
		"chart/templates/a.yaml:1: template: parse":                                                         {"chart/Chart.yaml", chart, "chart/templates/a.yaml", "{{ if }}"},
		"chart/templates/a.yaml: template: YAML":                                                            {"chart/Chart.yaml", chart, "chart/templates/a.yaml", "a: b: c"},
		"no-chart: chart: there is no Chart.yaml":                                                           {"other/Chart.yaml", chart},
		"chart/Chart.yaml: bad-chart: validation":                                                           {"chart/Chart.yaml", "apiVersion: v2\nname: a\nversion: x\n"},
		"chart/Chart.yaml: bad-chart: apiVersion v3":                                                        {"chart/Chart.yaml", "apiVersion: v3\nname: a\nversion: 1.0.0\n"},
		"chart/Chart.yaml: not-installable: web is a library chart":                                         {"chart/Chart.yaml", chart + "type: library\n"},
		"chart/Chart.yaml: kubernetes-version: the chart wants Kubernetes <1.0, and the target has v1.37.2": {"chart/Chart.yaml", chart + "kubeVersion: <1.0\n"},
		"chart/values.schema.json: bad-values: values don't meet":                                           {"chart/Chart.yaml", chart, "chart/values.schema.json", `{"required":["port"]}`},
		"nested reference name: h":                                                                          {"chart/Chart.yaml", chart, "chart/templates/_h.tpl", `{{ define "h" }}{{ include "h" . }}{{ end }}`, "chart/templates/a.yaml", `{{ include "h" . }}`},
		"chart/Chart.yaml: too-deep":                                                                        {"chart/Chart.yaml", chartOf("web", "dependencies: [{name: web, version: 1.2.3, repository: 'file://.'}]")},
		"leads out of the repository":                                                                       {"chart/Chart.yaml", chartOf("web", "dependencies: [{name: x, version: 1.2.3, repository: 'file://../../x'}]")},
	} {
		expectError(t, repository(files...), "", expected)
	}
}

func TestAWrongConfigSaysWhatToChange(t *testing.T) {
	tree := repository("chart/Chart.yaml", chartOf("web", ""), "chart/bad.yaml", "a: [\n", "chart/templates/a.yaml", object("a", "k: v"))
	for config, expected := range map[string]string{
		`{"valus":[]}`:                 "config: unknown key `valus`; did you mean `values`?",
		`{"values":["none.yaml"]}`:     "missing-values: config.values: chart/none.yaml is not in the repository",
		`{"values":["../../x.yaml"]}`:  "config.values: \"../../x.yaml\" leads out of the repository",
		`{"values":["bad.yaml"]}`:      "chart/bad.yaml:",
		`{"set":["a[b]=1"]}`:           "error parsing index",
		`{"release":"Not A Name"}`:     "config.release: \"Not A Name\" is no release name",
		`{"version":"1.0"}`:            "config.version: it is about a chart of a repository",
		`{"repository":"oci://a.b/c"}`: "config.chart: with config.repository",
	} {
		expectError(t, tree, config, expected)
	}
	expect(t, shown(t, tree, `{"values":["none.yaml"],"ignoreMissingValues":true}`), `chart/templates/a.yaml ConfigMap/a {"k":"v"}`)
}

func TestFilesThatHelmignoreNamesAreNoPartOfTheChart(t *testing.T) {
	tree := repository(
		"chart/Chart.yaml", chartOf("web", ""), "chart/.helmignore", "# secrets\n*.key\nskipped/\n",
		"chart/a.key", "1", "chart/kept.txt", "2", "chart/skipped/x.txt", "3",
		"chart/templates/a.yaml", object("a", `x: "{{ .Files.Get "a.key" }}{{ .Files.Get "kept.txt" }}{{ .Files.Get "skipped/x.txt" }}"`),
	)
	expect(t, shown(t, tree, ""), `chart/templates/a.yaml ConfigMap/a {"x":"2"}`)
}
