//! At the ZooKeeper door.

use std::io::{Read, Write};
use std::net::TcpStream;

use tests::{Broker, Serve};

use super::{Bystander, MIB, Memory, ask, assert_peak, connect, frame, is_closed};

/// The largest request that is taken (`jute.maxbuffer`).
const REQUEST_BYTES_MAX: u32 = 1_048_575;

const CREATE: i32 = 1;
const EXISTS: i32 = 3;
const SET_ACL: i32 = 7;
const CLOSED: i32 = -11;
/// Errors.
const OK: i32 = 0;
const BAD_ARGUMENTS: i32 = -8;

/// A connection with a session of its own.
struct Client(TcpStream);

impl Client {
    fn new(broker: &Broker) -> Self {
        let mut stream = connect(&broker.zookeeper());
        let mut hello = vec![0; 12];
        hello.extend(40_000_i32.to_be_bytes());
        hello.extend([0; 8]);
        hello.extend(16_i32.to_be_bytes());
        hello.extend([0; 17]);
        ask(&mut stream, &frame(&hello)).unwrap();
        Self(stream)
    }

    fn send(&mut self, op: i32, body: &[u8]) -> std::io::Result<()> {
        self.0.write_all(&frame(&[&1_i32.to_be_bytes(), &op.to_be_bytes(), body].concat()))
    }

    /// The error of the next answer.
    fn error(&mut self) -> std::io::Result<i32> {
        let answer = ask(&mut self.0, &[])?;
        Ok(i32::from_be_bytes(answer[12..16].try_into().unwrap()))
    }

    fn ask(&mut self, op: i32, body: &[u8]) -> std::io::Result<i32> {
        self.send(op, body)?;
        self.error()
    }
}

fn text(text: &str) -> Vec<u8> {
    [&i32::try_from(text.len()).unwrap().to_be_bytes(), text.as_bytes()].concat()
}

/// `create` of a node with an open access list.
fn create(path: &str, flags: i32) -> Vec<u8> {
    let acl = [&1_i32.to_be_bytes()[..], &31_i32.to_be_bytes(), &text("world"), &text("anyone")];
    [&text(path)[..], &text("data"), &acl.concat(), &flags.to_be_bytes()].concat()
}

#[test]
fn an_announced_length_is_not_believed() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let mut waiting = Vec::new();
    for _ in 0..200 {
        let mut stream = connect(&broker.zookeeper());
        stream.write_all(&REQUEST_BYTES_MAX.to_be_bytes()).unwrap();
        stream.write_all(&[0; 100]).unwrap();
        waiting.push(stream);
    }
    for length in [REQUEST_BYTES_MAX + 1, u32::MAX, 1 << 31] {
        let mut stream = connect(&broker.zookeeper());
        stream.write_all(&length.to_be_bytes()).unwrap();
        assert!(is_closed(&stream), "a frame of {length} bytes");
        // At once, and not only because there was no hello.
        broker.says(&format!("frame of {} bytes", length.cast_signed()));
    }
    // They did not say hello in time.
    for stream in &waiting {
        assert!(is_closed(stream), "a hello that never ends");
    }
    // Inside a request, lengths are no more believed: paths, data, lists.
    let mut client = Client::new(&broker);
    for body in [&b"\x7f\xff\xff\xff/a"[..], b"\xff\xff\xff\xff", b"\0\0\0\x02/a\x7f\xff\xff\xff"] {
        assert_ne!(client.ask(CREATE, body).unwrap(), OK, "{body:?}");
    }
    let list = [&text("/a")[..], &text(""), &i32::MAX.to_be_bytes()].concat();
    assert_ne!(client.ask(CREATE, &list).unwrap(), OK);
    assert_eq!(client.ask(CREATE, &create("/after", 0)).unwrap(), OK, "it goes on");
    assert_peak(&broker, before, 200 * 64 * 1024 + 24 * MIB, "announced lengths");
    bystander.finish();
}

#[test]
fn slow_clients_hold_nobody_up() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let mut quick = Client::new(&broker);
    let mut slow: Vec<_> = (0..50).map(|_| Client::new(&broker)).collect();
    let body = create("/slow", 3);
    let request = frame(&[&[0, 0, 0, 1, 0, 0, 0, 1][..], &body].concat());
    for (number, byte) in request.iter().enumerate() {
        for client in &mut slow {
            client.0.set_nodelay(true).unwrap();
            client.0.write_all(&[*byte]).unwrap();
        }
        if number % 16 == 0 {
            assert_ne!(quick.ask(EXISTS, &[&text("/x")[..], &[0]].concat()).unwrap(), CLOSED);
        }
    }
    for client in &mut slow {
        assert_eq!(client.error().unwrap(), OK, "a slow request is a request");
    }
    bystander.finish();
}

/// Watches beyond what a connection may have cost the connection.
#[test]
fn watches_are_bounded() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    for _ in 0..4 {
        let mut client = Client::new(&broker);
        // About 4 KB a path: a thousand of them are all that a connection may watch.
        let cut = (0..3_000).any(|number| {
            let path = format!("/{}{number:06}", "w".repeat(3_900));
            client.ask(EXISTS, &[&text(&path)[..], &[1]].concat()).is_err()
        });
        assert!(cut, "it goes on watching");
    }
    assert_peak(&broker, before, 4 * 8 * MIB + 24 * MIB, "4 clients with too many watches");
    bystander.finish();
}

/// A list of as many rules as a request holds takes no time to speak of, and nobody waits for it.
#[test]
fn a_long_access_list_holds_nobody_up() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let mut client = Client::new(&broker);
    assert_eq!(client.ask(CREATE, &create("/listed", 0)).unwrap(), OK);
    let mut rules = Vec::new();
    let mut count = 0_i32;
    while rules.len() < 1_000_000 {
        rules.extend(31_i32.to_be_bytes());
        rules.extend(text("ip"));
        rules.extend(text(&format!("10.{}.{}.{}", count >> 16, count >> 8 & 255, count & 255)));
        count += 1;
    }
    let body =
        [&text("/listed")[..], &count.to_be_bytes(), &rules, &(-1_i32).to_be_bytes()].concat();
    let error = client.ask(SET_ACL, &body).unwrap();
    // In JSON, as it is stored, it is more than an entry of the metadata store may have.
    assert!(error != OK && error != BAD_ARGUMENTS, "{error}");
    bystander.finish();
}

/// Ephemeral nodes go with their session, and requests whose answers nobody reads stop being read.
#[test]
fn floods_that_nobody_reads_are_bounded() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let floods: Vec<_> = (0..4)
        .map(|_| {
            let mut client = Client::new(&broker);
            std::thread::spawn(move || {
                // Ephemeral, sequential.
                let body = create("/flood-", 3);
                let sent = (0..1_000).all(|_| client.send(CREATE, &body).is_ok());
                assert!(sent, "its requests are read");
                client
            })
        })
        .collect();
    let mut clients: Vec<_> = floods.into_iter().map(|flood| flood.join().unwrap()).collect();
    for client in &mut clients {
        for _ in 0..1_000 {
            assert_eq!(client.error().unwrap(), OK);
        }
    }
    assert_peak(&broker, before, 64 * MIB, "4 floods of ephemeral nodes");
    drop(clients);
    // A flood of reads: the client takes no answer, so it is read no further some day.
    let mut deaf = Client::new(&broker);
    deaf.0.set_write_timeout(Some(std::time::Duration::from_secs(5))).unwrap();
    let question = [&text("/")[..], &[0]].concat();
    let _cut = (0..400_000).all(|_| deaf.send(8, &question).is_ok());
    assert_peak(&broker, before, 96 * MIB, "a flood of reads whose answers nobody reads");
    let mut byte = [0; 1];
    let _ = deaf.0.read(&mut byte);
    bystander.finish();
}
