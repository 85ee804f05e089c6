// The values of a release: files, then what the manifest has, by the rules of Helm's flags.

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"strings"

	"helm.sh/helm/v4/pkg/chart/v2/loader"
	"helm.sh/helm/v4/pkg/strvals"
	"weir.dev/plugin"
)

func mergeValues(tree fs.FS, p plugin.Params, c config) (map[string]any, error) {
	values := map[string]any{}
	for _, name := range c.Values {
		file, err := located(p, "values", name)
		if err != nil {
			return nil, err
		}
		content, err := fs.ReadFile(tree, file)
		if errors.Is(err, fs.ErrNotExist) {
			if c.IgnoreMissingValues {
				continue
			}
			return nil, plugin.Errorf("missing-values", "config.values: %s is not in the repository, or outside the app's roots: correct the path, or set config.ignoreMissingValues", file)
		}
		if err != nil {
			return nil, plugin.Errorf("bad-values", "config.values: %s", err)
		}
		read, err := loader.LoadValues(bytes.NewReader(content))
		if err != nil {
			return nil, plugin.Errorf("bad-values", "%s", rootCause(err)).At(file, lineOf(err))
		}
		values = loader.MergeMaps(values, read)
	}
	values = loader.MergeMaps(values, c.Inline)
	return setValues(tree, p, c, values)
}

// setValues are the texts `path=value`, in Helm's order.
func setValues(tree fs.FS, p plugin.Params, c config, values map[string]any) (map[string]any, error) {
	for _, text := range c.SetJSON {
		if strings.HasPrefix(strings.TrimSpace(text), "{") {
			var object map[string]any
			if err := json.Unmarshal([]byte(text), &object); err != nil {
				return nil, badSet("setJson", text, err)
			}
			values = loader.MergeMaps(values, object)
		} else if err := strvals.ParseJSON(text, values); err != nil {
			return nil, badSet("setJson", text, err)
		}
	}
	file := func(name []rune) (any, error) {
		located, err := located(p, "setFile", string(name))
		if err != nil {
			return nil, err
		}
		content, err := fs.ReadFile(tree, located)
		return string(content), err
	}
	for _, kind := range []struct {
		key   string
		texts []string
		parse func(string, map[string]any) error
	}{
		{"set", c.Set, strvals.ParseInto},
		{"setString", c.SetString, strvals.ParseIntoString},
		{"setFile", c.SetFile, func(text string, into map[string]any) error { return strvals.ParseIntoFile(text, into, file) }},
		{"setLiteral", c.SetLiteral, strvals.ParseLiteralInto},
	} {
		for _, text := range kind.texts {
			if err := kind.parse(text, values); err != nil {
				return nil, badSet(kind.key, text, err)
			}
		}
	}
	return values, nil
}

func badSet(key, text string, err error) error {
	return plugin.Errorf("bad-config", "config.%s: %q: %s", key, text, rootCause(err))
}
