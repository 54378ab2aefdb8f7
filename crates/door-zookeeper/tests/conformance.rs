//! The suite that every door must pass, and the endpoint over real sockets. One test at a time,
//! because memory is a property of the process.

#![allow(clippy::unwrap_used, reason = "tests fail by panicking, helpers of tests too")]

use std::collections::{BTreeMap, HashMap};
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use base::{BrokerId, SystemClock, SystemRandom};
use broker::metadata::Metadata;
use broker::registry::Registry;
use cluster::{Embedded, MetaStore, Options};
use door::conformance::{self, Target};
use door::{ConnectionLimit, Listener, ListenerHandle, ListenerOptions};
use door_zookeeper::ZooKeeperDoor;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::{Mutex, watch};

static TURN: Mutex<()> = Mutex::const_new(());

fn door() -> Arc<ZooKeeperDoor> {
    let metadata = Metadata {
        revision: 1,
        cluster_id: "cluster".into(),
        controller: BrokerId(0),
        brokers: BTreeMap::new(),
        topics: BTreeMap::new(),
        topic_names: HashMap::new(),
        users: Arc::default(),
        groups: BTreeMap::new(),
        access: Arc::default(),
        quotas: Arc::default(),
        settings: Arc::default(),
        client_metrics: Arc::default(),
    };
    let meta: Arc<dyn MetaStore> = Arc::new(Embedded::in_memory(Options::default()).unwrap());
    let sender = watch::Sender::new(Arc::new(metadata));
    tokio::spawn(follow(Arc::clone(&meta), sender.clone()));
    let registry = Registry::new(meta, BrokerId(0));
    let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
    Arc::new(ZooKeeperDoor::new(sender.subscribe(), registry, clock, random))
}

/// What a broker does: the picture's revision is that of the newest change.
async fn follow(meta: Arc<dyn MetaStore>, metadata: watch::Sender<Arc<Metadata>>) {
    let mut watch = meta.watch(b"", 2).await.unwrap();
    while let Ok(batch) = watch.next().await {
        metadata.send_modify(|old| Arc::make_mut(old).revision = batch.revision);
    }
}

fn framed(record: &[u8]) -> Vec<u8> {
    let length = u32::try_from(record.len()).unwrap_or(u32::MAX);
    [&length.to_be_bytes(), record].concat()
}

fn hello() -> Vec<u8> {
    let mut record = vec![0; 45];
    record[12..16].copy_from_slice(&10_000_u32.to_be_bytes());
    record[27] = 16;
    framed(&record)
}

/// `getChildren2 /`
fn get_children() -> Vec<u8> {
    framed(b"\0\0\0\x01\0\0\0\x0c\0\0\0\x01/\0")
}

fn listen() -> std::io::Result<ListenerHandle> {
    let options = ListenerOptions::new("TEST", (Ipv4Addr::LOCALHOST, 0).into());
    Ok(Listener::bind(&options)?.run(door(), ConnectionLimit::default()))
}

#[tokio::test]
async fn the_door_conforms() {
    let _turn = TURN.lock().await;
    let target = Target {
        door: door(),
        hello: hello(),
        is_answer: |bytes| bytes.len() == 41,
        oversize: Some(b"\0\x10\0\0".to_vec()),
        flood: Some(get_children()),
    };
    conformance::run_all(&target).await.unwrap();
}

#[tokio::test]
async fn words_are_answered_and_the_connection_closed() {
    let _turn = TURN.lock().await;
    let listener = listen().unwrap();
    let cases = [
        ("ruok", "imok"),
        ("isro", "rw"),
        ("srvr", "Zookeeper version: 3.8.0-"),
        ("stat", "Zookeeper version: 3.8.0-"),
        ("mntr", "zk_version\t3.8.0-"),
        ("conf", "clientPort="),
        ("envi", "Environment:\nzookeeper.version=3.8.0-"),
        ("cons", " /127.0.0.1:"),
        ("srst", "srst is not executed because it is not in the whitelist.\n"),
    ];
    for (word, beginning) in cases {
        let mut stream = TcpStream::connect(listener.local_address()).await.unwrap();
        stream.write_all(word.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with(beginning), "{word}: {answer}");
        if word == "srvr" {
            assert!(answer.contains("\nZxid: 0x1\nMode: standalone\nNode count: 42\n"), "{answer}");
        }
    }
}

#[tokio::test]
async fn a_closed_session_gets_its_answer_before_the_end() {
    let _turn = TURN.lock().await;
    let listener = listen().unwrap();
    let mut stream = TcpStream::connect(listener.local_address()).await.unwrap();
    let close = framed(b"\0\0\0\x09\xff\xff\xff\xf5");
    stream.write_all(&[hello(), get_children(), close].concat()).await.unwrap();
    let mut seen = Vec::new();
    stream.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen[seen.len() - 20..], framed(b"\0\0\0\x09\0\0\0\0\0\0\0\x03\0\0\0\0"));
    let stopped = listener.stop(Duration::from_secs(10)).await;
    assert_eq!(stopped.aborted, 0);
}
