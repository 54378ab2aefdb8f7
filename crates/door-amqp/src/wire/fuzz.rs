//! Every decoder of this door, for fuzzing. Only there with the cargo feature `fuzzing`.

use super::frame::{self, Frame, Kind, Parsed};
use super::method::Method;
use super::properties::{ContentHeader, Properties};
use super::table::{Array, Table, Value};

/// Largest frame here: smaller than real ones, so that inputs reach it.
const FRAME_MAX: u32 = 8192;

/// Reads bytes as frames with all that is in them. What can be read is written and read again.
///
/// # Panics
/// When what is asked for is there already, or something written is not read as the same.
pub fn frames(bytes: &[u8]) {
    let mut rest = bytes;
    loop {
        match frame::parse(rest, FRAME_MAX) {
            Ok(Parsed::Frame(frame, used)) => {
                assert_eq!(used, frame.payload.len() + frame::OVERHEAD, "all of it");
                read(&frame);
                rest = &rest[used..];
            }
            Ok(Parsed::More(wanted)) => {
                assert!(wanted > rest.len(), "{wanted} bytes are there");
                return;
            }
            Err(bad) => {
                let _ = bad.error.to_string();
                return;
            }
        }
    }
}

fn read(frame: &Frame<'_>) {
    match frame.kind {
        Kind::Method => {
            let Ok(method) = Method::decode(frame.payload) else { return };
            let mut out = Vec::new();
            method.put_frame(frame.channel, &mut out);
            let again = frame::parse(&out, u32::MAX);
            let same = matches!(again, Ok(Parsed::Frame(again, _))
                if Method::decode(again.payload) == Ok(method));
            assert!(same, "{} was written and is not read as the same", method.name());
        }
        Kind::Header => {
            let Ok(header) = ContentHeader::decode(frame.payload) else { return };
            let Ok(properties) = Properties::decode(header.properties) else { return };
            if let Some(headers) = properties.headers {
                walk(headers);
            }
            let mut out = Vec::new();
            properties.encode(&mut out);
            assert_eq!(out, header.properties_or_none(), "other properties");
        }
        Kind::Body | Kind::Heartbeat => {}
    }
}

impl ContentHeader<'_> {
    /// The properties, or that there are none.
    fn properties_or_none(&self) -> &[u8] {
        if self.properties.is_empty() { &[0, 0] } else { self.properties }
    }
}

/// Looks at all that is in a table; a table of the same values is the same, but for the letter of one type.
fn walk(table: Table<'_>) {
    let mut entries = 0;
    for (_, value) in table.entries() {
        entries += 1;
        look(&value);
    }
    assert!(entries > 0 || table.is_empty(), "an entry cannot be read");
}

fn look(value: &Value<'_>) {
    let _ = (value.integer(), value.string());
    match value {
        Value::Table(table) => walk(*table),
        Value::Array(array) => all(*array),
        _ => {}
    }
}

fn all(array: Array<'_>) {
    array.values().for_each(|value| look(&value));
}
