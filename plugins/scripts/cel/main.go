// Command cel is `bundled:cel`: CEL expressions of the manifest, of a file, or of a ValidatingAdmissionPolicy, as renderer,
// transformer or validator.
package main

import (
	"weir.dev/plugin/renderer"
	"weir.dev/plugin/transformer"
	"weir.dev/plugin/validator"
)

func init() {
	warm()
	renderer.Export(render)
	transformer.ExportWithTree(transform)
	validator.ExportWithTree(validate)
}

func main() {}
