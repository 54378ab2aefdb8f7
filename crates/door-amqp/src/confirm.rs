//! Publisher confirms: what was stored is acknowledged, in the order in which it was published, together as far as
//! possible.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use broker::live::{Commit, Fate};
use door::DoorFigures;
use tokio::sync::mpsc::Receiver;

use crate::channel::ChannelOut;
use crate::flow::HostFlow;
use crate::wire::frame::put_method;
use crate::wire::method::{BasicAck, BasicNack};

/// A message whose publisher wants to know.
#[derive(Debug)]
pub(crate) struct Owed {
    pub(crate) channel: Arc<ChannelOut>,
    /// Its number on the channel.
    pub(crate) tag: u64,
    pub(crate) fate: Fate,
}

/// Confirms batches one after the other, for as long as the connection lives.
pub(crate) async fn run(
    mut commits: Receiver<Commit<Owed>>,
    figures: &DoorFigures,
    host: &HostFlow,
) {
    while let Some(Commit { storing, mut owed, since, done }) = commits.recv().await {
        let outcomes = storing.done().await;
        if !owed.is_empty() {
            let took = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            figures.publish_time.record_times(took, owed.len() as u64);
        }
        // Within a channel in order, as they are already.
        owed.sort_by_key(|owed| owed.channel.number);
        let is_sure = |fate: Fate| match fate {
            Fate::Done => true,
            Fate::Stored(number) => outcomes.get(number).is_some_and(Result::is_ok),
            Fate::Refused => false,
        };
        host.confirmed.fetch_add(confirm(&owed, is_sure), Ordering::Relaxed);
        if let Some(last) = owed.last() {
            last.channel.outgoing.flush();
        }
        // Whoever waited may be gone.
        done.and_then(|done| done.send(()).ok());
    }
}

/// Answers runs of one channel that have the same answer with one frame each. All before a run are answered already, so
/// that `multiple` means the run. How many were confirmed.
fn confirm(owed: &[Owed], is_sure: impl Fn(Fate) -> bool) -> u64 {
    let mut confirmed = 0;
    let same = |a: &Owed, b: &Owed| {
        Arc::ptr_eq(&a.channel, &b.channel) && is_sure(a.fate) == is_sure(b.fate)
    };
    for run in owed.chunk_by(same) {
        let [.., last] = run else { continue };
        let (delivery_tag, multiple) = (last.tag, run.len() > 1);
        if is_sure(last.fate) {
            confirmed += run.len() as u64;
            last.channel.flow.confirmed.add(run.len() as u64);
        }
        last.channel.tell(|channel, out| match is_sure(last.fate) {
            true => put_method(channel, &BasicAck { delivery_tag, multiple }, out),
            false => {
                let nack = BasicNack { delivery_tag, multiple, requeue: false };
                put_method(channel, &nack, out);
            }
        });
    }
    confirmed
}

#[cfg(test)]
mod tests {
    use door::Outgoing;

    use super::*;
    use crate::wire::frame::{Parsed, parse};
    use crate::wire::method::Method;

    fn told(outgoing: &Outgoing) -> Vec<(u16, u64, bool, bool)> {
        let mut bytes = Vec::new();
        outgoing.push(|out| bytes = std::mem::take(out));
        let (mut told, mut rest) = (Vec::new(), &bytes[..]);
        while let Ok(Parsed::Frame(frame, used)) = parse(rest, 4096) {
            told.push(match Method::decode(frame.payload).unwrap() {
                Method::BasicAck(ack) => (frame.channel, ack.delivery_tag, ack.multiple, true),
                Method::BasicNack(nack) => (frame.channel, nack.delivery_tag, nack.multiple, false),
                other => panic!("{other:?}"),
            });
            rest = &rest[used..];
        }
        told
    }

    #[test]
    fn runs_of_a_channel_are_answered_with_one_frame() {
        let outgoing = Arc::new(Outgoing::default());
        let channel = |number| ChannelOut::new(number, 4096, Arc::clone(&outgoing), false);
        let (one, two) = (channel(1), channel(2));
        let owed =
            |channel: &Arc<ChannelOut>, tag, fate| Owed { channel: Arc::clone(channel), tag, fate };
        let all = [
            owed(&one, 1, Fate::Done),
            owed(&one, 2, Fate::Stored(0)),
            owed(&one, 3, Fate::Refused),
            owed(&one, 4, Fate::Stored(1)),
            owed(&two, 1, Fate::Stored(0)),
        ];
        let confirmed = confirm(&all, |fate| matches!(fate, Fate::Done | Fate::Stored(0)));
        let wanted = [(1, 2, true, true), (1, 4, true, false), (2, 1, false, true)];
        assert_eq!(told(&outgoing), wanted);
        assert_eq!((confirmed, one.flow.confirmed.get(), two.flow.confirmed.get()), (3, 2, 1));
        two.close();
        confirm(&all[4..], |_| true);
        assert_eq!(told(&outgoing), [], "a channel that is closed is told nothing");
    }
}
