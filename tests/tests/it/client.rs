//! A Kafka client that does nothing by itself, for what no real client can be made to ask.

use std::io::{Read, Write};
use std::net::TcpStream;

use bytes::Bytes;
use door_kafka::wire::{RequestMessage, decode_response, encode_request};
use tests::PATIENCE;

/// A connection that asks one thing after the other; `None` when it is gone.
pub(crate) struct Client {
    stream: TcpStream,
    correlation: i32,
}

impl Client {
    pub(crate) fn connect(address: &str) -> Option<Self> {
        let stream = TcpStream::connect(address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        Some(Self { stream, correlation: 0 })
    }

    pub(crate) fn call<R: RequestMessage>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Option<R::Response> {
        self.correlation += 1;
        let frame = encode_request(request, version, self.correlation, Some("test")).unwrap();
        self.stream.write_all(&frame).ok()?;
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).ok()?;
        let mut frame = vec![0; u32::from_be_bytes(length) as usize];
        self.stream.read_exact(&mut frame).ok()?;
        Some(decode_response::<R>(Bytes::from(frame), version).unwrap().1)
    }
}
