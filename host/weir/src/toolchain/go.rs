//! Go: its own compiler makes a core module, the same from the same source everywhere.

use std::path::Path;

use super::tool::{Tool, made, scratch};
use crate::error::Error;

/// What decides a Go module's bytes. Whatever else of it this machine's environment sets is taken away: the same
/// source and the same Go give the same module everywhere.
const ENVIRONMENT: [(&str, &str); 6] = [
    ("GOOS", "wasip1"),
    ("GOARCH", "wasm"),
    ("GOFLAGS", "-mod=readonly"),
    ("GOWORK", "off"),
    ("GOEXPERIMENT", ""),
    ("GOWASM", ""),
];
/// A reactor, without paths of this machine, version control stamps, symbols and debug information.
const BUILD: [&str; 5] = [
    "build",
    "-trimpath",
    "-buildvcs=false",
    "-buildmode=c-shared",
    "-ldflags=-s -w -buildid=",
];
const GET: &str = "install Go 1.26 or newer (https://go.dev/dl)";

/// The core module of the main package in a folder.
pub(super) fn compile(dir: &Path) -> Result<Vec<u8>, Error> {
    let scratch = scratch()?;
    let out = scratch.path().join("plugin.wasm");
    let mut go = Tool::new(dir, "go", GET).args(BUILD);
    for (name, value) in ENVIRONMENT {
        go = go.env(name, value);
    }
    go.args(["-o".as_ref(), out.as_os_str(), ".".as_ref()])
        .run()?;
    made(dir, &out, "go build")
}
