//! What a connection publishes, on its way to the disk: what arrived together is stored together, and who wants to know of
//! it is told in the order in which it arrived.

use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::{Batch, Storing};
use crate::Broker;

/// What becomes of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// There is nothing to wait for.
    Done,
    /// It has this number in the batch.
    Stored(usize),
    /// A queue is full, and refuses it.
    Refused,
}

/// What arrived together and is on its way.
#[derive(Debug)]
pub struct Commit<O> {
    /// What is being stored.
    pub storing: Storing,
    /// Who wants to know, and of what.
    pub owed: Vec<O>,
    /// When it was all there.
    pub since: Instant,
    /// Somebody waits until it is done.
    pub done: Option<oneshot::Sender<()>>,
}

/// What a connection publishes.
#[derive(Debug)]
pub struct Publishing<O> {
    broker: Broker,
    /// Messages of this read that are to be stored …
    pub batch: Batch,
    /// … and whose publishers want to know.
    pub owed: Vec<O>,
    commits: mpsc::Sender<Commit<O>>,
    /// Some were handed over since it was last waited for.
    is_storing: bool,
}

impl<O> Publishing<O> {
    /// What is handed over goes to `commits`, and waits where these are full.
    pub fn new(broker: Broker, commits: mpsc::Sender<Commit<O>>) -> Self {
        Self { broker, batch: Batch::default(), owed: Vec::new(), commits, is_storing: false }
    }

    /// Hands over what is to be stored, if there is anything.
    pub async fn hand_over(&mut self) {
        // Whoever listens live has it written now.
        let _slow = self.batch.flush();
        if self.batch.is_empty() && self.owed.is_empty() {
            return;
        }
        let storing = self.broker.store(std::mem::take(&mut self.batch)).await;
        let owed = std::mem::take(&mut self.owed);
        self.is_storing = true;
        // Only at the connection's end is there nobody to take it.
        let commit = Commit { storing, owed, since: Instant::now(), done: None };
        let _taken = self.commits.send(commit).await;
    }

    /// Hands it over, and waits until all that was handed over is stored: what comes next must see it.
    pub async fn until_stored(&mut self) {
        self.hand_over().await;
        if !std::mem::take(&mut self.is_storing) {
            return;
        }
        let (done, heard) = oneshot::channel();
        let storing = self.broker.store(Batch::default()).await;
        let since = Instant::now();
        let commit = Commit { storing, owed: Vec::new(), since, done: Some(done) };
        if self.commits.send(commit).await.is_ok() {
            let _ended = heard.await;
        }
    }
}
