//! Names, types and defaults of the Rust fields.

use crate::schema::{Field, Type, Versions};

/// `TopicId` to `topic_id`; a keyword gets a trailing underscore.
pub(crate) fn snake(name: &str) -> String {
    let mut out = String::new();
    let mut before_lower = false;
    for letter in name.chars() {
        if letter.is_ascii_uppercase() && before_lower {
            out.push('_');
        }
        before_lower = !letter.is_ascii_uppercase();
        out.push(letter.to_ascii_lowercase());
    }
    if matches!(out.as_str(), "type" | "match" | "ref" | "move" | "use" | "in" | "as") {
        out.push('_');
    }
    out
}

/// The type of one element, or of a field that is no array.
pub(crate) fn element(ty: &Type) -> String {
    match ty {
        Type::Bool => "bool".into(),
        Type::Int(name) => (*name).into(),
        Type::Float64 => "f64".into(),
        Type::Uuid => "[u8; 16]".into(),
        Type::String => "String".into(),
        Type::Bytes => "Bytes".into(),
        Type::Struct(name) => name.clone(),
    }
}

/// The type of the whole field.
pub(crate) fn whole(field: &Field) -> String {
    let mut text = element(&field.ty);
    if field.array {
        text = format!("Vec<{text}>");
    }
    if field.null.is_some() {
        text = format!("Option<{text}>");
    }
    text
}

/// The field's default when it is not its type's own.
pub(crate) fn default(field: &Field) -> Result<Option<String>, String> {
    let Some(text) = field.default.as_deref() else { return Ok(None) };
    match (&field.ty, field.array, field.null.is_some()) {
        (_, _, true) if text == "null" => Ok(None),
        (Type::Int(_), false, false) => Ok(Some(text.to_owned())),
        (Type::Bool, false, false) => Ok(Some(text.to_owned())),
        _ => Err(format!("{}: no support for default {text}", field.name)),
    }
}

/// An expression that is true when `self`'s field differs from its default.
pub(crate) fn is_set(field: &Field) -> Result<String, String> {
    let name = format!("self.{}", snake(&field.name));
    if field.null.is_some() {
        return Ok(format!("{name}.is_some()"));
    }
    if field.array || matches!(field.ty, Type::String | Type::Bytes) {
        return Ok(format!("!{name}.is_empty()"));
    }
    let own = default(field)?;
    Ok(match &field.ty {
        Type::Bool if own.as_deref() == Some("true") => format!("!{name}"),
        Type::Bool => name,
        Type::Uuid => format!("{name} != [0; 16]"),
        Type::Struct(ty) => format!("{name} != {ty}::default()"),
        _ => format!("{name} != {}", own.unwrap_or_else(|| "0".into())),
    })
}

/// `3-7`, `3+` or `3`, as the documentation of a field shows it.
pub(crate) fn shown(versions: Versions, within: Versions) -> String {
    if versions.to >= within.to {
        format!("{}+", versions.from)
    } else if versions.from == versions.to {
        versions.from.to_string()
    } else {
        format!("{}-{}", versions.from, versions.to)
    }
}

/// The condition under which `version` lies in `versions`, given that it lies in `within`.
/// `None`: always.
pub(crate) fn when(versions: Versions, within: Versions) -> Option<String> {
    match (versions.from <= within.from, versions.to >= within.to) {
        (true, true) => None,
        (false, true) => Some(format!("version >= {}", versions.from)),
        (true, false) => Some(format!("version <= {}", versions.to)),
        (false, false) => Some(format!("({}..={}).contains(&version)", versions.from, versions.to)),
    }
}
