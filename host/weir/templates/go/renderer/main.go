// Makes one ConfigMap of the files in the app's folder `files`.
package main

import (
	"encoding/json"
	"io/fs"
	"path"
	"unicode/utf8"

	"weir.dev/plugin"
	"weir.dev/plugin/renderer"
)

func init() { renderer.Export(render) }

func main() {}

// config is what `config` may hold in weir.yaml. A key that is not here is an error that names it.
type config struct {
	// Name is the ConfigMap's name; left out: the app's.
	Name string `json:"name"`
}

func render(tree fs.FS, p plugin.Params) ([]plugin.Document, error) {
	config := config{Name: p.App}
	if err := p.Decode(&config); err != nil {
		return nil, err
	}
	dir := path.Join(p.Path, "files")
	entries, err := fs.ReadDir(tree, dir)
	if err != nil {
		message := "there is no such folder: put the files of the ConfigMap there"
		return nil, plugin.Errorf("no-files", "%s", message).At(dir, 0)
	}
	data := map[string]string{}
	for _, entry := range entries {
		if entry.IsDir() {
			continue
		}
		file := path.Join(dir, entry.Name())
		text, err := fs.ReadFile(tree, file)
		if err != nil {
			return nil, err
		}
		if !utf8.Valid(text) {
			return nil, plugin.Errorf("not-text", "the file is not UTF-8: leave it out").At(file, 0)
		}
		data[entry.Name()] = string(text)
	}
	body, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap", "metadata": map[string]any{"name": config.Name}, "data": data,
	})
	return []plugin.Document{{Origin: dir, Body: body}}, err
}
