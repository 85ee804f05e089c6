// Package validator makes a program a validator: it looks at objects and says what it found.
package validator

import (
	"encoding/json"

	"weir.dev/plugin"
)

var function func(objects []json.RawMessage, p plugin.Params) ([]plugin.Finding, error)

// Export says which function looks. Call it in an init of package main. Each object is one Kubernetes object as JSON. A
// finding of level [plugin.LevelError] is an object that may not pass; an error is a validator that could not look.
func Export(validate func(objects []json.RawMessage, p plugin.Params) ([]plugin.Finding, error)) {
	function = validate
}
