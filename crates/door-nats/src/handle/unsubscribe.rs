//! `UNSUB`: the end of a subscription, at once or after so many messages.

use crate::session::Session;

pub(crate) fn handle(session: &mut Session<'_>, sid: &[u8], max: Option<u64>) {
    let client = &session.client;
    if let Some(tag) = client.tag(sid) {
        let goes_on =
            max.is_some_and(|max| client.outgoing.with_subscriptions(|all| all.limit(tag, max)));
        if !goes_on {
            client.unsubscribe(sid);
        }
    }
    session.ok();
}
