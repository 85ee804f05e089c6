// From the tree to a chart with its dependencies.

package main

import (
	"bytes"
	"errors"
	"io/fs"
	"net/url"
	"path"
	"strings"

	"helm.sh/helm/v4/pkg/chart/loader/archive"
	chart "helm.sh/helm/v4/pkg/chart/v2"
	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/ignore"
	"sigs.k8s.io/yaml"
	"weir.dev/plugin"
)

// maxDepth is how deep charts may depend on one another, so that two that name each other end.
const maxDepth = 20

// loaded is a chart and where its files lie.
type loaded struct {
	chart *chart.Chart
	// dir is its directory in the tree; an archive's path for one.
	dir string
	// archived says that it is an archive.
	archived bool
	// elsewhere are the directories of dependencies that do not lie in `charts/`, by their path among the charts.
	elsewhere map[string]string
}

var byteOrderMark = []byte{0xEF, 0xBB, 0xBF}

// loadApp is the chart that an app names.
func loadApp(tree fs.FS, p plugin.Params, c config) (loaded, error) {
	var at string
	var err error
	if c.Repository != "" {
		at, err = external(tree, c.Repository, c.Chart, c.Version)
	} else {
		at, err = located(p, "chart", c.Chart)
	}
	if err != nil {
		return loaded{}, err
	}
	l, err := load(tree, at, 0)
	if err != nil {
		return l, err
	}
	metadata := l.chart.Metadata
	if kind := metadata.Type; kind != "" && kind != "application" {
		return l, plugin.Errorf("not-installable", "%s is a %s chart, and only application charts are rendered by themselves: name it as a dependency", metadata.Name, kind).At(path.Join(at, "Chart.yaml"), 0)
	}
	if metadata.Deprecated {
		plugin.Warn("%s: the chart is deprecated", at)
	}
	return l, nil
}

// load is the chart at a path of the tree, a directory or an archive, with all that it depends on.
func load(tree fs.FS, at string, depth int) (loaded, error) {
	l := loaded{dir: at, elsewhere: map[string]string{}}
	if depth > maxDepth {
		return l, plugin.Errorf("too-deep", "charts depend on one another more than %d deep: does one depend on itself?", maxDepth).At(path.Join(at, "Chart.yaml"), 0)
	}
	files, err := l.files(tree)
	if err != nil {
		return l, err
	}
	l.chart, err = loader.LoadFiles(files)
	// Only then: a chart whose file says v3 has it in its metadata, if it was loaded at all.
	if err != nil || l.chart.Metadata.APIVersion == "v3" {
		if refused := isRendered(files, at); refused != nil {
			return l, refused
		}
	}
	if err != nil {
		return l, plugin.Errorf("bad-chart", "%s", rootCause(err)).At(path.Join(at, "Chart.yaml"), 0)
	}
	return l, l.complete(tree, l.chart, at, depth)
}

// files are the chart's own, without what .helmignore names.
func (l *loaded) files(tree fs.FS) ([]*archive.BufferedFile, error) {
	if content, err := fs.ReadFile(tree, l.dir); err == nil {
		l.archived = true
		files, err := archive.LoadArchiveFiles(bytes.NewReader(content))
		if err != nil {
			return nil, plugin.Errorf("bad-chart", "the archive cannot be read: %s", rootCause(err)).At(l.dir, 0)
		}
		return files, nil
	}
	if _, err := fs.ReadFile(tree, path.Join(l.dir, "Chart.yaml")); errors.Is(err, fs.ErrNotExist) {
		return nil, plugin.Errorf("no-chart", "%s: there is no Chart.yaml in it, or it is outside the app's roots: expected the directory of a chart, or an archive", l.dir).At(path.Join(l.dir, "Chart.yaml"), 0)
	}
	rules := ignore.Empty()
	if content, err := fs.ReadFile(tree, path.Join(l.dir, ignore.HelmIgnore)); err == nil {
		if rules, err = ignore.Parse(bytes.NewReader(content)); err != nil {
			return nil, plugin.Errorf("bad-chart", "%s", rootCause(err)).At(path.Join(l.dir, ignore.HelmIgnore), 0)
		}
	}
	rules.AddDefaults()
	var files []*archive.BufferedFile
	err := fs.WalkDir(tree, l.dir, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == l.dir {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		inside := name
		if l.dir != "." {
			inside = strings.TrimPrefix(name, l.dir+"/")
		}
		switch ignored := rules.Ignore(inside, info); {
		case ignored && entry.IsDir():
			return fs.SkipDir
		case ignored || entry.IsDir():
			return nil
		}
		content, err := fs.ReadFile(tree, name)
		files = append(files, &archive.BufferedFile{Name: inside, Data: bytes.TrimPrefix(content, byteOrderMark)})
		return err
	})
	return files, err
}

// isRendered refuses the charts that this version of Helm has a loader for and does not render.
func isRendered(files []*archive.BufferedFile, at string) error {
	for _, file := range files {
		var head struct {
			APIVersion string `json:"apiVersion"`
		}
		if file.Name == "Chart.yaml" && yaml.Unmarshal(file.Data, &head) == nil && head.APIVersion == "v3" {
			return plugin.Errorf("bad-chart", "apiVersion v3: Helm 4.3 renders charts of apiVersion v1 and v2 only").At(path.Join(at, "Chart.yaml"), 0)
		}
	}
	return nil
}

// complete adds the dependencies that Chart.yaml names and `charts/` does not have, and those of its subcharts.
//
// `helm dependency build` would put them there; in Weir they come from the repository (file://) or from weir.lock.
func (l *loaded) complete(tree fs.FS, c *chart.Chart, dir string, depth int) error {
	for _, dependency := range c.Metadata.Dependencies {
		if dependency == nil || has(c, dependency.Name) {
			continue
		}
		at, err := dependencyAt(tree, c, dependency, dir)
		if err != nil {
			return inChart(err, dir)
		}
		sub, err := load(tree, at, depth+1)
		if err != nil {
			return err
		}
		if sub.chart.Name() != dependency.Name {
			return plugin.Errorf("bad-chart", "dependency %q: the chart at %s is named %q", dependency.Name, at, sub.chart.Name()).At(path.Join(dir, "Chart.yaml"), 0)
		}
		c.AddDependency(sub.chart)
		l.elsewhere[sub.chart.ChartFullPath()] = at
		for inside, place := range sub.elsewhere {
			l.elsewhere[c.ChartFullPath()+"/charts/"+inside] = place
		}
	}
	for _, sub := range c.Dependencies() {
		if _, done := l.elsewhere[sub.ChartFullPath()]; done {
			continue
		}
		if err := l.complete(tree, sub, path.Join(dir, "charts", sub.Name()), depth+1); err != nil {
			return err
		}
	}
	return nil
}

func has(c *chart.Chart, name string) bool {
	for _, sub := range c.Dependencies() {
		if sub.Name() == name {
			return true
		}
	}
	return false
}

// dependencyAt is where a dependency lies in the tree.
func dependencyAt(tree fs.FS, c *chart.Chart, d *chart.Dependency, dir string) (string, error) {
	if local, is := strings.CutPrefix(d.Repository, "file://"); is {
		at := path.Join(dir, local)
		if strings.HasPrefix(local, "/") || at == ".." || strings.HasPrefix(at, "../") {
			return "", plugin.Errorf("missing-dependency", "dependency %q: %s leads out of the repository", d.Name, d.Repository)
		}
		return at, nil
	}
	if d.Repository == "" || strings.HasPrefix(d.Repository, "@") || strings.HasPrefix(d.Repository, "alias:") {
		return "", plugin.Errorf("missing-dependency", "dependency %q is not in charts/, and its repository is %q: put it there (`helm dependency build`), or name its repository by URL so that `weir lock` finds it", d.Name, d.Repository)
	}
	return external(tree, d.Repository, d.Name, lockedVersion(c, d))
}

// lockedVersion is what Chart.lock has for a dependency, or else the constraint of Chart.yaml.
func lockedVersion(c *chart.Chart, d *chart.Dependency) string {
	if c.Lock != nil {
		for _, locked := range c.Lock.Dependencies {
			if locked != nil && locked.Name == d.Name && locked.Repository == d.Repository {
				return locked.Version
			}
		}
	}
	return d.Version
}

// external is where weir.lock shows a chart of a repository.
func external(tree fs.FS, repository, name, version string) (string, error) {
	query := url.QueryEscape(version)
	trimmed := strings.TrimRight(repository, "/")
	switch {
	case strings.HasPrefix(repository, "oci://"):
		return plugin.External(tree, trimmed+"/"+name+"?version="+query)
	case strings.HasPrefix(repository, "https://"), strings.HasPrefix(repository, "http://"):
		return plugin.External(tree, "helm+"+trimmed+"?chart="+url.QueryEscape(name)+"&version="+query)
	}
	return "", plugin.Errorf("bad-config", "%q is no repository of charts: expected https://HOST/PATH or oci://HOST/PATH", repository)
}
