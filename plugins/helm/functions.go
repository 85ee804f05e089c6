// Template functions that give something else each time: a render with them would not be the same bytes twice.

package main

import (
	"maps"
	"slices"
	"text/template"
)

// random are the functions of Helm (which has them from Sprig) that draw random numbers.
var random = []string{
	"bcrypt", "encryptAES", "genCA", "genCAWithKey", "genPrivateKey", "genSelfSignedCert", "genSelfSignedCertWithKey",
	"genSignedCert", "genSignedCertWithKey", "htpasswd", "randAlpha", "randAlphaNum", "randAscii", "randBytes", "randInt",
	"randNumeric", "shuffle", "uuidv4",
}

// inOrder are functions of an engine with those that go over a dict, in the order of its keys: Sprig's own have it in Go's,
// which is another one each time.
func inOrder(functions template.FuncMap) template.FuncMap {
	all := maps.Clone(functions)
	all["keys"], all["values"] = sortedKeys, sortedValues
	return all
}

// sortedKeys are the keys of dicts, each after the other.
func sortedKeys(dicts ...map[string]any) []string {
	keys := []string{}
	for _, dict := range dicts {
		keys = append(keys, slices.Sorted(maps.Keys(dict))...)
	}
	return keys
}

// sortedValues are a dict's values in the order of their keys.
func sortedValues(dict map[string]any) []any {
	values := make([]any, 0, len(dict))
	for _, key := range sortedKeys(dict) {
		values = append(values, dict[key])
	}
	return values
}
