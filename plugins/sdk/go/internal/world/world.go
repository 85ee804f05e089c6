// Package world is the way between the types of weir:plugin@0.1.0 and memory: what the three worlds share.
package world

import (
	"errors"
	"unsafe"

	"weir.dev/plugin"
	"weir.dev/plugin/internal/abi"
)

// Params are lifted from their words: the fields in order, as they are passed flat and as they lie in memory.
func Params(w [15]uint32) plugin.Params {
	p := plugin.Params{App: abi.Text(w[0], w[1]), Path: abi.Text(w[2], w[3])}
	if w[4]&0xff == 1 {
		p.Namespace = abi.Text(w[5], w[6])
	}
	p.Target.Name = abi.Text(w[7], w[8])
	p.Target.Kubernetes = abi.Text(w[9], w[10])
	for _, api := range abi.Lists(w[11], w[12]) {
		p.Target.APIs = append(p.Target.APIs, string(api))
	}
	p.Config = abi.Bytes(w[13], w[14])
	return p
}

// ObjectsAndParams are those of a call whose arguments are too many to be passed flat: they lie in memory, at an address.
func ObjectsAndParams(at uint32) ([][]byte, plugin.Params) {
	arguments := abi.Record(abi.Bytes(at, 68))
	var words [15]uint32
	for i := range words {
		words[i] = arguments.U32(8 + 4*i)
	}
	objects, params := abi.Lists(arguments.U32(0), arguments.U32(4)), Params(words)
	abi.Release()
	return objects, params
}

// Documents are lowered as the good half of a result.
func Documents(documents []plugin.Document) unsafe.Pointer {
	records := abi.Room(len(documents), 16)
	for i, d := range documents {
		records.Text(i*16, d.Origin)
		records.Bytes(i*16+8, d.Body)
	}
	return result(0, records, len(documents))
}

// Objects are lowered as the good half of a result.
func Objects(objects [][]byte) unsafe.Pointer {
	records := abi.Room(len(objects), 8)
	for i, o := range objects {
		records.Bytes(i*8, o)
	}
	return result(0, records, len(objects))
}

// Findings are lowered as the good half of a result.
func Findings(findings []plugin.Finding) unsafe.Pointer {
	const size = 48
	records := abi.Room(len(findings), size)
	for i, f := range findings {
		at := i * size
		records.U8(at, uint8(f.Level))
		records.Text(at+4, f.Code)
		records.Text(at+12, f.Message)
		if f.Object != nil {
			records.SomeU32(at+20, *f.Object, true)
		}
		records.SomeText(at+28, f.Path)
		records.SomeU32(at+40, f.Line, f.Line != 0)
	}
	return result(0, records, len(findings))
}

// Failure is a function's error, lowered as the bad half of a result: its diagnostics, or one of code failed.
func Failure(err error) unsafe.Pointer {
	const size = 40
	diagnostics := asDiagnostics(err)
	records := abi.Room(len(diagnostics), size)
	for i, d := range diagnostics {
		at := i * size
		records.U8(at, uint8(d.Level))
		records.Text(at+4, d.Code)
		records.Text(at+12, d.Message)
		records.SomeText(at+20, d.Path)
		records.SomeU32(at+32, d.Line, d.Line != 0)
	}
	return result(1, records, len(diagnostics))
}

// CouldNotLook is a validator's error, lowered as the bad half of its result, which is text.
func CouldNotLook(err error) unsafe.Pointer {
	area := abi.Room(1, 12)
	area.U8(0, 1)
	area.Text(4, err.Error())
	return area.Pointer()
}

func result(discriminant uint8, records abi.Writer, count int) unsafe.Pointer {
	area := abi.Room(1, 12)
	area.U8(0, discriminant)
	area.List(4, records, count)
	return area.Pointer()
}

func asDiagnostics(err error) plugin.Diagnostics {
	var several plugin.Diagnostics
	if errors.As(err, &several) && len(several) > 0 {
		return several
	}
	var one plugin.Diagnostic
	if errors.As(err, &one) {
		return plugin.Diagnostics{one}
	}
	return plugin.Diagnostics{plugin.Errorf("failed", "%s", err)}
}
