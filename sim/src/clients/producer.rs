//! Producers: those that send once, and those that send again until they know.

use base::ErrorKind;
use broker::ProduceError;
use store::AppendError;

use super::{Client, KEYED, Sender, produce, sealed};
use crate::model::{Fate, Place};

/// What an answer says for certain.
pub(super) fn fate(answer: &Result<broker::Produced, ProduceError>) -> Fate {
    match answer {
        Ok(produced) => Fate::Stored(produced.base_offset),
        // The log may have it, and a restart shows whether.
        Err(ProduceError::Append(AppendError::Failed(_) | AppendError::Closed)) => Fate::Unknown,
        Err(_) => Fate::Refused,
    }
}

/// Sends each batch once, whatever becomes of it.
pub(super) async fn plain(mut client: Client, place: Place) {
    while !client.world.is_over() {
        let (values, builder) = client.batch(place, 3, place.0 == KEYED, None);
        let Some(records) = sealed(builder, None) else { return client.wrong("no batch") };
        let answer = client.call(move |broker| produce(broker, place, records)).await;
        if let Ok((Some(answer), _)) = answer {
            let fate = fate(&answer);
            client.note(format_args!("{place:?} {values:?}: {fate:?}"));
            client.model(|model| model.told(place, &values, fate));
        }
        client.rest(80).await;
    }
}

/// Sends each batch until it is told that it is stored.
pub(super) async fn idempotent(mut client: Client, place: Place) {
    let Some(id) = identity(&client).await else { return };
    let (epoch, transactional, mut sequence) = (0, false, 0);
    while !client.world.is_over() {
        let (values, builder) = client.batch(place, 2, false, None);
        let sender = Sender { id, epoch, sequence, transactional };
        let Some(records) = sealed(builder, Some(sender)) else { return client.wrong("no batch") };
        loop {
            let records = records.clone();
            let answer = client.call(move |broker| produce(broker, place, records)).await;
            if let Ok((Some(answer), _)) = answer {
                client.note(format_args!("{place:?} {values:?} again: {:?}", fate(&answer)));
                match answer {
                    Ok(produced) => {
                        let fate = Fate::Stored(produced.base_offset);
                        client.model(|model| model.told(place, &values, fate));
                        break;
                    }
                    Err(error)
                        if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Storage) => {}
                    Err(error) => return client.wrong(format_args!("{place:?}: {error}")),
                }
            }
            if client.world.is_over() {
                return;
            }
            client.rest(200).await;
        }
        sequence += i32::try_from(values.len()).unwrap_or(1);
        client.rest(80).await;
    }
}

/// A new producer identity, which nobody else has.
pub(super) async fn identity(client: &Client) -> Option<i64> {
    loop {
        let answer = client.call(|broker| async move { broker.new_producer().await }).await;
        if let Ok((Ok(id), _)) = answer {
            if !client.world.producers.lock().insert(id) {
                client.wrong(format_args!("producer {id} was given out twice"));
            }
            return Some(id);
        }
        if client.world.is_over() {
            return None;
        }
        client.rest(100).await;
    }
}
