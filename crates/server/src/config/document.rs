//! The tables of `docs/configuration.md`, made from the tables of the code.

use std::fmt::Write;

use super::kafka_keys::{Check, Convert, KAFKA_KEYS, KafkaKey, Meaning};
use super::keys::KEYS;

/// Our keys, as a Markdown table for each section.
pub fn keys_table() -> String {
    let mut text = String::new();
    let mut section = "";
    for key in KEYS {
        let this = key.name.split('.').next().unwrap_or_default();
        if this != section {
            section = this;
            let _ = write!(
                text,
                "\n### `[{section}]`\n\n| key | default | allowed | meaning |\n|---|---|---|---|\n"
            );
        }
        let default =
            if key.default.is_empty() { "-".into() } else { format!("`{}`", key.default) };
        let _ = writeln!(
            text,
            "| `{}` | {default} | {} | {} |",
            key.name,
            cell(&key.allowed()),
            cell(key.doc)
        );
    }
    text
}

/// The keys of `server.properties`, as one Markdown table.
pub fn kafka_table() -> String {
    let mut text = String::from("| key | allowed | here |\n|---|---|---|\n");
    for row in KAFKA_KEYS {
        let name =
            if row.name.ends_with('.') { format!("{}*", row.name) } else { row.name.to_owned() };
        let (allowed, mut here) = describe(row);
        if broker::settings::BrokerKey::find(row.name).is_some() {
            here.push_str("; can be changed while the broker runs");
        }
        let _ = writeln!(text, "| `{name}` | {} | {} |", cell(&allowed), cell(&here));
    }
    text
}

fn describe(row: &KafkaKey) -> (String, String) {
    match &row.meaning {
        Meaning::Sets(ours, convert) => {
            let allowed = row.target().map(|key| key.allowed()).unwrap_or_default();
            let (allowed, how) = match convert {
                Convert::Same => (allowed, String::new()),
                Convert::Words(_) => (convert.words(), String::new()),
                Convert::Times(factor) => (
                    "a whole number from 1 up; -1 where there may be no limit".to_owned(),
                    format!(", times {factor}"),
                ),
                Convert::Rate => (
                    "a number".to_owned(),
                    ", as a whole number; more than 2^63 is no limit".to_owned(),
                ),
                Convert::AtMost(most) => {
                    (allowed, format!(", at most {most} (more is lowered, and named at start)"))
                }
                Convert::ZeroIsNone => (allowed, "; 0 means none".to_owned()),
                Convert::FileUrl => ("a `file:` URL".to_owned(), String::new()),
                Convert::Users => (
                    "a login module's line".to_owned(),
                    " from `user_NAME=\"PASSWORD\"`".to_owned(),
                ),
            };
            (allowed, format!("sets `{ours}`{how}"))
        }
        Meaning::Takes(_, what) => ("see right".to_owned(), (*what).to_owned()),
        Meaning::Nothing(check, why) => {
            let allowed = match check {
                Check::Text => "any".to_owned(),
                other => other.allowed(),
            };
            (allowed, format!("no effect: {why}"))
        }
        Meaning::Refused(unless, why) => {
            let harmless: Vec<_> = unless
                .iter()
                .map(|value| if value.is_empty() { "empty".into() } else { format!("`{value}`") })
                .collect();
            let allowed =
                if harmless.is_empty() { "nothing".to_owned() } else { harmless.join(", ") };
            (allowed, format!("refused, not supported yet: {why}"))
        }
    }
}

fn cell(text: &str) -> String {
    text.replace('|', "\\|")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The page with the text between two markers replaced.
    fn with_section(page: &str, name: &str, section: &str) -> String {
        let (begin, end) = (format!("<!-- {name}: begin -->\n"), format!("<!-- {name}: end -->"));
        let (before, rest) = page.split_once(&begin).unwrap_or_else(|| panic!("no {begin}"));
        let (_, after) = rest.split_once(&end).unwrap_or_else(|| panic!("no {end}"));
        format!("{before}{begin}{section}\n{end}{after}")
    }

    #[test]
    fn the_page_has_the_tables_of_the_code() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/configuration.md");
        let page = std::fs::read_to_string(path).unwrap();
        let wanted = with_section(&page, "keys", &keys_table());
        let wanted = with_section(&wanted, "server.properties", &kafka_table());
        if std::env::var_os("ENTREPOT_UPDATE_DOCS").is_some() {
            std::fs::write(path, &wanted).unwrap();
        } else {
            assert!(
                page == wanted,
                "docs/configuration.md is not what the tables say; run\n\
                 ENTREPOT_UPDATE_DOCS=1 cargo test -p server the_page_has_the_tables"
            );
        }
    }
}
