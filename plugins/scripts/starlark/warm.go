// What is prepared once, when the component is made.

package main

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"testing/fstest"

	"weir.dev/plugin"
)

// warm runs a script of each role, so that what the interpreter makes at its first use is there before any call.
func warm() {
	tree := fstest.MapFS{"warm.star": {Data: []byte(`
def render(params, files):
    return [yaml.decode(files.read("warm.star").split("#")[1] and "kind: A\nmetadata: {name: b}")]

def transform_object(object, params):
    object["metadata"]["labels"] = {"a": "%s" % params.values["a"]}
    return object

def validate(objects, params):
    return [{"message": "m", "object": i} for i, o in enumerate(objects) if "spec" not in o] # comment
`)}}
	p := plugin.Params{App: "warm", Config: []byte(`{"script": "warm.star", "values": {"a": 1}}`)}
	object := []json.RawMessage{json.RawMessage(`{"kind": "A", "metadata": {"name": "b"}}`)}
	documents, err := language.Render(tree, p)
	if err == nil && len(documents) == 1 {
		object, err = language.Transform(tree, object, p)
	}
	if err == nil {
		_, err = language.Validate(tree, object, p)
	}
	if err != nil {
		panic("the script that warms Starlark does not run: " + err.Error())
	}
	// A call is short and its memory goes with it: collecting seldom is quicker, and the limit of memory stands.
	debug.SetGCPercent(400)
	runtime.GC()
}
