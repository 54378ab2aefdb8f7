//! Topics as in draft-ietf-core-coap-pubsub-20.

use std::sync::Arc;
use std::time::Duration;

use coap_lite::{CoapOption, MessageType, Packet, RequestType};
use door::DatagramOptions;
use door_coap::{CoapDoor, CoapDoorOptions, CoapUdp};
use tempfile::TempDir;

use crate::support::{Client, Fixture, code, option, packet, with};

const FORMAT: &[u8] = &[0x02, 0x5e];

fn request(method: RequestType, path: &str, payload: &[u8]) -> Packet {
    let mut request = with(packet(method, path), CoapOption::ContentFormat, FORMAT);
    request.payload = payload.to_vec();
    request
}

/// Makes a topic; where it is.
async fn create(client: &mut Client, payload: &[u8]) -> String {
    let answer = client.ask(request(RequestType::Post, "ps", payload)).await;
    assert_eq!(code(&answer), "2.01", "{}", answer.payload.escape_ascii());
    assert_eq!(option(&answer, CoapOption::ContentFormat).as_deref(), Some(FORMAT));
    let location = answer.get_option(CoapOption::LocationPath).expect("it is somewhere");
    let segments = location.iter().map(|one| String::from_utf8(one.clone()).unwrap());
    segments.collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn a_topic_lives_as_the_draft_has_it() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let topic = create(&mut client, b"\xa2\x00\x67room/t1\x02\x6ccore.ps.data").await;
    assert!(topic.starts_with("ps/"), "{topic}");
    // There is one of a name.
    let again = client.ask(request(RequestType::Post, "ps", b"\xa1\x00\x67room/t1")).await;
    assert_eq!(code(&again), "4.00");
    let answer = client.get(&topic).await;
    assert_eq!(answer.payload, b"\xa3\x00\x67room/t1\x01\x68/room/t1\x02\x6ccore.ps.data");
    let list = client.get("ps").await;
    assert_eq!(list.payload, format!("</{topic}>;rt=\"core.ps.conf\"").as_bytes());
    let data = with(packet(RequestType::Get, "ps"), CoapOption::UriQuery, b"rt=core.ps.data");
    let data = client.ask(data).await;
    assert_eq!(data.payload, b"</room/t1>;rt=\"core.ps.data\";obs");
    // Half created, then fully, then half again.
    let (none, _) = client.observe("room/t1").await;
    assert_eq!(code(&none), "4.04");
    assert_eq!(code(&client.put("room/t1", b"1").await), "2.01");
    assert_eq!(code(&client.put("room/t1", b"2").await), "2.04");
    client.observe("room/t1").await;
    let mut other = fixture.client().await;
    assert_eq!(code(&other.ask(packet(RequestType::Delete, "room/t1")).await), "2.02");
    assert_eq!(code(&client.receive().await), "4.04");
    assert_eq!(code(&client.put("room/t1", b"3").await), "2.01");
    client.observe("room/t1").await;
    assert_eq!(code(&other.ask(packet(RequestType::Delete, &topic)).await), "2.02");
    assert_eq!(code(&client.receive().await), "4.04", "its data goes with it");
    assert_eq!(code(&client.get(&topic).await), "4.04");
    assert_eq!(client.get("ps").await.payload, b"");
}

#[tokio::test]
async fn a_topic_is_what_its_properties_say() {
    let fixture = Fixture::start().await;
    let (mut client, mut other) = (fixture.client().await, fixture.client().await);
    // A format, a value from the beginning, at most one who observes.
    let topic = create(&mut client, b"\xa4\x00\x61t\x03\x18\x3c\x06\x01\x08\x41\x80").await;
    assert_eq!(client.get("t").await.payload, [0x80]);
    assert_eq!(code(&client.put("t", b"x").await), "4.15");
    let (first, _) = client.observe("t").await;
    assert!(option(&first, CoapOption::Observe).is_some());
    let (second, _) = other.observe("t").await;
    assert_eq!((code(&second).as_str(), option(&second, CoapOption::Observe)), ("2.05", None));
    let answer = other.ask(request(RequestType::Fetch, &topic, b"\xa1\x09\x82\x01\x03")).await;
    assert_eq!(answer.payload, b"\xa2\x01\x62/t\x03\x18\x3c");
    // Fewer may observe: who is too many goes.
    let patched = other.ask(request(RequestType::IPatch, &topic, b"\xa1\x06\x00")).await;
    assert_eq!(code(&patched), "2.04");
    assert_eq!(code(&client.receive().await), "4.04");
    let renamed = other.ask(request(RequestType::IPatch, &topic, b"\xa1\x00\x61u")).await;
    assert_eq!(code(&renamed), "4.00");
    let whole = other.ask(request(RequestType::Post, &topic, b"\xa1\x04\x61x")).await;
    assert_eq!(whole.payload, b"\xa4\x00\x61t\x01\x62/t\x02\x6ccore.ps.data\x04\x61x");
    let found = other.ask(request(RequestType::Fetch, "ps", b"\xa1\x04\x61x")).await;
    assert_eq!(found.payload, format!("</{topic}>;rt=\"core.ps.conf\"").as_bytes());
    let none = other.ask(request(RequestType::Fetch, "ps", b"\xa1\x04\x61y")).await;
    assert_eq!((code(&none).as_str(), none.payload.len()), ("2.05", 0));
}

#[tokio::test]
async fn who_observes_is_asked_now_and_then_though_nothing_changes() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    // An observer-check of a second.
    create(&mut client, b"\xa2\x00\x61t\x07\x01").await;
    client.put("t", b"same").await;
    let (_, token) = client.observe("t").await;
    for _ in 0..2 {
        let asked = client.raw().await;
        assert_eq!(asked.header.get_type(), MessageType::Confirmable);
        assert_eq!((asked.get_token(), &asked.payload[..]), (&token[..], &b"same"[..]));
        let mut ack = Packet::new();
        ack.header.set_type(MessageType::Acknowledgement);
        ack.header.code = coap_lite::MessageClass::Empty;
        ack.header.message_id = asked.header.message_id;
        client.socket.send(&ack.to_bytes().unwrap()).await.unwrap();
    }
}

#[tokio::test]
async fn a_topic_ends_when_its_time_is_over() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    let now = fixture.broker.now() / 1000;
    let over = u32::try_from(now).unwrap().to_be_bytes();
    let past = [&b"\xa2\x00\x61t\x05\xc1\x1a"[..], &over].concat();
    let refused = client.ask(request(RequestType::Post, "ps", &past)).await;
    assert_eq!(code(&refused), "4.00");
    let soon = u32::try_from(now + 2).unwrap().to_be_bytes();
    let topic = create(&mut client, &[&b"\xa2\x00\x61t\x05\xc1\x1a"[..], &soon].concat()).await;
    client.put("t", b"1").await;
    client.observe("t").await;
    assert_eq!(code(&client.receive().await), "4.04", "the end");
    assert_eq!(code(&client.get(&topic).await), "4.04");
    assert_eq!(code(&client.get("t").await), "4.04");
}

#[tokio::test]
async fn topics_and_values_are_there_after_a_restart() {
    let dir = TempDir::new().unwrap();
    let mut topic = String::new();
    for round in 0..2 {
        let (broker, store) = broker::testing::start(dir.path(), |_| {}).await;
        let door = Arc::new(CoapDoor::new(broker.clone(), CoapDoorOptions::default()));
        let options = DatagramOptions::new(([127, 0, 0, 1], 0).into());
        let udp = CoapUdp::bind(&options).unwrap().run(&door);
        let mut client = Client::to(udp.local_address()).await;
        if round == 0 {
            topic = create(&mut client, b"\xa2\x00\x61t\x03\x18\x32").await;
            let mut put = with(packet(RequestType::Put, "t"), CoapOption::ContentFormat, &[50]);
            put.payload = b"1".to_vec();
            assert_eq!(code(&client.ask(put).await), "2.01");
        } else {
            assert_eq!(client.get("t").await.payload, b"1");
            assert_eq!(code(&client.put("t", b"no JSON").await), "4.15");
            assert_eq!(code(&client.get(&topic).await), "2.05");
        }
        udp.stop(Duration::from_secs(5)).await;
        drop(door);
        broker.stop().await;
        drop(broker);
        tokio::task::spawn_blocking(move || store.close()).await.unwrap();
    }
}
