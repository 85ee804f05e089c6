// Package abi is the canonical ABI of the component model, as far as the worlds of weir:plugin@0.1.0 need it, written
// once.
//
// The source is CanonicalABI.md of the component model: strings and lists are an address and a length, records lie
// field after field at their natural alignment, an option or a result has its discriminant before its payload.
package abi

import (
	"bytes"
	"encoding/binary"
	"strings"
	"unsafe"
)

// arena is where the host puts values: arguments before a call, results of imports. The allocator that the host calls
// is added to the module when the component is made (host/sandbox/src/build/realloc.rs) and only moves a mark, since
// Go's runtime must not run then: it may look at the clock, and nothing of the host may be called meanwhile. Values are
// copied out at once, and [Release] moves the mark back.
//
// It begins with two addresses: where the next value may lie, and its own end.
var arena [arenaWords]uint64

const arenaWords = 1 << 20

// overflow are values that did not fit the arena: too large a file, or very many objects. The key is the address.
var overflow = map[uint32][]byte{}

func init() { Release() }

// Release makes the arena empty. Whoever lifts values calls it when all of them are lifted.
func Release() {
	start := uint32(uintptr(unsafe.Pointer(&arena)))
	arena[0] = uint64(start+8) | uint64(start+arenaWords*8)<<32
}

// held are the results of the call: reachable as long as the instance lives, which is one call.
var held [][]byte

// allocate makes room at an address that eight divides, which is the most that any of our types needs.
func allocate(size uint32) []byte {
	words := make([]uint64, (uint64(size)+8)/8)
	return unsafe.Slice((*byte)(unsafe.Pointer(&words[0])), len(words)*8)[:size]
}

// address is where a slice lies. In Wasm it fits 32 bits.
func address(b []byte) uint32 {
	return uint32(uintptr(unsafe.Pointer(unsafe.SliceData(b))))
}

// Bytes are those that the host has put at an address.
func Bytes(at, size uint32) []byte {
	if size == 0 {
		return nil
	}
	if len(overflow) > 0 {
		if b, is := overflow[at]; is {
			delete(overflow, at)
			return b[:size:size]
		}
	}
	start := uint32(uintptr(unsafe.Pointer(&arena)))
	words := unsafe.Slice((*byte)(unsafe.Pointer(&arena)), arenaWords*8)
	return bytes.Clone(words[at-start:][:size])
}

// Text is the same as a string.
func Text(at, size uint32) string {
	b := Bytes(at, size)
	return unsafe.String(unsafe.SliceData(b), len(b))
}

// Lists are those of a list of lists of bytes.
func Lists(at, count uint32) [][]byte {
	pairs := Record(Bytes(at, count*8))
	out := make([][]byte, count)
	for i := range out {
		out[i] = Bytes(pairs.U32(i*8), pairs.U32(i*8+4))
	}
	return out
}

// Record is a record in memory that is read field by field. A field's place is its offset in bytes.
type Record []byte

// U32 is a number.
func (r Record) U32(at int) uint32 { return binary.LittleEndian.Uint32(r[at:]) }

// U64 is a large number.
func (r Record) U64(at int) uint64 { return binary.LittleEndian.Uint64(r[at:]) }

// U8 is a discriminant or a bool.
func (r Record) U8(at int) uint8 { return r[at] }

// Text is a string.
func (r Record) Text(at int) string { return Text(r.U32(at), r.U32(at+4)) }

// Bytes is a list<u8>.
func (r Record) Bytes(at int) []byte { return Bytes(r.U32(at), r.U32(at+4)) }

// Writer lays out records for the host.
type Writer []byte

// Room is zeroed memory for so many records of a size in bytes.
func Room(count, size int) Writer {
	b := allocate(uint32(count * size))
	held = append(held, b)
	return b
}

// Address is where they lie.
func (w Writer) Address() uint32 { return address(w) }

// Pointer is the same for a return value.
func (w Writer) Pointer() unsafe.Pointer { return unsafe.Pointer(unsafe.SliceData(w)) }

// U8 writes a discriminant or a bool.
func (w Writer) U8(at int, v uint8) { w[at] = v }

// U32 writes a number.
func (w Writer) U32(at int, v uint32) { binary.LittleEndian.PutUint32(w[at:], v) }

// List writes a list of so many records.
func (w Writer) List(at int, records Writer, count int) {
	w.U32(at, records.Address())
	w.U32(at+4, uint32(count))
}

// Bytes writes a list<u8>. They must not change afterwards.
func (w Writer) Bytes(at int, b []byte) {
	held = append(held, b)
	w.U32(at, address(b))
	w.U32(at+4, uint32(len(b)))
}

// Text writes a string. What is no UTF-8 in it becomes U+FFFD: the host ends a call that gives it other text, and then nobody
// would see what was to be said.
func (w Writer) Text(at int, s string) {
	s = strings.ToValidUTF8(s, "\ufffd")
	w.Bytes(at, unsafe.Slice(unsafe.StringData(s), len(s)))
}

// SomeText writes an option<string>, where empty text is none.
func (w Writer) SomeText(at int, s string) {
	if s != "" {
		w.U8(at, 1)
		w.Text(at+4, s)
	}
}

// SomeU32 writes an option<u32>.
func (w Writer) SomeU32(at int, v uint32, there bool) {
	if there {
		w.U8(at, 1)
		w.U32(at+4, v)
	}
}
