//! The generated messages: one module for each request and response, and its main struct here too.
//!
//! `build.rs` writes them from `schema/*.schema`. A field that a version lacks has its default
//! after decoding and is left out on encoding.
#![allow(
    clippy::too_many_lines,
    clippy::collapsible_if,
    clippy::field_reassign_with_default,
    clippy::redundant_closure,
    clippy::redundant_closure_for_method_calls,
    unused_variables,
    reason = "generated: one shape for all messages"
)]

/// What every generated module uses.
mod prelude {
    #![allow(unused_imports, reason = "not every message has bytes or nulls")]
    pub(super) use super::super::message::{check_version, required};
    #[cfg(any(test, feature = "fuzzing"))]
    pub(super) use super::super::sample::{Sample, Sampled};
    pub(super) use super::super::{
        ApiKey, Message, Reader, RequestMessage, TaggedFields, WireError, Writer,
    };
    pub(super) use bytes::Bytes;
}

include!(concat!(env!("OUT_DIR"), "/messages.rs"));
