//! `basic.consume`: deliveries from now on.

use std::sync::Arc;

use base::Millis;
use broker::queues::{ConsumeOptions, Queue, StreamStart};
use bytes::Bytes;

use crate::arguments::{self, Of};
use crate::channel::{Channel, ChannelOut, ConsumerFacts, ConsumerOut, Consuming};
use crate::fault::{Fault, named, quoted};
use crate::handle::queue::{self, Found};
use crate::handle::{Access, check};
use crate::limits::CONSUMERS_MAX;
use crate::replies::REPLY_TO;
use crate::session::Session;
use crate::wire::frame::put_method;
use crate::wire::method::{BasicConsume, BasicConsumeOk};
use crate::wire::reader::Short;
use crate::wire::reply::Reply;

/// Begins to consume. The answer comes before the first delivery.
pub(crate) fn handle(
    session: &mut Session<'_>,
    number: u16,
    consume: &BasicConsume<'_>,
) -> Result<(), Fault> {
    if let Some(channel) = session.channels.get_mut(&number) {
        channel.news();
    }
    let tag = tag(session, number, &consume.consumer_tag)?;
    if consume.queue.0 == REPLY_TO {
        return for_answers(session, number, consume, tag);
    }
    let Found { name, queue } = queue::find(session, number, &consume.queue)?;
    check(session.caller(), Access::Read, "queue", &name)?;
    let priority = arguments::priority(&consume.arguments)?;
    let counts = arguments::counts_deliveries(&queue);
    let timeout = timeout(session, &queue);
    let virtual_host = session.agreed.virtual_host.clone();
    let start = match queue.spec().settings.stream {
        Some(_) => Some(stream_start(session, number, consume, &name)?),
        None => None,
    };
    let Some(channel) = session.channels.get_mut(&number) else { return Ok(()) };
    let Channel { out, holder, prefetch, consumers, next_consumer, .. } = channel;
    let options = ConsumeOptions {
        tag: *next_consumer,
        priority,
        exclusive: consume.exclusive,
        automatic: consume.no_ack,
        prefetch: *prefetch,
        sink: Arc::<ChannelOut>::clone(out),
    };
    // Nothing is delivered before the lock is free, and by then the client knows.
    let mut state = out.lock();
    let consumer = match start {
        Some(start) => queue.read_stream(holder, options, start),
        None => queue.consume(holder, options),
    };
    let consumer = consumer.map_err(|error| Fault::queue(&error, &name, &virtual_host))?;
    let known =
        ConsumerOut { tag: tag.clone(), queue: name, no_ack: consume.no_ack, counts, timeout };
    state.add(*next_consumer, known);
    let facts = ConsumerFacts {
        exclusive: consume.exclusive,
        prefetch: *prefetch,
        arguments: Bytes::copy_from_slice(consume.arguments.bytes()),
    };
    state.describe(*next_consumer, facts);
    if !consume.nowait {
        let told = BasicConsumeOk { consumer_tag: Short(&tag) };
        out.outgoing.push(|bytes| put_method(number, &told, bytes));
    }
    drop(state);
    let known = Consuming { number: *next_consumer, consumer: Some(consumer), address: None };
    consumers.insert(tag, known);
    *next_consumer += 1;
    Ok(())
}

/// Where a stream is read from, and whether that can be as it is asked for.
fn stream_start(
    session: &Session<'_>,
    number: u16,
    consume: &BasicConsume<'_>,
    name: &[u8],
) -> Result<StreamStart, Fault> {
    let virtual_host = &session.agreed.virtual_host;
    let of = named("queue", name, virtual_host);
    let channel = session.channels.get(&number);
    if channel.is_some_and(|channel| channel.prefetch == 0) {
        let text = format!("consumer prefetch count is not set for stream {of}");
        return Err(Fault::precondition(text));
    }
    if consume.no_ack {
        let text = format!("automatic acknowledgement not supported by stream {of}");
        return Err(Fault::new(Reply::NotImplemented, text));
    }
    if channel.is_some_and(|channel| channel.holder.prefetch() > 0) {
        return Err(Fault::new(Reply::NotImplemented, format!("{of} does not support global qos")));
    }
    let now = session.shared.broker.now();
    arguments::stream_start(&consume.arguments, Of { queue: name, virtual_host }, now)
}

/// For how long a queue's deliveries may be without an acknowledgement, in milliseconds; 0: for ever.
pub(crate) fn timeout(session: &Session<'_>, queue: &Queue) -> Millis {
    let of_queue = queue.settings().consumer_timeout;
    let of_all = || session.shared.options.consumer_timeout.as_millis();
    of_queue.unwrap_or_else(|| Millis::try_from(of_all()).unwrap_or(Millis::MAX))
}

/// The consumer's tag: the client's, or a new one.
fn tag(session: &Session<'_>, number: u16, said: &[u8]) -> Result<Bytes, Fault> {
    let Some(channel) = session.channels.get(&number) else { return Ok(Bytes::new()) };
    if channel.consumers.len() >= CONSUMERS_MAX {
        let text = format!("a channel with more than {CONSUMERS_MAX} consumers");
        return Err(Fault::new(Reply::NotAllowed, text));
    }
    if said.is_empty() {
        let random = &session.shared.broker.options().random;
        return Ok(format!("amq.ctag-{:032x}", random.next_u128()).into());
    }
    if channel.consumers.contains_key(said) {
        let text = format!("attempt to reuse consumer tag '{}'", quoted(said));
        return Err(Fault::new(Reply::NotAllowed, text));
    }
    Ok(Bytes::copy_from_slice(said))
}

/// Waits for answers, which come without a queue and cannot be acknowledged.
fn for_answers(
    session: &mut Session<'_>,
    number: u16,
    consume: &BasicConsume<'_>,
    tag: Bytes,
) -> Result<(), Fault> {
    if !consume.no_ack {
        return Err(Fault::precondition("reply consumer cannot acknowledge"));
    }
    let shared = session.shared;
    let Some(channel) = session.channels.get_mut(&number) else { return Ok(()) };
    let Channel { out, consumers, next_consumer, .. } = channel;
    if consumers.values().any(|known| known.address.is_some()) {
        return Err(Fault::precondition("reply consumer already set"));
    }
    let random = &*shared.broker.options().random;
    let address = shared.replies.join(random, out, *next_consumer);
    let known = ConsumerOut {
        tag: tag.clone(),
        queue: Bytes::from_static(REPLY_TO),
        no_ack: true,
        counts: false,
        timeout: 0,
    };
    let mut state = out.lock();
    state.add(*next_consumer, known);
    if !consume.nowait {
        let told = BasicConsumeOk { consumer_tag: Short(&tag) };
        out.outgoing.push(|bytes| put_method(number, &told, bytes));
    }
    drop(state);
    let known = Consuming { number: *next_consumer, consumer: None, address: Some(address) };
    consumers.insert(tag, known);
    *next_consumer += 1;
    Ok(())
}
