// Helm's errors as diagnostics: which file of the repository, which line, what to do.

package main

import (
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"weir.dev/plugin"
)

var (
	// templatePlace is `chart/templates/file.yaml:12:3` in the engine's messages.
	templatePlace = regexp.MustCompile(`([\w.+-]+(?:/[\w.+ -]+)*/templates/[\w./+-]+):(\d+)`)
	// yamlPlace is `YAML parse error on chart/templates/file.yaml`.
	yamlPlace = regexp.MustCompile(`parse error on ([^\s:]+)`)
	// yamlLine is `line 12` in a YAML reader's message.
	yamlLine = regexp.MustCompile(`line (\d+)`)
	// valuePath is a value that a template reads.
	valuePath = regexp.MustCompile(`\.Values((?:\.\w+)+)`)
)

// rootCause is an error's text without what helps only Helm's own developers.
func rootCause(err error) string {
	text := strings.TrimSpace(err.Error())
	return strings.TrimPrefix(text, "error converting YAML to JSON: ")
}

// lineOf is the line that a YAML error names; 0 where it names none.
func lineOf(err error) uint32 {
	if found := yamlLine.FindStringSubmatch(err.Error()); found != nil {
		return number(found[1])
	}
	return 0
}

func number(text string) uint32 {
	n, err := strconv.ParseUint(text, 10, 32)
	if err != nil {
		return 0
	}
	return uint32(n)
}

// templateFailed is an error of the engine at the place where it came about: the innermost template that it names.
func (l loaded) templateFailed(tree fs.FS, err error) error {
	text := rootCause(err)
	if found := templatePlace.FindAllStringSubmatch(text, -1); found != nil {
		last := found[len(found)-1]
		return plugin.Errorf("template", "%s", oneLine(text)).At(l.place(tree, last[1]), l.lineIn(tree, last[1], last[2]))
	}
	if found := yamlPlace.FindStringSubmatch(text); found != nil {
		// The line is one of what the template gave, not of the template.
		return plugin.Errorf("template", "%s", oneLine(text)).At(l.place(tree, found[1]), 0)
	}
	return plugin.Errorf("template", "%s", oneLine(text)).At(l.file("Chart.yaml"), 0)
}

// failedIn is the outermost template that an error of the engine names; empty where it names none.
func failedIn(err error) string {
	for _, place := range []*regexp.Regexp{templatePlace, yamlPlace} {
		if found := place.FindStringSubmatch(err.Error()); found != nil {
			return found[1]
		}
	}
	return ""
}

// isSameFailure says of two errors whether they are one: with the same words, or at the same places.
func isSameFailure(one, other error) bool {
	places := templatePlace.FindAllString(one.Error(), -1)
	return one.Error() == other.Error() || len(places) > 0 && slices.Equal(places, templatePlace.FindAllString(other.Error(), -1))
}

// lineIn is a template's line, where the template is a file of the tree.
func (l loaded) lineIn(tree fs.FS, name, line string) uint32 {
	file := l.place(tree, name)
	if !strings.HasSuffix(file, name[strings.LastIndex(name, "/"):]) {
		return 0
	}
	return number(line)
}

// oneLine joins the lines of the engine's trace, outermost first.
func oneLine(text string) string {
	var parts []string
	for line := range strings.Lines(text) {
		if line = strings.TrimSpace(line); line != "" {
			parts = append(parts, line)
		}
	}
	return strings.Join(parts, " | ")
}

// refusal is about a template whose objects hold something random; err is from a render that refuses it, if one did.
func (r rendering) refusal(err error, name string) error {
	what, at, line := "a random function", name, ""
	if err != nil {
		text := err.Error()
		for _, function := range random {
			if strings.Contains(text, ": "+function+notTheSame) {
				what = "`" + function + "`"
			}
		}
		if found := templatePlace.FindStringSubmatch(text); found != nil {
			at, line = found[1], found[2]
		}
	}
	instead := "set the value that the chart takes instead of making one"
	if near := r.valuesNear(at, number(line)); len(near) > 0 {
		instead += ", such as " + strings.Join(near, " or ")
	}
	instead += "; or give the plugin bytes that stay the same, with `grants: { random: stable }` in weir.yaml"
	return plugin.Errorf("random", "%s gives other text at each render, and the same commit must give the same bytes: %s", what, instead).
		At(r.loaded.place(r.tree, at), r.loaded.lineIn(r.tree, at, line))
}

// around is how many lines before and after the place are looked at for values.
const around = 6

// valuesNear are the values that a template reads around a line, closest first; at most three.
func (r rendering) valuesNear(name string, line uint32) []string {
	content, err := fs.ReadFile(r.tree, r.loaded.place(r.tree, name))
	if err != nil || line == 0 {
		return nil
	}
	lines := strings.Split(string(content), "\n")
	var near []string
	for away := range around + 1 {
		for _, at := range []int{int(line) - 1 - away, int(line) - 1 + away} {
			if at < 0 || at >= len(lines) {
				continue
			}
			for _, found := range valuePath.FindAllStringSubmatch(lines[at], -1) {
				if value := "`" + found[1][1:] + "`"; !slices.Contains(near, value) {
					near = append(near, value)
				}
			}
		}
	}
	return near[:min(len(near), 3)]
}

// inChart says of a diagnostic without a place that it is about a chart.
func inChart(err error, dir string) error {
	if diagnostic, is := err.(plugin.Diagnostic); is && diagnostic.Path == "" {
		return diagnostic.At(path.Join(dir, "Chart.yaml"), 0)
	}
	return err
}
