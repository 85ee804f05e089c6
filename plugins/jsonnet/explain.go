// Jsonnet's errors as diagnostics: what is wrong, and the file and line.

package main

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/google/go-jsonnet"
	"github.com/google/go-jsonnet/ast"
	"weir.dev/plugin"
)

// errorKeeper keeps an error as it is, where the library would make text of it.
type errorKeeper struct{ kept error }

var _ jsonnet.ErrorFormatter = (*errorKeeper)(nil)

// Format keeps the error.
func (k *errorKeeper) Format(err error) string {
	k.kept = err
	return err.Error()
}

// SetMaxStackTraceSize is of no use here.
func (*errorKeeper) SetMaxStackTraceSize(int) {}

// SetColorFormatter is of no use here.
func (*errorKeeper) SetColorFormatter(jsonnet.ColorFormatter) {}

// inImport is a message that begins with a place.
var inImport = regexp.MustCompile(`(?s)^(\S+?):\(?(\d+):\d+\S* (.*)$`)

// callers is how many calls are told of an error.
const callers = 4

// explain is an error at the innermost place that is in a file of the tree. The files that were read say whether what looks like a
// place in a message is one: a program's own words may look like one, too.
func explain(err error, file string, read map[string]*jsonnet.Contents) error {
	var runtime jsonnet.RuntimeError
	if errors.As(err, &runtime) {
		var places []ast.LocationRange
		// The library has the outermost call first.
		for i := len(runtime.StackTrace) - 1; i >= 0; i-- {
			if place := runtime.StackTrace[i].Loc; isInFile(place) {
				places = append(places, place)
			}
		}
		// What cannot be parsed in an imported file comes as the words of whoever imports it.
		if found := inImport.FindStringSubmatch(runtime.Msg); found != nil && read[found[1]] != nil {
			place := ast.LocationRange{FileName: found[1]}
			if line, err := strconv.Atoi(found[2]); err == nil {
				place.Begin.Line = line
				return told(found[3], append([]ast.LocationRange{place}, places...), file)
			}
		}
		return told(runtime.Msg, places, file)
	}
	var static interface{ Loc() ast.LocationRange }
	if errors.As(err, &static) && isInFile(static.Loc()) {
		place := static.Loc()
		message := strings.TrimSpace(strings.TrimPrefix(err.Error(), place.String()))
		return told(message, []ast.LocationRange{place}, file)
	}
	return told(err.Error(), nil, file)
}

// isInFile says that a place is in a file, and not in the standard library or a value of the config.
func isInFile(place ast.LocationRange) bool {
	return place.IsSet() && place.FileName != "" && !strings.HasPrefix(place.FileName, "<")
}

func told(message string, places []ast.LocationRange, file string) error {
	if len(places) == 0 {
		return plugin.Errorf("jsonnet", "%s", message).At(file, 0)
	}
	var calls strings.Builder
	last := ""
	for _, place := range places[1:] {
		call := fmt.Sprintf("%s:%d", place.FileName, place.Begin.Line)
		if call == last {
			continue
		}
		last = call
		if strings.Count(calls.String(), "; called from ") == callers {
			calls.WriteString("; and further")
			break
		}
		calls.WriteString("; called from " + call)
	}
	return plugin.Errorf("jsonnet", "%s%s", message, calls.String()).At(places[0].FileName, uint32(places[0].Begin.Line))
}
