// What the SDK says to whoever writes a config or reads a diagnostic.

package plugin

import (
	"io"
	"os"
	"strings"
	"testing"
	"testing/fstest"
)

type config struct {
	Team   string `json:"team"`
	Checks []struct {
		Level string `json:"level"`
	} `json:"checks"`
	Number int `json:"number"`
}

func TestAConfigIsReadIntoThePluginsOwnType(t *testing.T) {
	var c config
	p := Params{Config: []byte(`{"team":"shop","checks":[{"level":"error"}]}`)}
	if err := p.Decode(&c); err != nil || c.Team != "shop" || c.Checks[0].Level != "error" {
		t.Fatalf("%v %v", c, err)
	}
	for _, left := range []string{"", " ", "{}"} {
		c = config{}
		if err := (Params{Config: []byte(left)}).Decode(&c); err != nil || c.Team != "" {
			t.Errorf("%q: %v", left, err)
		}
	}
}

func TestAWrongConfigIsADiagnosticThatSaysWhatToDo(t *testing.T) {
	for text, expected := range map[string]string{
		`{"taem":"a"}`:                "bad-config: config: unknown key `taem`; did you mean `team`?",
		`{"checks":[{"levl":"a"}]}`:   "bad-config: config: unknown key `levl`; did you mean `level`?",
		`{"zzzzzzzz":1}`:              "bad-config: config: unknown key `zzzzzzzz`; known: checks, level, number, team",
		`{"team":3}`:                  "bad-config: config.team: it is a JSON number; expected text",
		`{"checks":{}}`:               "bad-config: config.checks: it is a JSON object; expected a list",
		`{"checks":[{"level":true}]}`: "bad-config: config.checks.level: it is a JSON bool; expected text",
		`{"number":1.5}`:              "bad-config: config.number: it is a JSON number 1.5; expected a whole number",
		`{"team":"a"} {}`:             "bad-config: config: there is more than one JSON value",
		`{`:                           "bad-config: config: unexpected EOF",
	} {
		err := Params{Config: []byte(text)}.Decode(&config{})
		if _, is := err.(Diagnostic); !is || err.Error() != expected {
			t.Errorf("%s: %v; expected %s", text, err, expected)
		}
	}
}

func TestADiagnosticReadsAsALineThatEditorsUnderstand(t *testing.T) {
	d := Errorf("bad", "it is %s", "wrong")
	for expected, d := range map[string]Diagnostic{
		"bad: it is wrong":            d,
		"a.yaml: bad: it is wrong":    d.At("a.yaml", 0),
		"a.yaml:12: bad: it is wrong": d.At("a.yaml", 12),
	} {
		if d.Error() != expected {
			t.Errorf("%q; expected %q", d.Error(), expected)
		}
	}
	if both := (Diagnostics{d, d}).Error(); strings.Count(both, "\n") != 1 {
		t.Errorf("%q", both)
	}
}

func TestAnExternalLiesWhereItsTextSays(t *testing.T) {
	reference := "oci://registry.example:5000/charts/web?version=1.x"
	path := ".weir/external/oci%3A%2F%2Fregistry.example%3A5000%2Fcharts%2Fweb%3Fversion=1.x"
	if ExternalPath(reference) != path {
		t.Fatal(ExternalPath(reference))
	}
	tree := fstest.MapFS{path + "/Chart.yaml": {}}
	if found, err := External(tree, reference); err != nil || found != path {
		t.Errorf("%q %v", found, err)
	}
	_, err := External(tree, "oci://registry.example/other?version=")
	expected := "not-locked: `oci://registry.example/other?version=` is not in weir.lock: run `weir lock` and commit the file"
	if err == nil || err.Error() != expected {
		t.Errorf("%v", err)
	}
}

func TestTheLogGetsTextAlsoWhereWordsAreNone(t *testing.T) {
	read, wrote, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	before := os.Stderr
	os.Stderr = wrote
	Debug("%s", "a\xffb")
	Info("%s", "äöü")
	Warn("\xff")
	os.Stderr = before
	if err := wrote.Close(); err != nil {
		t.Fatal(err)
	}
	said, err := io.ReadAll(read)
	if err != nil || string(said) != "debug: a\ufffdb\ninfo: äöü\nwarn: \ufffd\n" {
		t.Errorf("%q %v", said, err)
	}
}
