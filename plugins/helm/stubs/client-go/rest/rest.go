// Package rest has the one type that Helm's engine names.
package rest

// Config is how to reach a cluster. There is none.
type Config struct{}
