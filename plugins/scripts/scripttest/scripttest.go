// Package scripttest is what the tests of the script plugins share: a small tree, a call, and what is said.
package scripttest

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"weir.dev/plugin"
)

// Tree is a tree of these paths and texts.
func Tree(files map[string]string) fs.FS {
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

// Params are those of an app at apps/shop with a config.
func Params(config string) plugin.Params {
	return plugin.Params{
		App: "shop", Path: "apps/shop", Namespace: "spaced",
		Target: plugin.TargetFacts{Name: "prod", Kubernetes: "1.37.2", APIs: []string{"a.example/v1"}},
		Config: []byte(config),
	}
}

// Objects are JSON texts as a plugin gets them.
func Objects(texts ...string) []json.RawMessage {
	objects := make([]json.RawMessage, len(texts))
	for i, text := range texts {
		objects[i] = json.RawMessage(text)
	}
	return objects
}

// Plain is JSON in one form, so that two can be compared.
func Plain(t *testing.T, text []byte) string {
	t.Helper()
	var value any
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	plain, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(plain)
}

// Bodies are the objects of a document.
func Bodies(t *testing.T, documents []plugin.Document) []string {
	t.Helper()
	var bodies []string
	for _, document := range documents {
		for part := range strings.SplitSeq(string(document.Body), "---\n") {
			if strings.TrimSpace(part) != "" {
				bodies = append(bodies, Plain(t, []byte(part)))
			}
		}
	}
	return bodies
}

// Texts are objects in one form.
func Texts(t *testing.T, objects []json.RawMessage) []string {
	t.Helper()
	texts := make([]string, len(objects))
	for i, object := range objects {
		texts[i] = Plain(t, object)
	}
	return texts
}

// Found are findings, each as one line.
func Found(findings []plugin.Finding) []string {
	lines := make([]string, len(findings))
	for i, f := range findings {
		about := "-"
		if f.Object != nil {
			about = fmt.Sprint(*f.Object)
		}
		level := []string{"error", "warning", "info"}[f.Level]
		lines[i] = strings.TrimSpace(fmt.Sprintf("%s %s %s: %s %s", about, level, f.Code, f.Message, f.Path))
	}
	return lines
}

// Same compares lists.
func Same(t *testing.T, is, should []string) {
	t.Helper()
	if strings.Join(is, "\n") != strings.Join(should, "\n") {
		t.Errorf("is:\n%s\nshould be:\n%s", strings.Join(is, "\n"), strings.Join(should, "\n"))
	}
}

// Says checks an error's words.
func Says(t *testing.T, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Fatalf("no error; expected one with %q", words)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%q is not in: %s", word, err)
		}
	}
}
