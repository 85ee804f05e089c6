// What an app says: expressions in its config, or in a file of the repository.

package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"path"
	"strings"

	"weir.dev/plugin"
	"weir.dev/scripts/script"
)

// config is either the name of a file or the rules themselves.
type config struct {
	script.Config
	Rules
}

// Rules are what is evaluated.
type Rules struct {
	// Variables are named expressions that others have as variables.NAME.
	Variables []variable `json:"variables"`
	// Checks are a validator's.
	Checks []rule `json:"rules"`
	// Transform are a transformer's, one after the other.
	Transform []change `json:"transform"`
	// Render is a renderer's: a list of objects.
	Render string `json:"render"`
}

// variable is an expression with a name. It is evaluated where it is used, once for each object.
type variable struct {
	Name       string `json:"name"`
	Expression string `json:"expression"`
}

// rule is one check.
type rule struct {
	// Expression is true where an object may pass, or gives the words that say why not.
	Expression string `json:"expression"`
	// Message is what a finding says, and MessageExpression gives it.
	Message           string `json:"message"`
	MessageExpression string `json:"messageExpression"`
	// Level is the finding's, error without.
	Level string `json:"level"`
	// Code is the finding's, cel without.
	Code string `json:"code"`
	// Path is the finding's place in the object, as a JSON pointer.
	Path string `json:"path"`
	// Kinds are those of the objects that are meant; all without.
	Kinds []string `json:"kinds"`
	// When are further conditions that an object must meet to be meant.
	When []string `json:"when"`
	// Scope is `object`, once for each object, or `app`, once for all.
	Scope string `json:"scope"`

	// ignore says that an expression that cannot be evaluated lets the object pass.
	ignore bool
	// match chooses objects as a policy of Kubernetes does.
	match *matchConstraints
	// bindings say how much findings about an object matter, where a policy has some.
	bindings []binding
}

// change is one change of objects.
type change struct {
	// Expression gives the new object, or a list of objects.
	Expression string `json:"expression"`
	// Patch gives a JSON merge patch (RFC 7386) instead.
	Patch string `json:"patch"`
	// Kinds and When say which objects are meant; all without.
	Kinds []string `json:"kinds"`
	When  []string `json:"when"`
}

// source is where rules come from, for error messages.
type source struct {
	// file is the path in the tree; empty where they stand in the manifest.
	file string
	text string
	// isExpression says that the file is one expression.
	isExpression bool
	// isPolicy says that the file is a policy of Kubernetes.
	isPolicy bool
}

// read is what the app says.
func read(tree fs.FS, p plugin.Params) (*script.Call, Rules, source, error) {
	var said config
	if err := p.Decode(&said); err != nil {
		return nil, Rules{}, source{}, err
	}
	given := len(said.Checks)+len(said.Transform)+len(said.Variables) > 0 || said.Render != ""
	switch {
	case said.Script == "" && !given:
		return nil, Rules{}, source{}, plugin.Errorf("bad-config", "config: name a file as `script`, or write `rules`, `transform` or `render` here")
	case said.Script != "" && given:
		return nil, Rules{}, source{}, plugin.Errorf("bad-config", "config: `script` names a file with the rules, so that none may stand beside it")
	case given:
		// The app's own path is one that is there: nothing is read from it.
		said.Script = "."
		call, err := said.Config.Begin(tree, p)
		return call, said.Rules, source{}, err
	}
	call, err := said.Config.Begin(tree, p)
	if err != nil {
		return nil, Rules{}, source{}, err
	}
	text, err := call.Sources.Read(call.Main)
	if err != nil {
		return nil, Rules{}, source{}, err
	}
	from := source{file: call.Main, text: text}
	if path.Ext(call.Main) == ".cel" {
		from.isExpression = true
		one := Rules{Checks: []rule{{Expression: text}}, Transform: []change{{Expression: text}}, Render: text}
		return call, one, from, nil
	}
	found, err := from.parse()
	return call, found, from, err
}

// parse reads a file of rules, or of policies of Kubernetes.
func (s *source) parse() (Rules, error) {
	list, err := script.AllFromYAML(s.text)
	if err != nil {
		return Rules{}, s.wrong("%s", err)
	}
	var documents []json.RawMessage
	if err := json.Unmarshal(list, &documents); err != nil {
		return Rules{}, s.wrong("%s", err)
	}
	if len(documents) == 0 {
		return Rules{}, s.wrong("it is empty: write `rules`, `transform` or `render`")
	}
	var kind struct {
		APIVersion string `json:"apiVersion"`
	}
	if json.Unmarshal(documents[0], &kind) == nil && strings.HasPrefix(kind.APIVersion, "admissionregistration.k8s.io/") {
		s.isPolicy = true
		return s.policies(documents)
	}
	if len(documents) > 1 {
		return Rules{}, s.wrong("it has %d documents: write one", len(documents))
	}
	var found Rules
	decoder := json.NewDecoder(bytes.NewReader(documents[0]))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(&found); err != nil {
		return Rules{}, s.wrong("%s; expected `variables`, `rules`, `transform` and `render`", strings.TrimPrefix(err.Error(), "json: "))
	}
	return found, nil
}

func (s *source) wrong(format string, args ...any) plugin.Diagnostic {
	return plugin.Errorf(script.CodeSyntax, format, args...).At(s.file, 0)
}

// means says whether an object is of one of these kinds.
func means(kinds []string, object map[string]any) bool {
	if len(kinds) == 0 {
		return true
	}
	kind, _ := object["kind"].(string)
	for _, wanted := range kinds {
		if kind == wanted {
			return true
		}
	}
	return false
}
