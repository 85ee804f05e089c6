//! `cargo xtask bench`: Weir's figures and the others', side by side in one run.
#![expect(
    clippy::print_stderr,
    reason = "a tool for developers: its output is its terminal"
)]

use std::process::ExitCode;

mod rows;

fn main() -> ExitCode {
    match rows::main(std::env::args().skip(1).collect()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
