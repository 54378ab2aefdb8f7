//! The clients of a run, and the network between them and the broker.

mod admin;
mod consumer;
mod producer;
mod shared;
mod transactional;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use broker::{Broker, OpenTopic};
use bytes::Bytes;
use store::batch::{BatchBuilder, Compression, NewRecord};
use tokio::sync::oneshot;

pub(crate) use self::admin::set_up;
pub(crate) use self::consumer::read_all;
pub(crate) use self::shared::drain;

use crate::model::{Model, Place};
use crate::random::Dice;
use crate::world::World;

/// Nobody waits longer for an answer, in milliseconds.
const PATIENCE: u64 = 20_000;

/// The topic of plain and idempotent producers.
pub(crate) const PLAIN: &str = "plain";
/// The topic of transactions.
pub(crate) const TXN: &str = "txn";
/// The topic of share groups.
pub(crate) const QUEUE: &str = "queue";
/// A compacted topic.
pub(crate) const KEYED: &str = "keyed";
/// A topic of which only the end is kept.
pub(crate) const KEPT: &str = "kept";
/// The share group.
pub(crate) const GROUP: &str = "workers";
/// How long its members have a record, in milliseconds.
pub(crate) const LEASE_MS: u64 = 2_000;
/// How often it delivers one.
pub(crate) const DELIVERIES_MAX: u64 = 50;

/// No answer came: the request was, or was not, carried out.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lost;

/// One client.
pub(crate) struct Client {
    pub(crate) world: Arc<World>,
    pub(crate) dice: Dice,
    pub(crate) number: u64,
    /// Counts what it wrote.
    written: u64,
}

/// Identity, epoch, and the number of the batch's first record.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sender {
    id: i64,
    epoch: i16,
    sequence: i32,
    transactional: bool,
}

impl Client {
    pub(crate) fn new(world: &Arc<World>, number: u64) -> Self {
        Self { world: Arc::clone(world), dice: world.dice.fork(), number, written: 0 }
    }

    /// Sleeps for up to so many milliseconds.
    pub(crate) async fn rest(&self, most: u64) {
        tokio::time::sleep(Duration::from_millis(self.dice.below(most + 1))).await;
    }

    pub(crate) fn note(&self, what: std::fmt::Arguments<'_>) {
        self.world.note(format_args!("client {}: {what}", self.number));
    }

    pub(crate) fn model<T>(&self, act: impl FnOnce(&mut Model) -> T) -> T {
        act(&mut self.world.model.lock())
    }

    /// Sends a request over a network that is slow now and then, and loses requests and answers. With
    /// the answer comes the number of the process that gave it.
    pub(crate) async fn call<T, F>(
        &self,
        request: impl FnOnce(Broker) -> F + Send + 'static,
    ) -> Result<(T, u64), Lost>
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        self.travel().await;
        if self.dice.one_in(60) {
            return Err(Lost); // on the way there
        }
        let Some((process, broker, number)) = self.world.process() else {
            self.rest(50).await;
            return Err(Lost);
        };
        let (answer, answered) = oneshot::channel();
        {
            let mut requests = process.requests.lock();
            requests.spawn(async move {
                // The client may have gone.
                let _ = answer.send(request(broker).await);
            });
            while requests.try_join_next().is_some() {}
        }
        if self.dice.one_in(40) {
            self.rest(20).await;
            return Err(Lost); // the connection broke
        }
        let patience = Duration::from_millis(PATIENCE);
        let answer = tokio::time::timeout(patience, answered).await;
        let answer = answer.map_err(|_| Lost)?.map_err(|_| Lost)?;
        self.travel().await;
        Ok((answer, number))
    }

    async fn travel(&self) {
        match self.dice.below(10) {
            0..6 => tokio::task::yield_now().await,
            6..9 => self.rest(3).await,
            _ => self.rest(60).await,
        }
    }

    /// A batch of values that were never written before, of up to `most` records.
    fn batch(
        &mut self,
        place: Place,
        most: u64,
        keyed: bool,
        transaction: Option<u64>,
    ) -> (Vec<u64>, BatchBuilder) {
        let values: Vec<u64> =
            (0..=self.dice.below(most)).map(|_| self.world.new_value()).collect();
        let mut builder = BatchBuilder::new(Compression::None);
        for value in &values {
            let key = keyed.then(|| self.dice.below(8));
            self.written += 1;
            let writer = (self.number, self.written);
            self.model(|model| model.writes(place, *value, key, writer, transaction));
            let mut payload = value.to_be_bytes().to_vec();
            payload.resize(8 + self.dice.index(1500), b'.');
            let key = key.map(u64::to_be_bytes);
            builder.push(&NewRecord {
                timestamp: self.world.wall_time(),
                key: key.as_ref().map(<[u8; 8]>::as_slice),
                value: Some(&payload),
                headers: &[],
            });
        }
        (values, builder)
    }

    /// Reports what cannot be, such as a batch that cannot be built.
    fn wrong(&self, what: impl std::fmt::Display) {
        let number = self.number;
        self.model(|model| model.violation(format!("client {number}: {what}")));
    }
}

/// The batch's bytes, as this producer sends them.
fn sealed(builder: BatchBuilder, sender: Option<Sender>) -> Option<Bytes> {
    let batch = builder.build().ok()?;
    let Some(Sender { id, epoch, sequence, transactional }) = sender else {
        return Some(batch.bytes().clone());
    };
    let mut bytes = batch.bytes().to_vec();
    if transactional {
        *bytes.get_mut(22)? |= 1 << 4;
    }
    bytes.get_mut(43..51)?.copy_from_slice(&id.to_be_bytes());
    bytes.get_mut(51..53)?.copy_from_slice(&epoch.to_be_bytes());
    bytes.get_mut(53..57)?.copy_from_slice(&sequence.to_be_bytes());
    let crc = crc_fast::checksum(crc_fast::CrcAlgorithm::Crc32Iscsi, bytes.get(21..)?);
    bytes.get_mut(17..21)?.copy_from_slice(&u32::try_from(crc).ok()?.to_be_bytes());
    Some(bytes.into())
}

/// Appends one batch: `None` if there is no such topic at present.
async fn produce(
    broker: Broker,
    place: Place,
    records: Bytes,
) -> Option<Result<broker::Produced, broker::ProduceError>> {
    let topic: Arc<OpenTopic> = broker.topic(place.0)?;
    let entry = broker::Produce { topic, partition: place.1, records };
    broker.produce(vec![entry]).await.done().await.pop()
}

/// Starts all clients of a run.
pub(crate) fn start(world: &Arc<World>, tasks: &mut tokio::task::JoinSet<()>) {
    let mut number = 0;
    let mut client = || {
        number += 1;
        Client::new(world, number)
    };
    for place in [(PLAIN, 0), (PLAIN, 1), (QUEUE, 0), (KEYED, 0), (KEPT, 0)] {
        tasks.spawn(producer::plain(client(), place));
    }
    for place in [(PLAIN, 0), (PLAIN, 1)] {
        tasks.spawn(producer::idempotent(client(), place));
    }
    for id in ["a", "b"] {
        tasks.spawn(transactional::run(client(), id));
    }
    for (place, committed) in [
        ((PLAIN, 0), false),
        ((PLAIN, 1), true),
        ((TXN, 0), true),
        ((TXN, 1), false),
        ((KEPT, 0), false),
    ] {
        tasks.spawn(consumer::run(client(), place, committed));
    }
    for _ in 0..3 {
        tasks.spawn(shared::run(client()));
    }
    tasks.spawn(admin::run(client()));
}
