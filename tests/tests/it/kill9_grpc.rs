//! SIGKILL under gRPC clients, again and again: what was acknowledged is there, once.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use door_grpc::pb;
use door_grpc::pb::subscribe_response::Response as Told;
use tests::{PATIENCE, Python, Script, Serve, record_figure};

use crate::chance::{Chance, random_seed, setting};
use crate::wires::grpc::Grpc;

/// Publishers, each with a subject of its own.
const CLIENTS: u64 = 4;

/// A message that says whose it is, and its number.
fn message(client: u64, number: u64) -> pb::Message {
    let payload = Some(number.to_string().into_bytes().into());
    pb::Message { subject: format!("k.{client}"), payload, ..pb::Message::default() }
}

/// One call after the other; the numbers that were acknowledged.
fn publisher(
    port: u16,
    client: u64,
    acknowledged: &Arc<AtomicU64>,
    stop: &Arc<AtomicBool>,
) -> JoinHandle<Vec<u64>> {
    let (count, stop) = (Arc::clone(acknowledged), Arc::clone(stop));
    std::thread::spawn(move || {
        let (mut all, mut number) = (Vec::new(), 0);
        while !stop.load(Ordering::Relaxed) {
            let Ok(stream) = std::net::TcpStream::connect(("127.0.0.1", port)) else {
                std::thread::sleep(Duration::from_millis(5)); // poll: until the broker is back, bounded by the test
                continue;
            };
            stream.set_read_timeout(Some(PATIENCE)).expect("a time");
            let mut connection = Grpc::over(stream);
            // A message of which it is not known is not sent again: then it is there once, or not at all.
            loop {
                number += 1;
                match connection.publish(message(client, number)) {
                    Ok(Ok(_)) => {
                        all.push(number);
                        count.fetch_add(1, Ordering::SeqCst);
                    }
                    Ok(Err(_)) => {}
                    Err(_) => break,
                }
                if stop.load(Ordering::Relaxed) {
                    break;
                }
            }
        }
        all
    })
}

/// All that a topic has, by subject.
fn kept(port: u16, count: u64) -> BTreeMap<String, Vec<u64>> {
    let mut reader = Grpc::connect(port);
    let start = Some(pb::Start { at: Some(pb::start::At::Earliest(true)) });
    let offsets = pb::Offsets { topics: vec!["kept".to_owned()], start, ..Default::default() };
    reader.listen(pb::listen_request::From::Offsets(offsets)).unwrap();
    let (mut all, mut seen): (BTreeMap<String, Vec<u64>>, u64) = (BTreeMap::new(), 0);
    while seen < count {
        let Told::Deliveries(told) = reader.told().unwrap() else { panic!("no messages") };
        for delivery in told.deliveries {
            let message = delivery.message.expect("a message");
            let payload = String::from_utf8(message.payload.expect("a number").to_vec()).unwrap();
            all.entry(message.subject).or_default().push(payload.parse().unwrap());
            seen += 1;
        }
    }
    all
}

/// How many messages the topic has.
fn count(port: u16) -> u64 {
    let request = pb::GetTopicRequest { name: "kept".to_owned() };
    let topic: pb::Topic = Grpc::connect(port).call("Topics/GetTopic", &request).unwrap().unwrap();
    topic.partitions.iter().map(|one| u64::try_from(one.end - one.start).unwrap()).sum()
}

#[test]
fn grpc_keeps_what_it_acknowledged_whenever_the_broker_is_killed() {
    let rounds: u64 = setting("ENTREPOT_KILL_ROUNDS").unwrap_or(25);
    let seed = setting("ENTREPOT_KILL_SEED").unwrap_or_else(random_seed);
    println!("{rounds} rounds; ENTREPOT_KILL_SEED={seed}");
    let mut chance = Chance::new(seed);
    let mut broker = Serve::new().start();
    let create = ["topic", "create", "kept", "--bind", "k.>", "--partitions", "2"];
    assert!(broker.entrepot(&create).status.success());
    let (port, stop) = (broker.grpc(), Arc::<AtomicBool>::default());
    let counts: Vec<_> = (0..CLIENTS).map(|_| Arc::<AtomicU64>::default()).collect();
    let all = || counts.iter().map(|one| one.load(Ordering::SeqCst)).sum::<u64>();
    let publishers: Vec<_> =
        counts.iter().zip(0..).map(|(one, client)| publisher(port, client, one, &stop)).collect();
    // The same by a stream of requests, of which many are on their way at a time.
    let python = Script::start(Python::Grpc, "grpc_kill", &[&port.to_string()]);
    for round in 0..rounds {
        let (before, begun) = (all(), Instant::now());
        while all() <= before {
            assert!(begun.elapsed() < PATIENCE, "nothing is acknowledged in round {round}");
            std::thread::sleep(Duration::from_millis(1)); // poll: for an acknowledgement, bounded by PATIENCE
        }
        broker.lives_for(chance.up_to(200));
        broker.kill();
        broker.restart();
    }
    stop.store(true, Ordering::Relaxed);
    let acknowledged: Vec<_> = publishers.into_iter().map(|one| one.join().unwrap()).collect();
    let streamed = python.and_then(|python| python.finish(PATIENCE).pop());
    let kept = kept(port, count(port));
    for (client, acknowledged) in acknowledged.iter().enumerate() {
        let there = kept.get(&format!("k.{client}")).cloned().unwrap_or_default();
        check(&there, acknowledged, &client.to_string());
    }
    let streamed: Vec<u64> = streamed.map_or_else(Vec::new, |event| {
        let numbers = event["numbers"].as_array().unwrap().iter();
        numbers.map(|number| number.as_u64().unwrap()).collect()
    });
    check(&kept.get("k.stream").cloned().unwrap_or_default(), &streamed, "stream");
    record_figure("kill9_grpc_rounds", rounds);
    record_figure("kill9_grpc_messages", all() + streamed.len() as u64);
}

/// All that was acknowledged is there, once and in order.
fn check(there: &[u64], acknowledged: &[u64], who: &str) {
    assert!(there.is_sorted_by(|a, b| a < b), "{who}: each is there once, in order");
    let lost: Vec<_> =
        acknowledged.iter().filter(|number| there.binary_search(number).is_err()).collect();
    assert!(lost.is_empty(), "{who}: acknowledged and lost: {lost:?}");
}

#[test]
fn a_lease_outlives_kills_as_long_as_it_is_renewed() {
    let rounds: u64 = setting("ENTREPOT_KILL_ROUNDS").unwrap_or(10);
    let mut broker = Serve::new().start();
    let port = broker.grpc();
    let register = |id: &str, lease_ms| {
        let instance = pb::Instance {
            service: "web".to_owned(),
            id: id.to_owned(),
            address: "h".to_owned(),
            ..pb::Instance::default()
        };
        let request =
            pb::RegisterRequest { instance: Some(instance), lease_ms, ..Default::default() };
        let told = Grpc::connect(port).call("Discovery/Register", &request);
        let told: pb::RegisterResponse = told.unwrap().unwrap();
        told.lease
    };
    let ids = || -> Vec<String> {
        let request = pb::ResolveRequest { service: "web".to_owned() };
        let told = Grpc::connect(port).call("Discovery/Resolve", &request);
        let told: pb::ResolveResponse = told.unwrap().unwrap();
        told.instances.into_iter().map(|one| one.id).collect()
    };
    let kept = register("kept", 600_000);
    register("static", 0);
    for round in 0..rounds {
        broker.kill();
        broker.restart();
        assert_eq!(ids(), ["kept", "static"], "round {round}");
        let renew = pb::RenewRequest { lease: kept.clone(), ..Default::default() };
        let told = Grpc::connect(port).call("Discovery/Renew", &renew);
        let told: pb::RenewResponse = told.unwrap().unwrap();
        assert_eq!(told.lease_ms, 600_000);
    }
    // One that nobody renews ends after a restart, too, and nobody need ask for it to end.
    register("short", 1000);
    broker.kill();
    broker.restart();
    let begun = Instant::now();
    while ids() != ["kept", "static"] {
        assert!(begun.elapsed() < PATIENCE, "it is still there");
        std::thread::sleep(Duration::from_millis(50)); // poll: for its end, bounded by PATIENCE
    }
}
