// The keys of an app's `render.config`, each the counterpart of a flag of `helm template`.

package main

import (
	"path"
	"strings"

	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"weir.dev/plugin"
)

// config is what an app says. Paths are relative to the app's path; one that begins with `/` is the repository's.
type config struct {
	// Chart is the chart's directory or archive; with a repository, its name there.
	Chart string `json:"chart"`
	// Repository is where a chart comes from that is not in this repository: https://HOST/PATH or oci://HOST/PATH.
	Repository string `json:"repository"`
	// Version is which version of it, as a constraint; empty is the newest.
	Version string `json:"version"`
	// Release is .Release.Name; the app's name where it is left out.
	Release string `json:"release"`
	// Namespace is .Release.Namespace; the app's namespace, or else `default`, where it is left out.
	Namespace string `json:"namespace"`
	// Values are files, of which a later one wins.
	Values []string `json:"values"`
	// IgnoreMissingValues lets files be left out that are not there.
	IgnoreMissingValues bool `json:"ignoreMissingValues"`
	// Inline are values in the manifest itself; they win over the files.
	Inline map[string]any `json:"inline"`
	// SetJSON, Set, SetString, SetFile and SetLiteral are `path=value` texts by Helm's rules, in this order.
	SetJSON    []string `json:"setJson"`
	Set        []string `json:"set"`
	SetString  []string `json:"setString"`
	SetFile    []string `json:"setFile"`
	SetLiteral []string `json:"setLiteral"`
	// SkipCRDs leaves out the objects of `crds/`.
	SkipCRDs bool `json:"skipCrds"`
	// SkipSchemaValidation leaves values.schema.json alone.
	SkipSchemaValidation bool `json:"skipSchemaValidation"`
	// IsUpgrade makes .Release.IsUpgrade true and .Release.IsInstall false.
	IsUpgrade bool `json:"isUpgrade"`
}

func readConfig(p plugin.Params) (config, error) {
	var c config
	if err := p.Decode(&c); err != nil {
		return c, err
	}
	if c.Release == "" {
		c.Release = p.App
	}
	if err := chartutil.ValidateReleaseName(c.Release); err != nil {
		return c, plugin.Errorf("bad-config", "config.release: %q is no release name: expected at most 53 of a-z, 0-9, `-` and `.`, beginning and ending with a letter or digit", c.Release)
	}
	if c.Namespace == "" {
		c.Namespace = p.Namespace
	}
	if c.Namespace == "" {
		c.Namespace = "default"
	}
	if c.Version != "" && c.Repository == "" {
		return c, plugin.Errorf("bad-config", "config.version: it is about a chart of a repository, and config.repository is not set: a chart in this repository has the version that it has")
	}
	if c.Repository != "" && c.Chart == "" {
		return c, plugin.Errorf("bad-config", "config.chart: with config.repository it is the chart's name there, and it is not set")
	}
	return c, nil
}

// located is a path of the config in the tree's terms.
func located(p plugin.Params, key, name string) (string, error) {
	joined := path.Join(p.Path, name)
	if inside, rooted := strings.CutPrefix(name, "/"); rooted {
		joined = path.Clean(inside)
	}
	if joined == ".." || strings.HasPrefix(joined, "../") {
		return "", plugin.Errorf("bad-config", "config.%s: %q leads out of the repository", key, name)
	}
	if joined == "" {
		return ".", nil
	}
	return joined, nil
}
