//! Dependencies point down only.

use std::path::Path;

use super::Finding;
use crate::workspace::{Crate, Dep};

/// Crates of others that one crate of ours may use, and why it alone.
const KEPT: [(&str, &[&str], &str); 3] = [
    ("redb", &["cluster"], "metadata goes through cluster's MetaStore"),
    ("etcd-client", &["cluster"], "metadata goes through cluster's MetaStore"),
    ("socket2", &["door", "server"], "sockets are opened by door's listener"),
];

pub(super) fn check(crates: &[Crate]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for ours in crates {
        let manifest = ours.dir.join("Cargo.toml");
        let mut report = |text: String| findings.push(Finding::new(&manifest, 0, text));
        let Some(layer) = ours.layer else {
            report(
                "has no layer; add [package.metadata.entrepot] layer = N, see DESIGN's table in \
                    ARCHITECTURE.md"
                    .to_owned(),
            );
            continue;
        };
        for dep in &ours.deps {
            report_dep(ours, layer, dep, crates, &mut report);
        }
        report_folder(ours, &mut report);
    }
    findings
}

fn report_dep(
    ours: &Crate,
    layer: u64,
    dep: &Dep,
    crates: &[Crate],
    report: &mut impl FnMut(String),
) {
    let (name, on) = (&ours.name, &dep.name);
    // A crate's tests may switch on a feature of the crate itself.
    if dep.dev && name == on {
        return;
    }
    if name.starts_with("door-") && on.starts_with("door-") {
        report(format!("door {name} depends on door {on}; what both need belongs in `door`"));
        return;
    }
    if let Some(their_layer) = crates.iter().find(|c| dep.ours && c.name == *on).map(|c| c.layer)
        && their_layer.is_none_or(|their_layer| their_layer >= layer)
    {
        report(format!(
            "{name} (layer {layer}) depends on {on}, which is not below it; move what is needed \
             down, or the caller up"
        ));
    }
    for (kept, users, why) in KEPT {
        if on == kept && !users.contains(&name.as_str()) && !name.starts_with("door-") {
            report(format!("{name} depends on {kept}, kept to {users:?}: {why}"));
        }
    }
}

fn report_folder(ours: &Crate, report: &mut impl FnMut(String)) {
    if ours.dir.file_name() != Path::new(&ours.name).file_name() {
        report(format!(
            "crate {} lies in {}; name the folder after it",
            ours.name,
            ours.dir.display()
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ours(name: &str, layer: Option<u64>, deps: &[&str]) -> Crate {
        let dep = |name: &&str| Dep {
            name: (*name).to_owned(),
            dev: false,
            ours: !KEPT.iter().any(|(kept, ..)| kept == name),
        };
        Crate {
            name: name.to_owned(),
            dir: Path::new("crates").join(name),
            layer,
            deps: deps.iter().map(dep).collect(),
            targets: Vec::new(),
        }
    }

    fn found(crates: &[Crate]) -> String {
        check(crates).iter().map(|f| format!("{f}\n")).collect()
    }

    #[test]
    fn a_dependency_on_a_lower_layer_is_fine() {
        assert_eq!(found(&[ours("base", Some(0), &[]), ours("store", Some(2), &["base"])]), "");
    }

    #[test]
    fn a_dependency_upwards_or_sideways_is_found() {
        let (store, queue) = (ours("store", Some(2), &["queue"]), ours("queue", Some(3), &[]));
        assert!(found(&[store, queue]).contains("crates/store/Cargo.toml:0: store (layer 2)"));
        let (store, router) = (ours("store", Some(2), &["router"]), ours("router", Some(2), &[]));
        assert!(found(&[store, router]).contains("depends on router, which is not below"));
    }

    #[test]
    fn a_crate_whose_tests_use_a_feature_of_itself_is_fine() {
        let mut crates = [ours("store", Some(2), &["store"])];
        assert!(found(&crates).contains("store (layer 2) depends on store"));
        crates[0].deps[0].dev = true;
        assert_eq!(found(&crates), "");
    }

    #[test]
    fn a_crate_without_layer_is_found() {
        assert!(found(&[ours("store", None, &[])]).contains("has no layer"));
    }

    #[test]
    fn a_door_on_a_door_is_found_even_when_the_layers_allow_it() {
        let crates = [ours("door-a", Some(6), &[]), ours("door-b", Some(7), &["door-a"])];
        assert!(found(&crates).contains("door door-b depends on door door-a"));
    }

    #[test]
    fn a_kept_crate_is_found_elsewhere() {
        assert!(found(&[ours("store", Some(2), &["redb"])]).contains("store depends on redb"));
        assert_eq!(found(&[ours("cluster", Some(3), &["redb"])]), "");
        assert!(found(&[ours("broker", Some(4), &["socket2"])]).contains("kept to"));
    }

    #[test]
    fn a_folder_named_otherwise_is_found() {
        let moved = Crate { dir: "crates/other".into(), ..ours("store", Some(2), &[]) };
        assert!(found(&[moved]).contains("name the folder after it"));
    }
}
