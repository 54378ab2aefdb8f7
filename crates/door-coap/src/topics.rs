//! Topics as clients make them (draft-ietf-core-coap-pubsub-20): each says something of one resource, its data. What they
//! are is kept as the last value of a hidden subject, so that it is there after a restart.

pub(crate) mod properties;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Weak};

use base::subject::Step;
use base::{Filter, Millis, Subject};
use broker::live::Batch;
use broker::{Broker, Message};
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use tokio::sync::{Notify, OnceCell};

use crate::limits::{CONFIRM_EVERY_MS, TOPIC_BYTES_MAX, TOPICS_MAX};
use crate::map;
use crate::observe::Slot;
use crate::response::Response;
use crate::wire::code::Code;
use crate::wire::link;
use properties::Properties;

/// What the hidden subjects begin with.
const PREFIX: [&[u8]; 2] = [b"$coap", b"topics"];
/// Topics that are read at once.
const PAGE: usize = 100;

/// A topic.
#[derive(Debug)]
pub(crate) struct Topic {
    /// The last segment of its path.
    pub(crate) id: String,
    /// What is published to its data.
    pub(crate) subject: Subject,
    properties: RwLock<Properties>,
    subscribers: Mutex<Vec<Weak<Slot>>>,
}

impl Topic {
    pub(crate) fn properties(&self) -> Properties {
        self.properties.read().clone()
    }

    /// The only format of its data, if it has one.
    pub(crate) fn format(&self) -> Option<u16> {
        self.properties.read().content_format
    }

    /// How long an observer may go without being asked whether it still wants to.
    pub(crate) fn check_ms(&self) -> u64 {
        let seconds = self.properties.read().observer_check;
        seconds.map_or(CONFIRM_EVERY_MS, |seconds| seconds.saturating_mul(1000))
    }

    /// Takes one more who observes, if there may be one.
    pub(crate) fn join(&self, slot: &Arc<Slot>) -> bool {
        let max = self.properties.read().max_subscribers;
        let mut subscribers = self.subscribers.lock();
        subscribers.retain(|other| other.strong_count() > 0);
        if max.is_some_and(|max| subscribers.len() as u64 >= max) {
            return false;
        }
        subscribers.push(Arc::downgrade(slot));
        true
    }

    /// Sends those away that are too many, the last to come first.
    fn trim(&self) {
        let Some(max) = self.properties.read().max_subscribers else { return };
        let mut subscribers = self.subscribers.lock();
        subscribers.retain(|other| other.strong_count() > 0);
        while subscribers.len() as u64 > max {
            if let Some(slot) = subscribers.pop().and_then(|slot| slot.upgrade()) {
                slot.end();
            }
        }
    }

    fn expires_at(&self) -> Option<Millis> {
        self.properties.read().expiration.map(|seconds| seconds.saturating_mul(1000))
    }
}

/// All topics.
#[derive(Debug, Default)]
pub(crate) struct Topics {
    all: RwLock<All>,
    loaded: OnceCell<()>,
    /// Held by whoever changes what topics there are.
    changing: tokio::sync::Mutex<()>,
    /// Something else may expire first now.
    changed: Notify,
}

#[derive(Debug, Default)]
struct All {
    by_id: BTreeMap<String, Arc<Topic>>,
    by_subject: HashMap<Subject, Arc<Topic>>,
}

impl All {
    fn insert(&mut self, topic: Topic) -> Arc<Topic> {
        let topic = Arc::new(topic);
        self.by_subject.insert(topic.subject.clone(), Arc::clone(&topic));
        self.by_id.insert(topic.id.clone(), Arc::clone(&topic));
        topic
    }
}

/// A refusal of what a client wants a topic to be.
fn bad(why: &str) -> Box<Response> {
    Response::refusal(Code::BAD_REQUEST, why.into())
}

impl Topics {
    /// Reads what topics there are, the first time.
    ///
    /// # Errors
    /// They cannot be read; the next one to ask tries again.
    pub(crate) async fn load(&self, broker: &Broker) -> Result<(), Box<Response>> {
        let load = self.loaded.get_or_try_init(|| self.read(broker));
        load.await.copied()
    }

    /// Whether what topics there are is known.
    pub(crate) fn are_loaded(&self) -> bool {
        self.loaded.initialized()
    }

    async fn read(&self, broker: &Broker) -> Result<(), Box<Response>> {
        let steps = PREFIX.map(|level| Step::Literal(level.into())).into_iter().chain([Step::One]);
        let Some(filter) = Filter::from_steps(steps) else { return Ok(()) };
        let mut after = None;
        loop {
            let page = broker.retained(&filter, after, PAGE).await;
            let page = page.map_err(|error| map::unreadable(&error))?;
            let is_last = page.len() < PAGE;
            after = page.last().map(|(subject, _)| subject.clone());
            for (subject, message) in page {
                match topic_of(&subject, &message) {
                    Some(topic) => drop(self.all.write().insert(topic)),
                    None => tracing::warn!(%subject, "not the properties of a topic"),
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }

    /// The topic of this name in paths.
    pub(crate) fn get(&self, id: &str) -> Option<Arc<Topic>> {
        self.all.read().by_id.get(id).cloned()
    }

    /// The topic whose data this is.
    pub(crate) fn find(&self, subject: &Subject) -> Option<Arc<Topic>> {
        let all = self.all.read();
        if all.by_subject.is_empty() { None } else { all.by_subject.get(subject).cloned() }
    }

    /// All of them, in the order of their names in paths.
    pub(crate) fn all(&self) -> Vec<Arc<Topic>> {
        self.all.read().by_id.values().cloned().collect()
    }

    /// Completes and checks what a new topic is to be: its properties, and the subject of its data.
    ///
    /// # Errors
    /// It cannot be.
    pub(crate) fn propose(
        mut wanted: Properties,
        collection: &str,
        now: Millis,
    ) -> Result<(Properties, Subject), Box<Response>> {
        let Some(name) = wanted.name.clone().filter(|name| !name.is_empty()) else {
            return Err(bad("a topic has a name"));
        };
        let segments = match &wanted.data {
            Some(data) => link::segments(data).ok_or_else(|| bad("topic-data is no path here"))?,
            None => name.split('/').map(str::to_owned).collect(),
        };
        let is_own =
            segments.first().is_some_and(|first| first == collection || first == ".well-known");
        let subject = map::subject(segments.iter().map(String::as_str));
        let subject = subject.filter(|subject| !is_own && !subject.is_hidden());
        let subject = subject.ok_or_else(|| bad("the topic's data cannot be there"))?;
        let path = map::uri(&subject).ok_or_else(|| bad("no path says where the data is"))?;
        wanted.data = Some(path);
        wanted.resource_type.get_or_insert_with(|| "core.ps.data".into());
        check(&wanted, now)?;
        Ok((wanted, subject))
    }

    /// Makes a topic, and stores that.
    ///
    /// # Errors
    /// There is one of the name, or for the data; there are too many; it cannot be stored.
    pub(crate) async fn create(
        &self,
        broker: &Broker,
        properties: Properties,
        subject: Subject,
    ) -> Result<Arc<Topic>, Box<Response>> {
        let _turn = self.changing.lock().await;
        {
            let all = self.all.read();
            if all.by_id.len() >= TOPICS_MAX {
                return Err(Response::refusal(Code::UNAVAILABLE, "too many topics".into()));
            }
            let mut topics = all.by_id.values();
            let is_taken = topics.any(|topic| topic.properties.read().name == properties.name);
            if is_taken || all.by_subject.contains_key(&subject) {
                return Err(bad("there is such a topic"));
            }
        }
        let bits = broker.options().random.next_u64();
        let id = format!("{:08x}", bits >> 32);
        put(broker, &id, Some(&properties)).await?;
        let subscribers = Mutex::default();
        let topic = Topic { id, subject, properties: RwLock::new(properties), subscribers };
        let topic = self.all.write().insert(topic);
        self.changed.notify_one();
        Ok(topic)
    }

    /// Changes what a topic is, and stores that. `change` makes the new properties of the old ones.
    ///
    /// # Errors
    /// It may not be so, or cannot be stored.
    pub(crate) async fn update(
        &self,
        broker: &Broker,
        topic: &Topic,
        change: impl FnOnce(&Properties) -> Result<Properties, Box<Response>>,
    ) -> Result<Properties, Box<Response>> {
        let _turn = self.changing.lock().await;
        if self.get(&topic.id).is_none() {
            return Err(Box::new(Response::new(Code::NOT_FOUND)));
        }
        let new = change(&topic.properties())?;
        check(&new, broker.now())?;
        put(broker, &topic.id, Some(&new)).await?;
        *topic.properties.write() = new.clone();
        topic.trim();
        self.changed.notify_one();
        Ok(new)
    }

    /// Takes a topic away; whether it was there.
    ///
    /// # Errors
    /// That cannot be stored.
    pub(crate) async fn remove(
        &self,
        broker: &Broker,
        topic: &Topic,
    ) -> Result<bool, Box<Response>> {
        let _turn = self.changing.lock().await;
        if self.get(&topic.id).is_none() {
            return Ok(false);
        }
        put(broker, &topic.id, None).await?;
        let mut all = self.all.write();
        all.by_id.remove(&topic.id);
        all.by_subject.remove(&topic.subject);
        Ok(true)
    }

    /// Waits for the time of a topic to be over.
    pub(crate) async fn next_expired(&self, broker: &Broker) -> Arc<Topic> {
        loop {
            let next = {
                let all = self.all.read();
                let timed = all.by_id.values().filter_map(|one| Some((one.expires_at()?, one)));
                timed.min_by_key(|(at, _)| *at).map(|(at, topic)| (at, Arc::clone(topic)))
            };
            let Some((at, topic)) = next else {
                self.changed.notified().await;
                continue;
            };
            let left = u64::try_from(at - broker.now()).unwrap_or(0);
            if left == 0 {
                return topic;
            }
            // The clock may be set, so not for too long.
            let sleep = tokio::time::sleep(std::time::Duration::from_millis(left.min(60_000)));
            tokio::select! {
                () = sleep => {}
                () = self.changed.notified() => {}
            }
        }
    }
}

/// Whether properties can be a topic's.
fn check(properties: &Properties, now: Millis) -> Result<(), Box<Response>> {
    if properties.initialize.is_some() && properties.content_format.is_none() {
        return Err(bad("initialize needs topic-content-format"));
    }
    if properties.expiration.is_some_and(|at| at.saturating_mul(1000) <= now) {
        return Err(bad("the topic would be over"));
    }
    if properties.encode().len() > TOPIC_BYTES_MAX {
        return Err(Box::new(Response::new(Code::ENTITY_TOO_LARGE)));
    }
    Ok(())
}

/// A topic as it was stored.
fn topic_of(subject: &Subject, message: &Message) -> Option<Topic> {
    let id = String::from_utf8(subject.levels().last()?.into_owned()).ok()?;
    let properties = Properties::decode(message.value.as_ref()?).ok()?;
    let segments = link::segments(properties.data.as_deref()?)?;
    let data = map::subject(segments.iter().map(String::as_str))?;
    let (properties, subscribers) = (RwLock::new(properties), Mutex::default());
    Some(Topic { id, subject: data, properties, subscribers })
}

/// Stores what a topic is, or that there is none.
async fn put(broker: &Broker, id: &str, new: Option<&Properties>) -> Result<(), Box<Response>> {
    let levels = PREFIX.into_iter().chain([id.as_bytes()]);
    let route = broker.find_route(Subject::from_levels(levels));
    let value = new.map(|properties| Bytes::from(properties.encode()));
    let message = Message { value, ..Message::default() };
    let mut batch = Batch::default();
    let refused = |error| map::refusal(&error);
    broker.retain(&route, &message, &mut batch).map_err(refused)?;
    let stored = broker.store(batch).await.done().await;
    stored.into_iter().collect::<Result<(), _>>().map_err(refused)
}
