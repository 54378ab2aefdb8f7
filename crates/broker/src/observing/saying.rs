//! Events as messages to whoever listens, by whatever protocol: at once, and kept by nobody; the topic of events keeps them.

use std::sync::Arc;

use base::Subject;
use observe::Event;

use super::topic;
use crate::Broker;

/// The first level of the subjects of events; the others are the kind, as in `$events.incident.opened`. Only the broker publishes
/// to subjects that begin so.
pub const EVENTS_SUBJECT: &str = "$events";

/// Events that are said before others have their turn.
const BATCH: usize = 256;

/// Whether this is one of them.
pub(crate) fn is_of_events(subject: &Subject) -> bool {
    subject.levels().next().is_some_and(|level| *level == *EVENTS_SUBJECT.as_bytes())
}

/// Runs until the broker stops.
pub(super) async fn run(broker: Broker) {
    let events = &broker.observe().events;
    let mut newest = events.watch();
    // Nobody listens to what was before.
    let mut next = *newest.borrow() + 1;
    loop {
        let page = events.since(next, BATCH);
        next = page.next;
        page.events.iter().for_each(|event| say(&broker, event));
        if page.events.is_empty() && newest.wait_for(|newest| *newest >= next).await.is_err() {
            return;
        }
        tokio::task::yield_now().await;
    }
}

fn say(broker: &Broker, event: &Arc<Event>) {
    let levels = [EVENTS_SUBJECT].into_iter().chain(event.kind.name.split('.'));
    broker.say(Subject::from_levels(levels), || topic::message(event));
}
