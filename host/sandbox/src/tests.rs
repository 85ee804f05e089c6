//! Plugins written as WebAssembly text and put into the worlds of `wit/`: no toolchain is needed.

mod calls;
mod files;
mod guests;
mod loading;
mod wasi;
