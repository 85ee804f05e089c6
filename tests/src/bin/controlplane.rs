//! A control plane for people and for the rig's own tests: `up FOLDER`, `down FOLDER`, `hold`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool for developers"
)]

use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Result, bail};
use weir_tests::control_plane::background::{self, Up};
use weir_tests::control_plane::{ControlPlane, With};

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments.iter().map(String::as_str).collect::<Vec<_>>()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[&str]) -> Result<()> {
    match arguments {
        ["up", folder] => up(Path::new(folder)),
        ["down", folder] => {
            if background::down(Path::new(folder))? {
                println!("stopped; its folder is removed");
            } else {
                println!("none runs");
            }
            Ok(())
        }
        ["hold"] => hold(),
        _ => bail!("usage: controlplane up FOLDER | down FOLDER | hold"),
    }
}

fn up(folder: &Path) -> Result<()> {
    let kubeconfig = match background::up(folder)? {
        Up::Started(path) => {
            println!("# a control plane runs in {}", folder.display());
            path
        }
        Up::Running(path) => {
            println!("# it is running already");
            path
        }
    };
    println!("# stop it: cargo xtask cluster down");
    println!("export KUBECONFIG='{}'", kubeconfig.display());
    Ok(())
}

/// Keeps one until the standard input ends; prints its folder and its processes.
fn hold() -> Result<()> {
    let plane = ControlPlane::start(With::ApiServer)?;
    let processes: Vec<String> = plane.processes()?.iter().map(u32::to_string).collect();
    println!("{}", plane.folder().display());
    println!("{}", processes.join(" "));
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
