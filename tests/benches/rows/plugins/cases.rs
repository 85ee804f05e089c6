//! The transformer in each language, as `weir plugin new` writes it, and as a script; and the same as programs of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::{Value, json};
use weir_tests::places;
use weir_tests::plugin_project::Project;

use super::process::Process;
use super::work::APP;
use super::{Size, TEAM};

/// One plugin, and the process that it is held against.
pub(super) struct Case {
    pub(super) what: String,
    pub(super) component: Vec<u8>,
    pub(super) config: Value,
    /// The app's files: a script, or nothing.
    pub(super) files: Vec<(String, String)>,
    pub(super) process: Process,
}

/// The transform as a script: the plugin, the file and its text.
const SCRIPTS: [(&str, &str, &str); 3] = [
    (
        "starlark",
        "x.star",
        "def transform_object(object, params):
    object[\"metadata\"].setdefault(\"labels\", {})[\"team\"] = params.values[\"team\"]
    return object
",
    ),
    (
        "js",
        "x.js",
        "export function transformObject(object, { values }) {
  object.metadata.labels = { ...object.metadata.labels, team: values.team };
  return object;
}
",
    ),
    (
        "cel",
        "x.yaml",
        "transform:
- patch: \"{'metadata': {'labels': {'team': params.values.team}}}\"
",
    ),
];

/// The languages of `weir plugin new`.
const LANGUAGES: [&str; 4] = ["rust", "go", "js", "python"];

const NODE: &str = "const all = JSON.parse(require('fs').readFileSync(0, 'utf8'));
for (const o of all) o.metadata.labels = { ...o.metadata.labels, team: 'red' };
process.stdout.write(JSON.stringify(all));";
const PYTHON: &str = "import json, sys
all = json.load(sys.stdin)
for o in all: o['metadata'].setdefault('labels', {})['team'] = 'red'
json.dump(all, sys.stdout)";
const GO: &str = "package main

import (
	\"encoding/json\"
	\"io\"
	\"os\"
)

func main() {
	text, err := io.ReadAll(os.Stdin)
	if err != nil {
		panic(err)
	}
	var all []map[string]any
	if err := json.Unmarshal(text, &all); err != nil {
		panic(err)
	}
	for _, o := range all {
		o[\"metadata\"].(map[string]any)[\"labels\"].(map[string]any)[\"team\"] = \"red\"
	}
	changed, err := json.Marshal(all)
	if err != nil {
		panic(err)
	}
	os.Stdout.Write(changed)
}
";

/// Where machine code is kept between runs: an engine in JavaScript or Python takes a minute to compile.
///
/// # Errors
/// There is no home folder.
pub(super) fn compiled() -> Result<PathBuf> {
    Ok(places::dev_cache()?.join("engines/compiled"))
}

/// All cases; those that the authors' own tools have to build only where figures are wanted.
///
/// # Errors
/// Something cannot be built.
pub(super) fn all(size: Size, home: &Path) -> Result<Vec<Case>> {
    let mut cases = Vec::new();
    if size.authors {
        for language in LANGUAGES {
            cases.push(written(language, home)?);
        }
    }
    for (plugin, file, text) in SCRIPTS {
        cases.push(Case {
            what: format!("a script of bundled:{plugin}"),
            component: places::bundled(plugin)?,
            config: json!({ "script": file, "values": { "team": TEAM } }),
            files: vec![(format!("{APP}/{file}"), text.to_owned())],
            process: match plugin {
                "js" => node(),
                // Neither Starlark nor CEL has a program that people run for this: Python is the nearest.
                _ => python(),
            },
        });
    }
    Ok(cases)
}

/// The template of a language, built by `weir plugin build`.
fn written(language: &str, home: &Path) -> Result<Case> {
    let project = Project::new(language, "transformer")?;
    project.weir(["build"])?.success()?;
    let component = project.dir().join("team-labels.wasm");
    Ok(Case {
        what: format!("a plugin in {language}"),
        component: fs::read(&component).with_context(|| component.display().to_string())?,
        config: json!({ "team": TEAM }),
        files: vec![(format!("{APP}/notes.txt"), String::new())],
        process: match language {
            "rust" => Process {
                name: "a process in Rust that reads stdin".to_owned(),
                program: vec![env!("CARGO_BIN_EXE_labels").to_owned()],
            },
            "go" => go(home)?,
            "js" => node(),
            _ => python(),
        },
    })
}

fn node() -> Process {
    let program = ["node", "-e", NODE];
    Process {
        name: "a `node` process that reads stdin".to_owned(),
        program: program.map(str::to_owned).to_vec(),
    }
}

fn python() -> Process {
    let program = ["python3", "-c", PYTHON];
    Process {
        name: "a `python3` process that reads stdin".to_owned(),
        program: program.map(str::to_owned).to_vec(),
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "Go's compiler makes what the row is held against"
)]
fn go(home: &Path) -> Result<Process> {
    let (source, program) = (home.join("labels.go"), home.join("labels-go"));
    fs::write(&source, GO)?;
    let built = Command::new("go")
        .args(["build", "-o"])
        .args([&program, &source])
        .status()
        .context("starting go")?;
    ensure!(built.success(), "go build: {built}");
    Ok(Process {
        name: "a process in Go that reads stdin".to_owned(),
        program: vec![program.display().to_string()],
    })
}
