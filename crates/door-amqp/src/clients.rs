//! Who is connected, for those who look after a broker.

use std::collections::{BTreeMap, HashMap};
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Weak};

use base::Millis;
use bytes::Bytes;
use parking_lot::Mutex;
use tokio::sync::Notify;

use crate::channel::ChannelOut;
use crate::flow::HostFlow;
use crate::limits::CLIENT_PROPERTIES_BYTES_MAX;

/// All connections whose virtual host is open.
#[derive(Debug, Default)]
pub(crate) struct Clients {
    next: AtomicU64,
    known: Mutex<BTreeMap<u64, Arc<Client>>>,
    pub(crate) hosts: Arc<Hosts>,
}

/// What virtual hosts count, by their names.
#[derive(Debug, Default)]
pub(crate) struct Hosts(Mutex<HashMap<Bytes, Arc<HostFlow>>>);

impl Hosts {
    /// Of a virtual host that there is.
    fn of(&self, name: &Bytes) -> Arc<HostFlow> {
        Arc::clone(self.0.lock().entry(name.clone()).or_default())
    }

    /// Of one that somebody was connected to.
    pub(crate) fn get(&self, name: &[u8]) -> Option<Arc<HostFlow>> {
        self.0.lock().get(name).cloned()
    }

    /// Of all.
    pub(crate) fn all(&self) -> Vec<Arc<HostFlow>> {
        self.0.lock().values().cloned().collect()
    }

    /// A virtual host is gone.
    pub(crate) fn forget(&self, name: &[u8]) {
        self.0.lock().remove(name);
    }
}

/// The two ends of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ends {
    pub(crate) peer: SocketAddr,
    /// Where the client connected to.
    pub(crate) local: SocketAddr,
    pub(crate) is_encrypted: bool,
}

/// What a connection agreed on, as it is shown.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) ends: Ends,
    pub(crate) since: Millis,
    pub(crate) user: Arc<str>,
    pub(crate) mechanism: &'static str,
    pub(crate) virtual_host: Bytes,
    pub(crate) frame_max: u32,
    pub(crate) channel_max: u16,
    /// In seconds.
    pub(crate) heartbeat: u16,
    /// What the client says of itself, a table; nothing, where that is long.
    pub(crate) properties: Bytes,
}

/// One connection.
#[derive(Debug)]
pub(crate) struct Client {
    id: u64,
    pub(crate) facts: Facts,
    /// Of its virtual host.
    pub(crate) host: Arc<HostFlow>,
    channels: Mutex<BTreeMap<u16, Weak<ChannelOut>>>,
    /// Why an operator wants it closed.
    why: Mutex<Option<String>>,
    closing: Notify,
}

/// A connection that is shown for as long as this is kept.
#[derive(Debug)]
pub(crate) struct Joined<'a> {
    clients: &'a Clients,
    pub(crate) client: Arc<Client>,
}

impl Drop for Joined<'_> {
    fn drop(&mut self) {
        self.clients.known.lock().remove(&self.client.id);
    }
}

impl Clients {
    /// Shows a connection.
    pub(crate) fn join(&self, mut facts: Facts) -> Joined<'_> {
        if facts.properties.len() > CLIENT_PROPERTIES_BYTES_MAX {
            facts.properties = Bytes::new();
        }
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let client = Arc::new(Client {
            id,
            host: self.hosts.of(&facts.virtual_host),
            facts,
            channels: Mutex::default(),
            why: Mutex::default(),
            closing: Notify::new(),
        });
        self.known.lock().insert(id, Arc::clone(&client));
        Joined { clients: self, client }
    }

    /// All, the oldest first.
    pub(crate) fn all(&self) -> Vec<Arc<Client>> {
        self.known.lock().values().cloned().collect()
    }
}

impl Client {
    /// What it is called: where it comes from and where it went, as RabbitMQ has it. Of all that are open at a time it is
    /// the only one.
    pub(crate) fn name(&self) -> String {
        format!("{} -> {}", self.facts.ends.peer, self.facts.ends.local)
    }

    /// What a channel of it is called.
    pub(crate) fn channel_name(&self, channel: u16) -> String {
        format!("{} ({channel})", self.name())
    }

    /// A channel was opened. Those of a number that was closed are forgotten with it.
    pub(crate) fn opened(&self, channel: &Arc<ChannelOut>) {
        self.channels.lock().insert(channel.number, Arc::downgrade(channel));
    }

    /// The channels that are open.
    pub(crate) fn channels(&self) -> Vec<Arc<ChannelOut>> {
        let mut channels = self.channels.lock();
        channels.retain(|_, channel| channel.strong_count() > 0);
        channels.values().filter_map(Weak::upgrade).filter(|channel| channel.is_open()).collect()
    }

    /// Closes it, and tells the client why.
    pub(crate) fn close(&self, why: &str) {
        self.why.lock().get_or_insert_with(|| why.to_owned());
        self.closing.notify_one();
    }

    /// Waits until it is to be closed; says why.
    pub(crate) async fn closed(&self) -> String {
        loop {
            self.closing.notified().await;
            if let Some(why) = self.why.lock().clone() {
                return why;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use door::Outgoing;

    fn facts(port: u16) -> Facts {
        Facts {
            ends: Ends {
                peer: SocketAddr::from(([127, 0, 0, 1], port)),
                local: SocketAddr::from(([127, 0, 0, 1], 5672)),
                is_encrypted: false,
            },
            since: 0,
            user: "guest".into(),
            mechanism: "PLAIN",
            virtual_host: Bytes::from_static(b"/"),
            frame_max: 131_072,
            channel_max: 2047,
            heartbeat: 60,
            properties: Bytes::from(vec![0; CLIENT_PROPERTIES_BYTES_MAX + 1]),
        }
    }

    #[test]
    fn a_connection_is_shown_until_it_ends_and_a_channel_until_it_is_closed() {
        let clients = Clients::default();
        let joined = clients.join(facts(1000));
        let client = Arc::clone(&joined.client);
        assert_eq!(client.name(), "127.0.0.1:1000 -> 127.0.0.1:5672");
        assert!(client.facts.properties.is_empty(), "what is long is not kept");
        let outgoing = Arc::new(Outgoing::default());
        let channel = |number| ChannelOut::new(number, 4096, Arc::clone(&outgoing), false);
        let (one, two) = (channel(1), channel(2));
        client.opened(&one);
        client.opened(&two);
        one.close();
        let numbers = || client.channels().iter().map(|open| open.number).collect::<Vec<_>>();
        assert_eq!(numbers(), [2]);
        drop(two);
        assert_eq!(numbers(), [0; 0]);
        assert_eq!(clients.all().len(), 1);
        drop(joined);
        assert_eq!(clients.all().len(), 0);
    }

    #[tokio::test]
    async fn the_first_reason_to_close_it_is_the_one_that_it_is_told() {
        let clients = Clients::default();
        let joined = clients.join(facts(1000));
        joined.client.close("first");
        joined.client.close("second");
        assert_eq!(joined.client.closed().await, "first");
    }
}
