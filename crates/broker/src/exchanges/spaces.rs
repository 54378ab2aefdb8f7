//! Namespaces of exchanges and queues. Each has the same exchanges from the beginning, and is there as long as one of
//! them is.

use bytes::Bytes;
use tokio::sync::OnceCell;

use super::{ExchangeError, ExchangeKind, ExchangeName, ExchangeSpec};
use crate::Broker;

/// The exchange of the default namespace that is the space of subjects. In others it is one of its own.
pub const SUBJECTS: &str = "amq.topic";

/// The exchange by which a namespace is known to be there: every one has it, and nobody deletes it alone.
pub const MARK: &str = "amq.direct";

/// Exchanges that are there from the beginning, by the names that clients know.
const PREDECLARED: [(&str, ExchangeKind); 5] = [
    (MARK, ExchangeKind::Direct),
    ("amq.fanout", ExchangeKind::Fanout),
    (SUBJECTS, ExchangeKind::Topic),
    ("amq.headers", ExchangeKind::Headers),
    ("amq.match", ExchangeKind::Headers),
];

/// What clients call the default namespace.
const DEFAULT: &[u8] = b"/";

/// The namespaces that clients of a door may open: the default one, those of the configuration, and those that were made
/// since.
#[derive(Debug)]
pub struct Spaces {
    broker: Broker,
    configured: Vec<Bytes>,
    /// Internal exchanges that the door has besides.
    internal: &'static [(&'static str, ExchangeKind)],
    /// Those of the configuration have their exchanges.
    made: OnceCell<()>,
}

impl Spaces {
    /// With those of the configuration.
    pub fn new(broker: Broker, configured: &[String]) -> Self {
        let configured = configured.iter().map(|name| Bytes::copy_from_slice(name.as_bytes()));
        Self { broker, configured: configured.collect(), internal: &[], made: OnceCell::new() }
    }

    /// Each has these exchanges as well, to which nobody publishes.
    #[must_use]
    pub fn with_internal(self, internal: &'static [(&'static str, ExchangeKind)]) -> Self {
        Self { internal, ..self }
    }

    /// Makes the exchanges of the default namespace and of those of the configuration, the first time. Those of another
    /// door's making are the same.
    ///
    /// # Errors
    /// They could not be written; the next one who asks tries again.
    pub async fn prepare(&self) -> Result<(), ExchangeError> {
        let making = || async {
            self.make(&Bytes::new()).await?;
            for space in &self.configured {
                self.make(space).await?;
            }
            Ok(())
        };
        self.made.get_or_try_init(making).await.copied()
    }

    /// Makes the exchanges of a namespace, of which one says that it is there.
    ///
    /// # Errors
    /// They could not be written.
    pub async fn make(&self, space: &Bytes) -> Result<(), ExchangeError> {
        let own = PREDECLARED.iter().map(|one| (one, false));
        for ((name, kind), internal) in own.chain(self.internal.iter().map(|one| (one, true))) {
            let is_subjects = space.is_empty() && *name == SUBJECTS;
            let spec = ExchangeSpec {
                kind: if is_subjects { ExchangeKind::Subjects } else { *kind },
                durable: true,
                auto_delete: false,
                internal,
                alternate: None,
                arguments: Bytes::new(),
            };
            let name = ExchangeName { space: space.clone(), name: (*name).into() };
            self.broker.declare_exchange(&name, &spec).await?;
        }
        Ok(())
    }

    /// The namespace that clients call so, if there is that.
    pub fn find(&self, name: &[u8]) -> Option<Bytes> {
        if name == DEFAULT {
            return Some(Bytes::new());
        }
        let space = Bytes::copy_from_slice(name);
        let mark = ExchangeName { space: space.clone(), name: MARK.into() };
        let is_there = self.is_configured(name) || self.broker.exchange(&mark).is_some();
        (is_there && !space.is_empty()).then_some(space)
    }

    /// Whether the configuration has it, so that it stays.
    pub fn is_configured(&self, name: &[u8]) -> bool {
        self.configured.iter().any(|known| known == name)
    }

    /// What clients call them, in order.
    pub fn names(&self) -> Vec<Bytes> {
        let made = self.broker.exchanges().into_iter();
        let made = made.map(|exchange| exchange.name().clone());
        let made = made.filter(|name| name.name == MARK.as_bytes()).map(|name| name.space);
        let mut all: Vec<Bytes> = made.chain(self.configured.iter().cloned()).collect();
        all.retain(|name| !name.is_empty());
        all.push(Bytes::from_static(DEFAULT));
        all.sort_unstable();
        all.dedup();
        all
    }
}
