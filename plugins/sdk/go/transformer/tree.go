// A transformer that reads files.

//go:build wasip1

package transformer

import (
	"encoding/json"
	"io/fs"

	"weir.dev/plugin"
	"weir.dev/plugin/internal/tree"
)

// ExportWithTree is [Export] for a function that reads the app's files, too. The tree is as a renderer has it.
func ExportWithTree(transform func(tree fs.FS, objects []json.RawMessage, p plugin.Params) ([]json.RawMessage, error)) {
	function = func(objects []json.RawMessage, p plugin.Params) ([]json.RawMessage, error) {
		return transform(tree.New(), objects, p)
	}
}
