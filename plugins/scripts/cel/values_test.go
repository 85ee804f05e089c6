// Values of CEL and of JSON: what stays as it is, and what is refused.

package main

import (
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
