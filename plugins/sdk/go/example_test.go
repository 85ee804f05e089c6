// A whole plugin, as the documentation shows it.

package plugin_test

import (
	"fmt"
	"io/fs"
	"path"
	"testing/fstest"

	"weir.dev/plugin"
	"weir.dev/plugin/renderer"
)

func init() { renderer.Export(render) }

// render gives the objects of one file of the app.
func render(tree fs.FS, p plugin.Params) ([]plugin.Document, error) {
	file := path.Join(p.Path, "objects.yaml")
	body, err := fs.ReadFile(tree, file)
	if err != nil {
		return nil, err
	}
	return []plugin.Document{{Origin: file, Body: body}}, nil
}

// A whole plugin, but for an empty func main and its package's name, which is main. In a test its function is an ordinary one.
func Example() {
	tree := fstest.MapFS{"apps/shop/objects.yaml": {Data: []byte("kind: ConfigMap")}}
	documents, err := render(tree, plugin.Params{App: "shop", Path: "apps/shop"})
	fmt.Println(documents[0].Origin, string(documents[0].Body), err)
	// Output: apps/shop/objects.yaml kind: ConfigMap <nil>
}
