// The app's files as the file system that Kustomize reads.

package main

import (
	"errors"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/kyaml/filesys"
	"weir.dev/plugin"
)

// errReadOnly is the answer to whoever would write.
var errReadOnly = errors.New("the app's files cannot be written")

// files is a tree as Kustomize has its files: absolute paths, where `/` is the repository's root.
//
// Each directory is listed once for a build: Kustomize asks several times for each file whether it is there.
type files struct {
	tree fs.FS
	// listings are the directories that were read: their entries by name, or nil for what is no directory.
	listings map[string]map[string]fs.DirEntry
	// hasSchema says that some kustomization brings an OpenAPI schema of its own.
	hasSchema bool
	// refused is the first thing that a kustomization file wants and Weir does not give.
	refused error
}

var _ filesys.FileSystem = (*files)(nil)

func newFiles(tree fs.FS) *files {
	return &files{tree: tree, listings: map[string]map[string]fs.DirEntry{}}
}

// inTree is an absolute path in the tree's terms.
func inTree(name string) string {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	if name == "" {
		return "."
	}
	return name
}

// list are the entries of a directory; nil where there is none.
func (f *files) list(dir string) map[string]fs.DirEntry {
	if known, ok := f.listings[dir]; ok {
		return known
	}
	var listing map[string]fs.DirEntry
	if dir == "." || f.isDir(dir) || isExternal(dir) {
		if entries, err := fs.ReadDir(f.tree, dir); err == nil {
			listing = make(map[string]fs.DirEntry, len(entries))
			for _, entry := range entries {
				listing[entry.Name()] = entry
			}
		}
	}
	f.listings[dir] = listing
	return listing
}

// isExternal says that a path lies where the host shows what weir.lock has: no listing leads there.
func isExternal(dir string) bool { return strings.HasPrefix(dir, ".weir/external/") }

func (f *files) entry(name string) (fs.DirEntry, bool) {
	entry, ok := f.list(path.Dir(name))[path.Base(name)]
	return entry, ok
}

func (f *files) isDir(name string) bool {
	if name == "." {
		return true
	}
	if isExternal(name) && strings.Count(name, "/") == 2 {
		_, err := fs.ReadDir(f.tree, name)
		return err == nil
	}
	entry, ok := f.entry(name)
	return ok && entry.IsDir()
}

// IsDir says whether a path is a directory.
func (f *files) IsDir(name string) bool { return f.isDir(inTree(name)) }

// Exists says whether there is something at a path.
func (f *files) Exists(name string) bool {
	in := inTree(name)
	if f.isDir(in) {
		return true
	}
	_, ok := f.entry(in)
	return ok
}

// CleanedAbs is a path as a directory and, where it is a file, its name.
func (f *files) CleanedAbs(name string) (filesys.ConfirmedDir, string, error) {
	in := inTree(name)
	if f.isDir(in) {
		return filesys.ConfirmedDir(path.Join("/", in)), "", nil
	}
	if _, ok := f.entry(in); !ok {
		return "", "", &fs.PathError{Op: "open", Path: in, Err: fs.ErrNotExist}
	}
	return filesys.ConfirmedDir(path.Join("/", path.Dir(in))), path.Base(in), nil
}

// ReadFile is one file, whole. A kustomization file has its remote bases replaced by where the host shows them.
func (f *files) ReadFile(name string) ([]byte, error) {
	in := inTree(name)
	content, err := fs.ReadFile(f.tree, in)
	if err != nil || !isKustomization(in) {
		return content, err
	}
	read := kustomization{file: in, text: content}
	content, err = read.localized(f.tree)
	f.hasSchema = f.hasSchema || read.hasSchema
	if err != nil && f.refused == nil {
		f.refused = err
	}
	return content, err
}

func isKustomization(file string) bool {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		if path.Base(file) == name {
			return true
		}
	}
	return false
}

// Open opens a file.
func (f *files) Open(name string) (filesys.File, error) {
	content, err := f.ReadFile(name)
	if err != nil {
		return nil, err
	}
	memory := filesys.MakeFsInMemory()
	if err := memory.WriteFile("/file", content); err != nil {
		return nil, err
	}
	return memory.Open("/file")
}

// ReadDir are the names in a directory.
func (f *files) ReadDir(name string) ([]string, error) {
	entries, err := fs.ReadDir(f.tree, inTree(name))
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
	}
	return names, err
}

// Glob are the paths that a pattern matches, sorted.
func (f *files) Glob(pattern string) ([]string, error) {
	found, err := fs.Glob(f.tree, inTree(pattern))
	for i, name := range found {
		found[i] = "/" + name
	}
	return found, err
}

// Walk visits a path and what is below it, in order.
func (f *files) Walk(name string, visit filepath.WalkFunc) error {
	return fs.WalkDir(f.tree, inTree(name), func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return visit("/"+name, nil, err)
		}
		info, err := entry.Info()
		return visit("/"+name, info, err)
	})
}

// Create is refused.
func (f *files) Create(string) (filesys.File, error) { return nil, errReadOnly }

// Mkdir is refused.
func (f *files) Mkdir(string) error { return errReadOnly }

// MkdirAll is refused.
func (f *files) MkdirAll(string) error { return errReadOnly }

// RemoveAll is refused.
func (f *files) RemoveAll(string) error { return errReadOnly }

// WriteFile is refused.
func (f *files) WriteFile(string, []byte) error { return errReadOnly }

// refuse is a diagnostic about a place in a kustomization file.
func refuse(file string, line int, code, format string, args ...any) plugin.Diagnostic {
	return plugin.Errorf(code, format, args...).At(file, uint32(max(line, 0)))
}
