// Helm's hooks as Weir's annotations: a wave before or after the chart's own objects.

package main

import (
	"strconv"
	"strings"

	release "helm.sh/helm/v4/pkg/release/v1"
	"sigs.k8s.io/yaml"
)

// What Weir reads of a hook.
const (
	hookAnnotation         = "weir.dev/hook"
	waveAnnotation         = "weir.dev/wave"
	weightAnnotation       = "weir.dev/hook-weight"
	deletePolicyAnnotation = "weir.dev/hook-delete-policy"
)

// waves are the waves of the two phases: before and after everything that says none.
var waves = map[string]string{"pre": "-1", "post": "1"}

// phaseOf is `pre` or `post`; empty for a hook of tests, deletions and rollbacks, which Weir does not run.
func phaseOf(hook *release.Hook) string {
	phase := ""
	for _, event := range hook.Events {
		switch event {
		case release.HookPreInstall, release.HookPreUpgrade:
			return "pre"
		case release.HookPostInstall, release.HookPostUpgrade:
			phase = "post"
		}
	}
	return phase
}

// hookDocument is a hook's object with Weir's annotations in the place of Helm's, and whether it is kept at all.
func hookDocument(hook *release.Hook) ([]byte, bool, error) {
	phase := phaseOf(hook)
	if phase == "" {
		return nil, false, nil
	}
	var object map[string]any
	if err := yaml.Unmarshal([]byte(hook.Manifest), &object); err != nil {
		return nil, false, err
	}
	metadata, _ := object["metadata"].(map[string]any)
	annotations, _ := metadata["annotations"].(map[string]any)
	if annotations == nil {
		// Helm found the hook's annotation in it.
		return []byte(hook.Manifest), true, nil
	}
	for _, theirs := range []string{release.HookAnnotation, release.HookWeightAnnotation, release.HookDeleteAnnotation} {
		delete(annotations, theirs)
	}
	annotations[hookAnnotation] = phase
	annotations[waveAnnotation] = waves[phase]
	annotations[weightAnnotation] = strconv.Itoa(hook.Weight)
	if len(hook.DeletePolicies) > 0 {
		policies := make([]string, len(hook.DeletePolicies))
		for i, policy := range hook.DeletePolicies {
			policies[i] = policy.String()
		}
		annotations[deletePolicyAnnotation] = strings.Join(policies, ",")
	}
	document, err := yaml.Marshal(object)
	return document, true, err
}
