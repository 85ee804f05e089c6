// Kustomize's errors as diagnostics: what happened, where, and what to do where Kustomize names a flag.

package main

import (
	"regexp"
	"strings"

	"weir.dev/plugin"
)

// waysOut are errors that tell to change what the sandbox does not have.
var waysOut = []struct{ sign, code, instead string }{
	{"unable to load external plugin", "not-in-the-sandbox", "plugins of Kustomize that run a program are refused: use a built-in one, or a transformer in weir.yaml"},
	{"external plugins disabled", "not-in-the-sandbox", "plugins of Kustomize that run a program are refused: use a built-in one, or a transformer in weir.yaml"},
	{"--enable-helm", "not-in-the-sandbox", "Kustomize runs the program helm for it: " + helmInstead},
	{"--enable-alpha-plugins", "not-in-the-sandbox", "functions that run a program or a container are refused: use a built-in one, or a transformer in weir.yaml"},
	{"security; file", "outside-the-root", "a kustomization reads files of its own directory and below: move the file, or make its directory a base"},
	{"is not in or below", "outside-the-root", "a kustomization reads files of its own directory and below: move the file, or make its directory a base"},
}

// place is a path that Kustomize names.
var place = regexp.MustCompile(`'/|"/| /`)

// explain is an error of Kustomize about a kustomization file. Its paths begin at the repository's root.
func explain(err error, file string) error {
	text := place.ReplaceAllStringFunc(strings.TrimSpace(err.Error()), func(found string) string { return found[:1] })
	for _, way := range waysOut {
		if strings.Contains(text, way.sign) {
			return plugin.Errorf(way.code, "%s (Kustomize says: %s)", way.instead, text).At(file, 0)
		}
	}
	return plugin.Errorf("kustomize", "%s", text).At(file, 0)
}
