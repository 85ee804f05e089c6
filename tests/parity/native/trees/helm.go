package main

import (
	"crypto/sha256"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// helmCases copies every folder of Helm's test data that has a Chart.yaml, each content once.
func helmCases(out string) ([]Case, error) {
	root, err := moduleDir("helm.sh/helm/v4")
	if err != nil {
		return nil, err
	}
	var cases []Case
	seen := map[string]bool{}
	err = filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() || entry.Name() != "Chart.yaml" {
			return err
		}
		dir := filepath.Dir(path)
		from, err := filepath.Rel(root, dir)
		if err != nil {
			return err
		}
		if !strings.Contains(filepath.ToSlash(from)+"/", "/testdata/") {
			return nil
		}
		digest, err := digestOf(dir)
		if err != nil || seen[digest] {
			return err
		}
		seen[digest] = true
		name := strings.ReplaceAll(strings.ReplaceAll(filepath.ToSlash(from), "/testdata/", "/"), "/", ".")
		cases = append(cases, Case{Name: name, From: from})
		return copyTree(dir, filepath.Join(out, name))
	})
	return cases, err
}

// digestOf is one digest over all paths and bytes below a folder.
func digestOf(dir string) (string, error) {
	digest := sha256.New()
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return err
		}
		content, err := os.ReadFile(path)
		fmt.Fprintf(digest, "%s\x00%d\x00%s", strings.TrimPrefix(path, dir), len(content), content)
		return err
	})
	return string(digest.Sum(nil)), err
}

func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		target := filepath.Join(to, strings.TrimPrefix(path, from))
		if entry.IsDir() {
			return os.MkdirAll(target, 0o755)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, 0o644)
	})
}
