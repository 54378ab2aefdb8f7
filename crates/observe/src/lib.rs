//! What is known of a running broker: counters and latencies ([`Registry`], [`families`]), an hour of them
//! ([`History`]), how far consumers are behind in time ([`lag`]), what there is and how it hangs together ([`state`]), what happened
//! ([`Events`]), the path of single messages ([`trace`]), and what is wrong ([`diagnosis`]).
//!
//! Nothing here does I/O or knows a protocol. Whoever counts holds its own counter, taken once from the registry, and adds to
//! it per batch; what is known elsewhere already (open connections, depths of queues) is asked for when somebody looks
//! ([`Collect`]).

pub mod archive;
mod column;
mod counter;
pub mod diagnosis;
mod distribution;
mod events;
pub mod families;
mod family;
mod history;
pub mod lag;
mod registry;
pub mod state;
mod text;
pub mod trace;

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};

use base::Clock;

pub use counter::{Counter, Gauge};
pub use distribution::{Distribution, Histogram};
pub use events::{Event, EventKind, Events, Page, Said, Severity, kinds};
pub use family::{Bounds, CounterFamily, Family, GaugeFamily, HistogramFamily, Kind, Unit};
pub use history::{History, Key, Part, Point};
pub use registry::{Collect, Gathered, Registry, Sink, Value};
pub use text::{Format, render};

/// All that is known of one broker: what its parts share.
#[derive(Debug)]
pub struct Observe {
    /// Counters, and what is asked.
    pub registry: Registry,
    /// What they were, each second of the last hour.
    pub history: History,
    /// Who knows what there is.
    pub inspectors: state::Inspectors,
    /// What happened.
    pub events: Events,
    /// What happened to single messages.
    pub traces: trace::Traces,
    /// What it runs on, such as the kernel's version; said once, by whoever asked the system.
    pub environment: OnceLock<BTreeMap<String, String>>,
}

impl Observe {
    /// Nothing is known yet.
    pub fn new(clock: Arc<dyn Clock>) -> Arc<Self> {
        let observe = Arc::new(Self {
            registry: Registry::default(),
            history: History::new(history::HOUR),
            inspectors: state::Inspectors::default(),
            events: Events::new(Arc::clone(&clock)),
            traces: trace::Traces::new(clock),
            environment: OnceLock::new(),
        });
        observe.registry.ask(&observe);
        observe
    }
}

impl Collect for Observe {
    fn collect(&self, sink: &mut Sink<'_>) {
        self.events.collect(sink);
        self.traces.collect(sink);
    }
}
