//! Metrics that clients push (KIP-714): who may push what, how often, and what came last.
//!
//! What is pushed is kept as it came, the newest of each client and all together in bounds, for
//! whoever looks at the broker; it is not opened.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::Arc;

use base::{Millis, Random};
use broker::client_metrics::{ALL, INTERVAL_MS, Subscription};
use bytes::Bytes;
use parking_lot::Mutex;

use crate::wire::ErrorCode;

/// Clients remembered; the one that was silent for longest makes room.
const CLIENTS_MAX: usize = 16_384;
/// Bytes of all last pushes together; the oldest make room.
const KEPT_BYTES_MAX: usize = 16 * 1024 * 1024;
/// Longest label of a client that is kept, in bytes.
const LABEL_BYTES_MAX: usize = 256;
/// Codecs that a client may use, the best first: zstd, lz4, gzip, snappy. 0 is none.
pub(crate) const CODECS: [i8; 4] = [4, 3, 1, 2];

/// The subscriptions as the cluster's metadata has them.
pub(crate) type Subscriptions = Arc<BTreeMap<String, Arc<BTreeMap<String, String>>>>;

/// Who a client says that it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientLabels {
    /// The id in its requests.
    pub client_id: String,
    /// The name of its library (KIP-511).
    pub software_name: String,
    /// The version of its library.
    pub software_version: String,
    /// The address that it connects from.
    pub address: String,
    /// The port that it connects from.
    pub port: String,
}

impl ClientLabels {
    /// Cuts labels of absurd length: they are kept.
    pub(crate) fn bounded(mut self) -> Self {
        let labels = [&mut self.client_id, &mut self.software_name, &mut self.software_version];
        for label in labels {
            label.truncate(label.floor_char_boundary(LABEL_BYTES_MAX));
        }
        self
    }
}

/// A client that pushes metrics.
#[derive(Debug, Clone)]
pub struct ClientMetrics {
    /// Its identity, which the broker gave it.
    pub instance: [u8; 16],
    /// Who it says that it is.
    pub labels: ClientLabels,
    /// How many pushes were accepted.
    pub pushes: u64,
    /// Bytes of all of them.
    pub bytes: u64,
    /// When the last one came; 0 for never.
    pub last_push: Millis,
    /// The codec of the last push, and the push: OpenTelemetry `MetricsData`. Empty when there was
    /// none, or when it had to make room.
    pub last: (i8, Bytes),
}

/// What a client is to push.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Wanted {
    pub(crate) id: i32,
    pub(crate) interval_ms: i32,
    pub(crate) metrics: Vec<String>,
}

/// All clients that push, or asked what to push.
#[derive(Debug)]
pub(crate) struct Telemetry {
    bytes_max: usize,
    random: Arc<dyn Random>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    clients: HashMap<[u8; 16], Client>,
    kept_bytes: usize,
    /// The subscriptions that were read last, as they were.
    read: Option<(Subscriptions, Vec<Subscription>)>,
}

#[derive(Debug)]
struct Client {
    told: ClientMetrics,
    wanted: Wanted,
    last_get: Millis,
    last_try: Millis,
    terminating: bool,
    /// The last error is one after which a client asks again at once.
    asks_again: bool,
}

/// A push.
pub(crate) struct Push {
    pub(crate) subscription: i32,
    pub(crate) terminating: bool,
    pub(crate) codec: i8,
    pub(crate) metrics: Bytes,
}

impl Telemetry {
    pub(crate) fn new(bytes_max: usize, random: Arc<dyn Random>) -> Self {
        Self { bytes_max, random, state: Mutex::default() }
    }

    /// Most bytes of one push.
    pub(crate) fn bytes_max(&self) -> usize {
        self.bytes_max
    }

    /// All clients, in no order.
    pub(crate) fn clients(&self) -> Vec<ClientMetrics> {
        self.state.lock().clients.values().map(|client| client.told.clone()).collect()
    }

    /// What a client is to push. One that has no identity yet gets one.
    pub(crate) fn get(
        &self,
        instance: [u8; 16],
        labels: ClientLabels,
        subscriptions: &Subscriptions,
        now: Millis,
    ) -> Result<([u8; 16], Wanted), ErrorCode> {
        let instance =
            if instance == [0; 16] { self.random.next_u128().to_be_bytes() } else { instance };
        let mut state = self.state.lock();
        let wanted = state.wanted(&instance, &labels, subscriptions);
        let client = state.client(instance, labels, &wanted);
        let last = client.last_get.max(client.last_try);
        let is_early = last != 0 && now - last < Millis::from(client.wanted.interval_ms);
        if is_early && !client.asks_again {
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        (client.last_get, client.asks_again) = (now, false);
        client.wanted = wanted.clone();
        Ok((instance, wanted))
    }

    /// Takes a push, or says what is wrong with it.
    pub(crate) fn push(
        &self,
        instance: [u8; 16],
        labels: ClientLabels,
        subscriptions: &Subscriptions,
        push: &Push,
        now: Millis,
    ) -> Result<(), ErrorCode> {
        if instance == [0; 16] {
            return Err(ErrorCode::InvalidRequest);
        }
        let mut state = self.state.lock();
        let wanted = state.wanted(&instance, &labels, subscriptions);
        let client = state.client(instance, labels, &wanted);
        if client.terminating {
            return Err(ErrorCode::InvalidRequest);
        }
        // The first after a get may come at any time: clients spread them.
        let is_first = client.last_get > client.last_try;
        let is_early = now - client.last_try < Millis::from(client.wanted.interval_ms);
        if !is_first && is_early && client.last_try != 0 && !push.terminating {
            return Err(ErrorCode::ThrottlingQuotaExceeded);
        }
        client.last_try = now;
        client.terminating = push.terminating;
        let wrong = if push.subscription != wanted.id {
            Some(ErrorCode::UnknownSubscriptionId)
        } else if push.codec != 0 && !CODECS.contains(&push.codec) {
            Some(ErrorCode::UnsupportedCompressionType)
        } else if push.metrics.len() > self.bytes_max {
            Some(ErrorCode::TelemetryTooLarge)
        } else {
            None
        };
        if let Some(code) = wrong {
            client.asks_again = code != ErrorCode::TelemetryTooLarge;
            return Err(code);
        }
        client.told.pushes += 1;
        client.told.bytes += push.metrics.len() as u64;
        client.told.last_push = now;
        // Copied: a slice would keep its whole frame.
        state.keep(&instance, (push.codec, Bytes::copy_from_slice(&push.metrics)));
        Ok(())
    }
}

impl State {
    /// What this client is to push now.
    fn wanted(&mut self, id: &[u8; 16], labels: &ClientLabels, all: &Subscriptions) -> Wanted {
        let is_read = self.read.as_ref().is_some_and(|(read, _)| Arc::ptr_eq(read, all));
        if !is_read {
            // They were checked when they were set.
            let read = all.values().filter_map(|config| Subscription::parse(config).ok()).collect();
            self.read = Some((Arc::clone(all), read));
        }
        let instance = uuid(id);
        let label = |name: &str| match name {
            "client_instance_id" => instance.as_str(),
            "client_id" => labels.client_id.as_str(),
            "client_software_name" => labels.software_name.as_str(),
            "client_software_version" => labels.software_version.as_str(),
            "client_source_address" => labels.address.as_str(),
            "client_source_port" => labels.port.as_str(),
            _ => "",
        };
        let read = self.read.iter().flat_map(|(_, subscriptions)| subscriptions);
        let selected: Vec<_> = read.filter(|subscription| subscription.selects(label)).collect();
        let interval_ms = selected.iter().map(|one| one.interval_ms).min().unwrap_or(INTERVAL_MS);
        let metrics: BTreeSet<_> = selected.iter().flat_map(|one| &one.metrics).cloned().collect();
        let metrics = match metrics.contains(ALL) {
            true => vec![ALL.to_owned()],
            false => metrics.into_iter().collect(),
        };
        let mut hasher = DefaultHasher::new();
        (id, interval_ms, &metrics).hash(&mut hasher);
        let id = i32::from_be_bytes((hasher.finish() as u32).to_be_bytes());
        Wanted { id, interval_ms, metrics }
    }

    fn client(&mut self, id: [u8; 16], labels: ClientLabels, wanted: &Wanted) -> &mut Client {
        if !self.clients.contains_key(&id) && self.clients.len() >= CLIENTS_MAX {
            let silent = self.clients.iter().min_by_key(|(_, c)| c.last_get.max(c.last_try));
            if let Some(client) = silent.map(|(id, _)| *id).and_then(|id| self.clients.remove(&id))
            {
                self.kept_bytes -= client.told.last.1.len();
            }
        }
        let told = |labels| ClientMetrics {
            instance: id,
            labels,
            pushes: 0,
            bytes: 0,
            last_push: 0,
            last: (0, Bytes::new()),
        };
        self.clients.entry(id).or_insert_with(|| Client {
            told: told(labels),
            wanted: wanted.clone(),
            last_get: 0,
            last_try: 0,
            terminating: false,
            asks_again: false,
        })
    }

    /// Keeps a client's last push; the oldest of others make room.
    fn keep(&mut self, id: &[u8; 16], last: (i8, Bytes)) {
        if let Some(client) = self.clients.get_mut(id) {
            self.kept_bytes += last.1.len();
            self.kept_bytes -= std::mem::replace(&mut client.told.last, last).1.len();
        }
        while self.kept_bytes > KEPT_BYTES_MAX {
            let others = self
                .clients
                .iter_mut()
                .filter(|(other, client)| *other != id && !client.told.last.1.is_empty());
            let Some((_, oldest)) = others.min_by_key(|(_, client)| client.told.last_push) else {
                return;
            };
            self.kept_bytes -= std::mem::take(&mut oldest.told.last.1).len();
        }
    }
}

/// An identity as Kafka writes it: URL-safe base64 without padding.
fn uuid(id: &[u8; 16]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut bits = u128::from_be_bytes(*id);
    let mut text = String::with_capacity(22);
    for _ in 0..22 {
        let index = usize::try_from(bits >> 122).unwrap_or(0);
        text.push(char::from(ALPHABET.get(index).copied().unwrap_or(b'A')));
        bits <<= 6;
    }
    text
}
