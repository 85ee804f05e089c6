// What is prepared once, when the component is made.

package main

import (
	"encoding/json"
	"runtime"
	"runtime/debug"
	"testing/fstest"

	"weir.dev/plugin"
)

// warm evaluates expressions of each role, so that the parser's tables and what the libraries make at their first use are
// there before any call.
func warm() {
	tree := fstest.MapFS{"warm.yaml": {Data: []byte(`
variables: [{name: limit, expression: "params.values.most + 1"}]
rules:
- expression: "object.kind.startsWith('A') && has(object.metadata.name) || object.spec.list.all(c, c.image.matches('^[a-z]+$') && !(c.n > variables.limit))"
  messageExpression: "object.metadata.name + ' is ' + string(size(objects)) + (params.app in ['a', 'b'] ? 'x' : 'y')"
- {expression: "objects.exists_one(o, o.kind == 'A') && objects.map(o, o.kind).filter(k, k != 'B').size() >= 1", scope: app}
- {expression: "quantity('1Gi').isGreaterThan(quantity('1Mi')) && object.metadata.?labels.orValue({}) == {}", kinds: [A]}
transform:
- patch: "{'metadata': {'labels': {'a': 'b', 'c': 1.5 > 1.0 ? 'd' : 'e'}}}"
- expression: "object.kind == 'A' ? [object] : []"
render: "yaml.decode_all(files.read('warm.yaml')).map(o, {'kind': 'A', 'metadata': {'name': 'b'}})"
`)}}
	p := plugin.Params{App: "warm", Config: []byte(`{"script": "warm.yaml", "values": {"most": 1}}`)}
	object := []json.RawMessage{json.RawMessage(`{"kind": "A", "metadata": {"name": "b"}}`)}
	documents, err := render(tree, p)
	if err == nil && len(documents) == 1 {
		_, err = validate(tree, object, p)
	}
	if err == nil {
		_, err = transform(tree, object, p)
	}
	if err != nil {
		panic("the rules that warm CEL do not run: " + err.Error())
	}
	// A call is short and its memory goes with it: collecting seldom is quicker, and the limit of memory stands.
	debug.SetGCPercent(400)
	runtime.GC()
}
