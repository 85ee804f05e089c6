// Package plugin is what a Weir plugin is written with in Go: types, diagnostics, the log.
//
// A plugin is one plain function. It gets values and returns values; the only thing that it can reach is the app's
// files and a log. There is no file system, network, environment or randomness behind it, and the clock stands still, so
// the same commit gives the same bytes everywhere. Where the manifest grants it, crypto/rand gives bytes that are the same
// at each render of an app.
//
//	role         function                                                                 said by
//	renderer     func(tree fs.FS, p plugin.Params) ([]plugin.Document, error)             renderer.Export
//	transformer  func([]json.RawMessage, plugin.Params) ([]json.RawMessage, error)        transformer.Export
//	transformer  func(fs.FS, []json.RawMessage, plugin.Params) ([]json.RawMessage, error) transformer.ExportWithTree
//	validator    func([]json.RawMessage, plugin.Params) ([]plugin.Finding, error)         validator.Export
//	validator    func(fs.FS, []json.RawMessage, plugin.Params) ([]plugin.Finding, error)  validator.ExportWithTree
//
// A transformer or a validator that is exported without a tree reads no files. The example is a whole plugin.
//
// `weir plugin build DIR` makes the component. It runs every package's init once and keeps the memory as it is then,
// so whatever an init prepares (compiled patterns, parsed schemas) costs nothing in a call. Each call runs in a new
// instance: nothing is kept from one to the next.
//
// The function is an ordinary one in a native test: give it an fstest.MapFS.
package plugin
