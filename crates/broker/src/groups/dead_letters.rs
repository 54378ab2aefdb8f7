//! Dead letters: records that a shared subscription gives up are told of in a topic for that
//! (KIP-1191), each with headers that say where it was, whose it was, and why it is there.

use std::sync::{Arc, Weak};
use std::time::Duration;

use base::Offset;
use bytes::Bytes;
use queue::shared::{DeadLetter, Why};
use store::batch::Record;

use super::Groups;
use crate::broker::{Broker, Inner};
use crate::group_config::GroupConfig;
use crate::message::Message;
use crate::topics::OpenTopic;
use crate::verbs::create_topic::{NewTopic, TopicError};

/// Most records that are told of at once.
const AT_ONCE: Offset = 256;
/// Most bytes that are read at once.
const READ_BYTES: usize = 1 << 20;
/// A dead letter that cannot be stored is tried again so often, …
const TRIES: u32 = 6;
/// … after this, and twice as long each time. Then it is given up, so that it does not hold up the
/// subscription for ever.
const PAUSE: Duration = Duration::from_millis(200);

impl Groups {
    /// Buries what has died, until the broker stops.
    pub(crate) async fn run_dead_letters(self: Arc<Self>, broker: Weak<Inner>) {
        // What a restart has found.
        self.with_state(|_, _| ());
        loop {
            self.died.notified().await;
            let letters = std::mem::take(&mut self.state.lock().letters);
            for letter in letters {
                let Some(inner) = broker.upgrade() else { return };
                let broker = Broker { inner };
                broker.bury(&letter).await;
                let DeadLetter { key, first, last, .. } = &letter;
                self.with_state(|state, _| state.shared.buried(key, *first, *last));
            }
        }
    }
}

/// Where a dead letter is from, and where it goes.
struct Grave<'a> {
    letter: &'a DeadLetter,
    from: Arc<OpenTopic>,
    to: Arc<OpenTopic>,
    partition: i32,
    copy: bool,
}

impl Broker {
    /// Tells of dead records where they are to be told of, durably; or gives up.
    async fn bury(&self, letter: &DeadLetter) {
        let config = self.group_config(&letter.key.subscription);
        let Some(from) = self.topic_by_id(letter.key.topic) else { return };
        let to = match self.dead_letter_topic(&config).await {
            Ok(Some(to)) => to,
            Ok(None) => return,
            Err(why) => {
                let group = &letter.key.subscription;
                tracing::warn!(%group, topic = ?config.dead_letter_topic, why, "no dead letters");
                return;
            }
        };
        let partitions = i32::try_from(to.topic.partitions.len()).unwrap_or(i32::MAX).max(1);
        let partition = letter.key.partition % partitions;
        let grave = Grave { letter, from, to, partition, copy: config.dead_letter_copy };
        let mut next = letter.first;
        while next <= letter.last {
            let mut pause = PAUSE;
            let mut tries = TRIES;
            next = loop {
                match self.bury_some(&grave, next).await {
                    Ok(next) => break next,
                    Err(error) => {
                        tries -= 1;
                        tracing::warn!(%error, tries, ?letter, "cannot store dead letters");
                        if tries == 0 {
                            return;
                        }
                    }
                }
                tokio::time::sleep(pause).await;
                pause *= 2;
            };
        }
    }

    /// The topic for a group's dead letters, if there is to be one.
    async fn dead_letter_topic(
        &self,
        config: &GroupConfig,
    ) -> Result<Option<Arc<OpenTopic>>, &'static str> {
        let Some(name) = config.dead_letter_topic.as_deref() else { return Ok(None) };
        let options = self.options();
        if !name.starts_with(&options.dead_letter_prefix) {
            return Err("its name does not begin as those of topics for dead letters must");
        }
        if self.topic(name).is_none() {
            if !options.auto_create_dead_letter_topics {
                return Err("there is no such topic");
            }
            let enabled = ("errors.deadletterqueue.group.enable".to_owned(), "true".to_owned());
            let new = NewTopic {
                name: name.to_owned(),
                partitions: None,
                config: [enabled].into_iter().collect(),
            };
            match self.create_topic(new).await {
                Ok(_) | Err(TopicError::Exists(_)) => {}
                Err(_) => return Err("the topic cannot be made"),
            }
        }
        let topic = self.topic(name).ok_or("there is no such topic")?;
        match topic.config.dead_letters {
            true => Ok(Some(topic)),
            false => Err("the topic does not allow it (errors.deadletterqueue.group.enable)"),
        }
    }

    /// Tells of some dead records from `first` on; returns the next.
    async fn bury_some(&self, grave: &Grave<'_>, first: Offset) -> Result<Offset, String> {
        let last = grave.letter.last.min(first.saturating_add(AT_ONCE - 1));
        let (records, last) = match grave.copy {
            true => self.records_of(grave, first, last).await?,
            false => (Vec::new(), last),
        };
        let mut messages = Vec::new();
        for offset in first..=last {
            let record = records.iter().find(|record| record.offset == offset);
            messages.push(grave.message(offset, record));
        }
        let published = self.publish_to(&grave.to, grave.partition, &messages).await;
        match published {
            Ok(()) => Ok(last + 1),
            // With their keys and values they are too large for that topic.
            Err(_) if grave.copy && messages.iter().any(|message| message.value.is_some()) => {
                let bare: Vec<_> =
                    (first..=last).map(|offset| grave.message(offset, None)).collect();
                let published = self.publish_to(&grave.to, grave.partition, &bare).await;
                published.map(|()| last + 1).map_err(|error| error.to_string())
            }
            Err(error) => Err(error.to_string()),
        }
    }

    /// The records in a range as far as they are there, and how much of it that covers.
    async fn records_of(
        &self,
        grave: &Grave<'_>,
        first: Offset,
        last: Offset,
    ) -> Result<(Vec<Record>, Offset), String> {
        let Some(log) = grave.from.log(grave.letter.key.partition).cloned() else {
            return Ok((Vec::new(), last));
        };
        let read = log.blocking(move |log| log.read(first, READ_BYTES, last.saturating_add(1)));
        let read = read.await.map_err(|error| error.to_string())?;
        // Deleted, or damaged: that it died is still told.
        let Ok(read) = read else { return Ok((Vec::new(), last)) };
        let covered = read.next_offset().map_or(last, |next| last.min(next - 1).max(first));
        let mut records = Vec::new();
        for batch in read.batches() {
            let wanted = batch.and_then(|batch| batch.records()).map(|all| {
                all.filter_map(Result::ok)
                    .filter(|record| (first..=covered).contains(&record.offset))
                    .collect::<Vec<_>>()
            });
            records.extend(wanted.unwrap_or_default());
        }
        Ok((records, covered))
    }
}

impl Grave<'_> {
    fn message(&self, offset: Offset, record: Option<&Record>) -> Message {
        let DeadLetter { key, why, deliveries, .. } = self.letter;
        let why = match why {
            Why::Rejected => "Offset rejected by client.",
            Why::TooManyDeliveries => "Offset delivery count exceeded the threshold.",
            Why::Expired => "Offset waited too long.",
            Why::TooMany => "Offset exceeded the length of its queue.",
        };
        let header = |name: &'static str, value: String| {
            (Bytes::from_static(name.as_bytes()), Some(Bytes::from(value)))
        };
        Message {
            key: record.and_then(|record| record.key.clone()),
            value: record.and_then(|record| record.value.clone()),
            headers: vec![
                header("__dlq.errors.topic", self.from.topic.name.clone()),
                header("__dlq.errors.partition", key.partition.to_string()),
                header("__dlq.errors.offset", offset.to_string()),
                header("__dlq.errors.group", key.subscription.to_string()),
                header("__dlq.errors.delivery.count", deliveries.to_string()),
                header("__dlq.errors.message", why.to_owned()),
            ],
            ..Message::default()
        }
    }
}
