// What goes into a plugin's function and what comes out of it.

package plugin

import (
	"fmt"
	"strings"
)

// Params is what one call is about. Everything here is an input of the render and bound into its receipt.
type Params struct {
	// App is the app's name.
	App string
	// Path is the app's path in the tree, without a leading slash; empty is the root.
	Path string
	// Namespace is what objects without one will get; empty where none was given.
	Namespace string
	// Target is where the app lands, as pinned in weir.lock.
	Target TargetFacts
	// Config is the plugin's config from the manifest: a JSON object. See [Params.Decode].
	Config []byte
}

// TargetFacts is what a render may know of its target, from weir.lock.
type TargetFacts struct {
	// Name is the target's name in the manifest.
	Name string
	// Kubernetes is its version, such as 1.37.2.
	Kubernetes string
	// APIs are the APIs that are served there beside Kubernetes' own, such as cert-manager.io/v1, sorted.
	APIs []string
}

// Document is a stream of YAML or JSON documents and the file that it came from.
type Document struct {
	// Origin is the path in the tree, for traces and error messages.
	Origin string
	// Body is the text. The host parses it, as Kubernetes reads YAML.
	Body []byte
}

// Level says how much a diagnostic or a finding matters.
type Level uint8

const (
	// LevelError stops the app.
	LevelError Level = iota
	// LevelWarning is shown, and stops nothing.
	LevelWarning
	// LevelInfo is worth knowing.
	LevelInfo
)

// Diagnostic is what a plugin has to say when it cannot go on. It is an error, so a function may return one.
type Diagnostic struct {
	// Level is how much it matters.
	Level Level
	// Code is a short stable word, such as bad-config.
	Code string
	// Message is one sentence for a person: what is wrong and what to do.
	Message string
	// Path is the file in the tree that it is about; empty where there is none.
	Path string
	// Line is the line in that file, from 1; 0 where it is not known.
	Line uint32
}

// Diagnostics are one or more of them, as one error.
type Diagnostics []Diagnostic

// Finding is what a validator found. An object with a finding of level [LevelError] may not pass.
type Finding struct {
	// Level is how much it matters.
	Level Level
	// Code is a short stable word, such as image-not-pinned.
	Code string
	// Message is one sentence for a person: what is wrong and what to do.
	Message string
	// Object is the index of the object in the list that was passed in; nil where it is about none of them.
	Object *uint32
	// Path says where in the object, as a JSON pointer (RFC 6901); empty where that is not known.
	Path string
	// Line is the line in the file that the object came from, from 1; 0 where it is not known.
	Line uint32
}

// Errorf is a diagnostic of level [LevelError].
func Errorf(code, format string, args ...any) Diagnostic {
	return Diagnostic{Code: code, Message: fmt.Sprintf(format, args...)}
}

// At is the same about a file and, where it is not 0, a line in it.
func (d Diagnostic) At(path string, line uint32) Diagnostic {
	d.Path, d.Line = path, line
	return d
}

// Error is the diagnostic as one line, `file:line: code: message`.
func (d Diagnostic) Error() string {
	var where string
	switch {
	case d.Path != "" && d.Line != 0:
		where = fmt.Sprintf("%s:%d: ", d.Path, d.Line)
	case d.Path != "":
		where = d.Path + ": "
	}
	return where + d.Code + ": " + d.Message
}

// Error is a line for each diagnostic.
func (d Diagnostics) Error() string {
	lines := make([]string, len(d))
	for i, one := range d {
		lines[i] = one.Error()
	}
	return strings.Join(lines, "\n")
}
