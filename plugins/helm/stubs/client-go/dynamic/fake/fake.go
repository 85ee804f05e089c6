// Package fake is what Helm's own tests import: without it `go mod tidy` does not end well.
package fake
