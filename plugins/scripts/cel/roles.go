// The three roles.

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"weir.dev/plugin"
	"weir.dev/scripts/script"
)

// defaultCode is the code of a finding whose rule names none.
const defaultCode = "cel"

// run is one call of the plugin.
type run struct {
	call      *script.Call
	from      *source
	params    any
	variables []named
}

// named is a variable.
type named struct {
	name string
	*expression
}

// begin reads what the app says and compiles its variables.
func begin(tree fs.FS, p plugin.Params) (*run, Rules, error) {
	call, said, from, err := read(tree, p)
	if err != nil {
		return nil, said, err
	}
	r := &run{call: call, from: &from}
	told := call.Told()
	if from.isPolicy {
		// A policy's params are the object that its binding names: here the app's values stand for it.
		told = call.Values
	}
	if r.params, err = fromJSON(told); err != nil {
		return nil, said, plugin.Errorf("bad-config", "config.values: %s", err)
	}
	for i, v := range said.Variables {
		if v.Name == "" || v.Expression == "" {
			return nil, said, from.wrong("variables[%d]: it needs a `name` and an `expression`", i)
		}
		compiled, err := from.compile("variables."+v.Name, v.Expression)
		if err != nil {
			return nil, said, err
		}
		r.variables = append(r.variables, named{v.Name, compiled})
	}
	return r, said, nil
}

// missing is an app that says nothing for the role.
func (r *run) missing(role, key string) error {
	where := "config"
	if r.from.file != "" {
		where = "the file"
	}
	d := plugin.Errorf(script.CodeFunction, "%s has no `%s`, which a %s needs", where, key, role)
	d.Path = r.from.file
	return d
}

// given is what expressions have.
func (r *run) given(object any, objects []any) map[string]any {
	variables := map[string]any{}
	given := map[string]any{
		"object": object, "objects": objects, "params": r.params,
		"variables": types.NewStringInterfaceMap(adapter{types.DefaultTypeAdapter}, variables),
		"oldObject": nil, "namespaceObject": nil, "request": request(object),
	}
	for _, v := range r.variables {
		variables[v.name] = &lazy{evaluate: func() ref.Val {
			value, err := v.value(given)
			if err != nil {
				return types.WrapErr(err)
			}
			return value
		}}
	}
	return given
}

// request is what a policy may ask of the request: each object is created.
func request(object any) any {
	of, is := object.(map[string]any)
	if !is {
		return nil
	}
	group, version := groupVersion(of)
	kind, _ := of["kind"].(string)
	return map[string]any{
		"operation": "CREATE", "name": metadata(of, "name"), "namespace": metadata(of, "namespace"), "dryRun": false,
		"kind":     map[string]any{"group": group, "version": version, "kind": kind},
		"resource": map[string]any{"group": group, "version": version, "resource": resourceOf(kind)},
	}
}

// render evaluates `render`, which gives a list of objects.
func render(tree fs.FS, p plugin.Params) ([]plugin.Document, error) {
	r, said, err := begin(tree, p)
	if err != nil {
		return nil, err
	}
	expression, err := r.from.compile("render", said.Render)
	if err != nil {
		return nil, err
	}
	if expression == nil {
		return nil, r.missing("renderer", "render")
	}
	reading = r.call.Files
	defer func() { reading = nil }()
	given, err := expression.value(r.given(nil, []any{}))
	if err != nil {
		return nil, err
	}
	text, err := expression.json(given)
	if err != nil {
		return nil, err
	}
	objects, err := script.Objects(text)
	if err != nil {
		return nil, expression.useless("%s", err)
	}
	origin := r.from.file
	if origin == "" {
		origin = p.Path
	}
	return []plugin.Document{script.Document(origin, objects)}, nil
}

// json is a value as text.
func (e *expression) json(value ref.Val) ([]byte, error) {
	plain, err := toJSON(value)
	if err != nil {
		return nil, e.useless("%s", err)
	}
	text, err := json.Marshal(plain)
	if err != nil {
		return nil, e.useless("%s", err)
	}
	return text, nil
}

// all says whether conditions hold for an object. One that is false says no, whatever the others are and in whichever order, as
// in Kubernetes; without one, a condition that cannot be evaluated is an error.
func all(conditions []*expression, given map[string]any) (bool, error) {
	var failed error
	for _, condition := range conditions {
		value, err := condition.value(given)
		if err == nil && value == types.False {
			return false, nil
		}
		if _, is := value.(types.Bool); err == nil && !is {
			err = condition.useless("it gives %s: expected true or false", value.Type().TypeName())
		}
		if failed == nil {
			failed = err
		}
	}
	return failed == nil, failed
}

func (r *run) conditions(name string, texts []string) ([]*expression, error) {
	out := make([]*expression, 0, len(texts))
	for i, text := range texts {
		compiled, err := r.from.compile(fmt.Sprintf("%s.when[%d]", name, i), text)
		if err != nil {
			return nil, err
		}
		if compiled == nil {
			return nil, r.from.wrong("%s.when[%d]: it is empty", name, i)
		}
		out = append(out, compiled)
	}
	return out, nil
}

// transform makes the changes, one after the other.
func transform(tree fs.FS, objects []json.RawMessage, p plugin.Params) ([]json.RawMessage, error) {
	r, said, err := begin(tree, p)
	if err != nil {
		return nil, err
	}
	if len(said.Transform) == 0 {
		return nil, r.missing("transformer", "transform")
	}
	for i, change := range said.Transform {
		name := fmt.Sprintf("transform[%d]", i)
		if objects, err = r.change(name, change, objects); err != nil {
			return nil, err
		}
	}
	return objects, nil
}

func (r *run) change(name string, c change, objects []json.RawMessage) ([]json.RawMessage, error) {
	if (c.Expression == "") == (c.Patch == "") {
		return nil, r.from.wrong("%s: write `expression` for the new object, or `patch` for a merge patch", name)
	}
	whole, err := r.from.compile(name+".expression", c.Expression)
	if err != nil {
		return nil, err
	}
	patch, err := r.from.compile(name+".patch", c.Patch)
	if err != nil {
		return nil, err
	}
	when, err := r.conditions(name, c.When)
	if err != nil {
		return nil, err
	}
	list, err := r.decodedAll(objects)
	if err != nil {
		return nil, err
	}
	out := make([]json.RawMessage, 0, len(objects))
	for i, object := range list {
		of := object.(map[string]any)
		given := r.given(of, list)
		meant := means(c.Kinds, of)
		if meant {
			if meant, err = all(when, given); err != nil {
				return nil, script.About(objects[i], err)
			}
		}
		if !meant {
			out = append(out, objects[i])
			continue
		}
		changed, err := changed(whole, patch, objects[i], given)
		if err != nil {
			return nil, script.About(objects[i], err)
		}
		out = append(out, changed...)
	}
	return out, nil
}

// changed is what becomes of one object. A patch leaves all as it is written that it does not name.
func changed(whole, patch *expression, object json.RawMessage, given map[string]any) ([]json.RawMessage, error) {
	if patch == nil {
		value, err := whole.value(given)
		if err != nil {
			return nil, err
		}
		text, err := whole.json(value)
		if err != nil {
			return nil, err
		}
		objects, err := script.Replacement(text)
		if err != nil {
			return nil, whole.useless("%s", err)
		}
		return objects, nil
	}
	value, err := patch.value(given)
	if err != nil {
		return nil, err
	}
	changes, err := toJSON(value)
	if err != nil {
		return nil, patch.useless("%s", err)
	}
	if _, is := changes.(map[string]any); !is {
		return nil, patch.useless("it gives %s: a merge patch is a map", value.Type().TypeName())
	}
	old, err := plainJSON(object)
	if err != nil {
		return nil, err
	}
	text, err := json.Marshal(merged(old, changes))
	if err != nil {
		return nil, patch.useless("%s", err)
	}
	return []json.RawMessage{text}, nil
}

// decodedAll are objects as CEL has them.
func (r *run) decodedAll(objects []json.RawMessage) ([]any, error) {
	list := make([]any, len(objects))
	for i, object := range objects {
		value, err := fromJSON(object)
		if err != nil {
			return nil, script.About(object, plugin.Errorf(script.CodeScript, "%s", err).At(r.from.file, 0))
		}
		list[i] = value
	}
	return list, nil
}

// oneLine is a message as Kubernetes takes one: not empty, of one line.
func oneLine(text string) string {
	text = strings.TrimSpace(text)
	if strings.ContainsAny(text, "\r\n") {
		return ""
	}
	return text
}
