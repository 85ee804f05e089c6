// Maps in comprehensions: in the order of their keys. The library has them in Go's, which differs from one run to the next.

package main

import (
	"cmp"
	"slices"
	"strings"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// orderedFunction is put around what a comprehension runs over. No expression can name it.
const orderedFunction = "@ordered"

// ordered declares it: what is no map stays as it is.
func ordered() cel.EnvOption {
	item := cel.TypeParamType("T")
	return cel.Function(orderedFunction, cel.Overload("ordered_any", []*cel.Type{item}, item, cel.UnaryBinding(func(value ref.Val) ref.Val {
		if mapper, is := value.(traits.Mapper); is {
			return orderedMap{mapper}
		}
		return value
	})))
}

// inOrder has the comprehensions of an expression that was parsed run over ordered maps.
func inOrder(parsed *ast.AST) {
	factory, next := ast.NewExprFactory(), ast.MaxID(parsed)
	ast.PostOrderVisit(parsed.Expr(), ast.NewExprVisitor(func(e ast.Expr) {
		if e.Kind() != ast.ComprehensionKind {
			return
		}
		c := e.AsComprehension()
		next++
		over := factory.NewCall(next, orderedFunction, c.IterRange())
		if at, there := parsed.SourceInfo().GetOffsetRange(c.IterRange().ID()); there {
			parsed.SourceInfo().SetOffsetRange(next, at)
		}
		e.SetKindCase(factory.NewComprehensionTwoVar(e.ID(), over, c.IterVar(), c.IterVar2(), c.AccuVar(), c.AccuInit(), c.LoopCondition(), c.LoopStep(), c.Result()))
	}))
}

// orderedMap is a map whose keys come in order. It is no [traits.Foldable], so that comprehensions of two variables ask for its
// keys, too.
type orderedMap struct{ traits.Mapper }

// Iterator gives the keys: numbers and texts by their order, and what has none by its type's name.
func (m orderedMap) Iterator() traits.Iterator {
	var keys []ref.Val
	for each := m.Mapper.Iterator(); each.HasNext() == types.True; {
		keys = append(keys, each.Next())
	}
	slices.SortFunc(keys, func(a, b ref.Val) int {
		if kinds := strings.Compare(kindOf(a), kindOf(b)); kinds != 0 {
			return kinds
		}
		if comparer, is := a.(traits.Comparer); is {
			if order, is := comparer.Compare(b).(types.Int); is {
				return cmp.Compare(order, 0)
			}
		}
		return 0
	})
	return types.NewRefValList(types.DefaultTypeAdapter, keys).Iterator()
}

// kindOf is a key's type, where all numbers are of one.
func kindOf(key ref.Val) string {
	switch key.(type) {
	case types.Int, types.Uint, types.Double:
		return "number"
	default:
		return key.Type().TypeName()
	}
}
