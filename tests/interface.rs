//! The plugin interface: frozen for each release, described from its own comments, and what was built for it loads later.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test says what is wrong by failing"
)]

use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use weir_core::digest::Digest;
use weir_tests::{Repo, Weir, places};
use wit_parser::{
    Docs, Function, Handle, InterfaceId, Resolve, Type, TypeDef, TypeDefKind, TypeId, World,
    WorldItem,
};

const PAGE: &str = "docs/interface.md";
/// The frozen texts, each with the digest of its files.
const FROZEN: [(&str, &str); 1] = [(
    "0.1.0",
    "d3e619431401488627ea02ca7fb9fe1275e3a07a9ccc359cfc51755a8657813d",
)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The `.wit` files of a folder with their texts, in order.
fn texts(folder: &Path) -> Vec<(String, String)> {
    let files = fs::read_dir(folder).unwrap().map(|f| f.unwrap().path());
    let mut texts: Vec<(String, String)> = files
        .filter(|path| path.extension().is_some_and(|end| end == "wit"))
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    texts.sort();
    texts
}

fn resolved(folder: &Path) -> (Resolve, wit_parser::PackageId) {
    let mut resolve = Resolve::default();
    let (package, _) = resolve.push_dir(folder).unwrap();
    (resolve, package)
}

/// The folders of texts that never change, by version.
fn frozen() -> Vec<(String, PathBuf)> {
    let folders = fs::read_dir(root().join("wit")).unwrap();
    let mut frozen: Vec<(String, PathBuf)> = folders
        .filter_map(|folder| {
            let path = folder.unwrap().path();
            let name = path
                .file_name()?
                .to_str()?
                .strip_prefix("since-")?
                .to_owned();
            Some((name, path))
        })
        .collect();
    frozen.sort();
    frozen
}

#[test]
fn the_text_of_a_version_is_the_frozen_one_of_that_version() {
    let wit = root().join("wit");
    let (resolve, package) = resolved(&wit);
    let version = resolve.packages[package].name.version.clone().unwrap();
    assert_eq!(version.to_string(), weir_sandbox::INTERFACE);
    let frozen = frozen();
    let same = frozen.iter().find(|(of, _)| *of == version.to_string());
    let (_, folder) = same.expect("each version has its frozen text below wit/since-VERSION");
    assert_eq!(
        texts(&wit),
        texts(folder),
        "a released text never changes: give the package another version, and freeze that"
    );
}

#[test]
fn a_frozen_text_is_the_one_of_its_release() {
    let digests: Vec<(String, String)> = frozen()
        .into_iter()
        .map(|(version, folder)| {
            let mut digest = Digest::builder();
            for (name, text) in texts(&folder) {
                digest.part(name.as_bytes()).part(text.as_bytes());
            }
            (version, digest.finish().hex())
        })
        .collect();
    let pinned = FROZEN.map(|(version, digest)| (version.to_owned(), digest.to_owned()));
    assert_eq!(
        digests, pinned,
        "a frozen text never changes; a new one is pinned here"
    );
}

#[test]
fn whatever_an_older_version_had_is_there_with_the_same_types() {
    let (now, package) = resolved(&root().join("wit"));
    for (version, folder) in frozen() {
        let (then, old) = resolved(&folder);
        for (name, id) in &then.packages[old].worlds {
            let has = now.packages[package].worlds.get(name);
            let has = has.unwrap_or_else(|| panic!("the world {name} of {version} is gone"));
            let (before, after) = (&then.worlds[*id], &now.worlds[*has]);
            assert_eq!(
                functions(&then, before),
                functions(&now, after),
                "{name} of {version}"
            );
            for import in imports(&then, before) {
                assert!(
                    imports(&now, after).contains(&import),
                    "{name} lost {import}"
                );
            }
        }
        for (name, id) in &then.packages[old].interfaces {
            let has = now.packages[package].interfaces.get(name);
            let has = has.unwrap_or_else(|| panic!("{name} of {version} is gone"));
            for (func, before) in &then.interfaces[*id].functions {
                let after = now.interfaces[*has].functions.get(func);
                let after = after.unwrap_or_else(|| panic!("{name}.{func} is gone"));
                assert_eq!(
                    signature(&then, before),
                    signature(&now, after),
                    "{name}.{func} of {version}"
                );
            }
            for (ty, before) in &then.interfaces[*id].types {
                let after = now.interfaces[*has].types.get(ty);
                let after = after.unwrap_or_else(|| panic!("{name}.{ty} is gone"));
                assert_eq!(
                    definition(&then, *before, false),
                    definition(&now, *after, false),
                    "{name}.{ty} of {version}"
                );
            }
        }
    }
}

#[test]
fn the_reference_is_what_the_comments_of_the_interface_say() {
    let (resolve, package) = resolved(&root().join("wit"));
    let page = page(&resolve, package);
    let there = fs::read_to_string(root().join(PAGE)).unwrap_or_default();
    if page != there {
        let made = root().join("target/interface.md");
        fs::write(&made, page).unwrap();
        panic!("{PAGE} is not what wit/ says: copy target/interface.md there");
    }
}

#[test]
fn plugins_that_were_built_for_the_first_version_do_all_that_they_did() {
    let mut repo = Repo::empty().unwrap();
    let roles = ["renderer", "transformer", "validator"];
    let mut manifest = "version: 1\nplugins:\n".to_owned();
    for role in roles {
        let guest = places::guest_dir()
            .unwrap()
            .join(format!("since-{role}.wasm"));
        repo.write(&format!("plugins/{role}.wasm"), fs::read(guest).unwrap())
            .unwrap();
        writeln!(
            manifest,
            "  {role}: {{ source: 'file:plugins/{role}.wasm' }}"
        )
        .unwrap();
    }
    manifest.push_str(
        "apps:\n- name: shop\n  path: shop\n  target: { namespace: till }\n\
         \x20 render: { plugin: renderer, config: { say: WORD } }\n\
         \x20 transform: [{ plugin: transformer }]\n  validate: [{ plugin: validator }]\n",
    );
    repo.write("weir.yaml", manifest).unwrap();
    repo.write("shop/word.txt", "hello\n").unwrap();
    repo.commit("plugins of the first version").unwrap();
    let weir = Weir::new().unwrap();
    let path = repo.path();
    let at = ["--repo", path.to_str().unwrap()];
    weir.run(["lock"].into_iter().chain(at))
        .unwrap()
        .code(0)
        .unwrap();
    repo.commit("lock").unwrap();
    for way in ["in-process", "processes"] {
        let words = ["render", "--isolation", way].into_iter().chain(at);
        let shown = weir.run(words).unwrap().code(0).unwrap().stdout;
        for part in [
            r#"config: "{\"say\":\"hello\"}""#,
            "files: word.txt true false",
            "target: default 1.",
            "namespace: till",
        ] {
            assert!(shown.contains(part), "{way}: {part}: {shown}");
        }
    }
    // What goes wrong reaches the person as it did.
    repo.remove("shop/word.txt").unwrap();
    repo.write("shop/other.txt", "x").unwrap();
    repo.commit("no word").unwrap();
    let said = weir.run(["render"].into_iter().chain(at)).unwrap();
    let said = said.code(1).unwrap().stderr;
    assert!(
        said.contains("no-word") && said.contains("shop/word.txt"),
        "{said}"
    );
}

/// What a world's plugins export, whole.
fn functions(resolve: &Resolve, world: &World) -> Vec<String> {
    let functions = world.exports.values().filter_map(|item| match item {
        WorldItem::Function(function) => Some(signature(resolve, function)),
        _ => None,
    });
    functions.collect()
}

/// The interfaces that a world's plugins may import, in order of name; the types that all share are none of them.
fn imports(resolve: &Resolve, world: &World) -> Vec<String> {
    let imports = world.imports.values().filter_map(|item| match item {
        WorldItem::Interface { id, .. } => resolve.interfaces[*id].name.clone(),
        _ => None,
    });
    let mut imports: Vec<String> = imports.filter(|name| name != "types").collect();
    imports.sort();
    imports
}

/// The page for authors.
fn page(resolve: &Resolve, package: wit_parser::PackageId) -> String {
    let package = &resolve.packages[package];
    let mut page = format!(
        "# The interface `{}`\n\n\
         Made from the comments in `wit/` by `tests/interface.rs`; change it there. How a plugin is written is in\n\
         [plugins.md](plugins.md).\n\n## Worlds\n\n",
        package.name
    );
    for (name, id) in &package.worlds {
        let world = &resolve.worlds[*id];
        writeln!(page, "### `{name}`\n").unwrap();
        say(&mut page, &world.docs);
        let imports = imports(resolve, world);
        let imports: Vec<String> = imports.iter().map(|name| format!("`{name}`")).collect();
        writeln!(page, "May import {}. Exports:\n", imports.join(", ")).unwrap();
        let exports = functions(resolve, world).join("\n");
        writeln!(page, "```wit\n{exports}\n```\n").unwrap();
    }
    page.push_str("## Interfaces\n\n");
    for (name, id) in &package.interfaces {
        writeln!(page, "### `{name}`\n").unwrap();
        say(&mut page, &resolve.interfaces[*id].docs);
        interface(&mut page, resolve, *id);
    }
    format!("{}\n", page.trim_end())
}

fn interface(page: &mut String, resolve: &Resolve, id: InterfaceId) {
    let interface = &resolve.interfaces[id];
    for (name, function) in &interface.functions {
        writeln!(page, "**`{name}`**\n").unwrap();
        say(page, &function.docs);
        writeln!(page, "```wit\n{}\n```\n", signature(resolve, function)).unwrap();
    }
    for (name, ty) in &interface.types {
        writeln!(page, "**`{name}`**\n").unwrap();
        say(page, &resolve.types[*ty].docs);
        writeln!(page, "```wit\n{}\n```\n", definition(resolve, *ty, true)).unwrap();
    }
}

fn say(page: &mut String, docs: &Docs) {
    if let Some(text) = &docs.contents {
        writeln!(page, "{}\n", text.trim_end()).unwrap();
    }
}

fn signature(resolve: &Resolve, function: &Function) -> String {
    let params = function.params.iter();
    let params: Vec<String> = params
        .map(|param| format!("{}: {}", param.name, named(resolve, &param.ty)))
        .collect();
    let result = function.result.as_ref();
    let result = result.map_or(String::new(), |ty| format!(" -> {}", named(resolve, ty)));
    format!("{}: func({}){result}", function.name, params.join(", "))
}

/// A type as the WIT has it, with the comments of its parts.
fn definition(resolve: &Resolve, id: TypeId, with_docs: bool) -> String {
    let ty = &resolve.types[id];
    let name = ty.name.as_deref().unwrap_or_default();
    let mut text = String::new();
    let comment = |text: &mut String, docs: &Docs| {
        for line in docs
            .contents
            .iter()
            .flat_map(|docs| docs.lines())
            .filter(|_| with_docs)
        {
            writeln!(text, "    /// {line}").unwrap();
        }
    };
    match &ty.kind {
        TypeDefKind::Record(record) => {
            writeln!(text, "record {name} {{").unwrap();
            for field in &record.fields {
                comment(&mut text, &field.docs);
                writeln!(text, "    {}: {},", field.name, named(resolve, &field.ty)).unwrap();
            }
            text.push('}');
        }
        TypeDefKind::Enum(choices) => {
            writeln!(text, "enum {name} {{").unwrap();
            for case in &choices.cases {
                comment(&mut text, &case.docs);
                writeln!(text, "    {},", case.name).unwrap();
            }
            text.push('}');
        }
        _ => write!(text, "type {name} = {}", unnamed(resolve, ty)).unwrap(),
    }
    text
}

fn named(resolve: &Resolve, ty: &Type) -> String {
    match ty {
        Type::Id(id) => match &resolve.types[*id] {
            TypeDef {
                name: Some(name), ..
            } => name.clone(),
            other => unnamed(resolve, other),
        },
        plain => format!("{plain:?}").to_lowercase(),
    }
}

fn unnamed(resolve: &Resolve, ty: &TypeDef) -> String {
    let of = |ty: &Option<Type>| ty.as_ref().map_or("_".to_owned(), |ty| named(resolve, ty));
    match &ty.kind {
        TypeDefKind::List(inner) => format!("list<{}>", named(resolve, inner)),
        TypeDefKind::Option(inner) => format!("option<{}>", named(resolve, inner)),
        TypeDefKind::Result(result) => format!("result<{}, {}>", of(&result.ok), of(&result.err)),
        TypeDefKind::Type(inner) => named(resolve, inner),
        TypeDefKind::Handle(Handle::Own(id) | Handle::Borrow(id)) => named(resolve, &Type::Id(*id)),
        other => panic!(
            "the interface uses {}: say here how it reads",
            other.as_str()
        ),
    }
}
