//! What the guests share: documents to return and ways to try what a plugin must not have.
//!
//! Each guest is a component in `examples/` that tries one thing; `guests.txt` lists them.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::net::TcpStream;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use serde_json::json;
use weir_plugin::{Document, Tree};

/// A document with this body, from no file in particular.
pub fn document(body: &[u8]) -> Document {
    Document {
        origin: "guest.yaml".into(),
        body: body.to_vec(),
    }
}

/// A ConfigMap that carries what a guest saw.
pub fn config_map(name: &str, saw: &str) -> Document {
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"saw": saw}});
    document(object.to_string().as_bytes())
}

/// The wall clock in nanoseconds, and whether the monotonic clock moves on.
pub fn clocks() -> String {
    let start = Instant::now();
    let wall = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let again = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_nanos());
    let (first, second) = (start.elapsed().as_nanos(), start.elapsed().as_nanos());
    format!("wall {wall} {again} monotonic {first} {second}")
}

/// A hash under the seed of std's hash maps: the same seed gives the same number.
pub fn seed() -> String {
    RandomState::new().hash_one("weir").to_string()
}

/// Real random bytes, or why there are none.
#[cfg(target_arch = "wasm32")]
pub fn random() -> String {
    let mut bytes = [0_u8; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => format!("{bytes:?}"),
        Err(error) => format!("refused: {error}"),
    }
}

/// The guests run as components only; natively there is nothing to try.
#[cfg(not(target_arch = "wasm32"))]
pub fn random() -> String {
    "not a component".into()
}

/// What came of opening a connection.
pub fn network() -> String {
    match TcpStream::connect("127.0.0.1:80") {
        Ok(_) => "connected".into(),
        Err(error) => format!("refused: {error}"),
    }
}

/// The environment, the arguments and the files of the root that a plugin saw.
pub fn environment() -> String {
    let variables: Vec<_> = std::env::vars_os().collect();
    let arguments: Vec<_> = std::env::args_os().collect();
    let files = std::fs::read_dir("/").map_or_else(
        |error| format!("refused: {error}"),
        |dir| dir.count().to_string(),
    );
    let written = std::fs::write("/weir-guest", "x")
        .map_or_else(|error| format!("refused: {error}"), |()| "written".into());
    format!("variables {variables:?} arguments {arguments:?} files {files} write {written}")
}

/// What reading and listing each path gave, one line each.
pub fn paths(tree: &dyn Tree, paths: &[String]) -> String {
    let mut lines = Vec::new();
    for path in paths {
        let read = tree.read(path).map(|bytes| bytes.len());
        let listed = tree.entries(path).map(|entries| entries.len());
        lines.push(format!("{path}: read {read:?} entries {listed:?}"));
    }
    lines.join("\n")
}
