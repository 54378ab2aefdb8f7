//! [`Message`]s to Rust text: one module a message, one struct with its two functions at a time.

use std::fmt::Write;

use crate::expr;
use crate::schema::{Field, Kind, Message, Type, Versions};
use crate::types::{default, is_set, shown, snake, when, whole};

/// One struct to write, and where it stands.
struct Struct<'a> {
    name: &'a str,
    fields: &'a [Field],
    /// The versions in which it can occur.
    within: Versions,
    message: &'a Message,
    root: bool,
}

/// The text of `messages.rs`.
pub(crate) fn messages(messages: &[Message]) -> Result<String, String> {
    let mut out = String::new();
    for message in messages {
        let text = module(message).map_err(|error| format!("{}: {error}", message.name))?;
        out.push_str(&text);
    }
    for message in messages {
        let (module, name) = (snake(&message.name), &message.name);
        line(&mut out, 0, &format!("pub use {module}::{name};"));
    }
    line(&mut out, 0, "\n/// Every message, for tests and fuzzing, which run over all of them.");
    line(
        &mut out,
        0,
        "#[cfg(any(test, feature = \"fuzzing\"))]\npub(crate) const CASES: &[super::sample::Case] = &[",
    );
    for message in messages {
        let key = message.key.map_or("None".into(), |key| format!("Some({key})"));
        let request = message.kind == Kind::Request;
        let text = format!("super::sample::Case::of::<{}>({key}, {request}),", message.name);
        line(&mut out, 1, &text);
    }
    line(&mut out, 0, "];");
    Ok(out)
}

fn line(out: &mut String, depth: usize, text: &str) {
    out.extend(std::iter::repeat_n("    ", depth));
    out.push_str(text);
    out.push('\n');
}

fn module(message: &Message) -> Result<String, String> {
    let mut out = String::new();
    let name = &message.name;
    let Versions { from, to } = message.versions;
    line(&mut out, 0, &format!("/// `{name}` and the structs in it."));
    line(&mut out, 0, &format!("pub mod {} {{", snake(name)));
    line(&mut out, 1, "use super::prelude::*;\n");
    for one in structs(message) {
        structure(&mut out, &one)?;
    }
    let flexible = match message.flexible_from {
        Some(version) => format!("Some({version})"),
        None => "None".into(),
    };
    line(&mut out, 1, &format!("impl Message for {name} {{"));
    line(&mut out, 2, &format!("const NAME: &'static str = \"{name}\";"));
    line(&mut out, 2, &format!("const MIN_VERSION: i16 = {from};"));
    line(&mut out, 2, &format!("const MAX_VERSION: i16 = {to};"));
    line(&mut out, 2, &format!("const FLEXIBLE_FROM: Option<i16> = {flexible};"));
    line(&mut out, 2, "fn decode(r: &mut Reader, version: i16) -> Result<Self, WireError> {");
    line(&mut out, 3, "Self::decode(r, version)\n        }");
    line(&mut out, 2, "fn encode(&self, w: &mut Writer, version: i16) -> Result<(), WireError> {");
    line(&mut out, 3, "self.encode(w, version)\n        }");
    if message.fields.iter().any(|field| field.name == "ThrottleTimeMs") {
        line(&mut out, 2, "fn set_throttle_time_ms(&mut self, ms: i32) {");
        line(&mut out, 3, "self.throttle_time_ms = ms;\n        }");
    }
    line(&mut out, 1, "}");
    if message.kind == Kind::Request {
        let response = name.trim_end_matches("Request").to_owned() + "Response";
        let api = name.trim_end_matches("Request");
        line(&mut out, 1, &format!("impl RequestMessage for {name} {{"));
        line(&mut out, 2, &format!("const API: ApiKey = ApiKey::{api};"));
        line(&mut out, 2, &format!("type Response = super::{response};\n    }}"));
    }
    line(&mut out, 1, "#[cfg(any(test, feature = \"fuzzing\"))]");
    line(&mut out, 1, &format!("impl Sampled for {name} {{"));
    line(&mut out, 2, "fn sample(s: &mut Sample, version: i16) -> Self {");
    line(&mut out, 3, "Self::sample(s, version)\n        }\n    }\n}\n");
    Ok(out)
}

/// The message's own struct first, then those below it, then the shared ones.
fn structs(message: &Message) -> Vec<Struct<'_>> {
    fn below<'a>(
        fields: &'a [Field],
        within: Versions,
        message: &'a Message,
        out: &mut Vec<Struct<'a>>,
    ) {
        for field in fields {
            let Type::Struct(name) = &field.ty else { continue };
            if field.fields.is_empty() {
                continue;
            }
            let within = field.versions.overlap(within).unwrap_or(within);
            out.push(Struct { name, fields: &field.fields, within, message, root: false });
            below(&field.fields, within, message, out);
        }
    }
    let (name, fields, within) = (&message.name, &message.fields, message.versions);
    let mut out = vec![Struct { name, fields, within, message, root: true }];
    below(fields, within, message, &mut out);
    for shared in &message.shared {
        let (name, fields, within) = (&shared.name, &shared.fields, shared.versions);
        out.push(Struct { name, fields, within, message, root: false });
        below(fields, within, message, &mut out);
    }
    out
}

fn structure(out: &mut String, one: &Struct<'_>) -> Result<(), String> {
    let (name, valid) = (one.name, one.message.versions);
    let range = shown(one.within, Versions { from: 0, to: i16::MAX });
    line(out, 1, &format!("/// `{name}` (versions {range})."));
    let plain = one.fields.iter().map(default).collect::<Result<Vec<_>, _>>()?;
    let plain = plain.iter().all(Option::is_none);
    let derived = if plain { ", Default" } else { "" };
    line(out, 1, &format!("#[derive(Debug, Clone, PartialEq{derived})]"));
    line(out, 1, &format!("pub struct {name} {{"));
    for field in one.fields {
        let mut about = format!("`{}` (versions {}", field.name, shown(field.versions, valid));
        if let Some(null) = field.null {
            let _ = write!(about, ", null in {}", shown(null, valid));
        }
        if let Some(tag) = field.tag {
            let _ = write!(about, ", tag {tag}");
        }
        if let Some(value) = default(field)? {
            let _ = write!(about, ", default {value}");
        }
        line(out, 2, &format!("/// {about})."));
        line(out, 2, &format!("pub {}: {},", snake(&field.name), whole(field)));
    }
    line(out, 1, "}\n");
    if !plain {
        defaults(out, one)?;
    }
    line(out, 1, &format!("impl {name} {{"));
    decode(out, one)?;
    encode(out, one)?;
    sample(out, one);
    line(out, 1, "}\n");
    Ok(())
}

fn defaults(out: &mut String, one: &Struct<'_>) -> Result<(), String> {
    line(out, 1, &format!("impl Default for {} {{", one.name));
    line(out, 2, "fn default() -> Self {\n            Self {");
    for field in one.fields {
        let value = default(field)?.unwrap_or_else(|| "Default::default()".into());
        line(out, 4, &format!("{}: {value},", snake(&field.name)));
    }
    line(out, 3, "}\n        }\n    }\n");
    Ok(())
}

/// `true`, `false`, or the name of the local that [`prologue`] declares.
fn flexible(one: &Struct<'_>) -> &'static str {
    match one.message.flexible_from {
        None => "false",
        Some(from) if from > one.within.to => "false",
        Some(from) if from <= one.within.from => "true",
        Some(_) => "flexible",
    }
}

fn prologue(out: &mut String, one: &Struct<'_>) {
    if one.root {
        line(out, 3, "check_version::<Self>(version)?;");
    }
    if let ("flexible", Some(from)) = (flexible(one), one.message.flexible_from) {
        line(out, 3, &format!("let flexible = version >= {from};"));
    }
}

fn decode(out: &mut String, one: &Struct<'_>) -> Result<(), String> {
    let context = flexible(one);
    line(out, 2, &format!("/// Reads `{}` as `version` lays it out.", one.name));
    line(out, 2, "pub fn decode(r: &mut Reader, version: i16) -> Result<Self, WireError> {");
    prologue(out, one);
    let (tagged, inline): (Vec<_>, Vec<_>) = one.fields.iter().partition(|f| f.tag.is_some());
    for field in inline {
        let name = snake(&field.name);
        let within = field.versions.overlap(one.within).ok_or("never present")?;
        let value = expr::read(field, &expr::flexible(field, context), within);
        let absent = default(field)?.unwrap_or_else(|| "Default::default()".into());
        let value = match when(field.versions, one.within) {
            None => value,
            Some(when) => format!("if {when} {{ {value} }} else {{ {absent} }}"),
        };
        line(out, 3, &format!("let {name} = {value};"));
    }
    for field in &tagged {
        let value = default(field)?.unwrap_or_else(|| "Default::default()".into());
        line(out, 3, &format!("let mut {} = {value};", snake(&field.name)));
    }
    if context != "false" {
        decode_tags(out, one, &tagged);
    }
    let names: Vec<_> = one.fields.iter().map(|field| snake(&field.name)).collect();
    line(out, 3, &format!("Ok(Self {{ {} }})\n        }}\n", names.join(", ")));
    Ok(())
}

fn decode_tags(out: &mut String, one: &Struct<'_>, tagged: &[&Field]) {
    let context = flexible(one);
    let open = if context == "true" { "{" } else { "if flexible {" };
    line(out, 3, open);
    if tagged.is_empty() {
        line(out, 4, "r.skip_tagged_fields()?;");
    } else {
        line(out, 4, "r.tagged_fields(|r, tag| {\n                    match tag {");
        for field in tagged {
            let guard = when(field.versions, one.within).map(|w| format!(" if {w}"));
            let value = expr::read(field, "true", field.versions);
            let (tag, guard) = (field.tag.unwrap_or_default(), guard.unwrap_or_default());
            line(out, 6, &format!("{tag}{guard} => {} = {value},", snake(&field.name)));
        }
        line(out, 6, "_ => return Ok(false),\n                    }");
        line(out, 5, "Ok(true)\n                })?;");
    }
    line(out, 3, "}");
}

fn encode(out: &mut String, one: &Struct<'_>) -> Result<(), String> {
    let context = flexible(one);
    line(
        out,
        2,
        "/// Writes it as `version` lays it out. Fields that this version lacks are left out.",
    );
    line(out, 2, "pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), WireError> {");
    prologue(out, one);
    for field in one.fields.iter().filter(|field| field.tag.is_none()) {
        let within = field.versions.overlap(one.within).ok_or("never present")?;
        let text = expr::write(field, &expr::flexible(field, context), within);
        match when(field.versions, one.within) {
            None => line(out, 3, &text),
            Some(when) => line(out, 3, &format!("if {when} {{ {text} }}")),
        }
    }
    if context != "false" {
        line(out, 3, if context == "true" { "{" } else { "if flexible {" });
        let mut tagged: Vec<_> = one.fields.iter().filter(|f| f.tag.is_some()).collect();
        // Readers may rely on ascending tags.
        tagged.sort_by_key(|field| field.tag);
        if tagged.is_empty() {
            line(out, 4, "w.no_tagged_fields();");
        } else {
            line(out, 4, "let mut tags = TaggedFields::default();");
            for field in tagged {
                let mut guard = is_set(field)?;
                if let Some(when) = when(field.versions, one.within) {
                    guard = format!("{when} && {guard}");
                }
                let text = expr::write(field, "true", field.versions);
                let tag = field.tag.unwrap_or_default();
                line(out, 4, &format!("if {guard} {{"));
                line(out, 5, &format!("tags.add({tag}, |w| {{ {text} Ok(()) }})?;"));
                line(out, 4, "}");
            }
            line(out, 4, "w.tagged_fields(&tags);");
        }
        line(out, 3, "}");
    }
    line(out, 3, "Ok(())\n        }\n");
    Ok(())
}

fn sample(out: &mut String, one: &Struct<'_>) {
    line(out, 2, "#[cfg(any(test, feature = \"fuzzing\"))]");
    line(out, 2, "pub(crate) fn sample(s: &mut Sample, version: i16) -> Self {");
    line(out, 3, "let mut m = Self::default();");
    for field in one.fields {
        let within = field.versions.overlap(one.within).unwrap_or(one.within);
        let text = format!("m.{} = {};", snake(&field.name), expr::sample(field, within));
        match when(field.versions, one.within) {
            None => line(out, 3, &text),
            Some(when) => line(out, 3, &format!("if {when} {{ {text} }}")),
        }
    }
    line(out, 3, "m\n        }");
}
