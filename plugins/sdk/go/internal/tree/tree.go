// The app's files as an io/fs.FS over the world's import.

//go:build wasip1

package tree

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"time"
	"unsafe"

	"weir.dev/plugin/internal/abi"
)

//go:wasmimport weir:plugin/tree@0.1.0 entries
//go:noescape
func treeEntries(dir unsafe.Pointer, size uint32, result unsafe.Pointer)

//go:wasmimport weir:plugin/tree@0.1.0 read
//go:noescape
func treeRead(path unsafe.Pointer, size uint32, result unsafe.Pointer)

// area is a result<list<..>, fs-error> as an import returns it.
type area struct {
	discriminant uint32
	// at is the list's address, or the error.
	at, size uint32
}

// failure is the world's fs-error in the terms of io/fs.
func (a area) failure() error {
	if a.discriminant&0xff == 0 {
		return nil
	}
	switch a.at & 0xff {
	case 0:
		return fs.ErrNotExist
	case 1:
		return errNotADirectory
	case 2:
		return errIsADirectory
	default:
		return fs.ErrInvalid
	}
}

type textError string

func (e textError) Error() string { return string(e) }

const (
	errNotADirectory = textError("not a directory")
	errIsADirectory  = textError("is a directory")
)

// New is the tree of one call.
func New() fs.FS { return &hostTree{listings: map[string][]entry{}} }

// hostTree is the tree. The host is asked for what is needed, and records what was read.
//
// A directory is asked for once: it cannot change during a call, and a look at each of its files is a look at it.
type hostTree struct {
	listings map[string][]entry
}

// inTree is a path as the world has it: the root is the empty path.
func inTree(name string) (string, bool) {
	if !fs.ValidPath(name) {
		return "", false
	}
	if name == "." {
		return "", true
	}
	return name, true
}

// ReadFile is one file, whole.
func (*hostTree) ReadFile(name string) ([]byte, error) {
	in, valid := inTree(name)
	if !valid {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrInvalid}
	}
	var a area
	treeRead(unsafe.Pointer(unsafe.StringData(in)), uint32(len(in)), unsafe.Pointer(&a))
	if err := a.failure(); err != nil {
		return nil, &fs.PathError{Op: "read", Path: name, Err: err}
	}
	defer abi.Release()
	return abi.Bytes(a.at, a.size), nil
}

// ReadDir are the entries of one directory, sorted by name.
func (t *hostTree) ReadDir(name string) ([]fs.DirEntry, error) {
	entries, err := t.list(name)
	if err != nil {
		return nil, err
	}
	// A list of its own for each caller, who may change it.
	out := make([]fs.DirEntry, len(entries))
	for i, e := range entries {
		out[i] = e
	}
	return out, nil
}

// list asks for a directory that was not asked for before.
func (t *hostTree) list(name string) ([]entry, error) {
	if known, ok := t.listings[name]; ok {
		return known, nil
	}
	in, valid := inTree(name)
	if !valid {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: fs.ErrInvalid}
	}
	var a area
	treeEntries(unsafe.Pointer(unsafe.StringData(in)), uint32(len(in)), unsafe.Pointer(&a))
	if err := a.failure(); err != nil {
		return nil, &fs.PathError{Op: "readdir", Path: name, Err: err}
	}
	defer abi.Release()
	const size = 40
	records := abi.Record(abi.Bytes(a.at, a.size*size))
	entries := make([]entry, a.size)
	for i := range entries {
		at := i * size
		entries[i] = entry{
			name:       records.Text(at),
			directory:  records.U8(at+8) == 1,
			size:       int64(records.U64(at + 16)),
			executable: records.U8(at+24) == 1,
		}
	}
	t.listings[name] = entries
	return entries, nil
}

// Stat looks for a name in its directory.
func (t *hostTree) Stat(name string) (fs.FileInfo, error) {
	if name == "." {
		return entry{name: ".", directory: true}, nil
	}
	entries, err := t.list(path.Dir(name))
	if err != nil {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
	}
	base := path.Base(name)
	for _, e := range entries {
		if e.name == base {
			return e, nil
		}
	}
	return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrNotExist}
}

// Open is a file or a directory, read whole.
func (t *hostTree) Open(name string) (fs.File, error) {
	info, err := t.Stat(name)
	if err != nil {
		return nil, err
	}
	if info.IsDir() {
		entries, err := t.ReadDir(name)
		return &directory{info, entries}, err
	}
	content, err := t.ReadFile(name)
	return &file{info, bytes.NewReader(content)}, err
}

// entry is a name in a directory, and what is known of it.
type entry struct {
	name       string
	directory  bool
	executable bool
	size       int64
}

func (e entry) Name() string               { return e.name }
func (e entry) IsDir() bool                { return e.directory }
func (e entry) Type() fs.FileMode          { return e.Mode().Type() }
func (e entry) Info() (fs.FileInfo, error) { return e, nil }
func (e entry) Size() int64                { return e.size }
func (e entry) ModTime() time.Time         { return time.Time{} }
func (e entry) Sys() any                   { return nil }

// Mode is Git's: a file is executable or not.
func (e entry) Mode() fs.FileMode {
	switch {
	case e.directory:
		return fs.ModeDir | 0o555
	case e.executable:
		return 0o555
	default:
		return 0o444
	}
}

type file struct {
	info fs.FileInfo
	*bytes.Reader
}

func (f *file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *file) Close() error               { return nil }

type directory struct {
	info fs.FileInfo
	rest []fs.DirEntry
}

func (d *directory) Stat() (fs.FileInfo, error) { return d.info, nil }
func (d *directory) Close() error               { return nil }

func (d *directory) Read([]byte) (int, error) {
	return 0, &fs.PathError{Op: "read", Path: d.info.Name(), Err: errIsADirectory}
}

func (d *directory) ReadDir(n int) ([]fs.DirEntry, error) {
	if n <= 0 || n > len(d.rest) {
		if n > 0 && len(d.rest) == 0 {
			return nil, io.EOF
		}
		n = len(d.rest)
	}
	out := d.rest[:n]
	d.rest = d.rest[n:]
	return out, nil
}
