//! ZooKeeper's wire format: jute records, without I/O.
//!
//! A connection begins with a [`ConnectRequest`](connect::ConnectRequest). After it, each request
//! is a header (`int xid`, `int op`) and a record, each reply a header (`int xid`, `long zxid`,
//! `int error`) and, where the error is zero, a record. All in frames that begin with their length.
//! Source: `zookeeper.jute` of Apache ZooKeeper 3.8.

pub(crate) mod client;
pub(crate) mod code;
pub(crate) mod connect;
pub(crate) mod jute;
pub(crate) mod op;
pub(crate) mod reply;
pub(crate) mod request;

#[cfg(test)]
mod tests;
