//! What a session that outlives its connection has written down in the core: of each subscription its options, and of
//! the session which deliveries of QoS 2 are half done.
//!
//! ```text
//! options of a subscription   bits u8 (QoS, no-local 4, retain as published 8, retain handling 16 and 32), number u32
//! state of a session          number of packets u16, their identifiers u16 each: received and not released;
//!                             then i64 each: places in the queue of what the client has received and not completed;
//!                             then, if its will waits: 255 u8, when it is due i64, the will (`will.rs`)
//! note of a retained message  QoS u8, number of the subscription u32
//! ```

use std::collections::BTreeSet;

use base::subject::Escape;
use base::{Millis, Offset};
use broker::sessions::{Interest, Taken, Wanted};
use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::map::{NAMES, Received};
use crate::session::State;
use crate::session::outbound::{Ids, Manner, Sent};
use crate::wire::name::SharedFilter;
use crate::wire::subscribe::Options;

/// How filters are written.
static SYNTAX: &Escape = &NAMES;

/// A subscription, for the core.
pub(crate) fn wanted(shared: &SharedFilter<'_>, filter: base::Filter) -> Wanted {
    let group = shared.group.map(|name| Bytes::copy_from_slice(name.as_bytes()));
    Wanted { filter, group }
}

/// The filter as the client writes it.
pub(crate) fn text(wanted: &Wanted) -> String {
    let filter = SYNTAX.filter_name(&wanted.filter);
    let filter = String::from_utf8_lossy(&filter);
    match &wanted.group {
        None => filter.into_owned(),
        Some(group) => format!("$share/{}/{filter}", String::from_utf8_lossy(group)),
    }
}

/// What is wanted of it.
pub(crate) fn interest(options: Options, id: Option<u32>) -> Interest {
    let mut bytes = BytesMut::with_capacity(5);
    bytes.put_u8(options.encode());
    bytes.put_u32(id.unwrap_or(0));
    Interest { options: bytes.freeze(), no_echo: options.no_local, waits: options.qos > 0 }
}

/// The options that were written down, and the subscription's number. What another version wrote is as good as nothing.
pub(crate) fn options(interest: &Interest) -> (Options, Option<u32>) {
    let mut bytes = interest.options.clone();
    if bytes.len() < 5 {
        return (Options::default(), None);
    }
    (Options::of(bytes.get_u8()), Some(bytes.get_u32()).filter(|id| *id > 0))
}

/// What only this one gets of a retained message.
pub(crate) fn note(qos: u8, id: Option<u32>) -> Bytes {
    let mut bytes = BytesMut::with_capacity(5);
    bytes.put_u8(qos);
    bytes.put_u32(id.unwrap_or(0));
    bytes.freeze()
}

fn noted(mut note: Bytes) -> Option<Manner> {
    if note.len() < 5 {
        return None;
    }
    let qos = note.get_u8().min(2);
    let ids = Some(note.get_u32()).filter(|id| *id > 0).map_or(Ids::None, Ids::One);
    Some(Manner { qos, retain: true, ids })
}

/// What is half done.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct HalfDone {
    pub(crate) received: BTreeSet<u16>,
    pub(crate) released: BTreeSet<Offset>,
    /// A will that waits, and when it is due.
    pub(crate) will: Option<(Millis, Bytes)>,
}

/// No place begins so.
const WILL: u8 = 0xff;

impl HalfDone {
    pub(crate) fn decode(mut bytes: Bytes) -> Self {
        let mut found = Self::default();
        let count = if bytes.len() < 2 { 0 } else { bytes.get_u16() };
        for _ in 0..count {
            if bytes.len() < 2 {
                return found;
            }
            found.received.insert(bytes.get_u16());
        }
        while bytes.len() >= 8 && bytes.first() != Some(&WILL) {
            found.released.insert(bytes.get_i64());
        }
        if bytes.len() > 9 {
            bytes.advance(1);
            found.will = Some((bytes.get_i64(), bytes));
        }
        found
    }

    fn encode(&self) -> Bytes {
        let mut bytes = BytesMut::with_capacity(2 + 2 * self.received.len());
        // There are no more packet identifiers than that.
        bytes.put_u16(u16::try_from(self.received.len()).unwrap_or(u16::MAX));
        self.received.iter().take(usize::from(u16::MAX)).for_each(|id| bytes.put_u16(*id));
        self.released.iter().for_each(|place| bytes.put_i64(*place));
        if let Some((due, will)) = &self.will {
            bytes.put_u8(WILL);
            bytes.put_i64(*due);
            bytes.put_slice(will);
        }
        bytes.freeze()
    }
}

/// The same state without the will that waited; none if there was none.
pub(crate) fn without_will(state: &Bytes) -> Option<Bytes> {
    let mut half_done = HalfDone::decode(state.clone());
    half_done.will.take()?;
    Some(half_done.encode())
}

impl State {
    /// What is half done, to be written down.
    pub(crate) fn half_done(&self) -> Bytes {
        let will = self.will_due.and_then(|due| Some((due, self.will.as_ref()?.encode().into())));
        let released = self.outbound.released().collect();
        HalfDone { received: self.received.clone(), released, will }.encode()
    }

    /// Sends a message from the session's queue.
    pub(crate) fn send_kept(&mut self, taken: &Taken, now: Millis) -> Sent {
        let (subject, message) = (&taken.waiting.subject, &taken.waiting.message);
        let topic = NAMES.name(subject);
        let received = Received::new(&topic, message, true);
        if received.topic.is_empty() || received.topic.len() > usize::from(u16::MAX) {
            return Sent::Done;
        }
        let group = taken.waiting.group.as_ref();
        let manner = match taken.waiting.note.clone() {
            Some(note) => noted(note),
            None => {
                let tags = self.subscriptions.find_all(subject, group);
                self.subscriptions.manner(&tags, received.published)
            }
        };
        let Some(manner) = manner.filter(|_| self.may_read_subject(subject)) else {
            return Sent::Done;
        };
        // Who was there when it came had it then.
        if manner.qos == 0 && group.is_none() {
            return Sent::Done;
        }
        let place = (taken.waiting.handle, taken.again);
        self.outbound.send_kept(received.view(), &manner, place, now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::map;

    #[test]
    fn what_is_written_down_of_a_subscription_is_read_back() {
        for byte in (0..64).filter(|byte| byte & 3 < 3 && byte >> 4 < 3) {
            let known = Options::of(byte);
            assert_eq!(known.encode(), byte);
            for id in [None, Some(1), Some(268_435_455)] {
                assert_eq!(options(&interest(known, id)), (known, id));
            }
        }
    }

    #[test]
    fn what_is_half_done_is_read_back() {
        for will in [None, Some((7, Bytes::from_static(b"will")))] {
            let (received, released) = ([1, 65_535].into(), [0, Offset::MAX].into());
            let known = HalfDone { received, released, will };
            assert_eq!(HalfDone::decode(known.encode()), known);
            let without = without_will(&known.encode()).map(HalfDone::decode);
            assert_eq!(without.is_some(), known.will.is_some());
            assert!(without.is_none_or(|without| without == HalfDone { will: None, ..known }));
        }
        assert_eq!(HalfDone::decode(Bytes::new()), HalfDone::default());
    }

    #[test]
    fn filters_come_back_as_the_client_wrote_them() {
        let filters =
            ["a", "a/b", "/", "//", "a//b", "+", "#", "a/+/#", "$SYS/#", "a%2Fb", "%", "é/x y"];
        for filter in
            filters.into_iter().flat_map(|one| [one.to_owned(), format!("$share/g/{one}")])
        {
            let shared = SharedFilter::parse(&filter).unwrap();
            assert_eq!(text(&wanted(&shared, map::filter(shared.filter).unwrap())), filter);
        }
    }
}
