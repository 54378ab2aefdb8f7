//! A gRPC client as web pages have it (gRPC-Web, over HTTP/1.1): on a bare socket, but for the messages themselves.

use std::io::{Error, ErrorKind, Read, Result, Write};
use std::net::TcpStream;

use door_grpc::pb;
use prost::Message;

use super::connect;

/// A frame with this bit holds trailers, not a message.
const TRAILERS: u8 = 0x80;

/// A connected client.
pub(crate) struct Grpc {
    stream: TcpStream,
    /// Read, and not looked at yet.
    input: Vec<u8>,
    /// What is left of the chunk that is being read; `None`: the answer is over.
    chunk: Option<usize>,
    /// Of the body.
    body: Vec<u8>,
}

/// How a call ended that did not go well: the status, and its text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused {
    pub(crate) code: u32,
    pub(crate) text: String,
}

impl Grpc {
    pub(crate) fn connect(port: u16) -> Self {
        Self::over(connect(&format!("127.0.0.1:{port}")))
    }

    /// On a connection that is there.
    pub(crate) fn over(stream: TcpStream) -> Self {
        Self { stream, input: Vec::new(), chunk: None, body: Vec::new() }
    }

    /// A call with one answer.
    pub(crate) fn call<A: Message + Default>(
        &mut self,
        method: &str,
        request: &impl Message,
    ) -> Result<std::result::Result<A, Refused>> {
        self.begin(method, request)?;
        let mut answer = None;
        loop {
            match self.next()? {
                Frame::Message(bytes) => answer = Some(A::decode(&bytes[..]).expect("a message")),
                Frame::End(refused) => {
                    return Ok(refused.map_or_else(|| Ok(answer.expect("an answer")), Err));
                }
            }
        }
    }

    /// Publishes a message; it is stored, or delivered, when this returns.
    pub(crate) fn publish(
        &mut self,
        message: pb::Message,
    ) -> Result<std::result::Result<pb::PublishResponse, Refused>> {
        let request = pb::PublishRequest { message: Some(message), mandatory: false };
        self.call("Publisher/Publish", &request)
    }

    /// Begins to listen; what is published when this returned comes.
    pub(crate) fn listen(&mut self, from: pb::listen_request::From) -> Result<()> {
        self.begin("Subscriber/Listen", &pb::ListenRequest { from: Some(from) })?;
        match self.told()? {
            pb::subscribe_response::Response::Opened(_) => Ok(()),
            other => panic!("{other:?}"),
        }
    }

    /// The next that a listener is told: messages, mostly.
    pub(crate) fn told(&mut self) -> Result<pb::subscribe_response::Response> {
        match self.next()? {
            Frame::Message(bytes) => {
                let response = pb::SubscribeResponse::decode(&bytes[..]).expect("a message");
                Ok(response.response.expect("it says something"))
            }
            Frame::End(refused) => Err(Error::other(format!("the end: {refused:?}"))),
        }
    }

    fn begin(&mut self, method: &str, request: &impl Message) -> Result<()> {
        let message = request.encode_to_vec();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let head = format!(
            "POST /entrepot.v1.{method} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/grpc-web+proto\r\n\
             x-grpc-web: 1\r\ncontent-length: {}\r\n\r\n",
            message.len() + 5
        );
        let all = [head.as_bytes(), &[0], &length, &message].concat();
        self.stream.write_all(&all)?;
        let head = loop {
            if let Some(at) = self.input.windows(4).position(|four| four == b"\r\n\r\n") {
                break self.take(at + 4);
            }
            self.more()?;
        };
        let head = String::from_utf8_lossy(&head).to_ascii_lowercase();
        assert!(head.starts_with("http/1.1 200"), "{head}");
        assert!(head.contains("transfer-encoding: chunked"), "{head}");
        (self.chunk, self.body) = (Some(0), Vec::new());
        Ok(())
    }

    fn take(&mut self, count: usize) -> Vec<u8> {
        self.input.drain(..count).collect()
    }

    fn more(&mut self) -> Result<()> {
        let mut buffer = [0; 64 * 1024];
        match self.stream.read(&mut buffer)? {
            0 => Err(ErrorKind::UnexpectedEof.into()),
            count => {
                self.input.extend_from_slice(&buffer[..count]);
                Ok(())
            }
        }
    }

    /// The next frame of an answer.
    fn next(&mut self) -> Result<Frame> {
        loop {
            if let Some((flags, bytes)) = self.frame() {
                if flags & TRAILERS == 0 {
                    return Ok(Frame::Message(bytes));
                }
                while self.chunk.is_some() {
                    self.chunk()?;
                }
                return Ok(Frame::End(status(&String::from_utf8_lossy(&bytes))));
            }
            if self.chunk.is_none() {
                return Err(Error::other("the answer ends without trailers"));
            }
            self.chunk()?;
        }
    }

    fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        let (prefix, rest) = self.body.split_first_chunk::<5>()?;
        let (flags, length) =
            (prefix[0], u32::from_be_bytes([prefix[1], prefix[2], prefix[3], prefix[4]]));
        let bytes = rest.get(..usize::try_from(length).unwrap())?.to_vec();
        self.body.drain(..5 + bytes.len());
        Some((flags, bytes))
    }

    /// Reads on in the body (RFC 9112, section 7.1).
    fn chunk(&mut self) -> Result<()> {
        match self.chunk {
            Some(0) => {
                let Some(end) = self.input.windows(2).position(|two| two == b"\r\n") else {
                    return self.more();
                };
                let line = self.take(end + 2);
                let text = String::from_utf8_lossy(&line[..end]).into_owned();
                if text.is_empty() {
                    // Behind the chunk before.
                    return Ok(());
                }
                let size = usize::from_str_radix(&text, 16).expect("the size of a chunk");
                self.chunk = Some(size);
                if size == 0 {
                    while self.input.len() < 2 {
                        self.more()?;
                    }
                    self.take(2);
                    self.chunk = None;
                }
            }
            Some(left) if self.input.is_empty() => {
                self.more()?;
                self.chunk = Some(left);
            }
            Some(left) => {
                let taken = self.take(left.min(self.input.len()));
                self.chunk = Some(left - taken.len());
                self.body.extend(taken);
            }
            None => {}
        }
        Ok(())
    }
}

enum Frame {
    Message(Vec<u8>),
    /// How the call ended: well, if nothing is said.
    End(Option<Refused>),
}

fn status(trailers: &str) -> Option<Refused> {
    let field = |name: &str| {
        let mut lines = trailers.lines().filter_map(|line| line.split_once(':'));
        lines
            .find(|(own, _)| own.eq_ignore_ascii_case(name))
            .map(|(_, value)| value.trim().to_owned())
    };
    let code = field("grpc-status").expect("a status").parse().expect("a number");
    let text = field("grpc-message").unwrap_or_default();
    (code != 0).then_some(Refused { code, text })
}
