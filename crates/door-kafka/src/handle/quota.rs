//! What a connection uses, measured, and the rest that it must take.
//!
//! As Kafka since 2.0 (KIP-219): the response is sent at once and says for how long the client is
//! throttled; for that long nothing more is read from the connection.

use std::future::poll_fn;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use base::Principal;
use broker::Broker;
use broker::quotas::{QuotaKind, Usage};

use crate::wire::RequestHeader;

/// What a connection uses. Clones are handles of the same one.
#[derive(Debug, Clone)]
pub(crate) struct Quota {
    usage: Usage,
    /// Milliseconds for which nothing more is to be read, not yet taken by the session.
    rest: Arc<AtomicU32>,
}

impl Quota {
    pub(crate) fn new(broker: &Broker, principal: &Principal) -> Self {
        Self { usage: broker.usage(principal), rest: Arc::default() }
    }

    /// The same connection, used by somebody who logged in.
    pub(super) fn of(&self, broker: &Broker, principal: &Principal) -> Self {
        Self { usage: broker.usage(principal), rest: Arc::clone(&self.rest) }
    }

    /// Whether anybody has a quota of this kind.
    pub(crate) fn is_bounded(&self, kind: QuotaKind) -> bool {
        self.usage.is_bounded(kind)
    }

    /// Counts something; returns the milliseconds for which the client must rest.
    pub(super) fn record(&self, header: &RequestHeader, kind: QuotaKind, amount: f64) -> u32 {
        self.usage.record(client(header), kind, amount)
    }

    /// Counts bytes; returns the milliseconds for which the client must rest.
    pub(super) fn record_bytes(
        &self,
        header: &RequestHeader,
        kind: QuotaKind,
        bytes: usize,
    ) -> u32 {
        if !self.is_bounded(kind) {
            return 0;
        }
        #[allow(clippy::cast_precision_loss, reason = "a frame is far smaller than 2^52 bytes")]
        let bytes = bytes as f64;
        self.record(header, kind, bytes)
    }

    /// Counts something unless too much was used already.
    pub(super) fn try_record(
        &self,
        header: &RequestHeader,
        kind: QuotaKind,
        amount: f64,
    ) -> Result<(), u32> {
        self.usage.try_record(client(header), kind, amount)
    }

    /// The most bytes that one answer should have, so that it does not exceed the quota alone.
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "saturates")]
    pub(super) fn most_bytes(&self, header: &RequestHeader, kind: QuotaKind) -> usize {
        self.usage.most_at_once(client(header), kind).map_or(usize::MAX, |most| most as usize)
    }

    /// Does the work of a request, and counts the time that it took a worker thread, if that is
    /// bounded: not the time that it waited. Returns the milliseconds for which the client must
    /// rest.
    pub(super) async fn time<F: Future>(
        &self,
        header: &RequestHeader,
        work: F,
    ) -> (F::Output, u32) {
        if !self.is_bounded(QuotaKind::RequestTime) {
            return (work.await, 0);
        }
        let mut busy = Duration::ZERO;
        let mut work = pin!(work);
        let output = poll_fn(|cx| {
            let began = Instant::now();
            let polled = work.as_mut().poll(cx);
            busy += began.elapsed();
            polled
        })
        .await;
        let percent_seconds = busy.as_secs_f64() * 100.0;
        (output, self.record(header, QuotaKind::RequestTime, percent_seconds))
    }

    /// Says that the client must rest, once its response is sent. Returns what the response says.
    pub(super) fn rest(&self, ms: u32) -> i32 {
        self.rest.fetch_max(ms, Ordering::Relaxed);
        i32::try_from(ms).unwrap_or(i32::MAX)
    }

    /// The rest that was asked for since it was last taken.
    pub(crate) fn take_rest(&self) -> Option<Duration> {
        let ms = self.rest.swap(0, Ordering::Relaxed);
        (ms > 0).then(|| Duration::from_millis(ms.into()))
    }
}

/// The name that a client gives itself.
fn client(header: &RequestHeader) -> &str {
    header.client_id.as_ref().map_or("", |id| id.as_str())
}
