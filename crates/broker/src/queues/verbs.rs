//! Declaring, finding and deleting queues.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::TopicId;
use cluster::{Op, Txn};

use super::queue::StoredIn;
use super::types::{DeleteOnly, QueueError, QueueName, QueueSettings, QueueSpec};
use super::{Holder, QUEUES_MAX, Queue, name, stored};
use crate::exchanges::SpaceFlow;
use crate::followed::HeldSpans;
use crate::policies::Governing;
use crate::verbs::create_topic::{NewTopic, TopicError};
use crate::{Broker, PublisherId};

/// Longest name, and longest namespace, in bytes.
const NAME_BYTES_MAX: usize = 255;
/// Longest arguments that a door has kept.
const ARGUMENTS_BYTES_MAX: usize = 64 * 1024;
/// Largest record batch of a queue's topic: a message and what is around it, in one frame of the log.
const TOPIC_BATCH_BYTES_MAX: usize = base::limits::FRAME_BYTES_MAX - 64 * 1024;
/// What of a topic's configuration says how long a stream keeps messages.
const KEEPING: [&str; 3] = ["retention.ms", "retention.bytes", "segment.bytes"];

impl Broker {
    /// Declares a queue: returns it, and whether it is new. One that exists already must have been declared likewise, but
    /// for its arguments, which are the door's to compare.
    ///
    /// # Errors
    /// See [`QueueError`].
    pub async fn declare_queue(
        &self,
        name: &QueueName,
        spec: &QueueSpec,
        owner: PublisherId,
    ) -> Result<(Arc<Queue>, bool), QueueError> {
        check(name, spec)?;
        let queues = &self.inner.queues;
        let _one = queues.changes.lock().await;
        if let Some(queue) = queues.get(name) {
            queue.check_owner(owner)?;
            same(queue.spec(), spec)?;
            queue.used();
            return Ok((queue, false));
        }
        if queues.maps.read().len() >= QUEUES_MAX {
            return Err(QueueError::LimitReached);
        }
        let topic = match spec.is_stored() {
            true => Some(self.topic_of_queue(name, spec).await?),
            false => None,
        };
        if let Some(stored) = &topic {
            self.put_definition(name, spec, stored, false).await?;
        }
        let queue = queues.open(&self.inner, name.clone(), spec.clone(), owner, topic);
        if queue.topic.is_some() {
            // That it begins anew must not be undone by what an older one left.
            queue.changed();
            queue.journal.flush().await?;
        }
        self.inner.exchanges.changed();
        Ok((queue, true))
    }

    async fn put_definition(
        &self,
        name: &QueueName,
        spec: &QueueSpec,
        stored: &StoredIn,
        is_paused: bool,
    ) -> Result<(), QueueError> {
        let put = Op::put(stored::key(name), stored::encode(spec, stored, is_paused));
        let answer = self.inner.meta.txn(Txn::new().then(put)).await;
        answer.map_err(|error| QueueError::Unavailable(error.to_string()))?;
        Ok(())
    }

    /// Pauses a queue, or lets it go on. While it is paused nobody gets anything of it, whether they consume or ask; what is
    /// published comes into it, what consumers have is settled, and times and limits hold as ever. What was on its way
    /// arrives. Of a queue that is stored, a restart changes nothing about it.
    ///
    /// # Errors
    /// [`QueueError::NotFound`], [`QueueError::Locked`], [`QueueError::Unavailable`].
    pub async fn pause_queue(
        &self,
        name: &QueueName,
        is_paused: bool,
        owner: PublisherId,
    ) -> Result<(), QueueError> {
        let _one = self.inner.queues.changes.lock().await;
        let queue = self.queue(name).ok_or(QueueError::NotFound)?;
        queue.check_owner(owner)?;
        if let Some(stored) = &queue.topic {
            self.put_definition(name, queue.spec(), stored, is_paused).await?;
        }
        queue.set_paused(is_paused);
        Ok(())
    }

    /// The topic for a queue: the one of its name, or a new one.
    async fn topic_of_queue(
        &self,
        name: &QueueName,
        spec: &QueueSpec,
    ) -> Result<StoredIn, QueueError> {
        let chance = TopicId::random(self.options().random.as_ref()).0;
        let topic = name::topic_name(name, chance);
        let partitions = i32::from(spec.settings.priorities) + 1;
        let governing = self.inner.policies.of_queue(name, spec);
        let config = topic_config(&governing.settings().over(&spec.settings));
        let new = NewTopic { name: topic.clone(), partitions: Some(partitions), config };
        match self.create_topic(new).await {
            Ok(_) => Ok(StoredIn { topic, is_own: true }),
            Err(TopicError::Exists(_)) => {
                let open = self.topic(&topic).ok_or(QueueError::NotFound)?;
                if open.topic.internal {
                    return Err(QueueError::NotAllowed(format!("topic '{topic}' is internal")));
                }
                if spec.settings.stream.is_some() && open.topic.partitions.len() != 1 {
                    let text =
                        "the topic of this name has several partitions, and a stream has one";
                    return Err(QueueError::NotAllowed(text.to_owned()));
                }
                if open.topic.partitions.len() <= usize::from(spec.settings.priorities) {
                    let text = "the topic of this name has too few partitions for the priorities";
                    return Err(QueueError::NotAllowed(text.to_owned()));
                }
                // One that was made for it, before a crash.
                Ok(StoredIn { topic, is_own: open.config.is_queue })
            }
            Err(error) => Err(error.into()),
        }
    }

    /// Has the topic of a stream keep messages as long as it is to now. A topic that was there before its stream keeps what it
    /// was told to.
    pub(crate) async fn keep_stream(&self, queue: &Queue) -> Result<(), TopicError> {
        let settings = queue.settings();
        let (Some(_), Some(stored)) = (settings.stream, &queue.topic) else { return Ok(()) };
        let wanted = topic_config(&settings);
        let open = self.topic(&stored.topic).filter(|_| stored.is_own);
        let is_same = |open: &crate::OpenTopic| {
            KEEPING.iter().all(|key| open.topic.config.get(*key) == wanted.get(*key))
        };
        if open.is_none_or(|open| is_same(&open)) {
            return Ok(());
        }
        let change = |config: &mut BTreeMap<String, String>| {
            for key in KEEPING {
                match wanted.get(key) {
                    Some(value) => config.insert(key.to_owned(), value.clone()),
                    None => config.remove(key),
                };
            }
        };
        self.set_topic_config(&stored.topic, change).await
    }

    /// Makes up for policies of streams that were set, and did not come to hold before the broker ended.
    pub(crate) async fn keep_streams(self) {
        let all = self.queues().into_iter().filter(|queue| queue.stream.is_some());
        for queue in all.filter(|queue| queue.governing() != Governing::default()) {
            if let Err(error) = self.keep_stream(&queue).await {
                tracing::warn!(queue = ?queue.name(), %error, "a policy does not hold of a stream");
            }
        }
    }

    /// The queue of this name.
    pub fn queue(&self, name: &QueueName) -> Option<Arc<Queue>> {
        self.inner.queues.get(name)
    }

    /// All queues.
    pub fn queues(&self) -> Vec<Arc<Queue>> {
        self.inner.queues.all()
    }

    /// Somebody who holds messages: a channel, a session. `prefetch`: most that its consumers have at a time, together; 0:
    /// any number.
    pub fn new_holder(&self, prefetch: u32) -> Holder {
        let queues = &self.inner.queues;
        let spans = HeldSpans::new(&self.inner.observe);
        Holder::new(queues.number(), prefetch, Arc::clone(&queues.journal), spans)
    }

    /// Deletes a queue with its messages, and its topic if that was made for it. Returns how many messages were ready.
    ///
    /// # Errors
    /// [`QueueError::NotFound`], [`QueueError::Locked`], [`QueueError::InUse`], [`QueueError::NotEmpty`],
    /// [`QueueError::Unavailable`].
    pub async fn delete_queue(
        &self,
        name: &QueueName,
        only: DeleteOnly,
        owner: PublisherId,
    ) -> Result<u64, QueueError> {
        let _one = self.inner.queues.changes.lock().await;
        let queue = self.queue(name).ok_or(QueueError::NotFound)?;
        queue.check_owner(owner)?;
        let counts = queue.counts();
        if only.unused && counts.consumers > 0 {
            return Err(QueueError::InUse);
        }
        if only.empty && counts.ready > 0 {
            return Err(QueueError::NotEmpty);
        }
        self.delete_this(&queue).await
    }

    /// A connection is gone: its exclusive queues go.
    pub async fn owner_gone(&self, owner: PublisherId) {
        let of = self.queues().into_iter().filter(|queue| queue.is_owned_by(owner));
        let of: Vec<_> = of.collect();
        if of.is_empty() {
            return;
        }
        let _one = self.inner.queues.changes.lock().await;
        for queue in of {
            if let Err(error) = self.delete_this(&queue).await {
                tracing::warn!(queue = ?queue.name(), %error, "cannot delete an exclusive queue");
            }
        }
    }

    /// Deletes a queue; `only_unused`: if it is to go, see [`Queue::is_unwanted`].
    pub(super) async fn delete_after_use(
        &self,
        queue: &Arc<Queue>,
        only_unused: bool,
    ) -> Result<(), QueueError> {
        let _one = self.inner.queues.changes.lock().await;
        if only_unused && !queue.is_unwanted() {
            return Ok(());
        }
        self.delete_this(queue).await.map(|_| ())
    }

    async fn delete_this(&self, queue: &Arc<Queue>) -> Result<u64, QueueError> {
        // Nobody is to bind it meanwhile, nor read what goes.
        let _bindings = self.inner.exchanges.change().await;
        let _reads = queue.reads.lock().await;
        if !self.inner.queues.has(queue) {
            return Ok(0);
        }
        // Until it is gone where it is written down, it is there, and whoever wants it gone can try again.
        if let Some(stored) = &queue.topic {
            self.delete_definition(queue.name(), stored).await?;
        }
        self.inner.queues.remove(queue);
        let left = self.inner.exchanges.queue_gone(queue.name());
        if let Err(error) = self.delete_keys(left).await {
            tracing::warn!(%error, "an exchange that went with its last binding may come back with a restart");
        }
        let Some((tombstones, ready)) = queue.close() else { return Ok(0) };
        let flow = SpaceFlow { queues: queue.flow(), ..SpaceFlow::default() };
        self.inner.exchanges.spaced.gone(&queue.name().space, flow);
        if queue.topic.is_some() {
            queue.journal.forget(tombstones).await?;
        }
        Ok(ready)
    }

    /// Deletes a queue from the metadata store: what is bound to it, and then at once itself and its topic.
    async fn delete_definition(
        &self,
        name: &QueueName,
        stored: &StoredIn,
    ) -> Result<(), QueueError> {
        let unavailable =
            |error: &dyn std::fmt::Display| QueueError::Unavailable(error.to_string());
        let bindings = self.inner.exchanges.stored_bindings(name);
        self.delete_keys(bindings).await.map_err(|error| unavailable(&error))?;
        let key = stored::key(name);
        if stored.is_own {
            match self.delete_topic_of_queue(&stored.topic, &key).await {
                Ok(()) => return Ok(()),
                Err(TopicError::NotFound(_)) => {}
                Err(error) => return Err(unavailable(&error)),
            }
        }
        self.delete_keys(vec![key]).await.map_err(|error| unavailable(&error))
    }
}

/// The configuration of the topic of a queue: what is in it is there until the queue, or a stream's limits, say otherwise.
fn topic_config(settings: &QueueSettings) -> BTreeMap<String, String> {
    let stream = settings.stream.unwrap_or_default();
    let limit =
        |limit: Option<u64>| limit.map_or_else(|| "-1".to_owned(), |limit| limit.to_string());
    let age = stream.age_max.and_then(|age| u64::try_from(age).ok());
    let config = [
        ("entrepot.queue", Some("true".to_owned())),
        ("retention.ms", Some(limit(age))),
        ("retention.bytes", Some(limit(stream.bytes_max))),
        ("segment.bytes", stream.segment_bytes.map(|bytes| bytes.to_string())),
        ("max.message.bytes", Some(TOPIC_BATCH_BYTES_MAX.to_string())),
    ];
    config.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

fn check(name: &QueueName, spec: &QueueSpec) -> Result<(), QueueError> {
    let wrong = |text: &str| Err(QueueError::NotAllowed(text.to_owned()));
    if name.name.is_empty() {
        return wrong("a queue has a name");
    }
    if name.name.len() > NAME_BYTES_MAX || name.space.len() > NAME_BYTES_MAX {
        return wrong("the name of a queue has 255 bytes at most");
    }
    if spec.arguments.len() > ARGUMENTS_BYTES_MAX {
        return wrong("the arguments of a queue have 65,536 bytes at most");
    }
    let settings = &spec.settings;
    let times = [settings.message_ttl, settings.expires];
    if times.into_iter().flatten().any(|time| time < 0) || settings.expires == Some(0) {
        return wrong("a time is not negative, and a queue lives for a while");
    }
    if settings.order_by_key && settings.priorities > 0 {
        return wrong("a queue that keeps the order of each key has no priorities");
    }
    let has_lanes = settings.priorities > 0 || settings.order_by_key;
    if settings.stream.is_some() && (!spec.is_stored() || spec.auto_delete || has_lanes) {
        return wrong("a stream is durable, for everybody, and has one order");
    }
    if settings.dead_letter.as_ref().is_some_and(|to| to.exchange.len() > NAME_BYTES_MAX) {
        return wrong("the name of an exchange has 255 bytes at most");
    }
    Ok(())
}

/// Whether a queue was declared as it is now.
fn same(is: &QueueSpec, wanted: &QueueSpec) -> Result<(), QueueError> {
    let (a, b) = (&is.settings, &wanted.settings);
    let checks = [
        ("durable", is.durable == wanted.durable),
        ("exclusive", is.exclusive == wanted.exclusive),
        ("auto_delete", is.auto_delete == wanted.auto_delete),
        ("message TTL", a.message_ttl == b.message_ttl),
        ("expiry", a.expires == b.expires),
        ("maximal length", a.length_max == b.length_max && a.bytes_max == b.bytes_max),
        ("overflow", a.overflow == b.overflow),
        ("dead letter exchange", a.dead_letter == b.dead_letter),
        ("highest priority", a.priorities == b.priorities),
        ("single active consumer", a.single_active == b.single_active),
        ("order", a.order_by_key == b.order_by_key),
        ("delivery limit", a.deliveries_max == b.deliveries_max),
        ("retry delay", a.retry_delay == b.retry_delay),
        ("stream", a.stream == b.stream),
    ];
    match checks.into_iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(QueueError::NotEquivalent { what }),
        None => Ok(()),
    }
}
