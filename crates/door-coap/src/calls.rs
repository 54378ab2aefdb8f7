//! Requests that somebody else answers: a request goes to its subject with a subject for the answer, and the first
//! answer to come is the response.

use std::collections::HashMap;
use std::sync::Arc;

use base::subject::Step;
use base::{Filter, Random, Subject};
use broker::live::{Accepted, Delivery, SubscribeOptions, Subscriber, Subscription};
use broker::{Broker, Message};
use parking_lot::Mutex;
use tokio::sync::oneshot;

use crate::limits::CALLS_MAX;

/// What subjects for answers begin with.
const INBOX: &[u8] = b"_INBOX";

/// Requests that wait for answers.
#[derive(Debug)]
pub(crate) struct Calls {
    /// The second level of the subjects for their answers: known to nobody else.
    name: String,
    inbox: Arc<Inbox>,
    subscription: Mutex<Option<Subscription>>,
    next: Mutex<u64>,
}

/// Where answers are taken.
#[derive(Debug, Default)]
struct Inbox {
    waiting: Mutex<HashMap<Vec<u8>, oneshot::Sender<Message>>>,
}

/// A request that waits for its answer, until this is dropped.
#[derive(Debug)]
pub(crate) struct Call {
    inbox: Arc<Inbox>,
    key: Vec<u8>,
    /// The subject for the answer.
    pub(crate) reply_to: Subject,
    answer: oneshot::Receiver<Message>,
}

impl Calls {
    pub(crate) fn new(random: &dyn Random) -> Self {
        let name = format!("{:032x}", random.next_u128());
        Self { name, inbox: Arc::default(), subscription: Mutex::default(), next: Mutex::default() }
    }

    /// Begins a request. `None`: too many wait.
    pub(crate) fn begin(&self, broker: &Broker) -> Option<Call> {
        self.listen(broker)?;
        let number = {
            let mut next = self.next.lock();
            *next += 1;
            *next
        };
        let key = number.to_string().into_bytes();
        let reply_to = Subject::from_levels([INBOX, self.name.as_bytes(), &key]);
        let (sender, answer) = oneshot::channel();
        let mut waiting = self.inbox.waiting.lock();
        if waiting.len() >= CALLS_MAX {
            return None;
        }
        waiting.insert(key.clone(), sender);
        drop(waiting);
        Some(Call { inbox: Arc::clone(&self.inbox), key, reply_to, answer })
    }

    /// Subscribes to all answers at once, when the first is expected.
    fn listen(&self, broker: &Broker) -> Option<()> {
        let mut subscription = self.subscription.lock();
        if subscription.is_none() {
            let literal = |level: &'static [u8]| Step::Literal(level.into());
            let name = Step::Literal(self.name.as_bytes().into());
            let filter = Filter::from_steps([literal(INBOX), name, Step::One])?;
            let inbox = Arc::clone(&self.inbox) as _;
            let publisher = broker.new_publisher();
            let options = SubscribeOptions { publisher, ..SubscribeOptions::default() };
            *subscription = Some(broker.subscribe(filter, inbox, 0, options).ok()?);
        }
        Some(())
    }
}

impl Call {
    /// Waits for the answer. `None`: there will be none.
    pub(crate) async fn answer(&mut self) -> Option<Message> {
        (&mut self.answer).await.ok()
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.inbox.waiting.lock().remove(&self.key);
    }
}

impl Subscriber for Inbox {
    fn deliver(&self, _tags: &[u64], delivery: &Delivery<'_>) -> Accepted {
        let Some(key) = delivery.subject.levels().last() else { return Accepted::No };
        let Some(waiting) = self.waiting.lock().remove(key.as_ref()) else { return Accepted::No };
        match waiting.send(delivery.message.clone()) {
            Ok(()) => Accepted::Yes,
            Err(_) => Accepted::No,
        }
    }
}
