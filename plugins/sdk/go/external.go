// What lies outside the repository and is pinned in weir.lock: charts, bases of other repositories.

package plugin

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
)

// externals is where the host shows them in the tree.
const externals = ".weir/external/"

// ExternalPath is the directory in the tree where the files behind a reference lie, once weir.lock has it.
//
// References are `oci://HOST/PATH?version=..`, `helm+https://HOST/PATH?chart=..&version=..` and
// `git+https://HOST/PATH?ref=..`. One must be written the same way each time: the path is made of its text.
func ExternalPath(reference string) string {
	var path strings.Builder
	path.WriteString(externals)
	for i := range len(reference) {
		c := reference[i]
		plain := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._~+=@-", c) >= 0
		if plain {
			path.WriteByte(c)
		} else {
			fmt.Fprintf(&path, "%%%02X", c)
		}
	}
	return path.String()
}

// External is [ExternalPath], looked up: the error of a reference that weir.lock does not have is a [Diagnostic] of
// code not-locked that says what to run. Asking is also how `weir lock` learns of a reference.
func External(tree fs.FS, reference string) (string, error) {
	path := ExternalPath(reference)
	_, err := fs.ReadDir(tree, path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", Errorf("not-locked", "`%s` is not in weir.lock: run `weir lock` and commit the file", reference)
	case err != nil:
		return "", fmt.Errorf("%s: %w", reference, err)
	}
	return path, nil
}
