// A script that runs: its module and those that it imports.

package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/grafana/sobek"
	"github.com/grafana/sobek/parser"
	"weir.dev/plugin"
	"weir.dev/scripts/script"
)

// maxCalls is how deep functions may call each other.
const maxCalls = 2000

// run is one call of the plugin.
type run struct {
	call  *script.Call
	realm *realm
	// modules are those that were read, by their paths, and files are their paths.
	modules map[string]*sobek.SourceTextModuleRecord
	files   map[sobek.ModuleRecord]string
	exports *sobek.Object
	params  sobek.Value
}

var _ script.Engine = (*run)(nil)

// begin runs the script's module.
func begin(call *script.Call) (script.Engine, error) {
	r := &run{
		call:    call,
		realm:   takeRealm(),
		modules: map[string]*sobek.SourceTextModuleRecord{},
		files:   map[sobek.ModuleRecord]string{},
	}
	var err error
	if r.params, err = r.realm.exact(call.Told()); err != nil {
		return nil, plugin.Errorf("bad-config", "config.values: %s", err)
	}
	if err := r.read(call.Main); err != nil {
		return nil, err
	}
	return r, r.evaluate()
}

// evaluate runs the modules, each after those that it imports.
func (r *run) evaluate() (err error) {
	main := r.modules[r.call.Main]
	defer r.caught(&err)
	if err := main.Link(); err != nil {
		return r.explain(r.call.Main, err)
	}
	promise := r.realm.CyclicModuleRecordEvaluate(main, r.resolve)
	if _, err := r.settled(promise, r.call.Main); err != nil {
		return err
	}
	r.exports = r.realm.NamespaceObjectFor(main)
	return nil
}

// read reads a module and what it imports, each once.
func (r *run) read(file string) (err error) {
	if _, is := r.modules[file]; is {
		return nil
	}
	leave, err := r.call.Sources.Enter(file)
	if err != nil {
		return err
	}
	defer leave()
	source, err := r.call.Sources.Read(file)
	if err != nil {
		return err
	}
	module, err := parse(file, source, r.resolve)
	if err != nil {
		return r.explain(file, err)
	}
	for _, written := range module.RequestedModules() {
		other, err := imported(file, written)
		if err != nil {
			return script.Failure{Code: script.CodeSyntax, Message: err.Error(), At: script.Place{File: file}}.Diagnostic()
		}
		if err := r.read(other); err != nil {
			return err
		}
	}
	// Only now: a module that imports itself by way of others is not there yet, and found to be a circle.
	r.modules[file], r.files[module] = module, file
	return nil
}

// parse is a module. The parser knows forms that it does not take, and says so by a panic.
func parse(file, source string, resolve sobek.HostResolveImportedModuleFunc) (module *sobek.SourceTextModuleRecord, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			err = fmt.Errorf("%v", cause)
		}
	}()
	// A map of where a source came from would be a file that nobody named.
	body, err := parser.ParseFile(nil, file, source, 0, parser.IsModule, parser.WithDisableSourceMaps)
	if err != nil {
		return nil, err
	}
	return sobek.ModuleFromAST(body, resolve)
}

// imported is the path of a module as an import writes it.
func imported(file, written string) (string, error) {
	if !strings.HasPrefix(written, "./") && !strings.HasPrefix(written, "../") && !strings.HasPrefix(written, "/") {
		return "", fmt.Errorf("it imports `%s`: there are no packages here; import a file of the repository, as `./lib.js` or `/lib/labels.js`", written)
	}
	return script.Path(path.Dir(file), written)
}

// resolve finds a module that was read.
func (r *run) resolve(from any, written string) (sobek.ModuleRecord, error) {
	record, _ := from.(sobek.ModuleRecord)
	other, err := imported(r.files[record], written)
	if err != nil {
		return nil, err
	}
	module, is := r.modules[other]
	if !is {
		return nil, fmt.Errorf("%s was not read", other)
	}
	return module, nil
}

// Has says whether the script exports a function.
func (r *run) Has(name string) bool {
	_, is := sobek.AssertFunction(r.exports.Get(name))
	return is
}

// Call calls one. One that is async has come to its end by then, or never will.
func (r *run) Call(name string, arguments ...any) (text []byte, err error) {
	defer r.caught(&err)
	values := make([]sobek.Value, len(arguments))
	for i, argument := range arguments {
		values[i] = argument.(sobek.Value)
	}
	function, _ := sobek.AssertFunction(r.exports.Get(name))
	given, err := function(sobek.Undefined(), values...)
	if err != nil {
		return nil, r.explain(r.call.Main, err)
	}
	if promise, is := given.Export().(*sobek.Promise); is {
		if given, err = r.settled(promise, r.call.Main); err != nil {
			return nil, err
		}
	}
	text, err = r.realm.stringify(given)
	if err != nil {
		return nil, r.explain(r.call.Main, err)
	}
	return text, nil
}

// settled is what a promise came to.
func (r *run) settled(promise *sobek.Promise, file string) (sobek.Value, error) {
	switch promise.State() {
	case sobek.PromiseStateFulfilled:
		return promise.Result(), nil
	case sobek.PromiseStateRejected:
		if err, is := promise.Result().Export().(error); is {
			return nil, r.explain(file, err)
		}
		failure := script.Failure{Code: script.CodeScript, Message: promise.Result().String(), At: script.Place{File: file}}
		r.fromStack(&failure, promise.Result())
		return nil, failure.Diagnostic()
	default:
		const message = "it awaits something that never comes: there is nothing to wait for in a render"
		return nil, script.Failure{Code: script.CodeScript, Message: message, At: script.Place{File: file}}.Diagnostic()
	}
}

// Object is a plain object. A number that JavaScript would change is refused.
func (r *run) Object(object json.RawMessage) (any, error) { return r.realm.exact(object) }

// List is an array.
func (r *run) List(values []any) any { return r.realm.NewArray(values...) }

// Params is a plain object.
func (r *run) Params() any { return r.params }

// Files is an object with functions.
func (r *run) Files() any { return r.realm.files(r.call.Files) }

// Defined is the script: where in it a function is defined is not known.
func (r *run) Defined(string) script.Place { return script.Place{File: r.call.Main} }

// caught is a panic of the interpreter as an error.
func (r *run) caught(err *error) {
	cause := recover()
	switch cause := cause.(type) {
	case nil:
	case error:
		*err = r.explain(r.call.Main, cause)
	default:
		*err = r.explain(r.call.Main, fmt.Errorf("%v", cause))
	}
}

// explain is an error of the interpreter as a diagnostic at its place.
func (r *run) explain(file string, err error) error {
	if said, is := script.Said(err); is {
		return said
	}
	failure := script.Failure{Code: script.CodeSyntax, Message: err.Error(), At: script.Place{File: file}}
	var (
		list     parser.ErrorList
		compiled *sobek.CompilerSyntaxError
		overflow *sobek.StackOverflowError
		thrown   *sobek.Exception
	)
	switch {
	case errors.As(err, &list) && len(list) > 0:
		failure.Message = list[0].Message
		failure.At = script.Place{File: file, Line: list[0].Position.Line, Column: list[0].Position.Column}
	case errors.As(err, &compiled):
		failure.Message = compiled.Message
		if compiled.File != nil {
			at := compiled.File.Position(compiled.Offset)
			failure.At = script.Place{File: at.Filename, Line: at.Line, Column: at.Column}
		}
	case errors.As(err, &overflow):
		failure.Code, failure.Message = script.CodeScript, fmt.Sprintf("functions call each other more than %d deep", maxCalls)
		place(&failure, overflow.Stack())
	case errors.As(err, &thrown):
		failure.Code, failure.Message = script.CodeScript, words(thrown.Value())
		place(&failure, thrown.Stack())
	}
	return failure.Diagnostic()
}
