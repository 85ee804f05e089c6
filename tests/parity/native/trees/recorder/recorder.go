// Package krusty here is one file that `trees` adds to Kustomize's own package of this name.
package krusty

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// weirRecorded holds what this process has written: each tree and directory once.
var weirRecorded = struct {
	sync.Mutex
	seen map[string]bool
}{seen: map[string]bool{}}

var weirTest = regexp.MustCompile(`\.(Test\w+?)(\.func.*)?$`)

// weirRecord writes a tree as it is at the start of a build; a tree that cannot be written is a skipped case.
func weirRecord(fSys filesys.FileSystem, path string) {
	out := os.Getenv("WEIR_RECORD_TO")
	test := weirCaller()
	if out == "" || test == "" {
		return
	}
	weirRecorded.Lock()
	defer weirRecorded.Unlock()
	files, dir, skip := weirFiles(fSys, path)
	// Of what is built, and not counted: tests go through tables in any order.
	digest := sha256.Sum256(fmt.Append(nil, files, dir, skip))
	key := fmt.Sprintf("%x", digest[:4])
	if weirRecorded.seen[key] {
		return
	}
	weirRecorded.seen[key] = true
	name := test + "-" + key
	tree := filepath.Join(out, name)
	for path, content := range files {
		file := filepath.Join(tree, path)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			panic(err)
		}
		if err := os.WriteFile(file, []byte(content), 0o644); err != nil {
			panic(err)
		}
	}
	if err := os.MkdirAll(tree, 0o755); err != nil {
		panic(err)
	}
	line, err := json.Marshal(map[string]string{"name": name, "dir": dir, "from": test, "skip": skip})
	if err != nil {
		panic(err)
	}
	records, err := os.OpenFile(filepath.Join(out, "records.jsonl"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	defer records.Close()
	if _, err := records.Write(append(line, '\n')); err != nil {
		panic(err)
	}
}

// weirCaller is the name of the test that builds.
func weirCaller() string {
	var frames [64]uintptr
	known := runtime.CallersFrames(frames[:runtime.Callers(2, frames[:])])
	name := ""
	for {
		frame, more := known.Next()
		if found := weirTest.FindStringSubmatch(frame.Function); found != nil {
			name = found[1]
		}
		if !more {
			return name
		}
	}
}

// weirFiles is every file of a tree by its path, and the directory to build relative to it.
func weirFiles(fSys filesys.FileSystem, path string) (files map[string]string, dir, skip string) {
	root := filesys.Separator
	if fmt.Sprintf("%T", fSys) == "filesys.fsOnDisk" {
		var err error
		if root, err = filepath.EvalSymlinks(os.TempDir()); err != nil {
			panic(err)
		}
		absolute, err := filepath.Abs(path)
		if err != nil {
			panic(err)
		}
		if resolved, err := filepath.EvalSymlinks(absolute); err == nil {
			absolute = resolved
		}
		inside, ok := strings.CutPrefix(absolute, root+filesys.Separator)
		if !ok {
			return nil, "", "builds a place outside its own tree: " + path
		}
		// A folder of testing.T.TempDir lies two deep, others one.
		parts := strings.SplitN(inside, filesys.Separator, 3)
		if len(parts) > 1 && parts[1] == "001" {
			root = filepath.Join(root, parts[0], parts[1])
		} else {
			root = filepath.Join(root, parts[0])
		}
		path = strings.TrimPrefix(absolute, root)
	}
	files = map[string]string{}
	err := fSys.Walk(root, func(at string, info os.FileInfo, err error) error {
		if err != nil || info.IsDir() {
			return err
		}
		content, err := fSys.ReadFile(at)
		relative := strings.TrimPrefix(strings.TrimPrefix(at, root), filesys.Separator)
		files[relative] = string(content)
		if strings.Contains(string(content), os.TempDir()) {
			skip = "names a folder that was there for one run of the test"
		}
		return err
	})
	if err != nil {
		skip = "cannot be written down: " + err.Error()
	}
	dir = strings.TrimPrefix(filepath.Clean(filesys.Separator+path), filesys.Separator)
	if strings.Contains(path, "://") || strings.HasPrefix(path, "git@") || strings.HasPrefix(path, "github.com") {
		skip = "needs the network: " + path
	}
	return files, dir, skip
}
