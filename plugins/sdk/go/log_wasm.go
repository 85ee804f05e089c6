// The log through the world's import.

//go:build wasip1

package plugin

import "unsafe"

//go:wasmimport weir:plugin/log@0.1.0 write
//go:noescape
func hostWrite(severity uint32, message unsafe.Pointer, size uint32)

func write(severity uint32, message string) {
	hostWrite(severity, unsafe.Pointer(unsafe.StringData(message)), uint32(len(message)))
}
