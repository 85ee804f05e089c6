// Where in a script something was thrown.

package main

import (
	"regexp"
	"strconv"

	"github.com/grafana/sobek"
	"weir.dev/scripts/script"
)

// place puts a stack into a failure, innermost first. Functions of the language itself have no place.
func place(failure *script.Failure, frames []sobek.StackFrame) {
	var places []script.Place
	for i := range frames {
		at := frames[i].Position()
		if at.Filename == "" || at.Line == 0 {
			continue
		}
		in := frames[i].FuncName()
		if in == "<anonymous>" {
			in = ""
		}
		places = append(places, script.Place{File: at.Filename, Line: at.Line, Column: at.Column, In: in})
	}
	put(failure, places)
}

func put(failure *script.Failure, places []script.Place) {
	if len(places) == 0 {
		return
	}
	failure.At, failure.Stack = places[0], places
	if len(places) == 1 && places[0].In == "" {
		failure.Stack = nil
	}
}

// frame is a line of an error's `stack`: `at name (file:line:column(offset))`.
var frame = regexp.MustCompile(`(?m)^\s*at (?:(\S+) \()?([^\s()]+):(\d+):(\d+)\(\d+\)\)?$`)

// fromStack puts the `stack` of an error that was thrown in an async function into a failure.
func (r *run) fromStack(failure *script.Failure, thrown sobek.Value) {
	object, is := thrown.(*sobek.Object)
	if !is {
		return
	}
	text := object.Get("stack")
	if text == nil {
		return
	}
	var places []script.Place
	for _, found := range frame.FindAllStringSubmatch(text.String(), script.MaxFrames) {
		line, _ := strconv.Atoi(found[3])
		column, _ := strconv.Atoi(found[4])
		places = append(places, script.Place{File: found[2], Line: line, Column: column, In: found[1]})
	}
	put(failure, places)
}

// words are what a thrown value says: an error's name and message, or the value itself.
func words(thrown sobek.Value) string {
	if thrown == nil {
		return "it failed and does not say why"
	}
	return thrown.String()
}
