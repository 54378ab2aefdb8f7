//! Whose task it is: who serves a connection says so once, and whatever is done for it knows.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, OnceLock};

tokio::task_local! {
    static WHO: Option<Arc<Who>>;
}

/// A client's connection.
#[derive(Debug)]
pub struct Who {
    /// The protocol's name.
    pub door: &'static str,
    /// The listener's.
    pub listener: Arc<str>,
    /// The client's address, where it has one of its own.
    pub peer: Option<SocketAddr>,
    /// What it calls itself, once it did.
    name: OnceLock<Box<str>>,
}

impl Who {
    /// A connection of which nothing else is known yet.
    pub fn new(door: &'static str, listener: &Arc<str>, peer: Option<SocketAddr>) -> Arc<Self> {
        Arc::new(Self { door, listener: Arc::clone(listener), peer, name: OnceLock::new() })
    }

    /// Whose task this is; nobody's, where the broker does something by itself.
    pub fn current() -> Option<Arc<Self>> {
        WHO.try_with(Clone::clone).ok().flatten()
    }

    /// What it calls itself; the first word counts.
    pub fn call_current(name: &str) {
        if let Some(who) = Self::current() {
            let _first = who.name.set(name.into());
        }
    }

    /// What it calls itself.
    pub fn name(&self) -> Option<&str> {
        self.name.get().map(AsRef::as_ref)
    }

    /// All that a task does is done for it.
    pub fn scope<F: Future>(self: Arc<Self>, task: F) -> impl Future<Output = F::Output> {
        WHO.scope(Some(self), task)
    }

    /// The same of what returns without waiting.
    pub fn run<T>(self: Arc<Self>, work: impl FnOnce() -> T) -> T {
        WHO.sync_scope(Some(self), work)
    }

    /// What is done here is done for nobody, whosever task it is.
    pub fn nobody<T>(work: impl FnOnce() -> T) -> T {
        WHO.sync_scope(None, work)
    }
}

/// A task that goes on for whoever this task is for: tasks that are spawned know nobody else.
pub fn carried<F: Future>(task: F) -> impl Future<Output = F::Output> {
    WHO.scope(Who::current(), task)
}
