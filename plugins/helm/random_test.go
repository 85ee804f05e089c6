// Random functions without the grant: refused where what they give reaches an object, whatever a template makes of it.

package main

import (
	"io/fs"
	"strings"
	"testing"
)

func TestARandomFunctionIsRefusedWithItsPlaceAndTheValueToSet(t *testing.T) {
	tree := repository(
		"chart/Chart.yaml", chartOf("web", ""),
		"chart/templates/_helpers.tpl", `{{ define "name" }}{{ .Chart.Name }}{{ end }}`,
		"chart/templates/a.yaml", object("a", "x: {{ include \"name\" . }}\n  z: {{ .Values.auth.password | default (randAlphaNum 10) | quote }}"),
		"chart/templates/NOTES.txt", "{{ randAlphaNum 5 }}",
	)
	expectError(t, tree, `{"inline":{"auth":{}}}`,
		"chart/templates/a.yaml:7: random: `randAlphaNum` gives other text at each render, and the same commit must give the same bytes: set the value that the chart takes instead of making one, such as `auth.password`; or give the plugin bytes that stay the same, with `grants: { random: stable }` in weir.yaml")
	expect(t, shown(t, tree, `{"inline":{"auth":{"password":"p"}}}`), `chart/templates/a.yaml ConfigMap/a {"x":"web","z":"p"}`)
}

func TestEveryRandomFunctionIsRefused(t *testing.T) {
	calls := map[string]string{
		"bcrypt": `bcrypt "a"`, "encryptAES": `encryptAES "k" "a"`, "genCA": `(genCA "a" 1).Cert`,
		"genCAWithKey": `(genCAWithKey "a" 1 (genPrivateKey "ecdsa")).Key`, "genPrivateKey": `genPrivateKey "ecdsa"`,
		"genSelfSignedCert": `(genSelfSignedCert "a" nil nil 1).Cert`, "genSelfSignedCertWithKey": `(genSelfSignedCertWithKey "a" nil nil 1 (genPrivateKey "ed25519")).Cert`,
		"genSignedCert": `(genSignedCert "a" nil nil 1 (genCA "a" 1)).Cert`, "genSignedCertWithKey": `(genSignedCertWithKey "a" nil nil 1 (genCA "a" 1) (genPrivateKey "")).Cert`,
		"htpasswd": `htpasswd "a" "b"`, "randAlpha": `randAlpha 3`, "randAlphaNum": `randAlphaNum 3`, "randAscii": `randAscii 3`,
		"randBytes": `randBytes 3`, "randInt": `randInt 0 9`, "randNumeric": `randNumeric 3`, "shuffle": `shuffle "abc"`, "uuidv4": `uuidv4`,
	}
	for _, name := range random {
		tree := repository("chart/Chart.yaml", chartOf("web", ""), "chart/templates/a.yaml", object("a", "x: {{ "+calls[name]+" | quote }}"))
		if _, err := rendered(tree, ""); err == nil || !strings.Contains(err.Error(), "chart/templates/a.yaml:6: random: `") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// refused is what is said of a template of one line that calls random functions without the grant; empty where it renders.
func refused(t *testing.T, value string) string {
	t.Helper()
	tree := repository("chart/Chart.yaml", chartOf("web", ""), "chart/templates/a.yaml", object("a", "x: y\n"+value))
	if _, err := rendered(tree, ""); err != nil {
		return err.Error()
	}
	return ""
}

func TestARandomFunctionIsFoundBehindWhatATemplateMakesOfIt(t *testing.T) {
	for value, function := range map[string]string{
		`  z: {{ randBytes 30 | b64dec | b64enc }}`:                                                                     "randBytes",
		`  z: {{ if gt (randInt 0 10) 5 }}big{{ else }}small{{ end }}`:                                                  "randInt",
		`  z: {{ regexReplaceAll "[^a-zA-Z]" (randAlpha 20) "" | quote }}`:                                              "randAlpha",
		`  z: {{ regexReplaceAll "[^0-9]" (randAlphaNum 20) "" | quote }}`:                                              "randAlphaNum",
		`  z: {{ randNumeric 3 | atoi | quote }}`:                                                                       "randNumeric",
		`  z: {{ index (list "a" "b") (randInt 0 2) }}`:                                                                 "randInt",
		`  z: {{ add 1 (randInt 0 2) | quote }}`:                                                                        "randInt",
		`  z: {{ shuffle "abca" }}`:                                                                                     "shuffle",
		`  z: {{ uuidv4 | replace "-" "" | trunc 8 | quote }}`:                                                          "uuidv4",
		`  z: {{ (split ":" (htpasswd "a" "b"))._1 | quote }}`:                                                          "htpasswd",
		`  z: {{ bcrypt "a" | trunc 29 | quote }}`:                                                                      "bcrypt",
		`{{ $ca := genCA "ca" 1 }}  z: {{ (buildCustomCert (b64enc $ca.Cert) (b64enc $ca.Key)).Cert | quote }}`:         "genCA",
		`{{ $ca := genCA "ca" 1 }}{{ $c := genSignedCert "c" nil (list "c") 1 $ca }}  z: {{ $c.Key | b64enc | quote }}`: "genCA",
		`{{ $c := genSelfSignedCertWithKey "c" nil nil 1 (genPrivateKey "rsa") }}  z: {{ $c.Cert | b64enc | quote }}`:   "genPrivateKey",
		// Whether these fail depends on what is drawn.
		`  z: {{ if gt (randInt 0 10) 5 }}{{ fail "too many" }}{{ end }}`: "randInt",
		`  z: {{ if lt (randInt 0 10) 5 }}{{ fail "too few" }}{{ end }}`:  "randInt",
		`  z: {{ index (list "a" "b") (randInt 0 3) }}`:                   "randInt",
		`  z: {{ if gt (randInt 0 10) 5 }}"{{ end }}`:                     "randInt",
	} {
		said := refused(t, value)
		if !strings.HasPrefix(said, "chart/templates/a.yaml:7: random: `"+function+"` gives other text at each render") {
			t.Errorf("%s: %q", value, said)
		}
	}
}

func TestWhatIsTheSameWhateverIsDrawnIsLetThrough(t *testing.T) {
	for _, value := range []string{
		`  z: {{ randInt 4 5 | quote }}`,
		`  z: {{ len (randAlphaNum 12) | quote }}`,
		`  z: {{ len (randBytes 12 | b64dec) | quote }}`,
		`  z: {{ shuffle "aaaa" }}{{ randAlpha 0 }}`,
		`  z: {{ encryptAES "key" "text" | decryptAES "key" }}`,
		`  z: {{ regexMatch "^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$" uuidv4 | quote }}`,
		`  z: {{ bcrypt "a" | len | quote }}`,
		`  z: {{ htpasswd "a:b" "c" | quote }}`,
		`  z: {{ genPrivateKey "none" }}`,
	} {
		if said := refused(t, value); said != "" {
			t.Errorf("%s: %s", value, said)
		}
	}
}

func TestAChartThatFailsWhateverIsDrawnSaysWhyItFails(t *testing.T) {
	for value, expected := range map[string]string{
		`{{ $p := randAlpha 3 }}{{ fail "because" }}`:      "because",
		`{{ fail (randAlpha 3) }}`:                         "execution error",
		`  z: {{ index (list "a" "b") (randInt 2 9) }}`:    "index out of range",
		`  z: {{ randInt 5 5 }}`:                           "the second number has to be the greater one",
		`  z: {{ (genCAWithKey "a" 1 "k").Cert | quote }}`: "parsing private key",
		`  z: {{ randAlpha "a" }}`:                         "expected int",
		`  z: {{ randAlpha 2000000 }}`:                     "at most 1048576 can be made up",
		`  z: {{ randBytes -1 }}`:                          "from 0 to 1048576 can be made up",
	} {
		if said := refused(t, value); !strings.HasPrefix(said, "chart/templates/a.yaml:7: template: ") || !strings.Contains(said, expected) {
			t.Errorf("%s: %q", value, said)
		}
	}
}

func TestKeysAndValuesComeInOrderWithAndWithoutTheGrant(t *testing.T) {
	template := object("a", `x: {{ keys .Values.d (dict "z" 1 "b" 2) | join "" }}`+"\n"+`  v: {{ values .Values.d | join "" | quote }}`+"\n"+`  len: {{ randAlpha 3 | len | quote }}{{ keys (dict) | join "" }}`)
	files := []string{"chart/Chart.yaml", chartOf("web", ""), "chart/values.yaml", "d: {g: 7, c: 3, a: 1, f: 6, b: 2, e: 5, d: 4}\n", "chart/templates/a.yaml", template}
	for _, tree := range []fs.FS{repository(files...), granted(files[2:]...)} {
		for range 3 {
			expect(t, shown(t, tree, ""), `chart/templates/a.yaml ConfigMap/a {"len":"3","v":"1234567","x":"abcdefgbz"}`)
		}
	}
}

func TestNoRandomNumberIsTakenWithoutTheGrant(t *testing.T) {
	with(t, none{})
	defer exchanged(none{})()
	all := `{{ $ca := genCA "ca" 1 }}{{ $own := genSelfSignedCert "c" nil nil 1 }}{{ $signed := genSignedCert "c" nil nil 1 $ca }}{{ $key := genPrivateKey "ecdsa" }}` +
		`{{ $with := list (genCAWithKey "c" 1 $key) (genSelfSignedCertWithKey "c" nil nil 1 $key) (genSignedCertWithKey "c" nil nil 1 $ca $key) }}` +
		`{{ $rest := list (genPrivateKey "ed25519") (bcrypt "a") (htpasswd "a" "b") (encryptAES "a" "b") uuidv4 (shuffle "ab") (randInt 1 2) (randBytes 1) (randAscii 1) }}` +
		`  z: {{ len $rest | quote }}`
	if said := refused(t, all); said != "" {
		t.Error(said)
	}
}
