// Command trees makes the trees that the parity suite renders, from the tests of Helm and Kustomize themselves.
//
// Nothing of theirs lies in this repository: it is read from Go's module cache, in the versions that go.mod names.
//
//	trees helm OUT        every chart of Helm's test data
//	trees kustomize OUT   every tree that Kustomize's own tests build
//
// OUT gets a folder for each tree, and cases.json, which lists what to build in them.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Case is one tree and what to build in it.
type Case struct {
	Name string `json:"name"`
	// Dir is the directory to build, relative to the tree; empty is the tree's root.
	Dir string `json:"dir"`
	// From is where it was found, for people.
	From string `json:"from"`
	// Skip is why it cannot be built alone.
	Skip string `json:"skip,omitempty"`
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "trees:", err)
		os.Exit(1)
	}
}

func run(arguments []string) error {
	if len(arguments) != 2 {
		return fmt.Errorf("expected `helm OUT` or `kustomize OUT`, found %q", arguments)
	}
	out, err := filepath.Abs(arguments[1])
	if err != nil {
		return err
	}
	if err := os.MkdirAll(out, 0o755); err != nil {
		return err
	}
	var cases []Case
	switch arguments[0] {
	case "helm":
		cases, err = helmCases(out)
	case "kustomize":
		cases, err = kustomizeCases(out)
	default:
		err = fmt.Errorf("`%s`: helm or kustomize expected", arguments[0])
	}
	if err != nil {
		return err
	}
	text, err := json.MarshalIndent(cases, "", " ")
	if err != nil {
		return err
	}
	skipped := 0
	for _, one := range cases {
		if one.Skip != "" {
			skipped++
		}
	}
	fmt.Printf("%s: %d trees, %d of them skipped\n", arguments[0], len(cases), skipped)
	return os.WriteFile(filepath.Join(out, "cases.json"), append(text, '\n'), 0o644)
}

// moduleDir is where Go keeps the sources of a module of this build.
func moduleDir(module string) (string, error) {
	list := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module)
	list.Stderr = os.Stderr
	dir, err := list.Output()
	if err != nil {
		return "", fmt.Errorf("go list -m %s: %w", module, err)
	}
	return strings.TrimSpace(string(dir)), nil
}
