//! `docs/rules.md`: a section for each rule, made of the rules and of the table in `docs/diagnosis.md`.

use std::fmt::Write as _;

use super::{RULES, Rule, rules};
use crate::events::Severity;
use crate::state::{NodeId, NodeKind};

const TABLE: &str = include_str!("../../../../docs/diagnosis.md");

const HEAD: &str = "# Rules

Each rule of the [diagnosis](diagnosis.md) with where what it finds comes from, most of the time, and what to do. Written by
`ENTREPOT_UPDATE_DOCS=1 cargo test -p observe the_page_has_a_section_for_each_rule`.
";

/// When it is found, as the table has it.
fn found_when(rule: &Rule) -> &'static str {
    let row = TABLE.lines().find_map(|line| line.strip_prefix(&format!("| {} | ", rule.id)));
    let (_, when) = row.and_then(|row| row.split_once(" | ")).unwrap_or_default();
    when.strip_suffix(" |").unwrap_or_else(|| panic!("{} is not in the table", rule.id))
}

/// The rules of which this is true.
fn those(is: impl Fn(&Rule) -> bool) -> String {
    let ids = RULES.iter().filter(|rule| is(rule)).map(|rule| rule.id);
    let links = ids.map(|id| format!("[{id}](#{})", id.to_lowercase()));
    links.collect::<Vec<_>>().join(", ")
}

fn seconds(count: u64) -> String {
    match count {
        0 => "at once".to_owned(),
        count => format!("when it was found for {count} s"),
    }
}

fn section(rule: &Rule) -> String {
    let same = NodeId::new(NodeKind::Broker, "0");
    let explains = |cause: &Rule, of: &Rule| rules::explains((cause.id, &same), (of.id, &same));
    let severity = if rule.severity == Severity::Error { "Error" } else { "Warning" };
    let (opens, closes) = rule.holds;
    let mut text = format!(
        "\n## {}\n\n**{}.** {severity}; an incident {}, and over when it was not found for {closes} s.\n\n\
         - *Found when*: {}.\n- *Cause*: {}\n- *What to do*: {}\n",
        rule.id,
        rule.title,
        seconds(opens),
        found_when(rule),
        rule.cause,
        rule.remedy,
    );
    for (what, of) in [
        ("Explains, where both are found", those(|other| explains(rule, other))),
        ("May come of", those(|other| explains(other, rule))),
    ] {
        if !of.is_empty() {
            writeln!(text, "- *{what}*: {of}").expect("a string takes it");
        }
    }
    text
}

#[test]
fn the_page_has_a_section_for_each_rule() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/rules.md");
    let wanted: String =
        std::iter::once(HEAD.to_owned()).chain(RULES.iter().map(section)).collect();
    if std::env::var_os("ENTREPOT_UPDATE_DOCS").is_some() {
        std::fs::write(path, &wanted).expect("the folder is writable");
    }
    let page = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        page == wanted,
        "docs/rules.md is not what the rules say; run\n\
         ENTREPOT_UPDATE_DOCS=1 cargo test -p observe the_page_has_a_section_for_each_rule"
    );
}
