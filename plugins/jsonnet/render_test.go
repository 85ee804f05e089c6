// What an app of Jsonnet gets, natively: the library is the same as in the sandbox.

package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/go-jsonnet"
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

const lib = `{ map(name, data={}): { apiVersion: "v1", kind: "ConfigMap", metadata: { name: name }, data: data } }`

// rendered is the origin and the objects of the app at `app`.
func rendered(tree fstest.MapFS, config string) (string, []map[string]any, error) {
	documents, err := render(tree, plugin.Params{App: "shop", Path: "app", Config: []byte(config)})
	if err != nil {
		return "", nil, err
	}
	var objects []map[string]any
	for _, text := range strings.Split(string(documents[0].Body), "---\n")[1:] {
		var object map[string]any
		if err := json.Unmarshal([]byte(text), &object); err != nil {
			return "", nil, err
		}
		objects = append(objects, object)
	}
	return documents[0].Origin, objects, nil
}

func names(objects []map[string]any) string {
	var names []string
	for _, object := range objects {
		names = append(names, object["metadata"].(map[string]any)["name"].(string))
	}
	return strings.Join(names, " ")
}

func expectNames(t *testing.T, tree fstest.MapFS, config, expected string) {
	t.Helper()
	_, objects, err := rendered(tree, config)
	if err != nil {
		t.Fatal(err)
	}
	if got := names(objects); got != expected {
		t.Errorf("got %q, expected %q", got, expected)
	}
}

func expectError(t *testing.T, tree fstest.MapFS, config string, parts ...string) {
	t.Helper()
	_, objects, err := rendered(tree, config)
	if err == nil {
		t.Fatalf("got %v, expected the error %q", objects, parts)
	}
	for _, part := range parts {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("got\n%s\nexpected\n%s", err, part)
		}
	}
}

func TestOneObjectAListAndMapsOfObjectsAreFoundInTheirOrder(t *testing.T) {
	for program, expected := range map[string]string{
		`(import "/lib.libsonnet").map("a")`:                                                                                  "a",
		`local l = import "/lib.libsonnet"; [l.map("b"), null, [l.map("a")], { z: l.map("c") }]`:                              "b a c",
		`local l = import "/lib.libsonnet"; { b: l.map("second"), a: { x: l.map("first") }, c: null, hidden:: l.map("not") }`: "first second",
		`local l = import "/lib.libsonnet"; { kind: { x: l.map("a") } }`:                                                      "a",
	} {
		expectNames(t, repository("app/main.jsonnet", program, "lib.libsonnet", lib), "", expected)
	}
}

func TestAnotherFileIsNamedInTheConfig(t *testing.T) {
	tree := repository("app/x/other.jsonnet", `(import "/lib.libsonnet").map("a")`, "lib.libsonnet", lib, "root.jsonnet", `(import "lib.libsonnet").map("r")`)
	origin, _, err := rendered(tree, `{"file":"x/other.jsonnet"}`)
	if err != nil || origin != "app/x/other.jsonnet" {
		t.Errorf("%s %v", origin, err)
	}
	expectNames(t, tree, `{"file":"/root.jsonnet"}`, "r")
	expectNames(t, tree, `{"file":"../root.jsonnet"}`, "r")
}

func TestImportsAreFoundBesideTheFileAndThenInJpathFromItsEnd(t *testing.T) {
	tree := repository(
		"app/main.jsonnet", `(import "lib/l.libsonnet").map((import "name.libsonnet") + importstr "text.txt")`,
		"app/lib/l.libsonnet", `import "../../base/lib.libsonnet"`,
		"base/lib.libsonnet", lib,
		"one/name.libsonnet", `"one"`, "two/name.libsonnet", `"two"`,
		"one/text.txt", "-text",
	)
	expectNames(t, tree, `{"jpath":["/two","../one"]}`, "one-text")
	expectNames(t, tree, `{"jpath":["/one","/two"]}`, "two-text")
	tree["app/name.libsonnet"] = &fstest.MapFile{Data: []byte(`"own"`)}
	expectNames(t, tree, `{"jpath":["/one","/two"]}`, "own-text")
}

func TestValuesOfTheConfigAreTextOrWhatTheirJsonIs(t *testing.T) {
	tree := repository("app/main.jsonnet",
		`function(name, replicas=1) (import "/lib.libsonnet").map(name, { r: replicas + 1, e: std.extVar("env"), l: std.extVar("list")[1], s: std.type(std.extVar("number")) })`,
		"lib.libsonnet", lib)
	_, objects, err := rendered(tree, `{"tlas":{"name":"a","replicas":3},"extVars":{"env":"prod","list":[1,{"x":2}],"number":"7"}}`)
	if err != nil {
		t.Fatal(err)
	}
	expected := map[string]any{"r": 4.0, "e": "prod", "l": map[string]any{"x": 2.0}, "s": "string"}
	if !reflect.DeepEqual(objects[0]["data"], expected) {
		t.Errorf("%v", objects[0]["data"])
	}
}

func TestWhatIsWrongIsToldWithFileAndLine(t *testing.T) {
	for _, one := range []struct {
		program string
		parts   []string
	}{
		{"{\n  a: 1,\n  b: }\n", []string{"app/main.jsonnet:3: jsonnet: "}},
		{"local x = 1;\n\ny", []string{"app/main.jsonnet:3: jsonnet: Unknown variable: y"}},
		{"{\n  a: error 'because of this',\n}", []string{"app/main.jsonnet:2: jsonnet: because of this"}},
		{"local f = import 'f.libsonnet';\n{ a: f(1) }", []string{"app/f.libsonnet:2: jsonnet: inner", "called from app/main.jsonnet:2"}},
		{"import 'broken.libsonnet'", []string{"app/broken.libsonnet:1: jsonnet: "}},
		{"\nimport 'gone.libsonnet'", []string{"app/main.jsonnet:2: jsonnet: ", `couldn't open import "gone.libsonnet"`, "(looked in app)"}},
		{"import '../../secret.libsonnet'", []string{"app/main.jsonnet:1: jsonnet: ", "couldn't open import"}},
		{"importstr '/etc/passwd'", []string{"couldn't open import", "the repository's root"}},
		{"{\n a: std.extVar('none') }", []string{"app/main.jsonnet:2: jsonnet: ", "none"}},
		{"function(x) x", []string{"jsonnet: ", "x"}},
		{"local f(n) = f(n + 1) + 1; f(0)", []string{"app/main.jsonnet:1: jsonnet: ", "stack frames exceeded"}},
		{"{ assert self.a == 1 : 'a must be 1', a: 2 }", []string{"app/main.jsonnet:1: jsonnet: a must be 1"}},
		{"std.format('%d', ['x'])", []string{"app/main.jsonnet:1: jsonnet: "}},
		{"{\n  a: error 'web:80:8080 is no mapping',\n}", []string{"app/main.jsonnet:2: jsonnet: web:80:8080 is no mapping"}},
		{"\nerror 'gone.libsonnet:1:2 is not there'", []string{"app/main.jsonnet:2: jsonnet: gone.libsonnet:1:2 is not there"}},
		{"import '/app/broken.libsonnet'", []string{"app/broken.libsonnet:1: jsonnet: "}},
		{"{ a: self.b }", []string{"app/main.jsonnet:1: jsonnet: Field does not exist: b"}},
	} {
		tree := repository("app/main.jsonnet", one.program, "app/f.libsonnet", "function(x)\n  error 'inner'", "app/broken.libsonnet", "{")
		expectError(t, tree, "", one.parts...)
	}
}

func TestWhatIsNoObjectIsToldWithItsPlace(t *testing.T) {
	for program, parts := range map[string][]string{
		`7`:                              {"app/main.jsonnet: not-an-object: the program's value: it is 7"},
		`{ a: [1] }`:                     {"the program's value at a[0]: it is 1"},
		`{ a: { b: "text" } }`:           {"at a.b: it is \"text\""},
		`[{ kind: "ConfigMap", a: {} }]`: {"at [0]: it has one of apiVersion and kind"},
		`{ apiVersion: "v1" }`:           {"it has one of apiVersion and kind"},
		`{}`:                             {"no-manifests"},
		`[null, [], {}]`:                 {"no-manifests"},
		`std.foldl(function(a, i) [a], std.range(1, 70), {})`: {"more than 64 lists and maps"},
	} {
		expectError(t, repository("app/main.jsonnet", program), "", parts...)
	}
}

func TestAConfigThatIsNoneIsRefused(t *testing.T) {
	tree := repository("app/main.jsonnet", `{}`)
	for config, part := range map[string]string{
		`{"fiel":"x"}`:                  "did you mean `file`?",
		`{"file":""}`:                   "config.file: the path is empty",
		`{"file":"../../x"}`:            "leads out of the repository",
		`{"jpath":["/../x"]}`:           "config.jpath[0]: \"/../x\" leads out of the repository",
		`{"jpath":"lib"}`:               "expected a list",
		`{"file":"gone.jsonnet"}`:       "app/gone.jsonnet: no-such-path",
		`{"extVars":["a"]}`:             "expected an object",
		`{"file":7}`:                    "expected text",
		`{"tlas":{"x":"y"}}`:            "",
		`{"extVars":{"a b":{"c":"d"}}}`: "no-manifests",
	} {
		if part != "" {
			expectError(t, tree, config, part)
		}
	}
}

// The same files on a disk, by the library with its own importer: the same value.
func TestTheLibraryItselfGivesTheSame(t *testing.T) {
	files := []string{
		"app/main.jsonnet", `
local k = import "k.libsonnet";
local cfg = std.extVar("cfg");
function(env="dev") {
  [name]: k.deployment(name, cfg.images[name], cfg.replicas) + k.label({ env: env, text: std.strReplace(importstr "data/note.txt", "\n", "|") })
  for name in std.objectFields(cfg.images)
} + { config: k.map("settings", { "a.json": std.manifestJsonEx({ b: [1, 2.5, 1e100, 0.1], u: "ü\u0001" }, "  "), yaml: std.manifestYamlDoc({ a: [1, "x"] }) }) }`,
		"app/data/note.txt", "one\ntwo\n",
		"vendor/k.libsonnet", `
local sort(list) = std.sort(std.set(list));
{
  deployment(name, image, replicas): {
    apiVersion: "apps/v1", kind: "Deployment", metadata: { name: name },
    spec: { replicas: replicas, template: { spec: { containers: [{ name: name, image: image, args: sort(["b", "a", "b"]) }] } } },
  },
  map(name, data): { apiVersion: "v1", kind: "ConfigMap", metadata: { name: name, annotations: { md5: std.md5(std.toString(data)) } }, data: data },
  label(labels):: { metadata+: { labels+: labels } },
}`,
	}
	disk := t.TempDir()
	for i := 0; i < len(files); i += 2 {
		path := filepath.Join(disk, files[i])
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(files[i+1]), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	vm := jsonnet.MakeVM()
	vm.Importer(&jsonnet.FileImporter{JPaths: []string{filepath.Join(disk, "vendor")}})
	vm.ExtCode("cfg", `{"images":{"web":"web:1","api":"api:2"},"replicas":3}`)
	vm.TLAVar("env", "prod")
	text, err := vm.EvaluateFile(filepath.Join(disk, "app/main.jsonnet"))
	if err != nil {
		t.Fatal(err)
	}
	var expected map[string]map[string]any
	if err := json.Unmarshal([]byte(text), &expected); err != nil {
		t.Fatal(err)
	}
	config := `{"jpath":["/vendor"],"extVars":{"cfg":{"images":{"web":"web:1","api":"api:2"},"replicas":3}},"tlas":{"env":"prod"}}`
	_, objects, err := rendered(repository(files...), config)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]map[string]any{"api": objects[0], "config": objects[1], "web": objects[2]}
	if len(objects) != 3 || !reflect.DeepEqual(got, expected) {
		t.Errorf("got\n%v\nexpected\n%v", got, expected)
	}
}
