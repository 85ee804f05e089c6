// Package script is what the plugins that run a script of the repository have in common: which file it is, what it may
// load and read, what it is told, and what becomes of what it gives.
package script

import (
	"encoding/json"
	"io/fs"

	"weir.dev/plugin"
)

// Config is what an app says about its script.
type Config struct {
	// Script is the file, relative to the app's path; one that begins with `/` begins at the repository's root.
	Script string `json:"script"`
	// Values are for the script: a JSON object, which it has as params.values.
	Values json.RawMessage `json:"values"`
}

// Call is one call of a plugin: its script and what the script is told.
type Call struct {
	// Main is the script's path in the tree.
	Main string
	// Params is what the call is about.
	Params plugin.Params
	// Values are the app's own: a JSON object.
	Values json.RawMessage
	// Sources are the files that the script and what it loads are read from.
	Sources *Sources
	// Files are what a renderer's script may read.
	Files *Files
}

// Begin reads an app's config.
func Begin(tree fs.FS, p plugin.Params) (*Call, error) {
	var config Config
	if err := p.Decode(&config); err != nil {
		return nil, err
	}
	return config.Begin(tree, p)
}

// Begin is the same for a config that was read.
func (c Config) Begin(tree fs.FS, p plugin.Params) (*Call, error) {
	if c.Script == "" {
		return nil, plugin.Errorf("bad-config", "config: `script` is missing: name a file of the repository, such as `script: policy/labels.star`")
	}
	main, err := Path(p.Path, c.Script)
	if err != nil {
		return nil, plugin.Errorf("bad-config", "config.script: %s", err)
	}
	values := c.Values
	if len(values) == 0 {
		values = json.RawMessage("{}")
	}
	if !isObject(values) {
		return nil, plugin.Errorf("bad-config", "config.values: expected an object, got %s", Shown(values))
	}
	return &Call{Main: main, Params: p, Values: values, Sources: &Sources{tree: tree}, Files: &Files{tree: tree, dir: p.Path}}, nil
}

// Told is what the script has as its params, as JSON.
func (c *Call) Told() []byte {
	var namespace *string
	if c.Params.Namespace != "" {
		namespace = &c.Params.Namespace
	}
	target := map[string]any{"name": c.Params.Target.Name, "kubernetes": c.Params.Target.Kubernetes, "apis": c.Params.Target.APIs}
	if c.Params.Target.APIs == nil {
		target["apis"] = []string{}
	}
	text, err := json.Marshal(map[string]any{
		"app":       c.Params.App,
		"path":      c.Params.Path,
		"namespace": namespace,
		"target":    target,
		"values":    c.Values,
	})
	if err != nil {
		// Texts always are JSON, and the values came as such.
		panic("params are no JSON: " + err.Error())
	}
	return text
}
