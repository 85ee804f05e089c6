// Which files a pattern means.

package script

import (
	"strings"
	"testing"
	"testing/fstest"
)

func globbing(names ...string) *Files {
	tree := fstest.MapFS{}
	for _, name := range names {
		tree[name] = &fstest.MapFile{}
	}
	return &Files{tree: tree, dir: "apps/shop"}
}

func TestAPatternMeansFilesBelowTheAppOrTheRoot(t *testing.T) {
	files := globbing("apps/shop/x.yaml", "apps/shop/shop/x.yaml", "apps/shop/a/x.yaml", "apps/shop/a/a/x.yaml", "apps/shop/a/b/a/x.yaml",
		"apps/shop/a/b/c.json", "apps/other/x.yaml", "x.yaml")
	for pattern, expected := range map[string]string{
		"*.yaml":                 "x.yaml",
		"*/x.yaml":               "a/x.yaml shop/x.yaml",
		"**/x.yaml":              "a/a/x.yaml a/b/a/x.yaml a/x.yaml shop/x.yaml x.yaml",
		"**/*.json":              "a/b/c.json",
		"**/shop/x.yaml":         "shop/x.yaml",
		"**/apps/shop/x.yaml":    "",
		"a/**/x.yaml":            "a/a/x.yaml a/b/a/x.yaml a/x.yaml",
		"a/**/a/x.yaml":          "a/a/x.yaml a/b/a/x.yaml",
		"a/**":                   "a/a/x.yaml a/b/a/x.yaml a/b/c.json a/x.yaml",
		"a/?/**":                 "a/a/x.yaml a/b/a/x.yaml a/b/c.json",
		"none/**":                "",
		"x.yaml/**":              "",
		"/**/shop/x.yaml":        "/apps/shop/shop/x.yaml /apps/shop/x.yaml",
		"/apps/**/shop/x.yaml":   "/apps/shop/shop/x.yaml /apps/shop/x.yaml",
		"/apps/shop/**/[x].yaml": "/apps/shop/a/a/x.yaml /apps/shop/a/b/a/x.yaml /apps/shop/a/x.yaml /apps/shop/shop/x.yaml /apps/shop/x.yaml",
		"/*.yaml":                "/x.yaml",
	} {
		found, err := files.Glob(pattern)
		if err != nil {
			t.Errorf("%s: %v", pattern, err)
		}
		if is := strings.Join(found, " "); is != expected {
			t.Errorf("%s: %s", pattern, is)
		}
	}
}

func TestASecondPairOfStarsIsRefusedWhateverFilesThereAre(t *testing.T) {
	for _, pattern := range []string{"**/**", "**/a/**", "/none/**/none/**/x.yaml"} {
		for _, files := range []*Files{globbing(), globbing("apps/shop/a/b")} {
			if _, err := files.Glob(pattern); err == nil || !strings.Contains(err.Error(), "`"+pattern+"`: `**` may stand only once") {
				t.Errorf("%s: %v", pattern, err)
			}
		}
	}
}
