// What a program comes to, as documents: one object, lists and maps of objects inside each other.

package main

import (
	"bytes"
	"encoding/json"
	"sort"
	"strings"

	"weir.dev/plugin"
)

// deepest is how far objects may lie inside lists and maps.
const deepest = 64

// objects is a stream with a document for each object, lists in their order and maps in the order of their keys.
func objects(value, file string) ([]byte, error) {
	found := &finder{file: file}
	if err := found.in(json.RawMessage(value), nil); err != nil {
		return nil, err
	}
	if found.stream.Len() == 0 {
		return nil, plugin.Errorf("no-manifests", "the program comes to no object: correct it, or take the app out of weir.yaml to remove what it owns").At(file, 0)
	}
	return found.stream.Bytes(), nil
}

type finder struct {
	file   string
	stream bytes.Buffer
}

func (f *finder) in(value json.RawMessage, place []string) error {
	if len(place) > deepest {
		return f.refuse(place, "objects lie in more than %d lists and maps", deepest)
	}
	switch first := bytes.TrimSpace(value)[0]; first {
	case '[':
		var items []json.RawMessage
		if err := json.Unmarshal(value, &items); err != nil {
			return err
		}
		for i, item := range items {
			if err := f.in(item, append(place, "["+number(i)+"]")); err != nil {
				return err
			}
		}
	case '{':
		return f.inMap(value, place)
	case 'n':
		// null stands for nothing, as in a condition without an else.
	default:
		return f.refuse(place, "it is %s: an object with apiVersion and kind, or lists and maps of objects, was expected", shown(value))
	}
	return nil
}

func (f *finder) inMap(value json.RawMessage, place []string) error {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(value, &fields); err != nil {
		return err
	}
	_, hasKind := fields["kind"]
	_, hasVersion := fields["apiVersion"]
	if hasKind && hasVersion {
		f.stream.WriteString("---\n")
		f.stream.Write(bytes.TrimSpace(value))
		f.stream.WriteByte('\n')
		return nil
	}
	if hasKind != hasVersion && text(fields["kind"])+text(fields["apiVersion"]) != "" {
		return f.refuse(place, "it has one of apiVersion and kind, and an object needs both")
	}
	keys := make([]string, 0, len(fields))
	for key := range fields {
		keys = append(keys, key)
	}
	sort.Strings(keys)
	for _, key := range keys {
		if err := f.in(fields[key], append(place, "."+key)); err != nil {
			return err
		}
	}
	return nil
}

// text is a JSON text's content, or nothing.
func text(value json.RawMessage) string {
	var text string
	if json.Unmarshal(value, &text) != nil {
		return ""
	}
	return text
}

func number(i int) string {
	text, _ := json.Marshal(i)
	return string(text)
}

// shown is a value in a sentence, cut where it is long.
func shown(value json.RawMessage) string {
	const longest = 60
	if runes := []rune(string(bytes.TrimSpace(value))); len(runes) > longest {
		return string(runes[:longest]) + "..."
	} else {
		return string(runes)
	}
}

func (f *finder) refuse(place []string, format string, args ...any) error {
	where := "the program's value"
	if len(place) > 0 {
		where += " at " + strings.TrimPrefix(strings.Join(place, ""), ".")
	}
	return plugin.Errorf("not-an-object", where+": "+format, args...).At(f.file, 0)
}
