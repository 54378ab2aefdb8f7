//! Messages that are looked for in a partition, as many as are looked at for one answer.

use std::sync::Arc;
use std::time::Duration;

use base::Offset;
use broker::{Broker, BrowseLimits, Browsed, FetchError, Found, OpenTopic};
use bytes::Bytes;
use tokio::time::Instant;

use crate::ask::Ask;

/// Messages that are looked at together.
const BATCH: usize = 1000;

/// Messages that are looked at for an answer …
const SCANNED_MAX: usize = 100_000;

/// … and how long that may take. Who wants more goes on from there.
const TIME_MAX: Duration = Duration::from_secs(2);

/// What is looked for; nothing: all messages.
pub(super) struct Search {
    key: Option<Bytes>,
    contains: Option<Bytes>,
}

impl Search {
    pub(super) fn of(ask: &Ask) -> Self {
        let bytes = |name| ask.query(name).map(|text| Bytes::copy_from_slice(text.as_bytes()));
        Self { key: bytes("key"), contains: bytes("contains") }
    }

    fn is_wanted(&self, found: &Found) -> bool {
        let message = &found.message;
        let has_key = self.key.is_none() || message.key == self.key;
        let has = |part: &Bytes| {
            let value = message.value.as_deref().unwrap_or_default();
            value.windows(part.len()).any(|window| window == part)
        };
        has_key && self.contains.as_ref().is_none_or(has)
    }

    /// Looks from an offset on; also says how many messages were looked at.
    pub(super) async fn run(
        &self,
        broker: &Broker,
        (topic, partition): (&Arc<OpenTopic>, i32),
        offset: Offset,
        limits: BrowseLimits,
    ) -> Result<(Browsed, usize), FetchError> {
        if self.key.is_none() && self.contains.is_none() {
            let browsed = broker.browse(topic, partition, offset, limits).await?;
            let scanned = browsed.found.len();
            return Ok((browsed, scanned));
        }
        let since = Instant::now();
        let each = BrowseLimits { messages: BATCH, wait: Duration::ZERO, ..limits };
        let mut all = Browsed { next: offset, ..Browsed::default() };
        let (mut scanned, mut bytes) = (0, 0);
        loop {
            let Browsed { found, next, start, end } =
                broker.browse(topic, partition, all.next, each).await?;
            let is_over = next >= end || next == all.next;
            (all.next, all.start, all.end) = (next, start, end);
            for one in found {
                scanned += 1;
                if !self.is_wanted(&one) {
                    continue;
                }
                bytes += one.message.value.as_ref().map_or(0, Bytes::len);
                let offset = one.offset;
                all.found.push(one);
                if all.found.len() >= limits.messages || bytes >= limits.bytes {
                    all.next = offset + 1;
                    return Ok((all, scanned));
                }
            }
            if is_over || scanned >= SCANNED_MAX || since.elapsed() >= TIME_MAX {
                return Ok((all, scanned));
            }
        }
    }
}
