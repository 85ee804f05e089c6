//! What a component imports, exports and says of itself, read from its bytes before anything compiles or runs.

mod shape;

use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload, TypeBounds};
use weir_core::digest::Digest;
use wit_component::DecodedWasm;
use wit_parser::{Function, Resolve, World, WorldItem, WorldKey};

use crate::load::LoadError;
use crate::metadata::{self, Metadata};
use crate::{INTERFACE, Role, world};

/// The WASI interfaces that are there for any role, so that the standard libraries of Rust, Go, Python and
/// JavaScript link. Each is deterministic and shows nothing of the host.
const WASI: &[&str] = &[
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stderr",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stderr",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:clocks/monotonic-clock",
    "wasi:clocks/wall-clock",
    "wasi:filesystem/preopens",
    "wasi:filesystem/types",
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:random/random",
];

/// How much of an import's name is shown, in characters.
const MAX_NAME: usize = 200;

/// What a component is, by its bytes. Nothing of it was compiled or run.
#[derive(Debug, Clone)]
pub struct Inspected {
    /// The digest of its bytes.
    pub digest: Digest,
    /// How many bytes.
    pub size: usize,
    /// The roles whose worlds it fits: it exports their functions and imports nothing that a plugin may not have.
    pub roles: Vec<Role>,
    /// What it imports, in its own order.
    pub imports: Vec<Import>,
    /// The names that it exports.
    pub exports: Vec<String>,
    /// What keeps it from a role, in words.
    pub misfits: Vec<String>,
    /// What it says of itself.
    pub metadata: Metadata,
}

/// One interface that a component imports.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Import {
    /// Its name with its version.
    pub name: String,
    /// Whether a plugin may have it.
    pub is_allowed: bool,
}

/// Looks at a component.
///
/// # Errors
/// The bytes are no component, or its types cannot be read.
pub fn inspect(bytes: &[u8]) -> Result<Inspected, LoadError> {
    let digest = Digest::of(bytes);
    let not = |why: String| LoadError::NotAComponent { digest, why };
    let imports: Vec<Import> = imports(digest, bytes)?
        .into_iter()
        .map(|name| Import {
            is_allowed: allowed(&name),
            name,
        })
        .collect();
    let decoded = wit_component::decode(bytes).map_err(|e| not(format!("{e:#}")))?;
    let DecodedWasm::Component(resolve, id) = decoded else {
        return Err(not("it is a package of interfaces, with no code".to_owned()));
    };
    let own = resolve
        .worlds
        .get(id)
        .ok_or_else(|| not("its world cannot be read".to_owned()))?;
    let (mut roles, mut misfits) = (Vec::new(), Vec::new());
    for role in Role::ALL {
        match fits(&resolve, own, role) {
            Some(Ok(())) => roles.push(role),
            Some(Err(why)) => misfits.push(why),
            None => {}
        }
    }
    for import in imports.iter().filter(|import| !import.is_allowed) {
        misfits.push(format!(
            "it imports `{}`, which no plugin may have",
            import.name
        ));
        roles.clear();
    }
    Ok(Inspected {
        digest,
        size: bytes.len(),
        roles,
        imports,
        exports: own
            .exports
            .keys()
            .map(|key| resolve.name_world_key(key))
            .collect(),
        misfits,
        metadata: metadata::read(bytes),
    })
}

/// Whether a component exports the function of a role as its world has it; `None` where it exports nothing of its name.
fn fits(resolve: &Resolve, own: &World, role: Role) -> Option<Result<(), String>> {
    let name = role.function();
    let found = own.exports.get(&WorldKey::Name(name.to_owned()))?;
    let WorldItem::Function(found) = found else {
        return Some(Err(format!("its export `{name}` is not a function")));
    };
    let found = shape::shape(resolve, found);
    let shown = found.as_deref().unwrap_or("longer than any of a plugin's");
    Some(match wanted(role) {
        Ok(wanted) if Some(&wanted) == found.as_ref() => Ok(()),
        Ok(wanted) => Err(format!(
            "its export `{name}` is not the one of the world `{role}` of weir:plugin@{INTERFACE}: it is {shown}; expected {wanted}"
        )),
        Err(why) => Err(why),
    })
}

/// The shape of a role's function.
fn wanted(role: Role) -> Result<String, String> {
    let (resolve, package) = world::package()?;
    let world = resolve.select_world(&[package], Some(role.as_str()));
    let world = world.map_err(|e| format!("{e:#}"))?;
    let world = resolve.worlds.get(world);
    let functions = world.iter().flat_map(|world| world.exports.values());
    let mut functions = functions.filter_map(|item| match item {
        WorldItem::Function(function) => Some(function),
        _ => None,
    });
    let function: Option<&Function> = functions.next();
    function
        .and_then(|function| shape::shape(&resolve, function))
        .ok_or_else(|| format!("the world `{role}` exports no function"))
}

/// Checks that the bytes are a component and import only what the role may have.
pub(crate) fn check(digest: Digest, role: Role, bytes: &[u8]) -> Result<(), LoadError> {
    let refused = imports(digest, bytes)?
        .into_iter()
        .find(|name| !allowed(name));
    match refused {
        None => Ok(()),
        Some(import) if is_other_interface(&import) => Err(LoadError::Interface { digest, import }),
        Some(import) => Err(LoadError::Import {
            digest,
            role,
            import,
        }),
    }
}

/// What the bytes import, where they are a component: the names, cut to a readable length.
fn imports(digest: Digest, bytes: &[u8]) -> Result<Vec<String>, LoadError> {
    let mut found = Vec::new();
    let not = |why: String| LoadError::NotAComponent { digest, why };
    let mut depth = 0_usize;
    for payload in Parser::new(0).parse_all(bytes) {
        match payload.map_err(|e| not(e.message().to_owned()))? {
            Payload::Version {
                encoding: Encoding::Module,
                ..
            } if depth == 0 => {
                return Err(not(
                    "it is a core module; make a component of it (for Rust: target wasm32-wasip2)"
                        .into(),
                ));
            }
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth = depth.saturating_sub(1),
            Payload::ComponentImportSection(imports) if depth == 0 => {
                for import in imports {
                    let import = import.map_err(|e| not(e.message().to_owned()))?;
                    let name = import.name.name;
                    // Names for known types, which `use` in a world makes: no capability comes with them.
                    if matches!(import.ty, ComponentTypeRef::Type(TypeBounds::Eq(_))) {
                        continue;
                    }
                    found.push(name.chars().take(MAX_NAME).collect());
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// Whether an import is of weir:plugin in a version that is not this host's.
fn is_other_interface(import: &str) -> bool {
    import.starts_with("weir:plugin/")
        && import
            .split_once('@')
            .is_some_and(|(_, version)| !is_ours(version))
}

/// Versions that differ in the last number only are one interface, to which the later ones have added.
fn is_ours(version: &str) -> bool {
    let track = INTERFACE
        .rsplit_once('.')
        .map_or(INTERFACE, |(track, _)| track);
    version.rsplit_once('.').is_some_and(|(of, _)| of == track)
}

/// Whether a component may import an interface. It is the same for each role.
fn allowed(import: &str) -> bool {
    let Some((interface, version)) = import.split_once('@') else {
        return false;
    };
    match interface {
        "weir:plugin/tree" | "weir:plugin/log" | "weir:plugin/types" => is_ours(version),
        _ => WASI.contains(&interface) && version.starts_with("0.2."),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nobody_sees_more_than_the_tree_the_log_and_a_wasi_that_shows_nothing() {
        for import in [
            "weir:plugin/tree@0.1.0",
            "weir:plugin/log@0.1.3",
            "wasi:random/random@0.2.12",
        ] {
            assert!(allowed(import), "{import}");
        }
        for import in [
            "weir:plugin/tree@1.0.0",
            "weir:plugin/tree",
            "wasi:sockets/tcp@0.2.0",
            "wasi:http/types@0.2.0",
            "wasi:cli/run@0.2.0",
            "env",
            "",
        ] {
            assert!(!allowed(import), "{import}");
        }
    }
}
