// Package v1 has its versions in the list of the client-go stub.
package v1

// AddToScheme adds nothing.
func AddToScheme(any) error { return nil }
