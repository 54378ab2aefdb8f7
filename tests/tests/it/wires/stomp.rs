//! A STOMP client of 1.2.

use std::collections::VecDeque;
use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;

use super::connect;

/// A connected client.
pub(crate) struct Stomp {
    stream: TcpStream,
    input: Vec<u8>,
    /// Messages that came while something else was awaited.
    seen: VecDeque<Frame>,
    receipts: usize,
}

/// A frame as it came, its headers unescaped.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Frame {
    pub(crate) command: String,
    pub(crate) headers: Vec<(String, Vec<u8>)>,
    pub(crate) body: Vec<u8>,
}

impl Frame {
    /// The first header of this name, as text; empty where there is none.
    pub(crate) fn get(&self, name: &str) -> String {
        let found = self.headers.iter().find(|(own, _)| own == name);
        found.map(|(_, value)| String::from_utf8_lossy(value).into_owned()).unwrap_or_default()
    }
}

impl Stomp {
    /// Connects, and is in.
    pub(crate) fn connect(port: u16) -> Result<Self> {
        let stream = connect(&format!("127.0.0.1:{port}"));
        let mut client = Self { stream, input: Vec::new(), seen: VecDeque::new(), receipts: 0 };
        client.write(b"CONNECT\naccept-version:1.2\nhost:/\n\n\0")?;
        assert_eq!(client.next()?.command, "CONNECTED");
        Ok(client)
    }

    /// Sends bytes as they are.
    pub(crate) fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends a frame.
    pub(crate) fn say(
        &mut self,
        command: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
    ) -> Result<()> {
        let mut frame = format!("{command}\n").into_bytes();
        for (name, value) in headers {
            escape(name.as_bytes(), &mut frame);
            frame.push(b':');
            escape(value, &mut frame);
            frame.push(b'\n');
        }
        if command == "SEND" {
            frame.extend(format!("content-length:{}\n", body.len()).into_bytes());
        }
        frame.push(b'\n');
        frame.extend(body);
        frame.push(0);
        self.write(&frame)
    }

    /// Sends a frame; it is done with when this returns.
    pub(crate) fn do_this(
        &mut self,
        command: &str,
        headers: &[(&str, &[u8])],
        body: &[u8],
    ) -> Result<()> {
        self.receipts += 1;
        let receipt = self.receipts.to_string();
        let all = [headers, &[("receipt", receipt.as_bytes())]].concat();
        self.say(command, &all, body)?;
        loop {
            let frame = self.next()?;
            match frame.command.as_str() {
                "MESSAGE" => self.seen.push_back(frame),
                "RECEIPT" if frame.get("receipt-id") == receipt => return Ok(()),
                _ => panic!("a receipt was due, and this came: {frame:?}"),
            }
        }
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Result<Frame> {
        let frame = self.seen.pop_front().map_or_else(|| self.next(), Ok)?;
        assert_eq!(frame.command, "MESSAGE", "{frame:?}");
        Ok(frame)
    }

    /// The next frame.
    pub(crate) fn next(&mut self) -> Result<Frame> {
        loop {
            let beats = self.input.iter().take_while(|byte| **byte == b'\n').count();
            self.input.drain(..beats);
            if let Some((frame, size)) = parse(&self.input) {
                self.input.drain(..size);
                return Ok(frame);
            }
            let mut buffer = [0; 65_536];
            match self.stream.read(&mut buffer)? {
                0 => return Err(Error::from(ErrorKind::UnexpectedEof)),
                count => self.input.extend_from_slice(&buffer[..count]),
            }
        }
    }
}

/// The frame at the beginning, and its length, if it is all there.
fn parse(input: &[u8]) -> Option<(Frame, usize)> {
    let end = input.windows(2).position(|two| two == b"\n\n")?;
    let mut lines = input[..end].split(|byte| *byte == b'\n');
    let command = String::from_utf8(lines.next()?.to_vec()).unwrap();
    let headers: Vec<_> = lines
        .map(|line| {
            let colon = line.iter().position(|byte| *byte == b':').unwrap();
            let name = String::from_utf8(unescape(&line[..colon])).unwrap();
            (name, unescape(&line[colon + 1..]))
        })
        .collect();
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let begin = end + 2;
    let size = match length {
        Some((_, digits)) => String::from_utf8_lossy(digits).parse().unwrap(),
        None => input[begin..].iter().position(|byte| *byte == 0)?,
    };
    let body = input.get(begin..begin + size)?.to_vec();
    (input.get(begin + size) == Some(&0))
        .then(|| (Frame { command, headers, body }, begin + size + 1))
}

fn escape(text: &[u8], out: &mut Vec<u8>) {
    for byte in text {
        match byte {
            b'\n' => out.extend(b"\\n"),
            b'\r' => out.extend(b"\\r"),
            b':' => out.extend(b"\\c"),
            b'\\' => out.extend(b"\\\\"),
            byte => out.push(*byte),
        }
    }
}

fn unescape(text: &[u8]) -> Vec<u8> {
    let (mut out, mut bytes) = (Vec::new(), text.iter());
    while let Some(byte) = bytes.next() {
        out.push(match (byte, *byte == b'\\') {
            (_, true) => match bytes.next() {
                Some(b'n') => b'\n',
                Some(b'r') => b'\r',
                Some(b'c') => b':',
                Some(b'\\') => b'\\',
                other => panic!("no escape: {other:?}"),
            },
            (byte, false) => *byte,
        });
    }
    out
}
