// Template functions that give something else each time: a render with them would not be the same bytes twice.

package main

import (
	"fmt"
	"strings"
	"text/template"
)

// random are the functions of Helm (which has them from Sprig) that draw random numbers.
var random = []string{
	"bcrypt", "encryptAES", "genCA", "genCAWithKey", "genPrivateKey", "genSelfSignedCert", "genSelfSignedCertWithKey",
	"genSignedCert", "genSignedCertWithKey", "htpasswd", "randAlpha", "randAlphaNum", "randAscii", "randBytes", "randInt",
	"randNumeric", "shuffle", "uuidv4",
}

// draws is what random functions give in one render.
type draws struct {
	// letter is what every text consists of.
	letter string
	// refuse makes each an error.
	refuse bool
	// used says that one was called.
	used bool
}

// randomRefused is the error of a function that may not be called here.
type randomRefused struct{ name string }

// notTheSame is what a refusal says after the function's name.
const notTheSame = " gives other text each time, so the render would not be the same twice"

func (e randomRefused) Error() string { return e.name + notTheSame }

// functions are the engine's own, where they are random.
func (d *draws) functions() template.FuncMap {
	all := template.FuncMap{}
	for _, name := range random {
		all[name] = func(arguments ...any) (any, error) {
			d.used = true
			if d.refuse {
				return nil, randomRefused{name}
			}
			return d.value(name, arguments), nil
		}
	}
	return all
}

// value is of the type and the length that a chart may look at.
func (d *draws) value(name string, arguments []any) any {
	switch name {
	case "randAlpha", "randAlphaNum", "randAscii", "randNumeric", "randBytes":
		length := 1
		if len(arguments) > 0 {
			_, _ = fmt.Sscan(fmt.Sprint(arguments[0]), &length)
		}
		return strings.Repeat(d.letter, min(max(length, 0), 1<<16))
	case "randInt":
		return len(d.letter) + strings.Index("01", d.letter)
	case "genCA", "genCAWithKey", "genSelfSignedCert", "genSelfSignedCertWithKey", "genSignedCert", "genSignedCertWithKey":
		return map[string]string{"Cert": d.letter, "Key": d.letter}
	case "uuidv4":
		return strings.Repeat(d.letter, 8) + "-" + strings.Repeat(d.letter, 4)
	default:
		return d.letter
	}
}
