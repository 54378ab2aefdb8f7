//! The loads.

use super::backlog::Backlog;
use super::flow::Flow;
use super::load::Queues;
use super::rate::Rate;
use super::wire::Kind;

const KINDS: [Kind; 2] = [Kind::Classic, Kind::Quorum];

/// Bytes of a payload, as it is called.
const SIZES: [(usize, &str); 2] = [(1024, "1k"), (128, "128")];

/// Queues that messages go to in turn.
const COUNTS: [usize; 2] = [1, 100];

/// Messages on their way.
const WINDOWS: [u16; 2] = [200, 2000];

/// Messages a second.
const RATES: [u32; 2] = [500, 5000];

/// Messages of the backlog.
const BACKLOG: u64 = 5_000_000;

/// Connections that do nothing.
const CONNECTIONS: usize = 2000;

/// One load.
#[derive(Debug)]
pub(super) struct Case {
    pub(super) name: String,
    /// What it does, for the page.
    pub(super) what: String,
    pub(super) load: Load,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Load {
    Flow(Flow),
    Rate(Rate),
    Backlog(Backlog),
    /// So many connections that do nothing.
    Idle(usize),
}

impl Load {
    /// Whether each run is on a fresh broker: memory that was once in use is not given back.
    pub(super) fn wants_fresh(self) -> bool {
        matches!(self, Self::Backlog(_) | Self::Idle(_))
    }
}

/// All of them.
pub(super) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    for consumes in [false, true] {
        for kind in KINDS {
            flows(&mut cases, kind, consumes);
        }
    }
    for kind in KINDS {
        for rate in RATES {
            let queues = Queues { kind, count: 1, size: 1024 };
            let name = format!("rate-{rate}-{}", kind.name());
            let what = format!("{rate} messages of 1,024 B a second, {} queue", kind.name());
            cases.push(Case { name, what, load: Load::Rate(Rate { queues, rate }) });
        }
    }
    for kind in KINDS {
        let backlog = Backlog { kind, size: 128, messages: BACKLOG };
        let name = format!("backlog-{}", kind.name());
        let what = format!("5 million messages of 128 B in a {} queue", kind.name());
        cases.push(Case { name, what, load: Load::Backlog(backlog) });
    }
    let what = "2,000 idle connections, a channel each".to_owned();
    cases.push(Case { name: "idle-2k".to_owned(), what, load: Load::Idle(CONNECTIONS) });
    cases
}

fn flows(cases: &mut Vec<Case>, kind: Kind, consumes: bool) {
    for (size, size_name) in SIZES {
        for count in COUNTS {
            for window in WINDOWS {
                let (short, long) = match consumes {
                    false => ("publish", "published"),
                    true => ("through", "published and consumed"),
                };
                let name = format!("{short}-{size_name}-{}-{count}q-{window}", kind.name());
                let queues = if count == 1 { "queue" } else { "queues" };
                let what = format!(
                    "{long}, {size} B, {count} {} {queues}, {window} on their way",
                    kind.name()
                );
                let queues = Queues { kind, count, size };
                cases.push(Case {
                    name,
                    what,
                    load: Load::Flow(Flow { queues, window, consumes }),
                });
            }
        }
    }
}
