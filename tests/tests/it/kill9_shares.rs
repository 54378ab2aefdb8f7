//! A share group whose consumers and broker are killed, again and again: in the end each record was
//! accepted, and none is delivered after its acceptance was confirmed.
//!
//! The consumers are the test's own and speak the protocol request by request: a client that reads
//! ahead would hand out records that it has got before another had them confirmed.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use door_kafka::wire::messages::describe_share_group_offsets_request::{
    DescribeShareGroupOffsetsRequestGroup, DescribeShareGroupOffsetsRequestTopic,
};
use door_kafka::wire::messages::incremental_alter_configs_request::{
    AlterConfigsResource, AlterableConfig,
};
use door_kafka::wire::messages::share_fetch_request::{
    AcknowledgementBatch, FetchPartition, FetchTopic,
};
use door_kafka::wire::messages::{
    DescribeShareGroupOffsetsRequest, IncrementalAlterConfigsRequest, MetadataRequest,
    ShareFetchRequest, ShareGroupHeartbeatRequest, metadata_request,
};
use parking_lot::Mutex;
use tests::{Broker, PATIENCE, Serve, record_figure};

use crate::chance::{Chance, random_seed, setting};
use crate::client::Client;

const TOPIC: &str = "work";
const PARTITIONS: i32 = 2;
/// Added in each round, so that there is always work: whole batches, as the benchmark sends them.
const RECORDS: usize = 7_500;
const CONSUMERS: u64 = 4;
const ACCEPT: i8 = 1;
const RELEASE: i8 = 2;

type Record = (i32, i64);

/// What all consumers have seen together.
#[derive(Default)]
struct Seen {
    /// With how many others were confirmed before.
    confirmed: Mutex<HashMap<Record, usize>>,
    /// Accepted by some consumer, which may not know whether the broker heard it.
    accepted: Mutex<HashSet<Record>>,
    broken: Mutex<Vec<String>>,
    deliveries: AtomicU64,
    stop: AtomicBool,
}

#[test]
fn an_accepted_record_does_not_come_again_whoever_is_killed() {
    let rounds: u32 = setting("ENTREPOT_KILL_SHARE_ROUNDS").unwrap_or(8);
    let seed = setting("ENTREPOT_KILL_SEED").unwrap_or_else(random_seed);
    println!("{rounds} rounds; ENTREPOT_KILL_SEED={seed}");
    let mut chance = Chance::new(seed);
    let mut broker = begin();
    let (address, seen) = (broker.kafka(), Seen::default());
    std::thread::scope(|scope| {
        for number in 0..CONSUMERS {
            let (address, seen, chance) = (&address, &seen, Chance::new(seed ^ (number + 1)));
            scope.spawn(move || consume(address, number, chance, seen));
        }
        for _ in 0..rounds {
            let before = seen.confirmed.lock().len();
            add_work(&broker);
            if !progress(&seen, before) {
                seen.broken.lock().push("nothing is confirmed any more".to_owned());
            }
            if !seen.broken.lock().is_empty() {
                break;
            }
            broker.lives_for(chance.up_to(300));
            broker.kill();
            broker.restart();
        }
        let deadline = Instant::now() + PATIENCE;
        while left(&address) > 0 && seen.broken.lock().is_empty() {
            if Instant::now() > deadline {
                seen.broken.lock().push("some records were never accepted".to_owned());
            }
            std::thread::sleep(Duration::from_millis(20)); // poll: for the last record, until the deadline
        }
        seen.stop.store(true, Ordering::Release);
    });
    assert_eq!(*seen.broken.lock(), Vec::<String>::new());
    // The broker says that all are done with: none of them but by a consumer's word.
    let all = RECORDS * usize::try_from(rounds).unwrap();
    assert_eq!(seen.accepted.lock().len(), all);
    record_figure("kill9_share_unconfirmed", all - seen.confirmed.lock().len());
    let again = seen.deliveries.load(Ordering::Relaxed).saturating_sub(all as u64);
    record_figure("kill9_share_redeliveries", again);
}

/// A broker with an empty topic, and a group that begins at its start.
fn begin() -> Broker {
    let broker = Serve::new()
        .arg("--set")
        .arg("group.share_record_lock_duration_ms=2000")
        .arg("--set")
        .arg("group.share_delivery_count_limit=1000")
        .start();
    let partitions = PARTITIONS.to_string();
    let created = broker.entrepot(&["topic", "create", TOPIC, "--partitions", &partitions]);
    assert!(created.status.success(), "{created:?}");
    let earliest = AlterableConfig {
        name: "share.auto.offset.reset".into(),
        value: Some("earliest".into()),
        ..AlterableConfig::default()
    };
    let group = AlterConfigsResource {
        resource_type: 32,
        resource_name: "g".into(),
        configs: vec![earliest],
    };
    let set = IncrementalAlterConfigsRequest { resources: vec![group], validate_only: false };
    let answer = Client::connect(&broker.kafka()).unwrap().call(&set, 1).unwrap();
    assert_eq!(answer.responses[0].error_code, 0, "{answer:?}");
    broker
}

fn add_work(broker: &Broker) {
    let count = RECORDS.to_string();
    let size = ["--count", &count, "--size", "20", "--batch", "400", "--connections", "1"];
    let filled = broker.entrepot(&[&["bench", "produce", "--topic", TOPIC][..], &size].concat());
    assert!(filled.status.success(), "{filled:?}");
}

/// How many records the group is not done with, as the broker counts them.
fn left(address: &str) -> i64 {
    let topic = DescribeShareGroupOffsetsRequestTopic {
        topic_name: TOPIC.into(),
        partitions: (0..PARTITIONS).collect(),
    };
    let group =
        DescribeShareGroupOffsetsRequestGroup { group_id: "g".into(), topics: Some(vec![topic]) };
    let request = DescribeShareGroupOffsetsRequest { groups: vec![group] };
    let response = Client::connect(address).unwrap().call(&request, 1).unwrap();
    let partitions = response.groups.iter().flat_map(|group| &group.topics);
    let partitions = partitions.flat_map(|topic| &topic.partitions);
    partitions
        .map(|partition| {
            assert_eq!(partition.error_code, 0, "{response:?}");
            assert!(partition.lag >= 0, "{response:?}");
            partition.lag
        })
        .sum()
}

/// Waits until more are confirmed than these.
fn progress(seen: &Seen, before: usize) -> bool {
    let deadline = Instant::now() + PATIENCE;
    while seen.confirmed.lock().len() == before {
        if Instant::now() > deadline {
            return false;
        }
        std::thread::sleep(Duration::from_millis(5)); // poll: for a confirmation, until the deadline
    }
    true
}

/// Consumes, dies, and begins anew under another name, until all is done.
fn consume(address: &str, number: u64, mut chance: Chance, seen: &Seen) {
    let mut life = 0;
    while !seen.stop.load(Ordering::Acquire) {
        life += 1;
        let member = format!("consumer-{number}-{life}");
        // What fails is the connection to a broker that was killed.
        if live(address, &member, &mut chance, seen).is_none() {
            std::thread::sleep(Duration::from_millis(20)); // poll: for the broker, until all is done
        }
    }
}

/// One life of a consumer: ends by chance, or with the broker (`None`).
fn live(address: &str, member: &str, chance: &mut Chance, seen: &Seen) -> Option<()> {
    let mut client = Client::connect(address)?;
    let asked = MetadataRequest {
        topics: Some(vec![metadata_request::MetadataRequestTopic {
            name: Some(TOPIC.into()),
            ..Default::default()
        }]),
        ..MetadataRequest::default()
    };
    let topic = client.call(&asked, 12)?.topics.first()?.topic_id;
    let join = ShareGroupHeartbeatRequest {
        group_id: "g".into(),
        member_id: member.into(),
        subscribed_topic_names: Some(vec![TOPIC.into()]),
        ..ShareGroupHeartbeatRequest::default()
    };
    client.call(&join, 1)?;
    let mut said: Vec<(Record, i8)> = Vec::new();
    for epoch in 0..chance.below(40) {
        let epoch = i32::try_from(epoch).unwrap();
        let request = request(topic, member, epoch, &said);
        let accepted = said.iter().filter(|(_, of)| *of == ACCEPT).map(|(record, _)| *record);
        seen.accepted.lock().extend(accepted);
        let before = seen.confirmed.lock().len();
        let response = client.call(&request, 2)?;
        if response.error_code != 0 || seen.stop.load(Ordering::Acquire) {
            return None;
        }
        let mut got = Vec::new();
        for partition in response.responses.iter().flat_map(|topic| &topic.partitions) {
            let index = partition.partition_index;
            if partition.acknowledge_error_code == 0 {
                let accepted =
                    said.iter().filter(|(record, of)| record.0 == index && *of == ACCEPT);
                let mut confirmed = seen.confirmed.lock();
                for (record, _) in accepted {
                    let others = confirmed.len();
                    confirmed.entry(*record).or_insert(others);
                }
            }
            for run in &partition.acquired_records {
                got.extend((run.first_offset..=run.last_offset).map(|offset| (index, offset)));
            }
        }
        // What was confirmed before this was asked for. What was confirmed since, another may have
        // got after the broker that sent this was killed.
        let confirmed = seen.confirmed.lock();
        let wrong = got.iter().filter(|one| confirmed.get(one).is_some_and(|at| *at < before));
        seen.broken.lock().extend(wrong.map(|record| format!("{member} got {record:?} again")));
        drop(confirmed);
        seen.deliveries.fetch_add(got.len() as u64, Ordering::Relaxed);
        said = got
            .into_iter()
            .map(|record| (record, if chance.below(5) == 0 { RELEASE } else { ACCEPT }))
            .collect();
    }
    Some(())
}

fn request(topic: [u8; 16], member: &str, epoch: i32, said: &[(Record, i8)]) -> ShareFetchRequest {
    let batch = |((_, offset), of): &(Record, i8)| AcknowledgementBatch {
        first_offset: *offset,
        last_offset: *offset,
        acknowledge_types: vec![*of],
    };
    let of = |index: i32| FetchPartition {
        partition_index: index,
        acknowledgement_batches: said.iter().filter(|one| one.0.0 == index).map(batch).collect(),
    };
    ShareFetchRequest {
        group_id: Some("g".into()),
        member_id: Some(member.into()),
        share_session_epoch: epoch,
        max_wait_ms: 100,
        max_bytes: 1 << 20,
        max_records: 20,
        share_acquire_mode: 1,
        topics: vec![FetchTopic { topic_id: topic, partitions: (0..PARTITIONS).map(of).collect() }],
        ..ShareFetchRequest::default()
    }
}
