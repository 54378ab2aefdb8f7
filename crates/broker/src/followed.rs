//! Messages that are followed on their way through the broker, because what they say of their trace asks for it
//! ([`observe::trace`]). Of all others nothing is done but a look at whether they have headers.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base::subject::TEXT;
use base::{Offset, Subject};
use observe::Observe;
use observe::trace::{Begin, Context, SpanRef, Step, Stored, Who};
use parking_lot::Mutex;
use store::batch::Batch;

use crate::broker::Inner;
use crate::live::Routed;
use crate::message::{DeathReason, Message};
use crate::queues::{DeadLetterTo, Delivered, DeliveryId, Settlement};
use crate::topics::OpenTopic;
use crate::verbs::fetch::{Fetch, Outcome};
use crate::verbs::produce::ProduceError;

/// A session's connection takes a message that waited for it.
pub(crate) fn was_taken(observe: &Observe, subject: &Subject, message: &Message) {
    let Some(context) = context(observe, message) else { return };
    let span = observe.traces.begin(Begin {
        context,
        step: Step::Deliver,
        parent: None,
        who: Who::current(),
        destination: &String::from_utf8_lossy(&TEXT.name(subject)),
        stored: None,
    });
    if let Some(span) = span {
        observe.traces.end(span, |_| {});
    }
}

/// What a message says, if it is to be followed.
pub(crate) fn context(observe: &Observe, message: &Message) -> Option<Context> {
    if message.headers.is_empty() || !observe.traces.is_on() {
        return None;
    }
    Context::sampled(message.headers.iter().map(|(name, value)| (&name[..], value.as_deref())))
}

/// A message that came in, until it was taken care of.
#[derive(Debug)]
pub(crate) struct Received {
    observe: Arc<Observe>,
    context: Context,
    span: SpanRef,
    /// How many get it at once, where that is known.
    receivers: Option<usize>,
    error: Option<String>,
}

/// Of a message that is stored: its append to one partition, as the so manieth of what is appended together.
#[derive(Debug)]
pub(crate) struct Storing {
    span: SpanRef,
    index: i64,
}

impl Inner {
    /// A message came in, for this destination; `None`: it is not followed.
    pub(crate) fn receive<'a>(
        &self,
        message: &Message,
        destination: impl FnOnce() -> &'a [u8],
    ) -> Option<Received> {
        let context = context(&self.observe, message)?;
        self.receive_as(context, &String::from_utf8_lossy(destination()))
    }

    fn receive_as(&self, context: Context, destination: &str) -> Option<Received> {
        let (step, who) = (Step::Receive, Who::current());
        let begin = Begin { context, step, parent: None, who, destination, stored: None };
        let span = self.observe.traces.begin(begin)?;
        Some(Received {
            observe: Arc::clone(&self.observe),
            context,
            span,
            receivers: None,
            error: None,
        })
    }

    /// The records of a batch that are followed. A client that writes down its traces does so in each record, so a batch is
    /// looked through only if its first record says something; one that is compressed passes unopened.
    pub(crate) fn receive_batch(
        &self,
        topic: &OpenTopic,
        partition: i32,
        batch: &Batch,
    ) -> Vec<(Received, Storing)> {
        if !self.observe.traces.is_on() || !batch.begins_with_headers() {
            return Vec::new();
        }
        let mut found = Vec::new();
        for (index, record) in (0..).zip(batch.records().into_iter().flatten()) {
            // Whether its records are in order is not looked at here.
            let Ok(record) = record else { break };
            let is_named = record.headers.iter().any(|header| Context::is_name(&header.key));
            if !is_named && index == 0 {
                break;
            }
            let context = record.headers.iter().find(|header| Context::is_name(&header.key));
            let context = context.and_then(|header| {
                Context::sampled([(&header.key[..], header.value.as_deref())].into_iter())
            });
            let Some(context) = context else { continue };
            let Some(received) = self.receive_as(context, &topic.topic.name) else { break };
            if let Some(storing) = received.store(topic, partition, index) {
                found.push((received, storing));
            }
        }
        found
    }

    /// What a client has read, if anything of it is followed.
    pub(crate) fn was_read(&self, entry: &Fetch, outcome: &Outcome) {
        let Ok(fetched) = outcome else { return };
        if self.observe.traces.is_any_placed()
            && let Some(next) = fetched.read.next_offset()
        {
            self.was_read_of((&entry.topic, entry.partition), entry.offset..next);
        }
    }

    /// The same of these offsets.
    pub(crate) fn was_read_of(
        &self,
        (topic, partition): (&OpenTopic, i32),
        offsets: std::ops::Range<Offset>,
    ) {
        let traces = &self.observe.traces;
        // The broker itself reads for no client; what that comes to is seen elsewhere.
        let Some(who) = Who::current().filter(|_| traces.is_any_placed()) else { return };
        for (offset, context, parent) in traces.stored_in(topic.topic.id, partition, offsets) {
            let span = traces.begin(Begin {
                context,
                step: Step::Deliver,
                parent: Some(parent),
                who: Some(Arc::clone(&who)),
                destination: &topic.topic.name,
                stored: Some(Stored { topic: topic.topic.id, partition, offset: Some(offset) }),
            });
            if let Some(span) = span {
                traces.end(span, |_| {});
            }
        }
    }

    /// A queue gives a message up.
    pub(crate) fn buried(
        &self,
        message: &Message,
        queue: &[u8],
        to: &DeadLetterTo,
        reason: DeathReason,
    ) {
        let Some(context) = context(&self.observe, message) else { return };
        let span = self.observe.traces.begin(Begin {
            context,
            step: Step::Bury,
            parent: None,
            who: None,
            destination: &String::from_utf8_lossy(queue),
            stored: None,
        });
        if let Some(span) = span {
            let exchange = String::from_utf8_lossy(&to.exchange).into_owned();
            let facts = [("reason", format!("{reason:?}").to_lowercase()), ("exchange", exchange)];
            self.observe.traces.end(span, |span| span.facts.extend(facts));
        }
    }
}

impl Received {
    /// It is appended to a partition.
    pub(crate) fn store(&self, topic: &OpenTopic, partition: i32, index: i64) -> Option<Storing> {
        let stored = Stored { topic: topic.topic.id, partition, offset: None };
        self.store_as(&topic.topic.name, Some(stored), index)
    }

    /// It waits for sessions, or is the last of its subject: in a log of the broker's own.
    pub(crate) fn store_own(&self, index: i64) -> Option<Storing> {
        self.store_as("sessions", None, index)
    }

    fn store_as(&self, destination: &str, stored: Option<Stored>, index: i64) -> Option<Storing> {
        let (context, parent) = (self.context, Some(self.span));
        let begin = Begin { context, step: Step::Store, parent, who: None, destination, stored };
        let span = self.observe.traces.begin(begin)?;
        Some(Storing { span, index })
    }

    /// Where it goes.
    pub(crate) fn routed(&mut self, outcome: &Result<Routed, ProduceError>) {
        match outcome {
            Ok(routed) => {
                self.receivers = Some(routed.receivers);
                let full = routed.is_refused.then(|| ProduceError::Refused.to_string());
                self.error = full;
            }
            Err(error) => self.error = Some(error.to_string()),
        }
    }

    /// It was stored, beginning with this offset what was stored with it, or not.
    pub(crate) fn stored<E: std::fmt::Display>(
        &mut self,
        storing: &Storing,
        base: Result<Offset, E>,
    ) {
        self.observe.traces.end(storing.span, |span| match base {
            Ok(base) => {
                if let Some(stored) = &mut span.stored {
                    stored.offset = Some(base + storing.index);
                }
            }
            Err(error) => {
                let error = error.to_string();
                span.error = Some(error.clone());
                self.error = self.error.take().or(Some(error));
            }
        });
    }
}

/// It was taken care of.
impl Drop for Received {
    fn drop(&mut self) {
        let (receivers, error) = (self.receivers, self.error.take());
        self.observe.traces.end(self.span, |span| {
            span.error = error;
            let count = receivers.map(|count| ("receivers", count.to_string()));
            span.facts.extend(count);
        });
    }
}

/// What a holder of queues' messages has that is followed, until it is settled.
#[derive(Debug)]
pub(crate) struct HeldSpans {
    observe: Arc<Observe>,
    who: Option<Arc<Who>>,
    count: AtomicUsize,
    open: Mutex<HashMap<DeliveryId, SpanRef>>,
}

impl HeldSpans {
    /// Of whoever asks for a holder.
    pub(crate) fn new(observe: &Arc<Observe>) -> Self {
        let (observe, who) = (Arc::clone(observe), Who::current());
        Self { observe, who, count: AtomicUsize::new(0), open: Mutex::default() }
    }

    /// A message is delivered. Before the consumer has it: it may settle it at once.
    pub(crate) fn begin(&self, delivered: &Delivered, queue: impl FnOnce() -> String) {
        let Some(context) = context(&self.observe, &delivered.message) else { return };
        let span = self.observe.traces.begin(Begin {
            context,
            step: Step::Deliver,
            parent: None,
            who: self.who.clone(),
            destination: &queue(),
            stored: None,
        });
        if let Some(span) = span {
            let mut open = self.open.lock();
            open.insert(delivered.id, span);
            self.count.store(open.len(), Ordering::Release);
        }
    }

    /// What became of it.
    pub(crate) fn end(&self, id: DeliveryId, outcome: &'static str) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        let mut open = self.open.lock();
        let Some(span) = open.remove(&id) else { return };
        self.count.store(open.len(), Ordering::Release);
        drop(open);
        self.observe.traces.end(span, |span| span.facts.push(("outcome", outcome.to_owned())));
    }

    /// The same, of those that are settled.
    pub(crate) fn settle(&self, of: &[(DeliveryId, Settlement)]) {
        if self.count.load(Ordering::Acquire) == 0 {
            return;
        }
        for (id, settlement) in of {
            self.end(
                *id,
                match settlement {
                    Settlement::Accept => "accepted",
                    Settlement::Reject => "rejected",
                    Settlement::Return { .. } => "returned",
                },
            );
        }
    }
}

impl Drop for HeldSpans {
    fn drop(&mut self) {
        for (_, span) in self.open.get_mut().drain() {
            let gone = ("outcome", "returned: its consumer is gone".to_owned());
            self.observe.traces.end(span, |span| span.facts.push(gone));
        }
    }
}
