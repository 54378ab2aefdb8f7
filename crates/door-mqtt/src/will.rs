//! What is published for a client that goes without a word.

use std::time::Duration;

use broker::Message;
use bytes::Bytes;

use crate::map::{self, Published};
use crate::wire::connect;

/// A will, ready to be published but for the time.
#[derive(Debug)]
pub(crate) struct Will {
    pub(crate) topic: Box<str>,
    pub(crate) delay: Duration,
    pub(crate) retain: bool,
    /// In seconds from when it is published.
    pub(crate) expiry: Option<u32>,
    pub(crate) message: Message,
}

impl Will {
    /// Takes over what a client said.
    pub(crate) fn of(will: &connect::Will<'_>, publisher: broker::PublisherId) -> Self {
        let published = Published { qos: will.qos, retain: will.retain };
        let payload = Bytes::copy_from_slice(will.payload);
        let message = map::message(published, &will.properties, payload, publisher, || 0);
        Self {
            topic: will.topic.into(),
            delay: Duration::from_secs(will.delay.into()),
            retain: will.retain,
            expiry: will.properties.expiry,
            message,
        }
    }
}
