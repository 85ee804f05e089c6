// What a script has besides the language.

package main

import (
	"fmt"
	"strings"

	starjson "go.starlark.net/lib/json"
	"go.starlark.net/lib/math"
	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"
	"weir.dev/plugin"
	"weir.dev/scripts/script"
)

// library are the names that each file has. There is neither a clock nor anything random.
var library = starlark.StringDict{
	"json":   starjson.Module,
	"math":   math.Module,
	"struct": starlark.NewBuiltin("struct", starlarkstruct.Make),
	"yaml": module("yaml", map[string]function{
		"decode":     yamlDecode(script.FromYAML),
		"decode_all": yamlDecode(script.AllFromYAML),
		"encode":     yamlEncode,
	}),
	"log": module("log", map[string]function{
		"debug": log(plugin.Debug),
		"info":  log(plugin.Info),
		"warn":  log(plugin.Warn),
	}),
}

// function is a built-in one.
type function = func(*starlark.Thread, *starlark.Builtin, starlark.Tuple, []starlark.Tuple) (starlark.Value, error)

func module(name string, functions map[string]function) starlark.Value {
	members := starlark.StringDict{}
	for member, call := range functions {
		members[member] = starlark.NewBuiltin(name+"."+member, call)
	}
	return &starlarkstruct.Module{Name: name, Members: members}
}

var (
	decoder = starjson.Module.Members["decode"]
	encoder = starjson.Module.Members["encode"]
)

// decode is JSON as Starlark has it.
func decode(text []byte) (starlark.Value, error) {
	return starlark.Call(&starlark.Thread{}, decoder, starlark.Tuple{starlark.String(text)}, nil)
}

// encode is a value as JSON.
func encode(value starlark.Value) ([]byte, error) {
	text, err := starlark.Call(&starlark.Thread{}, encoder, starlark.Tuple{value}, nil)
	if err != nil {
		return nil, fmt.Errorf("what it gives is no JSON: %s", strings.TrimPrefix(err.Error(), "json.encode: "))
	}
	return []byte(text.(starlark.String)), nil
}

// params are what a script is told: a struct, which cannot be changed.
func params(call *script.Call) (starlark.Value, error) {
	told, err := decode(call.Told())
	if err != nil {
		return nil, err
	}
	fields := starlark.StringDict{}
	for _, item := range told.(*starlark.Dict).Items() {
		fields[string(item[0].(starlark.String))] = item[1]
	}
	target := starlark.StringDict{}
	for _, item := range fields["target"].(*starlark.Dict).Items() {
		target[string(item[0].(starlark.String))] = item[1]
	}
	fields["target"] = starlarkstruct.FromStringDict(starlarkstruct.Default, target)
	params := starlarkstruct.FromStringDict(starlarkstruct.Default, fields)
	params.Freeze()
	return params, nil
}

// newFiles is what a renderer's script reads files with.
func newFiles(files *script.Files) starlark.Value {
	one := func(read func(name string) (starlark.Value, error)) function {
		return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
			var name string
			if err := starlark.UnpackArgs(b.Name(), args, kwargs, "path", &name); err != nil {
				return nil, err
			}
			return read(name)
		}
	}
	texts := func(list []string, err error) (starlark.Value, error) {
		values := make([]starlark.Value, len(list))
		for i, text := range list {
			values[i] = starlark.String(text)
		}
		return starlark.NewList(values), err
	}
	return module("files", map[string]function{
		"read": one(func(name string) (starlark.Value, error) {
			text, err := files.Read(name)
			return starlark.String(text), err
		}),
		"exists": one(func(name string) (starlark.Value, error) {
			is, err := files.Exists(name)
			return starlark.Bool(is), err
		}),
		"list": one(func(name string) (starlark.Value, error) { return texts(files.List(name)) }),
		"glob": one(func(name string) (starlark.Value, error) { return texts(files.Glob(name)) }),
	})
}

func yamlDecode(read func(string) ([]byte, error)) function {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var text string
		if err := starlark.UnpackArgs(b.Name(), args, kwargs, "text", &text); err != nil {
			return nil, err
		}
		value, err := read(text)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", b.Name(), err)
		}
		return decode(value)
	}
}

func yamlEncode(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
	var value starlark.Value
	if err := starlark.UnpackArgs(b.Name(), args, kwargs, "value", &value); err != nil {
		return nil, err
	}
	text, err := encode(value)
	if err != nil {
		return nil, err
	}
	out, err := script.ToYAML(text)
	return starlark.String(out), err
}

func log(write func(format string, args ...any)) function {
	return func(_ *starlark.Thread, b *starlark.Builtin, args starlark.Tuple, kwargs []starlark.Tuple) (starlark.Value, error) {
		var text string
		if err := starlark.UnpackArgs(b.Name(), args, kwargs, "text", &text); err != nil {
			return nil, err
		}
		write("%s", text)
		return starlark.None, nil
	}
}
