// Random functions under the grant `random: stable`: each call gives what follows from the app's own secret bytes, its
// template's file and its number there, and from nothing else.

package main

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	chacha "math/rand/v2"
	"path"
	"strings"

	"helm.sh/helm/v4/pkg/chart/common"
	chart "helm.sh/helm/v4/pkg/chart/v2"
)

// grantFile is there where the host gives this plugin stable random bytes. Without them a call that asked for some would
// end at once, without a template's name; so it is looked for first.
const grantFile = ".weir/grants/random"

// form is part of all that is made: another one gives other passwords.
const form = "weir-helm-random-1"

// entropy is where the app's own bytes come from: the host's random numbers.
var entropy io.Reader = rand.Reader

// stable is what random functions take their bytes from.
type stable struct {
	// seed is read when the first function is called: a chart that calls none takes no bytes.
	seed []byte
	// places are the templates that are being executed, each inside the one before it.
	places []place
}

// place is a template, and how many random functions it called so far.
type place struct {
	file  string
	calls uint64
}

// stableOf is for an app that has the grant; nil for one that does not.
func stableOf(tree fs.FS) (*stable, error) {
	_, err := fs.ReadFile(tree, grantFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, nil
	case err != nil:
		return nil, err
	}
	return &stable{}, nil
}

// enter begins a template, and says nothing in its text.
func (s *stable) enter(file string) string {
	s.places = append(s.places, place{file: file})
	return ""
}

// leave ends a template.
func (s *stable) leave() string {
	if last := len(s.places) - 1; last >= 0 {
		s.places = s.places[:last]
	}
	return ""
}

// next are the bytes of the next call of a function in the template that is being executed.
func (s *stable) next(function string) (*chacha.ChaCha8, error) {
	if s.seed == nil {
		seed := make([]byte, sha256.Size)
		if _, err := io.ReadFull(entropy, seed); err != nil {
			return nil, err
		}
		s.seed = seed
	}
	last := len(s.places) - 1
	if last < 0 {
		return nil, fmt.Errorf("%s: it is called outside of any template, where no two calls can be told apart", function)
	}
	at := &s.places[last]
	at.calls++
	mac := hmac.New(sha256.New, s.seed)
	for _, part := range []string{form, at.file, function} {
		length := binary.BigEndian.AppendUint64(nil, uint64(len(part)))
		_, _ = mac.Write(length)
		_, _ = io.WriteString(mac, part)
	}
	_, _ = mac.Write(binary.BigEndian.AppendUint64(nil, at.calls))
	return chacha.NewChaCha8([sha256.Size]byte(mac.Sum(nil))), nil
}

// Names that templates are told in, which no chart can write by accident.
const (
	enterFunction = "weirEnterTemplate"
	leaveFunction = "weirLeaveTemplate"
)

// marked is a chart whose templates say when they begin and end: functions are not told in which template they are
// called. One that is included by another says it too, so that a checksum of a Secret is that of the Secret itself.
func marked(c *chart.Chart) *chart.Chart {
	copied := *c
	copied.Templates = make([]*common.File, 0, len(c.Templates))
	for _, file := range c.Templates {
		if strings.HasPrefix(path.Base(file.Name), "_") {
			copied.Templates = append(copied.Templates, file)
			continue
		}
		name := path.Join(c.ChartFullPath(), file.Name)
		text := fmt.Sprintf("{{ %s %q }}%s{{ %s }}", enterFunction, name, file.Data, leaveFunction)
		other := *file
		other.Data = []byte(text)
		copied.Templates = append(copied.Templates, &other)
	}
	subs := make([]*chart.Chart, 0, len(c.Dependencies()))
	for _, sub := range c.Dependencies() {
		subs = append(subs, marked(sub))
	}
	copied.SetDependencies()
	copied.AddDependency(subs...)
	return &copied
}
