// Which objects a policy of Kubernetes is about.

package main

import (
	"fmt"
	"slices"
	"strings"
)

// matchConstraints choose objects.
type matchConstraints struct {
	ResourceRules        []resourceRule `json:"resourceRules"`
	ExcludeResourceRules []resourceRule `json:"excludeResourceRules"`
	NamespaceSelector    *labelSelector `json:"namespaceSelector"`
	ObjectSelector       *labelSelector `json:"objectSelector"`
}

type resourceRule struct {
	APIGroups     []string `json:"apiGroups"`
	APIVersions   []string `json:"apiVersions"`
	Operations    []string `json:"operations"`
	Resources     []string `json:"resources"`
	ResourceNames []string `json:"resourceNames"`
	Scope         string   `json:"scope"`
}

type labelSelector struct {
	MatchLabels      map[string]string `json:"matchLabels"`
	MatchExpressions []struct {
		Key      string   `json:"key"`
		Operator string   `json:"operator"`
		Values   []string `json:"values"`
	} `json:"matchExpressions"`
}

// check says what of them cannot be taken; key is where they stand.
func (m *matchConstraints) check(key string) error {
	if m == nil {
		return nil
	}
	if !m.NamespaceSelector.isEmpty() {
		return fmt.Errorf("%s.namespaceSelector: a render knows no namespaces' labels; choose objects by resourceRules or matchConditions", key)
	}
	for _, rule := range slices.Concat(m.ResourceRules, m.ExcludeResourceRules) {
		if rule.Scope != "" && rule.Scope != "*" {
			return fmt.Errorf("%s: the scope `%s` of a rule: a render does not know which kinds belong to namespaces; leave it out, or write `*`", key, rule.Scope)
		}
	}
	if len(m.ResourceRules) > 0 && !slices.ContainsFunc(m.ResourceRules, resourceRule.created) {
		return fmt.Errorf("%s.resourceRules: none has the operation CREATE or *, and a render only creates objects: nothing would ever be checked", key)
	}
	return m.ObjectSelector.check(key + ".objectSelector")
}

func (l *labelSelector) isEmpty() bool {
	return l == nil || len(l.MatchLabels)+len(l.MatchExpressions) == 0
}

func (l *labelSelector) check(key string) error {
	if l == nil {
		return nil
	}
	for _, expression := range l.MatchExpressions {
		if !slices.Contains([]string{"In", "NotIn", "Exists", "DoesNotExist"}, expression.Operator) {
			return fmt.Errorf("%s: the operator `%s` is none of In, NotIn, Exists and DoesNotExist", key, expression.Operator)
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
	// No rules mean all: a policy always has some, and a binding may leave them out.
	chosen := len(m.ResourceRules) == 0 || slices.ContainsFunc(m.ResourceRules, is)
	return chosen && !slices.ContainsFunc(m.ExcludeResourceRules, is) && m.ObjectSelector.means(object)
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
	resources := slices.ContainsFunc(r.Resources, func(written string) bool { return isResource(written, resourceOf(kind)) })
	return has(r.APIGroups, group) && has(r.APIVersions, version) && resources && r.created() && named
}

// isResource says whether a rule's word means a resource itself: `pods`, `*`, and with all its subresources `pods/*` and `*/*`.
// `pods/log` means a subresource alone, which nobody creates here.
func isResource(written, resource string) bool {
	name, sub, _ := strings.Cut(written, "/")
	return (name == "*" || name == resource) && (sub == "" || sub == "*")
}

// created says whether a rule is about creating, which is what a render does with each object.
func (r resourceRule) created() bool {
	return slices.Contains(r.Operations, "CREATE") || slices.Contains(r.Operations, "*")
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
