// Private keys from stable bytes. Go's own functions take their random numbers from the system since Go 1.26, whatever
// source they are given.

package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
)

// privateKey is a new private key in PEM, as Helm's genPrivateKey writes it.
func (s *stable) privateKey(kind string) (string, error) {
	bytes, err := s.next("genPrivateKey")
	if err != nil {
		return "", err
	}
	switch kind {
	case "", "rsa":
		return "", notMade("rsa", "a key of 4096 bits costs more than a call may spend")
	case "ecdsa":
		return ecdsaKey(bytes)
	case "ed25519":
		return ed25519Key(bytes)
	case "dsa":
		return "", notMade("dsa", "what it is made with costs more than a call may spend")
	default:
		return "Unknown type " + kind, nil
	}
}

// notMade is the error of a kind of key that is not made.
func notMade(kind, why string) error {
	return fmt.Errorf("genPrivateKey %q: %s: take `genPrivateKey \"ecdsa\"` or `\"ed25519\"`, or set the value that the chart takes instead of making one", kind, why)
}

func ecdsaOf(key any) (crypto.Signer, bool) {
	signer, is := key.(*ecdsa.PrivateKey)
	return signer, is
}

func ed25519Key(bytes io.Reader) (string, error) {
	seed := make([]byte, ed25519.SeedSize)
	if _, err := io.ReadFull(bytes, seed); err != nil {
		return "", err
	}
	der, err := x509.MarshalPKCS8PrivateKey(ed25519.NewKeyFromSeed(seed))
	if err != nil {
		return "", err
	}
	return text("PRIVATE KEY", der), nil
}

// tries is how often bytes are taken that are no key: of P-256 one in four billion is none.
const tries = 64

func ecdsaKey(bytes io.Reader) (string, error) {
	raw := make([]byte, 32)
	for range tries {
		if _, err := io.ReadFull(bytes, raw); err != nil {
			return "", err
		}
		key, err := ecdsa.ParseRawPrivateKey(elliptic.P256(), raw)
		if err != nil {
			continue
		}
		der, err := x509.MarshalECPrivateKey(key)
		if err != nil {
			return "", err
		}
		return text("EC PRIVATE KEY", der), nil
	}
	return "", errors.New("no key came of the random bytes")
}

// exponent is the public exponent of RSA keys.
const exponent = 65537

// rsaKey is a key of two primes (FIPS 186-5, appendix A.1.3, with a sieve before each test).
func rsaKey(bytes io.Reader, bits int) (string, error) {
	one, e := big.NewInt(1), big.NewInt(exponent)
	for range tries {
		p, err := prime(bytes, bits/2)
		if err != nil {
			return "", err
		}
		q, err := prime(bytes, bits/2)
		if err != nil {
			return "", err
		}
		n := new(big.Int).Mul(p, q)
		totient := new(big.Int).Mul(new(big.Int).Sub(p, one), new(big.Int).Sub(q, one))
		d := new(big.Int).ModInverse(e, totient)
		if d == nil || p.Cmp(q) == 0 || n.BitLen() != bits {
			continue
		}
		key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: exponent}, D: d, Primes: []*big.Int{p, q}}
		key.Precompute()
		if err := key.Validate(); err != nil {
			return "", fmt.Errorf("the key that was made is none: %w", err)
		}
		return text("RSA PRIVATE KEY", x509.MarshalPKCS1PrivateKey(key)), nil
	}
	return "", errors.New("no key came of the random bytes")
}

// window is how many odd numbers are sieved at once: of 1024 bits, one in 355 is a prime.
const window = 1 << 13

// rounds of Miller and Rabin's test with bases that follow from the number, besides the test of Baillie and PSW: of random
// numbers of this size FIPS 186-5 (table B.1) asks for three and that of Lucas, which is in it.
const rounds = 2

// prime is the first prime at or after a random odd number with its two highest bits set.
func prime(bytes io.Reader, bits int) (*big.Int, error) {
	for range tries {
		raw := make([]byte, (bits+7)/8)
		if _, err := io.ReadFull(bytes, raw); err != nil {
			return nil, err
		}
		start := new(big.Int).SetBytes(raw)
		start.SetBit(start, bits-1, 1).SetBit(start, bits-2, 1).SetBit(start, 0, 1)
		composite := sieved(start)
		for i := range window {
			if composite[i] {
				continue
			}
			candidate := new(big.Int).Add(start, big.NewInt(2*int64(i)))
			if candidate.BitLen() == bits && candidate.ProbablyPrime(0) && candidate.ProbablyPrime(rounds) {
				return candidate, nil
			}
		}
	}
	return nil, errors.New("no prime came of the random bytes")
}

// sieved says which of the odd numbers from start have a small factor.
func sieved(start *big.Int) []bool {
	composite := make([]bool, window)
	remainder, divisor := new(big.Int), new(big.Int)
	for _, small := range smallPrimes() {
		m := remainder.Mod(start, divisor.SetUint64(small)).Uint64()
		// The first i with start + 2i divisible: half of the way to the next multiple that is as odd.
		way := (small - m) % small
		if way%2 == 1 {
			way += small
		}
		for i := way / 2; i < window; i += small {
			composite[i] = true
		}
	}
	return composite
}

// sieve is how far small factors are looked for.
const sieve = 1 << 16

var primesBelow []uint64

// smallPrimes are the odd primes below the sieve's end.
func smallPrimes() []uint64 {
	if primesBelow != nil {
		return primesBelow
	}
	composite := make([]bool, sieve)
	for n := uint64(3); n < sieve; n += 2 {
		if composite[n] {
			continue
		}
		primesBelow = append(primesBelow, n)
		for i := n * n; i < sieve; i += 2 * n {
			composite[i] = true
		}
	}
	return primesBelow
}

func text(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
