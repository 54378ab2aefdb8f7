//! The few messages that the load needs (RFC 7252 §3), written once and numbered.

/// Bytes of a header and of the tokens here.
const HEADER: usize = 4;
const TOKEN: usize = 4;

const URI_PATH: u8 = 11;
const CONTENT_FORMAT: u8 = 12;

const CONFIRMABLE: u8 = 0;
const ACKNOWLEDGEMENT: u8 = 2;
const RESET: u8 = 3;

/// The longest value of an option whose length takes no byte of its own.
const SHORT: usize = 12;

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Method {
    Get,
    Put,
}

impl Method {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Put => "PUT",
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Get => 1,
            Self::Put => 3,
        }
    }
}

/// A confirmable request, but for its number.
#[derive(Debug, Clone)]
pub(super) struct Template(Vec<u8>);

impl Template {
    /// Of this path, with a payload of so many bytes if it puts one there.
    pub(super) fn new(method: Method, path: &[&str], size: usize) -> Self {
        let mut bytes = vec![0x40 | TOKEN as u8, method.code()];
        bytes.resize(HEADER + TOKEN, 0);
        let mut last = 0;
        for segment in path {
            assert!(segment.len() <= SHORT, "{segment:?} is too long");
            bytes.push((URI_PATH - last) << 4 | segment.len() as u8);
            bytes.extend(segment.bytes());
            last = URI_PATH;
        }
        if method == Method::Put {
            // Text: zero, and so without a value.
            bytes.push((CONTENT_FORMAT - last) << 4);
            bytes.push(0xff);
            bytes.extend((b'a'..=b'z').cycle().take(size));
        }
        Self(bytes)
    }

    /// The request with this number, which is its token, and in its lower half that of the message.
    pub(super) fn numbered(&mut self, number: u32) -> &[u8] {
        let token = number.to_be_bytes();
        self.0[2..HEADER].copy_from_slice(&token[2..]);
        self.0[HEADER..HEADER + TOKEN].copy_from_slice(&token);
        &self.0
    }
}

/// A message that came.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// The answer to the request with this number: the class of its code, and how long its payload is.
    Answer { number: u32, class: u8, payload: usize },
    /// Something that is to be said in return: to a ping, or an answer that does not come with an acknowledgement.
    Confirm { reply: [u8; HEADER], answer: Option<(u32, u8, usize)> },
    /// An acknowledgement with nothing in it.
    Nothing,
}

/// Takes a message apart.
pub(super) fn hear(message: &[u8]) -> Heard {
    let [first, code, id @ ..] = message else { panic!("not a message: {message:?}") };
    let (kind, length) = (first >> 4 & 3, usize::from(first & 0x0f));
    let answer = (*code != 0).then(|| {
        assert_eq!(length, TOKEN, "a token that nobody gave: {message:?}");
        let (token, rest) = message[HEADER..].split_at(TOKEN);
        let number = u32::from_be_bytes(token.try_into().expect("four bytes"));
        (number, code >> 5, payload(rest))
    });
    match (kind, answer) {
        (CONFIRMABLE, answer) => {
            let kind = if answer.is_some() { ACKNOWLEDGEMENT } else { RESET };
            Heard::Confirm { reply: empty(kind, [id[0], id[1]]), answer }
        }
        (_, Some((number, class, payload))) => Heard::Answer { number, class, payload },
        (_, None) => Heard::Nothing,
    }
}

/// How long the payload behind the options is.
fn payload(mut rest: &[u8]) -> usize {
    while let [head, more @ ..] = rest {
        if *head == 0xff {
            return more.len();
        }
        let (_, more) = extended(head >> 4, more);
        let (length, more) = extended(head & 0x0f, more);
        rest = &more[length..];
    }
    0
}

/// Half a byte that may have more behind it.
fn extended(half: u8, more: &[u8]) -> (usize, &[u8]) {
    match half {
        13 => (usize::from(more[0]) + 13, &more[1..]),
        14 => (usize::from(u16::from_be_bytes([more[0], more[1]])) + 269, &more[2..]),
        half => (usize::from(half), more),
    }
}

fn empty(kind: u8, [high, low]: [u8; 2]) -> [u8; HEADER] {
    [0x40 | kind << 4, 0, high, low]
}

/// What every endpoint answers with a reset (RFC 7252 §4.3).
pub(super) fn ping(id: u16) -> [u8; HEADER] {
    empty(CONFIRMABLE, id.to_be_bytes())
}

#[cfg(test)]
mod tests_of_messages {
    use super::*;

    #[test]
    fn requests_are_written_as_the_rfc_has_them() {
        let mut get = Template::new(Method::Get, &["a", "bc"], 9);
        assert_eq!(get.numbered(0x0102_0304), b"\x44\x01\x03\x04\x01\x02\x03\x04\xb1a\x02bc");
        let mut put = Template::new(Method::Put, &["a"], 3);
        assert_eq!(put.numbered(7), b"\x44\x03\0\x07\0\0\0\x07\xb1a\x10\xffabc");
    }

    #[test]
    fn what_comes_is_taken_apart() {
        let answer = b"\x64\x45\0\x07\0\0\0\x07\x48etagetag\x80\xffabc";
        assert_eq!(hear(answer), Heard::Answer { number: 7, class: 2, payload: 3 });
        assert_eq!(hear(b"\x60\0\0\x07"), Heard::Nothing);
        let ping = Heard::Confirm { reply: *b"\x70\0\x01\x02", answer: None };
        assert_eq!(hear(b"\x40\0\x01\x02"), ping);
        let separate = Heard::Confirm { reply: *b"\x60\0\x01\x02", answer: Some((7, 5, 0)) };
        assert_eq!(hear(b"\x44\xa3\x01\x02\0\0\0\x07"), separate);
    }
}
