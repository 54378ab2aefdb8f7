//! What is published from now on, to whoever is there.

use std::sync::Arc;
use std::task::{Context, Poll};

use broker::access::{Actor, Operation};
use broker::live::{Accepted, Delivery, Pressure, SubscribeOptions, Subscriber};
use tonic::{Code, Status};

use super::super::serve::group;
use super::{Deliveries, Words, check_filters, hear, say_opened, size};
use crate::client::Caller;
use crate::map;
use crate::outbox::Put;
use crate::pb;

pub(super) async fn run(
    caller: &Caller,
    live: pb::Live,
    words: Words,
    outbox: Arc<Deliveries>,
) -> Result<(), Status> {
    let filters = check_filters(caller, "open.live.filters", &live.filters)?;
    let sink = Arc::new(Sink {
        outbox: Arc::clone(&outbox),
        actor: caller.actor.clone(),
        drops: live.overflow() == pb::Overflow::Drop,
    });
    // An identity of its own: a message comes once, however many of its filters match.
    let publisher = caller.broker().new_publisher();
    let mut subscriptions = Vec::with_capacity(filters.len());
    for filter in filters {
        let group = group(&live.group, live.weight);
        let options = SubscribeOptions { publisher, group, ..SubscribeOptions::default() };
        let subscriber = Arc::clone(&sink) as Arc<dyn Subscriber>;
        let subscribed = caller.broker().subscribe(filter, subscriber, 0, options);
        subscriptions.push(
            subscribed.map_err(|error| map::invalid("open.live.filters", &error.to_string()))?,
        );
    }
    say_opened(&outbox);
    hear(caller, words, &outbox, |_| async {
        Err(map::invalid("request", "of what is live nothing is committed or settled"))
    })
    .await
}

/// Where messages go.
#[derive(Debug)]
struct Sink {
    outbox: Arc<Deliveries>,
    actor: Actor,
    /// What finds no room is dropped, and the subscription goes on.
    drops: bool,
}

impl Subscriber for Sink {
    fn deliver(&self, _: &[u64], delivery: &Delivery<'_>) -> Accepted {
        // One of its wildcards may match what a rule denies.
        if !self.actor.may_subject(Operation::Read, delivery.subject) {
            return Accepted::No;
        }
        let message = map::tell(delivery.message, Some(delivery.name(&map::NAMES)));
        let bytes = size(&message);
        let place = delivery.place.map(|place| pb::Place {
            topic: place.topic.to_owned(),
            partition: place.partition,
            offset: place.offset,
        });
        let told = pb::Delivery { message: Some(message), id: 0, place, redeliveries: 0 };
        match self.outbox.push(told, bytes) {
            Put::Yes => Accepted::Yes,
            Put::First => Accepted::First,
            Put::Slow => Accepted::Slow,
            Put::Closed => Accepted::No,
            Put::Full if self.drops => {
                self.outbox.miss();
                Accepted::No
            }
            Put::Full => {
                let text = "more came than the client gave credit for, or read";
                let status = map::refusal(Code::ResourceExhausted, "SLOW_SUBSCRIBER", text);
                self.outbox.fail(status);
                Accepted::No
            }
        }
    }

    fn flush(&self, _company: usize) -> Pressure {
        self.outbox.wake();
        Pressure::Low
    }

    fn waiting(&self) -> u32 {
        u32::try_from(self.outbox.waiting()).unwrap_or(u32::MAX)
    }

    fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.outbox.poll_little(cx)
    }
}
