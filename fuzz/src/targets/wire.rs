//! What peers send.

use bytes::Bytes;
use door_kafka::wire::fuzz;
use queue::consumer_group::Pattern;

/// A request's frame.
pub(super) fn kafka_request(input: &[u8]) {
    let _ = fuzz::request(&Bytes::copy_from_slice(input));
}

/// The message's number, its version, and its bytes.
pub(super) fn kafka_message(input: &[u8]) {
    let Some((&[number, version], message)) = input.split_first_chunk() else { return };
    fuzz::message(number.into(), version.into(), &Bytes::copy_from_slice(message));
}

/// A subscription or assignment.
pub(super) fn kafka_group(input: &[u8]) {
    fuzz::versioned(&Bytes::copy_from_slice(input));
}

/// A pattern, matched against a name.
pub(super) fn pattern(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(pattern) = Pattern::new(text) {
        let _ = pattern.matches("orders.eu-west.1");
        let _ = pattern.matches(text);
    }
}

/// What a client sends.
pub(super) fn nats(input: &[u8]) {
    door_nats::fuzz::stream(input);
}

/// A frame.
pub(super) fn zookeeper(input: &[u8]) {
    door_zookeeper::fuzz::frame(input);
}

/// Frames of a client or a server.
pub(super) fn amqp(input: &[u8]) {
    door_amqp::wire::fuzz::frames(input);
}

/// Frames, as a client of each version would send them.
pub(super) fn stomp(input: &[u8]) {
    door_stomp::fuzz::frames(input);
}

/// Messages in datagrams, streams and WebSockets.
pub(super) fn coap(input: &[u8]) {
    door_coap::wire::fuzz::messages(input);
}

/// What clients say.
pub(super) fn grpc(input: &[u8]) {
    door_grpc::fuzz::call(input);
}

/// Packets, as a client of each version would send them.
pub(super) fn mqtt(input: &[u8]) {
    door_mqtt::wire::fuzz::packets(input);
}
