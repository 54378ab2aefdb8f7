//! UNSUBSCRIBE.

use crate::connection::{Client, End};
use crate::map;
use crate::session::kept;
use crate::wire::name::SharedFilter;
use crate::wire::reason::Reason;
use crate::wire::subscribe::{Unsubscribe, encode_unsuback};

/// Ends subscriptions.
pub(super) async fn handle(client: &mut Client, body: &[u8]) -> Result<(), End> {
    let unsubscribe = Unsubscribe::decode(client.version, body)?;
    if let Some(session) = &client.session.kept {
        let wanted = |text| {
            let shared = SharedFilter::parse(text).ok()?;
            Some(kept::wanted(&shared, map::filter(shared.filter).ok()?))
        };
        let wanted: Vec<_> = unsubscribe.filters().filter_map(wanted).collect();
        if let Err(error) = session.unsubscribe(&wanted).await {
            return Err(End::Told(map::session_refusal(&error), error.to_string().into()));
        }
    }
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
