package main

import (
	"strings"
	"testing"

	"weir.dev/scripts/scripttest"
)

const (
	config = `{"script": "/policy/x.js", "values": {"team": "red", "most": 3}}`
	web    = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":5}}`
	note   = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"note","namespace":"n"}}`
)

func files(script string) map[string]string {
	return map[string]string{
		"policy/x.js":        script,
		"policy/lib.js":      "export const label = (o, k, v) => ({ ...o, metadata: { ...o.metadata, labels: { ...o.metadata.labels, [k]: v } } });\n",
		"lib/deep.js":        "import { label } from \"/policy/lib.js\";\nconst team = \"blue\";\nexport default (o) => label(o, \"team\", team);\n",
		"apps/shop/a.yaml":   "colour: on\nmode: 0644\n",
		"apps/shop/b/c.yaml": "x: 1\n",
	}
}

func TestATransformerChangesDropsAndAddsObjects(t *testing.T) {
	script := `
import { label } from "./lib.js";
export function transform(objects, params) {
  const out = objects.filter((o) => o.kind !== "ConfigMap").map((o) => label(o, "team", params.values.team));
  const { app, path, namespace, target: { name, apis } } = params;
  return [...out, { kind: "Added", metadata: { name: app + path + namespace + name + apis.length } }];
}
`
	out, err := language.Transform(scripttest.Tree(files(script)), scripttest.Objects(web, note), scripttest.Params(config))
	if err != nil {
		t.Fatal(err)
	}
	scripttest.Same(t, scripttest.Texts(t, out), []string{
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"labels":{"team":"red"},"name":"web"},"spec":{"replicas":5}}`,
		`{"kind":"Added","metadata":{"name":"shopapps/shopspacedprod1"}}`,
	})
}

func TestAFunctionForEachObjectGivesItOrSeveralOrNone(t *testing.T) {
	script := `
export function transformObject(o, params) {
  if (o.kind === "ConfigMap") return [];
  o.spec.replicas = Math.min(o.spec.replicas, params.values.most);
  return [o, { kind: "Other" }];
}
`
	out, err := language.Transform(scripttest.Tree(files(script)), scripttest.Objects(note, web), scripttest.Params(config))
	if err != nil {
		t.Fatal(err)
	}
	scripttest.Same(t, scripttest.Texts(t, out), []string{
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":3}}`, `{"kind":"Other"}`,
	})
}

func TestAnAsyncFunctionIsTakenWhereItComesToItsEnd(t *testing.T) {
	script := "export async function transform(objects) { const [first] = await Promise.all([objects[0]]); return [first]; }\n"
	out, err := language.Transform(scripttest.Tree(files(script)), scripttest.Objects(web, note), scripttest.Params(config))
	if err != nil {
		t.Fatal(err)
	}
	if len(out) != 1 {
		t.Error(out)
	}
}

func TestARendererReadsFilesAndGivesObjects(t *testing.T) {
	script := `
export function render(params, files) {
  const values = yaml.parse(files.read("a.yaml"));
  return [{ kind: "A", on: values.colour, mode: values.mode, many: yaml.parseAll("a: 1\n---\n# nothing\n---\nb: 2\n"),
    there: files.exists("b/c.yaml"), not: files.exists("no"), list: files.list("."), glob: files.glob("**/*.yaml"),
    root: files.glob("/policy/*.js"), text: yaml.stringify({ b: [1, "on"] }), none: undefined }];
}
`
	documents, err := language.Render(scripttest.Tree(files(script)), scripttest.Params(config))
	if err != nil {
		t.Fatal(err)
	}
	scripttest.Same(t, scripttest.Bodies(t, documents), []string{
		`{"glob":["a.yaml","b/c.yaml"],"kind":"A","list":["a.yaml","b/"],"many":[{"a":1},{"b":2}],"mode":420,"not":false,"on":true,` +
			`"root":["/policy/lib.js","/policy/x.js"],"text":"b:\n- 1\n- \"on\"\n","there":true}`,
	})
}

func TestAValidatorGivesTextsAndFindings(t *testing.T) {
	script := `
export function validate(objects, params) {
  const many = objects.map((o, object) => ({ o, object })).filter(({ o }) => o.spec?.replicas > params.values.most);
  return ["of no object", ...many.map(({ object }) => ({ message: "too many", level: "warning", code: "replicas", object, path: "/spec/replicas" }))];
}
`
	found, err := language.Validate(scripttest.Tree(files(script)), scripttest.Objects(note, web), scripttest.Params(config))
	if err != nil {
		t.Fatal(err)
	}
	scripttest.Same(t, scripttest.Found(found), []string{"- error script: of no object", "1 warning replicas: too many /spec/replicas"})
	each := "export function validateObject(o) { if (o.kind === \"Deployment\") return \"a deployment\"; }\n"
	found, err = language.Validate(scripttest.Tree(files(each)), scripttest.Objects(note, web), scripttest.Params(config))
	if err != nil {
		t.Fatal(err)
	}
	scripttest.Same(t, scripttest.Found(found), []string{"1 error script: a deployment"})
}

func TestAnEmptyTextIsNoFinding(t *testing.T) {
	for script, expected := range map[string][]string{
		`validateObject = (o) => o.kind === "Deployment" ? "a deployment" : ""`: {"1 error script: a deployment"},
		`validateObject = () => ""`: nil,
		`validate = () => ""`:       nil,
		`validate = (objects) => ["", "of none", "", { message: "m", object: 1 }]`: {"- error script: of none", "1 error script: m"},
	} {
		found, err := language.Validate(scripttest.Tree(files("export const "+script+";\n")), scripttest.Objects(note, web), scripttest.Params(config))
		if err != nil {
			t.Fatal(err)
		}
		scripttest.Same(t, scripttest.Found(found), expected)
	}
	script := "export const validate = () => [{ message: \"\" }];\n"
	_, err := language.Validate(scripttest.Tree(files(script)), scripttest.Objects(web), scripttest.Params(config))
	scripttest.Says(t, err, "a finding has no `message`")
}

func TestModulesAreImportedByPathsOfTheRepository(t *testing.T) {
	script := "import deep from \"../lib/deep.js\";\nimport * as lib from \"/policy/lib.js\";\nexport { label } from \"./lib.js\";\nexport const transformObject = (o) => lib.label(deep(o), \"more\", \"x\");\n"
	out, err := language.Transform(scripttest.Tree(files(script)), scripttest.Objects(note), scripttest.Params(config))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out[0]), `"labels":{"team":"blue","more":"x"}`) {
		t.Error(string(out[0]))
	}
}

func TestNothingIsKeptFromOneCallToTheNext(t *testing.T) {
	script := "globalThis.count = (globalThis.count ?? 0) + 1;\nJSON.stringify = () => \"[]\";\nexport const transformObject = (o) => ({ ...o, count: globalThis.count });\n"
	for range 2 {
		out, err := language.Transform(scripttest.Tree(files(script)), scripttest.Objects(note), scripttest.Params(config))
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(string(out[0]), `"count":1`) {
			t.Error(string(out[0]))
		}
	}
}

// wrong is a script that fails, and what is said.
type wrong struct {
	name, script string
	words        []string
}

var wrongTransformers = []wrong{
	{"syntax", "export function transform(objects, params) {\n  return objects +;\n}\n", []string{"policy/x.js:2: syntax: column 19: ", "Unexpected token ;"}},
	{"unclosed", "export function transform(objects) {\n", []string{"policy/x.js:2: syntax: ", "Unexpected end of input"}},
	{"no function", "export const x = 1;\n", []string{"policy/x.js: no-function: ", "`transform(objects, params)` or `transformObject(object, params)`"}},
	{"not exported", "function transform(o) { return o; }\n", []string{"no-function"}},
	{"both", "export const transform = (o) => o, transformObject = (o) => o;\n", []string{"defines both `transform` and `transformObject`"}},
	{"thrown", "const inner = (o) => o.spek.replicas;\nexport function transform(objects) {\n  return objects.map(inner);\n}\n", []string{
		"policy/x.js:1: script: column ", "TypeError: Cannot read property 'replicas' of undefined", "in inner (policy/x.js:1:", "in transform (policy/x.js:3:"}},
	{"each names the object", "export function transformObject(o) {\n  throw new Error(\"because of this\");\n}\n", []string{"(about Deployment web)", "policy/x.js:2", "Error: because of this"}},
	{"thrown text", "export function transform(o) {\n  throw \"words\";\n}\n", []string{"policy/x.js:2", "words"}},
	{"thrown at the top", "const x = nothing;\n", []string{"policy/x.js:1", "ReferenceError: nothing is not defined"}},
	{"async", "export async function transform(o) {\n  await 1;\n  throw new Error(\"late\");\n}\n", []string{"policy/x.js:3", "Error: late"}},
	{"never", "export const transform = (o) => new Promise(() => {});\n", []string{"it awaits something that never comes"}},
	{"forgotten return", "export function transformObject(o) { o.a = 1; }\n", []string{"it returned nothing: return the object, or an empty list to leave it out"}},
	{"nothing", "export function transform(o) {}\n", []string{"expected a list of objects, got null"}},
	{"text", "export const transform = () => [\"x\"];\n", []string{"item 0 of the list is no object: \"x\""}},
	{"itself", "export const transform = ([o]) => { o.o = o; return [o]; };\n", []string{"Converting circular structure to JSON"}},
	{"bigint", "export const transform = ([o]) => [{ ...o, a: 1n }];\n", []string{"BigInt"}},
	{"recursion", "const f = (x) => f(x) + 1;\nexport const transform = () => f(1);\n", []string{"functions call each other more than 2000 deep", "policy/x.js:1"}},
	{"random", "export const transform = (o) => {\n  return [{ a: Math.random() }];\n};\n", []string{"policy/x.js:2", "Math.random is not here", "params.values"}},
	{"require", "const fs = require(\"fs\");\n", []string{"require is not defined"}},
	{"timer", "export const transform = (o) => setTimeout(() => o, 1);\n", []string{"setTimeout is not defined"}},
	{"package", "import _ from \"lodash\";\n", []string{"it imports `lodash`: there are no packages here", "policy/x.js"}},
	{"missing import", "import \"./none.js\";\n", []string{"policy/none.js: no-script: there is no such file in this commit, or it lies outside the app's `roots`"}},
	{"import out", "import \"../../x.js\";\n", []string{"`../../x.js` leads out of the repository"}},
	{"import of nothing there", "import { lable } from \"./lib.js\";\nexport const transform = lable;\n", []string{"lable", "policy/x.js"}},
	{"import itself", "import \"./x.js\";\n", []string{"load-cycle", "policy/x.js -> policy/x.js"}},
	{"dynamic import", "export const transform = async (o) => { await import(\"./lib.js\"); return o; };\n", []string{"policy/x.js"}},
	{"yaml", "export const transform = () => {\n  return [yaml.parse(\"a: [\")];\n};\n", []string{"policy/x.js:2", "did not find expected"}},
	{"export form", "export const { a: b } = {};\n", []string{"policy/x.js: syntax", "keyed destructuring"}},
}

func TestWhatIsWrongInAScriptIsSaidAtItsPlace(t *testing.T) {
	for _, w := range wrongTransformers {
		t.Run(w.name, func(t *testing.T) {
			_, err := language.Transform(scripttest.Tree(files(w.script)), scripttest.Objects(web), scripttest.Params(config))
			scripttest.Says(t, err, w.words...)
		})
	}
}

func TestWhatIsWrongInARendererOrAValidatorIsSaid(t *testing.T) {
	for _, w := range []wrong{
		{"missing", "export const render = (params, files) =>\n  [files.read(\"none.yaml\")];\n", []string{"policy/x.js:2", "apps/shop/none.yaml: there is no such file"}},
		{"out", "export const render = (params, files) => files.list(\"../../..\");\n", []string{"`../../..` leads out of the repository"}},
		{"role", "export const transform = (o) => o;\n", []string{"a renderer's script defines `render(params, files)`, and this one does not"}},
	} {
		t.Run(w.name, func(t *testing.T) {
			_, err := language.Render(scripttest.Tree(files(w.script)), scripttest.Params(config))
			scripttest.Says(t, err, w.words...)
		})
	}
	for _, w := range []wrong{
		{"level", "export const validate = () => [{ message: \"m\", level: \"fatal\" }];\n", []string{"`error`, `warning` or `info`, not `fatal`"}},
		{"number", "export const validateObject = () => 7;\n", []string{"a finding is a text or has", "(about Deployment web)"}},
	} {
		t.Run(w.name, func(t *testing.T) {
			_, err := language.Validate(scripttest.Tree(files(w.script)), scripttest.Objects(web), scripttest.Params(config))
			scripttest.Says(t, err, w.words...)
		})
	}
}

func TestAScriptCanCatchWhatTheLibraryThrows(t *testing.T) {
	script := "export const render = (params, files) => { try { files.read(\"none\"); } catch (e) { return [{ kind: e instanceof TypeError ? e.message : \"\" }]; } };\n"
	documents, err := language.Render(scripttest.Tree(files(script)), scripttest.Params(config))
	if err != nil {
		t.Fatal(err)
	}
	if body := string(documents[0].Body); !strings.Contains(body, "apps/shop/none: there is no such file") {
		t.Error(body)
	}
}

func TestANumberThatJavaScriptWouldChangeIsRefused(t *testing.T) {
	script := "export const transformObject = (o) => o;\n"
	for number, good := range map[string]bool{
		"9007199254740992": true, "-9007199254740992": true, "9007199254740993": false, "-90071992547409930": false,
		"12345678901234567890123": false, "1234567890.1234567890": true, `"12345678901234567890123"`: true,
	} {
		object := `{"kind":"A","metadata":{"name":"n"},"x":[` + number + `]}`
		_, err := language.Transform(scripttest.Tree(files(script)), scripttest.Objects(object), scripttest.Params(config))
		switch {
		case good && err != nil:
			t.Errorf("%s: %v", number, err)
		case !good:
			scripttest.Says(t, err, number, "JavaScript cannot hold", "(about A n)")
		}
	}
}

func TestANumberThatJavaScriptWouldChangeIsRefusedInValuesAndInYAML(t *testing.T) {
	script := "export const render = (params, files) => [{ kind: \"A\", x: yaml.parse(\"a: NUMBER\"), y: yaml.parseAll(\"a: NUMBER\") }];\n"
	caught := "export const render = (params, files) => { try { yaml.parse(\"a: NUMBER\"); } catch (e) { return [{ kind: e.name }]; } };\n"
	for number, good := range map[string]bool{"9007199254740992": true, "9007199254740993": false, "-90071992547409930": false} {
		with := func(text string) map[string]string { return files(strings.ReplaceAll(text, "NUMBER", number)) }
		_, parsing := language.Render(scripttest.Tree(with(script)), scripttest.Params(config))
		_, told := language.Render(scripttest.Tree(files("export const render = () => [];\n")), scripttest.Params(`{"script": "/policy/x.js", "values": {"a": [`+number+`]}}`))
		if good {
			if parsing != nil || told != nil {
				t.Errorf("%s: %v %v", number, parsing, told)
			}
			continue
		}
		scripttest.Says(t, parsing, "policy/x.js:1: script: ", "it has the number "+number+", which JavaScript cannot hold")
		scripttest.Says(t, told, "bad-config: config.values: it has the number "+number+", which JavaScript cannot hold")
		documents, err := language.Render(scripttest.Tree(with(caught)), scripttest.Params(config))
		if err != nil {
			t.Fatal(err)
		}
		scripttest.Same(t, scripttest.Bodies(t, documents), []string{`{"kind":"TypeError"}`})
	}
}
