// What a script gives, checked: objects and findings.

package script

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"strings"

	"weir.dev/plugin"
)

// Objects are those of a JSON list, each of which has to be a JSON object.
func Objects(list []byte) ([]json.RawMessage, error) {
	var objects []json.RawMessage
	// Null would read as an empty list, and an empty list removes all objects.
	if err := json.Unmarshal(list, &objects); err != nil || !bytes.HasPrefix(bytes.TrimSpace(list), []byte("[")) {
		return nil, fmt.Errorf("expected a list of objects, got %s", Shown(list))
	}
	for i, object := range objects {
		if !isObject(object) {
			return nil, fmt.Errorf("item %d of the list is no object: %s", i, Shown(object))
		}
	}
	return objects, nil
}

// Replacement is what a function that is called for each object gives for it: the object, or a list of objects; an empty list
// leaves it out. Nothing at all is an error, since a `return` that was forgotten must not remove an object.
func Replacement(given []byte) ([]json.RawMessage, error) {
	switch {
	case isObject(given):
		return []json.RawMessage{bytes.Clone(given)}, nil
	case bytes.HasPrefix(given, []byte("[")):
		return Objects(given)
	case string(given) == "null":
		return nil, fmt.Errorf("it returned nothing: return the object, or an empty list to leave it out")
	default:
		return nil, fmt.Errorf("it returned %s: return the object, a list of objects, or an empty list to leave it out", Shown(given))
	}
}

// Document is the objects of a renderer as one JSON text, which is YAML, too: a list that the host takes apart.
func Document(origin string, objects []json.RawMessage) plugin.Document {
	var body bytes.Buffer
	for _, object := range objects {
		body.WriteString("---\n")
		body.Write(object)
		body.WriteByte('\n')
	}
	return plugin.Document{Origin: origin, Body: body.Bytes()}
}

// finding is one finding as a script writes it.
type finding struct {
	Message *string  `json:"message"`
	Level   *string  `json:"level"`
	Code    *string  `json:"code"`
	Object  *float64 `json:"object"`
	Path    string   `json:"path"`
	Line    float64  `json:"line"`
}

// DefaultCode is the code of a finding that names none.
const DefaultCode = "script"

// Findings are those that a script gave: nothing, one, or a list; each is a text or {message, level, code, object, path, line}.
// An empty text is none: whoever gives one has nothing to say. What names no object is about the given one, where there is one.
func Findings(given []byte, about *uint32, objects int) ([]plugin.Finding, error) {
	text := bytes.TrimSpace(given)
	if string(text) == "null" {
		return nil, nil
	}
	list := []json.RawMessage{text}
	if bytes.HasPrefix(text, []byte("[")) {
		list = nil
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, err
		}
	}
	out := make([]plugin.Finding, 0, len(list))
	for _, item := range list {
		if string(item) == `""` {
			continue
		}
		found, err := oneFinding(item, about, objects)
		if err != nil {
			return nil, err
		}
		out = append(out, found)
	}
	return out, nil
}

func oneFinding(item json.RawMessage, about *uint32, objects int) (plugin.Finding, error) {
	out := plugin.Finding{Code: DefaultCode, Object: about}
	if err := json.Unmarshal(item, &out.Message); err == nil && item[0] == '"' {
		return out, nil
	}
	if !isObject(item) {
		return out, fmt.Errorf("a finding is a text or has `message`, `level`, `code`, `object`, `path` and `line`; got %s", Shown(item))
	}
	var said finding
	decoder := json.NewDecoder(bytes.NewReader(item))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&said); err != nil {
		return out, fmt.Errorf("a finding: %s in %s", strings.TrimPrefix(err.Error(), "json: "), Shown(item))
	}
	if said.Message == nil || *said.Message == "" {
		return out, fmt.Errorf("a finding has no `message`: %s", Shown(item))
	}
	out.Message, out.Path = *said.Message, said.Path
	if said.Code != nil {
		out.Code = *said.Code
	}
	if said.Level != nil {
		level, err := Level(*said.Level)
		if err != nil {
			return out, err
		}
		out.Level = level
	}
	if said.Object != nil {
		index := uint32(*said.Object)
		if *said.Object != float64(index) || int64(index) >= int64(objects) {
			return out, fmt.Errorf("a finding is about object %v of %d: it is the index in the list, from 0", *said.Object, objects)
		}
		out.Object = &index
	}
	if said.Line != 0 {
		if said.Line < 1 || said.Line > math.MaxUint32 || said.Line != math.Trunc(said.Line) {
			return out, fmt.Errorf("a finding is about line %v: lines are whole numbers from 1", said.Line)
		}
		out.Line = uint32(said.Line)
	}
	return out, nil
}

// Level is a finding's level by its name.
func Level(name string) (plugin.Level, error) {
	switch name {
	case "error":
		return plugin.LevelError, nil
	case "warning":
		return plugin.LevelWarning, nil
	case "info":
		return plugin.LevelInfo, nil
	}
	return 0, fmt.Errorf("a finding's level is `error`, `warning` or `info`, not `%s`", name)
}

// ID is an object as messages name it: `Deployment shop/web`.
func ID(object []byte) string {
	var o struct {
		Kind     string
		Metadata struct{ Name, Namespace string }
	}
	if json.Unmarshal(object, &o) != nil || o.Kind == "" {
		return "an object without a kind"
	}
	if o.Metadata.Namespace != "" {
		return o.Kind + " " + o.Metadata.Namespace + "/" + o.Metadata.Name
	}
	return o.Kind + " " + o.Metadata.Name
}

// Shown is a value in a message: its beginning.
func Shown(value []byte) string {
	const most = 60
	text := []rune(string(value))
	if len(text) > most {
		return string(text[:most]) + "..."
	}
	return string(text)
}

func isObject(value []byte) bool {
	return bytes.HasPrefix(bytes.TrimSpace(value), []byte("{"))
}
