// Which functions there are: a new one of Sprig's has to be looked at before it is let in.

package main

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/Masterminds/sprig/v3"
)

// What is new may draw random numbers: then it belongs into `random`, and otherwise into this list.
func TestSprigHasTheFunctionsThatWereLookedAt(t *testing.T) {
	text, err := os.ReadFile("testdata/sprig.txt")
	if err != nil {
		t.Fatal(err)
	}
	looked := strings.Fields(string(text))
	var there []string
	for name := range sprig.TxtFuncMap() {
		there = append(there, name)
	}
	slices.Sort(there)
	if !slices.Equal(there, looked) {
		t.Errorf("Sprig has\n%s\nand testdata/sprig.txt has\n%s", strings.Join(there, "\n"), strings.Join(looked, "\n"))
	}
	for _, name := range random {
		if !slices.Contains(there, name) {
			t.Errorf("%s is not Sprig's", name)
		}
	}
}
