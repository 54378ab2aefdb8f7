//! What is published to a subject, by whatever protocol, and goes on to the exchanges that are bound to the space of
//! subjects.

use std::sync::Arc;

use base::Subject;
use base::subject::KEYS;
use bytes::Bytes;
use parking_lot::Mutex;

use super::route::{QueueRoute, Search};
use super::types::Headers;
use crate::Broker;
use crate::live::{Batch, Routed};
use crate::message::Message;
use crate::verbs::produce::ProduceError;

/// The queues that a subject leads to by exchanges, for as long as nothing changes.
#[derive(Debug, Default)]
pub(crate) struct LedOn(Mutex<Option<Arc<QueueRoute>>>);

impl Broker {
    /// Publishes a message to the queues that a subject leads to by exchanges. One that is full does not get it, and
    /// that is nobody's fault who publishes to a subject.
    pub(crate) fn lead_on(
        &self,
        (subject, known): (&Subject, &LedOn),
        message: &Message,
        batch: &mut Batch,
        routed: &mut Routed,
    ) -> Result<(), ProduceError> {
        let exchanges = &self.inner.exchanges;
        if !exchanges.leads_on() {
            return Ok(());
        }
        let is_current = |route: &&Arc<QueueRoute>| route.epoch() == exchanges.epoch();
        let route = known.0.lock().as_ref().filter(is_current).cloned();
        let route = match route {
            Some(route) => route,
            None => {
                let route = Arc::new(self.look_on(subject));
                if !route.is_by_headers() {
                    *known.0.lock() = Some(Arc::clone(&route));
                }
                route
            }
        };
        let pushes = self.push_to_queues(&route, message, batch, routed)?;
        routed.is_refused |= pushes.is_refused;
        Ok(())
    }

    /// Looks up the queues. Headers are a door's to read: an exchange that goes by them gets none.
    fn look_on(&self, subject: &Subject) -> QueueRoute {
        let exchanges = &self.inner.exchanges;
        let epoch = exchanges.epoch();
        let (space, key) = (Bytes::new(), KEYS.name(subject));
        let mut headers = Headers::new;
        let mut search = Search::new(self, &space, &mut headers);
        let spaces: Vec<_> = exchanges.of_subjects.read().iter().map(Arc::clone).collect();
        for exchange in &spaces {
            search.go(exchange.name().clone(), std::slice::from_ref(&key), false);
        }
        let (queues, _, by_headers) = search.found();
        let name = spaces.first().map(|exchange| exchange.name().name.clone());
        QueueRoute::to_queues((name.unwrap_or_default(), key), queues, epoch, by_headers)
    }
}
