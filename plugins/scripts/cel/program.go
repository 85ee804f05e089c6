// One expression: compiled, evaluated, and its errors at their place.

package main

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"weir.dev/plugin"
	"weir.dev/scripts/script"
)

// expression is one that was compiled.
type expression struct {
	text string
	// name says which one it is, such as `rules[0].expression`.
	name string
	from *source
	ast  *cel.Ast
	cel.Program
}

// compile is an expression; nothing where there is no text.
func (s *source) compile(name, text string) (*expression, error) {
	if text == "" {
		return nil, nil
	}
	e := &expression{text: text, name: name, from: s}
	ast, issues := env.Parse(text)
	if issues.Err() == nil {
		inOrder(ast.NativeRep())
		ast, issues = env.Check(ast)
	}
	if issues.Err() != nil {
		first := issues.Errors()[0]
		message := first.Message
		if more := len(issues.Errors()) - 1; more > 0 {
			message += fmt.Sprintf(" (and %d more errors)", more)
		}
		return nil, e.failure(script.CodeSyntax, message, first.Location)
	}
	program, err := env.Program(ast, cel.EvalOptions(cel.OptOptimize))
	if err != nil {
		return nil, e.failure(script.CodeSyntax, err.Error(), nil)
	}
	e.ast, e.Program = ast, program
	return e, nil
}

// value is what the expression comes to.
func (e *expression) value(given map[string]any) (ref.Val, error) {
	value, _, err := e.Eval(given)
	if err == nil {
		return value, nil
	}
	return nil, e.failed(err)
}

// failed is an error of an evaluation at its place.
func (e *expression) failed(err error) plugin.Diagnostic {
	if said, is := script.Said(err); is {
		return said
	}
	var at common.Location
	var inside *types.Err
	if errors.As(err, &inside) && inside.NodeID() != 0 {
		at = e.ast.NativeRep().SourceInfo().GetStartLocation(inside.NodeID())
	}
	return e.failure(script.CodeScript, err.Error(), at)
}

// useless is an expression that gives what nobody can use.
func (e *expression) useless(format string, args ...any) plugin.Diagnostic {
	return e.failure(script.CodeScript, fmt.Sprintf(format, args...), nil)
}

// failure is what is wrong, with the place in the file where that is known, and in the expression otherwise.
func (e *expression) failure(code, message string, at common.Location) plugin.Diagnostic {
	line, column := 0, 0
	if at != nil && at.Line() > 0 {
		line, column = at.Line(), at.Column()+1
	}
	place := script.Place{File: e.from.file}
	if e.from.isExpression {
		place.Line, place.Column = line, column
		return script.Failure{Code: code, Message: message, At: place}.Diagnostic()
	}
	prefix := e.name
	if e.from.file == "" {
		prefix = "config." + prefix
	}
	if start := e.from.find(e.text); start.Line > 0 {
		place = start
		if line > 0 {
			place.Line += line - 1
		}
		switch {
		case line == 1 && start.Column > 0:
			place.Column = start.Column + column - 1
		case line == 0:
			place.Column = 0
		default:
			place.Column = e.from.indentation(place.Line) + column
		}
	} else if line > 0 {
		prefix += fmt.Sprintf(" at %d:%d", line, column)
	}
	return script.Failure{Code: code, Message: prefix + ": " + message, At: place}.Diagnostic()
}

// find is where a text begins in the file, where it stands there as it is: not across the lines of a folded text. Its lines
// may be indented. Where it stands twice, nobody knows which one is meant, and there is no line; where it is all of a value once, a
// part of another value is not meant.
func (s *source) find(text string) script.Place {
	wanted := strings.Split(strings.TrimRight(text, "\n"), "\n")
	lines := strings.Split(s.text, "\n")
	var whole, part places
	for i, line := range lines {
		if wanted[0] == "" || i+len(wanted) > len(lines) || !continues(lines[i+1:], wanted[1:]) {
			continue
		}
		for at, from := strings.Index(line, wanted[0]), 0; at >= 0; at = strings.Index(line[from:], wanted[0]) {
			at, from = from+at, from+at+len(wanted[0])
			if isValue(line[:at], line[from:]) {
				whole.add(i, at)
			} else {
				part.add(i, at)
			}
		}
	}
	only := whole
	if whole.count == 0 {
		only = part
	}
	if only.count != 1 {
		return script.Place{File: s.file}
	}
	return script.Place{File: s.file, Line: only.line + 1, Column: utf8.RuneCountInString(lines[only.line][:only.at]) + 1}
}

// places are where something stands the last time, and how often it does.
type places struct{ count, line, at int }

func (f *places) add(line, at int) { *f = places{f.count + 1, line, at} }

// isValue says of a text whether it is all of a value of YAML, by what stands before and after it in its line.
func isValue(before, after string) bool {
	for _, quote := range []string{`"`, `'`} {
		if inside, is := strings.CutSuffix(before, quote); is && strings.HasPrefix(after, quote) {
			before, after = inside, after[1:]
			break
		}
	}
	before, after = strings.TrimRight(before, " "), strings.TrimLeft(after, " \r")
	begins := before == "" || strings.ContainsAny(before[len(before)-1:], ":-[{,")
	ends := after == "" || strings.ContainsAny(after[:1], ",]}#")
	return begins && ends
}

func continues(lines, wanted []string) bool {
	for i, want := range wanted {
		if strings.TrimSpace(lines[i]) != strings.TrimSpace(want) {
			return false
		}
	}
	return true
}

// indentation is how far a line of the file is from its margin beyond what the text itself has, as far as that can be told.
func (s *source) indentation(line int) int {
	lines := strings.Split(s.text, "\n")
	if line < 1 || line > len(lines) {
		return 0
	}
	return len(lines[line-1]) - len(strings.TrimLeft(lines[line-1], " "))
}
