// The world `transformer`.

//go:build wasip1

package transformer

import (
	"encoding/json"
	"unsafe"

	"weir.dev/plugin/internal/world"
)

//go:wasmexport transform
func transform(arguments uint32) unsafe.Pointer {
	bytes, params := world.ObjectsAndParams(arguments)
	objects := make([]json.RawMessage, len(bytes))
	for i, b := range bytes {
		objects[i] = b
	}
	changed, err := function(objects, params)
	if err != nil {
		return world.Failure(err)
	}
	out := make([][]byte, len(changed))
	for i, o := range changed {
		out[i] = o
	}
	return world.Objects(out)
}
