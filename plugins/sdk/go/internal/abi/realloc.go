// What is exported for the allocator that the host calls.

//go:build wasip1

package abi

import "unsafe"

// arenaAddress is asked for when the component is made.
//
//go:wasmexport weir_arena
func arenaAddress() unsafe.Pointer { return unsafe.Pointer(&arena) }

// reallocate is for what does not fit the arena.
//
//go:wasmexport weir_realloc
func reallocate(old unsafe.Pointer, oldSize, _, size uint32) unsafe.Pointer {
	b := allocate(size)
	if oldSize > 0 {
		copy(b, unsafe.Slice((*byte)(old), oldSize))
		delete(overflow, uint32(uintptr(old)))
	}
	overflow[address(b)] = b
	return unsafe.Pointer(unsafe.SliceData(b))
}
