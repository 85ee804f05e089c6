package main

import (
	"strings"
	"testing"

	"weir.dev/scripts/scripttest"
)

const (
	config = `{"script": "/policy/x.star", "values": {"team": "red", "most": 3}}`
	web    = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":5}}`
	note   = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"note","namespace":"n"}}`
)

func files(script string) map[string]string {
	return map[string]string{
		"policy/x.star":      script,
		"policy/lib.star":    "def label(o, k, v):\n    o[\"metadata\"].setdefault(\"labels\", {})[k] = v\n    return o\n",
		"lib/deep.star":      "load(\"/policy/lib.star\", \"label\")\nteam = \"blue\"\ndef deep(o): return label(o, \"team\", team)\n",
		"apps/shop/a.yaml":   "colour: on\nmode: 0644\n",
		"apps/shop/b/c.yaml": "x: 1\n",
	}
}

func TestATransformerChangesDropsAndAddsObjects(t *testing.T) {
	script := `
load("lib.star", "label")
def transform(objects, params):
    out = [label(o, "team", params.values["team"]) for o in objects if o["kind"] != "ConfigMap"]
    return out + [{"kind": "Added", "metadata": {"name": params.app + params.path + params.namespace + params.target.name}}]
`
	out, err := language.Transform(scripttest.Tree(files(script)), scripttest.Objects(web, note), scripttest.Params(config))
	if err != nil {
		t.Fatal(err)
	}
	scripttest.Same(t, scripttest.Texts(t, out), []string{
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"labels":{"team":"red"},"name":"web"},"spec":{"replicas":5}}`,
		`{"kind":"Added","metadata":{"name":"shopapps/shopspacedprod"}}`,
	})
}

func TestAFunctionForEachObjectGivesItOrSeveralOrNone(t *testing.T) {
	script := `
def transform_object(o, params):
    if o["kind"] == "ConfigMap":
        return []
    o["spec"]["replicas"] = min(o["spec"]["replicas"], params.values["most"])
    return [o, {"kind": "Other"}]
`
	out, err := language.Transform(scripttest.Tree(files(script)), scripttest.Objects(note, web), scripttest.Params(config))
	if err != nil {
		t.Fatal(err)
	}
	scripttest.Same(t, scripttest.Texts(t, out), []string{
		`{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web"},"spec":{"replicas":3}}`, `{"kind":"Other"}`,
	})
}

func TestNumbersStayWhatTheyAre(t *testing.T) {
	object := `{"kind":"A","n":9007199254740993,"big":123456789012345678901234567890,"f":1.5,"e":1e3,"none":null}`
	script := "def transform_object(o, params): return o\n"
	out, err := language.Transform(scripttest.Tree(files(script)), scripttest.Objects(object), scripttest.Params(config))
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range []string{`"n":9007199254740993`, `"big":123456789012345678901234567890`, `"f":1.5`, `"e":1000.0`, `"none":null`} {
		if !strings.Contains(string(out[0]), part) {
			t.Errorf("%s is not in %s", part, out[0])
		}
	}
}

func TestARendererReadsFilesAndGivesObjects(t *testing.T) {
	script := `
def render(params, files):
    values = yaml.decode(files.read("a.yaml"))
    many = yaml.decode_all("a: 1\n---\n# nothing\n---\nb: 2\n")
    return [{"kind": "A", "on": values["colour"], "mode": values["mode"], "many": many, "there": files.exists("b/c.yaml"), "not": files.exists("no"),
        "list": files.list("."), "glob": files.glob("**/*.yaml"), "root": files.glob("/policy/*.star"), "text": yaml.encode({"b": [1, "on"]}),
        "json": json.decode('{"a": 1}')}]
`
	documents, err := language.Render(scripttest.Tree(files(script)), scripttest.Params(config))
	if err != nil {
		t.Fatal(err)
	}
	scripttest.Same(t, scripttest.Bodies(t, documents), []string{
		`{"glob":["a.yaml","b/c.yaml"],"json":{"a":1},"kind":"A","list":["a.yaml","b/"],"many":[{"a":1},{"b":2}],"mode":420,"not":false,"on":true,` +
			`"root":["/policy/lib.star","/policy/x.star"],"text":"b:\n- 1\n- \"on\"\n","there":true}`,
	})
	if documents[0].Origin != "policy/x.star" {
		t.Error(documents[0].Origin)
	}
}

func TestAValidatorGivesTextsAndFindings(t *testing.T) {
	script := `
def validate(objects, params):
    found = ["of no object"]
    for i, o in enumerate(objects):
        if o["kind"] == "Deployment" and o["spec"]["replicas"] > params.values["most"]:
            found.append({"message": "too many", "level": "warning", "code": "replicas", "object": i, "path": "/spec/replicas"})
    return found
`
	found, err := language.Validate(scripttest.Tree(files(script)), scripttest.Objects(note, web), scripttest.Params(config))
	if err != nil {
		t.Fatal(err)
	}
	scripttest.Same(t, scripttest.Found(found), []string{"- error script: of no object", "1 warning replicas: too many /spec/replicas"})
	each := `
def validate_object(o, params):
    if o["kind"] == "Deployment":
        return "a deployment"
`
	found, err = language.Validate(scripttest.Tree(files(each)), scripttest.Objects(note, web), scripttest.Params(config))
	if err != nil {
		t.Fatal(err)
	}
	scripttest.Same(t, scripttest.Found(found), []string{"1 error script: a deployment"})
}

func TestTheScriptsPathIsRelativeToTheAppOrToTheRoot(t *testing.T) {
	tree := map[string]string{"apps/shop/own.star": "load(\"../../lib/deep.star\", \"deep\")\ndef transform_object(o, p): return deep(o)\n"}
	for name, text := range files("") {
		tree[name] = text
	}
	for _, path := range []string{"own.star", "/apps/shop/own.star", "./own.star"} {
		out, err := language.Transform(scripttest.Tree(tree), scripttest.Objects(note), scripttest.Params(`{"script": "`+path+`"}`))
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		if !strings.Contains(string(out[0]), `"team":"blue"`) {
			t.Errorf("%s: %s", path, out[0])
		}
	}
}

// wrong is a script that fails, and what is said.
type wrong struct {
	name, script string
	words        []string
}

var wrongTransformers = []wrong{
	{"syntax", "def transform(objects, params)\n    pass\n", []string{"policy/x.star:2: syntax: column 1: got newline, want ':'"}},
	{"name", "def transform(objects, params):\n    return objcts\n", []string{"policy/x.star:2: syntax: column 12: undefined: objcts"}},
	{"no function", "x = 1\n", []string{"policy/x.star: no-function: ", "`transform(objects, params)` or `transform_object(object, params)`"}},
	{"not a function", "transform = 1\n", []string{"no-function"}},
	{"both", "def transform(o, p): return o\ndef transform_object(o, p): return o\n", []string{"defines both `transform` and `transform_object`"}},
	{"key", "def inner(o):\n    return o[\"spek\"]\n\ndef transform(objects, params):\n    return [inner(o) for o in objects]\n", []string{
		"policy/x.star:2: script: column 13: key \"spek\" not in dict; in inner (policy/x.star:2:13); in transform (policy/x.star:5:18)"}},
	{"each names the object", "def transform_object(o, params):\n    return o[\"spec\"][\"none\"]\n", []string{"(about Deployment web)", "policy/x.star:2"}},
	{"fail", "def transform(objects, params):\n    fail(\"because of this\")\n", []string{"policy/x.star:2", "because of this"}},
	{"forgotten return", "def transform_object(o, params):\n    o[\"a\"] = 1\n", []string{"policy/x.star:1", "it returned nothing: return the object, or an empty list to leave it out"}},
	{"nothing", "def transform(objects, params):\n    pass\n", []string{"expected a list of objects, got null"}},
	{"text", "def transform(objects, params):\n    return [\"x\"]\n", []string{"item 0 of the list is no object: \"x\""}},
	{"no JSON", "def transform(objects, params):\n    return [{\"a\": len}]\n", []string{"what it gives is no JSON"}},
	{"keys", "def transform(objects, params):\n    return [{1: 2}]\n", []string{"want string"}},
	{"itself", "def transform(objects, params):\n    o = {}\n    o[\"o\"] = o\n    return [o]\n", []string{"cycle in JSON"}},
	{"infinite", "def transform(objects, params):\n    return [{\"a\": float(\"inf\")}]\n", []string{"non-finite"}},
	{"recursion", "def f(x):\n    return f(x)\n\ndef transform(objects, params):\n    return f(1)\n", []string{"called recursively", "policy/x.star:2"}},
	{"while", "def transform(objects, params):\n    while True:\n        pass\n", []string{"policy/x.star:2", "while"}},
	{"arguments", "def transform(objects):\n    return objects\n", []string{"accepts 1 positional argument (2 given)"}},
	{"params", "def transform(objects, params):\n    params.values[\"team\"] = \"blue\"\n    return objects\n", []string{"frozen"}},
	{"clock", "def transform(objects, params):\n    return [time.now()]\n", []string{"undefined: time"}},
	{"missing load", "load(\"none.star\", \"x\")\n", []string{"policy/none.star: no-script: there is no such file in this commit, or it lies outside the app's `roots`"}},
	{"load out", "load(\"../../x.star\", \"x\")\n", []string{"`../../x.star` leads out of the repository", "policy/x.star:1"}},
	{"load of nothing there", "load(\"lib.star\", \"lable\")\n", []string{"lable", "label", "policy/x.star:1"}},
	{"load itself", "load(\"x.star\", \"x\")\n", []string{"load-cycle", "policy/x.star -> policy/x.star"}},
	{"yaml", "def transform(objects, params):\n    return [yaml.decode(\"a: [\")]\n", []string{"yaml.decode", "policy/x.star:2"}},
	{"yaml twice", "def transform(objects, params):\n    return [yaml.decode(\"a: 1\\na: 2\")]\n", []string{"already set"}},
	{"yaml many", "def transform(objects, params):\n    return [yaml.decode(\"a: 1\\n---\\nb: 2\")]\n", []string{"2 documents"}},
	{"half a letter", "def transform(objects, params):\n    fail(\"because of \" + \"é\"[:1])\n", []string{"policy/x.star:2", "because of \ufffd"}},
	{"huge", "def transform(objects, params):\n    return [\"x\" * 5000000000]\n", []string{"repeat count 5000000000 too large", "policy/x.star:2"}},
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
		{"missing", "def render(params, files):\n    return [files.read(\"none.yaml\")]\n", []string{"policy/x.star:2", "apps/shop/none.yaml: there is no such file"}},
		{"out", "def render(params, files):\n    return files.list(\"../../..\")\n", []string{"`../../..` leads out of the repository"}},
		{"directory", "def render(params, files):\n    return files.read(\"b\")\n", []string{"apps/shop/b: "}},
		{"pattern", "def render(params, files):\n    return files.glob(\"a/[\")\n", []string{"`a/[` is no pattern"}},
		{"dict", "def render(params, files):\n    return {}\n", []string{"expected a list of objects, got {}"}},
		{"role", "def transform(objects, params):\n    return objects\n", []string{"a renderer's script defines `render(params, files)`, and this one does not"}},
	} {
		t.Run(w.name, func(t *testing.T) {
			_, err := language.Render(scripttest.Tree(files(w.script)), scripttest.Params(config))
			scripttest.Says(t, err, w.words...)
		})
	}
	for _, w := range []wrong{
		{"level", "def validate(objects, params):\n    return [{\"message\": \"m\", \"level\": \"fatal\"}]\n", []string{"`error`, `warning` or `info`, not `fatal`"}},
		{"key", "def validate(objects, params):\n    return [{\"massage\": \"m\"}]\n", []string{"massage"}},
		{"empty", "def validate(objects, params):\n    return [{\"code\": \"m\"}]\n", []string{"has no `message`"}},
		{"object", "def validate(objects, params):\n    return [{\"message\": \"m\", \"object\": 7}]\n", []string{"about object 7 of 1"}},
		{"negative", "def validate(objects, params):\n    return [{\"message\": \"m\", \"object\": -1}]\n", []string{"about object -1 of 1"}},
		{"line", "def validate(objects, params):\n    return [{\"message\": \"m\", \"line\": 1.5}]\n", []string{"lines are whole numbers"}},
		{"number", "def validate_object(o, params):\n    return 7\n", []string{"a finding is a text or has", "(about Deployment web)"}},
	} {
		t.Run(w.name, func(t *testing.T) {
			_, err := language.Validate(scripttest.Tree(files(w.script)), scripttest.Objects(web), scripttest.Params(config))
			scripttest.Says(t, err, w.words...)
		})
	}
}

func TestWhatIsWrongInTheConfigIsSaid(t *testing.T) {
	for config, words := range map[string][]string{
		`{}`:                                      {"bad-config", "`script` is missing"},
		`{"scirpt": "x"}`:                         {"unknown key `scirpt`; did you mean `script`?"},
		`{"script": "../../../x.star"}`:           {"bad-config", "leads out of the repository"},
		`{"script": "a\\b.star"}`:                 {"`/` between its parts"},
		`{"script": "none.star"}`:                 {"apps/shop/none.star: no-script"},
		`{"script": "b"}`:                         {"apps/shop/b: no-script"},
		`{"script": "/policy/x.star","values":1}`: {"config.values: expected an object, got 1"},
	} {
		_, err := language.Render(scripttest.Tree(files("x = 1\n")), scripttest.Params(config))
		scripttest.Says(t, err, words...)
	}
}

func TestLoadsEndInBounds(t *testing.T) {
	tree := files("load(\"/a/0.star\", \"x\")\n")
	for i := range 20 {
		name := string(rune('a' + i))
		tree["chain/"+name+".star"] = "load(\"" + string(rune('b'+i)) + ".star\", \"x\")\n"
	}
	tree["policy/x.star"] = "load(\"/chain/a.star\", \"x\")\n"
	_, err := language.Render(scripttest.Tree(tree), scripttest.Params(config))
	scripttest.Says(t, err, "too-deep", "more than 16 deep")
	tree["policy/x.star"] = "load(\"/circle/a.star\", \"x\")\n"
	tree["circle/a.star"] = "load(\"b.star\", \"x\")\n"
	tree["circle/b.star"] = "load(\"a.star\", \"x\")\n"
	_, err = language.Render(scripttest.Tree(tree), scripttest.Params(config))
	scripttest.Says(t, err, "load-cycle", "circle/a.star -> circle/b.star -> circle/a.star")
	tree["policy/x.star"] = strings.Repeat("# a long comment\n", 1<<17)
	_, err = language.Render(scripttest.Tree(tree), scripttest.Params(config))
	scripttest.Says(t, err, "policy/x.star: script-too-large")
	tree["policy/x.star"] = "y = 1\nx = " + strings.Repeat("(", 501) + strings.Repeat(")", 501) + "\n"
	_, err = language.Render(scripttest.Tree(tree), scripttest.Params(config))
	scripttest.Says(t, err, "policy/x.star:2: bad-script: more than 500 brackets are open here")
	tree["policy/x.star"] = "x = " + strings.Repeat("(", 50) + "1" + strings.Repeat(")", 50) + "\n"
	_, err = language.Render(scripttest.Tree(tree), scripttest.Params(config))
	scripttest.Says(t, err, "policy/x.star: no-function")
	tree["policy/x.star"] = "x = \"\xff\"\n"
	_, err = language.Render(scripttest.Tree(tree), scripttest.Params(config))
	scripttest.Says(t, err, "policy/x.star: bad-script", "UTF-8")
}

func TestAStackAndAMessageAreBounded(t *testing.T) {
	var script strings.Builder
	script.WriteString("def f0(x): return fail(\"w\" * 100000)\n")
	for i := 1; i < 30; i++ {
		script.WriteString("def f" + string(rune('0'+i/10)) + string(rune('0'+i%10)) + "(x): return " + previous(i) + "(x)\n")
	}
	script.WriteString("def transform(objects, params): return f29(1)\n")
	_, err := language.Transform(scripttest.Tree(files(script.String())), scripttest.Objects(web), scripttest.Params(config))
	scripttest.Says(t, err, "www...", "; 23 more")
	if len(err.Error()) > 4000 {
		t.Errorf("%d bytes", len(err.Error()))
	}
}

func previous(i int) string {
	if i == 1 {
		return "f0"
	}
	return "f" + string(rune('0'+(i-1)/10)) + string(rune('0'+(i-1)%10))
}
