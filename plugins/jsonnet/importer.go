// Imports: files of the tree, beside the importing one or in the directories of jpath.

package main

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"github.com/google/go-jsonnet"
	"weir.dev/plugin"
)

// importer finds files as Jsonnet's own does: beside the importing file, then in jpath from its end.
type importer struct {
	tree  fs.FS
	jpath []string
	// found are the files that were read, by path; nil is one that is not there.
	found map[string]*jsonnet.Contents
}

var _ jsonnet.Importer = (*importer)(nil)

// Import finds one file. A path that begins with a slash begins at the repository's root.
func (i *importer) Import(from, name string) (jsonnet.Contents, string, error) {
	places := []string{path.Dir(from)}
	for n := len(i.jpath) - 1; n >= 0; n-- {
		places = append(places, i.jpath[n])
	}
	if strings.HasPrefix(name, "/") {
		places = []string{""}
	}
	for _, dir := range places {
		file, inside := join(dir, name)
		if !inside {
			continue
		}
		contents, err := i.read(file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return jsonnet.Contents{}, "", fmt.Errorf("couldn't open import %q: %s: %w", name, file, err)
		}
		if err == nil {
			return *contents, file, nil
		}
	}
	return jsonnet.Contents{}, "", fmt.Errorf("couldn't open import %q: no match locally or in the Jsonnet library paths (looked in %s)", name, listed(places))
}

func (i *importer) read(file string) (*jsonnet.Contents, error) {
	known, looked := i.found[file]
	if !looked {
		bytes, err := fs.ReadFile(i.tree, file)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		if err == nil {
			contents := jsonnet.MakeContentsRaw(bytes)
			known = &contents
		}
		i.found[file] = known
	}
	if known == nil {
		return nil, fs.ErrNotExist
	}
	return known, nil
}

// join is a name below a directory of the tree, and whether it is still in the tree.
func join(dir, name string) (string, bool) {
	whole := path.Join(dir, strings.TrimPrefix(name, "/"))
	return whole, whole != ".." && !strings.HasPrefix(whole, "../") && whole != "."
}

// resolve is a path of the config: relative to the app's path or, with a leading slash, to the repository's root.
func resolve(app, name, key string) (string, error) {
	if name == "" {
		return "", plugin.Errorf("bad-config", "config.%s: the path is empty", key)
	}
	if strings.HasPrefix(name, "/") {
		app = ""
	}
	whole := path.Join(app, strings.TrimPrefix(name, "/"))
	if whole == ".." || strings.HasPrefix(whole, "../") {
		return "", plugin.Errorf("bad-config", "config.%s: %q leads out of the repository", key, name)
	}
	return whole, nil
}

// listed are directories in a sentence.
func listed(dirs []string) string {
	shown := make([]string, len(dirs))
	for i, dir := range dirs {
		if dir == "" || dir == "." {
			dir = "the repository's root"
		}
		shown[i] = dir
	}
	return strings.Join(shown, ", ")
}
