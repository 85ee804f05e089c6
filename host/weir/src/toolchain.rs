//! The author's own toolchain, run by `weir plugin build`: from a folder to a core module for WASI preview 1.

use std::path::Path;
use std::process::{Command, Stdio};

use weir_core::fault::{Fault, Retry};

use crate::error::Error;

/// What decides a Go module's bytes. Whatever else of it this machine's environment sets is taken away: the same
/// source and the same Go give the same module everywhere.
const GO_ENVIRONMENT: [(&str, &str); 6] = [
    ("GOOS", "wasip1"),
    ("GOARCH", "wasm"),
    ("GOFLAGS", "-mod=readonly"),
    ("GOWORK", "off"),
    ("GOEXPERIMENT", ""),
    ("GOWASM", ""),
];
/// A reactor, without paths of this machine, version control stamps, symbols and debug information.
const GO_BUILD: [&str; 5] = [
    "build",
    "-trimpath",
    "-buildvcs=false",
    "-buildmode=c-shared",
    "-ldflags=-s -w -buildid=",
];

/// The core module of the plugin in a folder.
///
/// # Errors
/// The folder is no plugin that can be built here, or its compiler says no; what it said goes to stderr.
pub(crate) fn compile(dir: &Path) -> Result<Vec<u8>, Error> {
    if has_go_files(dir)? {
        return go(dir);
    }
    let what = if dir.join("Cargo.toml").is_file() {
        "a Rust plugin is a component as `cargo build --release --target wasm32-wasip2` makes it"
    } else {
        "it has no .go file: give the folder of a plugin's main package"
    };
    Err(Error::Usage(format!("{}: {what}", dir.display())))
}

fn has_go_files(dir: &Path) -> Result<bool, Error> {
    let failed = |e: std::io::Error| Error::Usage(format!("{}: {e}", dir.display()));
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        if entry.map_err(failed)?.path().extension() == Some("go".as_ref()) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn go(dir: &Path) -> Result<Vec<u8>, Error> {
    let failed = |fault: Fault, why: String| Error::Stage {
        stage: "plugin",
        fault,
        retry: Retry::OnChange,
        message: format!("{}: {why}", dir.display()),
    };
    let out = std::env::temp_dir().join(format!("weir-plugin-build-{}.wasm", std::process::id()));
    #[expect(
        clippy::disallowed_methods,
        reason = "the author's toolchain, in `plugin build` only"
    )]
    let mut go = Command::new("go");
    go.current_dir(dir)
        .args(GO_BUILD)
        .arg("-o")
        .arg(&out)
        .arg(".")
        .envs(GO_ENVIRONMENT)
        .stdin(Stdio::null())
        // Stdout is for the result; the compiler's words go where errors go.
        .stdout(Stdio::null());
    let ended = go.status().map_err(|e| {
        failed(
            Fault::Host,
            format!("`go` does not start: {e}: install Go 1.26 or newer (https://go.dev/dl)"),
        )
    })?;
    let module = ended.success().then(|| std::fs::read(&out));
    // What was written is in memory by now; a compiler that failed may have left nothing.
    let _ = std::fs::remove_file(&out);
    match module {
        Some(Ok(module)) => Ok(module),
        Some(Err(e)) => Err(failed(
            Fault::Host,
            format!("the compiler's output: {}: {e}", out.display()),
        )),
        None => Err(failed(
            Fault::Plugin,
            "`go build` failed; it says why above".to_owned(),
        )),
    }
}
