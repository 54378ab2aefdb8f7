//! Names of topics, and filters (5.0 §4.7).

use super::WireError;
use crate::limits::LEVELS_MAX;

const TOO_MANY_LEVELS: WireError = WireError::Protocol("too many levels");

/// Checks the name of a topic that is published to.
///
/// # Errors
/// It is empty, has a wildcard, or too many levels.
#[inline]
pub(crate) fn check_topic(name: &str) -> Result<(), WireError> {
    let (mut has_wildcard, mut levels) = (false, 1);
    for byte in name.bytes() {
        has_wildcard |= matches!(byte, b'+' | b'#');
        levels += usize::from(byte == b'/');
    }
    if levels > LEVELS_MAX {
        return Err(TOO_MANY_LEVELS);
    }
    if name.is_empty() || has_wildcard { Err(WireError::TopicName) } else { Ok(()) }
}

/// Checks a filter: `+` is a whole level, `#` is the last one.
///
/// # Errors
/// It is not.
pub(crate) fn check_filter(filter: &str) -> Result<(), WireError> {
    if filter.is_empty() {
        return Err(WireError::TopicFilter);
    }
    let mut levels = filter.split('/').peekable();
    while let Some(level) = levels.next() {
        let is_last = levels.peek().is_none();
        let is_fine = match level {
            "+" => true,
            "#" => is_last,
            _ => !level.contains(['+', '#']),
        };
        if !is_fine {
            return Err(WireError::TopicFilter);
        }
    }
    Ok(())
}

/// A subscription's filter: who shares it, if it is shared, and what it matches.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SharedFilter<'a> {
    pub(crate) group: Option<&'a str>,
    pub(crate) filter: &'a str,
}

impl<'a> SharedFilter<'a> {
    /// Takes `$share/group/filter` apart (5.0 §4.8.2); any other filter is not shared.
    ///
    /// # Errors
    /// There is no group, or no filter.
    pub(crate) fn parse(text: &'a str) -> Result<Self, WireError> {
        let Some(rest) = text.strip_prefix("$share/") else {
            check_filter(text)?;
            return Ok(Self { group: None, filter: text });
        };
        let (group, filter) = rest.split_once('/').ok_or(WireError::TopicFilter)?;
        if group.is_empty() || group.contains(['+', '#']) {
            return Err(WireError::TopicFilter);
        }
        check_filter(filter)?;
        Ok(Self { group: Some(group), filter })
    }
}
