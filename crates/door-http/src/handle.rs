//! One file for what is asked about together; a handler parses, calls one verb of the core, and replies.

pub(crate) mod diagnosis;
pub(crate) mod events;
pub(crate) mod groups;
pub(crate) mod health;
pub(crate) mod history;
pub(crate) mod messages;
pub(crate) mod metrics;
pub(crate) mod queues;
pub(crate) mod remedies;
mod search;
pub(crate) mod socket;
pub(crate) mod state;
pub(crate) mod subjects;
mod tail;
pub(crate) mod topics;
pub(crate) mod traces;
