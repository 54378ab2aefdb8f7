//! A partition that is followed: messages are sent as they come, no more of them a second than were asked for.

use std::sync::Arc;
use std::time::Duration;

use base::Offset;
use broker::{BrowseLimits, Browsed, FetchError, OpenTopic};
use bytes::Bytes;
use serde_json::json;
use tokio::sync::mpsc::Sender;
use tokio::sync::watch;
use tokio::time::Instant;

use super::messages::{BYTES_MAX, count};
use crate::map::Shown;
use crate::sse::Form;
use crate::{Shared, sse};

/// A rate is one of so long.
const SECOND: Duration = Duration::from_secs(1);

/// Messages that are looked at together.
const BATCH: usize = 1000;

pub(super) struct Tail {
    pub(super) shared: Arc<Shared>,
    pub(super) topic: Arc<OpenTopic>,
    pub(super) partition: i32,
    /// The next message.
    pub(super) offset: Offset,
    /// Messages a second.
    pub(super) rate: u64,
    pub(super) form: Form,
}

/// What was sent in this second.
struct Measure {
    began: Instant,
    sent: u64,
    left_out: u64,
}

impl Measure {
    fn new() -> Self {
        Self { began: Instant::now(), sent: 0, left_out: 0 }
    }
}

impl Tail {
    /// Runs until the client is gone, the topic is, or the broker stops.
    pub(super) async fn run(mut self, to: Sender<Bytes>, mut stopping: watch::Receiver<bool>) {
        let mut measure = Measure::new();
        loop {
            let read = tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return,
                () = to.closed() => return,
                read = self.read() => read,
            };
            let Ok(browsed) = read else { return };
            for piece in self.pieces(&browsed, &mut measure) {
                if to.send(piece).await.is_err() {
                    return;
                }
            }
            count(&self.shared.figures, &browsed.found);
            self.offset = browsed.next;
        }
    }

    /// What is there, or comes within a beat.
    async fn read(&self) -> Result<Browsed, FetchError> {
        let limits = BrowseLimits { messages: BATCH, bytes: BYTES_MAX / 4, wait: sse::BEAT };
        self.shared.broker.browse(&self.topic, self.partition, self.offset, limits).await
    }

    fn pieces(&self, browsed: &Browsed, measure: &mut Measure) -> Vec<Bytes> {
        let mut pieces = Vec::new();
        if measure.began.elapsed() >= SECOND {
            if measure.left_out > 0 {
                let told = json!({ "partition": self.partition, "left_out": measure.left_out });
                let id = format!("{}:{}", self.partition, self.offset - 1);
                pieces.push(self.form.piece("left_out", &id, &told));
            }
            *measure = Measure::new();
        }
        if browsed.found.is_empty() {
            pieces.extend(self.form.beat());
        }
        for found in &browsed.found {
            if measure.sent >= self.rate {
                measure.left_out += 1;
                continue;
            }
            measure.sent += 1;
            let id = format!("{}:{}", self.partition, found.offset);
            pieces.push(self.form.piece("message", &id, &Shown::new(self.partition, found)));
        }
        pieces
    }
}
