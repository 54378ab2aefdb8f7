//! The expressions that read, write and sample one field.

use crate::schema::{Field, Type, Versions};
use crate::types::{element, snake, when};

/// Whether lengths are written as varints: `true`, `false`, or decided by the local `flexible`.
pub(crate) fn flexible(field: &Field, context: &str) -> String {
    if field.never_flexible { "false".into() } else { context.into() }
}

fn read_element(ty: &Type, flexible: &str) -> String {
    match ty {
        Type::Bool => "r.bool()".into(),
        Type::Int(name) => format!("r.{name}()"),
        Type::Float64 => "r.f64()".into(),
        Type::Uuid => "r.uuid()".into(),
        Type::String => format!("r.string({flexible})"),
        Type::Bytes => format!("r.bytes({flexible})"),
        Type::Struct(name) => format!("{name}::decode(r, version)"),
    }
}

/// Reads a field that is present in `within`; the value has the field's whole type.
pub(crate) fn read(field: &Field, flexible: &str, within: Versions) -> String {
    let one = read_element(&field.ty, flexible);
    let plain =
        if field.array { format!("r.array({flexible}, |r| {one})?") } else { format!("{one}?") };
    let Some(null) = field.null else { return plain };
    let nullable = match (&field.ty, field.array) {
        (_, true) => format!("r.nullable_array({flexible}, |r| {one})?"),
        (Type::String, _) => format!("r.nullable_string({flexible})?"),
        (Type::Bytes, _) => format!("r.nullable_bytes({flexible})?"),
        _ => format!("r.nullable_struct(|r| {one})?"),
    };
    match when(null, within) {
        None => nullable,
        Some(when) => format!("if {when} {{ {nullable} }} else {{ Some({plain}) }}"),
    }
}

fn write_element(ty: &Type, value: &str, flexible: &str) -> String {
    match ty {
        Type::Bool => format!("w.bool({value})"),
        Type::Int(name) => format!("w.{name}({value})"),
        Type::Float64 => format!("w.f64({value})"),
        Type::Uuid => format!("w.uuid({value})"),
        Type::String => format!("w.string({value}, {flexible})?"),
        Type::Bytes => format!("w.bytes({value}, {flexible})?"),
        Type::Struct(_) => format!("{value}.encode(w, version)?"),
    }
}

/// The element as the closure of an array gets it: a reference named `e`.
fn write_item(ty: &Type, flexible: &str) -> String {
    let value = match ty {
        Type::Bool | Type::Int(_) | Type::Float64 => "*e",
        _ => "e",
    };
    match ty {
        Type::String | Type::Bytes | Type::Struct(_) => {
            let text = write_element(ty, value, flexible);
            text.trim_end_matches('?').to_owned()
        }
        _ => format!("{{ {}; Ok(()) }}", write_element(ty, value, flexible)),
    }
}

/// Writes a field that is present in `within`, as one or more statements.
pub(crate) fn write(field: &Field, flexible: &str, within: Versions) -> String {
    let name = format!("self.{}", snake(&field.name));
    let item = write_item(&field.ty, flexible);
    let by_reference = matches!(field.ty, Type::String | Type::Bytes | Type::Uuid);
    let Some(null) = field.null else {
        if field.array {
            return format!("w.array(&{name}, {flexible}, |w, e| {item})?;");
        }
        let value = if by_reference { format!("&{name}") } else { name };
        return format!("{};", write_element(&field.ty, &value, flexible));
    };
    let nullable = match (&field.ty, field.array) {
        (_, true) => {
            format!("w.nullable_array({name}.as_deref(), {flexible}, |w, e| {item})?;")
        }
        (Type::String, _) => format!("w.nullable_string({name}.as_deref(), {flexible})?;"),
        (Type::Bytes, _) => format!("w.nullable_bytes({name}.as_ref(), {flexible})?;"),
        _ => format!("w.nullable_struct({name}.as_ref(), |w, e| {item})?;"),
    };
    let Some(when) = when(null, within) else { return nullable };
    let value = format!("required({name}.as_ref(), \"{}\")?", field.name);
    let plain = if field.array {
        format!("w.array({value}, {flexible}, |w, e| {item})?;")
    } else {
        format!("{};", write_element(&field.ty, &value, flexible))
    };
    format!("if {when} {{ {nullable} }} else {{ {plain} }}")
}

fn sample_element(ty: &Type) -> String {
    match ty {
        Type::Struct(name) => format!("{name}::sample(s, version)"),
        Type::Uuid => "s.uuid()".into(),
        Type::String => "s.string()".into(),
        Type::Bytes => "s.bytes()".into(),
        other => format!("s.{}()", element(other)),
    }
}

/// A random value for a field that is present in `within`.
pub(crate) fn sample(field: &Field, within: Versions) -> String {
    let one = sample_element(&field.ty);
    let plain = if field.array { format!("s.array(|s| {one})") } else { one };
    let Some(null) = field.null else { return plain };
    match when(null, within) {
        None => format!("s.nullable(|s| {plain})"),
        Some(when) => format!("if {when} {{ s.nullable(|s| {plain}) }} else {{ Some({plain}) }}"),
    }
}
