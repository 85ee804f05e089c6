//! What Kubernetes' own kinds look like, reduced from the OpenAPI of its Go module to one line for each definition: what
//! the plugins `patch` and `schema` know (plugins/kubernetes/src/shapes.txt).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use crate::run::{Run, program};
use crate::tools;

/// What is made, in the repository.
const FILE: &str = "plugins/kubernetes/src/shapes.txt";
/// The module that pins Kubernetes for the tests: the shapes are those of the API server that tests compare with.
const PINNED_BY: &str = "tests/control-plane";
const MODULE: &str = "k8s.io/kubernetes";

/// `cargo xtask shapes [--check]`.
///
/// # Errors
/// Go is missing, the module cannot be had, or with `--check` the file is not what this gives.
pub(crate) fn run(root: &Path, arguments: &[String]) -> Result<()> {
    let check = match arguments {
        [] => false,
        [flag] if flag == "--check" => true,
        _ => bail!("shapes takes nothing, or --check"),
    };
    let text = make(root)?;
    let file = root.join(FILE);
    if check {
        let there = fs::read_to_string(&file).with_context(|| format!("reading {FILE}"))?;
        if there != text {
            bail!("{FILE} is not what the pinned Kubernetes gives: run `cargo xtask shapes`");
        }
    } else {
        crate::plugins::write_whole(&file, text.as_bytes())?;
    }
    println!(
        "    {} lines, {} KiB",
        text.lines().count(),
        text.len() >> 10
    );
    Ok(())
}

fn make(root: &Path) -> Result<String> {
    let (folder, version) = module(root)?;
    let read = |path: &str| {
        let path = folder.join(path);
        fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))
    };
    let openapi: Value = serde_json::from_str(&read("api/openapi-spec/swagger.json")?)
        .context("api/openapi-spec/swagger.json")?;
    let generated = read("pkg/generated/openapi/zz_generated.openapi.go")?;
    reduce(&openapi, &generated, &version)
}

/// Where the sources of the pinned Kubernetes are, and its version.
fn module(root: &Path) -> Result<(PathBuf, String)> {
    tools::go(root)?;
    let go = || -> Run {
        program("go", &root.join(PINNED_BY))
            .env("GOFLAGS", "-mod=readonly")
            .env("GOWORK", "off")
    };
    go().args(["mod", "download", MODULE]).run()?;
    let found = go()
        .args(["list", "-m", "-f", "{{.Dir}}\t{{.Version}}", MODULE])
        .output()?;
    let (dir, version) = found
        .split_once('\t')
        .with_context(|| format!("go list -m {MODULE}: {found:?}"))?;
    Ok((PathBuf::from(dir), version.to_owned()))
}

/// What the OpenAPI of the repository leaves out, since its generator runs with that feature off: the values of
/// enumerations, and defaults. By definition and field.
#[derive(Default)]
struct Extras {
    enums: HashMap<(String, String), Vec<String>>,
    defaults: HashMap<(String, String), String>,
}

impl Extras {
    /// Read from the generated Go, line by line: its form is the generator's, and `reduce` fails where it is another.
    fn read(go: &str) -> Extras {
        let mut extras = Extras::default();
        let (mut definition, mut field) = (None, None);
        for line in go.lines() {
            if let Some(rest) = line.strip_prefix("func schema_k8sio_api_") {
                let name = rest.split('(').next().unwrap_or_default();
                definition = Some(name.replace('_', "."));
            } else if line.starts_with("func ") {
                definition = None;
            } else if let Some(name) = line
                .strip_prefix("\t\t\t\t\t\"")
                .and_then(|l| l.strip_suffix("\": {"))
            {
                field = Some(name.to_owned());
            }
            let (Some(definition), Some(field)) = (&definition, &field) else {
                continue;
            };
            let at = || (definition.clone(), field.clone());
            let line = line.trim();
            if let Some(values) = line.strip_prefix("Enum:") {
                let values = values.split('"').skip(1).step_by(2);
                extras
                    .enums
                    .insert(at(), values.map(str::to_owned).collect());
            } else if let Some(value) = line.strip_prefix("Default:")
                && let Some(value) = value.trim().strip_prefix('"')
                && let Some(value) = value.strip_suffix("\",")
                && !value.is_empty()
            {
                extras.defaults.insert(at(), value.to_owned());
            }
        }
        extras
    }
}

struct Reducer<'a> {
    definitions: &'a serde_json::Map<String, Value>,
    extras: Extras,
    /// What is referred to and not written yet.
    open: BTreeSet<String>,
    lines: BTreeMap<String, String>,
    used: usize,
}

/// The whole file: sorted lines, so that one is found without reading the others.
fn reduce(openapi: &Value, generated: &str, version: &str) -> Result<String> {
    let definitions = openapi
        .get("definitions")
        .and_then(Value::as_object)
        .context("no definitions")?;
    let extras = Extras::read(generated);
    let enums = extras.enums.len();
    let mut reducer = Reducer {
        definitions,
        extras,
        open: BTreeSet::new(),
        lines: BTreeMap::new(),
        used: 0,
    };
    reducer.kinds(openapi)?;
    while let Some(name) = reducer.open.pop_first() {
        let short = short(&name)?;
        if !reducer.lines.contains_key(&short) {
            let line = reducer.definition(&name)?;
            reducer.lines.insert(short, line);
        }
    }
    if reducer.used * 2 < enums {
        bail!(
            "{} of {enums} enumerations found their field: the generated Go has another form",
            reducer.used
        );
    }
    let mut text = format!("#{version}\n");
    for (key, line) in &reducer.lines {
        writeln!(text, "{key}{line}")?;
    }
    Ok(text)
}

/// The last three parts of a definition's name: `core.v1.Pod`.
fn short(name: &str) -> Result<String> {
    let parts: Vec<&str> = name.rsplitn(4, '.').take(3).collect();
    match parts[..] {
        [kind, version, group] => Ok(format!("{group}.{version}.{kind}")),
        _ => bail!("{name}: a definition with another form of name"),
    }
}

impl<'a> Reducer<'a> {
    /// A line for each kind that can be created: `=VERSION/KIND`, its definition, and `N` where it lives in a namespace.
    fn kinds(&mut self, openapi: &Value) -> Result<()> {
        let by_kind: HashMap<String, String> = self
            .definitions
            .iter()
            .flat_map(|(name, schema)| {
                let kinds = schema.get("x-kubernetes-group-version-kind");
                let kinds = kinds.and_then(Value::as_array).into_iter().flatten();
                kinds.filter_map(api).map(|kind| (kind, name.clone()))
            })
            .collect();
        let paths = openapi
            .get("paths")
            .and_then(Value::as_object)
            .context("no paths")?;
        for (path, operations) in paths.iter().filter(|(path, _)| !path.contains("{name}")) {
            let Some(kind) = operations
                .get("post")
                .and_then(|post| post.get("x-kubernetes-group-version-kind"))
                .and_then(api)
            else {
                continue;
            };
            let Some(name) = by_kind.get(&kind) else {
                bail!("{path}: {kind} has no definition");
            };
            let scope = if path.contains("{namespace}") {
                'N'
            } else {
                'C'
            };
            self.open.insert(name.clone());
            let line = format!("\t{}\t{scope}", short(name)?);
            self.lines.insert(format!("={kind}"), line);
        }
        Ok(())
    }

    /// One definition's fields, sorted.
    fn definition(&mut self, name: &str) -> Result<String> {
        let schema = self.schema(name)?;
        let mut line = String::new();
        let required: BTreeSet<&str> = schema
            .get("required")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .collect();
        let fields: BTreeMap<_, _> = schema
            .get("properties")
            .and_then(Value::as_object)
            .into_iter()
            .flatten()
            .collect();
        for (field, schema) in fields {
            if field.contains(['=', '!', '~', '^', '\t']) {
                bail!("{name}.{field}: the compact form has no room for such a name");
            }
            let mut flags = String::new();
            if required.contains(field.as_str()) {
                flags.push('!');
            }
            let strategy = schema
                .get("x-kubernetes-patch-strategy")
                .and_then(Value::as_str);
            for strategy in strategy.into_iter().flat_map(|s| s.split(',')) {
                match strategy {
                    "merge" => {
                        let key = schema
                            .get("x-kubernetes-patch-merge-key")
                            .and_then(Value::as_str);
                        write!(flags, "~{}", key.unwrap_or_default())?;
                    }
                    "replace" => flags.push('^'),
                    // For whoever makes a patch: one that is applied says `$retainKeys` itself.
                    "retainKeys" => {}
                    other => bail!("{name}.{field}: the patch strategy {other} is not known"),
                }
            }
            let shape = self.shape(schema, name, field)?;
            write!(line, "\t{field}{flags}={shape}")?;
        }
        Ok(line)
    }

    fn schema(&self, name: &str) -> Result<&'a Value> {
        self.definitions
            .get(name)
            .with_context(|| format!("{name} is referred to and not defined"))
    }

    /// A field's type in a few letters; plugins/kubernetes/src/lib.rs says what each means.
    fn shape(&mut self, schema: &Value, owner: &str, field: &str) -> Result<String> {
        let text = |key: &str| schema.get(key).and_then(Value::as_str);
        if let Some(reference) = text("$ref") {
            let name = reference.trim_start_matches("#/definitions/");
            return self.reference(name);
        }
        Ok(match (text("type"), text("format")) {
            (Some("string"), None) => {
                match self.extras.enums.get(&(short(owner)?, field.to_owned())) {
                    Some(values) => {
                        self.used += 1;
                        format!("s({})", values.join("|"))
                    }
                    None => "s".into(),
                }
            }
            (Some("string"), Some("byte")) => "y".into(),
            (Some("string"), Some("date-time")) => "t".into(),
            (Some("integer"), Some("int32")) => "i".into(),
            (Some("integer"), Some("int64")) => "l".into(),
            (Some("number"), _) => "n".into(),
            (Some("boolean"), _) => "b".into(),
            (Some("array"), _) => {
                let items = schema.get("items").context("a list without items")?;
                let keys = self.list(schema, items)?;
                format!("[{keys}{}", self.shape(items, owner, field)?)
            }
            (Some("object"), _) => match schema.get("additionalProperties") {
                Some(values) => format!("{{{}", self.shape(values, owner, field)?),
                None => "o".into(),
            },
            (None, None) => "*".into(),
            other => bail!("{owner}.{field}: the type {other:?} is not known"),
        })
    }

    /// What may not be there twice in a list: the fields of an item that tell it from others, with their defaults.
    fn list(&self, schema: &Value, items: &Value) -> Result<String> {
        Ok(
            match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
                Some("set") => "<>".into(),
                Some("map") => {
                    let item = items
                        .get("$ref")
                        .and_then(Value::as_str)
                        .unwrap_or_default();
                    let item = short(item.trim_start_matches("#/definitions/"))?;
                    let keys = schema
                        .get("x-kubernetes-list-map-keys")
                        .and_then(Value::as_array);
                    let keys = keys.into_iter().flatten().filter_map(Value::as_str);
                    let keys = keys.map(|key| {
                        match self.extras.defaults.get(&(item.clone(), key.to_owned())) {
                            Some(default) => format!("{key}={default}"),
                            None => key.to_owned(),
                        }
                    });
                    format!("<{}>", keys.collect::<Vec<_>>().join(","))
                }
                _ => String::new(),
            },
        )
    }

    /// Definitions whose JSON is not what their schema says are read by their names.
    fn reference(&mut self, name: &str) -> Result<String> {
        let short = short(name)?;
        const SCHEMA: &str = "apiextensions.v1.JSONSchemaProps";
        Ok(match short.as_str() {
            "api.resource.Quantity" => "q".into(),
            "util.intstr.IntOrString" => "p".into(),
            "meta.v1.Time" | "meta.v1.MicroTime" => "t".into(),
            "meta.v1.FieldsV1" => "o".into(),
            "pkg.runtime.RawExtension" | "apiextensions.v1.JSON" => "*".into(),
            "apiextensions.v1.JSONSchemaPropsOrArray" => format!("(@{SCHEMA}/[@{SCHEMA}"),
            "apiextensions.v1.JSONSchemaPropsOrBool" => format!("(@{SCHEMA}/b"),
            "apiextensions.v1.JSONSchemaPropsOrStringArray" => format!("(@{SCHEMA}/[s"),
            _ => {
                let schema = self.schema(name)?;
                if schema.get("type").and_then(Value::as_str) != Some("object") {
                    bail!("{name} is no object: say in `reference` how its JSON looks");
                }
                if !self.lines.contains_key(&short) {
                    self.open.insert(name.to_owned());
                }
                format!("@{short}")
            }
        })
    }
}

/// `apps/v1/Deployment` of a group, version and kind.
fn api(kind: &Value) -> Option<String> {
    let part = |key: &str| kind.get(key).and_then(Value::as_str);
    let (group, version, kind) = (part("group")?, part("version")?, part("kind")?);
    Some(match group {
        "" => format!("{version}/{kind}"),
        group => format!("{group}/{version}/{kind}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OPENAPI: &str = r##"{
        "paths": {
            "/api/v1/namespaces/{namespace}/pods": {"post": {"x-kubernetes-group-version-kind": {"group": "", "version": "v1", "kind": "Pod"}}},
            "/api/v1/namespaces/{namespace}/pods/{name}/eviction": {"post": {"x-kubernetes-group-version-kind": {"group": "policy", "version": "v1", "kind": "Eviction"}}},
            "/api/v1/pods": {"get": {}}
        },
        "definitions": {
            "io.k8s.api.core.v1.Pod": {"type": "object", "required": ["ports"], "properties": {
                "ports": {"type": "array", "items": {"$ref": "#/definitions/io.k8s.api.core.v1.Port"},
                    "x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": ["port", "protocol"],
                    "x-kubernetes-patch-strategy": "merge,retainKeys", "x-kubernetes-patch-merge-key": "port"},
                "labels": {"type": "object", "additionalProperties": {"type": "string"}},
                "cpu": {"$ref": "#/definitions/io.k8s.apimachinery.pkg.api.resource.Quantity"}
            }, "x-kubernetes-group-version-kind": [{"group": "", "version": "v1", "kind": "Pod"}]},
            "io.k8s.api.core.v1.Port": {"type": "object", "properties": {
                "port": {"type": "integer", "format": "int32"}, "protocol": {"type": "string"}}},
            "io.k8s.api.core.v1.Unused": {"type": "object"}
        }}"##;
    const GO: &str = "func schema_k8sio_api_core_v1_Port(ref x) y {\n\t\t\t\t\t\"protocol\": {\n\t\t\tDefault:     \"TCP\",\n\t\t\tEnum:        []interface{}{\"TCP\", \"UDP\"},\n}\n";

    #[test]
    fn a_kind_and_what_it_refers_to_are_a_line_each() {
        let openapi = serde_json::from_str(OPENAPI).unwrap();
        assert_eq!(
            reduce(&openapi, GO, "v1.2.3").unwrap(),
            "#v1.2.3\n=v1/Pod\tcore.v1.Pod\tN\n\
             core.v1.Pod\tcpu=q\tlabels={s\tports!~port=[<port,protocol=TCP>@core.v1.Port\n\
             core.v1.Port\tport=i\tprotocol=s(TCP|UDP)\n"
        );
    }

    #[test]
    fn what_the_compact_form_cannot_say_is_an_error() {
        for (from, to, said) in [
            ("\"int32\"", "\"int16\"", "is not known"),
            ("merge,retainKeys", "append", "strategy append"),
            ("core.v1.Port\"}", "core.v1.Gone\"}", "not defined"),
            ("\"labels\"", "\"a=b\"", "no room"),
        ] {
            let openapi = serde_json::from_str(&OPENAPI.replacen(from, to, 1)).unwrap();
            let error = reduce(&openapi, GO, "v1.2.3").unwrap_err().to_string();
            assert!(error.contains(said), "{to}: {error}");
        }
    }

    #[test]
    fn enumerations_that_find_no_field_are_an_error() {
        let openapi = serde_json::from_str(OPENAPI).unwrap();
        let go = GO.replace("\"protocol\": {", "\"other\": {");
        let error = reduce(&openapi, &go, "v1.2.3").unwrap_err().to_string();
        assert!(error.contains("0 of 1 enumerations"), "{error}");
    }
}
