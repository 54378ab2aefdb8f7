//! Last messages that were asked for of late, in memory: whoever asks again does not wait for the disk.
//!
//! It is a second chance for each: when there is no room, they are looked at in the order in which they came; one that
//! was asked for since it was looked at last stays, another goes.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use base::{Offset, Subject};
use store::batch::Record;

use crate::message::Message;

/// Bytes of all of them.
const BYTES_MAX: usize = 32 << 20;
/// Bytes of one. A larger one is read from the log each time.
const ONE_BYTES_MAX: usize = 1 << 20;
/// What one takes besides its own bytes, about.
const ENTRY_BYTES: usize = 640;
/// What each of its headers takes besides its own bytes.
const HEADER_BYTES: usize = 72;

/// The messages.
#[derive(Debug)]
pub(super) struct Recent {
    bytes_max: usize,
    all: HashMap<Subject, Entry>,
    /// In the order in which they are looked at.
    order: BTreeMap<u64, Subject>,
    bytes: usize,
    next: u64,
}

#[derive(Debug)]
struct Entry {
    offset: Offset,
    message: Arc<Message>,
    bytes: usize,
    /// Its place in the order.
    number: u64,
    /// It was asked for since it was looked at.
    is_wanted: bool,
}

impl Default for Recent {
    fn default() -> Self {
        Self::with_room(BYTES_MAX)
    }
}

impl Recent {
    fn with_room(bytes_max: usize) -> Self {
        let (all, order) = (HashMap::new(), BTreeMap::new());
        Self { bytes_max, all, order, bytes: 0, next: 0 }
    }

    /// A subject's message, if it is here and the one at this offset.
    pub(super) fn get(&mut self, subject: &Subject, offset: Offset) -> Option<Arc<Message>> {
        let entry = self.all.get_mut(subject).filter(|entry| entry.offset == offset)?;
        entry.is_wanted = true;
        Some(Arc::clone(&entry.message))
    }

    /// Whether a message of a subject is here.
    pub(super) fn has(&self, subject: &Subject) -> bool {
        self.all.contains_key(subject)
    }

    /// Takes a record's message, in place of another of the same subject. In any case it is returned, as a copy that does
    /// not keep the record's batch.
    pub(super) fn put(&mut self, record: &Record) -> Arc<Message> {
        let record = record.detached();
        let message = Arc::new(Message { key: None, ..Message::from_record(&record) });
        let bytes = ENTRY_BYTES + record.size() + HEADER_BYTES * record.headers.len();
        let Some(subject) = record.key.and_then(Subject::from_bytes) else { return message };
        let (mut number, mut is_wanted) = (self.next, true);
        if let Some(old) = self.remove(&subject) {
            // A new value is no reason to keep it: those who ask are.
            (number, is_wanted) = (old.number, old.is_wanted);
        }
        if bytes <= ONE_BYTES_MAX.min(self.bytes_max) {
            let (offset, shared) = (record.offset, Arc::clone(&message));
            self.next = self.next.max(number + 1);
            self.bytes += bytes;
            self.order.insert(number, subject.clone());
            let entry = Entry { offset, message: shared, bytes, number, is_wanted };
            self.all.insert(subject, entry);
            self.make_room();
        }
        message
    }

    /// There is no such message any more.
    pub(super) fn forget(&mut self, subject: &Subject) {
        drop(self.remove(subject));
    }

    fn remove(&mut self, subject: &Subject) -> Option<Entry> {
        let entry = self.all.remove(subject)?;
        self.order.remove(&entry.number);
        self.bytes -= entry.bytes;
        Some(entry)
    }

    fn make_room(&mut self) {
        while self.bytes > self.bytes_max {
            let Some((_, subject)) = self.order.pop_first() else { return };
            let Some(entry) = self.all.get_mut(&subject).filter(|entry| entry.is_wanted) else {
                drop(self.remove(&subject));
                continue;
            };
            (entry.is_wanted, entry.number) = (false, self.next);
            self.order.insert(self.next, subject);
            self.next += 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use store::batch::RecordHeaders;

    use super::*;

    fn subject(name: &str) -> Subject {
        Subject::from_levels([name])
    }

    /// A slice of something larger, as it comes out of a batch.
    fn record(name: &str, offset: Offset, value: usize) -> (Record, Bytes) {
        let batch = Bytes::from([name.as_bytes(), &vec![7; value], &[0; 100]].concat());
        let (key, value) = (batch.slice(..name.len()), batch.slice(name.len()..name.len() + value));
        let (key, value, headers) = (Some(key), Some(value), RecordHeaders::default());
        (Record { offset, timestamp: 1, key, value, headers }, batch)
    }

    #[test]
    fn only_the_message_that_is_asked_for_is_found_and_it_keeps_no_batch() {
        let mut recent = Recent::default();
        let (first, batch) = record("a", 5, 10);
        recent.put(&first);
        drop(first);
        assert!(batch.is_unique(), "a copy");
        assert!(recent.get(&subject("a"), 4).is_none(), "another one");
        assert!(recent.get(&subject("b"), 5).is_none());
        let found = recent.get(&subject("a"), 5).expect("here");
        assert_eq!((found.value.as_deref(), &found.key), (Some(&[7; 10][..]), &None));
        recent.put(&record("a", 6, 20).0);
        assert!(recent.get(&subject("a"), 5).is_none(), "replaced");
        assert_eq!(
            recent.get(&subject("a"), 6).expect("here").value.as_ref().map(Bytes::len),
            Some(20)
        );
        recent.forget(&subject("a"));
        assert!(!recent.has(&subject("a")));
        assert_eq!((recent.bytes, recent.order.len()), (0, 0));
    }

    #[test]
    fn those_that_nobody_asks_for_give_way() {
        let each = ENTRY_BYTES + 1 + 100;
        let mut recent = Recent::with_room(each * 4);
        for (offset, name) in (0..).zip(["a", "b", "c", "d", "e"]) {
            recent.put(&record(name, offset, 100).0);
        }
        // All were asked for when they came: the first goes, and the others may be the next.
        assert!(!recent.has(&subject("a")) && recent.has(&subject("b")));
        assert!(recent.get(&subject("b"), 1).is_some());
        recent.put(&record("f", 5, 100).0);
        assert!(recent.has(&subject("b")) && !recent.has(&subject("c")));
        // A value that nobody asks for is replaced, and does not stay for that.
        for offset in 6..100 {
            recent.put(&record("d", offset, 100).0);
            assert!(recent.bytes <= each * 4 && recent.all.len() == recent.order.len());
        }
        recent.put(&record("h", 100, 100).0);
        assert!(!recent.has(&subject("d")) && recent.all.len() == 4);
        // Too large to be kept, and handed out all the same.
        assert_eq!(
            recent.put(&record("g", 101, each * 4).0).value.as_ref().map(Bytes::len),
            Some(each * 4)
        );
        assert!(!recent.has(&subject("g")) && recent.all.len() == 4);
    }
}
