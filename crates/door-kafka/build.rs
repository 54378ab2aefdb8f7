//! Writes the Rust types of the Kafka messages from `schema/*.schema` into `OUT_DIR`.
//! The notation is described in `schema/README.md`.

use std::{env, fs, path::Path};

#[path = "build/code.rs"]
mod code;
#[path = "build/expr.rs"]
mod expr;
#[path = "build/parse.rs"]
mod parse;
#[path = "build/schema.rs"]
mod schema;
#[path = "build/types.rs"]
mod types;

fn main() -> Result<(), String> {
    println!("cargo::rerun-if-changed=schema");
    println!("cargo::rerun-if-changed=build");
    let mut paths = Vec::new();
    for entry in fs::read_dir("schema").map_err(|error| format!("schema: {error}"))? {
        let path = entry.map_err(|error| format!("schema: {error}"))?.path();
        if path.extension().is_some_and(|extension| extension == "schema") {
            paths.push(path);
        }
    }
    // The order of a directory is the file system's; the output must not depend on it.
    paths.sort();
    let mut messages = Vec::new();
    for path in &paths {
        let text = fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))?;
        let parsed = parse::file(&text).map_err(|e| format!("{}: {e}", path.display()))?;
        messages.extend(parsed);
    }
    let out = env::var("OUT_DIR").map_err(|error| format!("OUT_DIR: {error}"))?;
    let text = code::messages(&messages)?;
    fs::write(Path::new(&out).join("messages.rs"), text).map_err(|e| format!("messages.rs: {e}"))
}
