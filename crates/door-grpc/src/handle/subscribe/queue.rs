//! What is in a queue, each message to one of its consumers.

use std::collections::HashMap;
use std::sync::Arc;

use broker::access::Operation;
use broker::queues::{
    ConsumeOptions, Consumer, Delivered, DeliveryId, Holder, QueueName, QueueSink, Settlement,
};
use bytes::Bytes;
use parking_lot::Mutex;
use tonic::{Status, Streaming};

use super::{Deliveries, Said, Told, hear, say_opened, size, told};
use crate::client::Caller;
use crate::limits::UNSETTLED_MAX;
use crate::map;
use crate::pb;

pub(super) async fn run(
    caller: &Caller,
    asked: pb::Queue,
    words: Streaming<pb::SubscribeRequest>,
    outbox: Arc<Deliveries>,
) -> Result<(), Status> {
    caller.check_topic(Operation::Read, &asked.name)?;
    let name = Bytes::from(asked.name.clone());
    let queue = caller.broker().queue(&QueueName { space: Bytes::new(), name });
    let queue = queue.ok_or_else(|| map::not_found("queue", &asked.name))?;
    let holder = caller.broker().new_holder(UNSETTLED_MAX);
    let sink = Arc::new(Sink {
        outbox: Arc::clone(&outbox),
        queue: asked.name.clone(),
        automatic: asked.automatic,
        held: Mutex::default(),
    });
    // In front of the first message, which may come before the queue has answered.
    say_opened(&outbox);
    let options = ConsumeOptions {
        tag: 0,
        priority: asked.priority,
        exclusive: asked.exclusive,
        automatic: asked.automatic,
        prefetch: 0,
        sink: Arc::clone(&sink) as _,
    };
    let consumer = queue.consume(&holder, options);
    let consumer = consumer.map_err(|error| map::queue_error(&error, &asked.name))?;
    let hearing = hear(caller, Some(words), &outbox, |said| settle(&sink, &holder, said));
    tokio::select! {
        heard = hearing => heard,
        never = refill(&consumer, &outbox) => match never {},
    }
}

/// Has the queue go on when there is room again.
async fn refill(consumer: &Consumer, outbox: &Deliveries) -> std::convert::Infallible {
    loop {
        outbox.until_room().await;
        consumer.ready();
    }
}

/// Where messages go.
#[derive(Debug)]
struct Sink {
    outbox: Arc<Deliveries>,
    queue: String,
    automatic: bool,
    held: Mutex<Held>,
}

/// What is delivered and not settled: bounded by the holder.
#[derive(Debug, Default)]
struct Held {
    last: u64,
    ids: HashMap<u64, DeliveryId>,
}

impl QueueSink for Sink {
    fn deliver(&self, _: u64, delivered: Delivered) -> bool {
        let mut held = self.held.lock();
        let id = if self.automatic { 0 } else { held.last + 1 };
        let is_in = self.outbox.offer(|| {
            let message = map::tell_delivered(&delivered, &self.queue);
            let bytes = size(&message);
            let redeliveries = delivered.deliveries;
            let place = None;
            (pb::Delivery { message: Some(message), id, place, redeliveries }, bytes)
        });
        if is_in && !self.automatic {
            held.last = id;
            held.ids.insert(id, delivered.id);
        }
        is_in
    }

    fn flush(&self) {
        self.outbox.wake();
    }

    fn cancelled(&self, _: u64) {
        self.outbox.finish(Err(map::not_found("queue", &self.queue)));
    }
}

/// Settles messages; what is not held is told of, if anything is to be told.
async fn settle(sink: &Sink, holder: &Holder, said: Said) -> Result<(), Status> {
    let Said::Settle(pb::Settle { settlements, confirm }) = said else {
        return Err(map::invalid("commit", "a queue has no positions"));
    };
    let mut settled = Vec::new();
    let mut failures = Vec::new();
    for one in settlements {
        let settlement = settlement(&one)?;
        let mut held = sink.held.lock();
        for id in one.ids {
            match held.ids.remove(&id) {
                Some(delivery) => settled.push((delivery, settlement)),
                None if confirm > 0 => failures.push(id.to_string()),
                None => {}
            }
        }
    }
    holder.settle(&settled);
    if confirm > 0 {
        let durable = holder.settled().await;
        durable.map_err(|error| map::queue_error(&error, &sink.queue))?;
        sink.outbox.control(told(Told::Settled(pb::Confirmed { confirm, failures })));
    }
    Ok(())
}

fn settlement(one: &pb::Settlement) -> Result<Settlement, Status> {
    match one.action() {
        pb::Action::Accept => Ok(Settlement::Accept),
        pb::Action::Return => {
            Ok(Settlement::Return { counted: true, failed: false, after: i64::from(one.delay_ms) })
        }
        pb::Action::Reject => Ok(Settlement::Reject),
        pb::Action::Extend => {
            let why = "a queue's messages are held as long as the stream lives";
            Err(map::invalid("settle.settlements.action", why))
        }
    }
}
