//! Through its own door a message comes back exactly as it was published, whether a topic keeps it or not.

use tests::{Broker, Serve};

use super::kafka::{Kafka, Record};
use crate::wires::mqtt::{self, Mqtt, Property, Version};
use crate::wires::nats::Nats;

/// A broker with a topic that keeps what is below `kept`.
fn broker() -> Broker {
    let broker = Serve::new().start();
    let create = ["topic", "create", "kept", "--bind", "kept.>", "--partitions", "1"];
    assert!(broker.entrepot(&create).status.success());
    broker
}

#[test]
fn mqtt_has_its_properties_back_in_their_order_with_what_others_have_no_word_for() {
    let broker = broker();
    let user = |name: &str, value: &str| Property::User(name.to_owned(), value.to_owned());
    let text = |id, text: &str| Property::Bytes(id, text.as_bytes().to_vec());
    let properties = [
        user("b", "1"),
        text(mqtt::RESPONSE_TOPIC, "/answers//to me/"),
        user("", ""),
        Property::Number(mqtt::PAYLOAD_FORMAT, 1),
        text(mqtt::CONTENT_TYPE, ""),
        user("a", "ü"),
        Property::Bytes(mqtt::CORRELATION_DATA, Vec::new()),
        user("b", "1"),
        user("content-type", "mine"),
    ];
    let mut reader = Mqtt::connect(broker.mqtt(), Version::V5);
    reader.subscribe("#");
    let mut writer = Mqtt::connect(broker.mqtt(), Version::V5);
    for topic in ["kept/a", "live/a", "kept//b c/%2F/", "live//b c/%2F/"] {
        writer.publish(topic, &properties, b"x");
        let message = reader.message();
        assert_eq!((message.topic.as_str(), message.qos), (topic, 1));
        assert_eq!(message.properties, properties, "{topic}");
    }
    writer.publish("kept/a", &[], b"");
    assert_eq!(reader.message().properties, [], "nothing that was not said");
}

#[test]
fn nats_has_its_header_block_back_byte_for_byte() {
    let broker = broker();
    let mut reader = Nats::connect(&broker.nats());
    reader.subscribe(">");
    let mut writer = Nats::connect(&broker.nats());
    let blocks: [&[u8]; 5] = [
        b"NATS/1.0\r\nB: 1\r\na:2\r\nB:  1 \r\ncontent-type: x\r\nPriority: none\r\n\r\n",
        b"NATS/1.0 100 Idle\r\nCorrelation-Id: 7\r\n\r\n",
        b"NATS/1.0\r\n\r\n",
        b"no block at all",
        b"",
    ];
    for subject in ["kept.a", "live.a"] {
        for block in blocks {
            writer.publish(subject, Some("_INBOX.a"), Some(block), b"x");
            let message = reader.message();
            assert_eq!(message.headers.as_deref(), Some(block), "{subject}");
            assert_eq!(message.reply.as_deref(), Some("_INBOX.a"));
        }
        writer.publish(subject, None, None, b"");
        assert_eq!(reader.message().headers, None, "{subject}: nothing that was not said");
    }
}

#[test]
fn kafka_has_its_records_back() {
    let broker = broker();
    let Some(mut kafka) = Kafka::confluent(&broker) else { return };
    let header = |name: &str, value: Option<&[u8]>| (name.to_owned(), value.map(<[u8]>::to_vec));
    let records = [
        Record {
            key: Some(b"kept.a".to_vec()),
            value: Some(Vec::new()),
            headers: vec![
                header("b", Some(b"\xff\r\n")),
                header("reply-to", Some(b"no subject..")),
                header("b", None),
                header("", Some(b"")),
                header("priority", Some(b"high")),
                header("entrepot-original", Some(b"\x09?")),
            ],
            timestamp: Some(1),
        },
        Record { key: Some(Vec::new()), timestamp: Some(2), ..Record::default() },
        Record { timestamp: Some(1_700_000_000_123), ..Record::default() },
    ];
    for record in &records {
        kafka.send("kept", record);
    }
    assert_eq!(kafka.read("kept"), records);
}
