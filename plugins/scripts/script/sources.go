// The files that a script and what it loads are read from.

package script

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"
	"unicode/utf8"

	"weir.dev/plugin"
)

// What the sources of one call may come to. A script that is more than a few files wants to be a plugin.
const (
	// MaxBytes is the most that one file may have.
	MaxBytes = 1 << 20
	// MaxFiles is the most that may be loaded in one call.
	MaxFiles = 100
	// MaxDepth is how far loads may go below each other.
	MaxDepth = 16
	// MaxNesting is how many brackets of a source may be open at once: parsers call themselves for each, and their stack is
	// bounded.
	MaxNesting = 500
)

// Sources are read from the tree, counted.
type Sources struct {
	tree fs.FS
	read int
	open []string
}

// Read is the text of one source.
func (s *Sources) Read(file string) (string, error) {
	if s.read++; s.read > MaxFiles {
		return "", plugin.Errorf("too-many-files", "the script loads more than %d files: make a plugin of it", MaxFiles).At(file, 0)
	}
	content, err := fs.ReadFile(s.tree, file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", plugin.Errorf("no-script", "there is no such file in this commit, or it lies outside the app's `roots`").At(file, 0)
	case err != nil:
		return "", plugin.Errorf("no-script", "it cannot be read as a script: %s", rootCause(err)).At(file, 0)
	case len(content) > MaxBytes:
		return "", plugin.Errorf("script-too-large", "it has %d bytes, and a script may have %d: make a plugin of it", len(content), MaxBytes).At(file, 0)
	case !utf8.Valid(content):
		return "", plugin.Errorf("bad-script", "it is not UTF-8 text").At(file, 0)
	}
	if line := tooNested(content); line > 0 {
		return "", plugin.Errorf("bad-script", "more than %d brackets are open here", MaxNesting).At(file, line)
	}
	return string(content), nil
}

// tooNested is the line at which more brackets are open than may be, those in texts and comments counted too; 0 where none is.
func tooNested(content []byte) uint32 {
	line, open := uint32(1), 0
	for _, c := range content {
		switch c {
		case '\n':
			line++
		case '(', '[', '{':
			if open++; open > MaxNesting {
				return line
			}
		case ')', ']', '}':
			open = max(open-1, 0)
		}
	}
	return 0
}

// Enter says that a source is being loaded until the function that it returns is called. A source that is being loaded
// already is a cycle.
func (s *Sources) Enter(file string) (func(), error) {
	for i, open := range s.open {
		if open == file {
			circle := strings.Join(append(s.open[i:len(s.open):len(s.open)], file), " -> ")
			return nil, plugin.Errorf("load-cycle", "files load each other in a circle: %s", circle).At(file, 0)
		}
	}
	if len(s.open) == MaxDepth {
		return nil, plugin.Errorf("too-deep", "files load each other more than %d deep", MaxDepth).At(file, 0)
	}
	s.open = append(s.open, file)
	return func() { s.open = s.open[:len(s.open)-1] }, nil
}

// Path is a path in the tree as a config or a script writes it: relative to a directory, or to the repository's root where
// it begins with `/`.
func Path(dir, written string) (string, error) {
	if written == "" {
		return "", errors.New("the path is empty")
	}
	if strings.ContainsAny(written, "\\\x00") {
		return "", fmt.Errorf("%q: a path has `/` between its parts", written)
	}
	whole := path.Join(dir, written)
	if rooted, ok := strings.CutPrefix(written, "/"); ok {
		whole = path.Clean(rooted)
	}
	if whole == ".." || strings.HasPrefix(whole, "../") {
		return "", fmt.Errorf("`%s` leads out of the repository", written)
	}
	return whole, nil
}

// rootCause is an error without the path that io/fs puts before it.
func rootCause(err error) string {
	var at *fs.PathError
	if errors.As(err, &at) {
		return at.Err.Error()
	}
	return err.Error()
}
