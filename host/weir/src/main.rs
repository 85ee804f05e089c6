//! The binary `weir`: wiring, the one loop, the command line.

mod blame;
mod cli;
mod commits;
mod config;
mod control;
mod crash;
mod error;
mod externals;
mod follow;
mod hosting;
mod journal;
mod keyring;
mod landing;
mod logs;
mod mask;
mod notary;
mod open;
mod pins;
mod plugins;
mod prepare;
mod progress;
mod random;
mod read_model;
mod recover;
mod renders;
mod replay;
mod repository;
mod retention;
mod service;
mod sync;
mod tell;
mod toolchain;
mod turns;
mod workers;

fn main() -> std::process::ExitCode {
    if let Some(ended) = workers::as_worker() {
        return ended;
    }
    crash::arm();
    cli::main()
}
