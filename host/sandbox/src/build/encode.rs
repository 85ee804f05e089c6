//! Wraps a core module as a component of its roles' worlds, with the adapter from WASI preview 1 to preview 2.

use wasi_preview1_component_adapter_provider::{
    WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME, WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};

use super::BuildError;
use crate::{Role, world};

/// The component.
pub(super) fn encode(mut module: Vec<u8>, roles: &[Role]) -> Result<Vec<u8>, BuildError> {
    let misfit = |why: String| BuildError::World {
        roles: roles.to_vec(),
        why,
    };
    let (resolve, package) = world::package().map_err(misfit)?;
    // The encoder merges them: the component has what any of the worlds has.
    for role in roles {
        let world = resolve
            .select_world(&[package], Some(role.as_str()))
            .map_err(|e| misfit(format!("{e:#}")))?;
        embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
            .map_err(|e| misfit(format!("{e:#}")))?;
    }
    // After its start a module's own allocator makes the adapter's room, which memory.grow would take from it.
    ComponentEncoder::default()
        .realloc_via_memory_grow(false)
        .module(&module)
        .and_then(|encoder| {
            encoder.adapter(
                WASI_SNAPSHOT_PREVIEW1_ADAPTER_NAME,
                WASI_SNAPSHOT_PREVIEW1_REACTOR_ADAPTER,
            )
        })
        .and_then(|encoder| encoder.validate(true).encode())
        .map_err(|e| misfit(format!("{e:#}")))
}
