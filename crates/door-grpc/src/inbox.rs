//! Where answers to what a connection asked come: one subscription for all of them.

use std::collections::HashMap;
use std::fmt::{self, Debug, Formatter};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::{Filter, Subject};
use broker::Broker;
use broker::live::{Accepted, Delivery, SubscribeOptions, Subscriber, Subscription};
use parking_lot::Mutex;
use tokio::sync::mpsc::{Receiver, Sender, channel};
use tonic::Status;

use crate::limits::REQUESTS_MAX;
use crate::{map, pb};

/// Subjects of answers begin so, as NATS's clients have them.
const PREFIX: &str = "_INBOX";

/// The inbox of a connection.
#[derive(Debug)]
pub(crate) struct Inbox {
    /// Nobody else can guess it.
    name: String,
    next: AtomicU64,
    waiting: Arc<Waiting>,
    /// Dropping it unsubscribes.
    _subscription: Subscription,
}

/// Who waits for answers, by the last level of their subjects.
#[derive(Default)]
struct Waiting(Mutex<HashMap<u64, Sender<pb::Message>>>);

impl Debug for Waiting {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting").finish_non_exhaustive()
    }
}

impl Inbox {
    pub(crate) fn new(broker: &Broker) -> Result<Arc<Self>, Status> {
        let name = format!("{:032x}", broker.options().random.next_u128());
        let filter = format!("{PREFIX}.{name}.*");
        let filter: Filter = map::filter("inbox", &filter)?;
        let waiting = Arc::new(Waiting::default());
        let publisher = broker.new_publisher();
        let options = SubscribeOptions { publisher, ..SubscribeOptions::default() };
        let subscription = broker.subscribe(filter, Arc::clone(&waiting) as _, 0, options);
        let subscription = subscription.map_err(|error| Status::internal(error.to_string()))?;
        let next = AtomicU64::new(0);
        Ok(Arc::new(Self { name, next, waiting, _subscription: subscription }))
    }

    /// Waits for answers, of which so many may come before they are taken.
    ///
    /// # Errors
    /// RESOURCE_EXHAUSTED: too many wait.
    pub(crate) fn expect(&self, answers_max: usize) -> Result<Expected, Status> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let (sender, answers) = channel(answers_max);
        let mut waiting = self.waiting.0.lock();
        if waiting.len() >= REQUESTS_MAX {
            return Err(Status::resource_exhausted("too many requests wait for answers"));
        }
        waiting.insert(number, sender);
        drop(waiting);
        let subject = Subject::from_levels([PREFIX, &self.name, &number.to_string()]);
        Ok(Expected { subject, answers, number, waiting: Arc::clone(&self.waiting) })
    }
}

/// Answers that are waited for, until this is dropped.
pub(crate) struct Expected {
    /// Where they are to be published.
    pub(crate) subject: Subject,
    /// They come here. It ends if more came than are taken.
    pub(crate) answers: Receiver<pb::Message>,
    number: u64,
    waiting: Arc<Waiting>,
}

impl Drop for Expected {
    fn drop(&mut self) {
        self.waiting.0.lock().remove(&self.number);
    }
}

impl Subscriber for Waiting {
    fn deliver(&self, _: &[u64], delivery: &Delivery<'_>) -> Accepted {
        let last = delivery.subject.raw_levels().last();
        let number = last.and_then(|level| std::str::from_utf8(level).ok()?.parse().ok());
        let Some(number) = number else { return Accepted::No };
        let mut waiting = self.0.lock();
        let Some(sender) = waiting.get(&number) else { return Accepted::No };
        let answer = map::tell(delivery.message, Some(delivery.name(&map::NAMES)));
        match sender.try_send(answer) {
            Ok(()) => Accepted::Yes,
            Err(_full_or_gone) => {
                // What is missing must not be taken for all there is.
                waiting.remove(&number);
                Accepted::No
            }
        }
    }
}
