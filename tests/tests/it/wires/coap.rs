//! A CoAP client over UDP.

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use tests::PATIENCE;

/// A request is sent again after this.
const AGAIN: Duration = Duration::from_secs(2);

const GET: u8 = 1;
const PUT: u8 = 3;
const UNAUTHORIZED: u8 = 0x81;

pub(crate) const ETAG: u16 = 4;
pub(crate) const OBSERVE: u16 = 6;
pub(crate) const URI_PATH: u16 = 11;
pub(crate) const CONTENT_FORMAT: u16 = 12;
pub(crate) const MAX_AGE: u16 = 14;
pub(crate) const URI_QUERY: u16 = 15;
pub(crate) const BLOCK2: u16 = 23;
pub(crate) const BLOCK1: u16 = 27;
const ECHO: u16 = 252;

pub(crate) const CONFIRMABLE: u8 = 0;
pub(crate) const NON_CONFIRMABLE: u8 = 1;
pub(crate) const ACKNOWLEDGEMENT: u8 = 2;
pub(crate) const RESET: u8 = 3;

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) kind: u8,
    pub(crate) id: u16,
    pub(crate) token: Vec<u8>,
    pub(crate) code: u8,
    pub(crate) options: Vec<(u16, Vec<u8>)>,
    pub(crate) payload: Vec<u8>,
}

impl Message {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let length = usize::from(bytes[0] & 0x0f);
        let (token, mut rest) = bytes[4..].split_at(length);
        let (mut options, mut number) = (Vec::new(), 0);
        while let [head, more @ ..] = rest
            && *head != 0xff
        {
            let (delta, more) = extended(head >> 4, more);
            let (length, more) = extended(head & 0x0f, more);
            number += delta;
            let (value, more) = more.split_at(usize::from(length));
            options.push((number, value.to_vec()));
            rest = more;
        }
        Self {
            kind: bytes[0] >> 4 & 3,
            id: u16::from_be_bytes([bytes[2], bytes[3]]),
            token: token.to_vec(),
            code: bytes[1],
            options,
            payload: rest.get(1..).unwrap_or_default().to_vec(),
        }
    }

    pub(crate) fn option(&self, number: u16) -> Option<&[u8]> {
        self.options.iter().find(|(own, _)| *own == number).map(|(_, value)| &value[..])
    }

    /// The number that an option has.
    pub(crate) fn number(&self, option: u16) -> Option<u32> {
        let value = self.option(option)?;
        Some(value.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte)))
    }
}

/// Half a byte that may have more behind it.
fn extended(half: u8, more: &[u8]) -> (u16, &[u8]) {
    match half {
        13 => (u16::from(more[0]) + 13, &more[1..]),
        14 => (u16::from_be_bytes([more[0], more[1]]) + 269, &more[2..]),
        half => (u16::from(half), more),
    }
}

fn put_option(delta: u16, value: &[u8], out: &mut Vec<u8>) {
    let half = |number: u16| match u8::try_from(number) {
        Ok(small @ 0..13) => (small, None),
        _ => (13, Some(u8::try_from(number - 13).expect("nothing here is longer"))),
    };
    let (delta, more_delta) = half(delta);
    let (length, more_length) = half(u16::try_from(value.len()).expect("a short one"));
    out.push(delta << 4 | length);
    out.extend(more_delta);
    out.extend(more_length);
    out.extend(value);
}

/// A number as an option has it.
pub(crate) fn number(value: u32) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    bytes.into_iter().skip_while(|byte| *byte == 0).collect()
}

/// A client.
pub(crate) struct Coap {
    socket: UdpSocket,
    next: u16,
    /// What is observed, by its token.
    observed: HashMap<Vec<u8>, Vec<String>>,
    /// Confirmable messages that came: they may come again.
    confirmed: HashSet<u16>,
    /// Notifications that came while something else was awaited.
    seen: VecDeque<Message>,
}

impl Coap {
    pub(crate) fn connect(port: u16) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.connect(("127.0.0.1", port)).unwrap();
        socket.set_read_timeout(Some(AGAIN)).unwrap();
        let (observed, confirmed, seen) = Default::default();
        Self { socket, next: 0, observed, confirmed, seen }
    }

    /// Puts a value: it is stored.
    pub(crate) fn put(&mut self, path: &[&str], options: &[(u16, Vec<u8>)], payload: &[u8]) {
        let answer = self.ask(PUT, path, options, payload);
        assert_eq!(answer.code >> 5, 2, "{answer:?}");
    }

    /// Observes what nobody has put yet.
    pub(crate) fn observe(&mut self, path: &[&str]) {
        let answer = self.ask(GET, path, &[(OBSERVE, Vec::new())], b"");
        assert!(answer.option(OBSERVE).is_some(), "{answer:?}");
        let path = path.iter().map(|&segment| segment.to_owned());
        self.observed.insert(answer.token, path.collect());
    }

    /// The next notification, and of what it is.
    pub(crate) fn message(&mut self) -> (Vec<String>, Message) {
        let begun = Instant::now();
        while self.seen.is_empty() {
            assert!(begun.elapsed() < PATIENCE, "nothing is told");
            let came = self.receive();
            self.seen.extend(came);
        }
        let message = self.seen.pop_front().expect("one came");
        let path = self.observed.get(&message.token).expect("it is observed").clone();
        (path, message)
    }

    fn ask(
        &mut self,
        method: u8,
        path: &[&str],
        options: &[(u16, Vec<u8>)],
        payload: &[u8],
    ) -> Message {
        let mut all = options.to_vec();
        all.extend(path.iter().map(|segment| (URI_PATH, segment.as_bytes().to_vec())));
        let answer = self.exchange(method, &all, payload);
        let Some(echo) = answer.option(ECHO).filter(|_| answer.code == UNAUTHORIZED) else {
            return answer;
        };
        // We took too long to answer a ping.
        all.push((ECHO, echo.to_vec()));
        self.exchange(method, &all, payload)
    }

    /// Sends a request until it is answered.
    fn exchange(&mut self, method: u8, options: &[(u16, Vec<u8>)], payload: &[u8]) -> Message {
        self.next += 1;
        let token = self.next.to_be_bytes();
        // Confirmable, its number the token, too.
        let mut request = vec![0x42, method, token[0], token[1]];
        request.extend(token);
        let mut options = options.to_vec();
        options.sort_by_key(|(number, _)| *number);
        let mut last = 0;
        for (number, value) in &options {
            put_option(number - last, value, &mut request);
            last = *number;
        }
        if !payload.is_empty() {
            request.push(0xff);
            request.extend(payload);
        }
        let begun = Instant::now();
        while begun.elapsed() < PATIENCE {
            self.socket.send(&request).unwrap();
            while let Some(message) = self.receive() {
                if message.token == token {
                    return message;
                }
                self.seen.push_back(message);
            }
        }
        panic!("no answer");
    }

    /// The next message that says something; what must be is said to it. `None`: nothing comes.
    fn receive(&mut self) -> Option<Message> {
        let mut buffer = [0; 2048];
        loop {
            let count = self.socket.recv(&mut buffer).ok()?;
            let message = Message::parse(&buffer[..count]);
            let is_empty = message.code == 0;
            if message.kind == CONFIRMABLE {
                let kind = if is_empty { RESET } else { ACKNOWLEDGEMENT };
                let id = message.id.to_be_bytes();
                self.socket.send(&[0x40 | kind << 4, 0, id[0], id[1]]).unwrap();
            }
            let is_new = message.kind != CONFIRMABLE || self.confirmed.insert(message.id);
            if !is_empty && is_new {
                return Some(message);
            }
        }
    }
}
