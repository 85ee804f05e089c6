// The world `renderer`.

//go:build wasip1

package renderer

import (
	"unsafe"

	"weir.dev/plugin/internal/abi"
	"weir.dev/plugin/internal/tree"
	"weir.dev/plugin/internal/world"
)

//go:wasmexport render
func render(w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14 uint32) unsafe.Pointer {
	params := world.Params([15]uint32{w0, w1, w2, w3, w4, w5, w6, w7, w8, w9, w10, w11, w12, w13, w14})
	abi.Release()
	documents, err := function(tree.New(), params)
	if err != nil {
		return world.Failure(err)
	}
	return world.Documents(documents)
}
