// A script that runs: its file and those that it loads.

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"

	"go.starlark.net/resolve"
	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
	"weir.dev/plugin"
	"weir.dev/scripts/script"
)

// dialect is Starlark as its specification has it, with sets and with `if` and `for` at the top of a file. Neither `while`
// nor recursion: a script ends.
var dialect = &syntax.FileOptions{Set: true, TopLevelControl: true}

// run is one call of the plugin.
type run struct {
	call   *script.Call
	params starlark.Value
	// loaded are the files that were run, by their paths.
	loaded map[string]starlark.StringDict
	main   starlark.StringDict
}

var _ script.Engine = (*run)(nil)

// begin runs the script's file.
func begin(call *script.Call) (script.Engine, error) {
	r := &run{call: call, loaded: map[string]starlark.StringDict{}}
	var err error
	if r.params, err = params(call); err != nil {
		return nil, err
	}
	if r.main, err = r.load(call.Main); err != nil {
		return nil, err
	}
	return r, nil
}

// Has says whether the script has a function.
func (r *run) Has(name string) bool {
	_, is := r.main[name].(starlark.Callable)
	return is
}

// Call calls one.
func (r *run) Call(name string, arguments ...any) ([]byte, error) {
	values := make(starlark.Tuple, len(arguments))
	for i, argument := range arguments {
		values[i] = argument.(starlark.Value)
	}
	given, err := starlark.Call(r.thread(r.call.Main), r.main[name], values, nil)
	if err != nil {
		return nil, r.explain(r.call.Main, err)
	}
	text, err := encode(given)
	if err != nil {
		return nil, script.Failure{Code: script.CodeScript, Message: name + ": " + err.Error(), At: r.Defined(name)}.Diagnostic()
	}
	return text, nil
}

// Object is a dict.
func (r *run) Object(object json.RawMessage) (any, error) { return decode(object) }

// List is a list.
func (r *run) List(values []any) any {
	list := make([]starlark.Value, len(values))
	for i, value := range values {
		list[i] = value.(starlark.Value)
	}
	return starlark.NewList(list)
}

// Params is a struct.
func (r *run) Params() any { return r.params }

// Files is a module.
func (r *run) Files() any { return newFiles(r.call.Files) }

// Defined is where a function is defined.
func (r *run) Defined(name string) script.Place {
	if function, is := r.main[name].(*starlark.Function); is {
		return place(function.Position(), "")
	}
	return script.Place{File: r.call.Main}
}

// load runs a file once.
func (r *run) load(file string) (starlark.StringDict, error) {
	if globals, is := r.loaded[file]; is {
		return globals, nil
	}
	leave, err := r.call.Sources.Enter(file)
	if err != nil {
		return nil, err
	}
	defer leave()
	source, err := r.call.Sources.Read(file)
	if err != nil {
		return nil, err
	}
	globals, err := starlark.ExecFileOptions(dialect, r.thread(file), file, source, library)
	if err != nil {
		return nil, r.explain(file, err)
	}
	r.loaded[file] = globals
	return globals, nil
}

func (r *run) thread(file string) *starlark.Thread {
	return &starlark.Thread{
		Name:  file,
		Print: func(_ *starlark.Thread, text string) { plugin.Info("%s", text) },
		Load: func(_ *starlark.Thread, written string) (starlark.StringDict, error) {
			other, err := script.Path(path.Dir(file), written)
			if err != nil {
				return nil, err
			}
			return r.load(other)
		},
	}
}

// explain is an error of Starlark as a diagnostic at its place.
func (r *run) explain(file string, err error) error {
	if said, is := script.Said(err); is {
		return said
	}
	failure := script.Failure{Code: script.CodeSyntax, Message: err.Error(), At: script.Place{File: file}}
	var (
		wrong  syntax.Error
		names  resolve.ErrorList
		failed *starlark.EvalError
	)
	switch {
	case errors.As(err, &wrong):
		failure.Message, failure.At = wrong.Msg, place(wrong.Pos, "")
	case errors.As(err, &names):
		failure.Message, failure.At = names[0].Msg, place(names[0].Pos, "")
		if len(names) > 1 {
			failure.Message += fmt.Sprintf(" (and %d more errors)", len(names)-1)
		}
	case errors.As(err, &failed):
		failure.Code, failure.Message = script.CodeScript, failed.Msg
		failure.Stack = stack(failed.CallStack)
		if len(failure.Stack) > 0 {
			failure.At = failure.Stack[0]
		}
		if len(failure.Stack) == 1 && failure.Stack[0].In == "" {
			failure.Stack = nil
		}
	}
	return failure.Diagnostic()
}

// stack are a call's places in files, innermost first. A built-in function has none.
func stack(calls starlark.CallStack) []script.Place {
	var places []script.Place
	for i := len(calls) - 1; i >= 0; i-- {
		if calls[i].Pos.Filename() == "<builtin>" {
			continue
		}
		name := calls[i].Name
		if name == "<toplevel>" {
			name = ""
		}
		places = append(places, place(calls[i].Pos, name))
	}
	return places
}

func place(at syntax.Position, in string) script.Place {
	return script.Place{File: at.Filename(), Line: int(at.Line), Column: int(at.Col), In: in}
}
