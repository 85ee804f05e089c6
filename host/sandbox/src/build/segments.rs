//! Joins neighbouring data segments: Go's linker writes up to 100,000, which is as many as a validator takes.

use wasm_encoder::{ConstExpr, DataCountSection, DataSection, Module, RawSection};
use wasmparser::{DataKind, DataSectionReader, Operator, Parser, Payload};

use super::BuildError;

/// Zeroes between two segments that are written out rather than starting a new one. A segment costs about ten bytes.
const GAP: usize = 64;

/// One run of memory.
struct Run {
    offset: u32,
    bytes: Vec<u8>,
}

/// The same module with neighbours joined.
pub(super) fn join(module: &[u8]) -> Result<Vec<u8>, BuildError> {
    let not = |why: String| BuildError::NotAModule(why);
    let mut runs = None;
    for payload in Parser::new(0).parse_all(module) {
        if let Payload::DataSection(section) = payload.map_err(|e| not(e.to_string()))? {
            runs = joined(section)?;
        }
    }
    let Some(runs) = runs else {
        return Ok(module.to_vec());
    };
    let mut out = Module::new();
    for payload in Parser::new(0).parse_all(module) {
        match payload.map_err(|e| not(e.to_string()))? {
            Payload::DataCountSection { .. } => {
                out.section(&DataCountSection {
                    count: u32::try_from(runs.len()).unwrap_or(u32::MAX),
                });
            }
            Payload::DataSection(_) => {
                let mut section = DataSection::new();
                for run in &runs {
                    let offset = ConstExpr::i32_const(run.offset.cast_signed());
                    section.active(0, &offset, run.bytes.iter().copied());
                }
                out.section(&section);
            }
            other => {
                if let Some((id, range)) = other.as_section() {
                    let data = module
                        .get(range)
                        .ok_or_else(|| not("a section beyond its end".to_owned()))?;
                    out.section(&RawSection { id, data });
                }
            }
        }
    }
    Ok(out.finish())
}

/// The runs of a data section; `None` where segments cannot be moved: passive ones, or at places that are computed.
fn joined(section: DataSectionReader<'_>) -> Result<Option<Vec<Run>>, BuildError> {
    let not = |e: wasmparser::BinaryReaderError| BuildError::NotAModule(e.to_string());
    let mut segments = Vec::new();
    for data in section {
        let data = data.map_err(not)?;
        let DataKind::Active {
            memory_index: 0,
            offset_expr,
        } = data.kind
        else {
            return Ok(None);
        };
        let mut operators = offset_expr.get_operators_reader();
        let Operator::I32Const { value } = operators.read().map_err(not)? else {
            return Ok(None);
        };
        segments.push((value.cast_unsigned(), data.data));
    }
    // A later segment may lie over an earlier one: order then matters, and nothing is joined.
    segments.sort_by_key(|(offset, _)| *offset);
    let mut runs: Vec<Run> = Vec::new();
    for (offset, bytes) in segments {
        let last = runs.last_mut().map(|run| {
            let end = run.offset as usize + run.bytes.len();
            (run, end)
        });
        match last {
            Some((_, end)) if (offset as usize) < end => return Ok(None),
            Some((run, end)) if offset as usize - end <= GAP => {
                run.bytes.resize(offset as usize - run.offset as usize, 0);
                run.bytes.extend_from_slice(bytes);
            }
            _ => runs.push(Run {
                offset,
                bytes: bytes.to_vec(),
            }),
        }
    }
    Ok(Some(runs))
}
