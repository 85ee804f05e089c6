// The validator: each rule for each object, or once for all of them.

package main

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"weir.dev/plugin"
	"weir.dev/scripts/script"
)

// check is a rule whose expressions are compiled.
type check struct {
	rule
	level      plugin.Level
	expression *expression
	message    *expression
	when       []*expression
}

// validate evaluates the rules.
func validate(tree fs.FS, objects []json.RawMessage, p plugin.Params) ([]plugin.Finding, error) {
	r, said, err := begin(tree, p)
	if err != nil {
		return nil, err
	}
	if len(said.Checks) == 0 {
		return nil, r.missing("validator", "rules")
	}
	checks := make([]check, len(said.Checks))
	for i, rule := range said.Checks {
		if checks[i], err = r.check(fmt.Sprintf("rules[%d]", i), rule); err != nil {
			return nil, err
		}
	}
	list, err := r.decodedAll(objects)
	if err != nil {
		return nil, err
	}
	var found []plugin.Finding
	whole := r.given(nil, list)
	for _, check := range checks {
		if check.Scope == "app" {
			found = check.look(found, nil, whole)
		}
	}
	for i, object := range list {
		of, index := object.(map[string]any), uint32(i)
		var given map[string]any
		for _, check := range checks {
			level, meant := check.about(of)
			if check.Scope == "app" || !meant {
				continue
			}
			check.level = level
			if given == nil {
				given = r.given(of, list)
			}
			found = check.look(found, &index, given)
		}
	}
	return found, nil
}

// about says whether a rule is about an object, and how much its findings then matter.
func (c *check) about(object map[string]any) (plugin.Level, bool) {
	if !means(c.Kinds, object) || !c.match.means(object) {
		return c.level, false
	}
	if len(c.bindings) == 0 {
		return c.level, true
	}
	return strictest(c.bindings, object)
}

// check compiles a rule.
func (r *run) check(name string, said rule) (check, error) {
	c := check{rule: said}
	var err error
	if c.Scope != "" && c.Scope != "object" && c.Scope != "app" {
		return c, r.from.wrong("%s.scope: it is `object`, once for each object, or `app`, once for all, not `%s`", name, c.Scope)
	}
	if c.Scope == "app" && len(c.Kinds) > 0 {
		return c, r.from.wrong("%s: `kinds` are for the scope `object`: with the scope `app` there is no object, so choose among `objects`, as by `objects.filter(o, o.kind == 'Service')`", name)
	}
	if c.Level != "" {
		if c.level, err = script.Level(c.Level); err != nil {
			return c, r.from.wrong("%s: %s", name, err)
		}
	}
	if c.Code == "" {
		c.Code = defaultCode
	}
	if c.expression, err = r.from.compile(name+".expression", c.Expression); err != nil {
		return c, err
	}
	if c.expression == nil {
		return c, r.from.wrong("%s: it needs an `expression`", name)
	}
	if c.message, err = r.from.compile(name+".messageExpression", c.MessageExpression); err != nil {
		return c, err
	}
	c.when, err = r.conditions(name, c.When)
	return c, err
}

// look adds what a rule finds about an object. An expression that cannot be evaluated is found, too: nobody knows whether
// that object may pass.
func (c *check) look(found []plugin.Finding, object *uint32, given map[string]any) []plugin.Finding {
	finding := plugin.Finding{Level: c.level, Code: c.Code, Object: object, Path: c.Path}
	meant, err := all(c.when, given)
	if err == nil && !meant {
		return found
	}
	var value ref.Val
	if err == nil {
		value, err = c.expression.value(given)
	}
	if err != nil {
		if c.ignore {
			plugin.Debug("%s", err)
			return found
		}
		finding.Message, finding.Path = "the rule cannot be evaluated: "+said(err), ""
		return append(found, finding)
	}
	switch value := value.(type) {
	case types.Bool:
		if value == types.True {
			return found
		}
		finding.Message = c.words(given)
	case types.String:
		if value == "" {
			return found
		}
		finding.Message = string(value)
	default:
		finding.Message, finding.Path = said(c.expression.useless("it gives %s: expected true, false, or what is wrong", value.Type().TypeName())), ""
	}
	return append(found, finding)
}

// words are what a finding says: what its messageExpression gives, its message, or the expression itself, as in Kubernetes.
func (c *check) words(given map[string]any) string {
	if c.message != nil {
		if value, err := c.message.value(given); err == nil {
			if text, is := value.(types.String); is && oneLine(string(text)) != "" {
				return oneLine(string(text))
			}
		} else {
			plugin.Debug("%s", err)
		}
	}
	if c.Message != "" {
		return c.Message
	}
	return "failed expression: " + strings.TrimSpace(c.Expression)
}

// said is an error as part of a finding: with its place before it.
func said(err error) string {
	d, is := script.Said(err)
	if !is {
		return err.Error()
	}
	if d.Path == "" {
		return d.Message
	}
	if d.Line == 0 {
		return d.Path + ": " + d.Message
	}
	return fmt.Sprintf("%s:%d: %s", d.Path, d.Line, d.Message)
}
