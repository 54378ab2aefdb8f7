//! Clients of our own on bare sockets: fast, and what they send and see is known byte by byte.

pub(crate) mod amqp;
pub(crate) mod coap;
pub(crate) mod grpc;
pub(crate) mod mqtt;
pub(crate) mod nats;
pub(crate) mod stomp;

use std::net::TcpStream;

use tests::PATIENCE;

fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    stream.set_write_timeout(Some(PATIENCE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}
