//! What came back, message by message: nothing is believed that was not counted.

use std::collections::VecDeque;
use std::time::Instant;

use super::wire::{self, Heard};

/// What a publisher was told. A message's tag is its number on the channel, from one on.
#[derive(Debug, Default)]
pub(super) struct Confirms {
    /// Messages that were confirmed.
    pub(super) count: u64,
    /// Messages that the broker did not take.
    pub(super) refused: u64,
    /// Messages before the first that waits.
    done: u64,
    /// When those were sent that wait; none, where one is answered that was sent later than others.
    waiting: VecDeque<Option<Instant>>,
    /// From sending to confirmation, in microseconds.
    pub(super) took: Vec<f32>,
}

impl Confirms {
    /// So many messages are on their way.
    pub(super) fn sent(&mut self, count: u64, now: Instant) {
        self.waiting.extend((0..count).map(|_| Some(now)));
    }

    /// Messages without an answer.
    pub(super) fn open(&self, sent: u64) -> u64 {
        sent - self.count - self.refused
    }

    /// Takes in what came; how many bytes were whole frames.
    pub(super) fn hear(&mut self, input: &[u8]) -> usize {
        // Once for all that came together, as it was written together.
        let now = Instant::now();
        wire::hear(input, |heard| match heard {
            Heard::Confirmed { tag, multiple } => {
                let answered = self.answered(tag, multiple, |confirms, sent| {
                    let took = now.duration_since(sent).as_secs_f32() * 1e6;
                    confirms.took.push(took);
                });
                self.count += answered;
            }
            Heard::Refused { tag, multiple } => {
                self.refused += self.answered(tag, multiple, |_, _| {});
            }
            Heard::Nothing => {}
            other => panic!("not expected: {other:?}"),
        })
    }

    /// One message is answered, or all up to it that were not; how many that are.
    fn answered(
        &mut self,
        tag: u64,
        multiple: bool,
        mut each: impl FnMut(&mut Self, Instant),
    ) -> u64 {
        let index = tag.checked_sub(self.done + 1).and_then(|index| usize::try_from(index).ok());
        let index = index.filter(|index| *index < self.waiting.len());
        let index = index.unwrap_or_else(|| panic!("message {tag} is answered, and does not wait"));
        let mut answered = 0;
        if multiple {
            for _ in 0..=index {
                self.done += 1;
                if let Some(sent) = self.waiting.pop_front().flatten() {
                    answered += 1;
                    each(self, sent);
                }
            }
        } else {
            let sent = self.waiting[index].take();
            let sent = sent.unwrap_or_else(|| panic!("message {tag} is answered twice"));
            answered = 1;
            each(self, sent);
        }
        while let Some(None) = self.waiting.front() {
            self.waiting.pop_front();
            self.done += 1;
        }
        answered
    }
}

/// What a consumer got, of messages that are numbered in the order in which they were published to queues in turn.
#[derive(Debug)]
pub(super) struct Inbox {
    size: u64,
    /// Messages that came, each counted once.
    pub(super) messages: u64,
    /// Messages that came again.
    pub(super) duplicates: u64,
    /// Messages that came after one that was published later to the same queue.
    pub(super) misordered: u64,
    /// Answers to [`wire::prefetch`].
    pub(super) synced: u64,
    /// Numbers that came since they were last taken out, if anybody does so.
    pub(super) fresh: Option<Vec<u64>>,
    /// The delivery whose payload is due.
    tag: Option<u64>,
    seen: Bits,
    /// Of each queue: the number after the highest that came.
    next: Vec<u64>,
}

impl Inbox {
    /// For payloads of this size from so many queues.
    pub(super) fn new(size: usize, queues: usize) -> Self {
        Self {
            size: size as u64,
            messages: 0,
            duplicates: 0,
            misordered: 0,
            synced: 0,
            fresh: None,
            tag: None,
            seen: Bits::default(),
            next: vec![0; queues],
        }
    }

    /// Takes in what came, and acknowledges each message; how many bytes were whole frames.
    pub(super) fn hear(&mut self, input: &[u8], out: &mut Vec<u8>) -> usize {
        wire::hear(input, |heard| match heard {
            Heard::Delivery { tag } => {
                assert!(self.tag.replace(tag).is_none(), "a message within a message");
            }
            Heard::Size(size) => assert_eq!(size, self.size, "a message of another size"),
            Heard::Payload(payload) => {
                assert_eq!(payload.len() as u64, self.size, "a payload in one frame");
                let tag = self.tag.take().expect("a message begins before its payload");
                self.message(wire::number(payload));
                wire::acknowledge(tag, out);
            }
            Heard::Synced => self.synced += 1,
            Heard::Nothing => {}
            other => panic!("not expected: {other:?}"),
        })
    }

    fn message(&mut self, number: u64) {
        if !self.seen.insert(number) {
            self.duplicates += 1;
            return;
        }
        self.messages += 1;
        let queues = self.next.len() as u64;
        let next = &mut self.next[usize::try_from(number % queues).expect("a queue's number")];
        if number >= *next {
            *next = number + 1;
        } else {
            self.misordered += 1;
        }
        if let Some(fresh) = &mut self.fresh {
            fresh.push(number);
        }
    }
}

/// A set of numbers that begin at zero: a bit for each.
#[derive(Debug, Default)]
struct Bits(Vec<u64>);

impl Bits {
    /// Whether it was not there.
    fn insert(&mut self, number: u64) -> bool {
        let (word, bit) = (usize::try_from(number / 64).expect("a number"), 1 << (number % 64));
        if word >= self.0.len() {
            self.0.resize(word + 1, 0);
        }
        let is_new = self.0[word] & bit == 0;
        self.0[word] |= bit;
        is_new
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn confirm(tag: u64, multiple: bool) -> Vec<u8> {
        let mut bytes = Vec::new();
        wire::acknowledge(tag, &mut bytes);
        let at = bytes.len() - 2;
        bytes[at] = u8::from(multiple);
        bytes
    }

    #[test]
    fn confirms_count_once_in_whatever_order_they_come() {
        let mut confirms = Confirms::default();
        confirms.sent(6, Instant::now());
        confirms.hear(&[confirm(2, false), confirm(5, false)].concat());
        assert_eq!((confirms.count, confirms.open(6)), (2, 4));
        confirms.hear(&confirm(4, true));
        assert_eq!((confirms.count, confirms.took.len()), (5, 5), "one, three and four");
        confirms.hear(&confirm(6, true));
        assert_eq!((confirms.count, confirms.open(6)), (6, 0));
    }

    #[test]
    #[should_panic(expected = "does not wait")]
    fn a_message_that_is_confirmed_twice_is_a_fault() {
        let mut confirms = Confirms::default();
        confirms.sent(1, Instant::now());
        confirms.hear(&[confirm(1, false), confirm(1, false)].concat());
    }

    #[test]
    fn messages_are_counted_where_they_are_missing_late_or_there_twice() {
        let mut inbox = Inbox::new(8, 2);
        inbox.fresh = Some(Vec::new());
        // Of the first queue 4 comes before 2; of the second 3 is missing, and 5 comes twice.
        [0, 1, 4, 2, 5, 5].into_iter().for_each(|number| inbox.message(number));
        assert_eq!((inbox.messages, inbox.misordered, inbox.duplicates), (5, 1, 1));
        assert_eq!(inbox.fresh.as_deref(), Some(&[0, 1, 4, 2, 5][..]));
    }
}
