package main

import (
	"strings"
	"testing"

	"weir.dev/scripts/scripttest"
)

const (
	web  = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"web","labels":{"tier":"front"}},"spec":{"replicas":5,"template":{"spec":{"containers":[{"name":"a","image":"nginx:1"},{"name":"b","image":"b@sha256:x"}]}}}}`
	note = `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"note"},"data":{"a":"b"}}`
)

// files are a repository with one file of rules.
func files(rules string) map[string]string {
	return map[string]string{
		"policy/rules.yaml": rules,
		"apps/shop/a.yaml":  "names: [one, two]\nport: 8080\n",
	}
}

const fromFile = `{"script": "/policy/rules.yaml", "values": {"most": 3, "team": "red"}}`

func found(t *testing.T, rules, config string) []string {
	t.Helper()
	findings, err := validate(scripttest.Tree(files(rules)), scripttest.Objects(note, web), scripttest.Params(config))
	if err != nil {
		t.Fatal(err)
	}
	return scripttest.Found(findings)
}

func TestRulesAreEvaluatedForEachObjectThatTheyMean(t *testing.T) {
	rules := `
variables:
- {name: most, expression: "params.values.most"}
- {name: images, expression: "object.spec.template.spec.containers.map(c, c.image)"}
rules:
- expression: object.spec.replicas <= variables.most
  messageExpression: "'at most ' + string(variables.most) + ' replicas, not ' + string(object.spec.replicas)"
  kinds: [Deployment]
  code: replicas
  path: /spec/replicas
- expression: "variables.images.all(i, i.contains('@sha256:'))"
  message: pin each image
  level: warning
  when: ["has(object.spec)"]
- expression: "object.kind == 'ConfigMap' ? 'no config maps' : ''"
- {expression: "objects.exists(o, o.kind == 'Service')", message: no service, level: info, scope: app}
- expression: object.metadata.name == 'web'
`
	scripttest.Same(t, found(t, rules, fromFile), []string{
		"- info cel: no service",
		"0 error cel: no config maps",
		"0 error cel: failed expression: object.metadata.name == 'web'",
		"1 error replicas: at most 3 replicas, not 5 /spec/replicas",
		"1 warning cel: pin each image",
	})
}

func TestRulesMayStandInTheManifestAndInAFileOfOneExpression(t *testing.T) {
	scripttest.Same(t, found(t, "", `{"rules": [{"expression": "object.kind != 'Deployment'", "message": "no"}]}`), []string{"1 error cel: no"})
	tree := scripttest.Tree(map[string]string{"apps/shop/one.cel": "// why not\nobject.kind == 'Deployment'\n"})
	findings, err := validate(tree, scripttest.Objects(note, web), scripttest.Params(`{"script": "one.cel"}`))
	if err != nil {
		t.Fatal(err)
	}
	if lines := scripttest.Found(findings); len(lines) != 1 || !strings.HasPrefix(lines[0], "0 error cel: failed expression: ") {
		t.Error(lines)
	}
}

func TestThePolicyLibrariesOfKubernetesAreThere(t *testing.T) {
	for _, expression := range []string{
		"quantity('1500Mi').isGreaterThan(quantity('1Gi'))", "quantity('500m').add(quantity('1500m')) == quantity('2')", "quantity('3').asInteger() == 3", "!isQuantity('much')",
		"ip('10.0.0.1').family() == 4", "cidr('10.0.0.0/8').containsIP('10.1.2.3')", "'a-b-c'.split('-').size() == 3",
		"[1, 2, 3].sum() == 6", "[].sum() == 0", "[1.5, 2.0].sum() == 3.5", "[1u].sum() == 1u", "[duration('1s'), duration('2s')].sum() == duration('3s')",
		"[1.5].filter(x, x > 2.0).sum() == 0.0", "json.decode('[1.5, 2.5]').sum() == 4.0", "json.decode('[]').sum() == 0",
		"objects.map(o, o.?spec.?replicas.orValue(0)).sum() == 5", "'a1b2c3'.findAll('[0-9]', 2) == ['1', '2']", "'a1b2'.findAll('[0-9]', 0) == []",
		"'a1b2'.findAll('[0-9]', -1) == ['1', '2']", "'a1'.findAll('[0-9]', 9223372036854775807) == ['1']",
		"quantity('1Gi').add(1) == quantity('1073741825')", "quantity('50k').sub(-10) == quantity('50010')", "quantity('2').sub(2).sign() == 0",
		"'abc1'.find('[0-9]+') == '1'", "'a1b2'.findAll('[0-9]') == ['1', '2']",
		"[3, 1, 2].min() == 1 && ['a', 'b'].max() == 'b'", "object.metadata.?annotations.orValue({}) == {}", "sets.contains([1, 2], [1])",
		"1 < 1.5", "{'a': 1}.all(k, v, v == 1)", "timestamp('2026-01-01T00:00:00Z').getFullYear() == 2026", "oldObject == null",
		"request.operation == 'CREATE' && request.kind.kind == object.kind", "has(object.metadata.name)",
	} {
		if lines := found(t, "", `{"rules": [{"expression": "`+expression+`"}]}`); len(lines) > 0 {
			t.Errorf("%s: %q", expression, lines)
		}
	}
}

const policyText = `
apiVersion: admissionregistration.k8s.io/v1
kind: ValidatingAdmissionPolicy
metadata: {name: replicas.example.com}
spec:
  failurePolicy: Fail
  paramKind: {apiVersion: v1, kind: ConfigMap}
  matchConstraints:
    resourceRules:
    - {apiGroups: [apps], apiVersions: [v1], operations: [CREATE, UPDATE], resources: [deployments]}
    objectSelector: {matchLabels: {tier: front}, matchExpressions: [{key: hidden, operator: DoesNotExist}]}
  matchConditions:
  - {name: not-system, expression: "object.metadata.name != 'system'"}
  variables:
  - {name: count, expression: object.spec.replicas}
  validations:
  - expression: variables.count <= params.most
    messageExpression: "'at most ' + string(params.most)"
    reason: Invalid
  - {expression: "variables.count > 5", message: too few}
`

func TestAPolicyOfKubernetesIsTakenAsItIs(t *testing.T) {
	scripttest.Same(t, found(t, policyText, fromFile), []string{"1 error replicas.example.com: at most 3", "1 error replicas.example.com: too few"})
	binding := policyText + "---\napiVersion: admissionregistration.k8s.io/v1\nkind: ValidatingAdmissionPolicyBinding\nmetadata: {name: b}\nspec: {policyName: replicas.example.com, validationActions: [Warn]}\n"
	scripttest.Same(t, found(t, binding, fromFile), []string{"1 warning replicas.example.com: at most 3", "1 warning replicas.example.com: too few"})
	for _, other := range [][2]string{
		{"resources: [deployments]", "resources: [statefulsets]"}, {"apiGroups: [apps]", "apiGroups: [batch]"}, {"{tier: front}", "{tier: back}"},
		{"operator: DoesNotExist", "operator: Exists"}, {"!= 'system'", "!= 'web'"},
	} {
		if !strings.Contains(policyText, other[0]) {
			t.Fatal(other[0])
		}
		scripttest.Same(t, found(t, strings.Replace(policyText, other[0], other[1], 1), fromFile), nil)
	}
	broken := strings.Replace(policyText, "object.spec.replicas", "object.spec.none", 1)
	if lines := found(t, broken, fromFile); len(lines) != 2 || !strings.Contains(lines[0], "no such key: none") {
		t.Error(lines)
	}
	scripttest.Same(t, found(t, strings.Replace(broken, "Policy: Fail", "Policy: Ignore", 1), fromFile), nil)
}

func TestATransformerGivesANewObjectOrAPatch(t *testing.T) {
	rules := `
transform:
- patch: "{'metadata': {'labels': {'team': params.values.team, 'tier': null}}}"
  kinds: [Deployment]
- patch: "{'spec': {'replicas': params.values.most, 'big': 9007199254740993}}"
  when: ["has(object.spec) && object.spec.replicas > params.values.most"]
- expression: "object.kind == 'ConfigMap' ? [] : object"
- expression: "[object, {'kind': 'Added', 'at': timestamp('2026-01-01T00:00:00Z'), 'f': 1.5}]"
`
	out, err := transform(scripttest.Tree(files(rules)), scripttest.Objects(note, web), scripttest.Params(fromFile))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(out[0]), `"spec":{"big":9007199254740993,"replicas":3,"template":{`) || !strings.Contains(string(out[0]), `"labels":{"team":"red"}`) {
		t.Error(string(out[0]))
	}
	scripttest.Same(t, scripttest.Texts(t, out[1:]), []string{`{"at":"2026-01-01T00:00:00Z","f":1.5,"kind":"Added"}`})
}

func TestARendererGivesAListOfObjects(t *testing.T) {
	rules := `
variables: [{name: values, expression: "yaml.decode(files.read('a.yaml'))"}]
render: |
  variables.values.names.map(n, {
    "kind": "Service", "metadata": {"name": params.app + "-" + n, "namespace": params.namespace},
    "spec": {"ports": [{"port": variables.values.port}], "files": files.glob("*.yaml")},
  })
`
	documents, err := render(scripttest.Tree(files(rules)), scripttest.Params(fromFile))
	if err != nil {
		t.Fatal(err)
	}
	scripttest.Same(t, scripttest.Bodies(t, documents), []string{
		`{"kind":"Service","metadata":{"name":"shop-one","namespace":"spaced"},"spec":{"files":["a.yaml"],"ports":[{"port":8080}]}}`,
		`{"kind":"Service","metadata":{"name":"shop-two","namespace":"spaced"},"spec":{"files":["a.yaml"],"ports":[{"port":8080}]}}`,
	})
}

func TestARuleThatCannotBeEvaluatedIsAFindingAtItsPlace(t *testing.T) {
	rules := "rules:\n- message: m\n  expression: object.spec.replicas <= 3\n  kinds: [ConfigMap]\n"
	lines := found(t, rules, fromFile)
	if len(lines) != 1 || !strings.HasPrefix(lines[0], "0 error cel: the rule cannot be evaluated: policy/rules.yaml:3: ") || !strings.Contains(lines[0], "no such key: spec") {
		t.Error(lines)
	}
	lines = found(t, "rules: [{expression: \"object.metadata\"}]\n", fromFile)
	if len(lines) != 2 || !strings.Contains(lines[0], "it gives map: expected true, false, or what is wrong") {
		t.Error(lines)
	}
	lines = found(t, "variables: [{name: a, expression: variables.b}, {name: b, expression: variables.a}]\nrules: [{expression: variables.a, kinds: [ConfigMap]}]\n", fromFile)
	if len(lines) != 1 || !strings.Contains(lines[0], "it needs itself") {
		t.Error(lines)
	}
}

// wrong are rules that fail, and what is said.
type wrong struct {
	name, rules string
	words       []string
}

func TestWhatIsWrongInRulesIsSaidAtItsPlace(t *testing.T) {
	for _, w := range []wrong{
		{"syntax", "rules:\n- message: m\n  expression: object.kind ==\n", []string{"policy/rules.yaml:3: syntax: column 29: rules[0].expression: ", "Syntax error"}},
		{"name", "rules:\n- expression: objct.kind == 'A'\n", []string{"policy/rules.yaml:2: syntax: column 15: ", "undeclared reference to 'objct'"}},
		{"lines", "rules:\n- expression: |\n    true &&\n    objct.kind == 'A'\n", []string{"policy/rules.yaml:4: syntax: column 5: ", "objct"}},
		{"type", "rules:\n- expression: \"1 + 'a' == 2\"\n", []string{"policy/rules.yaml:2: syntax: ", "no matching overload"}},
		{"regex", "rules:\n- expression: object.kind.matches('[')\n", []string{"policy/rules.yaml:2: syntax: "}},
		{"message", "rules:\n- {expression: \"true\", messageExpression: \"'a' +\"}\n", []string{"rules[0].messageExpression"}},
		{"when", "rules:\n- {expression: \"true\", when: [\"objct\"]}\n", []string{"rules[0].when[0]", "objct"}},
		{"random", "rules:\n- expression: now() == 1\n", []string{"undeclared reference to 'now'"}},
		{"level", "rules: [{expression: \"true\", level: fatal}]\n", []string{"policy/rules.yaml: syntax: rules[0]: a finding's level is `error`, `warning` or `info`, not `fatal`"}},
		{"scope", "rules: [{expression: \"true\", scope: all}]\n", []string{"rules[0].scope", "`object`", "`app`"}},
		{"kinds of all", "rules: [{expression: \"true\", scope: app, kinds: [A]}]\n", []string{"policy/rules.yaml: syntax: rules[0]: `kinds` are for the scope `object`", "objects.filter("}},
		{"also a part of another", "rules:\n- expression: object.kind == objct\n  message: objct\n- expression: objct\n", []string{"policy/rules.yaml:2: syntax: column 30: "}},
		{"a part of others", "rules:\n- expression: \"true || 'objct' == ''\"\n  message: my objct\n- {expression: objct}\n- expression: x.objct\n", []string{"policy/rules.yaml:4: syntax: column 16: rules[1].expression: "}},
		{"twice", "rules:\n- expression: \"true\"\n  when: [objct]\n- expression: \"true\"\n  when: ['objct']\n", []string{"policy/rules.yaml: syntax: rules[0].when[0] at 1:1: "}},
		{"an empty line first", "rules:\n- expression: |\n\n    objct\n", []string{"policy/rules.yaml: syntax: rules[0].expression at 2:1: "}},
		{"twice in a line", "rules: [{expression: \"true\", when: [objct, objct]}]\n", []string{"policy/rules.yaml: syntax: rules[0].when[0] at 1:1: "}},
		{"no expression", "rules: [{message: m}]\n", []string{"rules[0]: it needs an `expression`"}},
		{"key", "rules: [{expresion: \"true\"}]\n", []string{"unknown field \"expresion\""}},
		{"none", "transform: [{patch: \"{}\"}]\n", []string{"policy/rules.yaml: no-function: the file has no `rules`, which a validator needs"}},
		{"empty", "# nothing\n", []string{"it is empty"}},
		{"yaml", "rules: [\n", []string{"policy/rules.yaml: syntax: "}},
		{"variable", "variables: [{name: a}]\nrules: [{expression: \"true\"}]\n", []string{"variables[0]: it needs a `name` and an `expression`"}},
		{"documents", "rules: []\n---\nrules: []\n", []string{"it has 2 documents"}},
		{"two policies", policyText + "---" + policyText, []string{"it has 2 objects of kind ValidatingAdmissionPolicy"}},
		{"other kind", strings.Replace(policyText, "kind: ValidatingAdmissionPolicy", "kind: MutatingAdmissionPolicy", 1), []string{"it has a MutatingAdmissionPolicy"}},
		{"namespaces", strings.Replace(policyText, "objectSelector:", "namespaceSelector: {matchLabels: {a: b}}\n    objectSelector:", 1), []string{"namespaceSelector", "resourceRules or matchConditions"}},
		{"operator", strings.Replace(policyText, "DoesNotExist", "Gt", 1), []string{"`Gt` is none of In, NotIn, Exists and DoesNotExist"}},
	} {
		t.Run(w.name, func(t *testing.T) {
			_, err := validate(scripttest.Tree(files(w.rules)), scripttest.Objects(web), scripttest.Params(fromFile))
			scripttest.Says(t, err, w.words...)
		})
	}
}

func TestWhatIsWrongInATransformerOrARendererIsSaid(t *testing.T) {
	for _, w := range []wrong{
		{"evaluation", "transform:\n- patch: \"{'a': object.spec.none}\"\n", []string{"policy/rules.yaml:2", "no such key: none", "(about Deployment web)"}},
		{"both", "transform: [{patch: \"{}\", expression: object}]\n", []string{"transform[0]: write `expression` for the new object, or `patch`"}},
		{"neither", "transform: [{kinds: [A]}]\n", []string{"transform[0]: write `expression`"}},
		{"null", "transform: [{expression: \"null\"}]\n", []string{"it returned nothing: return the object, or an empty list"}},
		{"text", "transform: [{expression: \"'a'\"}]\n", []string{"it returned \"a\""}},
		{"patch", "transform: [{patch: \"[1]\"}]\n", []string{"it gives list: a merge patch is a map"}},
		{"key", "transform: [{expression: \"{1: 2}\"}]\n", []string{"the key 1 is a int: keys of an object are texts"}},
		{"optional", "transform: [{expression: \"{'a': object.?none}\"}]\n", []string{"an optional without a value"}},
		{"no quantity", "transform: [{expression: \"{'a': quantity('much')}\"}]\n", []string{"is no quantity such as 500m or 2Gi"}},
		{"empty minimum", "transform: [{expression: \"{'a': [].min()}\"}]\n", []string{"min of an empty list"}},
		{"texts' sum", "transform: [{expression: \"{'a': ['a'].sum()}\"}]\n", []string{"no matching overload for 'sum'"}},
		{"mixed sum", "transform: [{expression: \"{'a': [dyn(1), dyn(1.5)].sum()}\"}]\n", []string{"a sum of int and double"}},
		{"infinite", "transform: [{expression: \"{'a': double('inf')}\"}]\n", []string{"is no number in JSON"}},
		{"type", "transform: [{expression: \"{'a': int}\"}]\n", []string{"a type is nothing that JSON has"}},
		{"condition", "transform: [{patch: \"{}\", when: [\"'a'\"]}]\n", []string{"transform[0].when[0]", "expected true or false"}},
		{"files", "transform: [{patch: \"{'a': files.read('a.yaml')}\"}]\n", []string{"files are for renderers"}},
		{"no transform", "rules: [{expression: \"true\"}]\n", []string{"the file has no `transform`, which a transformer needs"}},
	} {
		t.Run(w.name, func(t *testing.T) {
			_, err := transform(scripttest.Tree(files(w.rules)), scripttest.Objects(web), scripttest.Params(fromFile))
			scripttest.Says(t, err, w.words...)
		})
	}
	for _, w := range []wrong{
		{"missing", "render: \"[yaml.decode(files.read('none'))]\"\n", []string{"policy/rules.yaml:1", "apps/shop/none: there is no such file"}},
		{"map", "render: \"{}\"\n", []string{"render: expected a list of objects, got {}"}},
		{"object", "render: \"[object.kind]\"\n", []string{"policy/rules.yaml:1"}},
		{"none", "rules: []\n", []string{"the file has no `render`, which a renderer needs"}},
	} {
		t.Run(w.name, func(t *testing.T) {
			_, err := render(scripttest.Tree(files(w.rules)), scripttest.Params(fromFile))
			scripttest.Says(t, err, w.words...)
		})
	}
}

func TestWhatIsWrongInTheConfigIsSaid(t *testing.T) {
	for config, words := range map[string][]string{
		`{}`: {"bad-config", "name a file as `script`, or write `rules`"},
		`{"script": "/policy/rules.yaml", "rules": [{"expression": "true"}]}`: {"`script` names a file with the rules"},
		`{"script": "/policy/none.yaml"}`:                                     {"policy/none.yaml: no-script"},
		`{"rulse": []}`:                                                       {"unknown key `rulse`; did you mean `rules`?"},
		`{"rules": [{"expression": "objct"}]}`:                                {"config.rules[0].expression at 1:1: ", "objct"},
		`{"render": "[]"}`:                                                    {"config has no `rules`, which a validator needs"},
	} {
		_, err := validate(scripttest.Tree(files("rules: []\n")), scripttest.Objects(web), scripttest.Params(config))
		scripttest.Says(t, err, words...)
	}
}
