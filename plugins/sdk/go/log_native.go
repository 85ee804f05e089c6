// The log in native tests: standard error.

//go:build !wasip1

package plugin

import (
	"fmt"
	"os"
)

func write(severity uint32, message string) {
	fmt.Fprintln(os.Stderr, [...]string{"debug:", "info:", "warn:"}[severity], message)
}
