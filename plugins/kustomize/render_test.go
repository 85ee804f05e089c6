// What an app of a kustomization gets, natively: Kustomize is the same as in the sandbox.

package main

import (
	"fmt"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"weir.dev/plugin"
)

// repository is files by their paths.
func repository(files ...string) fstest.MapFS {
	tree := fstest.MapFS{}
	for i := 0; i+1 < len(files); i += 2 {
		tree[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return tree
}

func object(name string) string {
	return "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: " + name + "\n"
}

func rendered(tree fs.FS, config string) (string, error) {
	documents, err := render(tree, plugin.Params{App: "shop", Path: "app", Config: []byte(config)})
	if err != nil {
		return "", err
	}
	return documents[0].Origin + "\n" + string(documents[0].Body), nil
}

func expect(t *testing.T, tree fs.FS, expected string) {
	t.Helper()
	got, err := rendered(tree, "")
	if err != nil {
		t.Fatal(err)
	}
	if got != expected {
		t.Errorf("got\n%s\nexpected\n%s", got, expected)
	}
}

func expectError(t *testing.T, tree fs.FS, expected string) {
	t.Helper()
	got, err := rendered(tree, "")
	if err == nil {
		t.Errorf("got\n%s\nexpected the error %s", got, expected)
	} else if !strings.Contains(err.Error(), expected) {
		t.Errorf("got\n%s\nexpected\n%s", err, expected)
	}
}

func TestAnOverlayOfABaseElsewhereInTheRepositoryIsBuilt(t *testing.T) {
	expect(t, repository(
		"base/kustomization.yaml", "resources: [a.yaml]", "base/a.yaml", object("a"),
		"app/Kustomization", "resources: [../base]\nnamePrefix: prod-\nconfigMapGenerator: [{name: g, literals: [k=v], options: {disableNameSuffixHash: true}}]\n",
	), "app/Kustomization\n"+object("prod-a")+"---\napiVersion: v1\ndata:\n  k: v\nkind: ConfigMap\nmetadata:\n  name: prod-g\n")
}

func TestTheRootOfARepositoryIsBuiltToo(t *testing.T) {
	documents, err := render(repository("kustomization.yml", "resources: [a.yaml]", "a.yaml", object("a")), plugin.Params{})
	if err != nil || documents[0].Origin != "kustomization.yml" || string(documents[0].Body) != object("a") {
		t.Errorf("%v %v", documents, err)
	}
}

func TestTheLabelOfWhoManagesItNamesTheVersion(t *testing.T) {
	expect(t, repository("app/kustomization.yaml", "resources: [a.yaml]\nbuildMetadata: [managedByLabel]", "app/a.yaml", object("a")),
		"app/kustomization.yaml\napiVersion: v1\nkind: ConfigMap\nmetadata:\n  labels:\n    app.kubernetes.io/managed-by: kustomize-"+version+"\n  name: a\n")
}

func TestASchemaOfItsOwnDecidesHowListsAreMerged(t *testing.T) {
	schema := `{"definitions":{"v1.Thing":{"type":"object","properties":{"spec":{"type":"object","properties":{"parts":{"type":"array",` +
		`"items":{"type":"object"},"x-kubernetes-patch-merge-key":"name","x-kubernetes-patch-strategy":"merge"}}}},` +
		`"x-kubernetes-group-version-kind":[{"group":"example.com","kind":"Thing","version":"v1"}]}}}`
	thing := "apiVersion: example.com/v1\nkind: Thing\nmetadata: {name: t}\nspec: {parts: [{name: a, v: 1}, {name: b, v: 2}]}\n"
	patch := "patches: [{patch: '{apiVersion: example.com/v1, kind: Thing, metadata: {name: t}, spec: {parts: [{name: b, v: 3}]}}'}]\n"
	tree := repository("app/kustomization.yaml", "resources: [t.yaml]\n"+patch+"openapi: {path: schema.json}\n", "app/t.yaml", thing, "app/schema.json", schema)
	for range 2 {
		got, err := rendered(tree, "")
		if err != nil || !strings.Contains(got, "name: a") || !strings.Contains(got, "v: 3") {
			t.Fatalf("%s %v", got, err)
		}
	}
	tree["app/kustomization.yaml"].Data = []byte("resources: [t.yaml]\n" + patch)
	if got, err := rendered(tree, ""); err != nil || strings.Contains(got, "name: a") {
		t.Errorf("the schema of one build is in the next: %s %v", got, err)
	}
}

func TestARemoteBaseIsWhatTheLockShows(t *testing.T) {
	at := plugin.ExternalPath("git+https://github.com/org/repo?ref=v1.2")
	tree := repository(
		"app/kustomization.yaml", "resources:\n- \"https://github.com/org/repo//deploy/base?ref=v1.2\" # why\n- own.yaml\ncomponents: ['github.com/org/repo/part?ref=v1.2']\n",
		"app/own.yaml", object("own"),
		at+"/deploy/base/kustomization.yaml", "resources: [../shared, a.yaml]", at+"/deploy/base/a.yaml", object("a"),
		at+"/deploy/shared/kustomization.yaml", "resources: [b.yaml]", at+"/deploy/shared/b.yaml", object("b"),
		at+"/part/kustomization.yaml", "apiVersion: kustomize.config.k8s.io/v1alpha1\nkind: Component\nnamePrefix: x-\n",
	)
	expect(t, tree, "app/kustomization.yaml\n"+object("x-a")+"---\n"+object("x-b")+"---\n"+object("x-own"))
	for name := range tree {
		if strings.HasPrefix(name, ".weir/") {
			delete(tree, name)
		}
	}
	expectError(t, tree, "app/kustomization.yaml:2: not-locked: `git+https://github.com/org/repo?ref=v1.2` is not in weir.lock: run `weir lock` and commit the file")
}

func TestAnEntryIsReadAsKustomizeReadsIt(t *testing.T) {
	for entry, expected := range map[string]string{
		"a.yaml": "", "../base": "", "./x@y:z": "", "org/repo": "",
		"https://host/org/repo?ref=v1":                 "git+https://host/org/repo?ref=v1 ",
		"https://host/org/repo":                        "git+https://host/org/repo?ref= ",
		"https://host:8443/a/b/c.git/dir/x?ref=a%2Fb":  "git+https://host:8443/a/b/c.git?ref=a%2Fb dir/x",
		"http://127.0.0.1:80/g/r.git//d?version=1":     "git+http://127.0.0.1:80/g/r.git?ref=1 d",
		"git::https://host/a/b//c":                     "git+https://host/a/b?ref= c",
		"github.com/org/repo/deep/er?ref=x&timeout=9":  "git+https://github.com/org/repo?ref=x deep/er",
		"github.com:org/repo":                          "git+https://github.com/org/repo?ref= ",
		"https://dev.azure.com/o/p/_git/r/d?ref=x":     "git+https://dev.azure.com/o/p/_git/r?ref=x d",
		"https://host/org/repo?submodules=false&ref=x": "git+https://host/org/repo?ref=x ",
		"https://host/org/repo?submodules=true":        "submodules are not fetched",
		"https://host/raw/repo/main/a.yaml":            "a single file from the network",
		"https://host/a.yaml":                          "a single file from the network",
		"git@github.com:org/repo?ref=x":                "bases over ssh cannot be fetched yet",
		"ssh://git@host/org/repo":                      "bases over ssh cannot be fetched yet",
		"file:///home/me/base":                         "a path of one machine is no source",
		"https://host/org/repo?ref=%zz":                "what follows the `?` is no query",
	} {
		base, err := parseRemote(entry)
		got := ""
		switch {
		case err != nil:
			got = err.Error()
		case base != nil:
			got = base.reference() + " " + base.path
		}
		if !strings.HasPrefix(got, expected) || expected == "" && got != "" {
			t.Errorf("%s: %q; expected %q", entry, got, expected)
		}
	}
}

func TestWhatNeedsAProgramOrTheNetworkIsRefusedWithAWayOut(t *testing.T) {
	for kustomization, expected := range map[string]string{
		"namePrefix: a-\nhelmCharts: [{name: x}]":     "app/kustomization.yaml:2: not-in-the-sandbox: `helmCharts`: Kustomize runs the program helm for it: make the chart an app of its own",
		"helmChartInflationGenerator: [{}]":           "app/kustomization.yaml:1: not-in-the-sandbox: `helmChartInflationGenerator`",
		"resources: [git@host:o/r]":                   "app/kustomization.yaml:1: not-in-the-sandbox: resources: \"git@host:o/r\": bases over ssh",
		"resources:\n- https://host/a.yaml":           "app/kustomization.yaml:2: not-in-the-sandbox: resources: \"https://host/a.yaml\": a single file",
		"resources: [a.yaml]\ntransformers: [f.yaml]": "not-in-the-sandbox: plugins of Kustomize that run a program are refused",
		"resources: [a.yaml]\ngenerators: [p.yaml]":   "not-in-the-sandbox: plugins of Kustomize that run a program are refused",
	} {
		expectError(t, repository(
			"app/kustomization.yaml", kustomization, "app/a.yaml", object("a"),
			"app/f.yaml", "apiVersion: example.com/v1\nkind: F\nmetadata:\n  name: f\n  annotations:\n    config.kubernetes.io/function: '{container: {image: x}}'\n",
			"app/p.yaml", "apiVersion: example.com/v1\nkind: P\nmetadata: {name: p}\n",
		), expected)
	}
}

func TestAnErrorNamesTheFile(t *testing.T) {
	for kustomization, expected := range map[string]string{
		"resources: [none.yaml]":                               "app/kustomization.yaml: kustomize: accumulating resources",
		"resource: [a.yaml]":                                   "unknown field \"resource\"",
		"resources: [a.yaml, a.yaml]":                          "may not add resource with an already registered id",
		"resources: [../app]":                                  "cycle",
		"resources: [bad.yaml]":                                "MalformedYAMLError: yaml: mapping values are not allowed in this context in File: bad.yaml",
		"configMapGenerator: [{name: g, files: [../out.txt]}]": "outside-the-root: a kustomization reads files of its own directory and below",
		"resources: [a.yaml]\npatches: [{path: none.yaml}]":    "none.yaml",
		"a: [": "app/kustomization.yaml: kustomize:",
	} {
		expectError(t, repository("app/kustomization.yaml", kustomization, "app/a.yaml", object("a"), "app/bad.yaml", "a: b: c\n", "out.txt", "x"), expected)
	}
	expectError(t, repository("other/a.yaml", ""), "app/kustomization.yaml: kustomize: must build at directory: not a valid directory: open app: file does not exist")
	if _, err := rendered(repository("app/kustomization.yaml", ""), `{"path":"x"}`); err == nil || !strings.Contains(err.Error(), "config: unknown key `path`") {
		t.Error(err)
	}
}

func TestTheFileSystemCannotBeWrittenAndIsListedOnce(t *testing.T) {
	tree := &counted{FS: repository("app/a.yaml", "1", "app/sub/b.yaml", "2"), listed: map[string]int{}}
	files := newFiles(tree)
	for range 3 {
		if !files.Exists("/app/a.yaml") || files.Exists("/app/none") || !files.IsDir("/app/sub") || files.IsDir("/app/a.yaml") {
			t.Fatal("wrong answers")
		}
	}
	if _, _, err := files.CleanedAbs("/app/none"); err == nil {
		t.Error("a path that is not there is confirmed")
	}
	for dir, times := range tree.listed {
		if times != 1 {
			t.Errorf("%s was listed %d times", dir, times)
		}
	}
	if err := files.WriteFile("/app/a.yaml", nil); err == nil {
		t.Error("written")
	}
	found, err := files.Glob("/app/*.yaml")
	if fmt.Sprint(found) != "[/app/a.yaml]" || err != nil {
		t.Error(found, err)
	}
	file, err := files.Open("/app/sub/b.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if info, err := file.Stat(); err != nil || info.Size() != 1 {
		t.Error(info, err)
	}
}

// counted counts listings.
type counted struct {
	fs.FS
	listed map[string]int
}

func (c *counted) ReadDir(name string) ([]fs.DirEntry, error) {
	c.listed[name]++
	return fs.ReadDir(c.FS, name)
}
