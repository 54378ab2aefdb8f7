//! The console: a page for people, of files that are in the program.
//!
//! The files are plain ES modules, as they lie in `console/`; there is nothing to build. They say nothing about the broker,
//! so nobody is asked who they are: what they show, they ask for as everybody does, and then with a login.

use std::hash::{DefaultHasher, Hash, Hasher};

use door::http::{Answer, HeaderName, HeaderValue, StatusCode, header};

use crate::ask::Ask;
use crate::problem::Problem;
use crate::{Outcome, schema};

/// What the page may do: nothing but what comes from here, no scripts or styles in the page itself, and in no frame
/// (Content Security Policy, level 3).
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// A file of the console.
struct File {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! files {
    ($($kind:ident: $($name:literal from $path:literal),*;)*) => {
        static FILES: &[File] = &[$($(File {
            name: $name,
            kind: $kind,
            bytes: include_bytes!(concat!("../console/", $path)),
        },)*)*];
    };
}

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const JS: &str = "text/javascript; charset=utf-8";
const SVG: &str = "image/svg+xml";

files! {
    HTML: "index.html" from "index.html";
    SVG: "icon.svg" from "icon.svg";
    CSS: "app.css" from "app.css", "uplot.css" from "vendor/uplot.css";
    JS: "preact.mjs" from "vendor/preact.mjs", "hooks.mjs" from "vendor/hooks.mjs",
        "htm.mjs" from "vendor/htm.mjs", "uplot.js" from "vendor/uplot.js",
        "app.js" from "app.js", "chart.js" from "chart.js", "connections.js" from "connections.js",
        "decode.js" from "decode.js", "en.js" from "en.js", "events.js" from "events.js",
        "format.js" from "format.js", "group.js" from "group.js", "groups.js" from "groups.js",
        "http.js" from "http.js", "i18n.js" from "i18n.js", "incidents.js" from "incidents.js",
        "messages.js" from "messages.js", "overview.js" from "overview.js",
        "publish.js" from "publish.js", "queues.js" from "queues.js", "route.js" from "route.js",
        "rules-zh.js" from "rules-zh.js", "series.js" from "series.js",
        "settings.js" from "settings.js", "sse.js" from "sse.js", "state.js" from "state.js",
        "topic.js" from "topic.js", "topics.js" from "topics.js", "ui.js" from "ui.js",
        "zh.js" from "zh.js";
}

impl File {
    /// Another text where the bytes are others (RFC 9110, section 8.8.3).
    fn tag(&self) -> String {
        let mut hasher = DefaultHasher::new();
        self.bytes.hash(&mut hasher);
        format!("\"{:016x}\"", hasher.finish())
    }

    fn answer(&self, ask: &Ask) -> Answer {
        let tag = self.tag();
        let mut known = ask.field(header::IF_NONE_MATCH).split(',');
        let is_known = known.any(|known| known.trim().trim_start_matches("W/") == tag);
        let answer = match is_known {
            true => Answer::empty(StatusCode::NOT_MODIFIED),
            false => Answer {
                body: bytes::Bytes::from_static(self.bytes),
                ..Answer::empty(StatusCode::OK)
            },
        };
        let tag = HeaderValue::from_str(&tag);
        let tag = tag.unwrap_or_else(|_| HeaderValue::from_static("\"\""));
        [
            (header::CONTENT_TYPE, self.kind),
            (header::CONTENT_SECURITY_POLICY, POLICY),
            // Asked for again each time, and mostly not sent again: a new version is not mixed with an old one.
            (header::CACHE_CONTROL, "no-cache"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
            (header::REFERRER_POLICY, "no-referrer"),
            (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
            (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        ]
        .into_iter()
        .fold(answer.with(header::ETAG, tag), |answer, (name, value)| {
            answer.with(name, HeaderValue::from_static(value))
        })
    }
}

fn send(ask: &Ask, name: &str) -> Outcome {
    let file = FILES.iter().find(|file| file.name == name);
    let file = file.ok_or_else(|| Problem::not_found(format!("the console has no '{name}'")))?;
    Ok(file.answer(ask).into())
}

/// `/`.
pub(crate) async fn page(ask: &Ask) -> Outcome {
    send(ask, "index.html")
}

/// `/console/{file}`.
pub(crate) async fn file(ask: &Ask) -> Outcome {
    send(ask, ask.part("file"))
}

/// Media types of files.
pub(crate) fn kinds() -> serde_json::Value {
    let kinds = [HTML, CSS, JS, SVG].map(|kind| kind.split(';').next().unwrap_or_default());
    let text = serde_json::json!({ "schema": schema::text() });
    kinds.into_iter().map(|kind| (kind.to_owned(), text.clone())).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use broker::observe::diagnosis::RULES;
    use broker::observe::kinds;

    use super::*;

    fn text(name: &str) -> &'static str {
        let file = FILES.iter().find(|file| file.name == name).unwrap();
        std::str::from_utf8(file.bytes).unwrap()
    }

    /// What stands between two marks, each time.
    fn between<'a>(text: &'a str, from: &str, to: &str) -> Vec<&'a str> {
        let parts = text.split(from).skip(1);
        parts.filter_map(|part| part.split_once(to).map(|(found, _)| found)).collect()
    }

    #[test]
    fn every_module_that_is_named_is_there_and_every_file_is_named() {
        let known: BTreeSet<_> = FILES.iter().map(|file| file.name).collect();
        assert_eq!(known.len(), FILES.len(), "one is there twice");
        let mut named: BTreeSet<_> = ["index.html"].into();
        for file in FILES.iter().filter(|file| file.kind == JS) {
            let text = text(file.name);
            let (mut found, minified) =
                (between(text, "from './", "'"), between(text, "from\"./", "\""));
            found.extend(minified);
            named.extend(found);
        }
        named.extend(between(text("index.html"), "\"/console/", "\""));
        assert_eq!(named, known);
    }

    #[test]
    fn the_page_needs_nothing_that_its_policy_forbids() {
        let page = text("index.html");
        for (what, why) in [
            (" style=", "a style in the page"),
            ("<style", "a style in the page"),
            ("http://", "another site"),
            ("https://", "another site"),
            (" on", "a handler in the page"),
        ] {
            assert!(!page.contains(what), "{why}: {what}");
        }
        for script in between(page, "<script", "</script>") {
            assert!(script.contains(" src=\"/console/") && script.ends_with('>'), "{script}");
        }
        for file in FILES.iter().filter(|file| file.kind == JS) {
            let text = text(file.name);
            for what in ["eval(", "new Function", "innerHTML =", "dangerouslySetInnerHTML:"] {
                assert!(!text.contains(what), "{}: {what}", file.name);
            }
        }
    }

    #[test]
    fn every_rule_and_every_kind_of_event_is_said_in_chinese() {
        let rules = text("rules-zh.js");
        for rule in RULES {
            assert!(rules.contains(&format!("  {}: {{", rule.id)), "{}", rule.id);
        }
        assert_eq!(rules.matches("remedy:").count(), RULES.len(), "of rules that are there");
        for language in ["en.js", "zh.js"] {
            let texts = text(language);
            for kind in kinds::ALL {
                let key = format!("'event.{}':", kind.name);
                assert!(texts.contains(&key), "{language}: {key}");
            }
        }
    }
}
