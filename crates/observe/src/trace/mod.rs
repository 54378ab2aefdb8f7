//! The path of single messages, hop by hop, for those that ask for it: messages with a `traceparent` whose flag says
//! *sampled* (W3C Trace Context). What happens to such a message is a [`Span`]; the newest are kept in memory ([`Traces`]), and
//! may be sent on. Nobody else's message costs more than a look at whether it has headers.

mod context;
mod spans;
#[cfg(test)]
mod tests;
mod who;

pub use context::Context;
pub use spans::{Begin, Page, SPANS_MAX, Span, SpanRef, Step, Stored, Traces};
pub use who::{Who, carried};
