//! What is put is there, and what is wrong is refused.

use std::time::{Duration, Instant};

use broker::observe::families;
use coap_lite::{CoapOption, MessageType, Packet, RequestType};
use door::DatagramOptions;
use door_coap::{CoapDoorOptions, CoapUdp};

use crate::support::{Client, Fixture, HANG, JSON, code, option, packet, with};

#[tokio::test]
async fn what_is_put_is_there_until_it_is_deleted() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    assert_eq!(code(&client.get("sensors/room1").await), "4.04");
    assert_eq!(code(&client.put("sensors/room1", b"21.5").await), "2.01");
    assert_eq!(code(&client.put("sensors/room1", b"22.5").await), "2.04");
    let answer = client.get("sensors/room1").await;
    assert_eq!((code(&answer).as_str(), &answer.payload[..]), ("2.05", &b"22.5"[..]));
    assert_eq!(option(&answer, CoapOption::ContentFormat), None);
    let etag = option(&answer, CoapOption::ETag).expect("an entity tag");
    let again = with(packet(RequestType::Get, "sensors/room1"), CoapOption::ETag, &etag);
    let answer = client.ask(again).await;
    assert_eq!((code(&answer).as_str(), answer.payload.len()), ("2.03", 0));
    let delete = packet(RequestType::Delete, "sensors/room1");
    assert_eq!(code(&client.ask(delete.clone()).await), "2.02");
    assert_eq!(code(&client.ask(delete).await), "2.02");
    assert_eq!(code(&client.get("sensors/room1").await), "4.04");
}

#[tokio::test]
async fn messages_that_come_and_go_are_counted_once() {
    let fixture = Fixture::start().await;
    let registry = &fixture.broker.observe().registry;
    let counted = || {
        let received = registry.counter(&families::RECEIVED_MESSAGES, ["coap"]).get();
        (received, registry.counter(&families::DELIVERED_MESSAGES, ["coap"]).get())
    };
    let mut client = fixture.client().await;
    client.put("small", b"1").await;
    assert_eq!(counted(), (1, 0));
    let answer = client.get("small").await;
    assert_eq!(counted(), (1, 1), "at hand");
    let etag = option(&answer, CoapOption::ETag).expect("an entity tag");
    client.ask(with(packet(RequestType::Get, "small"), CoapOption::ETag, &etag)).await;
    client.get("nothing").await;
    assert_eq!(counted(), (1, 1), "nothing was handed over");
}

#[tokio::test]
async fn formats_and_conditions_are_kept_to() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let mut put = with(packet(RequestType::Put, "a/b"), CoapOption::ContentFormat, JSON);
    put.payload = b"{\"a\":1}".to_vec();
    let only_new = with(put.clone(), CoapOption::IfNoneMatch, b"");
    assert_eq!(code(&client.ask(only_new.clone()).await), "2.01");
    assert_eq!(code(&client.ask(only_new).await), "4.12");
    let accept = |format: &[u8]| with(packet(RequestType::Get, "a/b"), CoapOption::Accept, format);
    let answer = client.ask(accept(JSON)).await;
    assert_eq!(option(&answer, CoapOption::ContentFormat).as_deref(), Some(JSON));
    assert_eq!(code(&client.ask(accept(&[60])).await), "4.06");
    let etag = option(&answer, CoapOption::ETag).expect("an entity tag");
    assert_eq!(code(&client.ask(with(put.clone(), CoapOption::IfMatch, b"other")).await), "4.12");
    assert_eq!(code(&client.ask(with(put.clone(), CoapOption::IfMatch, &etag)).await), "2.04");
    let mut patch = with(packet(RequestType::IPatch, "a/b"), CoapOption::ContentFormat, &[52]);
    patch.payload = b"{\"b\":2}".to_vec();
    assert_eq!(code(&client.ask(patch).await), "2.04");
    let answer = client.get("a/b").await;
    assert_eq!(answer.payload, b"{\"a\":1,\"b\":2}");
    let mut patch = with(packet(RequestType::Patch, "a/b"), CoapOption::ContentFormat, &[51]);
    patch.payload =
        br#"[{"op":"replace","path":"/a","value":7},{"op":"remove","path":"/z"}]"#.to_vec();
    assert_eq!(code(&client.ask(patch).await), "4.09");
    assert_eq!(client.get("a/b").await.payload, b"{\"a\":1,\"b\":2}", "all of it, or nothing");
}

#[tokio::test]
async fn what_is_wrong_is_refused() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let get = || packet(RequestType::Get, "a");
    for (request, wanted) in [
        (with(get(), CoapOption::Unknown(9), b""), "4.02"),
        (with(get(), CoapOption::ProxyUri, b"coap://elsewhere/"), "5.05"),
        (packet(RequestType::Fetch, "a"), "4.05"),
        (packet(RequestType::Get, ""), "4.04"),
        (packet(RequestType::Put, "$SYS/a"), "4.00"),
        (packet(RequestType::Put, ".well-known/core"), "4.05"),
    ] {
        assert_eq!(code(&client.ask(request).await), wanted);
    }
    // What is not confirmable is rejected in silence.
    let mut unknown = with(get(), CoapOption::Unknown(9), b"");
    unknown.header.set_type(MessageType::NonConfirmable);
    client.send(unknown).await;
    let mut other = get();
    other.header.set_type(MessageType::NonConfirmable);
    let answer = client.ask(other).await;
    assert_eq!(answer.header.get_type(), MessageType::NonConfirmable);
    // A ping is answered with a reset.
    client.socket.send(b"\x40\x00\x12\x34").await.unwrap();
    let answer = client.raw().await;
    assert_eq!((answer.header.get_type(), answer.header.message_id), (MessageType::Reset, 0x1234));
}

#[tokio::test]
async fn a_message_that_comes_again_gets_the_same_answer_and_does_nothing() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let mut put = packet(RequestType::Put, "once");
    put.header.message_id = 77;
    put.payload = b"x".to_vec();
    let bytes = put.to_bytes().unwrap();
    client.socket.send(&bytes).await.unwrap();
    let first = client.receive().await;
    assert_eq!(code(&first), "2.01");
    client.socket.send(&bytes).await.unwrap();
    let again: Packet = client.receive().await;
    assert_eq!((code(&again).as_str(), again.header.message_id), ("2.01", 77));
}

#[tokio::test]
async fn a_get_that_comes_again_gets_what_is_there_then() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.put("reading", b"1").await;
    // The first time it is read from the log, then from memory.
    assert_eq!(client.get("reading").await.payload, b"1");
    let mut get = packet(RequestType::Get, "reading");
    get.header.message_id = 40_000;
    let get = get.to_bytes().unwrap();
    client.socket.send(&get).await.unwrap();
    assert_eq!(client.receive().await.payload, b"1");
    client.put("reading", b"2").await;
    assert_eq!(client.get("reading").await.payload, b"2");
    client.socket.send(&get).await.unwrap();
    let again: Packet = client.receive().await;
    assert_eq!((&again.payload[..], again.header.message_id), (&b"2"[..], 40_000));
    assert_eq!(again.header.get_type(), MessageType::Acknowledgement);
}

#[tokio::test]
async fn a_door_that_is_dropped_lets_its_port_go_and_one_that_stops_answers_what_it_began() {
    let Fixture { udp, door, broker, dir, listener } = Fixture::start().await;
    let options = DatagramOptions::new(udp.local_address());
    let mut client = Client::to(udp.local_address()).await;
    client.put("a", b"1").await;
    drop(udp);
    let begun = Instant::now();
    let again = loop {
        match CoapUdp::bind(&options) {
            Ok(again) => break again.run(&door),
            Err(error) => assert!(begun.elapsed() < HANG, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(1)).await; // poll: the threads see it, bounded by HANG
    };
    assert_eq!(client.get("a").await.payload, b"1");
    let begun = Instant::now();
    again.stop(HANG).await;
    assert!(begun.elapsed() < HANG, "nothing was begun that does not end");
    drop((broker, dir, listener));
}

#[tokio::test]
async fn no_answer_is_sent_that_is_not_wanted() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let mut put = with(packet(RequestType::Put, "quiet"), CoapOption::NoResponse, &[2]);
    put.payload = b"x".to_vec();
    client.send(put.clone()).await;
    let answer = client.raw().await;
    assert_eq!(answer.header.get_code(), "0.00", "an acknowledgement, and nothing else");
    put.header.set_type(MessageType::NonConfirmable);
    client.send(put).await;
    assert_eq!(client.get("quiet").await.payload, b"x");
}

#[tokio::test]
async fn who_publishes_too_fast_is_told_when_to_go_on() {
    let rate = std::num::NonZeroU32::new(2);
    let fixture = Fixture::with(CoapDoorOptions { publish_rate: rate, ..Default::default() }).await;
    let mut client = fixture.client().await;
    let mut refused = None;
    for _ in 0..10 {
        let answer = client.put("fast", b"x").await;
        if code(&answer) == "4.29" {
            refused = Some(answer);
            break;
        }
    }
    let refused = refused.expect("ten at once are too many");
    assert_eq!(option(&refused, CoapOption::MaxAge), Some(vec![1]));
    assert_eq!(code(&client.get("fast").await), "2.05", "reading is another thing");
}

#[tokio::test]
async fn who_may_be_elsewhere_shows_where_it_is_or_gets_little() {
    let echo = CoapDoorOptions { echo: true, ..Default::default() };
    let fixture = Fixture::with(echo).await;
    let (mut client, mut other) = (fixture.client().await, fixture.client().await);
    client.put("a", &[7; 500]).await;
    let refused = client.get("a").await;
    assert_eq!(code(&refused), "4.01");
    let value = option(&refused, CoapOption::Unknown(252)).expect("a value to return");
    let again = |value: &[u8]| with(packet(RequestType::Get, "a"), CoapOption::Unknown(252), value);
    assert_eq!(code(&other.ask(again(&value)).await), "4.01", "it is another's");
    assert_eq!(client.ask(again(&value)).await.payload.len(), 500);
    assert_eq!(client.get("a").await.payload.len(), 500, "that is known now");
    let observe = with(packet(RequestType::Get, "a"), CoapOption::Observe, &[]);
    assert_eq!(code(&other.ask(observe).await), "4.01");
    // Without that option a ping is sent, and if there is no answer to that in time, the option all the same.
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.put("a", &[7; 500]).await;
    client.send(packet(RequestType::Get, "a")).await;
    let ping = client.raw().await;
    assert_eq!((code(&ping).as_str(), ping.header.get_type()), ("0.00", MessageType::Confirmable));
    let refused = client.raw().await;
    assert_eq!(code(&refused), "4.01");
    assert!(option(&refused, CoapOption::Unknown(252)).is_some());
}
