//! From a certificate's subject to a principal's name, by rules (KIP-371).

use regex::Regex;

/// Longest pattern, in bytes: rules come from the operator, so this is for slips only.
const PATTERN_BYTES_MAX: usize = 4096;

/// Rules that turn a certificate's subject into a name. The first that matches counts.
#[derive(Debug, Clone)]
pub struct PrincipalRules(Vec<Rule>);

#[derive(Debug, Clone)]
enum Rule {
    /// The subject as it is.
    Subject,
    Replace {
        pattern: Regex,
        replacement: String,
        case: Case,
    },
}

#[derive(Debug, Clone, Copy)]
enum Case {
    Same,
    Lower,
    Upper,
}

impl Default for PrincipalRules {
    fn default() -> Self {
        Self(vec![Rule::Subject])
    }
}

impl PrincipalRules {
    /// Reads rules: `DEFAULT`, or `RULE:pattern/replacement/` with `L` or `U` behind it, separated
    /// by commas. A pattern must match the whole subject; `$1` in the replacement stands for its
    /// first group; a slash within a rule has a backslash in front.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut rest = text.trim();
        let mut rules = Vec::new();
        while !rest.is_empty() {
            let (rule, after) = one(rest)?;
            rules.push(rule);
            rest = after.trim_start();
            if let Some(more) = rest.strip_prefix(',') {
                rest = more.trim_start();
            } else if !rest.is_empty() {
                return Err(format!("a comma is missing before {rest:?}"));
            }
        }
        if rules.is_empty() { Ok(Self::default()) } else { Ok(Self(rules)) }
    }

    /// The name for a subject; `None` if no rule matches.
    pub fn apply(&self, subject: &str) -> Option<String> {
        self.0.iter().find_map(|rule| rule.apply(subject))
    }
}

fn one(text: &str) -> Result<(Rule, &str), String> {
    if let Some(rest) = text.strip_prefix("DEFAULT") {
        return Ok((Rule::Subject, rest));
    }
    let form = || format!("{text:?} is neither DEFAULT nor RULE:pattern/replacement/[LU]");
    let rest = text.strip_prefix("RULE:").ok_or_else(form)?;
    let (pattern, rest) = until_slash(rest).ok_or_else(form)?;
    let (replacement, rest) = until_slash(rest).ok_or_else(form)?;
    let (case, rest) = match rest.as_bytes().first() {
        Some(b'L') => (Case::Lower, &rest[1..]),
        Some(b'U') => (Case::Upper, &rest[1..]),
        _ => (Case::Same, rest),
    };
    if pattern.len() > PATTERN_BYTES_MAX {
        return Err(format!("a pattern has more than {PATTERN_BYTES_MAX} bytes"));
    }
    let pattern = Regex::new(&format!("^(?:{pattern})$"));
    let pattern = pattern.map_err(|error| format!("the pattern cannot be used: {error}"))?;
    Ok((Rule::Replace { pattern, replacement: replacement.to_owned(), case }, rest))
}

/// What stands before the next slash that has no backslash in front, and what stands after it.
fn until_slash(text: &str) -> Option<(&str, &str)> {
    let mut escaped = false;
    for (index, byte) in text.bytes().enumerate() {
        if byte == b'/' && !escaped {
            return Some((&text[..index], &text[index + 1..]));
        }
        escaped = byte == b'\\' && !escaped;
    }
    None
}

impl Rule {
    fn apply(&self, subject: &str) -> Option<String> {
        let Self::Replace { pattern, replacement, case } = self else {
            return Some(subject.to_owned());
        };
        let groups = pattern.captures(subject)?;
        let name = expand(replacement, &groups);
        Some(match case {
            Case::Same => name,
            Case::Lower => name.to_lowercase(),
            Case::Upper => name.to_uppercase(),
        })
    }
}

/// Fills a replacement in as Java does it: `$` takes as many digits as make the number of a group,
/// a backslash takes the meaning from the next character, and `$` without a group is itself.
fn expand(replacement: &str, groups: &regex::Captures<'_>) -> String {
    let mut out = String::new();
    let mut chars = replacement.chars().peekable();
    let digit = |c: &char| c.to_digit(10).and_then(|digit| usize::try_from(digit).ok());
    while let Some(c) = chars.next() {
        match c {
            '\\' => out.extend(chars.next()),
            '$' => {
                let Some(mut number) = chars.peek().and_then(digit).filter(|n| *n < groups.len())
                else {
                    out.push('$');
                    continue;
                };
                chars.next();
                while let Some(longer) = chars.peek().and_then(digit).map(|d| number * 10 + d)
                    && longer < groups.len()
                {
                    number = longer;
                    chars.next();
                }
                out.push_str(groups.get(number).map_or("", |group| group.as_str()));
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(rules: &str, subject: &str) -> Option<String> {
        PrincipalRules::parse(rules).unwrap().apply(subject)
    }

    #[test]
    fn the_first_rule_that_matches_counts() {
        let rules = "RULE:^CN=(.*?),OU=ServiceUsers.*$/$1/, \
                     RULE:^CN=(.*?),OU=(.*?),O=(.*?)$/$1@$2.$3/L,RULE:^.*[Cc][Nn]=([a-z.]*).*$/$1/U,DEFAULT";
        for (subject, name) in [
            ("CN=kafka1,OU=ServiceUsers,O=Acme", "kafka1"),
            ("CN=Adam,OU=Admin,O=Acme", "adam@admin.acme"),
            ("cn=eve,dc=example", "EVE"),
            ("O=nobody", "O=nobody"),
        ] {
            assert_eq!(applied(rules, subject).as_deref(), Some(name));
        }
        assert_eq!(
            applied("RULE:CN=a/a/", "CN=ab"),
            None,
            "a pattern matches all of it or nothing"
        );
        assert_eq!(applied("", "CN=a").as_deref(), Some("CN=a"));
    }

    #[test]
    fn a_replacement_is_filled_in_as_java_does_it() {
        for (replacement, name) in [
            ("$1", "a"),
            ("$12", "a2"),
            ("$0", "CN=a"),
            ("$2", "$2"),
            ("$", "$"),
            ("\\$1", "$1"),
            ("x\\/y", "x/y"),
        ] {
            let rule = format!("RULE:CN=(.)/{replacement}/");
            assert_eq!(applied(&rule, "CN=a").as_deref(), Some(name), "{replacement}");
        }
    }

    #[test]
    fn what_is_no_rule_is_refused() {
        for bad in
            ["default", "RULE:a", "RULE:a/b", "RULE:(/b/", "RULE:a/b/L DEFAULT", "RULE:(?=a)/b/"]
        {
            assert!(PrincipalRules::parse(bad).is_err(), "{bad}");
        }
    }
}
