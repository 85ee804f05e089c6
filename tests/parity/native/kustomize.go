package main

import (
	"sigs.k8s.io/kustomize/api/krusty"
	"sigs.k8s.io/kustomize/kyaml/filesys"
)

// kustomize builds one directory as `kustomize build` does without flags.
func kustomize(dir string) (string, error) {
	options := krusty.MakeDefaultOptions()
	// The program tells "no order was asked for" from "none"; only then does it sort as it always did.
	options.Reorder = krusty.ReorderOptionUnspecified
	built, err := krusty.MakeKustomizer(options).Run(filesys.MakeFsOnDisk(), dir)
	if err != nil {
		return "", err
	}
	yaml, err := built.AsYaml()
	return string(yaml), err
}
