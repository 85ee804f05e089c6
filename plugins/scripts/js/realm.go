// What a script has besides the language, and what it does not have of it.

package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/grafana/sobek"
	"weir.dev/plugin"
	"weir.dev/scripts/script"
)

// realm is an interpreter with its globals.
type realm struct {
	*sobek.Runtime
	fromJSON, toJSON sobek.Callable
}

// prepared is the realm that was made when the component was: a call runs in an instance of its own, so nobody ran in it.
var prepared *realm

// takeRealm is one that nobody ran in.
func takeRealm() *realm {
	if r := prepared; r != nil {
		prepared = nil
		return r
	}
	return newRealm()
}

func newRealm() *realm {
	r := &realm{Runtime: sobek.New()}
	r.SetMaxCallStackSize(maxCalls)
	// The clock of a component stands at the lock's instant.
	r.SetTimeSource(func() time.Time { return time.Now().UTC() })
	of := func(object, name string) sobek.Callable {
		function, is := sobek.AssertFunction(r.Get(object).ToObject(r.Runtime).Get(name))
		if !is {
			panic(object + "." + name + " is no function")
		}
		return function
	}
	// A script may replace the global ones.
	r.fromJSON, r.toJSON = of("JSON", "parse"), of("JSON", "stringify")
	set := func(object *sobek.Object, name string, value any) {
		if err := object.Set(name, value); err != nil {
			panic("the global " + name + ": " + err.Error())
		}
	}
	set(r.Get("Math").ToObject(r.Runtime), "random", func() sobek.Value {
		panic(r.NewTypeError("Math.random is not here: the same commit must always give the same bytes; take what differs from params.values"))
	})
	console := r.NewObject()
	for name, write := range map[string]func(string, ...any){
		"debug": plugin.Debug, "log": plugin.Info, "info": plugin.Info, "warn": plugin.Warn, "error": plugin.Warn,
	} {
		set(console, name, r.log(write))
	}
	set(r.GlobalObject(), "console", console)
	yaml := r.NewObject()
	set(yaml, "parse", r.yamlParse(script.FromYAML))
	set(yaml, "parseAll", r.yamlParse(script.AllFromYAML))
	set(yaml, "stringify", r.yamlStringify)
	set(r.GlobalObject(), "yaml", yaml)
	return r
}

// parse is JSON as JavaScript has it.
func (r *realm) parse(text []byte) (sobek.Value, error) {
	return r.fromJSON(sobek.Undefined(), r.ToValue(string(text)))
}

// exact is the same, and an error where JavaScript would change a number.
func (r *realm) exact(text []byte) (sobek.Value, error) {
	if number := inexact(text); number != "" {
		return nil, fmt.Errorf("it has the number %s, which JavaScript cannot hold: use bundled:starlark for it", number)
	}
	return r.parse(text)
}

// stringify is a value as JSON; what JSON has not is null.
func (r *realm) stringify(value sobek.Value) ([]byte, error) {
	text, err := r.toJSON(sobek.Undefined(), value)
	if err != nil {
		return nil, err
	}
	if sobek.IsUndefined(text) {
		return []byte("null"), nil
	}
	return []byte(text.String()), nil
}

// fail throws an error that a script can catch.
func (r *realm) fail(err error) {
	panic(r.NewTypeError("%s", err.Error()))
}

func (r *realm) log(write func(string, ...any)) func(sobek.FunctionCall) sobek.Value {
	return func(call sobek.FunctionCall) sobek.Value {
		words := make([]string, len(call.Arguments))
		for i, argument := range call.Arguments {
			words[i] = argument.String()
			if _, is := argument.(*sobek.Object); is {
				if text, err := r.stringify(argument); err == nil {
					words[i] = string(text)
				}
			}
		}
		write("%s", strings.Join(words, " "))
		return sobek.Undefined()
	}
}

func (r *realm) yamlParse(read func(string) ([]byte, error)) func(sobek.FunctionCall) sobek.Value {
	return func(call sobek.FunctionCall) sobek.Value {
		text, err := read(call.Argument(0).String())
		if err != nil {
			r.fail(err)
		}
		value, err := r.exact(text)
		if err != nil {
			r.fail(err)
		}
		return value
	}
}

func (r *realm) yamlStringify(call sobek.FunctionCall) sobek.Value {
	value, err := r.stringify(call.Argument(0))
	if err != nil {
		r.fail(err)
	}
	text, err := script.ToYAML(value)
	if err != nil {
		r.fail(err)
	}
	return r.ToValue(text)
}

// files is what a renderer's script reads files with.
func (r *realm) files(files *script.Files) *sobek.Object {
	object := r.NewObject()
	list := func(names []string) *sobek.Object {
		values := make([]any, len(names))
		for i, name := range names {
			values[i] = name
		}
		return r.NewArray(values...)
	}
	one := func(name string, read func(string) (any, error)) {
		call := func(call sobek.FunctionCall) sobek.Value {
			given, err := read(call.Argument(0).String())
			if err != nil {
				r.fail(err)
			}
			return r.ToValue(given)
		}
		if err := object.Set(name, call); err != nil {
			panic("files." + name + ": " + err.Error())
		}
	}
	one("read", func(name string) (any, error) { return files.Read(name) })
	one("exists", func(name string) (any, error) { return files.Exists(name) })
	one("list", func(name string) (any, error) {
		names, err := files.List(name)
		return list(names), err
	})
	one("glob", func(name string) (any, error) {
		names, err := files.Glob(name)
		return list(names), err
	})
	return object
}

// inexact is the first number of a JSON text that a double does not hold: a whole one beyond 2^53. Empty where all do.
func inexact(text []byte) string {
	const safe = 1 << 53
	// Nothing with fewer digits is so large, and most objects have no such run of digits.
	if !hasDigits(text, len("9007199254740992")) {
		return ""
	}
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	for {
		token, err := decoder.Token()
		if err != nil {
			return ""
		}
		number, is := token.(json.Number)
		if !is || strings.ContainsAny(number.String(), ".eE") {
			continue
		}
		if whole, err := number.Int64(); err != nil || whole > safe || whole < -safe {
			return number.String()
		}
	}
}

// hasDigits says whether there are so many digits in a row.
func hasDigits(text []byte, many int) bool {
	run := 0
	for _, c := range text {
		if run++; c < '0' || c > '9' {
			run = 0
		}
		if run == many {
			return true
		}
	}
	return false
}
