package main

import (
	"bufio"
	"bytes"
	_ "embed"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

//go:embed recorder/recorder.go
var recorder string

const (
	apiModule = "sigs.k8s.io/kustomize/api"
	// recordTo is the environment variable that tells the recorder where to write.
	recordTo = "WEIR_RECORD_TO"
)

// entry is where a kustomization begins, whoever calls it.
var entry = regexp.MustCompile(`(?s)func \(b \*Kustomizer\) Run\(\s*fSys filesys\.FileSystem, path string\) \(resmap\.ResMap, error\) \{\n`)

// kustomizeCases runs Kustomize's own tests with a recorder at Kustomizer.Run, which writes down each tree.
//
// Their trees are made by helpers, tables and formatted strings: running them is the only reading that is sure.
func kustomizeCases(out string) ([]Case, error) {
	scratch, err := os.MkdirTemp("", "weir-trees-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(scratch)
	module, err := moduleDir(apiModule)
	if err != nil {
		return nil, err
	}
	patched := filepath.Join(scratch, "api")
	if err := copyTree(module, patched); err != nil {
		return nil, err
	}
	if err := record(patched); err != nil {
		return nil, err
	}
	if err := test(scratch, patched, out); err != nil {
		return nil, err
	}
	return collect(out)
}

// record puts the recorder into the package and its call at the entry.
func record(patched string) error {
	file := filepath.Join(patched, "krusty", "kustomizer.go")
	source, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	found := entry.FindAllIndex(source, -1)
	if len(found) != 1 {
		return fmt.Errorf("%s: Kustomizer.Run is not where it was: adapt `entry`", file)
	}
	at := found[0][1]
	changed := bytes.Join([][]byte{source[:at], source[at:]}, []byte("\tweirRecord(fSys, path)\n"))
	if err := os.WriteFile(file, changed, 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(patched, "krusty", "weir_recorder.go"), []byte(recorder), 0o644)
}

// test runs the tests. Some fail, which is no matter: they ask for the network, containers or a Helm program.
func test(scratch, patched, out string) error {
	modfile := filepath.Join(scratch, "go.mod")
	for _, name := range []string{"go.mod", "go.sum"} {
		content, err := os.ReadFile(name)
		if err != nil {
			return fmt.Errorf("trees runs in the folder of its go.mod: %w", err)
		}
		if name == "go.mod" {
			content = append(content, fmt.Sprintf("\nreplace %s => %s\n", apiModule, patched)...)
		}
		if err := os.WriteFile(filepath.Join(scratch, name), content, 0o644); err != nil {
			return err
		}
	}
	temporary := filepath.Join(scratch, "tmp")
	if err := os.Mkdir(temporary, 0o755); err != nil {
		return err
	}
	binary := filepath.Join(scratch, "krusty.test")
	build := exec.Command("go", "test", "-c", "-modfile="+modfile, "-o", binary, apiModule+"/krusty")
	// The flags with which this program was built: most of what is compiled here is then compiled already.
	build.Env = append(os.Environ(), "GOFLAGS=-mod=mod -buildvcs=false -trimpath", "CGO_ENABLED=0", "GOWORK=off")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		return fmt.Errorf("compiling Kustomize's tests: %w", err)
	}
	run := exec.Command(binary, "-test.timeout=300s")
	run.Dir = filepath.Join(patched, "krusty")
	run.Env = []string{
		recordTo + "=" + out, "TMPDIR=" + temporary, "HOME=" + temporary,
		// No program to be found but this one, no network: a test that needs either ends at once.
		"PATH=", "HTTPS_PROXY=http://127.0.0.1:1", "HTTP_PROXY=http://127.0.0.1:1",
	}
	output, err := run.CombinedOutput()
	if _, failed := err.(*exec.ExitError); err != nil && !failed {
		return fmt.Errorf("running Kustomize's tests: %w", err)
	}
	if bytes.Contains(output, []byte("panic: ")) {
		return fmt.Errorf("Kustomize's tests broke off:\n%s", output)
	}
	return nil
}

// collect reads what was recorded.
func collect(out string) ([]Case, error) {
	file := filepath.Join(out, "records.jsonl")
	records, err := os.Open(file)
	if err != nil {
		return nil, fmt.Errorf("nothing was recorded: %w", err)
	}
	defer records.Close()
	var cases []Case
	lines := bufio.NewScanner(records)
	for lines.Scan() {
		var one Case
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return nil, err
		}
		if one.Skip == "" {
			one.Skip, err = remote(filepath.Join(out, one.Name))
			if err != nil {
				return nil, err
			}
		}
		cases = append(cases, one)
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if err := shorten(out, cases); err != nil {
		return nil, err
	}
	sort.Slice(cases, func(i, j int) bool { return cases[i].Name < cases[j].Name })
	return cases, os.Remove(file)
}

// shorten names the tree of a test that has only one after the test alone.
func shorten(out string, cases []Case) error {
	count := map[string]int{}
	for _, one := range cases {
		count[one.From]++
	}
	for at, one := range cases {
		cases[at].From = apiModule + "/krusty " + one.From
		if count[one.From] > 1 {
			continue
		}
		cases[at].Name = one.From
		if err := os.Rename(filepath.Join(out, one.Name), filepath.Join(out, one.From)); err != nil {
			return err
		}
	}
	return nil
}

// fetched is an entry of a kustomization that Kustomize would get from the network.
var fetched = regexp.MustCompile(`(?m)^\s*-\s+["']?(https?://|git@|ssh://|git::|github\.com[/:]|git://)\S+`)

// remote says which file of a tree asks for the network.
func remote(tree string) (string, error) {
	reason := ""
	err := filepath.WalkDir(tree, func(path string, entry os.DirEntry, err error) error {
		if err != nil || entry.IsDir() || !strings.HasPrefix(strings.ToLower(entry.Name()), "kustomization") {
			return err
		}
		content, err := os.ReadFile(path)
		if found := fetched.Find(content); found != nil {
			reason = "needs the network: " + strings.TrimSpace(string(found))
		}
		return err
	})
	return reason, err
}
