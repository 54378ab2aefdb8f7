//! Who observes is told of changes, whoever made them, until it wants to know no more.

use base::Subject;
use broker::Message;
use broker::live::Batch;
use bytes::Bytes;
use coap_lite::{CoapOption, MessageClass, MessageType, Packet, RequestType};

use crate::support::{Client, Fixture, code, option, packet, with};

fn sequence(packet: &Packet) -> u32 {
    let value = option(packet, CoapOption::Observe).expect("it observes");
    value.iter().fold(0, |sum, byte| sum << 8 | u32::from(*byte))
}

/// Observes no more; the answer to it.
async fn cancel(observer: &mut Client, path: &str, token: Vec<u8>, message_id: u16) -> Packet {
    let mut cancel = with(packet(RequestType::Get, path), CoapOption::Observe, &[1]);
    cancel.header.message_id = message_id;
    cancel.set_token(token);
    observer.socket.send(&cancel.to_bytes().unwrap()).await.unwrap();
    observer.receive().await
}

#[tokio::test]
async fn changes_are_told_in_order_until_nobody_wants_to_know() {
    let fixture = Fixture::start().await;
    let (mut observer, mut publisher) = (fixture.client().await, fixture.client().await);
    assert_eq!(code(&observer.get("a/b").await), "4.04");
    // Nobody has put it yet.
    let (none, token) = observer.observe("a/b").await;
    assert_eq!((code(&none).as_str(), none.payload.len()), ("2.05", 0));
    publisher.put("a/b", b"1").await;
    let told = observer.receive().await;
    assert_eq!((told.get_token(), &told.payload[..]), (&token[..], &b"1"[..]));
    assert!(sequence(&told) > sequence(&none));
    cancel(&mut observer, "a/b", token, 998).await;
    let (first, token) = observer.observe("a/b").await;
    assert_eq!(first.payload, b"1");
    let mut last = sequence(&first);
    for value in [b"2", b"3"] {
        publisher.put("a/b", value).await;
        let told = observer.receive().await;
        assert_eq!((told.get_token(), &told.payload[..]), (&token[..], &value[..]));
        assert!(sequence(&told) > last);
        last = sequence(&told);
    }
    // Another door's message, which is not kept.
    let route = fixture.broker.find_route(Subject::from_levels(["a", "b"]));
    let value = Some(Bytes::from_static(b"4"));
    let message = Message { value, ..Message::default() };
    let mut batch = Batch::default();
    let routed = fixture.broker.route(&route, &message, &mut batch).unwrap();
    assert_eq!(routed.receivers, 1);
    drop(batch);
    assert_eq!(observer.receive().await.payload, b"4");
    // Deregistered with the same token.
    let answer = cancel(&mut observer, "a/b", token, 999).await;
    assert_eq!(
        (answer.payload.as_slice(), option(&answer, CoapOption::Observe)),
        (&b"3"[..], None)
    );
    assert_eq!(fixture.broker.find_route(Subject::from_levels(["a", "b"])).receivers(), 0);
}

#[tokio::test]
async fn what_is_deleted_is_told_last_and_a_reset_ends_it() {
    let fixture = Fixture::start().await;
    let (mut observer, mut publisher) = (fixture.client().await, fixture.client().await);
    publisher.put("a", b"1").await;
    publisher.put("b", b"1").await;
    observer.observe("a").await;
    publisher.ask(packet(RequestType::Delete, "a")).await;
    let last = observer.receive().await;
    assert_eq!((code(&last).as_str(), option(&last, CoapOption::Observe)), ("4.04", None));
    assert_eq!(fixture.broker.find_route(Subject::from_levels(["a"])).receivers(), 0);
    observer.observe("b").await;
    publisher.put("b", b"2").await;
    let told = observer.raw().await;
    assert_eq!(told.payload, b"2");
    let mut reset = Packet::new();
    reset.header.set_type(MessageType::Reset);
    reset.header.code = MessageClass::Empty;
    reset.header.message_id = told.header.message_id;
    observer.socket.send(&reset.to_bytes().unwrap()).await.unwrap();
    // Ordered behind it.
    observer.get("b").await;
    assert_eq!(fixture.broker.find_route(Subject::from_levels(["b"])).receivers(), 0);
}

#[tokio::test]
async fn who_does_not_acknowledge_is_told_no_more() {
    let fixture = Fixture::start().await;
    let (mut observer, mut publisher) = (fixture.client().await, fixture.client().await);
    publisher.put("a", b"0").await;
    observer.observe("a").await;
    for value in 0..100_u8 {
        publisher.put("a", &[value]).await;
    }
    let (mut count, mut last) = (0, Packet::new());
    // One of them is confirmable, and behind it nothing comes.
    while last.header.get_type() != MessageType::Confirmable || count == 0 {
        last = observer.raw().await;
        count += 1;
    }
    assert!(count <= 32, "{count} without a word of it");
    let mut ack = Packet::new();
    ack.header.set_type(MessageType::Acknowledgement);
    ack.header.code = MessageClass::Empty;
    ack.header.message_id = last.header.message_id;
    observer.socket.send(&ack.to_bytes().unwrap()).await.unwrap();
    assert_eq!(observer.receive().await.payload, [99], "what is there now, not all that was");
}
