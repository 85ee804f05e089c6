// Which Kustomize this is.

package main

import (
	_ "unsafe" // For the link name below.

	_ "sigs.k8s.io/kustomize/api/provenance" // Where it leads.
)

// version is the release of the program `kustomize` that has the api module which go.mod names.
const version = "v5.8.1"

// provenanceVersion is what the label of `buildMetadata: [managedByLabel]` says. Releases set it with the linker's -X.
//
//go:linkname provenanceVersion sigs.k8s.io/kustomize/api/provenance.version
var provenanceVersion string
