//! Permissions: `/permissions`. They are access rules for topics, as far as these can say the same: a pattern that is a
//! name, the beginning of names, everything, or several of them. Rules know no virtual hosts, so permissions of all
//! virtual hosts are those of one.

use std::sync::Arc;

use base::Principal;
use broker::access::{Effect, Operation, Pattern, PatternFilter, ResourceKind, Rule, RuleFilter};
use bytes::Bytes;
use serde_json::{Value as Json, json};

use super::body::Body;
use super::refusal::Refusal;
use super::routes::unknown;
use super::{Ask, Outcome, done, made, page, text, users};
use crate::handle::Access;

/// The three permissions, by the names that they have here.
const KINDS: [(&str, Access); 3] =
    [("configure", Access::Configure), ("write", Access::Write), ("read", Access::Read)];

pub(super) async fn route(ask: &Ask<'_>, verb: &str, rest: &[&[u8]]) -> Outcome {
    match (verb, rest) {
        ("GET", []) => list(ask, &ask.shared.spaces.names(), None).await,
        ("GET", [host, user]) => {
            let (host, user) = (ask.host(host)?, text(user));
            may_see(ask, &user)?;
            let shown = view(ask, &host.name, &user).ok_or_else(Refusal::not_found)?;
            page::one(&ask.request.query, shown)
        }
        ("PUT", [host, user]) => {
            let host = ask.host(host)?;
            Ok(made(put(ask, (&host.name, &text(user)), &ask.body()?).await?))
        }
        ("DELETE", [host, user]) => {
            ask.host(host)?;
            ask.check_administrator()?;
            remove(ask, &text(user)).await?;
            Ok(done())
        }
        _ => unknown(verb),
    }
}

fn may_see(ask: &Ask<'_>, user: &str) -> Result<(), Refusal> {
    if *user == *ask.actor.principal().name { Ok(()) } else { ask.check_monitor() }
}

/// The permissions of a user, or of all, in these virtual hosts.
pub(super) async fn list(ask: &Ask<'_>, hosts: &[Bytes], user: Option<&str>) -> Outcome {
    let users = match user {
        Some(user) => {
            may_see(ask, user)?;
            vec![user.to_owned()]
        }
        None => {
            ask.check_monitor()?;
            users::names(ask)
        }
    };
    let shown = all(ask, hosts, &users);
    page::reply(&ask.request.query, shown, page::by("user"), Json::clone).await
}

/// What these users may do in these virtual hosts.
pub(super) fn all(ask: &Ask<'_>, hosts: &[Bytes], users: &[String]) -> Vec<Json> {
    let of =
        |user: &String| hosts.iter().filter_map(|host| view(ask, host, user)).collect::<Vec<_>>();
    users.iter().flat_map(of).collect()
}

/// Whether rules let a user do nothing.
pub(super) fn has_none(ask: &Ask<'_>, user: &str) -> bool {
    view(ask, b"/", user).is_none()
}

fn view(ask: &Ask<'_>, host: &[u8], user: &str) -> Option<Json> {
    let patterns = patterns_of(ask, user);
    if patterns.iter().all(Vec::is_empty) {
        return None;
    }
    let [configure, write, read] = patterns.map(|patterns| regex(&patterns));
    Some(json!({
        "user": user,
        "vhost": text(host),
        "configure": configure,
        "write": write,
        "read": read,
    }))
}

/// What a user may configure, write and read. Denials, and what is for one address only, have no place in it.
fn patterns_of(ask: &Ask<'_>, user: &str) -> [Vec<Pattern>; 3] {
    let broker = &ask.shared.broker;
    let principal = Principal::user(user);
    if broker.actor(principal.clone(), "".into()).is_free() {
        return KINDS.map(|_| vec![Pattern::Any]);
    }
    let rules = broker.find_rules(&filter(principal));
    KINDS.map(|(_, access)| {
        let operations = [access.operation(), Operation::Everything];
        let of = rules.iter().filter(|rule| operations.contains(&rule.operation));
        let mut patterns: Vec<Pattern> = of.map(|rule| rule.pattern.clone()).collect();
        patterns.sort_unstable();
        patterns.dedup();
        patterns
    })
}

fn filter(principal: Principal) -> RuleFilter {
    RuleFilter {
        kind: Some(ResourceKind::Topic),
        pattern: PatternFilter::Any,
        principal: Some(principal),
        host: Some("*".to_owned()),
        effect: Some(Effect::Allow),
        ..RuleFilter::all()
    }
}

/// Gives a user the permissions of a body in the place of those that they have; whether they had none.
pub(super) async fn put(
    ask: &Ask<'_>,
    (host, user): (&[u8], &str),
    body: &Body,
) -> Result<bool, Refusal> {
    ask.check_administrator()?;
    let mut wanted: [Vec<Pattern>; 3] = Default::default();
    for (patterns, (name, _)) in wanted.iter_mut().zip(KINDS) {
        *patterns = parse(body.needed(name)?)?;
        patterns.sort_unstable();
        patterns.dedup();
    }
    let known = patterns_of(ask, user);
    if wanted == known {
        return Ok(false);
    }
    // Nobody is given in all virtual hosts what somebody wanted to give them in one.
    if host != b"/" {
        let reason =
            "access rules know no virtual hosts: set permissions for '/', and they hold in all";
        return Err(Refusal::bad(reason));
    }
    let rules = wanted.into_iter().zip(KINDS).flat_map(|(patterns, (_, access))| {
        let rule = move |pattern| Rule {
            kind: ResourceKind::Topic,
            pattern,
            principal: Principal::user(user),
            host: None,
            operation: access.operation(),
            effect: Effect::Allow,
        };
        patterns.into_iter().map(rule)
    });
    let rules: Vec<Rule> = rules.collect();
    let is_new = known.iter().all(Vec::is_empty);
    remove(ask, user).await?;
    for added in ask.shared.broker.add_rules(rules).await {
        added?;
    }
    Ok(is_new)
}

async fn remove(ask: &Ask<'_>, user: &str) -> Result<(), Refusal> {
    let operations = KINDS.map(|(_, access)| access.operation());
    for operation in operations.into_iter().chain([Operation::Everything]) {
        let of = RuleFilter { operation: Some(operation), ..filter(Principal::user(user)) };
        ask.shared.broker.remove_rules(&of).await?;
    }
    Ok(())
}

/// Patterns as one regular expression.
fn regex(patterns: &[Pattern]) -> String {
    if patterns.contains(&Pattern::Any) {
        return ".*".to_owned();
    }
    let one = |pattern: &Pattern| match pattern {
        Pattern::Any => ".*".to_owned(),
        Pattern::Literal(name) => regex::escape(name),
        Pattern::Prefix(prefix) => format!("{}.*", regex::escape(prefix)),
    };
    let all: Vec<String> = patterns.iter().map(one).collect();
    match &all[..] {
        [] => "^$".to_owned(),
        [one] => format!("^{one}$"),
        many => format!("^({})$", many.join("|")),
    }
}

/// A regular expression as patterns.
///
/// # Errors
/// It says something that rules cannot say.
fn parse(text: &str) -> Result<Vec<Pattern>, Refusal> {
    match text {
        "" | "^$" => return Ok(Vec::new()),
        ".*" | "^.*" | "^.*$" | ".*$" => return Ok(vec![Pattern::Any]),
        _ => {}
    }
    let wrong = || {
        Refusal::bad(format!(
            "'{text}' is more than access rules can say: write ^name$, ^beginning.*, ^(a|b)$ or .*, with other characters \
             than letters, digits, - and _ after a \\"
        ))
    };
    let rest = text.strip_prefix('^').ok_or_else(wrong)?;
    let is_escaped = rest.ends_with("\\$");
    let (rest, is_whole) = match rest.strip_suffix('$').filter(|_| !is_escaped) {
        Some(rest) => (rest, true),
        None => (rest, false),
    };
    let within = rest.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'));
    let alternatives = within.unwrap_or(rest).split('|');
    let one = |text: &str| pattern(text, is_whole).ok_or_else(wrong);
    alternatives.map(one).collect()
}

/// One alternative. Without an end it is the beginning of names.
fn pattern(text: &str, is_whole: bool) -> Option<Pattern> {
    let (text, is_prefix) = match text.strip_suffix(".*") {
        Some(rest) if !rest.ends_with('\\') => (rest, true),
        _ => (text, !is_whole),
    };
    let mut name = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            // A letter after it would be a class of characters.
            '\\' => name.push(chars.next().filter(|c| !c.is_alphanumeric())?),
            '.' | '*' | '+' | '?' | '(' | ')' | '[' | ']' | '{' | '}' | '|' | '^' | '$' => {
                return None;
            }
            c => name.push(c),
        }
    }
    let name: Arc<str> = name.into();
    match (name.is_empty(), is_prefix) {
        (true, true) => Some(Pattern::Any),
        (true, false) => None,
        (false, true) => Some(Pattern::Prefix(name)),
        (false, false) => Some(Pattern::Literal(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn literal(name: &str) -> Pattern {
        Pattern::Literal(name.into())
    }

    fn prefix(name: &str) -> Pattern {
        Pattern::Prefix(name.into())
    }

    #[test]
    fn what_rules_can_say_is_read_and_written() {
        for (text, patterns) in [
            ("^$", vec![]),
            (".*", vec![Pattern::Any]),
            ("^a\\.b$", vec![literal("a.b")]),
            ("^a.*$", vec![prefix("a")]),
            ("^(a|b.*)$", vec![literal("a"), prefix("b")]),
        ] {
            assert_eq!(parse(text).unwrap(), patterns, "{text}");
            assert_eq!(regex(&patterns), text);
        }
        assert_eq!(parse("^a").unwrap(), [prefix("a")]);
        assert_eq!(parse("^a\\$").unwrap(), [prefix("a$")]);
        assert!(parse("").unwrap().is_empty());
    }

    #[test]
    fn what_they_cannot_say_is_refused_and_not_narrowed() {
        let all =
            ["a", "^a.b$", "^a+$", "^[ab]$", "a.*", "^\\d$", "^(a|)$", "^(a|(b))$", "^(a\\|b)$"];
        for text in all {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
