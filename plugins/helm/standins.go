// What random functions give where there is no grant: one of two answers, of which each could come from Helm's own function.

package main

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// draws is what random functions give in one render.
type draws struct {
	// other gives the other one of two answers.
	other bool
	// refuse makes each an error.
	refuse bool
	// used says that one was called.
	used bool
	// bytes is what ciphers are made of: always the same for each of the two answers.
	bytes *stable
}

// newDraws gives one of two answers.
func newDraws(other bool) *draws {
	d := &draws{other: other}
	d.bytes = &stable{seed: bytes.Repeat([]byte(d.of("0", "1")), sha256.Size), places: []place{{}}}
	return d
}

// refusing makes each random function an error.
func refusing() *draws {
	d := newDraws(false)
	d.refuse = true
	return d
}

// randomRefused is the error of a function that may not be called here.
type randomRefused struct{ name string }

// notTheSame is what a refusal says after the function's name.
const notTheSame = " gives other text each time, so the render would not be the same twice"

func (e randomRefused) Error() string { return e.name + notTheSame }

// functions are the engine's own, where they are random. None may ask for random numbers of the host, which ends a call here.
func (d *draws) functions() template.FuncMap {
	helms, own := sprig.TxtFuncMap(), d.standIns()
	all := template.FuncMap{}
	for _, name := range random {
		switch {
		case name == "encryptAES":
			all[name] = d.watched(name, d.bytes.wrapped(name, helms))
		case own[name] != nil:
			all[name] = d.watched(name, own[name])
		default:
			all[name] = d.watched(name, d.certifies(helms, name))
		}
	}
	return all
}

// watched is a function that is known to have been called, or that is refused.
func (d *draws) watched(name string, function any) any {
	of := reflect.ValueOf(function)
	return reflect.MakeFunc(of.Type(), func(arguments []reflect.Value) []reflect.Value {
		d.used = true
		if d.refuse {
			return failedWith(of.Type(), randomRefused{name})
		}
		return of.Call(arguments)
	}).Interface()
}

// certifies is one of Helm's functions that make certificates: it gives one of two, with the key that it was given.
func (d *draws) certifies(helms template.FuncMap, name string) any {
	of, custom := reflect.TypeOf(helms[name]), reflect.ValueOf(helms["buildCustomCert"])
	return reflect.MakeFunc(of, func(arguments []reflect.Value) []reflect.Value {
		key := d.of(oneKey, otherKey)
		if strings.HasSuffix(name, "WithKey") {
			key = arguments[len(arguments)-1].String()
		}
		encoded := func(text string) reflect.Value {
			return reflect.ValueOf(base64.StdEncoding.EncodeToString([]byte(text)))
		}
		return custom.Call([]reflect.Value{encoded(d.of(oneCertificate, otherCertificate)), encoded(key)})
	}).Interface()
}

// standIns are those that would cost much, or whose answers might be the same by chance. Where there is a first and a last
// answer, they give these: what a template compares with is between them.
func (d *draws) standIns() template.FuncMap {
	return template.FuncMap{
		"bcrypt":        d.hash,
		"htpasswd":      d.htpasswd,
		"genPrivateKey": d.privateKey,
		"randAlpha":     d.letters("aA", "bB"),
		"randAlphaNum":  d.letters("a0A", "b9B"),
		"randAscii":     d.letters("a0A", "b9B"),
		"randNumeric":   d.letters("0", "9"),
		"randBytes":     d.randBytes,
		"randInt":       d.randInt,
		"shuffle":       d.shuffle,
		"uuidv4": func() string {
			return d.of("00000000-0000-4000-8000-000000000000", "ffffffff-ffff-4fff-bfff-ffffffffffff")
		},
	}
}

// of is one of two texts.
func (d *draws) of(one, other string) string {
	if d.other {
		return other
	}
	return one
}

// mostLetters is how long a text may be that is made up.
const mostLetters = 1 << 20

// letters are so many of a text's that is repeated.
func (d *draws) letters(one, other string) func(count int) (string, error) {
	text := d.of(one, other)
	return func(count int) (string, error) {
		if count > mostLetters {
			return "", fmt.Errorf("%d letters: at most %d can be made up", count, mostLetters)
		}
		count = max(count, 0)
		return strings.Repeat(text, count/len(text)+1)[:count], nil
	}
}

// randBytes is the base64 of so many bytes.
func (d *draws) randBytes(count int) (string, error) {
	if count < 0 || count > mostLetters {
		return "", fmt.Errorf("%d bytes: from 0 to %d can be made up", count, mostLetters)
	}
	return base64.StdEncoding.EncodeToString(bytes.Repeat([]byte(d.of("\x00", "\xff")), count)), nil
}

// randInt is the least number or the greatest.
func (d *draws) randInt(min, max int) (int, error) {
	if err := isRange(min, max); err != nil {
		return 0, err
	}
	if d.other {
		return max - 1, nil
	}
	return min, nil
}

// shuffle is a text or, with its first letter at its end, one that is the same only where all its letters are.
func (d *draws) shuffle(text string) string {
	letters := []rune(text)
	if !d.other || len(letters) < 2 {
		return text
	}
	return string(slices.Concat(letters[1:], letters[:1]))
}

// hash is of the form of bcrypt's.
func (d *draws) hash(string) string {
	const salted = 53
	return "$2a$10$" + strings.Repeat(d.of("a", "b"), salted)
}

// htpasswd is a line of a password file.
func (d *draws) htpasswd(user, password string) string {
	if strings.Contains(user, ":") {
		return "invalid username: " + user
	}
	return user + ":" + d.hash(password)
}

// privateKey is one of a curve also where another kind is asked for: making one of those would cost too much.
func (d *draws) privateKey(kind string) (string, error) {
	switch kind {
	case "", "rsa", "dsa", "ecdsa":
		return d.of(oneKey, otherKey), nil
	case "ed25519":
		return ed25519Key(bytes.NewReader(d.bytes.seed))
	default:
		return "Unknown type " + kind, nil
	}
}
