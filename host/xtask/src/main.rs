//! Developer tasks: `cargo quickstart`, `cargo fulltest` and `cargo xtask TASK`.
#![expect(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a command-line tool for developers: its output is its terminal"
)]

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Result, bail};

mod arguments;
mod bench;
mod cluster;
mod control_plane;
mod crash;
mod deny;
mod fulltest;
mod fuzz;
mod go_plugins;
mod native;
mod plugin_tools;
mod plugins;
mod quickstart;
mod run;
mod services;
mod shapes;
mod sshd;
mod steps;
mod tally;
mod tools;
mod wkg;

use run::cargo;

/// One task: its name, its arguments and what it does.
struct Task {
    name: &'static str,
    help: &'static str,
    run: fn(&Path, &[String]) -> Result<()>,
}

const TASKS: &[Task] = &[
    Task {
        name: "quickstart",
        help: "build, make a Git repository, follow it into a directory, or into a cluster (--cluster); --check: once, alone",
        run: quickstart::run,
    },
    Task {
        name: "fulltest",
        help: "everything that CI runs: format, lints, licences, all tests",
        run: fulltest::run,
    },
    Task {
        name: "plugins",
        help: "build the bundled plugins and the test guests into target/",
        run: plugins_task,
    },
    Task {
        name: "plugin",
        help: "build DIR [--output FILE]: make a component of the plugin in a folder (the same as `weir plugin build`)",
        run: go_plugins::run,
    },
    Task {
        name: "profiles",
        help: "profile Helm and Kustomize natively, for builds that know what is called most (default.pgo)",
        run: |root, _| go_plugins::profiles(root),
    },
    Task {
        name: "shapes",
        help: "[--check]: what the plugins know of Kubernetes' own kinds, made from the pinned Kubernetes' OpenAPI",
        run: shapes::run,
    },
    Task {
        name: "control-plane",
        help: "build the Kubernetes control plane of the tests into the cache (minutes, once)",
        run: |root, _| {
            let folder = control_plane::Building::start(root)?.finish()?;
            println!("{}", folder.display());
            Ok(())
        },
    },
    Task {
        name: "native",
        help: "build Helm and Kustomize for the parity suite and the benchmark into the cache (minutes, once)",
        run: |root, _| {
            println!("{}", native::build(root)?.display());
            Ok(())
        },
    },
    Task {
        name: "registry",
        help: "build the OCI registry of the tests into the cache (a minute, once)",
        run: |root, _| {
            println!("{}", services::REGISTRY.build(root)?.display());
            Ok(())
        },
    },
    Task {
        name: "s3",
        help: "build the S3 server of the tests into the cache (some minutes, once)",
        run: |root, _| {
            println!("{}", services::S3.build(root)?.display());
            Ok(())
        },
    },
    Task {
        name: "sshd",
        help: "get the sshd of the tests: the machine's own, or Debian's package unpacked into the cache",
        run: |root, _| {
            println!("{}", sshd::get(root)?.display());
            Ok(())
        },
    },
    Task {
        name: "sops",
        help: "build sops and age-keygen for the tests of Secrets into the cache (some minutes, once)",
        run: |root, _| {
            for service in [services::SOPS, services::AGE_KEYGEN] {
                println!("{}", service.build(root)?.display());
            }
            Ok(())
        },
    },
    Task {
        name: "oci-tools",
        help: "build cosign, oras and wkg for the tests of plugins in registries into the cache (some minutes, once)",
        run: |root, _| {
            for service in [services::COSIGN, services::ORAS] {
                println!("{}", service.build(root)?.display());
            }
            println!("{}", wkg::get(root)?.display());
            Ok(())
        },
    },
    Task {
        name: "plugin-tools",
        help: "get componentize-js and componentize-py for the tests of plugins in JavaScript and Python (a minute, once)",
        run: |root, _| {
            println!("{}", plugin_tools::get(root)?.display());
            Ok(())
        },
    },
    Task {
        name: "cluster",
        help: "up: a control plane of your own in the background; down: stop it",
        run: cluster::run,
    },
    Task {
        name: "bench",
        help: "the figures, side by side, in release builds (arguments go to the benchmark)",
        run: bench::run,
    },
    Task {
        name: "crash",
        help: "[--kills N] [--seed S]: kill syncs and hosts anywhere, 1000 times, and look whether anything was lost",
        run: crash::run,
    },
    Task {
        name: "fuzz",
        help: "[--minutes N | --minimize] [TARGET...]: drive the fuzz targets of fuzz/, ten minutes each",
        run: fuzz::run,
    },
    Task {
        name: "fmt",
        help: "format all Rust code",
        run: |root, _| cargo(root).args(["fmt", "--all"]).run(),
    },
    Task {
        name: "lint",
        help: "clippy over everything, warnings are errors",
        run: |root, _| fulltest::clippy(root),
    },
    Task {
        name: "deny",
        help: "licences, bans and sources of all dependencies",
        run: |root, _| {
            deny::Installing::start(root)?
                .finish()
                .and_then(|tool| tool.check())
        },
    },
    Task {
        name: "tidy",
        help: "the rules that no compiler checks (tests/tidy.rs)",
        run: |root, _| {
            cargo(root)
                .args(["test", "--workspace", "--test", "tidy"])
                .run()
        },
    },
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match dispatch(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn dispatch(arguments: &[String]) -> Result<()> {
    let (name, rest) = match arguments {
        [] => ("help", arguments),
        [name, rest @ ..] => (name.as_str(), rest),
    };
    if matches!(name, "help" | "--help" | "-h") {
        help();
        return Ok(());
    }
    match TASKS.iter().find(|task| task.name == name) {
        Some(task) => (task.run)(&root()?, rest),
        None => bail!("`{name}` is no task; `cargo xtask help` lists them"),
    }
}

fn help() {
    println!("cargo xtask TASK\n");
    for task in TASKS {
        println!("  {:<13} {}", task.name, task.help);
    }
    println!(
        "\nTools are cached in {} (WEIR_DEV_CACHE).",
        tools::cache_text()
    );
}

fn plugins_task(root: &Path, _: &[String]) -> Result<()> {
    tools::wasm_target(root)?;
    plugins::build_plugins(root)?;
    plugins::build_guests(root)?;
    go_plugins::build_guests(root)
}

/// The workspace: two folders above this package.
fn root() -> Result<PathBuf> {
    match Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2) {
        Some(root) => Ok(root.to_path_buf()),
        None => bail!(
            "{} is not two folders below a workspace",
            env!("CARGO_MANIFEST_DIR")
        ),
    }
}
