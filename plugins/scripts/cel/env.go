// CEL as Kubernetes has it, and what is there besides.

package main

import (
	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/ext"
	"weir.dev/scripts/script"
)

// reading is what a renderer's expression reads: one call runs in one instance.
var reading *script.Files

// env has the language and what policies of Kubernetes use of its libraries, and functions for files and YAML. Kubernetes' own
// package of them is not linked: it brings 20 MB of what talks to a cluster. Literals may mix types, since objects do.
var env = newEnv()

func newEnv() *cel.Env {
	made, err := cel.NewEnv(append(kubernetes(),
		ordered(),
		cel.EagerlyValidateDeclarations(true),
		cel.DefaultUTCTimeZone(true),
		cel.CrossTypeNumericComparisons(true),
		cel.OptionalTypes(),
		cel.ASTValidators(cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals(), cel.ValidateRegexLiterals()),
		ext.Strings(ext.StringsVersion(2)), ext.Sets(), ext.TwoVarComprehensions(), ext.Lists(ext.ListsVersion(3)), ext.Network(),
		cel.Variable("object", cel.DynType),
		cel.Variable("objects", cel.ListType(cel.DynType)),
		cel.Variable("params", cel.DynType),
		cel.Variable("variables", cel.DynType),
		// What a policy may look at and a render does not have.
		cel.Variable("oldObject", cel.DynType),
		cel.Variable("request", cel.DynType),
		cel.Variable("namespaceObject", cel.DynType),
		file("files.read", cel.StringType, func(name string) (any, error) { return reading.Read(name) }),
		file("files.exists", cel.BoolType, func(name string) (any, error) { return reading.Exists(name) }),
		file("files.list", cel.ListType(cel.StringType), func(name string) (any, error) { return reading.List(name) }),
		file("files.glob", cel.ListType(cel.StringType), func(pattern string) (any, error) { return reading.Glob(pattern) }),
		text("yaml.decode", func(text string) (any, error) { return decoded(script.FromYAML(text)) }),
		text("yaml.decode_all", func(text string) (any, error) { return decoded(script.AllFromYAML(text)) }),
		text("json.decode", func(text string) (any, error) { return fromJSON([]byte(text)) }),
	)...)
	if err != nil {
		panic("the environment of CEL: " + err.Error())
	}
	return made
}

// file is a function of a path, for renderers.
func file(name string, gives *cel.Type, call func(string) (any, error)) cel.EnvOption {
	return function(name, gives, func(path string) (any, error) {
		if reading == nil {
			return nil, errNoFiles
		}
		return call(path)
	})
}

// text is a function of a text.
func text(name string, call func(string) (any, error)) cel.EnvOption {
	return function(name, cel.DynType, call)
}

func function(name string, gives *cel.Type, call func(string) (any, error)) cel.EnvOption {
	binding := cel.UnaryBinding(func(argument ref.Val) ref.Val {
		value, err := call(string(argument.(types.String)))
		if err != nil {
			return types.WrapErr(err)
		}
		return types.DefaultTypeAdapter.NativeToValue(value)
	})
	return cel.Function(name, cel.Overload(name+"_string", []*cel.Type{cel.StringType}, gives, binding))
}

func decoded(text []byte, err error) (any, error) {
	if err != nil {
		return nil, err
	}
	return fromJSON(text)
}
