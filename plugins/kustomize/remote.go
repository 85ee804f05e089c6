// What a kustomization file wants from outside: remote bases are found in weir.lock, the rest is refused.

package main

import (
	"bytes"
	"io/fs"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"sigs.k8s.io/kustomize/kyaml/yaml"
	"weir.dev/plugin"
)

// kustomization is one kustomization file.
type kustomization struct {
	// file is its path in the tree.
	file string
	text []byte
	// hasSchema says that it has a key `openapi`, once it was looked through.
	hasSchema bool
}

// refusals are keys that need a process or the network, and what to do instead.
var refusals = map[string]string{
	"helmCharts":                  "Kustomize runs the program helm for it: " + helmInstead,
	"helmChartInflationGenerator": "Kustomize runs the program helm for it: " + helmInstead,
}

const helmInstead = "make the chart an app of its own (a Chart.yaml is rendered by bundled:helm; config.repository " +
	"names a chart from elsewhere)"

// paths are the lists whose entries may be remote.
var paths = []string{"resources", "bases", "components"}

// localized is the text with each remote base replaced by the directory where the host shows it.
//
// Only the entries' own characters are exchanged: everything else, also what is wrong with the file, stays for
// Kustomize to see.
func (k *kustomization) localized(tree fs.FS) ([]byte, error) {
	root, err := yaml.Parse(string(k.text))
	if err != nil || root.YNode().Kind != yaml.MappingNode {
		return k.text, nil
	}
	var changes []change
	fields := root.YNode().Content
	for i := 0; i+1 < len(fields); i += 2 {
		key, value := fields[i], fields[i+1]
		if way, refused := refusals[key.Value]; refused {
			return nil, refuse(k.file, key.Line, "not-in-the-sandbox", "`%s`: %s", key.Value, way)
		}
		switch {
		case key.Value == "openapi":
			k.hasSchema = true
		case slices.Contains(paths, key.Value) && value.Kind == yaml.SequenceNode:
			for _, entry := range value.Content {
				found, err := k.remote(tree, key.Value, entry)
				if err != nil {
					return nil, err
				}
				if found != nil {
					changes = append(changes, *found)
				}
			}
		}
	}
	return apply(k.text, changes), nil
}

// change is one scalar's new value.
type change struct {
	node *yaml.Node
	path string
}

// remote is the change for an entry that is not in this repository; nil for one that is.
func (k *kustomization) remote(tree fs.FS, key string, entry *yaml.Node) (*change, error) {
	if entry.Kind != yaml.ScalarNode {
		return nil, nil
	}
	base, err := parseRemote(entry.Value)
	if err != nil {
		return nil, refuse(k.file, entry.Line, "not-in-the-sandbox", "%s: %q: %s", key, entry.Value, err)
	}
	if base == nil {
		return nil, nil
	}
	dir, err := plugin.External(tree, base.reference())
	if err != nil {
		if diagnostic, is := err.(plugin.Diagnostic); is {
			return nil, diagnostic.At(k.file, uint32(entry.Line))
		}
		return nil, err
	}
	up := strings.Repeat("../", strings.Count(k.file, "/"))
	return &change{entry, up + path.Join(dir, base.path)}, nil
}

// base is a directory of another Git repository.
type base struct {
	// repository is its URL, without the scheme's `git+`.
	repository string
	// ref is a branch, a tag or a commit; empty for the default branch.
	ref string
	// path is the directory in it.
	path string
}

// reference is the base's repository as weir.lock names it.
func (b base) reference() string {
	return "git+" + b.repository + "?ref=" + url.QueryEscape(b.ref)
}

// textError is an error that is nothing but its words.
type textError string

func (e textError) Error() string { return string(e) }

// parseRemote reads an entry as Kustomize does: nil for a path in this repository, an error for what cannot be had.
//
// The forms are those of https://github.com/kubernetes-sigs/kustomize/blob/master/examples/remoteBuild.md: the
// repository ends at `//`, at `.git`, after `_git/NAME`, or else after the second part of the path.
func parseRemote(entry string) (*base, error) {
	rest := strings.TrimPrefix(entry, "git::")
	forced := rest != entry
	scheme := ""
	for _, known := range []string{"https://", "http://", "ssh://", "file://"} {
		if strings.HasPrefix(strings.ToLower(rest), known) {
			scheme, rest = known, rest[len(known):]
			break
		}
	}
	short := strings.HasPrefix(rest, "github.com/") || strings.HasPrefix(rest, "github.com:")
	at := strings.IndexByte(rest, '@')
	scp := scheme == "" && at > 0 && strings.Contains(rest[at:], ":") && !strings.HasPrefix(rest, ".")
	switch {
	case scheme == "ssh://" || scp:
		return nil, textError("bases over ssh cannot be fetched yet: write it as https://HOST/PATH?ref=REF")
	case scheme == "file://":
		return nil, textError("a path of one machine is no source: give a path in this repository, or https://HOST/PATH?ref=REF")
	case scheme == "" && !short && !forced:
		return nil, nil
	case scheme == "":
		scheme, rest = "https://", strings.Replace(rest, "github.com:", "github.com/", 1)
	}
	rest, query, _ := strings.Cut(rest, "?")
	host, rest, _ := strings.Cut(rest, "/")
	repository, inside, found := splitRepository(rest)
	ref, err := refOf(query)
	if err != nil {
		return nil, err
	}
	if isFile(inside) && query == "" || !found {
		return nil, textError("a single file from the network is not pinned by anything: copy it into the repository, or name its Git repository as https://HOST/OWNER/REPOSITORY//PATH?ref=REF")
	}
	return &base{scheme + host + "/" + repository, ref, inside}, nil
}

// splitRepository is where the repository ends and the path in it begins.
func splitRepository(rest string) (repository, inside string, found bool) {
	if before, after, ok := strings.Cut(rest, "_git/"); ok {
		name, inside, _ := strings.Cut(after, "/")
		return before + "_git/" + name, strings.TrimPrefix(inside, "/"), name != ""
	}
	if before, after, ok := strings.Cut(rest, "//"); ok {
		return before, after, before != ""
	}
	if before, after, ok := strings.Cut(rest, ".git"); ok && (after == "" || after[0] == '/') {
		return before + ".git", strings.TrimPrefix(after, "/"), before != ""
	}
	parts := strings.SplitN(rest, "/", 3)
	if len(parts) < 2 || parts[0] == "" || parts[1] == "" {
		return "", "", false
	}
	return parts[0] + "/" + parts[1], strings.Join(parts[2:], ""), true
}

// refOf is the ref of a query. Timeouts are the host's; a base without its submodules is not what was asked for.
func refOf(query string) (string, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return "", textError("what follows the `?` is no query: " + err.Error())
	}
	if text := values.Get("submodules"); text != "" {
		if with, err := strconv.ParseBool(text); err == nil && with {
			return "", textError("submodules are not fetched: write `submodules=false`, if the base works without")
		}
	}
	if ref := values.Get("ref"); ref != "" {
		return ref, nil
	}
	return values.Get("version"), nil
}

func isFile(name string) bool {
	switch path.Ext(name) {
	case ".yaml", ".yml", ".json":
		return true
	}
	return false
}

// apply exchanges the scalars in the text, from the last to the first, so that places stay true.
func apply(text []byte, changes []change) []byte {
	if len(changes) == 0 {
		return text
	}
	starts := lineStarts(text)
	for i := len(changes) - 1; i >= 0; i-- {
		node := changes[i].node
		at := starts[node.Line-1] + bytesOf(text[starts[node.Line-1]:], node.Column-1)
		length := len(node.Value)
		if node.Style&(yaml.DoubleQuotedStyle|yaml.SingleQuotedStyle) != 0 {
			length += 2
		}
		if at+length > len(text) || !bytes.Contains(text[at:at+length], []byte(node.Value)) {
			// Written with escapes or over several lines, as no URL is.
			continue
		}
		var out []byte
		out = append(out, text[:at]...)
		out = append(out, strconv.Quote(changes[i].path)...)
		text = append(out, text[at+length:]...)
	}
	return text
}

// bytesOf is how many bytes the first characters of a line take.
func bytesOf(line []byte, characters int) int {
	at := 0
	for range characters {
		_, size := utf8.DecodeRune(line[at:])
		at += size
	}
	return at
}

func lineStarts(text []byte) []int {
	starts := []int{0}
	for i, c := range text {
		if c == '\n' {
			starts = append(starts, i+1)
		}
	}
	return starts
}
