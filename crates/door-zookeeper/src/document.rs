//! The tables of `docs/doors/zookeeper.md`, made from the tables of the code and from the tree that
//! it makes; a test compares them. Others try whether what they say is so.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::sync::Arc;

use base::Principal;
use broker::access::{Effect, Operation, Pattern, ResourceKind, Rule, Rules};
use broker::metadata::Metadata;
use serde_json::Value;

use crate::map;
use crate::testing::{World, ask, metadata, record, topic};
use crate::tree::{Body, Tree};
use crate::wire::code::Code;
use crate::wire::op::{self, OPERATIONS};
use crate::words::{ANSWERED, REFUSED, Word};

/// What users should know of a path that shows metadata. Letters alone stand for names and
/// numbers. Paths that are not here have nothing to be said of.
const PATHS: &[(&str, &str)] = &[
    (
        "/brokers/ids/N",
        "a broker; `host` and `port` are those of its first `PLAINTEXT` listener, else null and -1. `rack` if set, `jmx_port` -1",
    ),
    ("/brokers/topics/T", "a topic: each partition with its owner as the only replica"),
    (
        "/brokers/topics/T/partitions/P/state",
        "leader and `isr` are the owner, the controller's epoch is 1",
    ),
    ("/config/topics/T", "what was set on the topic"),
    ("/controller", "the broker that answers for administration"),
    ("/controller_epoch", "1, always"),
    ("/cluster/id", "the cluster's id; the version is a text"),
    ("/feature", "no features"),
    ("/kafka-acl/K/R", "the access rules of one resource of the kind K, or of all (`*`)"),
    (
        "/kafka-acl-extended/prefixed/K/R",
        "those of all resources of the kind K whose names begin so",
    ),
    ("/kafka-acl-changes/C", "that rules have changed: `TOPIC:orders`"),
    ("/kafka-acl-extended-changes/C", "the same, of prefixes"),
];

/// A picture that shows something at every path, and the tree after a change of rules.
fn tree() -> Tree {
    let mut tree = Tree::default();
    tree.begin(10, 1);
    let old = metadata(10, &[topic("T", 1, 1)]);
    map::apply(&mut tree, None, &old, 1);
    let rule = |kind: ResourceKind, pattern: Pattern| Rule {
        kind,
        pattern,
        principal: Principal::user("alice"),
        host: None,
        operation: Operation::Read,
        effect: Effect::Allow,
    };
    let rules = [
        rule(ResourceKind::Topic, Pattern::Literal("R".into())),
        rule(ResourceKind::Topic, Pattern::Prefix("R".into())),
    ];
    let access = Arc::new(rules.into_iter().collect::<Rules>());
    map::apply(&mut tree, Some(&old), &Metadata { access, ..old.clone() }, 1);
    tree
}

/// A path with letters for what differs from cluster to cluster.
fn general(path: &str) -> String {
    let parts: Vec<_> = path.split('/').collect();
    let general = |(at, part): (usize, &&str)| match parts[..at].join("/").as_str() {
        "/brokers/ids" => "N".to_owned(),
        "/brokers/topics/T/partitions" => "P".to_owned(),
        "/kafka-acl" | "/kafka-acl-extended/prefixed" => "K".to_owned(),
        "/kafka-acl-changes" | "/kafka-acl-extended-changes" => "C".to_owned(),
        _ => (*part).to_owned(),
    };
    parts.iter().enumerate().map(general).collect::<Vec<_>>().join("/")
}

/// The version that a node's data has, and its fields.
fn layout(body: &Body) -> (String, String) {
    let data = body.data.as_deref().unwrap_or_default();
    let Ok(Value::Object(fields)) = serde_json::from_slice(data) else {
        return ("-".into(), "-".into());
    };
    let version = fields.get("version").map_or("-".into(), |v| v.to_string().replace('"', ""));
    let names = fields.keys().filter(|name| *name != "version").map(|name| format!("`{name}`"));
    let mut names: Vec<_> = names.collect();
    names.sort();
    (version, names.join(", "))
}

fn paths_table() -> String {
    let mut text = "| path | version | fields | what it says |\n|---|---|---|---|\n".to_owned();
    let mut notes: BTreeMap<_, _> = PATHS.iter().copied().collect();
    let mut seen = BTreeSet::new();
    let mut plain = Vec::new();
    for (path, body) in tree().shown_from("/") {
        let path = general(path);
        if !seen.insert(path.clone()) {
            continue;
        }
        let Some(note) = notes.remove(path.as_str()) else {
            plain.push(format!("`{path}`"));
            continue;
        };
        let (version, fields) = layout(body);
        let note = if body.is_ephemeral() { format!("{note}. Ephemeral") } else { note.into() };
        let _ = writeln!(text, "| `{path}` | {version} | {fields} | {note} |");
    }
    assert!(notes.is_empty(), "not in the tree: {notes:?}");
    let _ = writeln!(text, "\nNothing, or a place for what is below: {}.", plain.join(", "));
    text
}

fn operations_table() -> String {
    let mut text =
        "| code | operation | since ZooKeeper | answer | notes |\n|---|---|---|---|---|\n"
            .to_owned();
    for operation in OPERATIONS {
        let op::Operation { code, name, since, refused, notes, .. } = *operation;
        let answer = if refused.is_empty() { "as ZooKeeper" } else { refused };
        let _ = writeln!(text, "| {code} | `{name}` | {since} | {answer} | {notes} |");
    }
    text
}

fn words_table() -> String {
    let mut text = "| word | answer |\n|---|---|\n".to_owned();
    for (_, word, notes) in ANSWERED {
        let _ = writeln!(text, "| `{word}` | {notes} |");
    }
    let refused = REFUSED.map(|word| format!("`{word}`")).join(", ");
    let _ =
        writeln!(text, "| {refused} | `... is not executed because it is not in the whitelist.` |");
    text
}

/// The page with the text between two markers replaced.
fn with_section(page: &str, name: &str, section: &str) -> String {
    let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
    let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("no {begin}"));
    let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
    format!("{before}{begin}\n{section}\n{end}{after}")
}

#[test]
fn the_page_has_the_tables_of_the_code() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/doors/zookeeper.md");
    let page = std::fs::read_to_string(path).unwrap();
    let wanted = with_section(&page, "paths", &paths_table());
    let wanted = with_section(&wanted, "operations", &operations_table());
    let wanted = with_section(&wanted, "words", &words_table());
    if std::env::var_os("ENTREPOT_UPDATE_DOCS").is_some() {
        std::fs::write(path, &wanted).unwrap();
    } else {
        assert!(
            page == wanted,
            "docs/doors/zookeeper.md is not what the tables say; run\n\
             ENTREPOT_UPDATE_DOCS=1 cargo test -p door-zookeeper the_page_has_the_tables"
        );
    }
}

#[tokio::test]
async fn what_is_refused_is_what_the_table_says() {
    // The answer to a ping has a number of its own.
    for operation in OPERATIONS.iter().filter(|operation| operation.code != op::PING) {
        let world = World::new(&[]);
        let member = world.client().await;
        // What creates a node that is to end by itself.
        let body = match operation.code {
            op::CREATE_TTL => record()
                .text("/a")
                .int(-1)
                .int(1)
                .int(31)
                .text("world")
                .text("anyone")
                .int(5)
                .long(1000),
            _ => record(),
        };
        let (_, error, _) = ask(&member, operation.code, body).await;
        let named = [Code::Unimplemented, Code::ReconfigDisabled, Code::AuthFailed]
            .into_iter()
            .find(|code| code.number() == error);
        let said = named.map_or(String::new(), |code| format!("`{code:?}`"));
        let Some(rest) = operation.refused.strip_prefix(&said) else {
            panic!("{}: {said}, not {}", operation.name, operation.refused);
        };
        assert_eq!(
            said.is_empty(),
            rest.is_empty() && operation.refused.is_empty(),
            "{}",
            operation.name
        );
    }
    // A code that nobody has.
    let world = World::new(&[]);
    let member = world.client().await;
    let (_, error, _) = ask(&member, 20, record()).await;
    assert_eq!(error, Code::Unimplemented.number());
    assert!(OPERATIONS.iter().all(|operation| operation.code != 20));
}

#[test]
fn every_word_is_known_for_what_the_table_says() {
    let parse = |word: &str| Word::parse(word.as_bytes().try_into().unwrap());
    for (word, text, _) in ANSWERED {
        assert_eq!(parse(text), Some(*word));
    }
    for word in REFUSED {
        assert_eq!(parse(word), Some(Word::Refused(word)));
    }
    assert_eq!(parse("what"), None);
}
