// Package transformer makes a program a transformer: it turns objects into objects.
package transformer

import (
	"encoding/json"

	"weir.dev/plugin"
)

var function func(objects []json.RawMessage, p plugin.Params) ([]json.RawMessage, error)

// Export says which function transforms. Call it in an init of package main. Each object is one Kubernetes object as
// JSON. Errors are taken as those of a renderer.
func Export(transform func(objects []json.RawMessage, p plugin.Params) ([]json.RawMessage, error)) {
	function = transform
}
