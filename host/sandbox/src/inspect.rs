//! What a component imports, read from its bytes before anything compiles or runs.

use wasmparser::{ComponentTypeRef, Encoding, Parser, Payload, TypeBounds};
use weir_core::digest::Digest;

use crate::load::LoadError;
use crate::{INTERFACE, Role};

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

/// Checks that the bytes are a component and import only what the role may have.
pub(crate) fn check(digest: Digest, role: Role, bytes: &[u8]) -> Result<(), LoadError> {
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
                    if is_other_interface(name) {
                        return Err(LoadError::Interface {
                            digest,
                            import: name.chars().take(200).collect(),
                        });
                    }
                    if !allowed(name) {
                        return Err(LoadError::Import {
                            digest,
                            role,
                            import: name.chars().take(200).collect(),
                        });
                    }
                }
            }
            _ => {}
        }
    }
    Ok(())
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
