// The config of a call as the plugin's own type.

package plugin

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"reflect"
	"sort"
	"strings"
)

// Decode reads the config into a plugin's own type, by encoding/json's rules, with one more: a key that the type does
// not have is an error, so that a typing error is one. A config that was left out reads as an empty object.
//
// The error is a [Diagnostic] of code bad-config that names the key and, for an unknown one, the nearest known.
func (p Params) Decode(into any) error {
	config := p.Config
	if len(bytes.TrimSpace(config)) == 0 {
		config = []byte("{}")
	}
	decoder := json.NewDecoder(bytes.NewReader(config))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(into); err != nil {
		return badConfig(err, into)
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return Errorf("bad-config", "config: there is more than one JSON value")
	}
	return nil
}

func badConfig(err error, into any) Diagnostic {
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		key := "config"
		if wrong.Field != "" {
			key += "." + wrong.Field
		}
		return Errorf("bad-config", "%s: it is a JSON %s; expected %s", key, wrong.Value, expected(wrong.Type))
	}
	text := strings.TrimPrefix(err.Error(), "json: ")
	if key, ok := strings.CutPrefix(text, "unknown field "); ok {
		key = strings.Trim(key, `"`)
		known := keys(reflect.TypeOf(into), map[reflect.Type]bool{})
		sort.Strings(known)
		if near := nearest(key, known); near != "" {
			return Errorf("bad-config", "config: unknown key `%s`; did you mean `%s`?", key, near)
		}
		return Errorf("bad-config", "config: unknown key `%s`; known: %s", key, strings.Join(known, ", "))
	}
	return Errorf("bad-config", "config: %s", text)
}

// expected is a Go type in the words of whoever writes YAML.
func expected(t reflect.Type) string {
	switch t.Kind() {
	case reflect.Bool:
		return "true or false"
	case reflect.String:
		return "text"
	case reflect.Slice, reflect.Array:
		return "a list"
	case reflect.Map, reflect.Struct:
		return "an object"
	case reflect.Pointer:
		return expected(t.Elem())
	case reflect.Float32, reflect.Float64:
		return "a number"
	default:
		return "a whole number"
	}
}

// keys are the JSON keys of a type and of the types inside it.
func keys(t reflect.Type, seen map[reflect.Type]bool) []string {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] {
		return nil
	}
	seen[t] = true
	var out []string
	for i := range t.NumField() {
		field := t.Field(i)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		if name == "-" || !field.IsExported() {
			continue
		}
		if name == "" && !field.Anonymous {
			name = field.Name
		}
		if name != "" {
			out = append(out, name)
		}
		out = append(out, keys(field.Type, seen)...)
	}
	return out
}

// nearest is the known key that differs by at most a third of its letters, or nothing.
func nearest(key string, known []string) string {
	best, least := "", 0
	for _, name := range known {
		d := distance(key, name)
		if d <= (len(name)+2)/3 && (best == "" || d < least) {
			best, least = name, d
		}
	}
	return best
}

// distance is the number of letters to change, add or drop (Levenshtein 1966).
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		before := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := before
			if a[i] != b[j] {
				cost++
			}
			before = row[j+1]
			row[j+1] = min(cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
