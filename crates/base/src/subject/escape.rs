//! Between a protocol's way of writing names and subjects, without loss in either direction: two names
//! are never the same subject, every subject has a name, and each comes back as it was.
//!
//! A byte that a level cannot have in some syntax is written there as the syntax's introducer and two hexadecimal
//! digits (one byte may be the introducer twice instead). An introducer that means itself is left
//! alone, unless it would be taken for such a sequence; then its own code follows it, once more than in
//! the level. With `%`: `a/b` is `a%2Fb`, `a%2Fb` is `a%252Fb`, `a%252Fb` is `a%25252Fb`, and `100%` is
//! `100%`. Whole levels that mean something else there (a wildcard, or nothing at all) have an
//! introducer in front, in the same manner.

use bytes::{BufMut, Bytes, BytesMut};

use super::filter::{Filter, Step};
use super::{END, MARK, Subject, put_level};

/// The form that people write and read: levels end at dots, `*` is one level, `>` one or more. A dot in a level
/// is `//`, an empty level is `/`.
pub static TEXT: Escape = Escape::new(Rules {
    slot: 0,
    separator: b'.',
    introducer: b'/',
    doubled: Some(b'.'),
    forbidden: b" \t\r\n\x0c\0",
    empty_levels: false,
    wildcards: &[(b'*', Wildcard::One), (b'>', Wildcard::OneOrMore)],
    many_only_last: true,
    utf8: false,
    skips_hidden: false,
});

/// As [`TEXT`], for filters that are kept: `#` is any number of levels, none too, anywhere.
pub static FILTERS: Escape = Escape::new(Rules {
    slot: 0,
    separator: b'.',
    introducer: b'/',
    doubled: Some(b'.'),
    forbidden: b" \t\r\n\x0c\0",
    empty_levels: false,
    wildcards: &[(b'*', Wildcard::One), (b'#', Wildcard::ZeroOrMore), (b'>', Wildcard::OneOrMore)],
    many_only_last: false,
    utf8: false,
    skips_hidden: false,
});

/// Routing keys: words end at dots and may be empty, `*` is one word, `#` any number of them, anywhere. What would be taken
/// for something else is written with `%`.
pub static KEYS: Escape = Escape::new(Rules {
    slot: 2,
    separator: b'.',
    introducer: b'%',
    doubled: None,
    forbidden: b"",
    empty_levels: true,
    wildcards: &[(b'*', Wildcard::One), (b'#', Wildcard::ZeroOrMore)],
    many_only_last: false,
    utf8: false,
    skips_hidden: false,
});

/// A wildcard that is a level by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wildcard {
    /// Any one level.
    One,
    /// Any number of levels, none too.
    ZeroOrMore,
    /// One or more levels, to the end.
    OneOrMore,
}

/// How a protocol writes names.
#[derive(Debug, Clone, Copy)]
pub struct Rules {
    /// A small number of its own, below [`Escape::SLOTS`]: names in this syntax are remembered under it.
    pub slot: usize,
    /// Between levels.
    pub separator: u8,
    /// Begins what is escaped.
    pub introducer: u8,
    /// The byte that is written as two introducers.
    pub doubled: Option<u8>,
    /// Bytes that no level can have as they are; the separator too, unless it is the one doubled.
    pub forbidden: &'static [u8],
    /// A level may be empty.
    pub empty_levels: bool,
    /// What stands for a wildcard where it is a whole level. One that is forbidden in levels must be among
    /// those, too.
    pub wildcards: &'static [(u8, Wildcard)],
    /// A wildcard for any number of levels can only be last.
    pub many_only_last: bool,
    /// Names are UTF-8.
    pub utf8: bool,
    /// A wildcard in the beginning does not match hidden subjects ([`Subject::is_hidden`]).
    pub skips_hidden: bool,
}

/// Converts names in one syntax. See the module.
#[derive(Debug)]
pub struct Escape {
    rules: Rules,
    /// What a byte is.
    classes: [Class; 256],
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Class {
    Plain,
    Separator,
    /// Needs a closer look, which most names do not.
    Special,
    Forbidden,
}

/// Why something is not a subject's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotASubject {
    /// A level is empty.
    #[error("a level is empty")]
    EmptyLevel,
    /// It has a byte that it cannot have.
    #[error("byte {0:#04x} cannot be in a name")]
    Byte(u8),
    /// A level is a wildcard.
    #[error("a level is a wildcard")]
    Wildcard,
    /// It is not UTF-8.
    #[error("not UTF-8")]
    NotUtf8,
}

/// Why something is not a filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAFilter {
    /// One of its levels is not one.
    #[error(transparent)]
    Level(NotASubject),
    /// A wildcard for many levels is not the last.
    #[error("only the last level can stand for many")]
    NotLast,
}

impl Escape {
    /// Slots of names, see [`Rules::slot`].
    pub const SLOTS: usize = 8;

    /// From its rules.
    pub const fn new(rules: Rules) -> Self {
        assert!(rules.slot < Self::SLOTS, "there are only so many slots");
        let mut classes = [Class::Plain; 256];
        // Stands for itself in a name, but not in a subject.
        classes[END as usize] = Class::Special;
        classes[MARK as usize] = Class::Special;
        classes[rules.introducer as usize] = Class::Special;
        let mut at = 0;
        while at < rules.wildcards.len() {
            classes[rules.wildcards[at].0 as usize] = Class::Special;
            at += 1;
        }
        let mut at = 0;
        while at < rules.forbidden.len() {
            classes[rules.forbidden[at] as usize] = Class::Forbidden;
            at += 1;
        }
        classes[rules.separator as usize] = Class::Separator;
        Self { rules, classes }
    }

    /// Its rules.
    pub fn rules(&self) -> &Rules {
        &self.rules
    }

    /// The subject of this name.
    ///
    /// # Errors
    /// See [`NotASubject`].
    pub fn subject(&self, name: &[u8]) -> Result<Subject, NotASubject> {
        if self.rules.utf8 && std::str::from_utf8(name).is_err() {
            return Err(NotASubject::NotUtf8);
        }
        // What needs no closer look is copied, and its separators changed.
        let mut bytes = BytesMut::with_capacity(name.len());
        let mut begins = true;
        for byte in name {
            match self.class(*byte) {
                Class::Plain => bytes.put_u8(*byte),
                Class::Separator if !begins || self.rules.empty_levels => bytes.put_u8(END),
                _ => return self.subject_slowly(name),
            }
            begins = self.class(*byte) == Class::Separator;
        }
        if begins && !self.rules.empty_levels {
            return Err(NotASubject::EmptyLevel);
        }
        Ok(Subject(bytes.freeze()))
    }

    fn subject_slowly(&self, name: &[u8]) -> Result<Subject, NotASubject> {
        let mut bytes = BytesMut::with_capacity(name.len());
        for (number, part) in name.split(|byte| *byte == self.rules.separator).enumerate() {
            if number > 0 {
                bytes.put_u8(END);
            }
            if self.wildcard(part).is_some() {
                return Err(NotASubject::Wildcard);
            }
            put_level(&mut bytes, &self.level(part)?);
        }
        Ok(Subject(bytes.freeze()))
    }

    /// The filter of this name.
    ///
    /// # Errors
    /// See [`NotAFilter`].
    pub fn filter(&self, name: &[u8]) -> Result<Filter, NotAFilter> {
        if self.rules.utf8 && std::str::from_utf8(name).is_err() {
            return Err(NotAFilter::Level(NotASubject::NotUtf8));
        }
        let parts: Vec<_> = name.split(|byte| *byte == self.rules.separator).collect();
        let mut steps = Vec::with_capacity(parts.len());
        for (number, part) in parts.iter().enumerate() {
            let step = match self.wildcard(part) {
                Some(Wildcard::One) => Step::One,
                Some(_) if self.rules.many_only_last && number + 1 < parts.len() => {
                    return Err(NotAFilter::NotLast);
                }
                Some(Wildcard::ZeroOrMore) => Step::ZeroOrMore,
                Some(Wildcard::OneOrMore) => Step::OneOrMore,
                None => Step::Literal(self.level(part).map_err(NotAFilter::Level)?.into()),
            };
            steps.push(step);
        }
        let filter = Filter::from_steps(steps).ok_or(NotAFilter::NotLast)?;
        Ok(filter.skipping_hidden(self.rules.skips_hidden))
    }

    /// The name of this subject.
    pub fn name(&self, subject: &Subject) -> Bytes {
        let mut name = Vec::with_capacity(subject.as_bytes().len());
        self.put_name(subject, &mut name);
        name.into()
    }

    /// Appends the name of this subject.
    pub fn put_name(&self, subject: &Subject, name: &mut Vec<u8>) {
        for (number, level) in subject.levels().enumerate() {
            if number > 0 {
                name.push(self.rules.separator);
            }
            self.put_level(&level, name);
        }
    }

    /// The name of this filter. A wildcard that this syntax does not have is written `#`.
    pub fn filter_name(&self, filter: &Filter) -> Vec<u8> {
        let mut name = Vec::with_capacity(filter.bytes().len());
        let word = |wanted: Wildcard| {
            let mut words = self.rules.wildcards.iter();
            words.find(|(_, wildcard)| *wildcard == wanted).map_or(b'#', |(byte, _)| *byte)
        };
        for (number, step) in filter.steps().enumerate() {
            if number > 0 {
                name.push(self.rules.separator);
            }
            match step {
                Step::Literal(level) => self.put_level(&level, &mut name),
                Step::One => name.push(word(Wildcard::One)),
                Step::ZeroOrMore => name.push(word(Wildcard::ZeroOrMore)),
                Step::OneOrMore => name.push(word(Wildcard::OneOrMore)),
            }
        }
        name
    }

    fn class(&self, byte: u8) -> Class {
        self.classes[usize::from(byte)]
    }

    fn wildcard(&self, part: &[u8]) -> Option<Wildcard> {
        let [byte] = part else { return None };
        let mut words = self.rules.wildcards.iter();
        words.find(|(word, _)| word == byte).map(|(_, wildcard)| *wildcard)
    }

    /// Whether this means something else where it is a whole level.
    fn is_word(&self, part: &[u8]) -> bool {
        match part {
            [] => !self.rules.empty_levels,
            part => self.wildcard(part).is_some(),
        }
    }

    /// Appends a level as it is written.
    fn put_level(&self, level: &[u8], name: &mut Vec<u8>) {
        let utf8 = !self.rules.utf8 || std::str::from_utf8(level).is_ok();
        if utf8 && !level.is_empty() && level.iter().all(|byte| self.class(*byte) == Class::Plain) {
            return name.extend_from_slice(level);
        }
        let begin = name.len();
        if !utf8 {
            name.extend([self.rules.introducer, b'x']);
            return level.iter().for_each(|byte| name.extend(hex(*byte)));
        }
        self.write(level, name);
        // What would be taken for a word, or for what stands for one, is moved on by one.
        let (marks, word) = self.chain(&name[begin..]);
        let again = marks.is_some() && self.is_chained(word);
        if again {
            let code = hex(self.rules.introducer);
            name.splice(begin + 1..begin + 1, code);
        } else if self.is_word(&name[begin..]) {
            name.insert(begin, self.rules.introducer);
        }
    }

    /// A level from what is written.
    fn level(&self, part: &[u8]) -> Result<Vec<u8>, NotASubject> {
        if part.is_empty() && !self.rules.empty_levels {
            return Err(NotASubject::EmptyLevel);
        }
        let illegal =
            |byte: &&u8| matches!(self.class(**byte), Class::Forbidden | Class::Separator);
        if let Some(byte) = part.iter().find(illegal) {
            return Err(NotASubject::Byte(*byte));
        }
        let (marks, word) = self.chain(part);
        match marks.filter(|_| self.is_chained(word)) {
            None => Ok(self.read(part)),
            Some(0) => match self.not_utf8(word) {
                Some(level) => Ok(level),
                None => Ok(word.to_vec()),
            },
            Some(_) => {
                let mut inner = part.to_vec();
                inner.drain(1..3);
                Ok(self.read(&inner))
            }
        }
    }

    /// Takes an introducer and its own codes off the front: how many codes, if there is an introducer,
    /// and what follows.
    fn chain<'a>(&self, part: &'a [u8]) -> (Option<usize>, &'a [u8]) {
        let Some((first, mut rest)) = part.split_first() else { return (None, part) };
        if *first != self.rules.introducer {
            return (None, part);
        }
        let code = hex(self.rules.introducer);
        let mut marks = 0;
        while let Some(after) = rest.strip_prefix(&code) {
            (rest, marks) = (after, marks + 1);
        }
        (Some(marks), rest)
    }

    /// Whether this, after an introducer, stands for a whole level.
    fn is_chained(&self, word: &[u8]) -> bool {
        self.is_word(word) || self.not_utf8(word).is_some()
    }

    /// The level that is not UTF-8 and is written so.
    fn not_utf8(&self, word: &[u8]) -> Option<Vec<u8>> {
        let digits = word.strip_prefix(b"x").filter(|digits| digits.len().is_multiple_of(2))?;
        if !self.rules.utf8 {
            return None;
        }
        let level = digits.chunks_exact(2).map(unhex).collect::<Option<Vec<u8>>>()?;
        std::str::from_utf8(&level).is_err().then_some(level)
    }

    /// Appends what is in a level, whatever a whole level may mean.
    fn write(&self, level: &[u8], name: &mut Vec<u8>) {
        let introducer = self.rules.introducer;
        let mut rest = level;
        while let Some((&byte, after)) = rest.split_first() {
            rest = after;
            if Some(byte) == self.rules.doubled {
                name.extend([introducer, introducer]);
            } else if self.is_coded(byte) {
                name.push(introducer);
                name.extend(hex(byte));
            } else if byte == introducer {
                let (marks, next) = self.chain(&level[level.len() - rest.len() - 1..]);
                name.push(introducer);
                let marks = marks.unwrap_or(0) + usize::from(self.needs_mark(next));
                (0..marks).for_each(|_| name.extend(hex(introducer)));
                rest = next;
            } else {
                name.push(byte);
            }
        }
    }

    /// Whether an introducer that means itself, with this behind it in the level, would be taken for something
    /// else.
    fn needs_mark(&self, next: &[u8]) -> bool {
        let doubles = self.rules.doubled.is_some();
        let begins_with_introducer = next.first().is_some_and(|byte| {
            *byte == self.rules.introducer
                || Some(*byte) == self.rules.doubled
                || self.is_coded(*byte)
        });
        (doubles && begins_with_introducer) || self.code(next).is_some()
    }

    /// The reverse of [`Self::write`].
    fn read(&self, part: &[u8]) -> Vec<u8> {
        let introducer = self.rules.introducer;
        let mut level = Vec::with_capacity(part.len());
        let mut rest = part;
        while let Some((&byte, after)) = rest.split_first() {
            if byte != introducer {
                level.push(byte);
                rest = after;
                continue;
            }
            let (marks, next) = self.chain(rest);
            let marks = marks.unwrap_or(0);
            let twice = self.rules.doubled.filter(|_| next.first() == Some(&introducer));
            match (marks, twice, self.code(next)) {
                (0, Some(doubled), _) => {
                    level.push(doubled);
                    rest = &next[1..];
                }
                (0, None, Some(coded)) => {
                    level.push(coded);
                    rest = &next[2..];
                }
                (marks, twice, coded) => {
                    let fewer = usize::from(twice.is_some() || coded.is_some());
                    level.push(introducer);
                    (0..marks - fewer).for_each(|_| level.extend(hex(introducer)));
                    // A code after it means itself.
                    let code = if coded.is_some() { 2 } else { 0 };
                    level.extend_from_slice(&next[..code]);
                    rest = &next[code..];
                }
            }
        }
        level
    }

    /// Whether a byte is written as its code.
    fn is_coded(&self, byte: u8) -> bool {
        let special = matches!(self.class(byte), Class::Forbidden | Class::Separator);
        special && Some(byte) != self.rules.doubled
    }

    /// The byte whose code this begins with.
    fn code(&self, next: &[u8]) -> Option<u8> {
        next.get(..2).and_then(unhex).filter(|byte| self.is_coded(*byte))
    }
}

fn hex(byte: u8) -> [u8; 2] {
    const DIGITS: &[u8; 16] = b"0123456789ABCDEF";
    [DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]
}

/// Two digits as [`hex`] writes them.
fn unhex(digits: &[u8]) -> Option<u8> {
    let digit = |digit: u8| match digit {
        b'0'..=b'9' => Some(digit - b'0'),
        b'A'..=b'F' => Some(digit - b'A' + 10),
        _ => None,
    };
    let [high, low] = digits else { return None };
    Some(digit(*high)? << 4 | digit(*low)?)
}
