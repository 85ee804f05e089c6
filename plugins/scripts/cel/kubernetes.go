// The functions that policies of Kubernetes use most, beside those that CEL's own extensions have: quantities, parts of texts,
// sums and extremes of lists. Named and typed as there.

package main

import (
	"fmt"
	"math"
	"reflect"
	"regexp"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"k8s.io/apimachinery/pkg/api/resource"
)

// quantityType is an amount such as `1500Mi`.
var quantityType = cel.OpaqueType("kubernetes.Quantity")

// quantity is an amount as a value of CEL.
type quantity struct{ resource.Quantity }

var _ ref.Val = quantity{}

func (q quantity) Type() ref.Type { return quantityType }
func (q quantity) Value() any     { return q.Quantity }

func (q quantity) ConvertToNative(to reflect.Type) (any, error) {
	return nil, fmt.Errorf("a quantity is no %v", to)
}

func (q quantity) ConvertToType(to ref.Type) ref.Val {
	switch to {
	case types.StringType:
		return types.String(q.String())
	case types.TypeType:
		return quantityType
	}
	return types.NewErr("a quantity is no %s", to.TypeName())
}

func (q quantity) Equal(other ref.Val) ref.Val {
	o, is := other.(quantity)
	return types.Bool(is && q.Cmp(o.Quantity) == 0)
}

// kubernetes declares them.
func kubernetes() []cel.EnvOption {
	return append(quantities(), append(texts(), lists()...)...)
}

func quantities() []cel.EnvOption {
	parse := func(v ref.Val) (resource.Quantity, error) { return resource.ParseQuantity(string(v.(types.String))) }
	options := []cel.EnvOption{
		cel.Function("quantity", cel.Overload("string_to_quantity", []*cel.Type{cel.StringType}, quantityType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			q, err := parse(v)
			if err != nil {
				return types.NewErr("%q is no quantity such as 500m or 2Gi", v.Value())
			}
			return quantity{q}
		}))),
		cel.Function("isQuantity", cel.Overload("is_quantity_string", []*cel.Type{cel.StringType}, cel.BoolType, cel.UnaryBinding(func(v ref.Val) ref.Val {
			_, err := parse(v)
			return types.Bool(err == nil)
		}))),
	}
	of := func(name string, gives *cel.Type, call func(q resource.Quantity) ref.Val) {
		options = append(options, cel.Function(name, cel.MemberOverload("quantity_"+name, []*cel.Type{quantityType}, gives,
			cel.UnaryBinding(func(v ref.Val) ref.Val { return call(v.(quantity).Quantity) }))))
	}
	of("isInteger", cel.BoolType, func(q resource.Quantity) ref.Val {
		_, is := q.AsInt64()
		return types.Bool(is)
	})
	of("asInteger", cel.IntType, func(q resource.Quantity) ref.Val {
		whole, is := q.AsInt64()
		if !is {
			return types.NewErr("%s is no whole number", q.String())
		}
		return types.Int(whole)
	})
	of("asApproximateFloat", cel.DoubleType, func(q resource.Quantity) ref.Val { return types.Double(q.AsApproximateFloat64()) })
	of("sign", cel.IntType, func(q resource.Quantity) ref.Val { return types.Int(q.Sign()) })
	with := func(name string, gives *cel.Type, call func(a, b resource.Quantity) ref.Val) {
		options = append(options, cel.Function(name, cel.MemberOverload("quantity_"+name+"_quantity", []*cel.Type{quantityType, quantityType}, gives,
			cel.BinaryBinding(func(a, b ref.Val) ref.Val { return call(a.(quantity).Quantity, b.(quantity).Quantity) }))))
	}
	with("isGreaterThan", cel.BoolType, func(a, b resource.Quantity) ref.Val { return types.Bool(a.Cmp(b) > 0) })
	with("isLessThan", cel.BoolType, func(a, b resource.Quantity) ref.Val { return types.Bool(a.Cmp(b) < 0) })
	with("compareTo", cel.IntType, func(a, b resource.Quantity) ref.Val { return types.Int(a.Cmp(b)) })
	with("add", quantityType, func(a, b resource.Quantity) ref.Val {
		sum := a.DeepCopy()
		sum.Add(b)
		return quantity{sum}
	})
	with("sub", quantityType, func(a, b resource.Quantity) ref.Val {
		rest := a.DeepCopy()
		rest.Sub(b)
		return quantity{rest}
	})
	withWhole := func(name string, call func(q *resource.Quantity, whole resource.Quantity)) {
		options = append(options, cel.Function(name, cel.MemberOverload("quantity_"+name+"_int", []*cel.Type{quantityType, cel.IntType}, quantityType,
			cel.BinaryBinding(func(a, b ref.Val) ref.Val {
				changed := a.(quantity).DeepCopy()
				call(&changed, *resource.NewQuantity(int64(b.(types.Int)), resource.DecimalExponent))
				return quantity{changed}
			}))))
	}
	withWhole("add", (*resource.Quantity).Add)
	withWhole("sub", (*resource.Quantity).Sub)
	return options
}

func texts() []cel.EnvOption {
	pattern := func(v ref.Val) (*regexp.Regexp, error) { return regexp.Compile(string(v.(types.String))) }
	all := func(text, wanted ref.Val, limit types.Int) ref.Val {
		re, err := pattern(wanted)
		if err != nil {
			return types.WrapErr(err)
		}
		// A limit below 0 is none.
		most := int(min(max(limit, -1), math.MaxInt32))
		return types.NewStringList(types.DefaultTypeAdapter, re.FindAllString(string(text.(types.String)), most))
	}
	return []cel.EnvOption{
		cel.Function("find", cel.MemberOverload("string_find_string", []*cel.Type{cel.StringType, cel.StringType}, cel.StringType,
			cel.BinaryBinding(func(text, wanted ref.Val) ref.Val {
				re, err := pattern(wanted)
				if err != nil {
					return types.WrapErr(err)
				}
				return types.String(re.FindString(string(text.(types.String))))
			}))),
		cel.Function("findAll",
			cel.MemberOverload("string_find_all_string", []*cel.Type{cel.StringType, cel.StringType}, cel.ListType(cel.StringType),
				cel.BinaryBinding(func(text, wanted ref.Val) ref.Val { return all(text, wanted, -1) })),
			cel.MemberOverload("string_find_all_string_int", []*cel.Type{cel.StringType, cel.StringType, cel.IntType}, cel.ListType(cel.StringType),
				cel.FunctionBinding(func(of ...ref.Val) ref.Val { return all(of[0], of[1], of[2].(types.Int)) }))),
	}
}

func lists() []cel.EnvOption {
	item := cel.TypeParamType("T")
	fold := func(name string, call func(a, b ref.Val) ref.Val) cel.EnvOption {
		return cel.Function(name, cel.MemberOverload("list_"+name, []*cel.Type{cel.ListType(item)}, item, cel.UnaryBinding(func(v ref.Val) ref.Val {
			items := v.(traits.Lister).Iterator()
			if items.HasNext() != types.True {
				return types.NewErr("%s of an empty list", name)
			}
			return folded(items.Next(), items, call)
		})))
	}
	better := func(wanted types.Int) func(a, b ref.Val) ref.Val {
		return func(a, b ref.Val) ref.Val {
			comparer, is := a.(traits.Comparer)
			if !is {
				return types.NewErr("a %s has no order", a.Type().TypeName())
			}
			order := comparer.Compare(b)
			if types.IsError(order) || order != wanted {
				return first(order, a)
			}
			return b
		}
	}
	return []cel.EnvOption{sums(), fold("min", better(types.IntOne)), fold("max", better(types.IntNegOne))}
}

// sums are of what has a zero, which is the sum of an empty list. Of a list whose type is not known it is that of whole numbers.
func sums() cel.EnvOption {
	var overloads []cel.FunctionOpt
	for _, of := range []struct {
		item *cel.Type
		zero ref.Val
	}{
		{cel.IntType, types.IntZero}, {cel.UintType, types.Uint(0)}, {cel.DoubleType, types.Double(0)}, {cel.DurationType, types.Duration{}},
	} {
		overloads = append(overloads, cel.MemberOverload("list_"+of.item.TypeName()+"_sum", []*cel.Type{cel.ListType(of.item)}, of.item,
			cel.UnaryBinding(func(v ref.Val) ref.Val {
				return folded(of.zero, v.(traits.Lister).Iterator(), func(a, b ref.Val) ref.Val {
					if a.Type() != b.Type() {
						return types.NewErr("a sum of %s and %s: make them of one type, as by double(..)", a.Type().TypeName(), b.Type().TypeName())
					}
					return a.(traits.Adder).Add(b)
				})
			})))
	}
	return cel.Function("sum", overloads...)
}

// folded is one value of a list's, each taken to what is there already.
func folded(start ref.Val, items traits.Iterator, call func(a, b ref.Val) ref.Val) ref.Val {
	for items.HasNext() == types.True && !types.IsError(start) {
		start = call(start, items.Next())
	}
	return start
}

// first is an error, or the value that stands where there is none.
func first(order, value ref.Val) ref.Val {
	if types.IsError(order) {
		return order
	}
	return value
}
