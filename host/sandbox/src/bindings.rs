//! What `bindgen!` makes of the three worlds in `wit/`. Nothing of it leaves this crate.

pub(crate) mod renderer {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "weir:plugin/renderer",
        imports: { default: trappable },
        exports: { default: async },
    });
}

pub(crate) mod transformer {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "weir:plugin/transformer",
        imports: { default: trappable },
        exports: { default: async },
        with: {
            "weir:plugin/types": super::renderer::weir::plugin::types,
            "weir:plugin/log": super::renderer::weir::plugin::log,
            "weir:plugin/tree": super::renderer::weir::plugin::tree,
        },
    });
}

pub(crate) mod validator {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "weir:plugin/validator",
        imports: { default: trappable },
        exports: { default: async },
        with: {
            "weir:plugin/types": super::renderer::weir::plugin::types,
            "weir:plugin/log": super::renderer::weir::plugin::log,
            "weir:plugin/tree": super::renderer::weir::plugin::tree,
        },
    });
}

pub(crate) use renderer::weir::plugin::{log, tree, types};
