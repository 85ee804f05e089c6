// Policies of Kubernetes: a ValidatingAdmissionPolicy is taken as it is written for the cluster.

package main

import (
	"encoding/json"
	"slices"
	"strings"

	"weir.dev/plugin"
	"weir.dev/scripts/script"
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
		PolicyName        string   `json:"policyName"`
		ValidationActions []string `json:"validationActions"`
	} `json:"spec"`
}

// matchConstraints choose objects.
type matchConstraints struct {
	ResourceRules        []resourceRule  `json:"resourceRules"`
	ExcludeResourceRules []resourceRule  `json:"excludeResourceRules"`
	NamespaceSelector    json.RawMessage `json:"namespaceSelector"`
	ObjectSelector       *labelSelector  `json:"objectSelector"`
}

type resourceRule struct {
	APIGroups     []string `json:"apiGroups"`
	APIVersions   []string `json:"apiVersions"`
	Operations    []string `json:"operations"`
	Resources     []string `json:"resources"`
	ResourceNames []string `json:"resourceNames"`
}

type labelSelector struct {
	MatchLabels      map[string]string `json:"matchLabels"`
	MatchExpressions []struct {
		Key      string   `json:"key"`
		Operator string   `json:"operator"`
		Values   []string `json:"values"`
	} `json:"matchExpressions"`
}

// policies are a file's policies and their bindings, of which one says how much a policy's findings matter.
func (s *source) policies(documents []json.RawMessage) (Rules, error) {
	var found []policy
	level := map[string]string{}
	for _, document := range documents {
		var one policy
		if err := json.Unmarshal(document, &one); err != nil {
			return Rules{}, s.wrong("%s", strings.TrimPrefix(err.Error(), "json: "))
		}
		switch one.Kind {
		case "ValidatingAdmissionPolicy":
			found = append(found, one)
		case "ValidatingAdmissionPolicyBinding":
			level[one.Spec.PolicyName] = levelOf(one.Spec.ValidationActions)
		default:
			return Rules{}, s.wrong("it has a %s: expected ValidatingAdmissionPolicy and ValidatingAdmissionPolicyBinding", one.Kind)
		}
	}
	if len(found) != 1 {
		return Rules{}, s.wrong("it has %d objects of kind ValidatingAdmissionPolicy: write one in each file", len(found))
	}
	return s.rulesOf(found[0], level[found[0].Metadata.Name])
}

// levelOf is what a binding's actions mean here, where nothing can be audited.
func levelOf(actions []string) string {
	switch {
	case slices.Contains(actions, "Deny"):
		return "error"
	case slices.Contains(actions, "Warn"):
		return "warning"
	default:
		return "info"
	}
}

func (s *source) rulesOf(p policy, level string) (Rules, error) {
	match := p.Spec.MatchConstraints
	if match != nil {
		if text := string(match.NamespaceSelector); text != "" && text != "null" && text != "{}" {
			return Rules{}, s.wrong("matchConstraints.namespaceSelector: a render knows no namespaces' labels; choose objects by resourceRules or matchConditions")
		}
		if err := match.ObjectSelector.check(); err != nil {
			return Rules{}, s.wrong("%s", err)
		}
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
			Level:             level,
			Code:              p.Metadata.Name,
			When:              when,
			ignore:            p.Spec.FailurePolicy == "Ignore",
			match:             match,
		})
	}
	return out, nil
}

func (l *labelSelector) check() error {
	if l == nil {
		return nil
	}
	for _, expression := range l.MatchExpressions {
		if !slices.Contains([]string{"In", "NotIn", "Exists", "DoesNotExist"}, expression.Operator) {
			return plugin.Errorf(script.CodeSyntax, "matchConstraints.objectSelector: the operator `%s` is none of In, NotIn, Exists and DoesNotExist", expression.Operator)
		}
	}
	return nil
}

// means says whether a policy is about an object.
func (m *matchConstraints) means(object map[string]any) bool {
	if m == nil {
		return true
	}
	is := func(rule resourceRule) bool { return rule.means(object) }
	return slices.ContainsFunc(m.ResourceRules, is) && !slices.ContainsFunc(m.ExcludeResourceRules, is) && m.ObjectSelector.means(object)
}

// means says whether an object that is created is one of the resources. Its resource is guessed from its kind, as kubectl
// does without a cluster.
func (r resourceRule) means(object map[string]any) bool {
	group, version := groupVersion(object)
	kind, _ := object["kind"].(string)
	has := func(list []string, value string) bool {
		return slices.Contains(list, value) || slices.Contains(list, "*")
	}
	named := len(r.ResourceNames) == 0 || slices.Contains(r.ResourceNames, metadata(object, "name"))
	created := len(r.Operations) == 0 || has(r.Operations, "CREATE") || slices.Contains(r.Operations, "UPDATE")
	resources := has(r.Resources, resourceOf(kind)) || slices.Contains(r.Resources, "*/*")
	return has(r.APIGroups, group) && has(r.APIVersions, version) && resources && created && named
}

func (l *labelSelector) means(object map[string]any) bool {
	if l == nil {
		return true
	}
	about, _ := object["metadata"].(map[string]any)
	labels, _ := about["labels"].(map[string]any)
	for key, wanted := range l.MatchLabels {
		if value, is := labels[key].(string); !is || value != wanted {
			return false
		}
	}
	for _, expression := range l.MatchExpressions {
		value, there := labels[expression.Key].(string)
		among := there && slices.Contains(expression.Values, value)
		fits := map[string]bool{"In": among, "NotIn": !among, "Exists": there, "DoesNotExist": !there}
		if !fits[expression.Operator] {
			return false
		}
	}
	return true
}

// resourceOf is the name of a kind's resource by Kubernetes' custom.
func resourceOf(kind string) string {
	name := strings.ToLower(kind)
	switch {
	case name == "endpoints":
		return name
	case strings.HasSuffix(name, "s"):
		return name + "es"
	case strings.HasSuffix(name, "y") && !strings.HasSuffix(name, "ay") && !strings.HasSuffix(name, "ey"):
		return strings.TrimSuffix(name, "y") + "ies"
	default:
		return name + "s"
	}
}

func groupVersion(object map[string]any) (group, version string) {
	whole, _ := object["apiVersion"].(string)
	if group, version, is := strings.Cut(whole, "/"); is {
		return group, version
	}
	return "", whole
}

func metadata(object map[string]any, field string) string {
	about, _ := object["metadata"].(map[string]any)
	value, _ := about[field].(string)
	return value
}
