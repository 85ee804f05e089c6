// Policies of Kubernetes: which objects they are about, and how much what they find matters.

package main

import (
	"strings"
	"testing"

	"weir.dev/scripts/scripttest"
)

// bound is the policy of these tests with bindings to it, each by the rest of its spec.
func bound(specs ...string) string {
	text := policyText
	for _, spec := range specs {
		text += "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {name: b}\nspec: {policyName: replicas.example.com, " + spec + "}\n"
	}
	return text
}

// replaced is a text with a part of it exchanged, which has to be there.
func replaced(t *testing.T, text, part, other string) string {
	t.Helper()
	if !strings.Contains(text, part) {
		t.Fatalf("%s is not in %s", part, text)
	}
	return strings.ReplaceAll(text, part, other)
}

// levels are the levels of what a policy finds about the Deployment of these tests.
func levels(t *testing.T, text string) string {
	t.Helper()
	var levels []string
	for _, line := range found(t, text, fromFile) {
		levels = append(levels, strings.Fields(line)[1])
	}
	return strings.Join(levels, " ")
}

func TestTheStrictestBindingOfAPolicyWinsInEachOrder(t *testing.T) {
	const deny, warn, audit = "validationActions: [Deny]", "validationActions: [Warn, Audit]", "validationActions: [Audit]"
	for expected, specs := range map[string][][]string{
		"error error":     {{}, {deny}, {deny, audit}, {audit, deny}, {warn, deny, audit}, {"validationActions: [Audit, Deny]"}},
		"warning warning": {{warn}, {audit, warn}, {warn, audit}},
		"info info":       {{audit}, {audit, audit}},
	} {
		for _, of := range specs {
			if is := levels(t, bound(of...)); is != expected {
				t.Errorf("%q: %s", of, is)
			}
		}
	}
}

func TestABindingIsAboutTheObjectsThatItsResourcesChooseOfThePolicys(t *testing.T) {
	for match, expected := range map[string]string{
		"{}":                      "error error",
		"{namespaceSelector: {}}": "error error",
		"{namespaceSelector: {matchLabels: {}}, objectSelector: {}}":                                                       "error error",
		"{objectSelector: {matchLabels: {tier: front}}}":                                                                   "error error",
		"{objectSelector: {matchLabels: {tier: back}}}":                                                                    "warning warning",
		"{resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]}":        "error error",
		"{resourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: ['*'], resources: [statefulsets]}]}":          "warning warning",
		"{excludeResourceRules: [{apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [deployments]}]}": "warning warning",
	} {
		one, other := "validationActions: [Deny], matchResources: "+match, "validationActions: [Warn]"
		for _, of := range [][]string{{one, other}, {other, one}} {
			if is := levels(t, bound(of...)); is != expected {
				t.Errorf("%q: %s", of, is)
			}
		}
		if alone := levels(t, bound(one)); alone != strings.ReplaceAll(expected, "warning warning", "") {
			t.Errorf("%s alone: %s", match, alone)
		}
	}
}

func TestWhatABindingSaysAndARenderCannotKnowIsRefused(t *testing.T) {
	for spec, words := range map[string][]string{
		"validationActions: [Deny], matchResources: {namespaceSelector: {matchLabels: {a: b}}}":                     {"binding b: matchResources.namespaceSelector", "a render knows no namespaces' labels"},
		"validationActions: [Deny], matchResources: {objectSelector: {matchExpressions: [{key: a, operator: Gt}]}}": {"binding b: matchResources.objectSelector", "`Gt` is none of"},
		"validationActions: [Denny]": {"binding b: validationActions: expected some of Deny, Warn and Audit, got [\"Denny\"]"},
		"validationActions: []":      {"binding b: validationActions: expected some of Deny, Warn and Audit, got []"},
	} {
		_, err := validate(scripttest.Tree(files(bound(spec))), scripttest.Objects(web), scripttest.Params(fromFile))
		scripttest.Says(t, err, append(words, "policy/rules.yaml: syntax: ")...)
	}
}

func TestAPolicyIsAboutCreatingObjectsAndSaysWhereItNeverIs(t *testing.T) {
	const rule = "    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}\n"
	with := func(operations string) string {
		return strings.Replace(rule, "[CREATE, UPDATE]", operations, 1)
	}
	for rules, expected := range map[string]string{
		with("[CREATE]"): "error error", with("['*']"): "error error", with("[UPDATE, CREATE]"): "error error",
		// The rule that is about Deployments is about changing them only.
		with("[UPDATE]") + "    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE], resources: [statefulsets]}\n": "",
		// What is left out is so for changes only.
		rule + "    excludeResourceRules:\n" + with("[UPDATE]"): "error error", rule + "    excludeResourceRules:\n" + with("[CREATE]"): "",
	} {
		if is := levels(t, replaced(t, policyText, rule, rules)); is != expected {
			t.Errorf("%s: %s", rules, is)
		}
	}
	for _, operations := range []string{"[UPDATE]", "[DELETE]", "[UPDATE, DELETE, CONNECT]", "[]"} {
		_, err := validate(scripttest.Tree(files(replaced(t, policyText, rule, with(operations)))), scripttest.Objects(web), scripttest.Params(fromFile))
		scripttest.Says(t, err, "policy/rules.yaml: syntax: matchConstraints.resourceRules: none has the operation CREATE or *", "nothing would ever be checked")
	}
	_, err := validate(scripttest.Tree(files(replaced(t, policyText, "resourceRules:\n"+rule, "resourceRules: []\n"))), scripttest.Objects(web), scripttest.Params(fromFile))
	scripttest.Says(t, err, "matchConstraints.resourceRules: there are none")
	update := "validationActions: [Deny], matchResources: {resourceRules: [{apiGroups: ['*'], apiVersions: ['*'], operations: [UPDATE], resources: ['*']}]}"
	_, err = validate(scripttest.Tree(files(bound(update))), scripttest.Objects(web), scripttest.Params(fromFile))
	scripttest.Says(t, err, "binding b: matchResources.resourceRules: none has the operation CREATE or *")
}

func TestARuleOfAPolicyMeansResourcesAsAClusterDoes(t *testing.T) {
	for resources, expected := range map[string]string{
		"[deployments]": "error error", "['*']": "error error", "['*/*']": "error error", "['deployments/*']": "error error",
		"[pods, deployments]": "error error", "['deployments/scale']": "", "['*/scale']": "", "['deployment/*']": "", "['pods/*']": "",
	} {
		if is := levels(t, replaced(t, policyText, "[deployments]", resources)); is != expected {
			t.Errorf("%s: %s", resources, is)
		}
	}
	scoped := func(scope string) string {
		return replaced(t, policyText, "resources: [deployments]}", "resources: [deployments], scope: '"+scope+"'}")
	}
	if is := levels(t, scoped("*")); is != "error error" {
		t.Error(is)
	}
	for _, text := range []string{scoped("Namespaced"), scoped("Cluster"), bound("validationActions: [Deny], matchResources: {excludeResourceRules: [{scope: Cluster}]}")} {
		_, err := validate(scripttest.Tree(files(text)), scripttest.Objects(web), scripttest.Params(fromFile))
		scripttest.Says(t, err, "policy/rules.yaml: syntax: ", "` of a rule: a render does not know which kinds belong to namespaces")
	}
}

func TestAConditionThatIsFalseLeavesAnObjectOutWhateverTheOthersAre(t *testing.T) {
	const condition = `  - {name: not-system, expression: "object.metadata.name != 'system'"}` + "\n"
	const no, broken = `  - {name: a, expression: "object.metadata.name == 'other'"}` + "\n", `  - {name: b, expression: "object.spec.none"}` + "\n"
	for _, policy := range []string{"Fail", "Ignore"} {
		text := replaced(t, policyText, "Policy: Fail", "Policy: "+policy)
		for _, conditions := range []string{no + broken, broken + no, condition + broken + no} {
			if is := levels(t, replaced(t, text, condition, conditions)); is != "" {
				t.Errorf("%s, %s: %s", policy, conditions, is)
			}
		}
		expected := map[string]string{"Fail": "error error", "Ignore": ""}[policy]
		for _, conditions := range []string{broken, broken + condition, condition + broken} {
			if is := levels(t, replaced(t, text, condition, conditions)); is != expected {
				t.Errorf("%s, %s: %s", policy, conditions, is)
			}
		}
	}
}
