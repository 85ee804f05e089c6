//! From compiled code to a component that can be instantiated in its role.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::AsRawFd as _;

use wasmtime::Engine;
use wasmtime::component::types::ComponentItem;
use wasmtime::component::{Component, ComponentNamedList, InstancePre, Lift, Linker, Lower};
use weir_cache::Mappable;

use crate::Role;
use crate::bindings::renderer::RendererPre;
use crate::bindings::transformer::TransformerPre;
use crate::bindings::types;
use crate::bindings::validator::ValidatorPre;
use crate::state::State;
use crate::wasi;

/// A linked component of each world.
pub(crate) enum World {
    Renderer(RendererPre<State>),
    Transformer(TransformerPre<State>),
    Validator(ValidatorPre<State>),
}

impl World {
    /// The role that it was linked for.
    pub(crate) fn role(&self) -> Role {
        match self {
            World::Renderer(_) => Role::Renderer,
            World::Transformer(_) => Role::Transformer,
            World::Validator(_) => Role::Validator,
        }
    }
}

/// What plugins may import.
pub(crate) struct Linking {
    engine: Engine,
    linker: Linker<State>,
}

impl Linking {
    pub(crate) fn new(engine: &Engine) -> wasmtime::Result<Linking> {
        Ok(Linking {
            engine: engine.clone(),
            linker: wasi::linker(engine)?,
        })
    }

    /// Links a component in a role, where it fits the role's world.
    pub(crate) fn link(&self, role: Role, component: &Component) -> wasmtime::Result<World> {
        let pre: InstancePre<State> = self.linker.instantiate_pre(component)?;
        type Diagnostics = Vec<types::Diagnostic>;
        match role {
            Role::Renderer => {
                type Answer = (Result<Vec<types::Document>, Diagnostics>,);
                self.exports::<(&types::Params,), Answer>(component, "render")?;
                RendererPre::new(pre).map(World::Renderer)
            }
            Role::Transformer => {
                type Answer = (Result<Vec<Vec<u8>>, Diagnostics>,);
                self.exports::<(&[Vec<u8>], &types::Params), Answer>(component, "transform")?;
                TransformerPre::new(pre).map(World::Transformer)
            }
            Role::Validator => {
                type Answer = (Result<Vec<types::Finding>, String>,);
                self.exports::<(&[Vec<u8>], &types::Params), Answer>(component, "validate")?;
                ValidatorPre::new(pre).map(World::Validator)
            }
        }
    }

    /// Checks that the component exports a function of this name and type, so that a misfit is known when
    /// it is loaded and not when it is called.
    fn exports<P, R>(&self, component: &Component, name: &str) -> wasmtime::Result<()>
    where
        P: ComponentNamedList + Lower,
        R: ComponentNamedList + Lift,
    {
        let ty = component.component_type();
        match ty.get_export(&self.engine, name).map(|e| e.ty) {
            Some(ComponentItem::ComponentFunc(f)) => f.typecheck::<P, R>(&ty.instance_type()),
            Some(_) => Err(wasmtime::Error::msg(format!(
                "its export `{name}` is not a function"
            ))),
            None => Err(wasmtime::Error::msg(format!("it does not export `{name}`"))),
        }
    }
}

/// The component of code that was authenticated.
#[expect(unsafe_code, reason = "taking compiled code is unsafe in Wasmtime")]
pub(crate) fn component(engine: &Engine, code: &Mappable) -> wasmtime::Result<Component> {
    // SAFETY: the code was made by this build's own compiler, in this process or its child, just now or
    // under a MAC with this installation's key, which was checked on exactly these bytes: in memory of ours, or in
    // a file in memory that the kernel lets nobody write to. The mapping keeps that file after ours is closed.
    unsafe {
        match code {
            Mappable::Bytes(code) => Component::deserialize(engine, code.bytes()),
            Mappable::Sealed(file) => Component::deserialize_file(engine, file.path()),
        }
    }
}

/// The component of code that the host handed to this worker: mapped, where this worker may open its own files again.
#[expect(unsafe_code, reason = "taking compiled code is unsafe in Wasmtime")]
pub(crate) fn handed(
    engine: &Engine,
    mut code: File,
    may_open: bool,
) -> wasmtime::Result<Component> {
    if may_open {
        let path = format!("/proc/self/fd/{}", code.as_raw_fd());
        // SAFETY: the host hands over sealed files in memory only, after it checked what is in them (see `component`).
        // Whatever they hold, it runs with the rights of this process, which has none.
        return unsafe { Component::deserialize_file(engine, path) };
    }
    let mut bytes = Vec::new();
    code.read_to_end(&mut bytes)?;
    // SAFETY: as above.
    unsafe { Component::deserialize(engine, bytes) }
}
