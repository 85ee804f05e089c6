// A validator that reads files.

//go:build wasip1

package validator

import (
	"encoding/json"
	"io/fs"

	"weir.dev/plugin"
	"weir.dev/plugin/internal/tree"
)

// ExportWithTree is [Export] for a function that reads the app's files, too. The tree is as a renderer has it.
func ExportWithTree(validate func(tree fs.FS, objects []json.RawMessage, p plugin.Params) ([]plugin.Finding, error)) {
	function = func(objects []json.RawMessage, p plugin.Params) ([]plugin.Finding, error) {
		return validate(tree.New(), objects, p)
	}
}
