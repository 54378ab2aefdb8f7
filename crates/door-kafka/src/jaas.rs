//! The line that Java programs configure a login with (JAAS): a module's class, a flag, options.

use std::collections::BTreeMap;

/// What the name of an option that names a user begins with.
const USER: &str = "user_";

/// One module with its options.
#[derive(Debug, PartialEq, Eq)]
pub struct Module {
    /// Its class, without the packages; empty if only options were given.
    pub class: String,
    options: BTreeMap<String, String>,
}

impl Module {
    /// Reads `class flag option="value" …;`, or options alone. `None` if it is neither.
    pub fn parse(text: &str) -> Option<Self> {
        let words = words(text.trim().trim_end_matches(';'))?;
        let mut class = String::new();
        let mut options = BTreeMap::new();
        for (index, word) in words.into_iter().enumerate() {
            match word {
                (name, Some(value)) => _ = options.insert(name, value),
                (name, None) if index == 0 => {
                    name.rsplit('.').next().unwrap_or_default().clone_into(&mut class);
                }
                // The flag, such as `required`.
                (_, None) if index == 1 && !class.is_empty() => {}
                (_, None) => return None,
            }
        }
        Some(Self { class, options })
    }

    /// The value of an option.
    pub fn option(&self, name: &str) -> Option<&str> {
        self.options.get(name).map(String::as_str)
    }

    /// The users that it names, with their passwords.
    pub fn users(&self) -> BTreeMap<String, String> {
        let user = |(name, password): (&String, &String)| {
            Some((name.strip_prefix(USER)?.to_owned(), password.clone()))
        };
        self.options.iter().filter_map(user).filter(|(name, _)| !name.is_empty()).collect()
    }
}

/// Words and `name=value` pairs. A value in quotes may contain anything, quotes and backslashes with
/// a backslash in front.
fn words(text: &str) -> Option<Vec<(String, Option<String>)>> {
    let mut words = Vec::new();
    let mut rest = text.trim_start();
    while !rest.is_empty() {
        let end = rest.find(|c: char| c == '=' || c.is_whitespace()).unwrap_or(rest.len());
        let name = rest[..end].to_owned();
        let after = rest[end..].trim_start();
        let Some(value) = after.strip_prefix('=') else {
            words.push((name, None));
            rest = after;
            continue;
        };
        let (value, after) = value_of(value.trim_start())?;
        if name.is_empty() {
            return None;
        }
        words.push((name, Some(value)));
        rest = after.trim_start();
    }
    Some(words)
}

fn value_of(text: &str) -> Option<(String, &str)> {
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        let end = text.find(char::is_whitespace).unwrap_or(text.len());
        return Some((text[..end].to_owned(), &text[end..]));
    };
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1);
    while let Some((index, c)) = chars.next() {
        match c {
            '\\' => value.push(chars.next()?.1),
            c if c == quote => return Some((value, &text[index + 1..])),
            c => value.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_a_class_a_flag_and_options() {
        let line = "org.apache.kafka.common.security.plain.PlainLoginModule required \
                    username=\"admin\" password='a b' user_admin=\"a \\\"b\\\\\" user_zoe = x;";
        let module = Module::parse(line).unwrap();
        assert_eq!(module.class, "PlainLoginModule");
        let users = [("admin", "a \"b\\"), ("zoe", "x")];
        assert_eq!(module.users(), users.map(|(n, p)| (n.to_owned(), p.to_owned())).into());
        assert_eq!(Module::parse("user_a=\"=;\"").unwrap().users()["a"], "=;");
        assert!(Module::parse("").unwrap().users().is_empty());
    }

    #[test]
    fn what_is_no_such_line_is_refused() {
        for bad in ["a b c", "user_a=\"x", "=x", "x=1 y z", "user_a=\"\\"] {
            assert_eq!(Module::parse(bad), None, "{bad}");
        }
    }
}
