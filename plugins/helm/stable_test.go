// Random functions under the grant: the same at each render, others for others, and real keys and certificates.

package main

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"regexp"
	"strings"
	"testing"

	"golang.org/x/crypto/bcrypt"
	"sigs.k8s.io/yaml"
)

// secret gives one byte for ever: an app's own bytes in these tests.
type secret byte

func (s secret) Read(into []byte) (int, error) {
	return copy(into, bytes.Repeat([]byte{byte(s)}, len(into))), nil
}

// none has no bytes.
type none struct{}

func (none) Read([]byte) (int, error) { return 0, errors.New("nothing is to be read") }

// with has an app's own bytes come from there for a test.
func with(t *testing.T, source io.Reader) {
	t.Helper()
	before := entropy
	entropy = source
	t.Cleanup(func() { entropy = before })
}

// granted is a repository whose plugin has the grant.
func granted(files ...string) fs.FS {
	return repository(append(files, grantFile, "stable\n", "chart/Chart.yaml", chartOf("web", ""))...)
}

// data is what each object holds, by object and key.
func data(t *testing.T, tree fs.FS) map[string]string {
	t.Helper()
	documents, err := rendered(tree, "")
	if err != nil {
		t.Fatal(err)
	}
	all := map[string]string{}
	for _, document := range documents {
		var object struct {
			Metadata struct{ Name string }
			Data     map[string]string
		}
		if err := yaml.Unmarshal(document.Body, &object); err != nil {
			t.Fatal(err)
		}
		for key, value := range object.Data {
			all[object.Metadata.Name+"."+key] = value
		}
	}
	return all
}

// value is what one expression gives in a chart that has the grant.
func value(t *testing.T, expression string) string {
	t.Helper()
	return data(t, granted("chart/templates/a.yaml", object("a", "x: {{ "+expression+" | quote }}")))["a.x"]
}

func TestEachRandomFunctionGivesTheSameEachTimeAndAnotherAppAnother(t *testing.T) {
	key, curve := keyPEM(t, 1, "ed25519"), keyPEM(t, 1, "ecdsa")
	authority := `(genCAWithKey "ca" 9 ` + quoted(key) + `)`
	for name, expected := range map[string]struct{ call, form string }{
		"bcrypt":                   {`bcrypt "a"`, `^\$2a\$10\$.{53}$`},
		"encryptAES":               {`encryptAES "k" "a"`, `^[A-Za-z0-9+/]{43}=$`},
		"genCA":                    {`(genCA "a" 1).Key`, `^-----BEGIN RSA PRIVATE KEY-----\n`},
		"genCAWithKey":             {`(genCAWithKey "a" 1 ` + quoted(curve) + `).Cert`, `^-----BEGIN CERTIFICATE-----\n`},
		"genPrivateKey":            {`genPrivateKey "ecdsa"`, `^-----BEGIN EC PRIVATE KEY-----\n`},
		"genSelfSignedCert":        {`(genSelfSignedCert "a" nil nil 1).Key`, `^-----BEGIN RSA PRIVATE KEY-----\n`},
		"genSelfSignedCertWithKey": {`(genSelfSignedCertWithKey "a" nil nil 1 ` + quoted(curve) + `).Cert`, `^-----BEGIN CERTIFICATE-----\n`},
		"genSignedCert":            {`(genSignedCert "a" nil nil 1 ` + authority + `).Key`, `^-----BEGIN RSA PRIVATE KEY-----\n`},
		"genSignedCertWithKey":     {`(genSignedCertWithKey "a" nil nil 1 ` + authority + ` ` + quoted(curve) + `).Cert`, `^-----BEGIN CERTIFICATE-----\n`},
		"htpasswd":                 {`htpasswd "a" "b"`, `^a:\$2a\$10\$.{53}$`},
		"randAlpha":                {`randAlpha 30`, `^[a-zA-Z]{30}$`},
		"randAlphaNum":             {`randAlphaNum 30`, `^[a-zA-Z0-9]{30}$`},
		"randAscii":                {`randAscii 30 | b64enc`, `^.{40,}$`},
		"randBytes":                {`randBytes 30`, `^[A-Za-z0-9+/]{40}$`},
		"randInt":                  {`randInt 1000 1000000000`, `^[0-9]{4,9}$`},
		"randNumeric":              {`randNumeric 30`, `^[0-9]{30}$`},
		"shuffle":                  {`shuffle "abcdefghijklmnopqrst"`, `^[a-t]{20}$`},
		"uuidv4":                   {`uuidv4`, `^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$`},
	} {
		with(t, secret(1))
		first := value(t, expected.call)
		// A certificate begins at the second of the clock, which stands still in the sandbox alone.
		same := func() bool { return value(t, expected.call) == first }
		if !same() {
			if first = value(t, expected.call); !same() {
				t.Errorf("%s: it differs between two renders", name)
			}
		}
		if !regexp.MustCompile(expected.form).MatchString(first) {
			t.Errorf("%s: %q is not of the form %s", name, first, expected.form)
		}
		with(t, secret(2))
		if value(t, expected.call) == first {
			t.Errorf("%s: another app has the same: %q", name, first)
		}
	}
}

func TestEveryRandomFunctionHasAStableOne(t *testing.T) {
	functions := (&stable{}).functions()
	for _, name := range random {
		if functions[name] == nil {
			t.Errorf("%s has none", name)
		}
	}
}

// keyPEM is a private key of an app.
func keyPEM(t *testing.T, app secret, kind string) string {
	t.Helper()
	with(t, app)
	return value(t, `genPrivateKey "`+kind+`"`)
}

// quoted is a text as a template has it.
func quoted(text string) string {
	bytes, _ := json.Marshal(text)
	return string(bytes)
}

func TestAChangeInOneTemplateChangesNothingInAnother(t *testing.T) {
	with(t, secret(1))
	password := "chart/templates/b.yaml"
	other := "chart/templates/a.yaml"
	text := object("b", "x: {{ randAlphaNum 20 }}\n  y: {{ randAlphaNum 20 }}")
	before := data(t, granted(password, text, other, object("a", "x: {{ randAlphaNum 20 }}")))
	if before["b.x"] == before["b.y"] || before["b.x"] == before["a.x"] {
		t.Errorf("two calls give one text: %v", before)
	}
	after := data(t, granted(password, text, other, object("a", "x: {{ uuidv4 }}{{ randAlphaNum 9 }}\n  z: {{ randAlpha 7 | quote }}")))
	alone := data(t, granted(password, text))
	for _, key := range []string{"b.x", "b.y"} {
		if after[key] != before[key] || alone[key] != before[key] {
			t.Errorf("%s was %q and is %q, and alone %q", key, before[key], after[key], alone[key])
		}
	}
}

func TestATemplateThatIsIncludedForItsChecksumHasTheSameTextThere(t *testing.T) {
	with(t, secret(1))
	own := "{{ randAlphaNum 20 }}"
	include := `{{ include (print $.Template.BasePath "/secret.yaml") . | b64enc }}`
	tree := granted(
		"chart/templates/_h.tpl", `{{ define "made" }}{{ randAlphaNum 20 }}{{ end }}`,
		"chart/templates/secret.yaml", object("secret", "x: "+own+`
  h: {{ include "made" . }}`),
		"chart/templates/web.yaml", object("web", "before: "+own+"\n  sum: "+include+"\n  after: "+own),
		"chart/templates/plain.yaml", object("plain", "before: "+own+"\n  after: "+own),
	)
	found := data(t, tree)
	text, err := base64.StdEncoding.DecodeString(found["web.sum"])
	if err != nil || !strings.Contains(string(text), found["secret.x"]) || !strings.Contains(string(text), found["secret.h"]) {
		t.Errorf("the checksum is of %q, and the secret is %q: %v", text, found["secret.x"], err)
	}
	if found["web.before"] == found["web.after"] {
		t.Error("what was included counts for the template that included it")
	}
	if found["secret.x"] == found["secret.h"] {
		t.Error("a helper's call is no call of the template that includes it")
	}
}

func TestNothingIsReadForAChartThatMakesNothingUp(t *testing.T) {
	with(t, none{})
	found := data(t, granted("chart/templates/a.yaml", object("a", `x: {{ "p" | default (print "q") }}`)))
	if found["a.x"] != "p" {
		t.Errorf("%v", found)
	}
	tree := granted("chart/templates/a.yaml", object("a", "x: {{ randAlpha 3 }}"))
	if _, err := rendered(tree, ""); err == nil || !strings.Contains(err.Error(), "chart/templates/a.yaml:6") {
		t.Errorf("%v", err)
	}
}

func TestWhatCannotBeMadeIsRefusedWithItsPlace(t *testing.T) {
	with(t, secret(1))
	for call, expected := range map[string]string{
		`genPrivateKey "dsa"`:           "take `genPrivateKey \"ecdsa\"`",
		`genPrivateKey "rsa"`:           "a key of 4096 bits costs more than a call may spend",
		`randInt 5 5`:                   "the second number has to be the greater one",
		`(genCAWithKey "a" 1 "k").Cert`: "parsing private key",
	} {
		tree := granted("chart/templates/a.yaml", object("a", "x: {{ "+call+" | quote }}"))
		if _, err := rendered(tree, ""); err == nil || !strings.Contains(err.Error(), "chart/templates/a.yaml:6: template:") || !strings.Contains(err.Error(), expected) {
			t.Errorf("%s: %v", call, err)
		}
	}
	if found := value(t, `genPrivateKey "other"`); found != "Unknown type other" {
		t.Errorf("%q", found)
	}
}

func TestKeysAreKeysOfTheirKind(t *testing.T) {
	with(t, secret(3))
	block := func(kind string) []byte {
		block, rest := pem.Decode([]byte(value(t, `genPrivateKey "`+kind+`"`)))
		if block == nil || len(rest) > 0 {
			t.Fatalf("%s: no PEM", kind)
		}
		return block.Bytes
	}
	if _, err := x509.ParseECPrivateKey(block("ecdsa")); err != nil {
		t.Errorf("ecdsa: %v", err)
	}
	if key, err := x509.ParsePKCS8PrivateKey(block("ed25519")); err != nil {
		t.Errorf("ed25519: %v", err)
	} else if _, is := key.(ed25519.PrivateKey); !is {
		t.Errorf("ed25519: %T", key)
	}
}

func TestCertificatesAreWhatTheySayAndSignedByWhomTheySay(t *testing.T) {
	with(t, secret(4))
	chart := `{{- $ca := genCA "the-ca" 30 }}{{- $cert := genSignedCert "web" (list "10.0.0.1") (list "web.ns" "web") 30 $ca }}
{{- $key := genPrivateKey "ecdsa" }}{{- $ec := genCAWithKey "ec-ca" 30 $key }}{{- $leaf := genSignedCertWithKey "leaf" nil (list "leaf") 30 $ec (genPrivateKey "ed25519") }}
` + object("a", "ca: {{ $ca.Cert | quote }}\n  cert: {{ $cert.Cert | quote }}\n  key: {{ $cert.Key | quote }}\n  ec: {{ $ec.Cert | quote }}\n  leaf: {{ $leaf.Cert | quote }}")
	found := data(t, granted("chart/templates/a.yaml", chart))
	certificate := func(key string) *x509.Certificate {
		made, err := parsed(found["a."+key])
		if err != nil {
			t.Fatalf("%s: %v", key, err)
		}
		return made
	}
	for leaf, ca := range map[string]string{"cert": "ca", "leaf": "ec"} {
		roots := x509.NewCertPool()
		roots.AddCert(certificate(ca))
		if _, err := certificate(leaf).Verify(x509.VerifyOptions{Roots: roots}); err != nil {
			t.Errorf("%s is not signed by %s: %v", leaf, ca, err)
		}
	}
	cert := certificate("cert")
	if cert.Subject.CommonName != "web" || len(cert.DNSNames) != 2 || len(cert.IPAddresses) != 1 || cert.SerialNumber.BitLen() < 64 {
		t.Errorf("%+v", cert.Subject)
	}
	block, _ := pem.Decode([]byte(found["a.key"]))
	key, err := x509.ParsePKCS1PrivateKey(block.Bytes)
	if err != nil || !key.PublicKey.Equal(cert.PublicKey.(*rsa.PublicKey)) || key.N.BitLen() != certificateBits || key.Validate() != nil {
		t.Fatalf("the key is not the certificate's, or none of its size: %v", err)
	}
	for _, prime := range key.Primes {
		if prime.BitLen() != certificateBits/2 || !prime.ProbablyPrime(20) {
			t.Errorf("%v is no prime of half the bits", prime)
		}
	}
	if _, is := certificate("ec").PublicKey.(*ecdsa.PublicKey); !is {
		t.Errorf("%T", certificate("ec").PublicKey)
	}
}

func TestAPasswordsHashIsOfThatPassword(t *testing.T) {
	with(t, secret(1))
	if err := bcrypt.CompareHashAndPassword([]byte(value(t, `bcrypt "word"`)), []byte("word")); err != nil {
		t.Error(err)
	}
}
