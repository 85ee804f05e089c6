// Helm's random functions with stable bytes: the functions themselves where they take their bytes from crypto/rand, their
// like where they take them from elsewhere.

package main

import (
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	chacha "math/rand/v2"
	"reflect"
	"text/template"

	"github.com/Masterminds/sprig/v3"
)

// certificateBits is the size of the keys that certificates are made with, as in Helm.
const certificateBits = 2048

// withKey are the functions that take the key which the others make.
var withKey = map[string]string{
	"genCA": "genCAWithKey", "genSelfSignedCert": "genSelfSignedCertWithKey", "genSignedCert": "genSignedCertWithKey",
}

// functions are the engine's own, where they are random, and those that say which template is executed.
func (s *stable) functions() template.FuncMap {
	helms := sprig.TxtFuncMap()
	all := template.FuncMap{enterFunction: s.enter, leaveFunction: s.leave}
	for _, name := range random {
		switch name {
		case "randInt":
			all[name] = s.randInt
		case "shuffle":
			all[name] = s.shuffle
		case "uuidv4":
			all[name] = s.uuid
		case "genPrivateKey":
			all[name] = s.privateKey
		default:
			all[name] = s.wrapped(name, helms)
		}
	}
	return all
}

// wrapped is one of Helm's functions, of the same type, with crypto/rand exchanged while it runs.
func (s *stable) wrapped(name string, helms template.FuncMap) any {
	function, certifies := reflect.ValueOf(helms[name]), false
	taken := function
	if other, makesKey := withKey[name]; makesKey {
		taken, certifies = reflect.ValueOf(helms[other]), true
	}
	byAuthority, takesKey := keyed[name]
	return reflect.MakeFunc(function.Type(), func(arguments []reflect.Value) []reflect.Value {
		bytes, err := s.next(name)
		if err == nil && certifies {
			var key string
			if key, err = rsaKey(bytes, certificateBits); err == nil {
				arguments = append(arguments, reflect.ValueOf(key))
			}
		}
		if err != nil {
			return failedWith(function.Type(), err)
		}
		defer exchanged(bytes)()
		given := taken.Call(arguments)
		if takesKey {
			given = signedAgain(given, arguments, byAuthority)
		}
		return given
	}).Interface()
}

// keyed are the functions that may sign with an elliptic curve's key, and whether that is the authority's: their fifth
// argument. Otherwise it is the certificate's own.
var keyed = map[string]bool{
	"genCAWithKey": false, "genSelfSignedCertWithKey": false, "genSignedCert": true, "genSignedCertWithKey": true,
}

// exchanged has crypto/rand give these bytes, until what it returns is called.
func exchanged(bytes io.Reader) func() {
	before := rand.Reader
	rand.Reader = bytes
	return func() { rand.Reader = before }
}

// failedWith is what a function of a type gives that failed: an error, or a panic, which the engine makes one of.
func failedWith(of reflect.Type, err error) []reflect.Value {
	given := make([]reflect.Value, of.NumOut())
	for i := range given {
		given[i] = reflect.Zero(of.Out(i))
	}
	last := len(given) - 1
	if of.Out(last) != reflect.TypeFor[error]() {
		panic(err)
	}
	given[last] = reflect.ValueOf(&err).Elem()
	return given
}

// signedAgain is the same certificate with a signature that follows from it and the key: that of an elliptic curve has
// random numbers of its own, which crypto/rand's exchange does not reach.
func signedAgain(given, arguments []reflect.Value, byAuthority bool) []reflect.Value {
	if len(given) != 2 || !given[1].IsNil() {
		return given
	}
	certificate := reflect.New(given[0].Type()).Elem()
	certificate.Set(given[0])
	signs := certificate
	if byAuthority {
		signs = arguments[4]
	}
	made, err := parsed(certificate.Field(0).String())
	parent := made
	if err == nil && byAuthority {
		parent, err = parsed(signs.Field(0).String())
	}
	if err != nil {
		return failedAs(given, err)
	}
	signer, curve := ecKey(signs.Field(1).String())
	if !curve {
		return given
	}
	// Without a source of random numbers Go signs by RFC 6979.
	der, err := x509.CreateCertificate(nil, made, parent, made.PublicKey, signer)
	if err != nil {
		return failedAs(given, err)
	}
	text := string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
	certificate.Field(0).SetString(text)
	return []reflect.Value{certificate, given[1]}
}

// failedAs is an error in the place of what was given.
func failedAs(given []reflect.Value, err error) []reflect.Value {
	return []reflect.Value{reflect.Zero(given[0].Type()), reflect.ValueOf(&err).Elem()}
}

func parsed(text string) (*x509.Certificate, error) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, errors.New("unable to decode certificate")
	}
	return x509.ParseCertificate(block.Bytes)
}

// ecKey is a key of an elliptic curve; false for any other.
func ecKey(text string) (crypto.Signer, bool) {
	block, _ := pem.Decode([]byte(text))
	if block == nil {
		return nil, false
	}
	if key, err := x509.ParseECPrivateKey(block.Bytes); err == nil {
		return key, true
	}
	key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, false
	}
	return ecdsaOf(key)
}

// randInt is a number from min to below max.
func (s *stable) randInt(min, max int) (int, error) {
	if err := isRange(min, max); err != nil {
		return 0, err
	}
	bytes, err := s.next("randInt")
	if err != nil {
		return 0, err
	}
	n, err := rand.Int(bytes, new(big.Int).Sub(big.NewInt(int64(max)), big.NewInt(int64(min))))
	if err != nil {
		return 0, err
	}
	return min + int(n.Int64()), nil
}

// isRange says what is wrong with the arguments of randInt.
func isRange(min, max int) error {
	if max <= min {
		return fmt.Errorf("randInt %d %d: the second number has to be the greater one", min, max)
	}
	return nil
}

// shuffle is a text's characters in another order (Fisher and Yates).
func (s *stable) shuffle(text string) (string, error) {
	bytes, err := s.next("shuffle")
	if err != nil {
		return "", err
	}
	letters := []rune(text)
	chacha.New(bytes).Shuffle(len(letters), func(i, j int) { letters[i], letters[j] = letters[j], letters[i] })
	return string(letters), nil
}

// uuid is a UUID of version 4 (RFC 9562).
func (s *stable) uuid() (string, error) {
	bytes, err := s.next("uuidv4")
	if err != nil {
		return "", err
	}
	var id [16]byte
	if _, err := io.ReadFull(bytes, id[:]); err != nil {
		return "", err
	}
	id[6] = id[6]&0x0f | 0x40
	id[8] = id[8]&0x3f | 0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:]), nil
}
