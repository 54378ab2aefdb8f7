//! UNSUBSCRIBE.

use crate::connection::{Client, End};
use crate::wire::name::SharedFilter;
use crate::wire::reason::Reason;
use crate::wire::subscribe::{Unsubscribe, encode_unsuback};

/// Ends subscriptions.
pub(super) fn handle(client: &mut Client, body: &[u8]) -> Result<(), End> {
    let unsubscribe = Unsubscribe::decode(client.version, body)?;
    let remove = |filter| {
        if SharedFilter::parse(filter).is_err() {
            return Reason::TOPIC_FILTER_INVALID;
        }
        // Dropped outside of the lock: the router may be delivering to this session.
        let removed = client.session.lock().subscriptions.remove(filter);
        if removed.is_some() { Reason::SUCCESS } else { Reason::NO_SUBSCRIPTION }
    };
    let reasons: Vec<_> = unsubscribe.filters().map(remove).collect();
    let version = client.version;
    client.answer(|out| encode_unsuback(version, unsubscribe.packet_id, &reasons, out))
}
