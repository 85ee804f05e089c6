//! Gives a module an allocator for the canonical ABI that never enters the language's own runtime.
//!
//! The host calls `cabi_realloc` while it lowers values, and the module may call nothing of the host then. A runtime
//! with a collector may do so whenever it allocates (Go looks at the clock). So the SDK sets an arena aside and exports
//! its address; what is added here only moves a mark in it. The SDK takes the values out and moves the mark back.
//! What does not fit falls back to the SDK's own allocator.
//!
//! The arena: two words, the end of what is used and the end of the arena, both addresses; then the room.

use std::borrow::Cow;

use wasm_encoder::{Encode as _, ExportKind, Function, Module, RawSection, SectionId, ValType};
use wasmparser::{ExternalKind, Parser, Payload, TypeRef};

use super::BuildError;

/// The export that returns the arena's address.
pub(super) const ARENA: &str = "weir_arena";
/// The export that allocates what does not fit.
const FALLBACK: &str = "weir_realloc";
/// The export that the component model asks for.
const REALLOC: &str = "cabi_realloc";

/// What is in the module already.
#[derive(Default)]
struct Counts {
    types: u32,
    functions: u32,
    fallback: Option<u32>,
    has_realloc: bool,
}

/// The module with `cabi_realloc` over the arena at this address.
pub(super) fn add(module: &[u8], arena: u32) -> Result<Vec<u8>, BuildError> {
    let counts = count(module).map_err(|e| BuildError::NotAModule(e.to_string()))?;
    let missing = |what: &str| {
        BuildError::NotAModule(format!(
            "it exports `{ARENA}` and {what}: use one version of the SDK"
        ))
    };
    let fallback = counts
        .fallback
        .ok_or_else(|| missing("no `weir_realloc`"))?;
    if counts.has_realloc {
        return Err(missing("a `cabi_realloc` of its own"));
    }
    let mut out = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        let payload = payload.map_err(|e| BuildError::NotAModule(e.to_string()))?;
        let Some((id, range)) = payload.as_section() else {
            continue;
        };
        let data = module.get(range).unwrap_or_default();
        let item = item(id, &counts, arena, fallback);
        let data = item.map_or(Cow::Borrowed(data), |item| {
            Cow::Owned(appended(data, &item))
        });
        out.section(&RawSection { id, data: &data });
    }
    Ok(out.finish())
}

fn count(module: &[u8]) -> wasmparser::Result<Counts> {
    let mut counts = Counts::default();
    for payload in Parser::new(0).parse_all(module) {
        match payload? {
            Payload::TypeSection(types) => {
                for group in types {
                    counts.types += u32::try_from(group?.types().len()).unwrap_or(u32::MAX);
                }
            }
            Payload::ImportSection(imports) => {
                for import in imports.into_imports() {
                    counts.functions += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                }
            }
            Payload::FunctionSection(functions) => counts.functions += functions.count(),
            Payload::ExportSection(exports) => {
                for export in exports {
                    let export = export?;
                    if export.kind == ExternalKind::Func && export.name == FALLBACK {
                        counts.fallback = Some(export.index);
                    }
                    counts.has_realloc |= export.name == REALLOC;
                }
            }
            _ => {}
        }
    }
    Ok(counts)
}

/// What is added to a section; nothing to most.
fn item(id: u8, counts: &Counts, arena: u32, fallback: u32) -> Option<Vec<u8>> {
    let mut item = Vec::new();
    if id == u8::from(SectionId::Type) {
        item.push(0x60);
        [ValType::I32; 4].as_slice().encode(&mut item);
        [ValType::I32].as_slice().encode(&mut item);
    } else if id == u8::from(SectionId::Function) {
        counts.types.encode(&mut item);
    } else if id == u8::from(SectionId::Export) {
        REALLOC.encode(&mut item);
        ExportKind::Func.encode(&mut item);
        counts.functions.encode(&mut item);
    } else if id == u8::from(SectionId::Code) {
        body(arena, fallback).encode(&mut item);
    } else {
        return None;
    }
    Some(item)
}

/// `(old, old_size, align, size) -> address`. Values are aligned to eight bytes, the most that any type needs.
fn body(arena: u32, fallback: u32) -> Function {
    const ALIGN: i32 = 7;
    let at = arena.cast_signed();
    let word = |offset| wasm_encoder::MemArg {
        offset,
        align: 2,
        memory_index: 0,
    };
    // Local 4 is the address of what is given, local 5 is its end.
    let mut function = Function::new([(2, ValType::I32)]);
    let mut code = function.instructions();
    code.i32_const(at)
        .i32_load(word(0))
        .i32_const(ALIGN)
        .i32_add()
        .i32_const(!ALIGN)
        .i32_and()
        .local_tee(4)
        .local_get(3)
        .i32_add()
        .local_set(5);
    // Only an empty `old` can be served here, only what fits, and not a size that wraps around.
    code.local_get(1)
        .local_get(5)
        .i32_const(at)
        .i32_load(word(4))
        .i32_gt_u()
        .i32_or()
        .local_get(5)
        .local_get(4)
        .i32_lt_u()
        .i32_or()
        .if_(wasm_encoder::BlockType::Empty)
        .local_get(0)
        .local_get(1)
        .local_get(2)
        .local_get(3)
        .call(fallback)
        .return_()
        .end();
    code.i32_const(at)
        .local_get(5)
        .i32_store(word(0))
        .local_get(4)
        .end();
    function
}

/// A section's bytes with one more item.
fn appended(section: &[u8], item: &[u8]) -> Vec<u8> {
    let mut count = 0_u32;
    let mut read = 0;
    for byte in section.iter().take(5) {
        count |= u32::from(byte & 0x7f) << (7 * read);
        read += 1;
        if byte & 0x80 == 0 {
            break;
        }
    }
    let mut out = Vec::with_capacity(section.len() + item.len() + 5);
    count.saturating_add(1).encode(&mut out);
    out.extend(section.get(read..).unwrap_or_default());
    out.extend(item);
    out
}
