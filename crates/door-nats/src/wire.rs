//! The codec: from bytes to values and back, without I/O.
//!
//! The protocol is that of nats-server 2.15 as its documentation and clients have it: control lines
//! of text, each with a verb in any case, fields parted by spaces or tabs, and a payload by length.

pub(crate) mod connect;
pub(crate) mod encode;
pub(crate) mod headers;
pub(crate) mod info;
pub(crate) mod nkey;
pub(crate) mod parse;
pub(crate) mod subject;

#[cfg(test)]
mod tests;
