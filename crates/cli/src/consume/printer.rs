//! Printing records as they come.

use std::io::{self, IsTerminal};

use serde_json::{Map, Value, json};
use store::batch::Record;

use crate::output::{Format, Output, printable, text_or_base64, time};

/// Prints records: only their values, or as rows of a table, or as JSON.
pub(crate) struct Printer {
    output: Output,
    format: Option<Format>,
    topic: String,
    heading_printed: bool,
    /// A terminal obeys control characters, so they are escaped there.
    for_terminal: bool,
    /// Records still wanted, if limited.
    left: Option<u64>,
}

impl Printer {
    pub(crate) fn new(topic: &str, format: Option<Format>, max: Option<u64>) -> Self {
        Self {
            output: Output::stdout(format.unwrap_or_default()),
            format,
            topic: topic.to_owned(),
            heading_printed: false,
            for_terminal: io::stdout().is_terminal(),
            left: max,
        }
    }

    /// Prints one record; none beyond the limit.
    pub(crate) fn print(&mut self, partition: i32, record: &Record) -> io::Result<()> {
        if let Some(left) = &mut self.left {
            if *left == 0 {
                return Ok(());
            }
            *left -= 1;
        }
        match self.format {
            None => self.value(record),
            Some(Format::Table) => self.row(partition, record),
            Some(Format::Json) => self.output.json(&as_json(&self.topic, partition, record)),
        }
    }

    pub(crate) fn flush(&mut self) -> io::Result<()> {
        self.output.flush()
    }

    fn value(&mut self, record: &Record) -> io::Result<()> {
        let value = record.value.as_deref().unwrap_or_default();
        match std::str::from_utf8(value) {
            Ok(text) if self.for_terminal => self.output.line(printable(text)),
            Err(_) if self.for_terminal => self.output.line(cell(Some(value))),
            _ => self.output.bytes(value),
        }
    }

    fn row(&mut self, partition: i32, record: &Record) -> io::Result<()> {
        if !self.heading_printed {
            self.heading_printed = true;
            self.output.line(columns("PARTITION", "OFFSET", "TIME", "KEY", "VALUE", "HEADERS"))?;
        }
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|header| format!("{}={}", cell(Some(&header.key)), cell(header.value.as_deref())))
            .collect();
        self.output.line(columns(
            &partition.to_string(),
            &record.offset.to_string(),
            &time(record.timestamp),
            &cell(record.key.as_deref()),
            &cell(record.value.as_deref()),
            &headers.join(" "),
        ))
    }
}

/// Widths that most rows fit; a stream cannot know those of rows to come.
fn columns(
    partition: &str,
    offset: &str,
    at: &str,
    key: &str,
    value: &str,
    headers: &str,
) -> String {
    let row = format!("{partition:<9}  {offset:<10}  {at:<24}  {key:<16}  {value:<32}  {headers}");
    row.trim_end().to_owned()
}

/// Text as it is, other bytes as base64, absence as a dash.
fn cell(bytes: Option<&[u8]>) -> String {
    match bytes.map(text_or_base64) {
        None => "-".to_owned(),
        Some(Ok(text)) => printable(text),
        Some(Err(base64)) => format!("base64:{base64}"),
    }
}

/// One record: text under `key` and `value`, other bytes under `key_base64` and `value_base64`,
/// absence as null.
pub(crate) fn as_json(topic: &str, partition: i32, record: &Record) -> Value {
    let mut object = Map::new();
    object.insert("topic".into(), json!(topic));
    object.insert("partition".into(), json!(partition));
    object.insert("offset".into(), json!(record.offset));
    object.insert("timestamp".into(), json!(record.timestamp));
    put(&mut object, "key", record.key.as_deref());
    put(&mut object, "value", record.value.as_deref());
    let headers = record.headers.iter().map(|header| {
        let mut object = Map::new();
        put(&mut object, "key", Some(&header.key));
        put(&mut object, "value", header.value.as_deref());
        Value::Object(object)
    });
    let headers: Vec<_> = headers.collect();
    object.insert("headers".into(), Value::Array(headers));
    Value::Object(object)
}

fn put(object: &mut Map<String, Value>, name: &str, bytes: Option<&[u8]>) {
    match bytes.map(text_or_base64) {
        None => object.insert(name.to_owned(), Value::Null),
        Some(Ok(text)) => object.insert(name.to_owned(), json!(text)),
        Some(Err(base64)) => object.insert(format!("{name}_base64"), json!(base64)),
    };
}

#[cfg(test)]
mod tests;
