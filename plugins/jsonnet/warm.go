// What is prepared once, when the component is made.

package main

import (
	"runtime"
	"runtime/debug"
	"testing/fstest"

	"weir.dev/plugin"
)

// warm evaluates a small program, so that what the library prepares at its first use is in the component's memory.
func warm() {
	tree := fstest.MapFS{
		"warm/main.jsonnet": {Data: []byte(`
local lib = import "lib.libsonnet";
function(name="a") {
  [std.format("%s-%d", [name, i])]: lib.map(name + i) { metadata+: { labels: std.mergePatch({ a: "b" }, { c: std.extVar("c") }) } }
  for i in std.range(0, 2)
} + { list: [std.parseYaml("a: b"), null][1:], text: lib.map(std.manifestJsonEx(std.sort([3, 1, 2]), "  ")) }
`)},
		"lib/lib.libsonnet": {Data: []byte(`{ map(name):: { apiVersion: "v1", kind: "ConfigMap", metadata: { name: name }, data: { [k]: std.toString(1) for k in std.objectFields({ x: 1 }) } } }`)},
	}
	p := plugin.Params{App: "warm", Path: "warm", Config: []byte(`{"jpath":["/lib"],"extVars":{"c":"d"},"tlas":{"name":"n"}}`)}
	if _, err := render(tree, p); err != nil {
		panic("the program that warms Jsonnet fails: " + err.Error())
	}
	// A call is short and its memory goes with it: collecting seldom is quicker, and the limit of memory stands.
	debug.SetGCPercent(400)
	runtime.GC()
}
