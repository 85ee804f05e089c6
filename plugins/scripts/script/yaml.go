// YAML as Kubernetes reads it, for scripts.

package script

import (
	"bytes"
	"errors"
	"fmt"
	"strings"

	"sigs.k8s.io/yaml"
)

// FromYAML is one document as JSON; an empty one is null.
func FromYAML(text string) ([]byte, error) {
	documents := split(text)
	switch len(documents) {
	case 0:
		return []byte("null"), nil
	case 1:
		return toJSON(documents[0])
	default:
		return nil, fmt.Errorf("the text has %d documents: read them all", len(documents))
	}
}

// AllFromYAML are all documents as one JSON list; empty ones are left out.
func AllFromYAML(text string) ([]byte, error) {
	out := []byte("[")
	for _, document := range split(text) {
		value, err := toJSON(document)
		if err != nil {
			return nil, err
		}
		if string(value) == "null" {
			continue
		}
		if len(out) > 1 {
			out = append(out, ',')
		}
		out = append(out, value...)
	}
	return append(out, ']'), nil
}

// ToYAML is JSON as YAML.
func ToYAML(value []byte) (string, error) {
	text, err := yaml.JSONToYAML(value)
	return string(text), err
}

func toJSON(document string) ([]byte, error) {
	value, err := yaml.YAMLToJSONStrict([]byte(document))
	if err != nil {
		return nil, errors.New(strings.TrimPrefix(err.Error(), "yaml: "))
	}
	return bytes.TrimSpace(value), nil
}

// split takes a stream apart at lines that begin with `---`, as Kubernetes does, and leaves out what has only comments.
func split(text string) []string {
	var out []string
	var document strings.Builder
	content := false
	end := func() {
		if content {
			out = append(out, document.String())
		}
		document.Reset()
		content = false
	}
	for line := range strings.Lines(text) {
		if rest, is := strings.CutPrefix(line, "---"); is && (rest == "" || strings.ContainsAny(rest[:1], " \t\r\n#")) {
			end()
			line = rest
		}
		document.WriteString(line)
		trimmed := strings.TrimSpace(line)
		content = content || trimmed != "" && !strings.HasPrefix(trimmed, "#")
	}
	end()
	return out
}
