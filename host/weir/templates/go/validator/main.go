// Finds fault with every container image that is not pinned by a digest.
package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"weir.dev/plugin"
	"weir.dev/plugin/validator"
)

func init() { validator.Export(validate) }

func main() {}

// config is what `config` may hold in weir.yaml. A key that is not here is an error that names it.
type config struct {
	// Allow are beginnings of images that need no digest.
	Allow []string `json:"allow"`
}

// pod is what is looked at of a pod's spec.
type pod struct {
	InitContainers []struct{ Image string } `json:"initContainers"`
	Containers     []struct{ Image string } `json:"containers"`
}

// template is where most kinds keep their pod.
type template struct {
	Spec struct {
		pod
		Template struct{ Spec pod } `json:"template"`
	} `json:"spec"`
}

// object is what is looked at of an object.
type object struct {
	Spec struct {
		pod
		Template    struct{ Spec pod } `json:"template"`
		JobTemplate template           `json:"jobTemplate"`
	} `json:"spec"`
}

func validate(objects []json.RawMessage, p plugin.Params) ([]plugin.Finding, error) {
	var config config
	if err := p.Decode(&config); err != nil {
		return nil, err
	}
	var findings []plugin.Finding
	for i, bytes := range objects {
		var object object
		if err := json.Unmarshal(bytes, &object); err != nil {
			return nil, err
		}
		index := uint32(i)
		look := func(at string, pod pod) {
			check := func(list string, containers []struct{ Image string }) {
				for n, container := range containers {
					if pinned(container.Image, config.Allow) {
						continue
					}
					findings = append(findings, plugin.Finding{
						Level: plugin.LevelError, Code: "image-not-pinned", Object: &index,
						Message: fmt.Sprintf("the image %q has no digest: pin it as NAME@sha256:...", container.Image),
						Path:    fmt.Sprintf("%s/%s/%d/image", at, list, n),
					})
				}
			}
			check("initContainers", pod.InitContainers)
			check("containers", pod.Containers)
		}
		look("/spec", object.Spec.pod)
		look("/spec/template/spec", object.Spec.Template.Spec)
		look("/spec/jobTemplate/spec/template/spec", object.Spec.JobTemplate.Spec.Template.Spec)
	}
	return findings, nil
}

func pinned(image string, allow []string) bool {
	for _, prefix := range allow {
		if strings.HasPrefix(image, prefix) {
			return true
		}
	}
	return strings.Contains(image, "@sha256:")
}
