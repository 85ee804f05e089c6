//! A program that gives the objects on its stdin a label: what a plugin in Rust is held against in the benchmark.

use std::io;

use anyhow::{Context as _, Result};
use serde_json::Value;

fn main() -> Result<()> {
    let mut objects: Vec<Value> = serde_json::from_reader(io::stdin().lock())?;
    for object in &mut objects {
        let labels = object
            .pointer_mut("/metadata/labels")
            .and_then(Value::as_object_mut);
        labels
            .context("an object without labels")?
            .insert("team".to_owned(), "red".into());
    }
    Ok(serde_json::to_writer(io::stdout().lock(), &objects)?)
}
