//! At the CoAP door.

use std::io::Write;
use std::net::{TcpStream, UdpSocket};
use std::time::Duration;

use tests::{Broker, PATIENCE, Serve};

use super::{Bystander, MIB, Memory, assert_peak, connect, is_closed};
use crate::wires::coap::Coap;

/// What begins a connection (7.01 CSM), without options.
const CSM: &[u8] = &[0x00, 0xe1];
const PUT: u8 = 3;
const GET: u8 = 1;
const CONTENT: u8 = 0x45;

fn open(broker: &Broker) -> TcpStream {
    connect(&format!("127.0.0.1:{}", broker.coap()))
}

fn socket(broker: &Broker) -> UdpSocket {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.connect(("127.0.0.1", broker.coap())).unwrap();
    socket.set_read_timeout(Some(Duration::from_millis(1))).unwrap();
    socket
}

/// Sends a datagram, and takes what has come: a socket that is full takes nothing more.
fn send(socket: &UdpSocket, datagram: &[u8]) {
    let _lost = socket.send(datagram);
}

/// A confirmable request with this number, its token, too, for `/p/NUMBER`, and an option before the payload.
fn request(code: u8, number: u16, option: &[u8], payload: &[u8]) -> Vec<u8> {
    let id = number.to_be_bytes();
    let name = format!("{number:05}");
    let mut message = vec![0x42, code, id[0], id[1], id[0], id[1]];
    message.extend(b"\xb1p\x05");
    message.extend(name.bytes());
    message.extend(option);
    if !payload.is_empty() {
        message.push(0xff);
        message.extend(payload);
    }
    message
}

/// Observes `/p/00001`: shows where it is, without which it would be sent little, and is told what the value is.
fn observe(socket: &UdpSocket, token: u16) {
    let id = token.to_be_bytes();
    // Observe (6), before the path: 11 is 5 more.
    let request = [&[0x42, GET, id[0], id[1], id[0], id[1]][..], b"\x60\x51p\x0500001"].concat();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    send(socket, &request);
    let mut heard = [0; 2048];
    loop {
        let size = socket.recv(&mut heard).expect("it is answered");
        match heard[..size] {
            // A ping, which is answered with a reset (RFC 7252 §4.3).
            [0x40, 0, first, second] => send(socket, &[0x70, 0, first, second]),
            [_, CONTENT, ..] => return,
            _ => {}
        }
    }
}

/// Somebody else is answered, at this door and at another.
fn goes_on(broker: &Broker, bystander: &Bystander) {
    bystander.goes_on();
    Coap::connect(broker.coap()).put(&["still", "here"], &[], b"yes");
}

#[test]
fn announced_lengths_are_not_believed() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    goes_on(&broker, &bystander);
    let before = Memory::of(&broker);
    // A PUT of a megabyte of which a little comes: length in four bytes, beyond 65,805.
    let megabyte = ((1_u32 << 20) - 65_805).to_be_bytes();
    let announced = [CSM, &[0xf0], &megabyte, &[PUT], b"\xb1p\xffonly this"].concat();
    let waiting: Vec<_> = (0..300)
        .map(|_| {
            let mut stream = open(&broker);
            stream.write_all(&announced).unwrap();
            stream
        })
        .collect();
    for bad in [
        // Longer than a message may be, than anything can be; a token of nine bytes; an option behind the end of its
        // message, and of a length that is reserved; a payload of nothing; a message before the first one; not the protocol.
        [CSM, &[0xf0], &(1_u32 << 28).to_be_bytes(), &[PUT]].concat(),
        [CSM, &[0xf0], &u32::MAX.to_be_bytes(), &[PUT]].concat(),
        [CSM, &[0x09, GET]].concat(),
        [CSM, &[0x10, GET, 0xb5]].concat(),
        [CSM, &[0x10, GET, 0xbf]].concat(),
        [CSM, &[0x10, GET, 0xff]].concat(),
        [&[0x20, GET][..], b"\xb1p"].concat(),
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
        vec![0xff; 1000],
    ] {
        let mut stream = open(&broker);
        stream.write_all(&bad).unwrap();
        let shown = bad[..bad.len().min(20)].escape_ascii();
        assert!(is_closed(&stream), "it is not closed: {shown}");
    }
    goes_on(&broker, &bystander);
    assert_peak(&broker, before, 300 * 64 * 1024 + 24 * MIB, "announced messages");
    drop(waiting);
    bystander.finish();
}

#[test]
fn who_does_not_say_the_first_word_is_not_waited_for() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let before = Memory::of(&broker);
    let silent: Vec<_> = (0..200)
        .map(|number| {
            let mut stream = open(&broker);
            // Half of a message, or not a word.
            if number % 2 == 0 {
                stream.write_all(&CSM[..1]).unwrap();
            }
            stream
        })
        .collect();
    goes_on(&broker, &bystander);
    for stream in &silent {
        assert!(is_closed(stream), "it does not say what it takes");
    }
    assert_peak(&broker, before, 200 * 16 * 1024 + 24 * MIB, "strangers");
    bystander.finish();
}

#[test]
fn a_flood_of_datagrams_costs_little() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    goes_on(&broker, &bystander);
    let before = Memory::of(&broker);
    let (socket, mut heard) = (socket(&broker), [0; 2048]);
    let garbage: [&[u8]; 9] = [
        b"",
        b"\x40",
        // Another version; a token longer than eight bytes, and than the datagram; codes that are none; an option that
        // goes beyond the end; a payload of nothing; a reset and an acknowledgement of what nobody sent.
        b"\x80\x01\0\0",
        b"\x4f\x01\0\0aaaaaaaaaaaaaaa",
        b"\x48\x01\0\0a",
        b"\x40\x20\0\0",
        b"\x40\x01\0\0\xbe\xff\xff",
        b"\x40\x01\0\0\xff",
        b"\x70\0\0\0",
    ];
    for round in 0..100_000_u32 {
        let number = u16::try_from(round % 65_536).unwrap();
        send(&socket, garbage[usize::from(number) % garbage.len()]);
        send(&socket, &request(GET, number, b"", b""));
        if round % 64 == 0 {
            while socket.recv(&mut heard).is_ok() {}
        }
        if round % 4096 == 0 {
            bystander.goes_on();
        }
    }
    goes_on(&broker, &bystander);
    // A client has 65,536 numbers; each is remembered with its answer, and what has none is not.
    assert_peak(&broker, before, 64 * MIB, "a flood of datagrams");
    bystander.finish();
}

#[test]
fn bodies_in_pieces_that_never_end_are_given_up() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    goes_on(&broker, &bystander);
    let before = Memory::of(&broker);
    // Block1: the first of many pieces of 1,024 bytes. Its number is 27, 16 more than the path's.
    let (first, piece) = (b"\xd1\x03\x0e", [b'x'; 1024]);
    for _ in 0..50 {
        let (socket, mut heard) = (socket(&broker), [0; 2048]);
        for number in 0..1_000 {
            send(&socket, &request(PUT, number, first, &piece));
            if number % 16 == 0 {
                while socket.recv(&mut heard).is_ok() {}
            }
        }
    }
    goes_on(&broker, &bystander);
    // A kilobyte each would be 50 MiB, but no client has more than 16 bodies; and 50,000 answers are remembered.
    assert_peak(&broker, before, 40 * MIB, "bodies that never end");
    bystander.finish();
}

#[test]
fn observers_who_are_gone_are_given_up_and_cost_little() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    let mut publisher = Coap::connect(broker.coap());
    publisher.put(&["p", "00001"], &[], b"before");
    let before = Memory::of(&broker);
    let sockets: Vec<_> = (0..200).map(|_| socket(&broker)).collect();
    for (socket, token) in sockets.iter().zip(0..) {
        observe(socket, token);
    }
    // They do not acknowledge anything from here on.
    let value = vec![b'x'; 1000];
    for _ in 0..200 {
        publisher.put(&["p", "00001"], &[], &value);
    }
    goes_on(&broker, &bystander);
    // All that they were to be told would be 40 MiB.
    assert_peak(&broker, before, 24 * MIB, "observers who do not answer");
    drop(sockets);
    publisher.put(&["p", "00001"], &[], b"after");
    goes_on(&broker, &bystander);
    bystander.finish();
}
