// The three roles, whatever language the script is in.

package script

import (
	"encoding/json"
	"io/fs"

	"weir.dev/plugin"
	"weir.dev/plugin/renderer"
	"weir.dev/plugin/transformer"
	"weir.dev/plugin/validator"
)

// Language is one in which scripts are written: what it calls the functions that are called for each object, and what runs a
// script. The others have one name in all of them.
type Language struct {
	TransformObject string
	ValidateObject  string
	// Begin runs the script's file, which defines its functions.
	Begin func(*Call) (Engine, error)
}

// Engine is a script whose file has run.
type Engine interface {
	// Has says whether the script has a function.
	Has(function string) bool
	// Call calls one with values of its own; what it gives is JSON.
	Call(function string, arguments ...any) ([]byte, error)
	// Object is an object as a value of its own.
	Object(object json.RawMessage) (any, error)
	// List is a list of values of its own.
	List(values []any) any
	// Params is what the call is about.
	Params() any
	// Files is what a renderer reads files with.
	Files() any
	// Defined is where a function is defined.
	Defined(function string) Place
}

// Export makes a component's three roles of a language.
func (l Language) Export() {
	renderer.Export(l.Render)
	transformer.ExportWithTree(l.Transform)
	validator.ExportWithTree(l.Validate)
}

// begun is a script that runs in some role.
type begun struct {
	Engine
	call *Call
	// function is the one that the role is about, and each says that it is called for each object.
	function string
	each     bool
}

func (l Language) begin(tree fs.FS, p plugin.Params, role, whole, each string) (*begun, error) {
	call, err := Begin(tree, p)
	if err != nil {
		return nil, err
	}
	engine, err := l.Begin(call)
	if err != nil {
		return nil, err
	}
	name, err := chosen(call.Main, role, engine.Has, whole, each)
	if err != nil {
		return nil, err
	}
	return &begun{Engine: engine, call: call, function: name, each: name != before(whole)}, nil
}

// Render calls `render(params, files)`, which gives a list of objects.
func (l Language) Render(tree fs.FS, p plugin.Params) ([]plugin.Document, error) {
	run, err := l.begin(tree, p, "renderer", "render(params, files)", "")
	if err != nil {
		return nil, err
	}
	given, err := run.Call(run.function, run.Params(), run.Files())
	if err != nil {
		return nil, err
	}
	objects, err := Objects(given)
	if err != nil {
		return nil, run.useless(err)
	}
	return []plugin.Document{Document(run.call.Main, objects)}, nil
}

// Transform calls `transform(objects, params)`, or the function for each object.
func (l Language) Transform(tree fs.FS, objects []json.RawMessage, p plugin.Params) ([]json.RawMessage, error) {
	run, err := l.begin(tree, p, "transformer", "transform(objects, params)", l.TransformObject)
	if err != nil {
		return nil, err
	}
	if !run.each {
		given, err := run.whole(objects)
		if err != nil {
			return nil, err
		}
		if objects, err = Objects(given); err != nil {
			return nil, run.useless(err)
		}
		return objects, nil
	}
	out := make([]json.RawMessage, 0, len(objects))
	for _, object := range objects {
		given, err := run.one(object)
		if err != nil {
			return nil, err
		}
		replacement, err := Replacement(given)
		if err != nil {
			return nil, About(object, run.useless(err))
		}
		out = append(out, replacement...)
	}
	return out, nil
}

// Validate calls `validate(objects, params)`, or the function for each object.
func (l Language) Validate(tree fs.FS, objects []json.RawMessage, p plugin.Params) ([]plugin.Finding, error) {
	run, err := l.begin(tree, p, "validator", "validate(objects, params)", l.ValidateObject)
	if err != nil {
		return nil, err
	}
	if !run.each {
		given, err := run.whole(objects)
		if err != nil {
			return nil, err
		}
		findings, err := Findings(given, nil, len(objects))
		if err != nil {
			return nil, run.useless(err)
		}
		return findings, nil
	}
	var out []plugin.Finding
	for i, object := range objects {
		given, err := run.one(object)
		if err != nil {
			return nil, err
		}
		index := uint32(i)
		findings, err := Findings(given, &index, len(objects))
		if err != nil {
			return nil, About(object, run.useless(err))
		}
		out = append(out, findings...)
	}
	return out, nil
}

// whole calls the function for all objects.
func (r *begun) whole(objects []json.RawMessage) ([]byte, error) {
	values := make([]any, len(objects))
	for i, object := range objects {
		value, err := r.Object(object)
		if err != nil {
			return nil, About(object, r.unreadable(err))
		}
		values[i] = value
	}
	return r.Call(r.function, r.List(values), r.Params())
}

// one calls the function for one object.
func (r *begun) one(object json.RawMessage) ([]byte, error) {
	value, err := r.Object(object)
	if err != nil {
		return nil, About(object, r.unreadable(err))
	}
	given, err := r.Call(r.function, value, r.Params())
	if err != nil {
		return nil, About(object, err)
	}
	return given, nil
}

// useless is a function that gives what nobody can use.
func (r *begun) useless(err error) plugin.Diagnostic {
	return Failure{Code: CodeScript, Message: r.function + ": " + err.Error(), At: r.Defined(r.function)}.Diagnostic()
}

// unreadable is an object that the language cannot have.
func (r *begun) unreadable(err error) plugin.Diagnostic {
	return Failure{Code: CodeScript, Message: err.Error(), At: Place{File: r.call.Main}}.Diagnostic()
}
