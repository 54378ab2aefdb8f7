//! Sends what happened to messages that are followed to a collector of OpenTelemetry (OTLP over HTTP, with Protocol
//! Buffers: <https://opentelemetry.io/docs/specs/otlp/>). The broker waits for none of it: what there is no room for is
//! counted, and gone.

mod encode;
mod post;

use std::sync::Arc;
use std::time::Duration;

use broker::Broker;
use broker::observe::Observe;
use broker::observe::trace::Span;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use self::encode::Sender;
use self::post::Failure;

pub(crate) use self::post::Target;

/// Steps that wait to be sent.
const WAITING_MAX: usize = 2048;
/// Steps that are sent at once, …
const BATCH_MAX: usize = 512;
/// … and how long one waits for others.
const GATHER: Duration = Duration::from_secs(1);
/// Pause after a collector could not be reached, at first; each time twice as long, …
const PAUSE: Duration = Duration::from_secs(1);
/// … but no longer than this …
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// … and so often. After that others have their turn.
const ATTEMPTS: u32 = 8;
/// What waits when the broker stops has so long.
const LAST_PATIENCE: Duration = Duration::from_secs(2);

/// A task that sends.
#[derive(Debug)]
pub(crate) struct Exporter {
    stop: watch::Sender<bool>,
    task: JoinHandle<()>,
}

impl Exporter {
    /// Begins to send what is over from now on.
    pub(crate) fn start(target: Target, broker: &Broker) -> Self {
        let (version, instance) = (env!("CARGO_PKG_VERSION"), broker.id().0.to_string());
        Self::start_as(target, Sender { version, instance }, broker.observe())
    }

    fn start_as(target: Target, sender: Sender, observe: &Arc<Observe>) -> Self {
        let (to, spans) = mpsc::channel(WAITING_MAX);
        observe.traces.export_to(to);
        let (stop, stopping) = watch::channel(false);
        let observe = Arc::clone(observe);
        let sending = Sending { target, sender, observe, stopping, is_failing: false };
        Self { stop, task: tokio::spawn(sending.run(spans)) }
    }

    /// Sends what waits, if that is taken soon.
    pub(crate) async fn stop(mut self) {
        self.stop.send_replace(true);
        if timeout(LAST_PATIENCE, &mut self.task).await.is_err() {
            self.task.abort();
        }
    }
}

struct Sending {
    target: Target,
    sender: Sender,
    observe: Arc<Observe>,
    stopping: watch::Receiver<bool>,
    /// It was said.
    is_failing: bool,
}

impl Sending {
    async fn run(mut self, mut spans: mpsc::Receiver<Span>) {
        let mut stopping = self.stopping.clone();
        loop {
            let mut batch = Vec::new();
            let is_over = tokio::select! {
                count = spans.recv_many(&mut batch, BATCH_MAX) => count == 0,
                _ = stopping.wait_for(|stop| *stop) => true,
            };
            if is_over {
                while let Ok(span) = spans.try_recv() {
                    batch.push(span);
                }
                return self.send(&batch).await;
            }
            let until = Instant::now() + GATHER;
            let gathering = async {
                while batch.len() < BATCH_MAX {
                    let room = BATCH_MAX - batch.len();
                    if spans.recv_many(&mut batch, room).await == 0 {
                        return;
                    }
                }
            };
            tokio::select! {
                _ = timeout_at(until, gathering) => {}
                _ = stopping.wait_for(|stop| *stop) => {}
            }
            self.send(&batch).await;
        }
    }

    /// Sends some, and tries again while that may help.
    async fn send(&mut self, batch: &[Span]) {
        if batch.is_empty() {
            return;
        }
        let body = self.sender.request(batch);
        let mut pause = PAUSE;
        for attempt in 1..=ATTEMPTS {
            let failure = match self.target.post(&body).await {
                Ok(answer) => {
                    self.well();
                    let rejected = encode::rejected(&answer).min(batch.len() as u64);
                    if rejected > 0 {
                        self.observe.traces.dropped("export", rejected);
                    }
                    return;
                }
                Err(failure) => failure,
            };
            self.failed(&failure);
            let Failure { again, after, .. } = failure;
            if !again || attempt == ATTEMPTS || *self.stopping.borrow() {
                break;
            }
            tokio::select! {
                () = sleep(after.unwrap_or(pause).min(PAUSE_MAX)) => {}
                _ = self.stopping.wait_for(|stop| *stop) => {}
            }
            pause = (2 * pause).min(PAUSE_MAX);
        }
        self.observe.traces.dropped("export", batch.len() as u64);
    }

    /// Says it once.
    fn failed(&mut self, failure: &Failure) {
        if std::mem::replace(&mut self.is_failing, true) {
            return;
        }
        let (to, why) = (&self.target, &failure.why);
        tracing::warn!(%to, why, "traces cannot be sent; will retry, and say when it works again");
    }

    fn well(&mut self) {
        if std::mem::replace(&mut self.is_failing, false) {
            tracing::info!(to = %self.target, "traces are sent again");
        }
    }
}

#[cfg(test)]
mod tests;
