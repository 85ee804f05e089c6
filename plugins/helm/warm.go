// What is prepared once, when the component is made.

package main

import (
	"embed"
	"runtime"
	"runtime/debug"

	"weir.dev/plugin"
)

//go:embed warm
var warmChart embed.FS

// warm renders a chart that uses much of the engine, so that its tables and the schema compiler's are there before
// any call.
func warm() {
	_, err := render(warmChart, plugin.Params{
		App: "warm", Path: "warm", Target: plugin.TargetFacts{Name: "warm", Kubernetes: "1.37.0"},
		Config: []byte(`{"values": ["values.yaml"], "set": ["a.b=c"]}`),
	})
	if err != nil {
		panic("the chart that warms Helm does not render: " + err.Error())
	}
	// A call is short and its memory goes with it: collecting seldom is quicker, and the limit of memory stands.
	debug.SetGCPercent(400)
	runtime.GC()
}
