// The world `validator`.

//go:build wasip1

package validator

import (
	"encoding/json"
	"unsafe"

	"weir.dev/plugin/internal/world"
)

//go:wasmexport validate
func validate(arguments uint32) unsafe.Pointer {
	bytes, params := world.ObjectsAndParams(arguments)
	objects := make([]json.RawMessage, len(bytes))
	for i, b := range bytes {
		objects[i] = b
	}
	findings, err := function(objects, params)
	if err != nil {
		return world.CouldNotLook(err)
	}
	return world.Findings(findings)
}
