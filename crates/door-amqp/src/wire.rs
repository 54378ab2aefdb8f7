//! What travels: the protocol header, frames, methods, content headers, field tables.
//!
//! Everything is read where it lies, as slices of what was received: a message costs no allocation here. Tables and
//! properties are checked when they are read and kept as they are, so that order, types and duplicates stay what their
//! sender wrote. Source: AMQP 0-9-1, the specification and its errata, with what RabbitMQ adds.

#[cfg(test)]
mod differential;
pub mod frame;
#[cfg(feature = "fuzzing")]
pub mod fuzz;
pub mod method;
pub mod properties;
pub mod reader;
pub mod reply;
pub mod table;
#[cfg(test)]
mod tests;
pub mod writer;

/// What a client of 0-9-1 begins with, and what anybody else is answered (§4.2.2).
pub const PROTOCOL_HEADER: [u8; 8] = *b"AMQP\x00\x00\x09\x01";

/// What cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SyntaxError {
    /// It ends in the middle of something.
    #[error("it ends too early")]
    TooShort,
    /// Something comes after its end.
    #[error("bytes after its end")]
    TooLong,
    /// A value in a table is of a type that nobody knows.
    #[error("a value of the unknown type {}", .0.escape_ascii())]
    ValueType(u8),
    /// Tables within tables, and more of them than anybody needs.
    #[error("tables nested more than {max} deep", max = table::DEPTH_MAX)]
    TooDeep,
    /// A flag of a property that there is not (§4.2.6.1).
    #[error("a flag of an unknown property")]
    PropertyFlags,
    /// There is no such class or method.
    #[error("unknown method {method} of class {class}")]
    Method {
        /// The class.
        class: u16,
        /// The method.
        method: u16,
    },
}
