//! One file for each operation: what it means to the broker, and what the client is answered.

pub(crate) mod connect;
pub(crate) mod publish;
pub(crate) mod subscribe;
pub(crate) mod unsubscribe;
