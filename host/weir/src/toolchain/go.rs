//! Go: its own compiler makes a core module, the same from the same source everywhere.

use std::collections::BTreeMap;
use std::path::Path;

use weir_core::fault::Fault;

use super::failed;
use super::tool::{Tool, made, scratch};
use crate::error::Error;

/// What decides a Go module's bytes. Whatever else of it this machine's environment sets is taken away: the same
/// source and the same Go give the same module everywhere. The file of `go env -w` is not read, since an empty variable
/// would let it speak.
const ENVIRONMENT: [(&str, &str); 8] = [
    ("GOENV", "off"),
    ("GOFIPS140", "off"),
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
/// Where modules come from and lie: nothing of it is in the bytes, which go.sum holds, so it stays as the author set it.
const KEPT: [&str; 9] = [
    "GOAUTH",
    "GOINSECURE",
    "GOMODCACHE",
    "GONOPROXY",
    "GONOSUMDB",
    "GOPRIVATE",
    "GOPROXY",
    "GOSUMDB",
    "GOTOOLCHAIN",
];
const GET: &str = "install Go 1.26 or newer (https://go.dev/dl)";

/// The core module of the main package in a folder.
pub(super) fn compile(dir: &Path) -> Result<Vec<u8>, Error> {
    let scratch = scratch()?;
    let out = scratch.path().join("plugin.wasm");
    let kept = Tool::new(dir, "go", GET).args(["env", "-json"]).args(KEPT);
    let kept: BTreeMap<String, String> = serde_json::from_slice(&kept.output()?)
        .map_err(|e| failed(dir, Fault::Host, format!("what `go env` says: {e}")))?;
    let mut go = Tool::new(dir, "go", GET).args(BUILD);
    for (name, value) in &kept {
        go = go.env(name, value);
    }
    for (name, value) in ENVIRONMENT {
        go = go.env(name, value);
    }
    go.args(["-o".as_ref(), out.as_os_str(), ".".as_ref()])
        .run()?;
    made(dir, &out, "go build")
}
