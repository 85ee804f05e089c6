// Command js is `bundled:js`: a JavaScript module of the repository as renderer, transformer or validator.
package main

import "weir.dev/scripts/script"

var language = script.Language{
	TransformObject: "transformObject(object, params)",
	ValidateObject:  "validateObject(object, params)",
	Begin:           begin,
}

func init() {
	warm()
	language.Export()
}

func main() {}
