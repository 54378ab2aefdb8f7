//! The loads.

use super::load::Load;
use super::wire::Method;

/// Bytes of a value, as it is called.
const SIZES: [(usize, &str); 2] = [(16, "16"), (1024, "1k")];

/// Clients, and how many requests of each are on their way. RFC 7252 §4.7 has one, unless a client knows better.
const CROWDS: [(usize, usize); 3] = [(1, 1), (1, 16), (100, 1)];

/// One load.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    /// What it does, for the page.
    pub(super) what: String,
    pub(super) load: Load,
}

/// All of them.
pub(super) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for method in [Method::Get, Method::Put] {
        for (size, size_name) in SIZES {
            for (clients, window) in CROWDS {
                let crowd = match (clients, window) {
                    (1, 1) => "one client, one at a time".to_owned(),
                    (1, window) => format!("one client, {window} on their way"),
                    (clients, _) => format!("{clients} clients, one at a time each"),
                };
                let short = match window {
                    1 => clients.to_string(),
                    window => format!("{clients}-{window}"),
                };
                let name = format!("{}-{size_name}-{short}", method.name().to_lowercase());
                let what = format!("{}, {size} B, {crowd}", method.name());
                cases.push(Case { name, what, load: Load { method, size, clients, window } });
            }
        }
    }
    cases
}
