//! Patterns over subjects.

use std::borrow::Cow;
use std::fmt;

use bytes::{BufMut, Bytes, BytesMut};

use super::{
    END, IS_END, IS_MARK, IS_ONE, IS_ONE_OR_MORE, IS_ZERO_OR_MORE, MARK, Subject, TEXT, level,
    put_level,
};

/// One step of a filter.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step<'a> {
    /// This level, as it is meant.
    Literal(Cow<'a, [u8]>),
    /// Any one level.
    One,
    /// Any number of levels, none too.
    ZeroOrMore,
    /// All levels from here on, one at least. Only last.
    OneOrMore,
}

/// Which subjects somebody wants.
///
/// Held as a subject is, with `1 3`, `1 4` and `1 5` for the three wildcards; so a filter without
/// wildcards has the bytes of the one subject that it matches.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Filter {
    bytes: Bytes,
    skips_hidden: bool,
}

impl Filter {
    /// The filter of these steps. `None` if there is none, or something comes after
    /// [`Step::OneOrMore`].
    pub fn from_steps<'a>(steps: impl IntoIterator<Item = Step<'a>>) -> Option<Self> {
        let mut bytes = BytesMut::new();
        let (mut any, mut over) = (false, false);
        for step in steps {
            if over {
                return None;
            }
            if std::mem::replace(&mut any, true) {
                bytes.put_u8(END);
            }
            match step {
                Step::Literal(level) => put_level(&mut bytes, &level),
                Step::One => bytes.put_slice(&[MARK, IS_ONE]),
                Step::ZeroOrMore => bytes.put_slice(&[MARK, IS_ZERO_OR_MORE]),
                Step::OneOrMore => {
                    bytes.put_slice(&[MARK, IS_ONE_OR_MORE]);
                    over = true;
                }
            }
        }
        // No larger than it must be: there may be very many.
        any.then(|| Self { bytes: Bytes::copy_from_slice(&bytes), skips_hidden: false })
    }

    /// The filter that matches this subject alone.
    pub fn exact(subject: &Subject) -> Self {
        Self { bytes: subject.bytes().clone(), skips_hidden: false }
    }

    /// From [`Filter::bytes`]. `None` if the bytes are no filter's.
    pub fn from_bytes(bytes: Bytes) -> Option<Self> {
        let steps: Vec<_> = bytes.split(|byte| *byte == END).collect();
        let last = steps.len() - 1;
        for (number, raw) in steps.iter().enumerate() {
            match raw {
                [MARK, IS_ONE | IS_ZERO_OR_MORE] => {}
                [MARK, IS_ONE_OR_MORE] if number == last => {}
                raw => {
                    let mut rest = raw.iter();
                    while let Some(byte) = rest.next() {
                        if *byte == MARK && !matches!(rest.next(), Some(&(IS_END | IS_MARK))) {
                            return None;
                        }
                    }
                }
            }
        }
        Some(Self { bytes, skips_hidden: false })
    }

    /// The same filter, of which a wildcard at the beginning does (not) match hidden subjects
    /// ([`Subject::is_hidden`]).
    #[must_use]
    pub fn skipping_hidden(mut self, skips: bool) -> Self {
        self.skips_hidden = skips && self.begins_with_wildcard();
        self
    }

    /// Whether hidden subjects are not matched.
    pub fn skips_hidden(&self) -> bool {
        self.skips_hidden
    }

    /// Whether its first step is a wildcard.
    pub fn begins_with_wildcard(&self) -> bool {
        self.raw_steps().next().is_some_and(|raw| !matches!(step(raw), Step::Literal(_)))
    }

    /// The string of bytes that it is, but for [`Filter::skips_hidden`].
    pub fn bytes(&self) -> &Bytes {
        &self.bytes
    }

    /// The subject that alone it matches, if it has no wildcard.
    pub fn as_exact(&self) -> Option<Subject> {
        self.is_exact().then(|| Subject(self.bytes.clone()))
    }

    /// Whether it has no wildcard.
    pub fn is_exact(&self) -> bool {
        self.raw_steps().all(|raw| matches!(step(raw), Step::Literal(_)))
    }

    /// As text, what the names of all subjects begin with that it matches: all of the name, if it has no wildcard; else what
    /// stands before the first one, and the dot after that.
    pub fn head(&self) -> String {
        let literal = |step| match step {
            Step::Literal(level) => Some(level),
            _ => None,
        };
        let literal: Vec<_> = self.steps().map_while(literal).collect();
        if literal.is_empty() {
            return String::new();
        }
        let mut head = Subject::from_levels(&literal).to_string();
        if !self.is_exact() {
            head.push('.');
        }
        head
    }

    /// Its steps.
    pub fn steps(&self) -> impl Iterator<Item = Step<'_>> {
        self.raw_steps().map(step)
    }

    /// Its steps as they stand in the bytes: literal ones equal the raw levels that they match.
    pub fn raw_steps(&self) -> impl Iterator<Item = &[u8]> {
        self.bytes.split(|byte| *byte == END)
    }

    /// Whether it matches a subject. For one question; who has many filters keeps them in a router.
    pub fn matches(&self, subject: &Subject) -> bool {
        if self.skips_hidden && subject.is_hidden() {
            return false;
        }
        // The places in the filter that the levels so far can have led to.
        let steps: Vec<_> = self.steps().collect();
        let mut places = vec![false; steps.len() + 1];
        places[0] = true;
        skip_empty(&steps, &mut places);
        for raw in subject.raw_levels() {
            let mut next = vec![false; steps.len() + 1];
            for (at, step) in steps.iter().enumerate().filter(|(at, _)| places[*at]) {
                match step {
                    Step::Literal(literal) => next[at + 1] |= *literal == level(raw),
                    Step::One => next[at + 1] = true,
                    Step::ZeroOrMore => next[at] = true,
                    Step::OneOrMore => (next[at], next[at + 1]) = (true, true),
                }
            }
            skip_empty(&steps, &mut next);
            places = next;
        }
        places[steps.len()]
    }

    /// Whether some subject is matched by both.
    pub fn intersects(&self, other: &Self) -> bool {
        let (left, right): (Vec<_>, Vec<_>) = (self.steps().collect(), other.steps().collect());
        let width = right.len() + 1;
        let mut seen = vec![false; (left.len() + 1) * width];
        let mut open = vec![(0, 0)];
        let hidden_first = |steps: &[Step<'_>]| match steps.first() {
            Some(Step::Literal(level)) => level.first() == Some(&b'$'),
            _ => false,
        };
        // One wants a hidden subject, the other none.
        if (self.skips_hidden && hidden_first(&right))
            || (other.skips_hidden && hidden_first(&left))
        {
            return false;
        }
        while let Some((a, b)) = open.pop() {
            if std::mem::replace(&mut seen[a * width + b], true) {
                continue;
            }
            if a == left.len() && b == right.len() {
                return true;
            }
            let (step_a, step_b) = (left.get(a), right.get(b));
            if step_a == Some(&Step::ZeroOrMore) {
                open.push((a + 1, b));
            }
            if step_b == Some(&Step::ZeroOrMore) {
                open.push((a, b + 1));
            }
            let (Some(step_a), Some(step_b)) = (step_a, step_b) else { continue };
            if let (Step::Literal(one), Step::Literal(two)) = (step_a, step_b)
                && one != two
            {
                continue;
            }
            // One level that both take; a wildcard of many may take the next one, too.
            let after = |step: &Step<'_>, at: usize| match step {
                Step::Literal(_) | Step::One => vec![at + 1],
                Step::ZeroOrMore => vec![at],
                Step::OneOrMore => vec![at, at + 1],
            };
            for next_a in after(step_a, a) {
                open.extend(after(step_b, b).into_iter().map(|next_b| (next_a, next_b)));
            }
        }
        false
    }
}

/// A step from what stands in a filter's bytes.
fn step(raw: &[u8]) -> Step<'_> {
    match raw {
        [MARK, IS_ONE] => Step::One,
        [MARK, IS_ZERO_OR_MORE] => Step::ZeroOrMore,
        [MARK, IS_ONE_OR_MORE] => Step::OneOrMore,
        raw => Step::Literal(level(raw)),
    }
}

/// Where a place is before a step that may match nothing, the next place is one, too.
fn skip_empty(steps: &[Step<'_>], places: &mut [bool]) {
    for (at, step) in steps.iter().enumerate() {
        if places[at] && *step == Step::ZeroOrMore {
            places[at + 1] = true;
        }
    }
}

/// As people read it: see [`TEXT`].
impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&String::from_utf8_lossy(&TEXT.filter_name(self)))
    }
}

impl fmt::Debug for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Filter({self}{})", if self.skips_hidden { ", none hidden" } else { "" })
    }
}
