// Words for the person who looks at a render. Never part of its result.

package plugin

import "fmt"

// Debug logs a detail. Long messages are cut, and past the call's budget they are dropped.
func Debug(format string, args ...any) { write(0, fmt.Sprintf(format, args...)) }

// Info logs what is worth knowing.
func Info(format string, args ...any) { write(1, fmt.Sprintf(format, args...)) }

// Warn logs what its author should change.
func Warn(format string, args ...any) { write(2, fmt.Sprintf(format, args...)) }
