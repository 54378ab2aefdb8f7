//! A transactional producer: writes to two partitions, commits or aborts, and begins anew after any
//! doubt.

use std::collections::BTreeMap;

use base::ErrorKind;
use broker::queue::transactions::{EndTxn, InitTxn, TxnPartition, TxnProducer};

use super::producer::{fate, identity};
use super::{Client, Sender, TXN, produce, sealed};
use crate::model::{End, Fate, Place, TxnNumber};

/// A transaction that takes longer than this is aborted, in milliseconds.
const TIMEOUT: i64 = 10_000;

pub(super) async fn run(mut client: Client, id: &'static str) {
    'instances: while !client.world.is_over() {
        let Some(producer) = begin(&client, id).await else { return };
        let mut sequences = BTreeMap::new();
        while !client.world.is_over() {
            client.rest(150).await;
            if !transaction(&mut client, id, producer, &mut sequences).await {
                // Not known what became of it: a new instance fences this one.
                continue 'instances;
            }
        }
    }
}

async fn begin(client: &Client, id: &'static str) -> Option<TxnProducer> {
    loop {
        let fresh = identity(client).await?;
        let request = InitTxn { id: id.into(), timeout: TIMEOUT, claimed: None, fresh };
        let answer =
            client.call(|broker| async move { broker.groups().init_transactions(request).await });
        if let Ok((Ok(producer), _)) = answer.await {
            return Some(producer);
        }
        if client.world.is_over() {
            return None;
        }
        client.rest(150).await;
    }
}

/// One transaction. Whether this instance may go on with another.
async fn transaction(
    client: &mut Client,
    id: &'static str,
    producer: TxnProducer,
    sequences: &mut BTreeMap<i32, i32>,
) -> bool {
    let number = client.model(|model| model.transactions.begin());
    let partitions = [0, 1].map(|partition| TxnPartition { topic: TXN.into(), partition }).to_vec();
    let add = client.call(move |broker| async move {
        broker.groups().add_partitions(&id.into(), producer, partitions).await
    });
    if !matches!(add.await, Ok((Ok(()), _))) {
        return false;
    }
    for _ in 0..=client.dice.below(3) {
        let place = (TXN, i32::from(client.dice.one_in(2)));
        if !write(client, number, place, producer, sequences).await {
            client.model(|model| model.transactions.ends(number, End::Aborted));
            return false;
        }
        client.rest(20).await;
    }
    end(client, id, number, producer).await
}

async fn write(
    client: &mut Client,
    number: TxnNumber,
    place: Place,
    producer: TxnProducer,
    sequences: &mut BTreeMap<i32, i32>,
) -> bool {
    let (values, builder) = client.batch(place, 2, false, Some(number));
    let sequence = *sequences.entry(place.1).or_default();
    let TxnProducer { id, epoch } = producer;
    let sender = Sender { id, epoch, sequence, transactional: true };
    let Some(records) = sealed(builder, Some(sender)) else { return false };
    let Ok((Some(answer), _)) = client.call(move |broker| produce(broker, place, records)).await
    else {
        return false;
    };
    let fate = fate(&answer);
    client.note(format_args!("transaction {number} {place:?} {values:?}: {fate:?}"));
    client.model(|model| {
        model.told(place, &values, fate);
        if matches!(fate, Fate::Stored(_)) {
            values.iter().for_each(|value| model.transactions.has(number, *value));
        }
    });
    sequences.insert(place.1, sequence + i32::try_from(values.len()).unwrap_or(1));
    matches!(fate, Fate::Stored(_))
}

async fn end(client: &Client, id: &'static str, number: TxnNumber, producer: TxnProducer) -> bool {
    let commit = !client.dice.one_in(4);
    let mut doubt = false;
    let asked = if commit { End::Committing } else { End::Aborted };
    client.model(|model| model.transactions.ends(number, asked));
    loop {
        let request = EndTxn { id: id.into(), producer, commit, renew: None };
        let answer =
            client.call(|broker| async move { broker.groups().end_transaction(request).await });
        match answer.await {
            Ok((Ok(_), _)) => {
                client.note(format_args!("transaction {number}: ended, commit: {commit}"));
                if commit {
                    client.model(|model| {
                        model.transactions.ends(number, End::Committed);
                        model.counts.committed += 1;
                    });
                }
                // One that is on its way must not end the next transaction: not with this epoch.
                return !doubt;
            }
            // Asking again is harmless, and tells.
            Ok((Err(error), _)) if error.kind() == ErrorKind::Unavailable => {}
            Err(_) => doubt = true,
            Ok((Err(error), _)) => {
                client.note(format_args!("transaction {number}: {error}"));
                return false;
            }
        }
        if client.world.is_over() {
            return false;
        }
        client.rest(200).await;
    }
}
