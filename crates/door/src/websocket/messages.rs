//! Whole messages over WebSocket, for protocols that have such: text in, text out.

use std::io::{self, ErrorKind};

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use super::frame::{self, Head, Kind};

/// Answers to pings that may wait to be written, in bytes; a client that sends more and reads none is cut off.
const PONGS_BYTES_MAX: usize = 4096;

/// Why it ends (section 7.4.1).
const GONE: u16 = 1001;
const PROTOCOL_ERROR: u16 = 1002;
const NOT_TEXT: u16 = 1007;
const TOO_LARGE: u16 = 1009;

/// A connection whose handshake is over.
#[derive(Debug)]
pub struct Messages<S> {
    stream: S,
    bytes_max: usize,
    input: BytesMut,
    /// What is to be written.
    output: BytesMut,
    /// The message whose pieces come.
    message: Vec<u8>,
    is_begun: bool,
    is_text: bool,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Messages<S> {
    /// Messages of no more than so many bytes.
    pub fn new(stream: S, bytes_max: usize) -> Self {
        Self {
            stream,
            bytes_max,
            input: BytesMut::new(),
            output: BytesMut::new(),
            message: Vec::new(),
            is_begun: false,
            is_text: false,
        }
    }

    /// The next message; none when the client closes. May be given up and asked again.
    ///
    /// # Errors
    /// The socket fails, or what comes is not WebSocket, or too large, or text that is not UTF-8; then the client was told.
    pub async fn next(&mut self) -> io::Result<Option<Vec<u8>>> {
        loop {
            self.flush().await?;
            while let Some((head, size)) = self.head().await? {
                let Some(length) = usize::try_from(head.length).ok() else {
                    return Err(self.fail(TOO_LARGE, "a message that is too large").await);
                };
                let held = if head.kind.is_control() { 0 } else { self.message.len() };
                if held.saturating_add(length) > self.bytes_max.max(frame::CONTROL_BYTES_MAX) {
                    return Err(self.fail(TOO_LARGE, "a message that is too large").await);
                }
                if self.input.len() < size + length {
                    break;
                }
                self.input.advance(size);
                let mut payload = self.input.split_to(length);
                frame::unmask(&mut payload, head.mask, 0);
                match self.take(head, &payload) {
                    Ok(Taken::Message(message)) => return Ok(Some(message)),
                    Ok(Taken::More) => {}
                    Ok(Taken::End) => {
                        self.flush().await?;
                        return Ok(None);
                    }
                    Err((code, why)) => return Err(self.fail(code, why).await),
                }
            }
            if self.stream.read_buf(&mut self.input).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Queues a message; it goes out with the next [`Self::flush`] or [`Self::next`].
    pub fn queue(&mut self, text: &str) {
        self.put(Kind::Text, text.as_bytes());
    }

    /// Writes what is queued.
    ///
    /// # Errors
    /// The socket fails.
    pub async fn flush(&mut self) -> io::Result<()> {
        while self.output.has_remaining() {
            // Given up in the middle, it goes on where it was.
            if self.stream.write_buf(&mut self.output).await? == 0 {
                return Err(ErrorKind::WriteZero.into());
            }
        }
        self.stream.flush().await
    }

    /// Says goodbye, because the broker stops.
    ///
    /// # Errors
    /// The socket fails.
    pub async fn close(&mut self) -> io::Result<()> {
        self.put(Kind::Close, &GONE.to_be_bytes());
        self.flush().await
    }

    async fn head(&mut self) -> io::Result<Option<(Head, usize)>> {
        match Head::parse(&self.input) {
            Ok(head) => Ok(head),
            Err(why) => Err(self.fail(PROTOCOL_ERROR, why).await),
        }
    }

    fn take(&mut self, head: Head, payload: &[u8]) -> Result<Taken, (u16, &'static str)> {
        let wrong = |why| Err((PROTOCOL_ERROR, why));
        match head.kind {
            Kind::Ping if self.output.len() > PONGS_BYTES_MAX => wrong("pings without end"),
            Kind::Ping => {
                self.put(Kind::Pong, payload);
                Ok(Taken::More)
            }
            Kind::Pong => Ok(Taken::More),
            Kind::Close => {
                // Its code is said back (section 5.5.1).
                self.put(Kind::Close, payload.get(..2).unwrap_or_default());
                Ok(Taken::End)
            }
            Kind::Text | Kind::Binary if self.is_begun => wrong("a message within another"),
            Kind::Continuation if !self.is_begun => wrong("the rest of no message"),
            Kind::Text | Kind::Binary | Kind::Continuation => {
                if !self.is_begun {
                    self.is_text = head.kind == Kind::Text;
                }
                self.message.extend_from_slice(payload);
                self.is_begun = !head.is_last;
                if !head.is_last {
                    return Ok(Taken::More);
                }
                let message = std::mem::take(&mut self.message);
                // Section 8.1. Whole, since a character may be in two pieces.
                if self.is_text && std::str::from_utf8(&message).is_err() {
                    return Err((NOT_TEXT, "text that is not UTF-8"));
                }
                Ok(Taken::Message(message))
            }
        }
    }

    fn put(&mut self, kind: Kind, payload: &[u8]) {
        let mut out = Vec::with_capacity(payload.len() + frame::HEAD_BYTES_MAX);
        frame::encode(kind, payload, &mut out);
        self.output.extend_from_slice(&out);
    }

    /// Tells the client why, and says it.
    async fn fail(&mut self, code: u16, why: &'static str) -> io::Error {
        let said = [&code.to_be_bytes(), why.as_bytes()].concat();
        self.put(Kind::Close, &said);
        // Who sends what is not WebSocket may not read, either.
        let _told = self.flush().await;
        io::Error::new(ErrorKind::InvalidData, why)
    }
}

/// What a frame brought.
enum Taken {
    Message(Vec<u8>),
    More,
    End,
}

#[cfg(test)]
mod tests {
    use tokio::io::duplex;

    use super::*;

    /// A frame as a client sends it.
    fn masked(opcode: u8, is_last: bool, payload: &[u8]) -> Vec<u8> {
        let mask = [7, 1, 200, 33];
        let mut frame = vec![if is_last { 0x80 | opcode } else { opcode }];
        match payload.len() {
            length @ 0..=125 => frame.push(0x80 | u8::try_from(length).unwrap()),
            length => {
                frame.push(0x80 | 126);
                frame.extend_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
            }
        }
        frame.extend_from_slice(&mask);
        frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    #[tokio::test]
    async fn messages_come_whole_whatever_pieces_they_are_sent_in() {
        let (mut client, server) = duplex(1 << 16);
        let mut messages = Messages::new(server, 1000);
        let sent = [
            masked(1, true, b"one"),
            masked(1, false, b"tw\xc3"),
            masked(9, true, b"ping"),
            masked(0, true, b"\xb6"),
            masked(2, true, &[0xff; 300]),
            masked(8, true, &[3, 232]),
        ];
        for byte in sent.concat() {
            client.write_all(&[byte]).await.unwrap();
        }
        assert_eq!(messages.next().await.unwrap().unwrap(), b"one");
        assert_eq!(messages.next().await.unwrap().unwrap(), "twö".as_bytes());
        assert_eq!(messages.next().await.unwrap().unwrap().len(), 300);
        messages.queue("answer");
        assert!(messages.next().await.unwrap().is_none());
        drop(messages);
        let mut read = Vec::new();
        client.read_to_end(&mut read).await.unwrap();
        let expected = [&b"\x8a\x04ping"[..], b"\x81\x06answer", b"\x88\x02\x03\xe8"].concat();
        assert_eq!(read, expected);
    }

    #[tokio::test]
    async fn what_is_no_message_ends_the_connection_and_the_client_is_told() {
        for (sent, code) in [
            (masked(0, true, b"rest"), PROTOCOL_ERROR),
            ([masked(1, false, b"a"), masked(1, true, b"b")].concat(), PROTOCOL_ERROR),
            (vec![0x81, 0x01, b'a'], PROTOCOL_ERROR),
            (masked(1, true, b"\xff\xfe"), NOT_TEXT),
            ([masked(1, false, b"\xc3"), masked(0, true, b"a")].concat(), NOT_TEXT),
            (masked(1, true, &[b'a'; 1001]), TOO_LARGE),
            ([masked(1, false, &[b'a'; 600]), masked(0, true, &[b'a'; 600])].concat(), TOO_LARGE),
            (vec![0x81, 0xff, 255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0], TOO_LARGE),
        ] {
            let (mut client, server) = duplex(1 << 16);
            let mut messages = Messages::new(server, 1000);
            client.write_all(&sent).await.unwrap();
            assert!(messages.next().await.is_err(), "{sent:?}");
            drop(messages);
            let mut read = Vec::new();
            client.read_to_end(&mut read).await.unwrap();
            assert_eq!((read[0], &read[2..4]), (0x88, &code.to_be_bytes()[..]), "{sent:?}");
        }
    }

    #[tokio::test]
    async fn who_asks_again_after_giving_up_loses_nothing() {
        let (mut client, server) = duplex(1 << 16);
        let mut messages = Messages::new(server, 1000);
        let sent = masked(1, true, b"whole");
        let (first, rest) = sent.split_at(4);
        client.write_all(first).await.unwrap();
        tokio::select! {
            biased;
            next = messages.next() => panic!("{next:?}"),
            () = tokio::task::yield_now() => {}
        }
        client.write_all(rest).await.unwrap();
        assert_eq!(messages.next().await.unwrap().unwrap(), b"whole");
    }
}
