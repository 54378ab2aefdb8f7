//! Consumers: follow a partition, commit where they are, and look up where they were.

use std::collections::BTreeSet;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use base::Offset;
use broker::queue::offsets::{CommitRequest, OffsetCommit};
use broker::store::ReadError;
use broker::{Broker, Fetch, FetchError, FetchLimits, Fetched};

use super::{Client, KEPT};
use crate::model::Place;
use crate::world::World;

async fn fetch(
    broker: Broker,
    place: Place,
    offset: Offset,
    committed: bool,
    max_bytes: usize,
) -> Option<Result<Fetched, FetchError>> {
    let topic = broker.topic(place.0)?;
    let entry = Fetch { topic, partition: place.1, offset, max_bytes };
    let max_wait = Duration::from_millis(500);
    let limits = FetchLimits { min_bytes: 1, max_wait, max_bytes, committed };
    broker.fetch(&[entry], limits).await.pop()
}

pub(super) async fn run(client: Client, place: Place, committed: bool) {
    let group = if committed { "readers of committed" } else { "readers" };
    let mut next = 0;
    while !client.world.is_over() {
        let max_bytes = 200 + client.dice.index(20_000);
        let end = client.model(|model| model.end(place));
        let answer = client.call(move |b| fetch(b, place, next, committed, max_bytes)).await;
        if let Ok((Some(answer), _)) = answer {
            next = take(&client, place, next..end, committed, answer);
        }
        if client.dice.one_in(4) {
            commit(&client, group, place, next).await;
        }
        if client.dice.one_in(10) {
            look_up(&client, group, place).await;
        }
        // A consumer may begin again, from anywhere before: what it reads must be the same.
        if client.dice.one_in(25) && place.0 != KEPT {
            next = i64::try_from(client.dice.below(next.unsigned_abs() + 1)).unwrap_or(0);
        }
        client.rest(60).await;
    }
}

/// Checks what was read. Where to go on.
fn take(
    client: &Client,
    place: Place,
    asked: Range<Offset>,
    committed: bool,
    answer: Result<Fetched, FetchError>,
) -> Offset {
    let Range { start: next, end } = asked;
    match answer {
        Ok(fetched) => {
            let to = client.model(|model| model.read(place, next, &fetched, committed, end));
            client.note(format_args!("{place:?} read {next}..{to} of {}", fetched.read.end));
            to
        }
        Err(FetchError::Read(ReadError::OutOfRange { start, end, .. })) => {
            let gone = place.0 == KEPT && next < start;
            if !gone {
                client.wrong(format_args!("{place:?}: {next} is out of {start}..{end}"));
            }
            start
        }
        Err(error) => {
            client.wrong(format_args!("{place:?} at {next}: {error}"));
            next
        }
    }
}

async fn commit(client: &Client, group: &'static str, place: Place, offset: Offset) {
    let process = client.world.process_number();
    client.model(|model| model.commits(group, place, offset, process));
    let one = OffsetCommit {
        topic: place.0.into(),
        partition: place.1,
        offset,
        leader_epoch: -1,
        note: "".into(),
    };
    let request = CommitRequest {
        group: group.into(),
        member_id: "".into(),
        instance_id: None,
        generation: -1,
        retention: None,
        offsets: vec![one],
    };
    let answer = client.call(|broker| async move { broker.groups().commit(request).await }).await;
    if let Ok((Ok(each), process)) = answer
        && each.iter().all(Result::is_ok)
    {
        client.note(format_args!("{group} {place:?} committed {offset}"));
        client.model(|model| model.committed(group, place, offset, process));
    }
}

async fn look_up(client: &Client, group: &'static str, place: Place) {
    let answer = client
        .call(move |broker| async move { broker.groups().committed(group, &[(place.0, place.1)]) })
        .await;
    if let Ok((Ok(offsets), _)) = answer {
        let offset = offsets.first().and_then(Option::as_ref).map(|committed| committed.offset);
        client.model(|model| model.is_committed(group, place, offset));
    }
}

/// Reads all of a partition, when everything is quiet, and has the model look for what is missing.
pub(crate) async fn read_all(world: &Arc<World>, broker: &Broker, place: Place) {
    let client = Client::new(world, 0);
    for committed in [false, true] {
        let Some(topic) = broker.topic(place.0) else {
            return client.wrong(format_args!("there is no topic {} any more", place.0));
        };
        let start = topic.log(place.1).map_or(0, |log| log.range().start);
        let (mut next, mut offsets) = (start, BTreeSet::new());
        let end = loop {
            let answer = fetch(broker.clone(), place, next, committed, 1 << 20).await;
            let Some(Ok(fetched)) = answer else {
                return client
                    .wrong(format_args!("{place:?}: cannot be read at {next}: {answer:?}"));
            };
            let end = if committed { fetched.stable } else { fetched.read.end };
            for batch in fetched.read.batches().flatten() {
                let records = batch.records().into_iter().flatten().flatten();
                offsets.extend(records.map(|record| record.offset));
            }
            let to = world.model.lock().read(place, next, &fetched, committed, next);
            if to == next {
                break end;
            }
            next = to;
        };
        if !committed {
            let complete = if next == end { Ok(()) } else { Err(next) };
            let mut model = world.model.lock();
            model.complete(place, start, &offsets);
            // What compaction removed last leaves no batch behind.
            if let Err(next) = complete
                && place.0 != super::KEYED
            {
                model.violation(format!("{place:?}: ends at {end}, reading ends at {next}"));
            }
        }
    }
}
