//! Text to [`Message`]s. One field a line, two spaces of indentation a level.

use crate::schema::{Field, Kind, Message, Shared, Type, Versions};

struct Line<'a> {
    number: usize,
    depth: usize,
    words: Vec<&'a str>,
}

/// Parses one schema file.
pub(crate) fn file(text: &str) -> Result<Vec<Message>, String> {
    let lines = text.lines().enumerate().filter_map(|(index, line)| {
        let body = line.split('#').next().unwrap_or_default();
        let spaces = body.len() - body.trim_start().len();
        let words: Vec<&str> = body.split_whitespace().collect();
        (!words.is_empty()).then_some(Line { number: index + 1, depth: spaces / 2, words })
    });
    let mut lines: &[Line<'_>] = &lines.collect::<Vec<_>>();
    let mut api: Option<(i16, &str)> = None;
    let mut messages = Vec::new();
    while let Some((head, rest)) = lines.split_first() {
        lines = rest;
        let at = |error: String| format!("line {}: {error}", head.number);
        if let ["api", key, name] = head.words.as_slice() {
            api = Some((number(key).map_err(at)?, name));
            continue;
        }
        let mut message = head_of(&head.words, api).map_err(at)?;
        let body = lines.iter().take_while(|line| line.depth > 0).count();
        let (body, rest) = lines.split_at(body);
        lines = rest;
        (message.fields, message.shared) = fields(body, 1, message.versions)?;
        messages.push(message);
    }
    Ok(messages)
}

fn head_of(words: &[&str], api: Option<(i16, &str)>) -> Result<Message, String> {
    let (kind, name, key, rest) = match (words, api) {
        (["request", rest @ ..], Some((key, api))) => {
            (Kind::Request, format!("{api}Request"), Some(key), rest)
        }
        (["response", rest @ ..], Some((key, api))) => {
            (Kind::Response, format!("{api}Response"), Some(key), rest)
        }
        (["data", name, rest @ ..], _) => (Kind::Data, (*name).to_owned(), None, rest),
        _ => return Err("expected `api`, `request`, `response` or `data`".into()),
    };
    let [valid, "flexible", flexible] = rest else {
        return Err("expected `<versions> flexible <versions>`".into());
    };
    let versions = versions(valid, Versions { from: 0, to: i16::MAX })?;
    let flexible_from = match *flexible {
        "none" => None,
        text => Some(number(text.trim_end_matches('+'))?),
    };
    Ok(Message { name, kind, key, versions, flexible_from, fields: vec![], shared: vec![] })
}

/// The fields at `depth`, each with those below it, and the shared structs between them.
fn fields(
    mut lines: &[Line<'_>],
    depth: usize,
    valid: Versions,
) -> Result<(Vec<Field>, Vec<Shared>), String> {
    let (mut found, mut shared) = (Vec::new(), Vec::new());
    while let Some((head, rest)) = lines.split_first() {
        let at = |error: String| format!("line {}: {error}", head.number);
        if head.depth != depth {
            return Err(at(format!("indented {} levels, expected {depth}", head.depth)));
        }
        let below = rest.iter().take_while(|line| line.depth > depth).count();
        let (below, rest) = rest.split_at(below);
        lines = rest;
        if let ["struct", name, text] = head.words.as_slice() {
            let versions = versions(text, valid).map_err(at)?;
            let (fields, _) = fields(below, depth + 1, versions)?;
            shared.push(Shared { name: (*name).to_owned(), versions, fields });
            continue;
        }
        let mut field = field(&head.words, valid).map_err(at)?;
        (field.fields, _) = fields(below, depth + 1, field.versions)?;
        found.push(field);
    }
    Ok((found, shared))
}

fn field(words: &[&str], valid: Versions) -> Result<Field, String> {
    let [name, ty, text, options @ ..] = words else {
        return Err("expected `<Name> <type> <versions>`".into());
    };
    let own = versions(text, valid)?;
    let array = ty.starts_with("[]");
    let mut field = Field {
        name: (*name).to_owned(),
        ty: type_of(ty.trim_start_matches("[]")),
        array,
        versions: own,
        null: None,
        tag: None,
        default: None,
        never_flexible: false,
        fields: vec![],
    };
    let mut options = options;
    while !options.is_empty() {
        options = match options {
            ["null", text, rest @ ..] => {
                field.null = Some(versions(text, own)?);
                rest
            }
            ["tag", tag, text, rest @ ..] => {
                field.tag = Some(tag.parse().map_err(|_| format!("bad tag {tag}"))?);
                if versions(text, own)? != own {
                    return Err("a field must be tagged in all of its versions".into());
                }
                rest
            }
            ["default", text, rest @ ..] => {
                field.default = Some((*text).to_owned());
                rest
            }
            ["flexible", "none", rest @ ..] => {
                field.never_flexible = true;
                rest
            }
            _ => return Err(format!("unknown option {options:?}")),
        };
    }
    Ok(field)
}

fn type_of(text: &str) -> Type {
    match text {
        "bool" => Type::Bool,
        "int8" => Type::Int("i8"),
        "int16" => Type::Int("i16"),
        "int32" => Type::Int("i32"),
        "int64" => Type::Int("i64"),
        "uint16" => Type::Int("u16"),
        "uint32" => Type::Int("u32"),
        "float64" => Type::Float64,
        "uuid" => Type::Uuid,
        "string" => Type::String,
        "bytes" | "records" => Type::Bytes,
        name => Type::Struct(name.to_owned()),
    }
}

/// `3`, `3-7` or `3+`, cut to what `within` allows.
fn versions(text: &str, within: Versions) -> Result<Versions, String> {
    let own = if let Some(from) = text.strip_suffix('+') {
        Versions { from: number(from)?, to: i16::MAX }
    } else if let Some((from, to)) = text.split_once('-') {
        Versions { from: number(from)?, to: number(to)? }
    } else {
        Versions { from: number(text)?, to: number(text)? }
    };
    own.overlap(within).ok_or_else(|| format!("versions {text} lie outside {within:?}"))
}

fn number(text: &str) -> Result<i16, String> {
    text.parse().map_err(|_| format!("{text} is not a version"))
}
