// Command helm is the renderer `bundled:helm`: the real Helm engine, with the app's files and nothing else.
package main

import (
	"io"
	"io/fs"
	"log"
	"log/slog"

	"weir.dev/plugin"
	"weir.dev/plugin/renderer"
)

func init() {
	// Helm's own words go to stderr, which a plugin does not have; what matters of them is in the errors.
	slog.SetDefault(slog.New(slog.DiscardHandler))
	log.SetOutput(io.Discard)
	warm()
	renderer.Export(render)
}

func main() {}

// render is what `helm template` does: load, merge values, render, sort.
func render(tree fs.FS, p plugin.Params) ([]plugin.Document, error) {
	config, err := readConfig(p)
	if err != nil {
		return nil, err
	}
	loaded, err := loadApp(tree, p, config)
	if err != nil {
		return nil, err
	}
	values, err := mergeValues(tree, p, config)
	if err != nil {
		return nil, err
	}
	return renderChart(tree, loaded, values, config, p.Target)
}
