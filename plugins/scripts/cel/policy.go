// Policies of Kubernetes: a ValidatingAdmissionPolicy is taken as it is written for the cluster.

package main

import (
	"encoding/json"
	"slices"
	"strings"

	"weir.dev/plugin"
)

// policy is what is read of a ValidatingAdmissionPolicy (admissionregistration.k8s.io/v1).
type policy struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec struct {
		FailurePolicy    string            `json:"failurePolicy"`
		MatchConstraints *matchConstraints `json:"matchConstraints"`
		MatchConditions  []variable        `json:"matchConditions"`
		Variables        []variable        `json:"variables"`
		Validations      []struct {
			Expression        string `json:"expression"`
			Message           string `json:"message"`
			MessageExpression string `json:"messageExpression"`
			Reason            string `json:"reason"`
		} `json:"validations"`
		// Of a binding.
		PolicyName        string            `json:"policyName"`
		ValidationActions []string          `json:"validationActions"`
		MatchResources    *matchConstraints `json:"matchResources"`
	} `json:"spec"`
}

// binding is what is read of a ValidatingAdmissionPolicyBinding: for which of a policy's objects its findings matter, and how much.
type binding struct {
	level plugin.Level
	match *matchConstraints
}

// policies are a file's policy and its bindings, each of which a cluster enforces.
func (s *source) policies(documents []json.RawMessage) (Rules, error) {
	var found, bindings []policy
	for _, document := range documents {
		var one policy
		if err := json.Unmarshal(document, &one); err != nil {
			return Rules{}, s.wrong("%s", strings.TrimPrefix(err.Error(), "json: "))
		}
		switch one.Kind {
		case "ValidatingAdmissionPolicy":
			found = append(found, one)
		case "ValidatingAdmissionPolicyBinding":
			bindings = append(bindings, one)
		default:
			return Rules{}, s.wrong("it has a %s: expected ValidatingAdmissionPolicy and ValidatingAdmissionPolicyBinding", one.Kind)
		}
	}
	if len(found) != 1 {
		return Rules{}, s.wrong("it has %d objects of kind ValidatingAdmissionPolicy: write one in each file", len(found))
	}
	of, err := s.bindingsOf(found[0].Metadata.Name, bindings)
	if err != nil {
		return Rules{}, err
	}
	return s.rulesOf(found[0], of)
}

// bindingsOf are those of one policy.
func (s *source) bindingsOf(name string, all []policy) ([]binding, error) {
	var of []binding
	for _, one := range all {
		if one.Spec.PolicyName != name {
			continue
		}
		level, known := levelOf(one.Spec.ValidationActions)
		if !known {
			return nil, s.wrong("binding %s: validationActions: expected some of Deny, Warn and Audit, got %q", one.Metadata.Name, one.Spec.ValidationActions)
		}
		if err := one.Spec.MatchResources.check("matchResources"); err != nil {
			return nil, s.wrong("binding %s: %s", one.Metadata.Name, err)
		}
		of = append(of, binding{level, one.Spec.MatchResources})
	}
	return of, nil
}

// levelOf is what a binding's actions mean here, where nothing can be audited.
func levelOf(actions []string) (level plugin.Level, known bool) {
	unknown := func(action string) bool { return !slices.Contains([]string{"Deny", "Warn", "Audit"}, action) }
	if len(actions) == 0 || slices.ContainsFunc(actions, unknown) {
		return plugin.LevelError, false
	}
	switch {
	case slices.Contains(actions, "Deny"):
		return plugin.LevelError, true
	case slices.Contains(actions, "Warn"):
		return plugin.LevelWarning, true
	default:
		return plugin.LevelInfo, true
	}
}

// strictest is the level of a policy's findings about an object: that of the strictest binding that is about it, since a cluster
// enforces each. There is none where no binding is.
func strictest(bindings []binding, object map[string]any) (level plugin.Level, meant bool) {
	for _, wanted := range []plugin.Level{plugin.LevelError, plugin.LevelWarning, plugin.LevelInfo} {
		is := func(b binding) bool { return b.level == wanted && b.match.means(object) }
		if slices.ContainsFunc(bindings, is) {
			return wanted, true
		}
	}
	return plugin.LevelError, false
}

func (s *source) rulesOf(p policy, bindings []binding) (Rules, error) {
	match := p.Spec.MatchConstraints
	if err := match.check("matchConstraints"); err != nil {
		return Rules{}, s.wrong("%s", err)
	}
	if match != nil && len(match.ResourceRules) == 0 {
		return Rules{}, s.wrong("matchConstraints.resourceRules: there are none, and a cluster takes no policy without")
	}
	out := Rules{Variables: p.Spec.Variables}
	var when []string
	for _, condition := range p.Spec.MatchConditions {
		when = append(when, condition.Expression)
	}
	for _, validation := range p.Spec.Validations {
		out.Checks = append(out.Checks, rule{
			Expression:        validation.Expression,
			Message:           validation.Message,
			MessageExpression: validation.MessageExpression,
			Code:              p.Metadata.Name,
			When:              when,
			ignore:            p.Spec.FailurePolicy == "Ignore",
			match:             match,
			bindings:          bindings,
		})
	}
	return out, nil
}
