// What is prepared once, when the component is made.

package main

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"testing/fstest"

	"weir.dev/plugin"
)

// warm runs a script of each role, so that what the interpreter makes at its first use is there before any call, and makes
// the realm of the call that comes.
func warm() {
	tree := fstest.MapFS{
		"lib.js": {Data: []byte("export const label = (o, v) => ({ ...o, metadata: { ...o.metadata, labels: { a: `${v}` } } });\n")},
		"warm.js": {Data: []byte(`
import { label } from "./lib.js";
class Check {
  constructor(objects) { this.objects = objects; }
  *found() { for (const [i, o] of this.objects.entries()) if (!o.spec) yield { message: "m", object: i }; }
}
export function render(params, files) {
  return [yaml.parse(files.exists("warm.js") ? "kind: A\nmetadata: {name: b}" : "")];
}
export const transformObject = (object, { values }) => label(object, values.a ?? 0);
export function validate(objects, params) {
  return [...new Check(objects.filter((o) => /^[A-Z]/.test(o.kind))).found()].map((f) => Object.assign({}, f));
}
`)}}
	p := plugin.Params{App: "warm", Config: []byte(`{"script": "warm.js", "values": {"a": 1}}`)}
	object := []json.RawMessage{json.RawMessage(`{"kind": "A", "metadata": {"name": "b"}}`)}
	documents, err := language.Render(tree, p)
	if err == nil && len(documents) == 1 {
		object, err = language.Transform(tree, object, p)
	}
	if err == nil {
		_, err = language.Validate(tree, object, p)
	}
	if err != nil {
		panic("the script that warms the interpreter does not run: " + err.Error())
	}
	prepared = newRealm()
	// A call is short and its memory goes with it: collecting seldom is quicker, and the limit of memory stands.
	debug.SetGCPercent(400)
	runtime.GC()
}
