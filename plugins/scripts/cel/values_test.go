// Values of CEL and of JSON: what stays as it is, and what is refused.

package main

import (
	"strings"
	"testing"

	"weir.dev/scripts/scripttest"
)

// rendersTo is what an expression of a list of objects gives.
func rendersTo(t *testing.T, expression string) string {
	t.Helper()
	documents, err := render(scripttest.Tree(files("render: |\n  [{'x': "+expression+"}]\n")), scripttest.Params(fromFile))
	if err != nil {
		t.Fatal(err)
	}
	return scripttest.Bodies(t, documents)[0]
}

func TestMapsComeInTheOrderOfTheirKeys(t *testing.T) {
	const decoded = `json.decode('{"g":7,"c":3,"a":1,"f":6,"b":2,"e":5,"d":4}')`
	const literal = `{'g': 7, 'c': 3, 'a': 1, 'f': 6, 'b': 2, 'e': 5, 'd': 4}`
	const made = decoded + `.transformMap(k, v, v)`
	for range 5 {
		for _, from := range []string{decoded, literal, made} {
			for call, expected := range map[string]string{
				".map(k, k)":                `["a","b","c","d","e","f","g"]`,
				".filter(k, k != 'd')":      `["a","b","c","e","f","g"]`,
				".map(k, k > 'd', k + k)":   `["ee","ff","gg"]`,
				".transformList(k, v, v)":   `[1,2,3,4,5,6,7]`,
				".map(k, k).map(k, [k])[0]": `["a"]`,
			} {
				if is := rendersTo(t, from+call); is != `{"x":`+expected+`}` {
					t.Errorf("%s%s: %s", from, call, is)
				}
			}
		}
		if is := rendersTo(t, `{3: 'c', 'x': 'd', 1u: 'a', 2: 'b', true: 'e', 'w': 'f'}.transformList(k, v, v)`); is != `{"x":["e","a","b","c","f","d"]}` {
			t.Error(is)
		}
	}
}

func TestWhatAComprehensionCannotRunOverIsSaidAsCELSaysIt(t *testing.T) {
	_, err := render(scripttest.Tree(files("render: |\n  [1].map(i, 'a'.map(k, k))\n")), scripttest.Params(fromFile))
	scripttest.Says(t, err, "policy/rules.yaml:2: syntax: ", "cannot be range of a comprehension")
}

// numbered is an object with a number.
func numbered(number string) string {
	return `{"kind":"A","metadata":{"name":"n"},"x":[` + number + `]}`
}

func TestANumberThatCELWouldChangeIsRefusedWithItsObject(t *testing.T) {
	rules := "rules: [{expression: \"true\"}]\ntransform: [{expression: object}]\n"
	for number, good := range map[string]bool{
		"9223372036854775807": true, "18446744073709551615": true, "-9223372036854775808": true, "1e300": true, `"18446744073709551616"`: true,
		"18446744073709551616": false, "-9223372036854775809": false, "1e999": false, "-1e999": false,
	} {
		tree, objects := scripttest.Tree(files(rules)), scripttest.Objects(note, numbered(number))
		_, changing := transform(tree, objects, scripttest.Params(fromFile))
		_, checking := validate(tree, objects, scripttest.Params(fromFile))
		_, config := validate(tree, scripttest.Objects(note), scripttest.Params(`{"script": "/policy/rules.yaml", "values": {"x": `+number+`}}`))
		if good {
			if changing != nil || checking != nil || config != nil {
				t.Errorf("%s: %v %v %v", number, changing, checking, config)
			}
			continue
		}
		scripttest.Says(t, changing, "policy/rules.yaml: script: it has the number "+number+",", "CEL", "(about A n)")
		scripttest.Says(t, checking, "policy/rules.yaml: script: it has the number "+number+",", "CEL", "(about A n)")
		scripttest.Says(t, config, "bad-config: config.values: it has the number "+number+",")
	}
	_, err := render(scripttest.Tree(files("render: \"[yaml.decode('a: 18446744073709551616')]\"\n")), scripttest.Params(fromFile))
	scripttest.Says(t, err, "policy/rules.yaml:1: script: ", "CEL has whole numbers of 64 bits")
}

func TestAPatchLeavesNumbersAsTheyAreWritten(t *testing.T) {
	object := numbered("1.0, 1e3, 0.10, 18446744073709551615, -0.0, 1E-7")
	out, err := transform(scripttest.Tree(files("transform: [{patch: \"{'y': 1.5, 'z': null}\"}, {patch: \"{'z': 2.0 > 1.0}\"}]\n")), scripttest.Objects(object), scripttest.Params(fromFile))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out[0]), `"x":[1.0,1e3,0.10,18446744073709551615,-0.0,1E-7],"y":1.5,"z":true`) {
		t.Error(string(out[0]))
	}
}
