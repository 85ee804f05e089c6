// Command kustomize is the renderer `bundled:kustomize`: the real Kustomize, with the app's files and nothing else.
package main

import (
	"io/fs"
	"path"

	"sigs.k8s.io/kustomize/api/konfig"
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/openapi"
	"weir.dev/plugin"
	"weir.dev/plugin/renderer"
)

func init() {
	provenanceVersion = version
	warm()
	renderer.Export(render)
}

func main() {}

// config has no keys: all that Kustomize can do is said in kustomization files.
type config struct{}

// render builds the directory at the app's path, as `kustomize build` does.
func render(tree fs.FS, p plugin.Params) ([]plugin.Document, error) {
	if err := p.Decode(&config{}); err != nil {
		return nil, err
	}
	body, origin, err := build(tree, p.Path)
	if err != nil {
		return nil, err
	}
	return []plugin.Document{{Origin: origin, Body: body}}, nil
}

// build is the YAML of a directory and its kustomization file.
func build(tree fs.FS, dir string) ([]byte, string, error) {
	origin := kustomizationOf(tree, dir)
	files := newFiles(tree)
	body, err := run(files, dir)
	if files.hasSchema {
		// Kustomize looks at a kustomization's own schema only while none is parsed, and the one that it comes with
		// was when this component was made. What the first run gave is dropped.
		openapi.ResetOpenAPI()
		files = newFiles(tree)
		body, err = run(files, dir)
		openapi.ResetOpenAPI()
	}
	if err == nil {
		return body, origin, nil
	}
	if files.refused != nil {
		// Kustomize wraps what its file system says into its own words: what we said comes first.
		return nil, origin, files.refused
	}
	return nil, origin, explain(err, origin)
}

func run(files *files, dir string) ([]byte, error) {
	options := krusty.MakeDefaultOptions()
	// The library leaves the order alone; the program sorts, where the kustomization does not say otherwise.
	options.Reorder = krusty.ReorderOptionUnspecified
	objects, err := krusty.MakeKustomizer(options).Run(files, "/"+dir)
	if err != nil {
		return nil, err
	}
	return objects.AsYaml()
}

// kustomizationOf is the file that a directory's build begins with.
func kustomizationOf(tree fs.FS, dir string) string {
	for _, name := range konfig.RecognizedKustomizationFileNames() {
		file := path.Join(dir, name)
		if _, err := fs.Stat(tree, file); err == nil {
			return file
		}
	}
	return path.Join(dir, konfig.DefaultKustomizationFileName())
}
