//! Just enough of HTTP/2 (RFC 9113) and of gRPC's framing to load a server: heads that are written once, bodies that are cut into
//! frames as the server's windows allow, and messages put together again from what comes back.

use crate::link::Link;

/// Bytes of a frame's head.
const HEAD: usize = 9;
/// In front of each message: a byte that says whether it is packed, and its length.
pub(super) const PREFIX: usize = 5;
/// The longest frame that everybody takes (RFC 9113 §4.2).
const FRAME_MAX: usize = 16 * 1024;
/// What a window is, before anybody has said anything of it (§6.9.2), and the largest that there is.
const WINDOW: i64 = 65_535;
const WINDOW_MAX: i64 = (1 << 31) - 1;
/// Once so much came, the windows are filled again.
const REFILL: u32 = 1 << 29;

const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const GOAWAY: u8 = 7;
const WINDOW_UPDATE: u8 = 8;

const ACK: u8 = 1;
const END_STREAM: u8 = 1;
const END_HEADERS: u8 = 4;

const INITIAL_WINDOW_SIZE: u16 = 4;

/// What is known of a connection, and of at most one stream on it whose answer has many messages.
pub(super) struct Http2 {
    /// What the server takes: on the connection, on a new stream, on the one that is open.
    connection_window: i64,
    initial_window: i64,
    stream_window: i64,
    /// What came since its windows were filled.
    taken: u32,
    /// The stream that is open, and the next that can be.
    stream: u32,
    next: u32,
    /// What is to be sent on it, and how much of that was.
    body: Vec<u8>,
    sent: usize,
    /// The beginning of a message that came.
    partial: Vec<u8>,
}

/// What came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Heard<'a> {
    /// A message on a stream.
    Message(u32, &'a [u8]),
    /// The end of a stream.
    End(u32),
}

impl Http2 {
    /// A connection on which both have said how large their windows are.
    pub(super) fn connect(address: &str) -> (Link, Self) {
        let mut link = Link::dial(address);
        let mut hello = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec();
        let mut setting = INITIAL_WINDOW_SIZE.to_be_bytes().to_vec();
        setting.extend_from_slice(&(WINDOW_MAX as u32).to_be_bytes());
        frame(&mut hello, SETTINGS, 0, 0, &setting);
        let more = (WINDOW_MAX - WINDOW) as u32;
        frame(&mut hello, WINDOW_UPDATE, 0, 0, &more.to_be_bytes());
        link.say(&hello);
        let state = Self {
            connection_window: WINDOW,
            initial_window: WINDOW,
            stream_window: 0,
            taken: 0,
            stream: 0,
            next: 1,
            body: Vec::new(),
            sent: 0,
            partial: Vec::new(),
        };
        (link, state)
    }

    /// Begins a call whose messages follow; the stream's number.
    pub(super) fn open(&mut self, link: &mut Link, method: &str) -> u32 {
        let number = self.head(link, method);
        self.stream = number;
        self.stream_window = self.initial_window;
        self.partial.clear();
        number
    }

    /// A call with one short message, and one short answer.
    pub(super) fn ask(&mut self, link: &mut Link, method: &str, message: &[u8]) -> u32 {
        let number = self.head(link, method);
        let whole = framed(message);
        assert!(whole.len() <= FRAME_MAX, "a question is short");
        // So little is on its way that there is always room for it.
        self.connection_window -= whole.len() as i64;
        frame(link.out(), DATA, END_STREAM, number, &whole);
        number
    }

    fn head(&mut self, link: &mut Link, method: &str) -> u32 {
        let number = self.next;
        self.next += 2;
        let mut block = Vec::new();
        let path = format!("/entrepot.v1.{method}");
        let fields = [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", &path),
            (":authority", "localhost"),
            ("content-type", "application/grpc"),
            ("te", "trailers"),
        ];
        for (name, value) in fields {
            // Literals that nobody remembers (RFC 7541 §6.2.2).
            block.push(0);
            for text in [name, value] {
                assert!(text.len() < 127, "a length takes one byte");
                block.push(text.len() as u8);
                block.extend_from_slice(text.as_bytes());
            }
        }
        frame(link.out(), HEADERS, END_HEADERS, number, &block);
        number
    }

    /// The body of the open stream: whole messages are put behind it.
    pub(super) fn body(&mut self) -> &mut Vec<u8> {
        &mut self.body
    }

    /// Nothing waits for the server's window.
    pub(super) fn is_sent(&self) -> bool {
        self.body.is_empty()
    }

    /// Sends what windows and socket take.
    pub(super) fn write(&mut self, link: &mut Link) {
        link.write();
        while self.sent < self.body.len() && link.is_flushed() {
            let window = self.connection_window.min(self.stream_window);
            let room = usize::try_from(window).unwrap_or(0);
            let mut left = (self.body.len() - self.sent).min(room).min(4 * FRAME_MAX);
            if left == 0 {
                break;
            }
            self.connection_window -= left as i64;
            self.stream_window -= left as i64;
            while left > 0 {
                let part = left.min(FRAME_MAX);
                let bytes = &self.body[self.sent..self.sent + part];
                frame(link.out(), DATA, 0, self.stream, bytes);
                self.sent += part;
                left -= part;
            }
            link.write();
        }
        if self.sent == self.body.len() {
            self.body.clear();
            self.sent = 0;
        }
    }

    /// Reads once, and tells what came.
    pub(super) fn read(
        &mut self,
        link: &mut Link,
        scratch: &mut Vec<u8>,
        mut hear: impl FnMut(Heard<'_>),
    ) {
        let mut state = Reading {
            connection_window: &mut self.connection_window,
            initial_window: &mut self.initial_window,
            stream_window: &mut self.stream_window,
            taken: &mut self.taken,
            stream: self.stream,
            partial: &mut self.partial,
        };
        link.read(scratch, |input, out| state.frames(input, out, &mut hear));
    }
}

/// A frame that came (RFC 9113 §4.1).
#[derive(Clone, Copy)]
struct Frame<'a> {
    kind: u8,
    flags: u8,
    stream: u32,
    payload: &'a [u8],
}

/// What reading changes.
struct Reading<'a> {
    connection_window: &'a mut i64,
    initial_window: &'a mut i64,
    stream_window: &'a mut i64,
    taken: &'a mut u32,
    stream: u32,
    partial: &'a mut Vec<u8>,
}

impl Reading<'_> {
    /// Takes whole frames; how many bytes they are.
    fn frames(
        &mut self,
        input: &[u8],
        out: &mut Vec<u8>,
        hear: &mut impl FnMut(Heard<'_>),
    ) -> usize {
        let mut at = 0;
        while let Some(head) = input[at..].first_chunk::<HEAD>() {
            let length = u32::from_be_bytes([0, head[0], head[1], head[2]]) as usize;
            let Some(payload) = input.get(at + HEAD..at + HEAD + length) else { break };
            let stream = u32::from_be_bytes([head[5], head[6], head[7], head[8]]);
            let frame = Frame { kind: head[3], flags: head[4], stream, payload };
            self.frame(frame, out, hear);
            at += HEAD + length;
        }
        at
    }

    fn frame(&mut self, of: Frame<'_>, out: &mut Vec<u8>, hear: &mut impl FnMut(Heard<'_>)) {
        let Frame { kind, flags, stream, payload } = of;
        match kind {
            DATA => {
                self.take(stream, payload.len() as u32, out);
                self.messages(stream, payload, hear);
            }
            SETTINGS if flags & ACK == 0 => {
                self.settings(payload);
                frame(out, SETTINGS, ACK, 0, &[]);
            }
            PING if flags & ACK == 0 => frame(out, PING, ACK, 0, payload),
            WINDOW_UPDATE => {
                let more = i64::from(number(payload));
                match stream {
                    0 => *self.connection_window += more,
                    stream if stream == self.stream => *self.stream_window += more,
                    _ => {}
                }
            }
            GOAWAY | RST_STREAM => panic!("the server gives up: frame {kind}, {payload:?}"),
            // What a head says of an answer is in its end, too: whether there was a message.
            _ => {}
        }
        if matches!(kind, DATA | HEADERS) && flags & END_STREAM != 0 {
            hear(Heard::End(stream));
        }
    }

    fn settings(&mut self, payload: &[u8]) {
        for setting in payload.chunks_exact(6) {
            if setting[..2] == INITIAL_WINDOW_SIZE.to_be_bytes() {
                let window = i64::from(number(&setting[2..]));
                // It is of streams that are open, too (RFC 9113 §6.9.2).
                *self.stream_window += window - *self.initial_window;
                *self.initial_window = window;
            }
        }
    }

    /// Fills windows again. That of a stream that is not the open one is never used up.
    fn take(&mut self, stream: u32, count: u32, out: &mut Vec<u8>) {
        *self.taken += count;
        if *self.taken >= REFILL {
            let more = self.taken.to_be_bytes();
            frame(out, WINDOW_UPDATE, 0, 0, &more);
            if stream == self.stream {
                frame(out, WINDOW_UPDATE, 0, stream, &more);
            }
            *self.taken = 0;
        }
    }

    fn messages(&mut self, stream: u32, mut data: &[u8], hear: &mut impl FnMut(Heard<'_>)) {
        if stream != self.stream {
            // An answer to a question is one frame.
            let whole = message(data).expect("a short answer");
            hear(Heard::Message(stream, whole));
            return;
        }
        if !self.partial.is_empty() {
            // No more than what is missing: what follows is not copied.
            self.fill(PREFIX, &mut data);
            let Some(prefix) = self.partial.first_chunk() else { return };
            let wanted = whole(prefix);
            self.fill(wanted, &mut data);
            if self.partial.len() < wanted {
                return;
            }
            hear(Heard::Message(stream, &self.partial[PREFIX..]));
            self.partial.clear();
        }
        while let Some(one) = message(data) {
            hear(Heard::Message(stream, one));
            data = &data[PREFIX + one.len()..];
        }
        self.partial.extend_from_slice(data);
    }

    /// Takes of the data what makes the beginning of a message so long.
    fn fill(&mut self, length: usize, data: &mut &[u8]) {
        let missing = length.saturating_sub(self.partial.len()).min(data.len());
        let (taken, rest) = data.split_at(missing);
        self.partial.extend_from_slice(taken);
        *data = rest;
    }
}

/// Bytes of a message with its prefix.
fn whole(prefix: &[u8; PREFIX]) -> usize {
    assert_eq!(prefix[0], 0, "nobody asked for it to be packed");
    PREFIX + number(&prefix[1..]) as usize
}

/// The message at the beginning, if it is whole.
fn message(data: &[u8]) -> Option<&[u8]> {
    data.get(PREFIX..whole(data.first_chunk()?))
}

fn number(bytes: &[u8]) -> u32 {
    u32::from_be_bytes(*bytes.first_chunk().expect("four bytes"))
}

/// A message with its prefix.
pub(super) fn framed(message: &[u8]) -> Vec<u8> {
    let length = (message.len() as u32).to_be_bytes();
    [&[0][..], &length, message].concat()
}

fn frame(out: &mut Vec<u8>, kind: u8, flags: u8, stream: u32, payload: &[u8]) {
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()[1..]);
    out.extend_from_slice(&[kind, flags]);
    out.extend_from_slice(&stream.to_be_bytes());
    out.extend_from_slice(payload);
}

#[cfg(test)]
mod tests_of_frames {
    use super::*;

    fn heard(pieces: &[&[u8]]) -> Vec<(u32, Vec<u8>)> {
        let (mut windows, mut taken, mut partial) = ([0; 3], 0, Vec::new());
        let [connection_window, initial_window, stream_window] = &mut windows;
        let mut reading = Reading {
            connection_window,
            initial_window,
            stream_window,
            taken: &mut taken,
            stream: 1,
            partial: &mut partial,
        };
        let mut heard = Vec::new();
        for piece in pieces {
            reading.messages(1, piece, &mut |said| {
                let Heard::Message(stream, bytes) = said else { panic!("{said:?}") };
                heard.push((stream, bytes.to_vec()));
            });
        }
        heard
    }

    #[test]
    fn messages_are_found_wherever_they_are_cut() {
        let all = [framed(b"abc"), framed(b""), framed(&[7; 300]), framed(b"d")].concat();
        let wanted =
            vec![(1, b"abc".to_vec()), (1, Vec::new()), (1, vec![7; 300]), (1, b"d".to_vec())];
        for length in 1..=all.len() {
            assert_eq!(heard(&all.chunks(length).collect::<Vec<_>>()), wanted, "{length}");
        }
    }

    #[test]
    fn a_frame_is_written_as_the_rfc_has_it() {
        let mut out = Vec::new();
        frame(&mut out, DATA, END_STREAM, 3, b"ab");
        assert_eq!(out, b"\0\0\x02\0\x01\0\0\0\x03ab");
    }
}
