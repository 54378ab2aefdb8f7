//! Making a topic.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::limits::{BROKER_PARTITIONS_MAX, TOPIC_NAME_BYTES_MAX, TOPIC_PARTITIONS_MAX};
use base::{ErrorKind, LogId, TopicId};
use cluster::{Compare, MetaError, Op, Txn};

use crate::Broker;
use crate::broker::FIRST_TOPIC_LOG;
use crate::metadata::{Partition, Topic, keys};
use crate::topic_config::{self, ConfigError};

/// A topic to be made.
#[derive(Debug, Clone, Default)]
pub struct NewTopic {
    /// 1 to 249 of `[A-Za-z0-9._-]`, but not `.` or `..`.
    pub name: String,
    /// The broker's default if absent.
    pub partitions: Option<i32>,
    /// What differs from the broker's defaults.
    pub config: BTreeMap<String, String>,
}

/// Why a topic was not made or changed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TopicError {
    /// Not a name for a topic.
    #[error(
        "'{0}' is not a topic name: 1 to 249 letters, digits, '.', '_' or '-', not '.' or '..'"
    )]
    Name(String),
    /// There is one of this name.
    #[error("topic '{0}' already exists")]
    Exists(String),
    /// There is none of this name.
    #[error("topic '{0}' does not exist")]
    NotFound(String),
    /// A number of partitions that cannot be.
    #[error("{0}")]
    Partitions(String),
    /// A configuration that cannot be.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The broker keeps this topic for itself.
    #[error("topic '{0}' is internal")]
    Internal(String),
    /// The configuration forbids deleting topics.
    #[error("deleting topics is switched off (topic.delete_enable)")]
    DeletionDisabled,
    /// The metadata store failed.
    #[error("metadata: {0}")]
    Meta(#[from] MetaError),
}

impl TopicError {
    /// What the caller should do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Exists(_) => ErrorKind::Conflict,
            Self::NotFound(_) => ErrorKind::NotFound,
            Self::Meta(error) => error.kind(),
            Self::Name(_)
            | Self::Partitions(_)
            | Self::Config(_)
            | Self::Internal(_)
            | Self::DeletionDisabled => ErrorKind::Invalid,
        }
    }
}

impl Broker {
    /// Checks what [`Broker::create_topic`] would check, and makes nothing.
    ///
    /// # Errors
    /// See [`TopicError`].
    pub fn check_new_topic(&self, new: &NewTopic) -> Result<i32, TopicError> {
        check_name(&new.name)?;
        let partitions = new.partitions.unwrap_or(self.options().default_partitions);
        check_partitions(partitions, 0)?;
        topic_config::check(&new.config, self.settings().topic_defaults())?;
        if self.topic(&new.name).is_some() {
            return Err(TopicError::Exists(new.name.clone()));
        }
        self.check_room(partitions)?;
        Ok(partitions)
    }

    /// Makes a topic. Durable, and usable through this broker, when it returns.
    ///
    /// # Errors
    /// See [`TopicError`].
    pub async fn create_topic(&self, new: NewTopic) -> Result<Arc<Topic>, TopicError> {
        self.make_topic(new, false).await
    }

    /// The same, of one that clients read but do not write.
    pub(crate) async fn create_internal_topic(
        &self,
        new: NewTopic,
    ) -> Result<Arc<Topic>, TopicError> {
        self.make_topic(new, true).await
    }

    async fn make_topic(&self, new: NewTopic, internal: bool) -> Result<Arc<Topic>, TopicError> {
        let partitions = self.check_new_topic(&new)?;
        let first = self.reserve_logs(partitions).await?;
        let topic = Topic {
            id: TopicId::random(self.options().random.as_ref()),
            partitions: self.new_partitions(first, partitions),
            created_at: self.now(),
            internal,
            name: new.name,
            config: new.config,
        };
        let key = keys::topic(&topic.name);
        let txn = Txn::new()
            .when(Compare::absent(key.clone()))
            .then(Op::put(key, keys::encode(&keys::TopicValue::of(&topic))));
        let answer = self.inner.meta.txn(txn).await?;
        // Somebody else's topic can be used when we say that it exists.
        self.seen(answer.revision).await;
        if !answer.succeeded {
            return Err(TopicError::Exists(topic.name));
        }
        Ok(Arc::new(topic))
    }

    /// Checks that the broker may have so many partitions more.
    pub(crate) fn check_room(&self, more: i32) -> Result<(), TopicError> {
        let present = self.inner.topics.partitions();
        let more = usize::try_from(more).unwrap_or(0);
        if present + more <= BROKER_PARTITIONS_MAX {
            return Ok(());
        }
        Err(TopicError::Partitions(format!(
            "the broker has {present} partitions; {more} more are above {BROKER_PARTITIONS_MAX}"
        )))
    }

    /// Takes the next log identities; they are never given out again.
    pub(crate) async fn reserve_logs(&self, count: i32) -> Result<u64, MetaError> {
        self.reserve(keys::NEXT_LOG, FIRST_TOPIC_LOG, u64::from(count.unsigned_abs())).await
    }

    /// Takes the next `count` numbers of a counter that begins at `first`.
    pub(crate) async fn reserve(
        &self,
        counter: &'static str,
        first: u64,
        count: u64,
    ) -> Result<u64, MetaError> {
        let meta = &self.inner.meta;
        loop {
            let current = meta.get(counter.as_bytes()).await?;
            let (next, revision) = match &current {
                None => (first, 0),
                Some(kv) => (parse_counter(&kv.value, counter)?, kv.mod_revision),
            };
            let txn = Txn::new()
                .when(Compare::mod_revision(counter, revision))
                .then(Op::put(counter, (next + count).to_string()));
            if meta.txn(txn).await?.succeeded {
                return Ok(next);
            }
        }
    }

    pub(crate) fn new_partitions(&self, first_log: u64, count: i32) -> Vec<Partition> {
        let leader = self.id();
        let partition = |number: i32| Partition {
            log: LogId(first_log + u64::from(number.unsigned_abs())),
            leader,
            leader_epoch: 0,
        };
        (0..count).map(partition).collect()
    }
}

fn parse_counter(value: &[u8], counter: &str) -> Result<u64, MetaError> {
    let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    number.ok_or_else(|| MetaError::Corrupt(format!("{counter} is not a number")))
}

fn check_name(name: &str) -> Result<(), TopicError> {
    let legal = |byte: u8| byte.is_ascii_alphanumeric() || b"._-".contains(&byte);
    let fits = (1..=TOPIC_NAME_BYTES_MAX).contains(&name.len());
    if fits && name.bytes().all(legal) && name != "." && name != ".." {
        Ok(())
    } else {
        Err(TopicError::Name(name.to_owned()))
    }
}

/// Checks a number of partitions, of which there are `more_than` already.
pub(crate) fn check_partitions(partitions: i32, more_than: i32) -> Result<(), TopicError> {
    let wrong = |text: String| Err(TopicError::Partitions(text));
    if partitions <= 0 {
        return wrong(format!("a topic has at least one partition, not {partitions}"));
    }
    if partitions <= more_than {
        return wrong(format!("the topic has {more_than} partitions already; it can only grow"));
    }
    if partitions > TOPIC_PARTITIONS_MAX {
        return wrong(format!("{partitions} partitions are more than {TOPIC_PARTITIONS_MAX}"));
    }
    Ok(())
}
