//! The Kafka wire format: bytes to messages and back. No I/O, no async runtime.
//!
//! Most messages are generated from `schema/` ([`messages`]); Produce, Fetch and ShareFetch, which
//! carry the records, are written by hand ([`produce`], [`fetch`], [`share_fetch`]) so that records are never copied.
//! Every length is compared with the bytes that are there before anything is allocated for it, and
//! all arrays of a request share one budget of elements (see [`Reader`]).
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

mod api;
mod error;
mod error_code;
pub mod fetch;
mod frame;
mod header;
mod message;
pub mod messages;
pub mod produce;
mod reader;
pub mod share_fetch;
mod string;
mod writer;

#[cfg(feature = "fuzzing")]
pub mod fuzz;
#[cfg(any(test, feature = "fuzzing"))]
#[cfg_attr(not(test), allow(dead_code, reason = "fuzzing needs less of it than the tests"))]
mod sample;
#[cfg(test)]
mod tests;

pub use api::ApiKey;
pub use error::WireError;
pub use error_code::ErrorCode;
pub use frame::{
    decode_response, decode_versioned, encode_request, encode_response, encode_versioned,
};
pub use header::RequestHeader;
pub use message::{Message, RequestMessage};
pub use reader::Reader;
pub use string::Str;
pub use writer::{TaggedFields, Writer};
