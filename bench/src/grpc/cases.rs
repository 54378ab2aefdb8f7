//! The loads.

use super::flow::{Flow, Read, To};
use crate::pubsub::{Ask, Pace};

/// Bytes of a payload, and how many messages of it a topic has that is read.
const SIZES: [(usize, &str, u64); 2] = [(128, "128", 1_000_000), (1024, "1k", 200_000)];

/// Questions a second.
const RATE: u32 = 1000;

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
    Read(Read),
    Ask(Ask),
}

impl Load {
    /// Whether it is a question that nats-server is asked, too.
    pub(super) fn is_ask(self) -> bool {
        matches!(self, Self::Ask(_))
    }
}

/// All of them.
pub(super) fn all() -> Vec<Case> {
    let mut cases = Vec::new();
    // With how many messages in a request.
    for (to, short, long, batches) in [
        (To::Topic, "publish", "published and stored", &[1, 100, 1000][..]),
        (To::Nobody, "unkept", "published, nobody listens", &[100]),
        (To::Subscriber, "1-1", "published and delivered live", &[1, 100]),
    ] {
        for (size, name, _) in SIZES {
            for batch in batches.iter().copied() {
                let load = Load::Flow(Flow { size, batch, to });
                let what = format!("{long}, {size} B, {batch} in a request");
                cases.push(Case { name: format!("{short}-{name}-{batch}"), what, load });
            }
        }
    }
    for (size, name, count) in SIZES {
        let what = format!("a topic is read, {size} B");
        cases.push(Case {
            name: format!("read-{name}"),
            what,
            load: Load::Read(Read { count, size }),
        });
    }
    for (size, name, _) in SIZES {
        let what = format!("request and reply, one at a time, {size} B");
        let load = Load::Ask(Ask { size, pace: Pace::OneByOne });
        cases.push(Case { name: format!("ask-{name}"), what, load });
    }
    let what = format!("request and reply, {RATE} a second, 128 B");
    let load = Load::Ask(Ask { size: 128, pace: Pace::Rate(RATE) });
    cases.push(Case { name: "ask-rate-128".to_owned(), what, load });
    cases
}
