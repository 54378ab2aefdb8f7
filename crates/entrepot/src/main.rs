//! The `entrepot` program.
fn main() {}
