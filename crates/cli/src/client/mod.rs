//! A small blocking client: one connection for each broker, requests one after the other.

mod connection;
mod error;
pub(crate) mod management;
pub(crate) mod security;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use door_kafka::wire::messages::find_coordinator_response::FindCoordinatorResponse;
use door_kafka::wire::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use door_kafka::wire::messages::metadata_request::MetadataRequestTopic;
use door_kafka::wire::messages::metadata_response::{
    MetadataResponse, MetadataResponseBroker, MetadataResponseTopic,
};
use door_kafka::wire::messages::{FindCoordinatorRequest, ListOffsetsRequest, MetadataRequest};
use door_kafka::wire::{ApiKey, ErrorCode, RequestMessage};

use connection::Connection;
pub use error::ClientError;
use security::Security;

/// Newest version of any request; the connection takes the newest that both sides know.
pub(crate) const NEWEST: i16 = i16::MAX;
/// `ListOffsets` timestamp that asks for the offset after the last record.
pub(crate) const LATEST: i64 = -1;
/// `ListOffsets` timestamp that asks for the first offset.
pub(crate) const EARLIEST: i64 = -2;

/// How long to wait before a refused request is tried again.
const BACKOFF: Duration = Duration::from_millis(100);

/// A partition of a topic.
pub(crate) type TopicPartition = (String, i32);

/// Talks to a cluster through any of its brokers.
#[derive(Debug)]
pub(crate) struct Client {
    servers: Vec<String>,
    timeout: Duration,
    security: Security,
    bootstrap: Connection,
    by_broker: BTreeMap<i32, Connection>,
    addresses: BTreeMap<i32, String>,
    controller: i32,
}

impl Client {
    /// Connects to the first of `servers` that answers.
    pub(crate) fn connect(
        servers: &[String],
        timeout: Duration,
        security: Security,
    ) -> Result<Self, ClientError> {
        let mut last = None;
        for server in servers {
            match Connection::open(server, timeout, &security) {
                Ok(bootstrap) => {
                    return Ok(Self {
                        servers: servers.to_vec(),
                        timeout,
                        security,
                        bootstrap,
                        by_broker: BTreeMap::new(),
                        addresses: BTreeMap::new(),
                        controller: -1,
                    });
                }
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| ClientError::Unreachable {
            address: servers.join(","),
            why: "no server was named".to_owned(),
        }))
    }

    /// How long to wait for anything.
    pub(crate) fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The same, as requests carry it.
    pub(crate) fn timeout_ms(&self) -> i32 {
        i32::try_from(self.timeout.as_millis()).unwrap_or(i32::MAX)
    }

    /// Asks the broker that was connected to first.
    pub(crate) fn call<R: RequestMessage>(
        &mut self,
        request: &R,
        most: i16,
    ) -> Result<R::Response, ClientError> {
        self.bootstrap.call(request, most)
    }

    /// Asks a broker by its number, which [`Client::metadata`] has named.
    pub(crate) fn call_on<R: RequestMessage>(
        &mut self,
        broker: i32,
        request: &R,
        most: i16,
    ) -> Result<R::Response, ClientError> {
        let result = self.connection(broker)?.call(request, most);
        // After these the connection's next bytes may belong to an old response.
        if let Err(
            ClientError::TimedOut { .. } | ClientError::Closed { .. } | ClientError::Garbage { .. },
        ) = &result
        {
            self.by_broker.remove(&broker);
        }
        result
    }

    /// Asks a broker something that it may take longer to answer, as joining a group does.
    pub(crate) fn call_patiently<R: RequestMessage>(
        &mut self,
        broker: i32,
        request: &R,
        longer: Duration,
    ) -> Result<R::Response, ClientError> {
        self.connection(broker)?.be_patient(longer)?;
        let result = self.call_on(broker, request, NEWEST);
        if let Some(connection) = self.by_broker.get_mut(&broker) {
            connection.be_patient(Duration::ZERO)?;
        }
        result
    }

    /// Sends a request that has no response.
    pub(crate) fn send_on<R: RequestMessage>(
        &mut self,
        broker: i32,
        request: &R,
        most: i16,
    ) -> Result<(), ClientError> {
        self.connection(broker)?.send_only(request, most)
    }

    /// Asks the controller.
    pub(crate) fn call_controller<R: RequestMessage>(
        &mut self,
        request: &R,
        most: i16,
    ) -> Result<R::Response, ClientError> {
        if self.controller < 0 {
            self.metadata(Some(&[]))?;
        }
        if self.addresses.contains_key(&self.controller) {
            self.call_on(self.controller, request, most)
        } else {
            self.call(request, most)
        }
    }

    /// A connection of its own to a broker, which [`Client::metadata`] has named.
    pub(crate) fn open(&mut self, broker: i32) -> Result<Connection, ClientError> {
        self.connection(broker)?;
        self.by_broker.remove(&broker).map_or_else(
            || {
                let (address, why) = (format!("broker {broker}"), "it is gone".to_owned());
                Err(ClientError::Unreachable { address, why })
            },
            Ok,
        )
    }

    /// The newest version of a request that both sides know, but none above `most`.
    pub(crate) fn version(&self, api: ApiKey, most: i16) -> Result<i16, ClientError> {
        self.bootstrap.version(api, most)
    }

    fn connection(&mut self, broker: i32) -> Result<&mut Connection, ClientError> {
        match self.by_broker.entry(broker) {
            std::collections::btree_map::Entry::Occupied(found) => Ok(found.into_mut()),
            std::collections::btree_map::Entry::Vacant(place) => {
                let Some(address) = self.addresses.get(&broker) else {
                    return Err(ClientError::Unreachable {
                        address: format!("broker {broker}"),
                        why: "the cluster's metadata does not say where it is".to_owned(),
                    });
                };
                let opened =
                    Connection::open(address, self.timeout, &self.security).map_err(|error| {
                        match error {
                            ClientError::Unreachable { address, why } => ClientError::Unreachable {
                                address: format!(
                                    "{address}, where {} says that broker {broker} is",
                                    self.servers.join(",")
                                ),
                                why,
                            },
                            other => other,
                        }
                    })?;
                Ok(place.insert(opened))
            }
        }
    }

    /// The brokers and these topics (`None`: all of them), without creating any.
    pub(crate) fn metadata(
        &mut self,
        topics: Option<&[&str]>,
    ) -> Result<MetadataResponse, ClientError> {
        self.ask_metadata(topics, false)
    }

    fn ask_metadata(
        &mut self,
        topics: Option<&[&str]>,
        create: bool,
    ) -> Result<MetadataResponse, ClientError> {
        let named = |name: &&str| MetadataRequestTopic {
            name: Some((*name).to_owned()),
            ..MetadataRequestTopic::default()
        };
        let request = MetadataRequest {
            topics: topics.map(|names| names.iter().map(named).collect()),
            allow_auto_topic_creation: create,
            ..MetadataRequest::default()
        };
        let response = self.bootstrap.call(&request, NEWEST)?;
        self.controller = response.controller_id;
        for broker in &response.brokers {
            let address = address_of(broker);
            if self.addresses.insert(broker.node_id, address.clone()) != Some(address) {
                self.by_broker.remove(&broker.node_id);
            }
        }
        Ok(response)
    }

    /// One topic with its partitions in order. With `create`, a broker that creates topics on
    /// first use creates it, and it is waited for.
    pub(crate) fn topic(
        &mut self,
        name: &str,
        create: bool,
    ) -> Result<MetadataResponseTopic, ClientError> {
        self.retry(|client| {
            let response = client.ask_metadata(Some(&[name]), create)?;
            let subject = format!("topic {name}");
            let found = response.topics.into_iter().find(|t| t.name.as_deref() == Some(name));
            let Some(mut topic) = found else {
                let unknown = ErrorCode::UnknownTopicOrPartition.number();
                ClientError::check(&subject, unknown, None)?;
                return Err(ClientError::Refused { subject, code: unknown, message: None });
            };
            // Retried only where creation is under way; else it is simply not there.
            if !create && topic.error_code == ErrorCode::UnknownTopicOrPartition.number() {
                return Ok(topic);
            }
            ClientError::check(&subject, topic.error_code, None)?;
            for partition in &topic.partitions {
                let subject = format!("partition {} of {name}", partition.partition_index);
                ClientError::check(subject, partition.error_code, None)?;
            }
            topic.partitions.sort_by_key(|partition| partition.partition_index);
            Ok(topic)
        })
        .and_then(|topic| {
            ClientError::check(format!("topic {name}"), topic.error_code, None).map(|()| topic)
        })
    }

    /// Tries again, until the time-out, while the broker says that it is worth it.
    pub(crate) fn retry<T>(
        &mut self,
        mut action: impl FnMut(&mut Self) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let deadline = Instant::now() + self.timeout;
        loop {
            match action(self) {
                Err(error) if error.is_retriable() && Instant::now() + BACKOFF < deadline => {
                    std::thread::sleep(BACKOFF);
                }
                result => return result,
            }
        }
    }

    /// The broker that looks after a group.
    pub(crate) fn coordinator(&mut self, group: &str) -> Result<i32, ClientError> {
        let request = FindCoordinatorRequest {
            key: group.to_owned(),
            coordinator_keys: vec![group.to_owned()],
            ..FindCoordinatorRequest::default()
        };
        self.retry(|client| {
            let FindCoordinatorResponse {
                error_code,
                error_message,
                node_id,
                host,
                port,
                coordinators,
                ..
            } = client.call(&request, NEWEST)?;
            // Version 4 and above answer with a list.
            let (code, message, node, host, port) = match coordinators.into_iter().next() {
                Some(one) => (one.error_code, one.error_message, one.node_id, one.host, one.port),
                None => (error_code, error_message, node_id, host, port),
            };
            ClientError::check(format!("group {group}"), code, message)?;
            client.addresses.insert(node, join(&host, port));
            Ok(node)
        })
    }

    /// The offsets of partitions at a time: [`EARLIEST`], [`LATEST`], or milliseconds since the
    /// epoch (the first record not older; -1 if there is none).
    pub(crate) fn offsets(
        &mut self,
        topic: &MetadataResponseTopic,
        at: i64,
    ) -> Result<BTreeMap<i32, i64>, ClientError> {
        let name = topic.name.clone().unwrap_or_default();
        let mut by_leader: BTreeMap<i32, Vec<ListOffsetsPartition>> = BTreeMap::new();
        for partition in &topic.partitions {
            by_leader.entry(partition.leader_id).or_default().push(ListOffsetsPartition {
                partition_index: partition.partition_index,
                timestamp: at,
                ..ListOffsetsPartition::default()
            });
        }
        let mut offsets = BTreeMap::new();
        for (leader, partitions) in by_leader {
            let request = ListOffsetsRequest {
                replica_id: -1,
                topics: vec![ListOffsetsTopic { name: name.clone(), partitions }],
                timeout_ms: self.timeout_ms(),
                ..ListOffsetsRequest::default()
            };
            let response = self.call_on(leader, &request, NEWEST)?;
            for partition in response.topics.into_iter().flat_map(|topic| topic.partitions) {
                let subject = format!("partition {} of {name}", partition.partition_index);
                ClientError::check(subject, partition.error_code, None)?;
                offsets.insert(partition.partition_index, partition.offset);
            }
        }
        Ok(offsets)
    }
}

/// Where a broker says that it is.
pub(crate) fn address_of(broker: &MetadataResponseBroker) -> String {
    join(&broker.host, broker.port)
}

fn join(host: &str, port: i32) -> String {
    if host.contains(':') { format!("[{host}]:{port}") } else { format!("{host}:{port}") }
}

#[cfg(test)]
mod tests;
