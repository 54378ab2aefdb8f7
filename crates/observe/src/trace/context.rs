//! What a message says of the trace that it is part of (W3C Trace Context, <https://www.w3.org/TR/trace-context/>).

/// The name of the field, in whatever letters (§3.2.1).
const PARENT: &[u8] = b"traceparent";

/// The flag that says that the caller may have recorded it (§3.2.2.5.1).
const SAMPLED: u8 = 1;

/// Which trace, and which span in it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Context {
    /// The trace; not 0.
    pub trace_id: u128,
    /// The span that the message was sent in; not 0.
    pub span_id: u64,
    /// Its flags.
    pub flags: u8,
}

impl Context {
    /// Reads a field's value: version, trace, parent and flags (§3.2.2). Later versions may have more behind them. `None`:
    /// it cannot be read, and is to be passed over.
    pub fn parse(value: &[u8]) -> Option<Self> {
        let mut parts = value.split(|byte| *byte == b'-');
        let mut next = |length: usize| {
            let is_digit = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
            let part = parts.next().filter(|part| part.len() == length);
            part.filter(|part| part.iter().all(is_digit)).and_then(|part| str::from_utf8(part).ok())
        };
        let (version, trace, parent, flags) = (next(2)?, next(32)?, next(16)?, next(2)?);
        let is_known = match version {
            "ff" => false,
            "00" => parts.next().is_none(),
            _ => true,
        };
        let trace_id = u128::from_str_radix(trace, 16).ok().filter(|id| *id != 0 && is_known)?;
        let span_id = u64::from_str_radix(parent, 16).ok().filter(|id| *id != 0)?;
        Some(Self { trace_id, span_id, flags: u8::from_str_radix(flags, 16).ok()? })
    }

    /// Whether a header has this field's name.
    pub fn is_name(name: &[u8]) -> bool {
        name.len() == PARENT.len() && name.eq_ignore_ascii_case(PARENT)
    }

    /// What the headers of a message say, if they say that it is to be followed.
    pub fn sampled<'a>(
        headers: impl Iterator<Item = (&'a [u8], Option<&'a [u8]>)>,
    ) -> Option<Self> {
        let mut named = headers.filter(|(name, _)| Self::is_name(name));
        let (_, value) = named.next()?;
        Self::parse(value?).filter(|context| context.flags & SAMPLED != 0)
    }
}
