// Words for the person who looks at a render. Never part of its result.

package plugin

import (
	"fmt"
	"strings"
)

// Debug logs a detail. Long messages are cut, and past the call's budget they are dropped.
func Debug(format string, args ...any) { write(0, words(format, args)) }

// Info logs what is worth knowing.
func Info(format string, args ...any) { write(1, words(format, args)) }

// Warn logs what its author should change.
func Warn(format string, args ...any) { write(2, words(format, args)) }

// words are text as the host takes it: what is no UTF-8 is shown as U+FFFD, since a string that is none would end the call.
func words(format string, args []any) string {
	return strings.ToValidUTF8(fmt.Sprintf(format, args...), "\ufffd")
}
