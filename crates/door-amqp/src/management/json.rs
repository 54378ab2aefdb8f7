//! Tables of arguments and headers, as JSON and from it.
//!
//! JSON knows fewer types: whole numbers become 64 bits wide, others floating point; bytes that are not UTF-8 are shown
//! with replacements. What comes back from such a table is therefore not always what it was.

use serde_json::{Map, Number, Value as Json};

use crate::wire::table::{ArrayBuf, Table, TableBuf, Value};

/// A table as JSON.
pub(super) fn of_table(table: Table<'_>) -> Json {
    let entries = table.entries();
    let entries = entries.map(|(name, value)| (super::text(name), of_value(&value)));
    Json::Object(entries.collect())
}

/// A table that was kept as it came.
pub(super) fn of_arguments(bytes: &[u8]) -> Json {
    of_table(Table::new(bytes).unwrap_or_default())
}

fn of_value(value: &Value<'_>) -> Json {
    // What JSON has no number for is nothing.
    let float = |number: f64| Number::from_f64(number).map_or(Json::Null, Json::Number);
    match value {
        Value::Void => Json::Null,
        Value::Bool(is) => Json::Bool(*is),
        Value::F32(number) => float((*number).into()),
        Value::F64(number) => float(*number),
        Value::Decimal { scale, digits } => {
            float(f64::from(*digits) / 10_f64.powi(i32::from(*scale)))
        }
        Value::Timestamp(seconds) => Json::from(*seconds),
        Value::String(bytes) | Value::Bytes(bytes) => Json::String(super::text(bytes)),
        Value::Array(array) => Json::Array(array.values().map(|value| of_value(&value)).collect()),
        Value::Table(table) => of_table(*table),
        integer => Json::from(integer.integer().unwrap_or_default()),
    }
}

/// A table from JSON.
///
/// # Errors
/// A name is too long, or there is too much within each other.
pub(super) fn to_table(map: &Map<String, Json>) -> Result<TableBuf, String> {
    let table = build(map)?;
    match Table::new(table.table().bytes()) {
        Ok(_) => Ok(table),
        Err(error) => Err(format!("no table of arguments: {error}")),
    }
}

fn build(map: &Map<String, Json>) -> Result<TableBuf, String> {
    let mut table = TableBuf::default();
    for (name, json) in map {
        if name.len() > usize::from(u8::MAX) {
            return Err("a name in a table has 255 bytes at most".to_owned());
        }
        with_value(json, &mut |value| table.push(name.as_bytes(), value))?;
    }
    Ok(table)
}

/// Makes a value and hands it over, for as long as what it stands in is there.
fn with_value(json: &Json, put: &mut dyn FnMut(Value<'_>)) -> Result<(), String> {
    match json {
        Json::Null => put(Value::Void),
        Json::Bool(is) => put(Value::Bool(*is)),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => put(Value::I64(integer)),
            None => put(Value::F64(number.as_f64().unwrap_or_default())),
        },
        Json::String(text) => put(Value::String(text.as_bytes())),
        Json::Array(items) => {
            let mut array = ArrayBuf::default();
            for item in items {
                with_value(item, &mut |value| array.push(value))?;
            }
            put(Value::Array(array.array()));
        }
        Json::Object(map) => put(Value::Table(build(map)?.table())),
    }
    Ok(())
}
