//! `cargo xtask graph`: the crate graph in ARCHITECTURE.md, so that the picture cannot lie.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use crate::Failure;
use crate::workspace::{self, Crate};

const PAGE: &str = "ARCHITECTURE.md";
const BEGIN: &str = "<!-- crate graph: begin, written by `cargo xtask graph` -->";
const END: &str = "<!-- crate graph: end -->";

/// Writes the graph between its marks.
///
/// # Errors
/// When the page cannot be read or written, or has no marks.
pub(crate) fn write(root: &Path) -> Result<(), Failure> {
    let path = root.join(PAGE);
    let page = if path.exists() {
        std::fs::read_to_string(&path).map_err(|e| format!("{PAGE}: {e}"))?
    } else {
        format!("# Architecture\n\n{BEGIN}\n{END}\n")
    };
    let fresh = replace(&page, &render(&workspace::crates(root)?))?;
    std::fs::write(&path, fresh).map_err(|e| format!("{PAGE}: {e}"))
}

/// Fails when the page's graph is not the workspace's.
///
/// # Errors
/// When it is stale, or as [`fn@write`].
pub(crate) fn check(root: &Path) -> Result<(), Failure> {
    let page = std::fs::read_to_string(root.join(PAGE)).map_err(|e| format!("{PAGE}: {e}"))?;
    if replace(&page, &render(&workspace::crates(root)?))? == page {
        return Ok(());
    }
    Err(format!("the crate graph in {PAGE} is stale; run `cargo xtask graph` and commit it"))
}

fn replace(page: &str, graph: &str) -> Result<String, Failure> {
    let marks =
        || format!("{PAGE}: the marks are missing; put these two lines in:\n{BEGIN}\n{END}");
    let (head, rest) = page.split_once(BEGIN).ok_or_else(marks)?;
    let (_, tail) = rest.split_once(END).ok_or_else(marks)?;
    Ok(format!("{head}{BEGIN}\n{graph}{END}{tail}"))
}

/// The graph as Mermaid, one box a layer, the lowest at the bottom. An edge that follows from
/// others is left out: it would say nothing new and hide what does.
fn render(crates: &[Crate]) -> String {
    let edges = edges(crates);
    let mut layers: BTreeMap<u64, Vec<&str>> = BTreeMap::new();
    for ours in crates.iter().filter(|c| c.dir.starts_with("crates")) {
        layers.entry(ours.layer.unwrap_or(u64::MAX)).or_default().push(&ours.name);
    }
    let mut out = String::from("```mermaid\ngraph TD\n");
    for (layer, names) in layers.iter().rev() {
        // Writing into a String cannot fail.
        let _ = writeln!(out, "  subgraph layer{layer} [layer {layer}]");
        for name in names {
            let _ = writeln!(out, "    {name}");
        }
        out.push_str("  end\n");
    }
    for (from, targets) in &edges {
        for to in direct(from, targets, &edges) {
            let _ = writeln!(out, "  {from} --> {to}");
        }
    }
    out.push_str("```\n");
    out
}

type Edges<'a> = BTreeMap<&'a str, BTreeSet<&'a str>>;

fn edges(crates: &[Crate]) -> Edges<'_> {
    let shipped = crates.iter().filter(|c| c.dir.starts_with("crates"));
    shipped
        .map(|ours| {
            let deps = ours.deps.iter().filter(|dep| dep.ours && !dep.dev);
            (ours.name.as_str(), deps.map(|dep| dep.name.as_str()).collect())
        })
        .collect()
}

/// The targets that no other target reaches.
fn direct<'a>(from: &str, targets: &BTreeSet<&'a str>, edges: &Edges<'a>) -> Vec<&'a str> {
    let follows = |to: &str| {
        let mut others = targets.iter().filter(|other| **other != to && **other != from);
        others.any(|other| reaches(other, to, edges))
    };
    targets.iter().filter(|to| !follows(to)).copied().collect()
}

fn reaches(from: &str, to: &str, edges: &Edges<'_>) -> bool {
    edges.get(from).is_some_and(|next| next.iter().any(|n| *n == to || reaches(n, to, edges)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::workspace::Dep;

    fn ours(name: &str, layer: u64, deps: &[&str]) -> Crate {
        let dep = |name: &&str| Dep { name: (*name).to_owned(), dev: false, ours: true };
        Crate {
            name: name.to_owned(),
            dir: Path::new("crates").join(name),
            layer: Some(layer),
            deps: deps.iter().map(dep).collect(),
            targets: Vec::new(),
        }
    }

    #[test]
    fn an_edge_that_follows_from_others_is_left_out() {
        let crates = [
            ours("base", 0, &[]),
            ours("store", 2, &["base"]),
            ours("broker", 4, &["base", "store"]),
        ];
        let graph = render(&crates);
        assert!(graph.contains("  broker --> store\n  store --> base\n"), "{graph}");
        assert!(!graph.contains("broker --> base"), "{graph}");
        assert!(graph.contains("  subgraph layer4 [layer 4]\n    broker\n  end\n"), "{graph}");
    }

    #[test]
    fn the_graph_goes_between_the_marks_and_a_changed_crate_makes_it_stale() {
        let page = format!("# A\n\n{BEGIN}\nold\n{END}\ntail\n");
        let one = replace(&page, &render(&[ours("base", 0, &[])])).expect("has marks");
        assert!(one.starts_with("# A\n") && one.ends_with(&format!("{END}\ntail\n")), "{one}");
        assert!(!one.contains("old"));
        let same = replace(&one, &render(&[ours("base", 0, &[])])).expect("has marks");
        assert_eq!(same, one);
        let moved = replace(&one, &render(&[ours("base", 1, &[])])).expect("has marks");
        assert_ne!(moved, one);
        assert!(replace("# no marks\n", "").is_err());
    }
}
