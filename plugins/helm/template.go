// From a chart and its values to documents, in the order of `helm template`.

package main

import (
	"context"
	"fmt"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"
	"text/template"

	"helm.sh/helm/v4/pkg/chart/common"
	"helm.sh/helm/v4/pkg/chart/common/util"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	chartutil "helm.sh/helm/v4/pkg/chart/v2/util"
	"helm.sh/helm/v4/pkg/engine"
	release "helm.sh/helm/v4/pkg/release/v1"
	releaseutil "helm.sh/helm/v4/pkg/release/v1/util"
	"weir.dev/plugin"
)

// notes is the file that tells a person what was installed.
const notes = "NOTES.txt"

// renderChart is the chart's documents: custom resource definitions, then what the templates give, then hooks.
func renderChart(tree fs.FS, l loaded, values map[string]any, c config, target plugin.TargetFacts) ([]plugin.Document, error) {
	capabilities, err := capabilitiesOf(target)
	if err != nil {
		return nil, err
	}
	if err := chartutil.ProcessDependencies(l.chart, values); err != nil {
		return nil, l.failed("bad-chart", err)
	}
	if wanted := l.chart.Metadata.KubeVersion; wanted != "" && !chartutil.IsCompatibleRange(wanted, capabilities.KubeVersion.String()) {
		return nil, plugin.Errorf("kubernetes-version", "the chart wants Kubernetes %s, and the target has %s (weir.lock)", wanted, capabilities.KubeVersion.Version).At(l.file("Chart.yaml"), 0)
	}
	options := common.ReleaseOptions{
		Name: c.Release, Namespace: c.Namespace, Revision: 1, IsInstall: !c.IsUpgrade, IsUpgrade: c.IsUpgrade,
	}
	given, err := util.ToRenderValuesWithSchemaValidation(l.chart, values, options, capabilities, c.SkipSchemaValidation)
	if err != nil {
		return nil, l.invalid(err)
	}
	bytes, err := stableOf(tree)
	if err != nil {
		return nil, err
	}
	found, err := rendering{tree, l, given}.steady(bytes)
	if err != nil {
		return nil, err
	}
	var documents []plugin.Document
	if !c.SkipCRDs {
		for _, crd := range l.chart.CRDObjects() {
			documents = append(documents, plugin.Document{Origin: l.place(tree, crd.Filename), Body: crd.File.Data})
		}
	}
	for _, manifest := range found.manifests {
		// Helm ends each with a newline more, and so one is part of a text that keeps its last ones.
		manifest.Content += "\n"
		documents = append(documents, plugin.Document{Origin: l.place(tree, manifest.Name), Body: []byte(manifest.Content)})
	}
	for _, hook := range found.hooks {
		document, kept, err := hookDocument(hook)
		if err != nil {
			return nil, plugin.Errorf("bad-hook", "%s", rootCause(err)).At(l.place(tree, hook.Path), 0)
		}
		if kept {
			documents = append(documents, plugin.Document{Origin: l.place(tree, hook.Path), Body: document})
		}
	}
	return documents, nil
}

// capabilitiesOf are what templates see of the target: Helm's own list and what weir.lock has of it.
func capabilitiesOf(target plugin.TargetFacts) (*common.Capabilities, error) {
	version, err := common.ParseKubeVersion(target.Kubernetes)
	if err != nil {
		return nil, plugin.Errorf("bad-target", "target %s: %q is no version of Kubernetes: %s", target.Name, target.Kubernetes, err)
	}
	capabilities := common.DefaultCapabilities.Copy()
	capabilities.KubeVersion = *version
	capabilities.APIVersions = append(slices.Clone(capabilities.APIVersions), target.APIs...)
	return capabilities, nil
}

// rendering is one chart with all that its templates see.
type rendering struct {
	tree   fs.FS
	loaded loaded
	values common.Values
}

// results are what the templates gave, sorted as Helm does.
type results struct {
	manifests []releaseutil.Manifest
	hooks     []*release.Hook
}

// steady renders, and refuses a chart whose objects hold something random, where there are no stable bytes for it.
//
// Charts call random functions also where nothing comes of it: for notes, for tests, for a default that a value
// replaces. So what such a function gives is exchanged and the objects are compared; only a difference is refused.
func (r rendering) steady(bytes *stable) (results, error) {
	if bytes != nil {
		found, _, err := r.run(marked(r.loaded.chart), bytes.functions())
		return found, r.told(err)
	}
	first := newDraws(false)
	found, files, err := r.run(r.loaded.chart, first.functions())
	if !first.used {
		return found, r.told(err)
	}
	second, otherFiles, otherErr := r.run(r.loaded.chart, newDraws(true).functions())
	switch {
	case err != nil && otherErr != nil && isSameFailure(err, otherErr):
		return found, r.told(err)
	case otherErr != nil:
		return found, r.failsAtRandom(otherErr)
	case err != nil:
		return found, r.failsAtRandom(err)
	}
	differing := found.differing(second)
	if len(differing) == 0 {
		return found, nil
	}
	names := slices.Sorted(maps.Keys(differing))
	for _, name := range names {
		if files[name] == otherFiles[name] {
			continue
		}
		if refused := r.refusedIn(only(r.loaded.chart, name)); refused != nil {
			return found, r.refusal(refused, name)
		}
	}
	return found, r.refusal(nil, names[0])
}

// refusedIn is the error of the first random function that a chart calls; nil where it calls none.
func (r rendering) refusedIn(c *chart.Chart) error {
	_, _, err := r.run(c, refusing().functions())
	if err != nil && strings.Contains(err.Error(), notTheSame) {
		return err
	}
	return nil
}

// failsAtRandom is the refusal of a chart that fails with one answer of its random functions and not with another.
func (r rendering) failsAtRandom(err error) error {
	name := failedIn(err)
	for _, c := range []*chart.Chart{only(r.loaded.chart, name), r.loaded.chart} {
		if refused := r.refusedIn(c); refused != nil {
			return r.refusal(refused, name)
		}
	}
	return r.refusal(nil, name)
}

// told is an error of a run as a diagnostic.
func (r rendering) told(err error) error {
	if err == nil {
		return nil
	}
	return r.loaded.templateFailed(r.tree, err)
}

// run renders a chart's templates with these random functions. An error is as the engine has it.
func (r rendering) run(c *chart.Chart, functions template.FuncMap) (results, map[string]string, error) {
	e := engine.Engine{CustomTemplateFuncs: inOrder(functions)}
	files, err := e.RenderWithContext(context.Background(), c, r.values)
	if err != nil {
		return results{}, nil, err
	}
	maps.DeleteFunc(files, func(name, _ string) bool { return strings.HasSuffix(name, notes) })
	hooks, manifests, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return results{}, nil, err
	}
	return results{manifests, hooks}, files, nil
}

// differing are the templates whose kept documents are not the same in both.
func (f results) differing(other results) map[string]bool {
	names := map[string]bool{}
	mine, theirs := f.kept(), other.kept()
	for name, text := range mine {
		if theirs[name] != text {
			names[name] = true
		}
	}
	for name := range theirs {
		if _, ok := mine[name]; !ok {
			names[name] = true
		}
	}
	return names
}

// kept is the text of all documents of each template that reach the target.
func (f results) kept() map[string]string {
	texts := map[string]string{}
	for _, manifest := range f.manifests {
		texts[manifest.Name] += "\n---\n" + manifest.Content
	}
	for _, hook := range f.hooks {
		if phaseOf(hook) != "" {
			texts[hook.Path] += "\n---\n" + hook.Manifest
		}
	}
	return texts
}

// only is a chart with one template, and all that templates include.
func only(c *chart.Chart, name string) *chart.Chart {
	copied := *c
	copied.Templates = nil
	for _, file := range c.Templates {
		full := path.Join(c.ChartFullPath(), file.Name)
		if full == name || strings.HasPrefix(path.Base(file.Name), "_") {
			copied.Templates = append(copied.Templates, file)
		}
	}
	subs := make([]*chart.Chart, 0, len(c.Dependencies()))
	for _, sub := range c.Dependencies() {
		subs = append(subs, only(sub, name))
	}
	copied.SetDependencies()
	copied.AddDependency(subs...)
	return &copied
}

// file is a path in the chart's own directory, in the tree.
func (l loaded) file(inside string) string {
	if l.archived {
		return l.dir
	}
	return path.Join(l.dir, inside)
}

// place is the tree's path of a template, whose name Helm begins with the charts' names.
func (l loaded) place(tree fs.FS, name string) string {
	inside := strings.TrimPrefix(name, l.chart.ChartFullPath()+"/")
	best, dir := "", ""
	for full, at := range l.elsewhere {
		if strings.HasPrefix(name, full+"/") && len(full) > len(best) {
			best, dir = full, at
		}
	}
	if best != "" {
		return path.Join(dir, strings.TrimPrefix(name, best+"/"))
	}
	file := l.file(inside)
	for !l.archived && file != l.dir {
		if _, err := fs.Stat(tree, file); err == nil {
			return file
		}
		// A subchart in an archive, or under an alias: the closest that there is.
		file = path.Dir(file)
	}
	return l.dir
}

func (l loaded) failed(code string, err error) error {
	return plugin.Errorf(code, "%s", rootCause(err)).At(l.file("Chart.yaml"), 0)
}

func (l loaded) invalid(err error) error {
	return plugin.Errorf("bad-values", "%s", strings.TrimSpace(fmt.Sprint(err))).At(l.file("values.schema.json"), 0)
}
