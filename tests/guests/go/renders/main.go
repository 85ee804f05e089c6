// Command renders shows everything that a renderer gets through the Go SDK, as one object for each thing.
package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"
	"testing/fstest"
	"time"

	"weir.dev/plugin"
	"weir.dev/plugin/renderer"
)

// warmed is set by an init, which runs while the component is made and never in a call.
var warmed time.Time

func init() {
	warmed = time.Now()
	renderer.Export(render)
}

func main() {}

// Config says what to do.
type Config struct {
	// Do is what is shown: params, files, errors, clock, external, externals, or a way to fail.
	Do string `json:"do"`
	// Reference is an external's.
	Reference string `json:"reference"`
	// References are those of several externals.
	References []string `json:"references"`
	// Expect are files that must be there, for an fstest of the tree.
	Expect []string `json:"expect"`
}

func render(tree fs.FS, p plugin.Params) ([]plugin.Document, error) {
	var config Config
	if err := p.Decode(&config); err != nil {
		return nil, err
	}
	switch config.Do {
	case "params":
		return shown(p, "params", map[string]any{
			"app": p.App, "path": p.Path, "namespace": p.Namespace, "target": p.Target.Name,
			"kubernetes": p.Target.Kubernetes, "apis": strings.Join(p.Target.APIs, " "), "config": string(p.Config),
		})
	case "files":
		return files(tree, p)
	case "fstest":
		if err := fstest.TestFS(tree, config.Expect...); err != nil {
			return nil, err
		}
		return shown(p, "fstest", map[string]any{"ok": "true"})
	case "errors":
		return failures(tree, p)
	case "clock":
		return shown(p, "clock", map[string]any{
			"now": time.Now().UTC().Format(time.RFC3339), "warmed": warmed.UTC().Format(time.RFC3339),
		})
	case "external":
		dir, err := plugin.External(tree, config.Reference)
		if err != nil {
			return nil, err
		}
		return shown(p, "external", map[string]any{"dir": dir})
	case "externals":
		return externals(tree, p, config.References)
	default:
		return nil, ends(config.Do)
	}
}

// externals is what lies in externals, file by file; a file `next` in one of them names another one.
func externals(tree fs.FS, p plugin.Params, references []string) ([]plugin.Document, error) {
	found := map[string]any{}
	for n := 0; n < len(references); n++ {
		dir, err := plugin.External(tree, references[n])
		if err != nil {
			return nil, err
		}
		err = fs.WalkDir(tree, dir, func(name string, entry fs.DirEntry, err error) error {
			if err != nil || entry.IsDir() {
				return err
			}
			content, err := fs.ReadFile(tree, name)
			below := strings.TrimPrefix(name, dir+"/")
			found[fmt.Sprintf("%d.%s", n, strings.ReplaceAll(below, "/", "."))] = string(content)
			if below == "next" {
				references = append(references, strings.TrimSpace(string(content)))
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return shown(p, "externals", found)
}

// ends are the ways in which a call may end badly.
func ends(how string) error {
	switch how {
	case "diagnostics":
		plugin.Warn("about to say %d things", 2)
		return plugin.Diagnostics{
			plugin.Errorf("first", "the first thing").At("a/b.yaml", 7),
			{Level: plugin.LevelWarning, Code: "second", Message: "the second thing"},
		}
	case "plain":
		return errors.New("an ordinary error")
	case "wrapped":
		return fmt.Errorf("around it: %w", plugin.Errorf("inner", "the inner one").At("x.yaml", 0))
	case "panic":
		var nothing map[string]string
		nothing["a"] = "b"
		return nil
	case "stack":
		return fmt.Errorf("%d", deep(1))
	case "sleep":
		time.Sleep(time.Hour)
		return nil
	case "memory":
		var kept [][]byte
		for {
			kept = append(kept, make([]byte, 1<<20))
		}
	default:
		return plugin.Errorf("bad-config", "config.do: %q is nothing that this guest does", how)
	}
}

func deep(n int) int { return deep(n+1) + 1 }

func files(tree fs.FS, p plugin.Params) ([]plugin.Document, error) {
	found := map[string]any{}
	root := p.Path
	if root == "" {
		root = "."
	}
	err := fs.WalkDir(tree, root, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := fs.ReadFile(tree, name)
		if err != nil {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		rel := strings.ReplaceAll(strings.TrimPrefix(name, root+"/"), "/", ".")
		found[rel] = fmt.Sprintf("%s %d %q", info.Mode(), info.Size(), content)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return shown(p, "files", found)
}

// failures are what the tree says of paths that cannot be read.
func failures(tree fs.FS, p plugin.Params) ([]plugin.Document, error) {
	said := map[string]any{}
	note := func(name string, err error) {
		switch {
		case err == nil:
			said[name] = "no error"
		case errors.Is(err, fs.ErrNotExist):
			said[name] = "not there: " + err.Error()
		default:
			said[name] = err.Error()
		}
	}
	_, err := fs.ReadFile(tree, path.Join(p.Path, "nothing.yaml"))
	note("missing", err)
	_, err = fs.ReadFile(tree, p.Path)
	note("directory", err)
	_, err = fs.ReadFile(tree, "../outside")
	note("outside", err)
	_, err = fs.ReadDir(tree, path.Join(p.Path, "a.yaml"))
	note("file", err)
	_, err = fs.Stat(tree, path.Join(p.Path, "nothing", "deeper"))
	note("stat", err)
	dir, err := tree.Open(p.Path)
	note("open", err)
	_, err = io.ReadAll(dir)
	note("read-directory", err)
	return shown(p, "errors", said)
}

// shown is one ConfigMap with these data.
func shown(p plugin.Params, name string, data map[string]any) ([]plugin.Document, error) {
	plugin.Info("showing %s", name)
	body, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": name}, "data": data,
	})
	return []plugin.Document{{Origin: path.Join(p.Path, "a.yaml"), Body: body}}, err
}
