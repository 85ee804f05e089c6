// The export through which the host makes room in our memory.

//go:build wasip1

package abi

import "unsafe"

// realloc is called for arguments before a call and for results while an import is waiting.
//
//go:wasmexport cabi_realloc
func realloc(old unsafe.Pointer, oldSize, _, size uint32) unsafe.Pointer {
	b := allocate(size)
	if oldSize > 0 {
		copy(b, unsafe.Slice((*byte)(old), oldSize))
		delete(pinned, uint32(uintptr(old)))
	}
	pinned[address(b)] = b
	return unsafe.Pointer(unsafe.SliceData(b))
}
