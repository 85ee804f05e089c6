// Command starlark is `bundled:starlark`: a Starlark file of the repository as renderer, transformer or validator.
package main

import "weir.dev/scripts/script"

var language = script.Language{
	TransformObject: "transform_object(object, params)",
	ValidateObject:  "validate_object(object, params)",
	Begin:           begin,
}

func init() {
	warm()
	language.Export()
}

func main() {}
