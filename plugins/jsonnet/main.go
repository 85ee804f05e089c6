// Command jsonnet is the renderer `bundled:jsonnet`: Google's own Jsonnet in Go, with the app's files and nothing else.
package main

import (
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"sort"

	"github.com/google/go-jsonnet"
	"weir.dev/plugin"
	"weir.dev/plugin/renderer"
)

func init() {
	warm()
	renderer.Export(render)
}

func main() {}

// config is what an app may say.
type config struct {
	File    string         `json:"file"`
	Jpath   []string       `json:"jpath"`
	ExtVars map[string]any `json:"extVars"`
	Tlas    map[string]any `json:"tlas"`
}

// render evaluates the app's file and gives its objects, in the order of their keys.
func render(tree fs.FS, p plugin.Params) ([]plugin.Document, error) {
	c := config{File: "main.jsonnet"}
	if err := p.Decode(&c); err != nil {
		return nil, err
	}
	file, err := resolve(p.Path, c.File, "file")
	if err != nil {
		return nil, err
	}
	importer := &importer{tree: tree, found: map[string]*jsonnet.Contents{}}
	for i, dir := range c.Jpath {
		dir, err := resolve(p.Path, dir, fmt.Sprintf("jpath[%d]", i))
		if err != nil {
			return nil, err
		}
		importer.jpath = append(importer.jpath, dir)
	}
	value, err := evaluate(importer, file, c)
	if err != nil {
		return nil, err
	}
	body, err := objects(value, file)
	if err != nil {
		return nil, err
	}
	return []plugin.Document{{Origin: file, Body: body}}, nil
}

// evaluate is the JSON that a file comes to.
func evaluate(importer *importer, file string, c config) (string, error) {
	vm := jsonnet.MakeVM()
	vm.Importer(importer)
	vm.SetTraceOut(traces{})
	if err := set(c.ExtVars, "extVars", vm.ExtVar, vm.ExtCode); err != nil {
		return "", err
	}
	if err := set(c.Tlas, "tlas", vm.TLAVar, vm.TLACode); err != nil {
		return "", err
	}
	formatter := &errorKeeper{}
	vm.ErrorFormatter = formatter
	if _, err := importer.read(file); err != nil {
		return "", plugin.Errorf("no-such-path", "there is no %s in this commit, or it lies outside the app's roots: correct `file`", file).At(file, 0)
	}
	value, err := vm.EvaluateFile("/" + file)
	if err != nil {
		if formatter.kept != nil {
			err = formatter.kept
		}
		return "", explain(err, file, importer.found)
	}
	return value, nil
}

// set gives values to a program: text as text, anything else as what its JSON means.
func set(values map[string]any, key string, text, code func(name, value string)) error {
	names := make([]string, 0, len(values))
	for name := range values {
		names = append(names, name)
	}
	sort.Strings(names)
	for _, name := range names {
		if value, is := values[name].(string); is {
			text(name, value)
			continue
		}
		value, err := json.Marshal(values[name])
		if err != nil {
			return plugin.Errorf("bad-config", "config.%s.%s: %s", key, name, err)
		}
		code(name, string(value))
	}
	return nil
}

// traces are what std.trace says.
type traces struct{}

var _ io.Writer = traces{}

func (traces) Write(line []byte) (int, error) {
	plugin.Info("%s", line)
	return len(line), nil
}
