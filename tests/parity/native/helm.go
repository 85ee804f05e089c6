package main

import (
	"fmt"
	"log/slog"
	"path/filepath"

	"helm.sh/helm/v4/pkg/action"
	"helm.sh/helm/v4/pkg/chart"
	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/loader"
	chartv2 "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/cli/values"
	release "helm.sh/helm/v4/pkg/release/v1"
)

// helmConfig is what `helm template` takes as flags.
type helmConfig struct {
	Release   string `json:"release"`
	Namespace string `json:"namespace"`
	// Values are files, in order, relative to the chart where they are not absolute.
	Values []string `json:"values"`
	// Inline is a JSON object that goes over the files.
	Inline string `json:"inline"`
	// Set holds `path=value`, over all others.
	Set        []string `json:"set"`
	Kubernetes string   `json:"kubernetes"`
	APIs       []string `json:"apis"`
	SkipCRDs   bool     `json:"skipCrds"`
}

// hook is a chart's hook with what Helm read from its annotations.
type hook struct {
	Name     string   `json:"name"`
	Kind     string   `json:"kind"`
	Path     string   `json:"path"`
	Manifest string   `json:"manifest"`
	Events   []string `json:"events"`
	Weight   int      `json:"weight"`
	Policies []string `json:"policies,omitempty"`
}

// helm renders one chart as `helm template` does, through the same action.
func helm(dir string, config helmConfig) (answer, error) {
	install := action.NewInstall(action.NewConfiguration(action.ConfigurationSetLogger(slog.DiscardHandler)))
	install.DryRunStrategy = action.DryRunClient
	install.Replace = true
	install.ReleaseName = config.Release
	install.Namespace = config.Namespace
	install.APIVersions = common.VersionSet(config.APIs)
	if config.Kubernetes != "" {
		version, err := common.ParseKubeVersion(config.Kubernetes)
		if err != nil {
			return answer{}, fmt.Errorf("the Kubernetes version %q: %w", config.Kubernetes, err)
		}
		install.KubeVersion = version
	}
	options := values.Options{Values: config.Set}
	for _, file := range config.Values {
		if !filepath.IsAbs(file) {
			file = filepath.Join(dir, file)
		}
		options.ValueFiles = append(options.ValueFiles, file)
	}
	if config.Inline != "" {
		options.JSONValues = []string{config.Inline}
	}
	// No getters: a values file is a file here.
	merged, err := options.MergeValues(nil)
	if err != nil {
		return answer{}, err
	}
	loaded, err := load(dir)
	if err != nil {
		return answer{}, err
	}
	released, err := install.Run(loaded, merged)
	if err != nil {
		return answer{}, err
	}
	return answered(released, config)
}

// load reads a chart and refuses what `helm template` refuses before it renders.
func load(dir string) (chart.Charter, error) {
	loaded, err := loader.Load(dir)
	if err != nil {
		return nil, err
	}
	access, err := chart.NewAccessor(loaded)
	if err != nil {
		return nil, err
	}
	switch kind := access.MetadataAsMap()["Type"]; kind {
	case "", "application":
	default:
		return nil, fmt.Errorf("%s charts are not installable", kind)
	}
	if wanted := access.MetaDependencies(); len(wanted) > 0 {
		if err := action.CheckDependencies(loaded, wanted); err != nil {
			return nil, err
		}
	}
	return loaded, nil
}

func answered(released any, config helmConfig) (answer, error) {
	made, ok := released.(*release.Release)
	if !ok {
		return answer{}, fmt.Errorf("a release of an unknown form: %T", released)
	}
	done := answer{Output: made.Manifest}
	if !config.SkipCRDs {
		for _, crd := range crds(made.Chart) {
			done.CRDs = append(done.CRDs, string(crd.File.Data))
		}
	}
	for _, found := range made.Hooks {
		seen := hook{Name: found.Name, Kind: found.Kind, Path: found.Path, Manifest: found.Manifest, Weight: found.Weight}
		for _, event := range found.Events {
			seen.Events = append(seen.Events, event.String())
		}
		for _, policy := range found.DeletePolicies {
			seen.Policies = append(seen.Policies, policy.String())
		}
		done.Hooks = append(done.Hooks, seen)
	}
	return done, nil
}

// crds are those of the chart and of the subcharts that are switched on.
func crds(of *chartv2.Chart) []chartv2.CRD {
	if of == nil {
		return nil
	}
	return of.CRDObjects()
}
