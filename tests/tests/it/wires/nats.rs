//! A NATS client.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use super::connect;

/// A connected client.
pub(crate) struct Nats {
    stream: BufReader<TcpStream>,
    /// Messages that came while something else was awaited.
    seen: VecDeque<Msg>,
    subscriptions: usize,
}

/// A message as it came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Msg {
    pub(crate) subject: String,
    pub(crate) sid: String,
    pub(crate) reply: Option<String>,
    /// The block as it came, with the empty line that ends it.
    pub(crate) headers: Option<Vec<u8>>,
    pub(crate) payload: Vec<u8>,
}

/// What the broker sends, but `INFO`.
enum Line {
    Message(Msg),
    Pong,
    Ping,
}

impl Nats {
    pub(crate) fn connect(address: &str) -> Self {
        let stream = BufReader::new(connect(address));
        let mut client = Self { stream, seen: VecDeque::new(), subscriptions: 0 };
        client.send(
            b"CONNECT {\"verbose\":false,\"pedantic\":false,\"headers\":true,\
              \"no_responders\":true,\"protocol\":1}\r\n",
        );
        client.flush();
        client
    }

    /// Waits so long for whatever it waits for.
    pub(crate) fn wait_up_to(&mut self, patience: Duration) {
        self.stream.get_ref().set_read_timeout(Some(patience)).unwrap();
    }

    fn send(&mut self, bytes: &[u8]) {
        self.stream.get_mut().write_all(bytes).unwrap();
    }

    /// Subscribes as a member of a group, of whom one gets each message; the broker knows of it when this returns.
    pub(crate) fn subscribe_in_group(&mut self, filter: &str, group: &str) {
        self.subscribe(&format!("{filter} {group}"));
    }

    /// Subscribes; the broker knows of it when this returns.
    pub(crate) fn subscribe(&mut self, filter: &str) {
        self.subscriptions += 1;
        let sid = self.subscriptions.to_string();
        self.send(format!("SUB {filter} {sid}\r\n").as_bytes());
        self.flush();
    }

    /// Publishes; the broker has the message when this returns.
    pub(crate) fn publish(
        &mut self,
        subject: &str,
        reply: Option<&str>,
        headers: Option<&[u8]>,
        payload: &[u8],
    ) {
        let reply = reply.map(|reply| format!(" {reply}")).unwrap_or_default();
        let head = headers.unwrap_or_default();
        let size = head.len() + payload.len();
        let mut bytes = match headers {
            None => format!("PUB {subject}{reply} {size}\r\n"),
            Some(head) => format!("HPUB {subject}{reply} {} {size}\r\n", head.len()),
        }
        .into_bytes();
        bytes.extend([head, payload, b"\r\n"].concat());
        self.send(&bytes);
        self.flush();
    }

    /// Waits until the broker has handled all that was sent.
    fn flush(&mut self) {
        self.send(b"PING\r\n");
        loop {
            match self.line() {
                Line::Pong => return,
                Line::Message(message) => self.seen.push_back(message),
                Line::Ping => self.send(b"PONG\r\n"),
            }
        }
    }

    /// The next message.
    pub(crate) fn message(&mut self) -> Msg {
        if let Some(message) = self.seen.pop_front() {
            return message;
        }
        loop {
            match self.line() {
                Line::Message(message) => return message,
                Line::Ping => self.send(b"PONG\r\n"),
                Line::Pong => {}
            }
        }
    }

    fn line(&mut self) -> Line {
        loop {
            let mut line = String::new();
            let count = self.stream.read_line(&mut line).unwrap();
            assert!(count > 0, "the connection ended");
            let fields: Vec<&str> = line.split_ascii_whitespace().collect();
            match fields[..] {
                ["INFO", ..] => {}
                ["PING"] => return Line::Ping,
                ["PONG"] => return Line::Pong,
                ["MSG", subject, sid, size] => return self.rest(subject, sid, None, None, size),
                ["MSG", subject, sid, reply, size] => {
                    return self.rest(subject, sid, Some(reply), None, size);
                }
                ["HMSG", subject, sid, head, size] => {
                    return self.rest(subject, sid, None, Some(head), size);
                }
                ["HMSG", subject, sid, reply, head, size] => {
                    return self.rest(subject, sid, Some(reply), Some(head), size);
                }
                _ => panic!("the broker said {line:?}"),
            }
        }
    }

    fn rest(
        &mut self,
        subject: &str,
        sid: &str,
        reply: Option<&str>,
        head: Option<&str>,
        size: &str,
    ) -> Line {
        let mut bytes = vec![0; size.parse::<usize>().unwrap() + 2];
        self.stream.read_exact(&mut bytes).unwrap();
        assert!(bytes.ends_with(b"\r\n"));
        bytes.truncate(bytes.len() - 2);
        let head = head.map(|head| head.parse::<usize>().unwrap());
        let payload = bytes.split_off(head.unwrap_or(0));
        Line::Message(Msg {
            subject: subject.to_owned(),
            sid: sid.to_owned(),
            reply: reply.map(str::to_owned),
            headers: head.map(|_| bytes),
            payload,
        })
    }
}

/// A header block.
pub(crate) fn block(fields: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut block = b"NATS/1.0\r\n".to_vec();
    for (name, value) in fields {
        block.extend([name.as_bytes(), b": ", value, b"\r\n"].concat());
    }
    block.extend(b"\r\n");
    block
}

/// The fields of a block, in order.
pub(crate) fn fields(block: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut lines = block.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii);
    assert_eq!(lines.next(), Some(&b"NATS/1.0"[..]));
    let fields = lines.take_while(|line| !line.is_empty()).map(|line| {
        let colon = line.iter().position(|byte| *byte == b':').unwrap();
        let name = String::from_utf8(line[..colon].to_vec()).unwrap();
        (name, line[colon + 1..].trim_ascii().to_vec())
    });
    fields.collect()
}
