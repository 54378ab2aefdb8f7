//! Just enough of AMQP 0-9-1 to load a broker: frames that are made once, and those that come back, taken apart.

use crate::link::Link;

/// What a client begins with (§4.2.2).
const PROTOCOL_HEADER: &[u8] = b"AMQP\x00\x00\x09\x01";

/// Kinds of frames (§4.2.3), and what each ends with.
const METHOD: u8 = 1;
const HEADER: u8 = 2;
const BODY: u8 = 3;
const HEARTBEAT: u8 = 8;
const END: u8 = 0xce;

/// Bytes of a frame before its payload.
const FRAME_HEAD: usize = 7;

/// The only channel of each connection.
const CHANNEL: u16 = 1;

/// Class and number of the methods that come.
const START: [u16; 2] = [10, 10];
const TUNE: [u16; 2] = [10, 30];
const OPEN_OK: [u16; 2] = [10, 41];
const CONNECTION_CLOSE: [u16; 2] = [10, 50];
const CHANNEL_OPEN_OK: [u16; 2] = [20, 11];
const CHANNEL_CLOSE: [u16; 2] = [20, 40];
const DECLARE_OK: [u16; 2] = [50, 11];
const DELETE_OK: [u16; 2] = [50, 41];
const QOS_OK: [u16; 2] = [60, 11];
const DELIVER: [u16; 2] = [60, 60];
const ACK: [u16; 2] = [60, 80];
const NACK: [u16; 2] = [60, 120];
const CONFIRM_OK: [u16; 2] = [85, 11];

/// The class of messages.
const BASIC: u16 = 60;

/// A message's properties: the delivery mode (bit 12 of the flags) is 2, persistent.
const PERSISTENT: [u8; 3] = [0x10, 0x00, 2];

/// Bytes of a message's number, with which its payload begins.
const NUMBER: usize = 8;

/// Digits of a queue's number in its name.
const DIGITS: usize = 3;

/// How a queue is declared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Classic,
    Quorum,
}

impl Kind {
    /// As `x-queue-type` has it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Classic => "classic",
            Self::Quorum => "quorum",
        }
    }
}

/// What came, of what a load has to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// Messages are stored: this one, or all up to it.
    Confirmed { tag: u64, multiple: bool },
    /// They are not.
    Refused { tag: u64, multiple: bool },
    /// A message begins, with this delivery tag.
    Delivery { tag: u64 },
    /// Its header: so many bytes of payload follow.
    Size(u64),
    /// Its payload, or a part of it.
    Payload(&'a [u8]),
    /// All that was said before was read.
    Synced,
    /// A sign of life.
    Nothing,
}

/// A message's three frames, with its number and its queue's to be put in.
#[derive(Debug, Clone)]
pub(super) struct Template {
    pub(super) bytes: Vec<u8>,
    queue_at: usize,
    payload_at: usize,
}

impl Template {
    /// Persistent messages of this size to queues whose names begin so.
    pub(super) fn new(prefix: &str, size: usize) -> Self {
        assert!(size >= NUMBER, "a payload has room for its number");
        // The default exchange; neither mandatory nor immediate.
        let arguments = [&[0, 0][..], &short(""), &short(&name(prefix, 0)), &[0]].concat();
        let mut bytes = method(BASIC, 40, &arguments);
        let queue_at = bytes.len() - 2 - DIGITS;
        let length = (size as u64).to_be_bytes();
        let header = [&BASIC.to_be_bytes()[..], &[0, 0], &length, &PERSISTENT].concat();
        bytes.extend_from_slice(&frame(HEADER, CHANNEL, &header));
        let payload_at = bytes.len() + FRAME_HEAD;
        bytes.extend_from_slice(&frame(BODY, CHANNEL, &vec![b'x'; size]));
        Self { bytes, queue_at, payload_at }
    }

    /// Appends the message with this number, for this queue.
    pub(super) fn stamp(&self, number: u64, queue: u64, out: &mut Vec<u8>) {
        let from = out.len();
        out.extend_from_slice(&self.bytes);
        let mut rest = queue;
        for digit in out[from + self.queue_at..][..DIGITS].iter_mut().rev() {
            *digit = b'0' + u8::try_from(rest % 10).unwrap_or(0);
            rest /= 10;
        }
        out[from + self.payload_at..][..NUMBER].copy_from_slice(&number.to_be_bytes());
    }
}

/// The number that a payload begins with.
pub(super) fn number(payload: &[u8]) -> u64 {
    let bytes = payload.first_chunk::<NUMBER>().expect("a payload with a number");
    u64::from_be_bytes(*bytes)
}

/// The name of a queue.
pub(super) fn name(prefix: &str, queue: u64) -> String {
    format!("{prefix}-{queue:0DIGITS$}")
}

/// A connection with an open channel, and what the server says of its version.
pub(super) fn connect(address: &str) -> (Link, String) {
    let mut link = Link::dial(address);
    link.say(PROTOCOL_HEADER);
    let start = answer(&mut link, START);
    // No properties, and who may connect from this machine to any RabbitMQ as it comes.
    let login = [&[0; 4][..], &short("PLAIN"), &long(b"\0guest\0guest"), &short("en_US")].concat();
    link.say(&on(0, 10, 11, &login));
    let tune = answer(&mut link, TUNE);
    // As it says, but without heartbeats: an idle connection is to be idle.
    let (agreed, _heartbeat) = tune.split_at(6);
    link.say(&on(0, 10, 31, &[agreed, &[0, 0]].concat()));
    link.say(&on(0, 10, 40, &[&short("/")[..], &short(""), &[0]].concat()));
    answer(&mut link, OPEN_OK);
    link.say(&method(20, 10, &short("")));
    answer(&mut link, CHANNEL_OPEN_OK);
    (link, version(&start))
}

/// What stands beside the key `version` of a table.
fn version(table: &[u8]) -> String {
    let key = b"\x07versionS";
    let at = table.windows(key.len()).position(|window| window == key);
    let text = at.and_then(|at| {
        let (length, rest) = table[at + key.len()..].split_first_chunk::<4>()?;
        rest.get(..usize::try_from(u32::from_be_bytes(*length)).ok()?)
    });
    text.map_or_else(|| "unknown".to_owned(), |text| String::from_utf8_lossy(text).into_owned())
}

/// Messages are confirmed from now on.
pub(super) fn confirm(link: &mut Link) {
    link.say(&method(85, 10, &[0]));
    answer(link, CONFIRM_OK);
}

/// Declares a durable queue.
pub(super) fn declare(link: &mut Link, queue: &str, kind: Kind) {
    let argument = [&short("x-queue-type")[..], b"S", &long(kind.name().as_bytes())].concat();
    let durable = 0b10;
    let arguments = [&[0, 0][..], &short(queue), &[durable], &long(&argument)].concat();
    link.say(&method(50, 10, &arguments));
    answer(link, DECLARE_OK);
}

/// Deletes a queue, whatever it holds.
pub(super) fn delete(link: &mut Link, queue: &str) {
    link.say(&method(50, 40, &[&[0, 0][..], &short(queue), &[0]].concat()));
    answer(link, DELETE_OK);
}

/// Consumers from now on have so many messages at most that are not acknowledged. Its answer, for which this does not
/// wait, says that all before it was read.
pub(super) fn prefetch(count: u16) -> Vec<u8> {
    method(BASIC, 10, &[&[0; 4][..], &count.to_be_bytes(), &[0]].concat())
}

/// Waits for the answer to that.
pub(super) fn prefetched(link: &mut Link) {
    answer(link, QOS_OK);
}

/// Consumes, without an answer, which could come with the first messages.
pub(super) fn consume(queue: &str) -> Vec<u8> {
    let no_wait = 0b1000;
    let arguments = [&[0, 0][..], &short(queue), &short(queue), &[no_wait], &[0; 4]].concat();
    method(BASIC, 20, &arguments)
}

/// Appends the acknowledgement of one message.
pub(super) fn acknowledge(tag: u64, out: &mut Vec<u8>) {
    let [class, number] = ACK;
    out.extend_from_slice(&[METHOD, 0, 1, 0, 0, 0, 13]);
    out.extend_from_slice(&class.to_be_bytes());
    out.extend_from_slice(&number.to_be_bytes());
    out.extend_from_slice(&tag.to_be_bytes());
    out.extend_from_slice(&[0, END]);
}

/// Takes apart whole frames, one after the other; how many bytes they had.
pub(super) fn hear(input: &[u8], mut each: impl FnMut(Heard<'_>)) -> usize {
    let mut at = 0;
    while let Some((kind, payload, size)) = next(&input[at..]) {
        each(match kind {
            METHOD => heard(payload),
            // Class and weight are before the size.
            HEADER => Heard::Size(long_at(payload, 4)),
            BODY => Heard::Payload(payload),
            HEARTBEAT => Heard::Nothing,
            other => panic!("not expected: a frame of kind {other}"),
        });
        at += size;
    }
    at
}

/// What a method says that comes while a load runs.
fn heard(payload: &[u8]) -> Heard<'_> {
    match id(payload) {
        ACK => Heard::Confirmed { tag: long_at(payload, 4), multiple: payload[12] & 1 != 0 },
        NACK => Heard::Refused { tag: long_at(payload, 4), multiple: payload[12] & 1 != 0 },
        // The tag of the consumer is before it.
        DELIVER => Heard::Delivery { tag: long_at(payload, 5 + usize::from(payload[4])) },
        QOS_OK => Heard::Synced,
        other => panic!("not expected: method {other:?}: {}", payload.escape_ascii()),
    }
}

/// The frame that begins here, once it is whole: its kind, its payload, and all its bytes.
fn next(input: &[u8]) -> Option<(u8, &[u8], usize)> {
    let ([kind, _, _, a, b, c, d], rest) = input.split_first_chunk::<FRAME_HEAD>()?;
    let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).expect("a size");
    let end = *rest.get(length)?;
    assert_eq!(end, END, "a frame ends where it says");
    Some((*kind, &rest[..length], FRAME_HEAD + length + 1))
}

/// Waits for a method; its arguments.
fn answer(link: &mut Link, wanted: [u16; 2]) -> Vec<u8> {
    link.hear_until(|seen| {
        let mut rest = seen;
        while let Some((kind, payload, size)) = next(rest) {
            let ends = [CONNECTION_CLOSE, CHANNEL_CLOSE];
            if kind == METHOD && id(payload) == wanted {
                return Some(payload[4..].to_vec());
            }
            let is_end = kind == METHOD && ends.contains(&id(payload));
            assert!(!is_end, "refused: {}", payload.escape_ascii());
            rest = &rest[size..];
        }
        None
    })
}

/// Class and number of a method.
fn id(payload: &[u8]) -> [u16; 2] {
    let [a, b, c, d] = payload.first_chunk::<4>().expect("a method");
    [u16::from_be_bytes([*a, *b]), u16::from_be_bytes([*c, *d])]
}

fn long_at(payload: &[u8], at: usize) -> u64 {
    u64::from_be_bytes(payload[at..at + 8].try_into().expect("eight bytes"))
}

fn frame(kind: u8, channel: u16, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).expect("a short frame");
    [&[kind][..], &channel.to_be_bytes(), &length.to_be_bytes(), payload, &[END]].concat()
}

fn on(channel: u16, class: u16, number: u16, arguments: &[u8]) -> Vec<u8> {
    let payload = [&class.to_be_bytes()[..], &number.to_be_bytes(), arguments].concat();
    frame(METHOD, channel, &payload)
}

fn method(class: u16, number: u16, arguments: &[u8]) -> Vec<u8> {
    on(CHANNEL, class, number, arguments)
}

fn short(text: &str) -> Vec<u8> {
    let length = u8::try_from(text.len()).expect("a short text");
    [&[length], text.as_bytes()].concat()
}

fn long(bytes: &[u8]) -> Vec<u8> {
    let length = u32::try_from(bytes.len()).expect("a short text");
    [&length.to_be_bytes(), bytes].concat()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Golden bytes: `basic.publish` of eight bytes to `q-042` as the specification spells it out.
    #[test]
    fn a_message_is_what_the_specification_says() {
        let mut out = Vec::new();
        Template::new("q", 8).stamp(0x0102_0304_0506_0708, 42, &mut out);
        let method = b"\x01\x00\x01\x00\x00\x00\x0e\x00\x3c\x00\x28\x00\x00\x00\x05q-042\x00\xce";
        let header =
            b"\x02\x00\x01\x00\x00\x00\x0f\x00\x3c\x00\x00\x00\x00\x00\x00\x00\x00\x00\x08\x10\x00\x02\xce";
        let body = b"\x03\x00\x01\x00\x00\x00\x08\x01\x02\x03\x04\x05\x06\x07\x08\xce";
        assert_eq!(out, [&method[..], header, body].concat());
    }

    #[test]
    fn frames_are_found_wherever_the_bytes_are_cut() {
        let mut bytes = Vec::new();
        // As a broker delivers it: the consumer's tag, the delivery's, the flag, exchange and key.
        let tag = 7_u64.to_be_bytes();
        let deliver = [&short("c")[..], &tag, &[0], &short(""), &short("q-000")].concat();
        bytes.extend_from_slice(&method(60, 60, &deliver));
        let message = Template::new("q", 8);
        let mut published = Vec::new();
        message.stamp(9, 0, &mut published);
        bytes.extend_from_slice(&published[22..]);
        acknowledge(3, &mut bytes);
        bytes.extend_from_slice(&frame(HEARTBEAT, 0, &[]));
        for piece in 1..=bytes.len() {
            let (mut held, mut seen) = (Vec::new(), Vec::new());
            for piece in bytes.chunks(piece) {
                held.extend_from_slice(piece);
                let used = hear(&held, |heard| {
                    seen.push(match heard {
                        Heard::Payload(payload) => format!("payload {}", number(payload)),
                        other => format!("{other:?}"),
                    });
                });
                held.drain(..used);
            }
            let wanted = [
                "Delivery { tag: 7 }",
                "Size(8)",
                "payload 9",
                "Confirmed { tag: 3, multiple: false }",
                "Nothing",
            ];
            assert_eq!(seen, wanted, "in pieces of {piece}");
        }
    }

    #[test]
    fn a_server_s_version_is_found() {
        let table =
            [&b"\x07product"[..], b"S", &long(b"R"), b"\x07version", b"S", &long(b"3.10.8")];
        assert_eq!(version(&table.concat()), "3.10.8");
        assert_eq!(version(b""), "unknown");
    }
}
