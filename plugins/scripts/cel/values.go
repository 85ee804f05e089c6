// Values of CEL from JSON and back.

package main

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

var errNoFiles = errors.New("files are for renderers: put what a rule needs into `values`")

// plainJSON is JSON with its numbers as they are written.
func plainJSON(text []byte) (any, error) {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.UseNumber()
	var value any
	err := decoder.Decode(&value)
	return value, err
}

// fromJSON is JSON as CEL has it: a whole number is an int, as Kubernetes has it, or a uint where it is too large for one. One
// that is neither would be another number, and is an error.
func fromJSON(text []byte) (any, error) {
	value, err := plainJSON(text)
	if err != nil {
		return nil, err
	}
	return withNumbers(value)
}

// withNumbers is a value of JSON with numbers of CEL, in the order of keys, so that always the same number is said to be wrong.
func withNumbers(value any) (any, error) {
	switch value := value.(type) {
	case json.Number:
		return number(value.String())
	case []any:
		out := make([]any, len(value))
		for i, item := range value {
			var err error
			if out[i], err = withNumbers(item); err != nil {
				return nil, err
			}
		}
		return out, nil
	case map[string]any:
		out := make(map[string]any, len(value))
		for _, key := range slices.Sorted(maps.Keys(value)) {
			var err error
			if out[key], err = withNumbers(value[key]); err != nil {
				return nil, err
			}
		}
		return out, nil
	}
	return value, nil
}

func number(text string) (any, error) {
	if whole, err := strconv.ParseInt(text, 10, 64); err == nil {
		return whole, nil
	}
	if whole, err := strconv.ParseUint(text, 10, 64); err == nil {
		return whole, nil
	}
	if !strings.ContainsAny(text, ".eE") {
		return nil, fmt.Errorf("it has the number %s, and CEL has whole numbers of 64 bits: use bundled:starlark for it", text)
	}
	other, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return nil, fmt.Errorf("it has the number %s, which is too large for CEL", text)
	}
	return other, nil
}

// toJSON is a value of CEL as encoding/json takes it.
func toJSON(value ref.Val) (any, error) {
	switch value := value.(type) {
	case types.Null:
		return nil, nil
	case types.Bool:
		return bool(value), nil
	case types.Int:
		return int64(value), nil
	case types.Uint:
		return uint64(value), nil
	case types.Double:
		if math.IsInf(float64(value), 0) || math.IsNaN(float64(value)) {
			return nil, fmt.Errorf("%v is no number in JSON", float64(value))
		}
		return float64(value), nil
	case types.String:
		return string(value), nil
	case types.Bytes:
		return base64.StdEncoding.EncodeToString(value), nil
	case types.Timestamp:
		return value.Format(time.RFC3339Nano), nil
	case types.Duration:
		return value.Duration.String(), nil
	case quantity:
		return value.String(), nil
	case *types.Optional:
		if !value.HasValue() {
			return nil, errors.New("it is an optional without a value: write `.orValue(..)`")
		}
		return toJSON(value.GetValue())
	case traits.Mapper:
		return mapToJSON(value)
	case traits.Lister:
		list := []any{}
		for items := value.Iterator(); items.HasNext() == types.True; {
			item, err := toJSON(items.Next())
			if err != nil {
				return nil, err
			}
			list = append(list, item)
		}
		return list, nil
	default:
		return nil, fmt.Errorf("a %s is nothing that JSON has: write `string(..)`", value.Type().TypeName())
	}
}

func mapToJSON(value traits.Mapper) (any, error) {
	out := map[string]any{}
	for keys := value.Iterator(); keys.HasNext() == types.True; {
		key := keys.Next()
		name, is := key.(types.String)
		if !is {
			return nil, fmt.Errorf("the key %v is a %s: keys of an object are texts", key.Value(), key.Type().TypeName())
		}
		item, err := toJSON(value.Get(key))
		if err != nil {
			return nil, err
		}
		out[string(name)] = item
	}
	return out, nil
}

// merged is an object with a JSON merge patch (RFC 7386).
func merged(target, patch any) any {
	changes, is := patch.(map[string]any)
	if !is {
		return patch
	}
	old, _ := target.(map[string]any)
	out := make(map[string]any, len(old)+len(changes))
	for key, value := range old {
		out[key] = value
	}
	for key, change := range changes {
		if change == nil {
			delete(out, key)
		} else {
			out[key] = merged(out[key], change)
		}
	}
	return out
}

// lazy is a variable that is evaluated where it is used.
type lazy struct {
	evaluate func() ref.Val
	value    ref.Val
}

// adapter makes values of what JSON has and of lazy variables.
type adapter struct{ types.Adapter }

func (a adapter) NativeToValue(value any) ref.Val {
	variable, is := value.(*lazy)
	if !is {
		return a.Adapter.NativeToValue(value)
	}
	if variable.value == nil {
		// While it is evaluated, whoever asks for it is it itself.
		variable.value = types.NewErr("it needs itself")
		variable.value = variable.evaluate()
	}
	return variable.value
}
