//! The binary `weir`: wiring, the one loop, the command line.

mod blame;
mod cli;
mod config;
mod control;
mod crash;
mod error;
mod follow;
mod journal;
mod logs;
mod plugins;
mod prepare;
mod progress;
mod read_model;
mod sync;
mod tell;

fn main() -> std::process::ExitCode {
    crash::arm();
    cli::main()
}
