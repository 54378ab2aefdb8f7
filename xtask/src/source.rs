//! Rust source split into code and comments, so that a check can look at the one it means.
//!
//! Not a parser: it knows comments, strings and character literals, which is what a text check
//! needs to leave them out.

/// The two halves of a source file. Both keep every line break, so line numbers stay true.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Halves {
    /// The code; comments and the insides of literals are blanked.
    pub(crate) code: String,
    /// The comments; everything else is blanked.
    pub(crate) comments: String,
}

/// Splits Rust source into code and comments.
pub(crate) fn split(text: &str) -> Halves {
    let chars: Vec<char> = text.chars().collect();
    let mut halves = Halves { code: String::new(), comments: String::new() };
    let mut at = 0;
    while at < chars.len() {
        let rest = &chars[at..];
        let (length, part) = token(rest, at.checked_sub(1).map(|before| chars[before]));
        halves.push(&rest[..length], part);
        at += length;
    }
    halves
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Part {
    Code,
    Comment,
    Literal,
}

impl Halves {
    fn push(&mut self, chars: &[char], part: Part) {
        let last = chars.len() - 1;
        for (index, &c) in chars.iter().enumerate() {
            // The quotes of a literal stay, so that code around it still reads as code.
            let edge = part == Part::Literal && (index == 0 || index == last);
            let blank = if c == '\n' { '\n' } else { ' ' };
            self.code.push(if part == Part::Code || edge { c } else { blank });
            self.comments.push(if part == Part::Comment { c } else { blank });
        }
    }
}

/// The length and kind of what `rest` (never empty) starts with.
fn token(rest: &[char], before: Option<char>) -> (usize, Part) {
    let in_word = before.is_some_and(|c| c.is_alphanumeric() || c == '_');
    match rest {
        ['/', '/', ..] => (until_line_end(rest), Part::Comment),
        ['/', '*', ..] => (block_comment(rest), Part::Comment),
        ['"', ..] => (string(rest), Part::Literal),
        ['r', ..] if !in_word => raw_string(rest, 1),
        ['b' | 'c', 'r', ..] if !in_word => raw_string(rest, 2),
        ['\'', ..] => char_literal(rest).map_or((1, Part::Code), |n| (n, Part::Literal)),
        _ => (1, Part::Code),
    }
}

fn until_line_end(rest: &[char]) -> usize {
    rest.iter().position(|&c| c == '\n').unwrap_or(rest.len())
}

fn block_comment(rest: &[char]) -> usize {
    let mut depth = 0_usize;
    let mut at = 0;
    while at < rest.len() {
        match &rest[at..] {
            ['/', '*', ..] => (depth, at) = (depth + 1, at + 2),
            ['*', '/', ..] => (depth, at) = (depth - 1, at + 2),
            _ => at += 1,
        }
        if depth == 0 {
            break;
        }
    }
    at.min(rest.len())
}

fn string(rest: &[char]) -> usize {
    let mut at = 1;
    while at < rest.len() {
        match rest[at] {
            '\\' => at += 2,
            '"' => return at + 1,
            _ => at += 1,
        }
    }
    rest.len()
}

/// A raw string such as `r#"…"#`, whose hashes begin at `prefix`; one character of code if it is
/// none (a raw identifier, or a word that begins with the letter).
fn raw_string(rest: &[char], prefix: usize) -> (usize, Part) {
    let hashes = rest[prefix..].iter().take_while(|&&c| c == '#').count();
    let open = prefix + hashes;
    if rest.get(open) != Some(&'"') {
        return (1, Part::Code);
    }
    let closes = |at: usize| {
        rest[at] == '"'
            && rest[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes
    };
    let end = (open + 1..rest.len()).find(|&at| closes(at));
    (end.map_or(rest.len(), |at| at + 1 + hashes), Part::Literal)
}

/// The length of a character literal, or none for a lifetime.
fn char_literal(rest: &[char]) -> Option<usize> {
    match rest {
        ['\'', '\\', _, tail @ ..] => Some(tail.iter().position(|&c| c == '\'')? + 4),
        ['\'', _, '\'', ..] => Some(3),
        _ => None,
    }
}

/// The lines of a text with their numbers, counted from 1.
pub(crate) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines().enumerate().map(|(index, line)| (index + 1, line))
}

/// Whether `word` stands in `text` as a whole word.
pub(crate) fn has_word(text: &str, word: &str) -> bool {
    let part_of_word = |c: char| c.is_alphanumeric() || c == '_';
    text.match_indices(word).any(|(at, _)| {
        !text[..at].ends_with(part_of_word) && !text[at + word.len()..].starts_with(part_of_word)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> String {
        split(text).code
    }

    #[test]
    fn comments_are_parted_from_code() {
        let halves = split("let a = 1; // one\n/* two /* nested */ */ let b;\n");
        assert_eq!(halves.code, "let a = 1;       \n                       let b;\n");
        assert_eq!(halves.comments.trim_end(), "           // one\n/* two /* nested */ */");
    }

    #[test]
    fn literals_are_blanked_but_their_quotes_stay() {
        assert_eq!(code(r#"f("todo!() // x", 'x')"#), format!("f(\"{}\", ' ')", " ".repeat(12)));
        assert_eq!(code(r#"('\'', b"\"")"#), r#"('  ', b"  ")"#);
        assert_eq!(code("r#\"a \" b\"# + r\"x\""), "r        # + r  \"");
        assert_eq!(code("fn f<'a>(x: &'a str) -> r#type {}"), "fn f<'a>(x: &'a str) -> r#type {}");
    }

    #[test]
    fn an_unfinished_token_ends_with_the_file() {
        for text in ["\"abc", "/* abc", "r#\"abc", "'\\", "// x", "\"\\"] {
            assert_eq!(split(text).code.chars().count(), text.chars().count(), "{text}");
        }
    }

    #[test]
    fn a_word_is_not_found_inside_another() {
        assert!(has_word("async fn", "async") && has_word("(async)", "async"));
        assert!(!has_word("asynchronous", "async") && !has_word("is_async", "async"));
    }
}
