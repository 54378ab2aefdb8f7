//! Bodies in pieces, over UDP.

use broker::observe::families;
use coap_lite::{CoapOption, Packet, RequestType};

use crate::support::{Client, Fixture, code, option, packet, with};

/// A block option's value: number, more, and 16 << size bytes.
fn block(number: u32, more: bool, size: u32) -> Vec<u8> {
    let value = number << 4 | u32::from(more) << 3 | size;
    value.to_be_bytes()[1..].to_vec()
}

fn number(packet: &Packet, kind: CoapOption) -> (u32, bool) {
    let value = option(packet, kind).expect("a block");
    let value = value.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte));
    (value >> 4, value & 8 != 0)
}

async fn put(client: &mut Client, path: &str, body: &[u8]) -> Packet {
    let pieces: Vec<_> = body.chunks(512).collect();
    let mut answer = Packet::new();
    for (at, piece) in pieces.iter().enumerate() {
        let value = block(u32::try_from(at).unwrap(), at + 1 < pieces.len(), 5);
        let mut put = with(packet(RequestType::Put, path), CoapOption::Block1, &value);
        put.payload = piece.to_vec();
        answer = client.ask(put).await;
        if at + 1 < pieces.len() {
            assert_eq!(code(&answer), "2.31");
        }
    }
    answer
}

async fn rest(client: &mut Client, path: &str, first: Packet) -> Vec<u8> {
    let (mut body, mut last) = (first.payload.clone(), first);
    while number(&last, CoapOption::Block2).1 {
        let value = block(number(&last, CoapOption::Block2).0 + 1, false, 6);
        let next = with(packet(RequestType::Get, path), CoapOption::Block2, &value);
        last = client.ask(next).await;
        body.extend_from_slice(&last.payload);
    }
    body
}

#[tokio::test]
async fn a_large_value_goes_both_ways_and_is_observed() {
    let fixture = Fixture::start().await;
    let (mut client, mut observer) = (fixture.client().await, fixture.client().await);
    let body: Vec<u8> = (0..5000_u32).map(|n| n.to_le_bytes()[0]).collect();
    assert_eq!(code(&put(&mut client, "large", &body[..3000]).await), "2.01");
    let (first, _) = observer.observe("large").await;
    assert_eq!(first.payload.len(), 1024);
    assert!(rest(&mut observer, "large", first).await == body[..3000]);
    assert_eq!(code(&put(&mut client, "large", &body).await), "2.04");
    let told = observer.receive().await;
    assert!(rest(&mut observer, "large", told).await == body);
    // However many pieces, each is one message.
    let registry = &fixture.broker.observe().registry;
    let received = registry.counter(&families::RECEIVED_MESSAGES, ["coap"]).get();
    let delivered = registry.counter(&families::DELIVERED_MESSAGES, ["coap"]).get();
    assert_eq!((received, delivered), (2, 2));
}

#[tokio::test]
async fn nothing_of_a_body_is_there_before_all_of_it_is() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let piece = |number, more| {
        let value = block(number, more, 0);
        let mut put = with(packet(RequestType::Put, "body"), CoapOption::Block1, &value);
        put.payload = vec![7; 16];
        put
    };
    assert_eq!(code(&client.ask(piece(0, true)).await), "2.31");
    assert_eq!(code(&client.get("body").await), "4.04");
    assert_eq!(code(&client.ask(piece(2, true)).await), "4.08");
    assert_eq!(code(&client.ask(piece(1, false)).await), "4.08", "it has to begin anew");
    let too_large = with(piece(0, true), CoapOption::Size1, &[0x7f, 0, 0, 0]);
    let answer = client.ask(too_large).await;
    assert_eq!(code(&answer), "4.13");
    assert!(option(&answer, CoapOption::Size1).is_some(), "it is told how much would do");
}
