//! The files of a new project: templates, the SDK of its language, or the plugin interface where there is no SDK.

use weir_sandbox::{Role, WIT};

use crate::toolchain::{COMPONENTIZE_JS, COMPONENTIZE_PY, Language};

/// What the SDK's own package is called.
pub(super) const SDK: &str = "weir-plugin";

/// A file of `host/weir/templates`.
macro_rules! template {
    ($path:literal) => {
        include_str!(concat!("../../../templates/", $path))
    };
}

/// Files of the repository, each with its path below a folder.
macro_rules! files {
    ($folder:literal: $($path:literal)*) => {
        &[$(($path, include_str!(concat!("../../../../../", $folder, "/", $path)))),*]
    };
}

type Files = &'static [(&'static str, &'static str)];

const RUST_SDK: Files = files!("plugins/sdk/rust":
    "src/component.rs" "src/diagnostic.rs" "src/lib.rs" "src/log.rs" "src/object.rs" "src/params.rs"
    "src/select.rs" "src/tree.rs");
const GO_SDK: Files = files!("plugins/sdk/go":
    "config.go" "doc.go" "external.go" "go.mod" "log.go" "log_native.go" "log_wasm.go" "plugin.go"
    "internal/abi/memory.go" "internal/abi/realloc.go" "internal/tree/tree.go" "internal/world/world.go"
    "renderer/export.go" "renderer/renderer.go"
    "transformer/export.go" "transformer/transformer.go" "transformer/tree.go" "transformer/tree_native.go"
    "validator/export.go" "validator/tree.go" "validator/tree_native.go" "validator/validator.go");
/// Where the Rust SDK finds the interface in Weir's own repository, and where it does in a project.
const WIT_PATHS: [&str; 2] = ["path: \"../../../wit\"", "path: \"wit\""];

/// What each role's template says of itself.
struct Words {
    description: &'static str,
    does: &'static str,
    input: &'static str,
    usage: &'static str,
}

/// The files of a project, each with its path below the project's folder.
pub(super) fn project(name: &str, role: Role, language: Language) -> Vec<(String, String)> {
    let words = words(role);
    let (main, needs) = match language {
        Language::Rust => (
            "src/lib.rs",
            "Rust with the target wasm32-wasip2 (`rustup target add wasm32-wasip2`)",
        ),
        Language::Go => ("main.go", "Go 1.26 or newer"),
        Language::JavaScript => (
            "plugin.js",
            "Node.js 20.19, 22.12 or newer with npm, which brings componentize-js at the first build",
        ),
        Language::Python => (
            "plugin.py",
            "Python 3.10 or newer with venv, which brings componentize-py at the first build",
        ),
    };
    let filled = |text: &str| {
        let language = language.to_string();
        let pairs = [
            ("{{name}}", name),
            ("{{role}}", role.as_str()),
            ("{{language}}", &language),
            ("{{main}}", main),
            ("{{needs}}", needs),
            ("{{description}}", words.description),
            ("{{does}}", words.does),
            ("{{input}}", words.input),
            ("{{use}}", &words.usage.replace("{{name}}", name)),
            ("{{componentize-js}}", COMPONENTIZE_JS),
            ("{{componentize-py}}", COMPONENTIZE_PY),
        ];
        let filled = pairs.into_iter();
        filled.fold(text.to_owned(), |text, (key, value)| {
            text.replace(key, value)
        })
    };
    let common = [
        ("README.md", template!("README.md")),
        ("plugin.yaml", template!("plugin.yaml")),
        (".gitignore", template!("gitignore")),
        (main, source(role, language)),
    ];
    let mut files: Vec<(String, String)> = common
        .iter()
        .chain(own(language))
        .map(|(path, text)| ((*path).to_owned(), filled(text)))
        .collect();
    files.extend(library(language));
    let cases = cases(role).iter();
    files.extend(cases.map(|(path, text)| (format!("testdata/{path}"), (*text).to_owned())));
    files
}

/// The plugin itself.
fn source(role: Role, language: Language) -> &'static str {
    match (language, role) {
        (Language::Rust, Role::Renderer) => template!("rust/renderer/src/lib.rs"),
        (Language::Rust, Role::Transformer) => template!("rust/transformer/src/lib.rs"),
        (Language::Rust, Role::Validator) => template!("rust/validator/src/lib.rs"),
        (Language::Go, Role::Renderer) => template!("go/renderer/main.go"),
        (Language::Go, Role::Transformer) => template!("go/transformer/main.go"),
        (Language::Go, Role::Validator) => template!("go/validator/main.go"),
        (Language::JavaScript, Role::Renderer) => template!("js/renderer/plugin.js"),
        (Language::JavaScript, Role::Transformer) => template!("js/transformer/plugin.js"),
        (Language::JavaScript, Role::Validator) => template!("js/validator/plugin.js"),
        (Language::Python, Role::Renderer) => template!("python/renderer/plugin.py"),
        (Language::Python, Role::Transformer) => template!("python/transformer/plugin.py"),
        (Language::Python, Role::Validator) => template!("python/validator/plugin.py"),
    }
}

/// What a language's own tools read.
fn own(language: Language) -> Files {
    match language {
        Language::Rust => &[
            ("Cargo.toml", template!("rust/Cargo.toml")),
            ("Cargo.lock", template!("rust/Cargo.lock")),
        ],
        Language::Go => &[("go.mod", template!("go/go.mod"))],
        Language::JavaScript => &[
            ("package.json", template!("js/package.json")),
            ("package-lock.json", template!("js/package-lock.json")),
        ],
        Language::Python => &[("pyproject.toml", template!("python/pyproject.toml"))],
    }
}

/// The SDK in `sdk/`, or the plugin interface in `wit/` where there is no SDK.
fn library(language: Language) -> Vec<(String, String)> {
    let sdk = |files: Files| {
        let files = files.iter();
        files.map(|(path, text)| {
            (
                format!("sdk/{path}"),
                (*text).replace(WIT_PATHS[0], WIT_PATHS[1]),
            )
        })
    };
    let wit = |folder: &'static str| {
        WIT.into_iter()
            .map(move |(path, text)| (format!("{folder}/{path}"), text.to_owned()))
    };
    match language {
        Language::Rust => {
            let manifest = (
                "sdk/Cargo.toml".to_owned(),
                template!("rust/sdk.Cargo.toml").to_owned(),
            );
            sdk(RUST_SDK)
                .chain(wit("sdk/wit"))
                .chain([manifest])
                .collect()
        }
        Language::Go => sdk(GO_SDK).collect(),
        Language::JavaScript | Language::Python => wit("wit").collect(),
    }
}

/// A case that comes out well, and one that does not.
fn cases(role: Role) -> Files {
    match role {
        Role::Renderer => files!("host/weir/templates/testdata/renderer":
            "good/case.yaml" "good/tree/apps/site/files/index.html" "good/tree/apps/site/files/robots.txt" "good/expected.yaml"
            "bad/case.yaml" "bad/tree/apps/site/notes.txt" "bad/expected-error.yaml"),
        Role::Transformer => files!("host/weir/templates/testdata/transformer":
            "good/case.yaml" "good/objects.yaml" "good/expected.yaml"
            "bad/case.yaml" "bad/objects.yaml" "bad/expected-error.yaml"),
        Role::Validator => files!("host/weir/templates/testdata/validator":
            "good/case.yaml" "good/objects.yaml" "good/expected.yaml"
            "bad/case.yaml" "bad/objects.yaml" "bad/expected.yaml"),
    }
}

fn words(role: Role) -> Words {
    match role {
        Role::Renderer => Words {
            description: "Makes a ConfigMap of a folder's files",
            does: "it makes one ConfigMap of the files in the app's folder `files`",
            input: "`tree/`",
            usage: "render: { plugin: {{name}}, config: { name: pages } }",
        },
        Role::Transformer => Words {
            description: "Labels every object with its team",
            does: "it gives every object a label that says which team it belongs to",
            input: "`objects.yaml`",
            usage: "transform: [{ plugin: {{name}}, config: { team: shop } }]",
        },
        Role::Validator => Words {
            description: "Wants a digest in every container image",
            does: "it finds fault with every container image that is not pinned by a digest",
            input: "`objects.yaml`",
            usage: "validate: [{ plugin: {{name}} }]",
        },
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::{Path, PathBuf};

    use super::*;

    fn root() -> PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
    }

    fn all() -> impl Iterator<Item = (Role, Language, Vec<(String, String)>)> {
        use clap::ValueEnum as _;
        Role::ALL.into_iter().flat_map(|role| {
            let languages = Language::value_variants().iter();
            languages.map(move |language| (role, *language, project("team", role, *language)))
        })
    }

    /// The paths below a folder, without tests and what tools leave there.
    fn below(folder: &str) -> BTreeSet<String> {
        fn walk(base: &Path, dir: &Path, out: &mut BTreeSet<String>) {
            for entry in std::fs::read_dir(dir).unwrap().map(Result::unwrap) {
                let path = entry.path();
                if path.is_dir() {
                    walk(base, &path, out);
                } else {
                    let path = path.strip_prefix(base).unwrap();
                    out.insert(path.to_str().unwrap().to_owned());
                }
            }
        }
        let (base, mut out) = (root().join(folder), BTreeSet::new());
        walk(&base, &base, &mut out);
        out
    }

    fn paths(files: Files) -> BTreeSet<String> {
        files.iter().map(|(path, _)| (*path).to_owned()).collect()
    }

    #[test]
    fn a_project_has_each_file_of_its_language_once_and_nothing_left_to_fill_in() {
        for (role, language, files) in all() {
            let paths: BTreeSet<&String> = files.iter().map(|(path, _)| path).collect();
            assert_eq!(paths.len(), files.len(), "{role} in {language}");
            for needed in [
                "README.md",
                "plugin.yaml",
                ".gitignore",
                "testdata/good/case.yaml",
                "testdata/bad/case.yaml",
            ] {
                assert!(
                    paths.contains(&needed.to_owned()),
                    "{role} in {language}: {needed}"
                );
            }
            for (path, text) in &files {
                // Go writes two of them in a row; a word in them is ours to fill in.
                let mut after = text.split("{{").skip(1);
                let is_word = |rest: &str| rest.starts_with(|c: char| c.is_ascii_lowercase());
                assert!(!after.any(is_word), "{role} in {language}: {path}");
            }
        }
    }

    #[test]
    fn a_projects_own_plugin_yaml_is_read() {
        for (role, language, files) in all() {
            let dir = tempfile::tempdir().unwrap();
            let (_, text) = files
                .iter()
                .find(|(path, _)| path == "plugin.yaml")
                .unwrap();
            std::fs::write(dir.path().join("plugin.yaml"), text).unwrap();
            let about = super::super::about::About::read(dir.path())
                .unwrap()
                .unwrap();
            assert_eq!(
                (about.name.as_str(), about.role),
                ("team", role),
                "{language}"
            );
        }
    }

    #[test]
    fn the_sdks_are_whole() {
        let mut go = below("plugins/sdk/go");
        go.retain(|path| !path.ends_with("_test.go"));
        assert_eq!(paths(GO_SDK), go, "on the left: listed here");
        let mut rust = below("plugins/sdk/rust");
        // What reads YAML does it with the host's own crate, which no project has.
        rust.retain(|path| path.starts_with("src/") && path != "src/yaml.rs");
        assert_eq!(paths(RUST_SDK), rust, "on the left: listed here");
    }

    #[test]
    fn the_cases_are_whole() {
        for role in Role::ALL {
            let there = below(&format!("host/weir/templates/testdata/{role}"));
            assert_eq!(paths(cases(role)), there, "on the left: listed here");
        }
    }

    #[test]
    fn the_rust_sdk_finds_its_interface_beside_itself() {
        let files: BTreeMap<String, String> = library(Language::Rust).into_iter().collect();
        let component = &files["sdk/src/component.rs"];
        assert_eq!(
            component.matches(WIT_PATHS[1]).count(),
            3,
            "one for each world"
        );
        assert!(!component.contains("../"), "nothing outside of the project");
        assert!(files.contains_key("sdk/wit/renderer.wit"));
    }

    /// `name = "version"` of the dependencies in a manifest, and of those that a table names.
    fn versions(manifest: &str) -> BTreeMap<String, String> {
        let lines = manifest.lines().filter(|line| !line.starts_with('['));
        let lines = lines.filter_map(|line| line.split_once(" = "));
        lines
            .filter_map(|(name, rest)| {
                let version = rest.split("version = ").last()?.split('"').nth(1)?;
                Some((name.to_owned(), version.to_owned()))
            })
            .collect()
    }

    #[test]
    fn the_sdk_of_a_project_depends_on_what_weirs_own_does() {
        let workspace = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
        let workspace = versions(workspace.split("[workspace.dependencies]").nth(1).unwrap());
        let text = template!("rust/sdk.Cargo.toml");
        let (package, dependencies) = text.split_once("[dependencies]").unwrap();
        let dependencies = versions(dependencies);
        for (name, version) in &dependencies {
            assert_eq!(workspace.get(name), Some(version), "{name}");
        }
        let own = std::fs::read_to_string(root().join("plugins/sdk/rust/Cargo.toml")).unwrap();
        let own = own.split("dependencies]").skip(1).flat_map(str::lines);
        let own = own.filter_map(|line| line.strip_suffix(".workspace = true"));
        assert_eq!(
            own.collect::<BTreeSet<_>>(),
            dependencies.keys().map(String::as_str).collect()
        );
        assert!(package.contains(&format!("name = \"{SDK}\"")), "{package}");
        assert!(package.contains(&format!("version = \"{}\"", env!("CARGO_PKG_VERSION"))));
    }

    #[test]
    fn a_projects_lock_names_what_weirs_own_lock_names() {
        let packages = |text: &str| -> BTreeSet<String> {
            let packages = text.split("[[package]]").skip(1);
            packages
                .map(|p| {
                    p.lines()
                        .filter(|l| {
                            ["name", "version", "checksum"]
                                .iter()
                                .any(|k| l.starts_with(k))
                        })
                        .collect::<Vec<_>>()
                        .join(" ")
                })
                .filter(|p| p.contains("checksum"))
                .collect()
        };
        let own = packages(&std::fs::read_to_string(root().join("Cargo.lock")).unwrap());
        let theirs = packages(template!("rust/Cargo.lock"));
        assert!(theirs.len() > 20);
        let others: Vec<&String> = theirs.difference(&own).collect();
        assert!(
            others.is_empty(),
            "build a new Rust project once and take its Cargo.lock: {others:?}"
        );
    }
}
