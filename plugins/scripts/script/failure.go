// What went wrong in a script, at its place.

package script

import (
	"errors"
	"fmt"
	"strings"

	"weir.dev/plugin"
)

// MaxFrames is how many places of a stack a message has.
const MaxFrames = 8

// maxMessage is the most of a script's own words that a message has, in bytes.
const maxMessage = 2000

// Place is where in a script something happens.
type Place struct {
	// File is its path in the tree; empty where there is none.
	File string
	// Line and Column are from 1; 0 where they are not known.
	Line, Column int
	// In is the function.
	In string
}

// Failure is what a script's engine says about a place: what went wrong, and who called, innermost first.
type Failure struct {
	Code    string
	Message string
	At      Place
	Stack   []Place
}

// Codes of failures.
const (
	// CodeSyntax is a script that cannot be read.
	CodeSyntax = "syntax"
	// CodeScript is a script that fails while it runs, or gives what nobody can use.
	CodeScript = "script"
	// CodeFunction is a script that does not have the function that it was called for.
	CodeFunction = "no-function"
)

// Diagnostic is the failure as a plugin says it. The host puts file and line before the message.
func (f Failure) Diagnostic() plugin.Diagnostic {
	message := strings.ToValidUTF8(f.Message, "\ufffd")
	if len(message) > maxMessage {
		message = strings.ToValidUTF8(message[:maxMessage], "") + "..."
	}
	var text strings.Builder
	if f.At.Column > 0 {
		fmt.Fprintf(&text, "column %d: ", f.At.Column)
	}
	text.WriteString(message)
	for i, place := range f.Stack {
		if i == MaxFrames {
			fmt.Fprintf(&text, "; %d more", len(f.Stack)-i)
			break
		}
		fmt.Fprintf(&text, "; in %s", place)
	}
	return plugin.Errorf(f.Code, "%s", text.String()).At(f.At.File, uint32(max(f.At.Line, 0)))
}

// String is `transform (policy/x.star:3:7)`.
func (p Place) String() string {
	where := p.File
	if p.Line > 0 {
		where += fmt.Sprintf(":%d:%d", p.Line, p.Column)
	}
	if p.In == "" {
		return where
	}
	return p.In + " (" + where + ")"
}

// Said is the diagnostic inside an error: what a file that was loaded has to say is not said again by who loads it.
func Said(err error) (plugin.Diagnostic, bool) {
	var said plugin.Diagnostic
	if errors.As(err, &said) {
		return said, true
	}
	return said, false
}

// About is an error of a function that was called for one object, which it names.
func About(object []byte, err error) error {
	if said, is := Said(err); is {
		said.Message += " (about " + ID(object) + ")"
		return said
	}
	return err
}

// chosen is the function of a role that a script has. To have none, or two of them, is an error.
func chosen(main, role string, has func(name string) bool, signatures ...string) (string, error) {
	var known, found []string
	for _, signature := range signatures {
		if signature == "" {
			continue
		}
		known = append(known, signature)
		if has(before(signature)) {
			found = append(found, before(signature))
		}
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		return "", plugin.Errorf(CodeFunction, "a %s's script defines `%s`, and this one does not", role, strings.Join(known, "` or `")).At(main, 0)
	default:
		return "", plugin.Errorf(CodeFunction, "it defines both `%s` and `%s`: keep one", found[0], found[1]).At(main, 0)
	}
}

// before is the name of a function by its signature.
func before(signature string) string {
	name, _, _ := strings.Cut(signature, "(")
	return name
}
