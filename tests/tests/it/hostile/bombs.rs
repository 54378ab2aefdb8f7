//! A few kilobytes that unpack to hundreds of megabytes.

use std::io::Write;

use crc_fast::{CrcAlgorithm, checksum};
use tests::{Broker, PATIENCE, Serve};

use super::{Bystander, MIB, Memory, ask, assert_peak, connect, metadata, request};

/// Numbers of the codecs.
const GZIP: u8 = 1;
const SNAPPY: u8 = 2;
const LZ4: u8 = 3;
const ZSTD: u8 = 4;

/// More than a batch may unpack to, and so much that two of them are more than both tests allow.
const BOMB: usize = 700 << 20;

/// What topics take here: LZ4 packs 255 to one at best.
const PACKED_MAX: usize = 4 << 20;

/// Kafka's error for what a topic does not take, however little it unpacks to.
const MESSAGE_TOO_LARGE: i16 = 10;

/// Headers of one record: 24 MiB unpacked, and 900 MB as a list. As many as a test build, which takes
/// its time over each of them, reads in some seconds.
const HEADERS: usize = 12 << 20;

/// Records as they stand in a batch.
pub(super) struct Records {
    bytes: Vec<u8>,
}

impl Records {
    /// One record with this value, and the key `k`.
    pub(super) fn one(value: &[u8]) -> Self {
        let mut body = vec![0, 0, 0];
        varint(&mut body, 1);
        body.push(b'k');
        varint(&mut body, value.len());
        body.extend(value);
        body.push(0);
        let mut bytes = Vec::new();
        varint(&mut bytes, body.len());
        bytes.extend(body);
        Self { bytes }
    }

    /// One record with nothing but headers, of two bytes each.
    fn headers(count: usize) -> Self {
        let mut body = vec![0, 0, 0, 1, 1];
        varint(&mut body, count);
        body.extend([0, 1].repeat(count));
        let mut bytes = Vec::new();
        varint(&mut bytes, body.len());
        bytes.extend(body);
        Self { bytes }
    }

    /// The batch of this one record, packed with a codec; `empty` bytes of zeros behind it.
    pub(super) fn batch(&self, codec: u8, empty: usize) -> Vec<u8> {
        let packed = pack(codec, &self.bytes, empty);
        let mut checked = vec![0, codec];
        checked.extend([0; 4]);
        checked.extend([0; 16]);
        checked.extend([0xff; 14]);
        checked.extend(1_u32.to_be_bytes());
        checked.extend(packed);
        let crc = u32::try_from(checksum(CrcAlgorithm::Crc32Iscsi, &checked)).unwrap();
        let length = u32::try_from(checked.len() + 9).unwrap();
        let front = [&[0; 8][..], &length.to_be_bytes(), &[0, 0, 0, 0, 2], &crc.to_be_bytes()];
        [&front.concat()[..], &checked].concat()
    }
}

/// A length as a zigzag varint.
fn varint(to: &mut Vec<u8>, length: usize) {
    let mut rest = length << 1;
    while rest > 0x7f {
        to.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    to.push(rest as u8);
}

/// Bytes and zeros behind them, compressed without having them all in memory.
fn pack(codec: u8, bytes: &[u8], zeros: usize) -> Vec<u8> {
    fn all(mut to: impl Write, bytes: &[u8], zeros: usize) {
        let block = vec![0; 1 << 20];
        to.write_all(bytes).unwrap();
        for at in (0..zeros).step_by(block.len()) {
            to.write_all(&block[..block.len().min(zeros - at)]).unwrap();
        }
        to.flush().unwrap();
    }
    let mut packed = Vec::new();
    match codec {
        0 => all(&mut packed, bytes, zeros),
        GZIP => {
            let level = flate2::Compression::best();
            let mut encoder = flate2::write::GzEncoder::new(&mut packed, level);
            all(&mut encoder, bytes, zeros);
            encoder.finish().unwrap();
        }
        SNAPPY => {
            // As the Java client frames it.
            packed.extend(b"\x82SNAPPY\0\0\0\0\x01\0\0\0\x01");
            let mut plain = bytes.to_vec();
            plain.resize(bytes.len() + zeros, 0);
            for block in plain.chunks(1 << 20) {
                let block = snap::raw::Encoder::new().compress_vec(block).unwrap();
                packed.extend(u32::try_from(block.len()).unwrap().to_be_bytes());
                packed.extend(block);
            }
        }
        LZ4 => {
            let mut encoder = lz4_flex::frame::FrameEncoder::new(&mut packed);
            all(&mut encoder, bytes, zeros);
            encoder.finish().unwrap();
        }
        _ => {
            let mut encoder = zstd::Encoder::new(&mut packed, 3).unwrap();
            all(&mut encoder, bytes, zeros);
            encoder.finish().unwrap();
        }
    }
    packed
}

/// A message of the format v0 with zeros in it, compressed in another.
fn old_bomb(codec: u8, zeros: usize) -> Vec<u8> {
    // The checksum inside is wrong, which is seen only after it was unpacked.
    let mut inside = vec![0; 8];
    inside.extend(u32::try_from(zeros + 14).unwrap().to_be_bytes());
    inside.extend([0, 0, 0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff]);
    inside.extend(u32::try_from(zeros).unwrap().to_be_bytes());
    let packed = pack(codec, &inside, zeros);
    let mut body = vec![0, codec, 0xff, 0xff, 0xff, 0xff];
    body.extend(u32::try_from(packed.len()).unwrap().to_be_bytes());
    body.extend(packed);
    let crc = u32::try_from(checksum(CrcAlgorithm::Crc32IsoHdlc, &body)).unwrap();
    let size = u32::try_from(body.len() + 4).unwrap();
    [&[0; 8][..], &size.to_be_bytes(), &crc.to_be_bytes(), &body].concat()
}

/// Produce 3 (or 0 for message sets) of records to partition 0 of a topic.
pub(super) fn produce(version: i16, topic: &str, records: &[u8]) -> Vec<u8> {
    let mut body = if version >= 3 { vec![0xff, 0xff] } else { Vec::new() };
    body.extend([0xff, 0xff, 0, 0, 0x75, 0x30, 0, 0, 0, 1]);
    body.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
    body.extend(topic.as_bytes());
    body.extend([0, 0, 0, 1, 0, 0, 0, 0]);
    body.extend(u32::try_from(records.len()).unwrap().to_be_bytes());
    body.extend(records);
    request(0, version, &body)
}

/// The error in the answer to it.
pub(super) fn error(answer: &[u8], topic: &str) -> i16 {
    // Correlation id, one topic with its name, one partition with its number.
    let at = 4 + 4 + 2 + topic.len() + 4 + 4;
    i16::from_be_bytes([answer[at], answer[at + 1]])
}

/// Sends one request from several connections at once, some times over.
fn attack(address: &str, question: &[u8]) -> Vec<Vec<u8>> {
    let attackers: Vec<_> = (0..4)
        .map(|_| {
            let (address, question) = (address.to_owned(), question.to_vec());
            std::thread::spawn(move || {
                let mut stream = connect(&address);
                // They take turns, two at a time.
                stream.set_read_timeout(Some(PATIENCE * 5)).unwrap();
                ask(&mut stream, &question).unwrap()
            })
        })
        .collect();
    attackers.into_iter().map(|attacker| attacker.join().unwrap()).collect()
}

/// A topic that takes what is small when packed.
fn create(broker: &Broker, topic: &str, more: &[&str]) {
    let size = format!("max.message.bytes={PACKED_MAX}");
    let args = [&["topic", "create", topic, "--config", &size], more].concat();
    let exit = broker.entrepot(&args);
    assert!(exit.status.success(), "{exit:?}");
}

/// Message sets are unpacked when they are produced: two at a time, each to 256 MiB at most.
#[test]
fn in_message_sets() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    create(&broker, "old", &[]);
    let before = Memory::of(&broker);
    for codec in [GZIP, LZ4] {
        let bomb = old_bomb(codec, BOMB);
        assert!(bomb.len() < PACKED_MAX, "{} bytes", bomb.len());
        for answer in attack(&broker.kafka(), &produce(0, "old", &bomb)) {
            let error = error(&answer, "old");
            assert!(error != 0 && error != MESSAGE_TOO_LARGE, "codec {codec}: {error}");
        }
        bystander.goes_on();
    }
    // Snappy packs twenty to one at best: what is allowed in a request unpacks to 100 MiB.
    let bomb = old_bomb(SNAPPY, 80 << 20);
    for answer in attack(&broker.kafka(), &produce(0, "old", &bomb)) {
        assert_ne!(error(&answer, "old"), 0, "snappy");
    }
    assert_peak(&broker, before, 2 * 2 * 256 * MIB + 64 * MIB, "bombs in message sets");
    bystander.finish();
}

/// Record batches are unpacked where a topic asks for another codec, and for old consumers.
#[test]
fn in_record_batches() {
    let broker = Serve::new().start();
    let bystander = Bystander::of(&broker);
    create(&broker, "packed", &["--config", "compression.type=gzip"]);
    ask(&mut connect(&broker.kafka()), &metadata("kept")).unwrap();
    let before = Memory::of(&broker);
    for codec in [LZ4, ZSTD] {
        let bomb = Records::one(b"value").batch(codec, BOMB);
        assert!(bomb.len() < PACKED_MAX, "{} bytes", bomb.len());
        for answer in attack(&broker.kafka(), &produce(3, "packed", &bomb)) {
            let error = error(&answer, "packed");
            assert!(error != 0 && error != MESSAGE_TOO_LARGE, "codec {codec}: {error}");
        }
        bystander.goes_on();
    }
    // A record with millions of headers: it is kept unopened, and opened for old consumers.
    let mut stream = connect(&broker.kafka());
    let bomb = Records::headers(HEADERS).batch(GZIP, 0);
    assert!(bomb.len() < 1 << 20, "{} bytes", bomb.len());
    assert_eq!(error(&ask(&mut stream, &produce(3, "kept", &bomb)).unwrap(), "kept"), 0);
    let mut body = b"\xff\xff\xff\xff\0\0\0\x64\0\0\0\x01\0\0\0\x01\0\x04kept".to_vec();
    body.extend(b"\0\0\0\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\x40\0\0");
    for answer in attack(&broker.kafka(), &request(1, 1, &body)) {
        assert!(answer.len() > 40, "{answer:?}");
    }
    assert_peak(&broker, before, 2 * 2 * 256 * MIB + 64 * MIB, "bombs in batches");
    bystander.finish();
}
