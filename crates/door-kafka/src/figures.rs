//! What the door counts.

use std::sync::Arc;
use std::time::Duration;

use broker::observe::Observe;
use broker::store::batch::BatchHeader;
use bytes::Bytes;
use door::{DoorFigures, RequestFigures};

use crate::wire::ApiKey;

/// The door's name, and its connections', to those who look.
pub(crate) const NAME: &str = "kafka";

/// Kinds of requests are told by their keys, which are below this.
const KEYS_MAX: usize = 128;

/// Of all connections together.
#[derive(Debug)]
pub(crate) struct Figures {
    pub(crate) door: DoorFigures,
    requests: RequestFigures,
}

impl Figures {
    pub(crate) fn new(observe: &Arc<Observe>) -> Self {
        Self {
            door: DoorFigures::new(observe, NAME),
            requests: RequestFigures::new(observe, NAME, KEYS_MAX),
        }
    }

    /// A request was answered; it took so long, unless it waited for what was not there yet.
    pub(crate) fn answered(&self, api: ApiKey, took: Option<Duration>) {
        self.requests.answered(number(api), api.name(), took);
    }

    /// It was answered with an error.
    pub(crate) fn failed(&self, api: ApiKey) {
        self.requests.failed(number(api), api.name());
    }

    /// A batch was published.
    pub(crate) fn received(&self, records: &Bytes) {
        self.door.received(messages(std::slice::from_ref(records)), records.len());
    }

    /// Batches were handed to a client.
    pub(crate) fn delivered(&self, records: &[Bytes]) {
        let bytes: usize = records.iter().map(Bytes::len).sum();
        if bytes > 0 {
            self.door.delivered(messages(records), bytes);
        }
    }
}

fn number(api: ApiKey) -> usize {
    usize::try_from(api.number()).unwrap_or(usize::MAX)
}

/// By the headers of batches. What older clients get is counted in bytes only.
fn messages(records: &[Bytes]) -> u64 {
    let mut count = 0;
    for slice in records {
        let mut rest = slice.as_ref();
        while let Ok(header) = BatchHeader::decode(rest) {
            count += u64::try_from(header.count).unwrap_or(0);
            rest = rest.get(header.size..).unwrap_or_default();
        }
    }
    count
}

#[cfg(test)]
mod tests {
    use base::ManualClock;
    use broker::store::batch::{BatchBuilder, Compression, NewRecord};

    use super::*;

    fn batch(records: usize) -> Bytes {
        let mut builder = BatchBuilder::new(Compression::None);
        for _ in 0..records {
            builder.push(&NewRecord { timestamp: 0, key: None, value: Some(b"v"), headers: &[] });
        }
        builder.build().unwrap().bytes().clone()
    }

    #[test]
    fn messages_are_counted_by_the_headers_of_their_batches() {
        let figures = Figures::new(&Observe::new(Arc::new(ManualClock::default())));
        figures.received(&batch(3));
        let two = [&batch(2)[..], &batch(5)[..]].concat();
        figures.delivered(&[two.into(), batch(1), Bytes::new(), Bytes::from_static(b"old")]);
        assert_eq!(figures.door.received_messages.get(), 3);
        assert_eq!(figures.door.delivered_messages.get(), 8);
        let bytes = 3 + [2, 5, 1].map(|count| batch(count).len() as u64).iter().sum::<u64>();
        assert_eq!(figures.door.delivered_bytes.get(), bytes);
    }
}
