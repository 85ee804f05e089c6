// What a renderer's script may read.

package script

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxEntries is how many names of directories one call of Glob may look at.
const MaxEntries = 100_000

// Files are the app's, by paths relative to the app's own or, beginning with `/`, to the repository's root.
type Files struct {
	tree fs.FS
	dir  string
}

// Read is one file as text.
func (f *Files) Read(name string) (string, error) {
	file, err := Path(f.dir, name)
	if err != nil {
		return "", err
	}
	content, err := fs.ReadFile(f.tree, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", fmt.Errorf("%s: there is no such file in this commit, or it lies outside the app's `roots`", file)
	case err != nil:
		return "", fmt.Errorf("%s: %s", file, rootCause(err))
	case !utf8.Valid(content):
		return "", fmt.Errorf("%s: it is not UTF-8 text", file)
	}
	return string(content), nil
}

// Exists says whether there is a file or a directory.
func (f *Files) Exists(name string) (bool, error) {
	file, err := Path(f.dir, name)
	if err != nil {
		return false, err
	}
	_, err = fs.Stat(f.tree, file)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return false, fmt.Errorf("%s: %s", file, rootCause(err))
	}
	return err == nil, nil
}

// List are the names in a directory in order; a directory's ends in `/`.
func (f *Files) List(name string) ([]string, error) {
	dir, err := Path(f.dir, name)
	if err != nil {
		return nil, err
	}
	entries, err := fs.ReadDir(f.tree, dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s: there is no such directory in this commit, or it lies outside the app's `roots`", dir)
	case err != nil:
		return nil, fmt.Errorf("%s: %s", dir, rootCause(err))
	}
	names := make([]string, len(entries))
	for i, entry := range entries {
		names[i] = entry.Name()
		if entry.IsDir() {
			names[i] += "/"
		}
	}
	return names, nil
}

// Glob are the files that a pattern matches, in order, as paths that Read takes. `*`, `?` and `[..]` match within a name,
// `**` any directories below the place where it stands, also none.
func (f *Files) Glob(pattern string) ([]string, error) {
	rooted := strings.HasPrefix(pattern, "/")
	parts := strings.Split(strings.Trim(pattern, "/"), "/")
	for _, part := range parts {
		if _, err := path.Match(part, ""); err != nil || part == "" || part == "." || part == ".." {
			return nil, fmt.Errorf("`%s` is no pattern: it is a path whose parts may have `*`, `?`, `[..]` or be `**`", pattern)
		}
	}
	if first := slices.Index(parts, "**"); first >= 0 && slices.Contains(parts[first+1:], "**") {
		return nil, fmt.Errorf("`%s`: `**` may stand only once in a pattern", pattern)
	}
	start := f.dir
	if rooted || start == "" {
		start = "."
	}
	search := glob{files: f}
	if err := search.in(start, parts); err != nil {
		return nil, err
	}
	for i, found := range search.found {
		switch {
		case rooted:
			search.found[i] = "/" + found
		case start != ".":
			search.found[i] = strings.TrimPrefix(found, start+"/")
		}
	}
	return search.found, nil
}

type glob struct {
	files *Files
	seen  int
	found []string
}

// entries are the names in a directory; none where there is no such directory.
func (g *glob) entries(dir string) ([]fs.DirEntry, error) {
	entries, err := fs.ReadDir(g.files.tree, dir)
	if err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return nil, nil
		}
		return nil, fmt.Errorf("%s: %s", dir, rootCause(err))
	}
	if g.seen += len(entries); g.seen > MaxEntries {
		return nil, fmt.Errorf("%s: there are more than %d names to look at: narrow the pattern", dir, MaxEntries)
	}
	return entries, nil
}

// in finds what matches a pattern's parts in a directory.
func (g *glob) in(dir string, parts []string) error {
	if parts[0] == "**" {
		return g.below(dir, nil, parts[1:])
	}
	entries, err := g.entries(dir)
	if err != nil {
		return err
	}
	rest := parts[1:]
	for _, entry := range entries {
		if matches, err := path.Match(parts[0], entry.Name()); err != nil || !matches {
			continue
		}
		name := path.Join(dir, entry.Name())
		switch {
		case len(rest) == 0 && !entry.IsDir():
			g.found = append(g.found, name)
		case len(rest) > 0 && entry.IsDir():
			if err := g.in(name, rest); err != nil {
				return err
			}
		}
	}
	return nil
}

// below finds what matches after `**`, which stands at a directory: names are those of the directories down from there.
func (g *glob) below(start string, names, parts []string) error {
	dir := path.Join(start, path.Join(names...))
	entries, err := g.entries(dir)
	if err != nil {
		return err
	}
	for _, entry := range entries {
		whole := append(slices.Clip(names), entry.Name())
		switch {
		case entry.IsDir():
			if err := g.below(start, whole, parts); err != nil {
				return err
			}
		case endsIn(whole, parts):
			g.found = append(g.found, path.Join(dir, entry.Name()))
		}
	}
	return nil
}

// endsIn says whether the last of some names match a pattern's parts.
func endsIn(names, parts []string) bool {
	if len(names) < len(parts) {
		return false
	}
	for i, name := range names[len(names)-len(parts):] {
		if matches, err := path.Match(parts[i], name); err != nil || !matches {
			return false
		}
	}
	return true
}
