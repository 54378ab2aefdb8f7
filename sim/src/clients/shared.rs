//! Members of a share group: take records, and accept, release or keep them.

use std::sync::Arc;
use std::time::Duration;

use broker::queue::Name;
use broker::queue::shared::{Acknowledgement, Disposition, SharedError, Take};
use broker::{Broker, Settle, SharedPartition, TakeError, TakeLimits, Taken};

use super::{Client, GROUP, LEASE_MS, QUEUE};
use crate::model::Taker;
use crate::world::World;

async fn take(broker: Broker, holder: Name, most: usize) -> Option<Result<Taken, TakeError>> {
    let topic = broker.topic(QUEUE)?;
    let limits = TakeLimits {
        min_bytes: 0,
        max_wait: Duration::from_millis(300),
        max_bytes: 1 << 16,
        take: Take { records_max: most, strict: true },
        piece: usize::MAX,
    };
    let of = [SharedPartition { topic, partition: 0 }];
    broker.take(&GROUP.into(), &holder, &of, limits).await.pop()
}

async fn settle(
    broker: Broker,
    holder: Name,
    acknowledgements: Vec<Acknowledgement>,
) -> Option<Result<(), SharedError>> {
    let topic = broker.topic(QUEUE)?.topic.id;
    let of = vec![Settle { topic, partition: 0, acknowledgements }];
    broker.settle(&GROUP.into(), &holder, of).await.pop()
}

pub(super) async fn run(client: Client) {
    while !client.world.is_over() {
        round(&client, false).await;
        client.rest(120).await;
    }
}

/// Takes some, and says what becomes of them; whether there were any.
async fn round(client: &Client, accepts_all: bool) -> bool {
    let holder: Name = format!("member {}", client.number).into();
    let (most, own) = (1 + client.dice.index(6), holder.clone());
    let asked = client.world.now();
    client.model(|model| model.shared.asks());
    let answer = match client.call(move |broker| take(broker, own, most)).await {
        Ok((Some(Ok(taken)), process)) => Ok((taken, process)),
        other => Err(other.is_err()),
    };
    let (taken, process) = match answer {
        Ok(taken) => taken,
        Err(lost) => {
            client.model(|model| match lost {
                true => model.shared.lost(),
                false => model.shared.answered(),
            });
            return false;
        }
    };
    client.model(|model| model.shared.answered());
    let answered = client.world.now();
    let by = Taker { consumer: client.number, process, asked, answered };
    if !taken.acquired.is_sorted_by(|a, b| a.last < b.first) {
        // Clients would take what is not in order for missing, and be done with it.
        client.wrong(format_args!("got what is not in order: {:?}", taken.acquired));
    }
    let mut said = Vec::new();
    for run in &taken.acquired {
        client.note(format_args!("got {run:?}"));
        for offset in run.first..=run.last {
            let got =
                client.model(|m| m.shared.got(offset, run.deliveries, by, LEASE_MS * 1_000_000));
            if let Err(wrong) = got {
                client.wrong(wrong);
            }
            let disposition = match client.dice.below(10) {
                _ if accepts_all => Disposition::Accept,
                0..6 => Disposition::Accept,
                6 => Disposition::Reject,
                7..9 => Disposition::Release,
                _ => continue, // keeps it until its lease is over
            };
            said.push(Acknowledgement { first: offset, last: offset, disposition });
        }
    }
    client.rest(if client.dice.one_in(8) { 3_000 } else { 30 }).await;
    tell(client, holder, &said).await;
    !taken.acquired.is_empty()
}

/// Each record by itself, so that one whose lease is over does not take others with it.
async fn tell(client: &Client, holder: Name, said: &[Acknowledgement]) {
    for one in said {
        let done = one.disposition != Disposition::Release;
        client.model(|model| model.shared.settles(one.first, done));
        let (own, one) = (holder.clone(), *one);
        let answer = client.call(move |broker| settle(broker, own, vec![one])).await;
        if answer.is_err() {
            client.model(|model| model.shared.unsettled(one.first));
        }
        if let Ok((Some(Ok(())), process)) = answer {
            client.note(format_args!("settled {one:?}"));
            client.model(|model| {
                model.shared.settled(one.first, done, process);
                model.counts.accepted += u64::from(done);
            });
        }
    }
}

/// Accepts what is left, when everything is quiet.
pub(crate) async fn drain(world: &Arc<World>) {
    let client = Client::new(world, 1_000);
    let mut quiet = 0;
    // Longer than any lease.
    while quiet < 12 {
        let any = round(&client, true).await;
        quiet = if any { 0 } else { quiet + 1 };
        tokio::time::sleep(Duration::from_millis(LEASE_MS / 5)).await;
    }
}
