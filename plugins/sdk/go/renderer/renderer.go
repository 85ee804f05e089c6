// Package renderer makes a program a renderer: it turns the app's files into documents.
package renderer

import (
	"io/fs"

	"weir.dev/plugin"
)

var function func(tree fs.FS, p plugin.Params) ([]plugin.Document, error)

// Export says which function renders. Call it in an init of package main.
//
// The tree has the files of one commit inside the app's roots, with paths from the repository's root; it is read-only
// and it is an [fs.ReadDirFS], [fs.ReadFileFS] and [fs.StatFS] too. An error that is a [plugin.Diagnostic] or
// [plugin.Diagnostics] reaches the person as it is; any other becomes a diagnostic of code failed.
func Export(render func(tree fs.FS, p plugin.Params) ([]plugin.Document, error)) { function = render }
