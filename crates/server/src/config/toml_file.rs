//! Our own file format: TOML, one table for each section of keys.

use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::keys::{self, Key};
use super::origin::{ConfigError, Origin};
use super::sources::{Collected, Given, push};

/// Reads a file of this format.
pub(crate) fn read(path: &Path, bytes: &[u8], out: &mut Collected) {
    let origin = |line| Origin::File { path: path.to_owned(), line };
    let text = match std::str::from_utf8(bytes) {
        Ok(text) => text,
        Err(error) => {
            let line = line_of(bytes, error.valid_up_to());
            let what = "is not UTF-8, as TOML must be".to_owned();
            return out.errors.push(ConfigError::Syntax { origin: origin(line), what });
        }
    };
    let table = match DeTable::parse(text) {
        Ok(table) => table,
        Err(error) => {
            let line = error.span().map_or(1, |span| line_of(bytes, span.start));
            let what = error.message().to_owned();
            return out.errors.push(ConfigError::Syntax { origin: origin(line), what });
        }
    };
    let mut flat = Vec::new();
    flatten("", table.get_ref(), &mut flat);
    for (key, value, at) in flat {
        push(Given { key, value, origin: origin(line_of(bytes, at)) }, out);
    }
}

/// Every leaf as (dotted key, value as text, position in the file).
fn flatten(prefix: &str, table: &DeTable<'_>, out: &mut Vec<(String, String, usize)>) {
    for (name, value) in table {
        let key = if prefix.is_empty() {
            name.get_ref().to_string()
        } else {
            format!("{prefix}.{}", name.get_ref())
        };
        match value.get_ref() {
            DeValue::Table(inner) => flatten(&key, inner, out),
            leaf => {
                let separator = keys::find(&key).map_or(",", Key::separator);
                out.push((key, text_of(leaf, separator), name.span().start));
            }
        }
    }
}

fn text_of(value: &DeValue<'_>, separator: &str) -> String {
    match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) => integer(number.as_str(), number.radix()),
        DeValue::Float(number) => number.as_str().to_owned(),
        DeValue::Boolean(yes) => yes.to_string(),
        DeValue::Datetime(time) => time.to_string(),
        DeValue::Array(items) => {
            let items = items.iter().map(|item| text_of(item.get_ref(), separator));
            items.collect::<Vec<_>>().join(separator)
        }
        // Only reached inside an array, where no key of ours has a table: refused by its key.
        DeValue::Table(_) => "{…}".to_owned(),
    }
}

/// TOML also writes integers as 0x…, 0o… and 0b…; the parser gives their digits.
fn integer(digits: &str, radix: u32) -> String {
    match i64::from_str_radix(digits, radix) {
        Ok(number) => number.to_string(),
        Err(_) => digits.to_owned(),
    }
}

fn line_of(bytes: &[u8], at: usize) -> usize {
    bytes[..at.min(bytes.len())].iter().filter(|byte| **byte == b'\n').count() + 1
}
