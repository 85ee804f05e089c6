// A native test calls the function itself: there is no host to ask for files.

//go:build !wasip1

package validator

import (
	"encoding/json"
	"io/fs"

	"weir.dev/plugin"
)

// ExportWithTree is [Export] for a function that reads the app's files, too. The tree is as a renderer has it.
func ExportWithTree(func(tree fs.FS, objects []json.RawMessage, p plugin.Params) ([]plugin.Finding, error)) {
}
