//! First inputs: something valid of each kind, from which the fuzzer goes on.

use std::path::Path;

use bytes::BufMut;
use door_grpc::pb;
use door_kafka::wire::fuzz as wire;
use prost::Message as _;
use store::batch::old::{DownConverter, Format};
use store::batch::{Batch, BatchBuilder, Compression, Marker, NewRecord};

const CODECS: [Compression; 5] = [
    Compression::None,
    Compression::Gzip,
    Compression::Snappy,
    Compression::Lz4,
    Compression::Zstd,
];

/// Inputs by the names of their targets.
pub fn seeds() -> Vec<(&'static str, Vec<Vec<u8>>)> {
    vec![
        ("kafka-request", requests()),
        ("kafka-message", messages()),
        ("kafka-group", messages().iter().map(|message| message[2..].to_vec()).take(8).collect()),
        (
            "pattern",
            texts(&["orders-[0-9]+", r"\Qa.b\E|x{2,5}", "(?i:é)[^a-z&&[aeiou]]", "[[:alpha:]]*"]),
        ),
        ("zookeeper", zookeeper()),
        ("amqp", amqp()),
        ("coap", coap()),
        ("grpc", grpc()),
        ("mqtt", mqtt()),
        ("nats", nats()),
        ("stomp", stomp()),
        ("batch", batches()),
        ("message-set", message_sets()),
        ("codec", codecs()),
        ("properties", properties()),
        (
            "toml",
            texts(&[
                &server::config::default_toml(),
                "[storage]\ndir = \"x\"\n[kafka]\nport = 0x10\n",
            ]),
        ),
        (
            "subject-rules",
            texts(&[
                "RULE:^CN=(.*?),.*$/$1/L,DEFAULT\nCN=writer,OU=team",
                r"RULE:^.*[Cc][Nn]=([a-zA-Z0-9.]*).*$/\/$1@x/U",
            ]),
        ),
        ("login", logins()),
        (
            "token",
            texts(&[
                "{\"alg\":\"none\"}\n{\"sub\":\"alice\",\"exp\":2000,\"iat\":900,\"nbf\":1,\"iss\":\"i\",\"aud\":[\"a\"]}",
                "{\"alg\":\"ES256\",\"kid\":\"one\",\"typ\":\"JWT\"}\n{\"sub\":\"a\",\"exp\":1e3}",
            ]),
        ),
        (
            "key-set",
            texts(&[
                "{\"keys\":[{\"kty\":\"EC\",\"crv\":\"P-256\",\"kid\":\"one\",\"x\":\"AAAA\",\"y\":\"AAAA\"},\
             {\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\",\"alg\":\"RS256\"}]}\n\n\
             eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJhIn0.AQAB",
            ]),
        ),
        (
            "disk-block",
            folders()
                .iter()
                .map(|folder| folder.iter().skip(3).take(4000).copied().collect())
                .collect(),
        ),
        ("disk-folder", folders()),
        ("journal", journal()),
        ("metadata", metadata()),
    ]
}

/// Of each direction's commands.
fn nats() -> Vec<Vec<u8>> {
    texts(&[
        "CONNECT {\"verbose\":true,\"headers\":true}\r\nPING\r\nPONG\r\n+OK\r\n",
        "PUB a.b _INBOX.1 5\r\nhello\r\nSUB a.* q 1\r\nUNSUB 1 3\r\n",
        "HPUB a 23 25\r\nNATS/1.0 503\r\nA: 1\r\n\r\nok\r\n-ERR 'x'\r\n",
    ])
}

/// Frames of all versions, with the headers that mean something.
fn stomp() -> Vec<Vec<u8>> {
    texts(&[
        "STOMP\naccept-version:1.0,1.1,1.2\nhost:/\nheart-beat:1000,2000\n\n\0\n",
        "SEND\ndestination:/exchange/e/k%2Fl\nreply-to:/temp-queue/a\nx-message-ttl:5\n\nhi\0",
        "SEND\r\ndestination:/queue/a\\cb\r\ncontent-length:3\r\n\r\n\0a\0\0\n\n",
        "SUBSCRIBE\nid:0\ndestination:/topic/a.*.#\nack:client\ndurable:true\n\n\0",
        "BEGIN\ntransaction:t\n\n\0NACK\nid:a\nrequeue:false\ntransaction:t\n\n\0ABORT\ntransaction:t\n\n\0",
    ])
}

/// What a client says from its login to an acknowledgement, and a message with all properties.
fn amqp() -> Vec<Vec<u8>> {
    use door_amqp::wire::frame::{put_content, put_heartbeat, put_method};
    use door_amqp::wire::method::{BasicAck, BasicPublish, ConnectionStartOk, QueueDeclare};
    use door_amqp::wire::properties::Properties;
    use door_amqp::wire::reader::{Long, Short};
    use door_amqp::wire::table::{ArrayBuf, TableBuf, Value};

    let capabilities = TableBuf::default().with(b"basic.nack", Value::Bool(true));
    let client = TableBuf::default()
        .with(b"capabilities", Value::Table(capabilities.table()))
        .with(b"product", Value::String(b"seed"));
    let start_ok = ConnectionStartOk {
        client_properties: client.table(),
        mechanism: Short(b"PLAIN"),
        response: Long(b"\0guest\0guest"),
        locale: Short(b"en_US"),
    };
    let arguments = TableBuf::default().with(b"x-max-length", Value::I64(10));
    let declare = QueueDeclare {
        queue: Short(b"q"),
        durable: true,
        arguments: arguments.table(),
        ..QueueDeclare::default()
    };
    let mut talk = Vec::new();
    put_method(0, &start_ok, &mut talk);
    put_method(1, &declare, &mut talk);
    put_heartbeat(&mut talk);
    put_method(1, &BasicAck { delivery_tag: 1, multiple: true }, &mut talk);

    let mut keys = ArrayBuf::default();
    keys.push(Value::String(b"other"));
    let headers = TableBuf::default()
        .with(b"CC", Value::Array(keys.array()))
        .with(b"price", Value::Decimal { scale: 2, digits: 1999 })
        .with(b"none", Value::Void);
    let properties = Properties {
        content_type: Some(Short(b"text/plain")),
        headers: Some(headers.table()),
        delivery_mode: Some(2),
        expiration: Some(Short(b"60000")),
        timestamp: Some(1),
        ..Properties::default()
    };
    let mut encoded = Vec::new();
    properties.encode(&mut encoded);
    let publish =
        BasicPublish { exchange: Short(b"x"), routing_key: Short(b"a.b"), ..Default::default() };
    let mut message = Vec::new();
    put_content((1, 4096), &publish, &encoded, b"payload", &mut message);
    vec![talk, message]
}

fn coap() -> Vec<Vec<u8>> {
    let messages: [&[u8]; 8] = [
        b"\x40\x01\x7d\x34\xbb.well-known\x04core\x47rt=core",
        b"\x42\x03\x00\x07tk\xb7sensors\x04room\x11\x32\xd1\x02\x0e\xff21.5",
        b"\x41\x01\x00\x08t\x60\x51a\x62\x01\x02\xc1\x06",
        b"\x58\x02\x00\x0912345678\xb2ps\x12\x02\x5e\xff\xa2\x00\x61t\x02\x6ccore.ps.data",
        b"\x60\x00\x00\x01",
        b"\x50\x05\xff\xff\xe0\xfe\xf2",
        b"\x50\xe1\x23\x10\x00\x00\x20\x01\xe2\x07\x41\x03\x01\xb1a\xff1\xd1\x01\x01\x01\x02\xbdabcdefghijklm",
        b"\xa5\x00\x61t\x03\x18\x3c\x05\xc1\x1a\x64\x28\x8e\x3f\x06\x01\x08\x41\x80",
    ];
    messages.map(<[u8]>::to_vec).into()
}

/// One of each kind, with what it is in front.
fn grpc() -> Vec<Vec<u8>> {
    let message = pb::Message {
        subject: "a.b".to_owned(),
        payload: Some(b"x".to_vec().into()),
        headers: vec![pb::Header { name: "n".to_owned(), value: Some(b"v".to_vec().into()) }; 2],
        reply_to: Some("r".to_owned()),
        priority: Some(7),
        ..pb::Message::default()
    };
    let one = pb::PublishRequest { message: Some(message.clone()), mandatory: true };
    let many = pb::PublishStreamRequest { messages: vec![message; 3], mandatory: false };
    let live = pb::Live { filters: vec!["a.>".to_owned()], ..pb::Live::default() };
    let open = pb::Open { from: Some(pb::open::From::Live(live)), credit: 1 };
    let open = pb::subscribe_request::Request::Open(open);
    let settled = pb::Settlement { ids: vec![1, 300], action: 1, delay_ms: 9 };
    let settle = pb::Settle { settlements: vec![settled], confirm: 1 };
    let settle = pb::subscribe_request::Request::Settle(settle);
    let said = |request| pb::SubscribeRequest { request: Some(request) }.encode_to_vec();
    let instance = pb::Instance {
        service: "s".to_owned(),
        metadata: [("k".to_owned(), "v".to_owned())].into(),
        ..pb::Instance::default()
    };
    let register = pb::RegisterRequest { instance: Some(instance), ..Default::default() };
    [
        (0, b"100m".to_vec()),
        (1, b"\x02\0\0\0\0\x03abc\x01\0\0\0\0\0\0\0\x01\0x".to_vec()),
        (6, said(open)),
        (6, said(settle)),
        (7, register.encode_to_vec()),
        (9, one.encode_to_vec()),
        (10, many.encode_to_vec()),
    ]
    .map(|(kind, bytes)| [vec![kind], bytes].concat())
    .into()
}

/// A CONNECT of each version, and one packet of each other kind.
fn mqtt() -> Vec<Vec<u8>> {
    let packets: [&[u8]; 10] = [
        b"\x10\x14\0\x06MQIsdp\x03\xc2\0\x3c\0\0\0\x01u\0\x01p",
        b"\x10\x16\0\x04MQTT\x04\x0e\0\x3c\0\x01c\0\x01w\0\x04gone",
        b"\x10\x25\0\x04MQTT\x05\x06\0\0\x05\x11\0\0\0\x0a\0\x01c\x0a\x18\0\0\0\x07\x02\0\0\0\x09\0\x01w\0\0",
        b"\x3b\x0b\0\x03a/b\0\x07data",
        b"\x32\x1b\0\x01t\0\x07\x11\x26\0\x01a\0\x011\x23\0\x07\x02\0\0\0\x09\x01\x01data",
        b"\x40\x02\0\x07\x50\x03\0\x07\x10\x62\x08\0\x07\0\x04\x1f\0\x01a",
        b"\x82\x08\0\x01\0\x03a/+\x02",
        b"\x82\x13\0\x01\x02\x0b\x07\0\x0b$share/g/#\x01",
        b"\xa2\x07\0\x01\0\x03a/#\xa2\x06\0\x01\0\0\x01a",
        b"\xe0\x07\0\x05\x11\0\0\0\x09\xf0\x0a\x18\x08\x15\0\x01m\x16\0\x01d",
    ];
    packets.map(<[u8]>::to_vec).into()
}

fn texts(texts: &[&str]) -> Vec<Vec<u8>> {
    texts.iter().map(|text| text.as_bytes().to_vec()).collect()
}

fn messages() -> Vec<Vec<u8>> {
    let message = |number: usize| {
        let (version, bytes) = wire::sample(number, number as u64);
        let mut input = vec![u8::try_from(number).ok()?, u8::try_from(version).ok()?];
        input.extend(bytes);
        Some(input)
    };
    (0..wire::MESSAGES).filter_map(message).collect()
}

fn requests() -> Vec<Vec<u8>> {
    let request = |number: usize| {
        let key = wire::request_key(number)?;
        let (version, bytes) = wire::sample(number, number as u64 + 1_000);
        let mut frame = Vec::new();
        frame.put_i16(key);
        frame.put_i16(version);
        frame.put_i32(7);
        frame.put_i16(-1);
        // No tagged fields: read in flexible versions, taken for something else in others.
        frame.put_u8(0);
        frame.extend(bytes);
        Some(frame)
    };
    (0..wire::MESSAGES).filter_map(request).collect()
}

fn zookeeper() -> Vec<Vec<u8>> {
    let text = |to: &mut Vec<u8>, text: &str| {
        to.put_i32(i32::try_from(text.len()).unwrap_or(0));
        to.put_slice(text.as_bytes());
    };
    let mut create = Vec::new();
    create.put_slice(&[0, 0, 0, 1, 0, 0, 0, 1]);
    text(&mut create, "/a/b");
    text(&mut create, "data");
    create.put_i32(2);
    for (scheme, id) in [("ip", "10.0.0.0/8"), ("auth", "")] {
        create.put_i32(31);
        text(&mut create, scheme);
        text(&mut create, id);
    }
    create.put_i32(3);
    let mut multi = vec![0, 0, 0, 2, 0, 0, 0, 14, 0, 0, 0, 2, 0, 255, 255, 255, 255];
    text(&mut multi, "/a");
    multi.put_i32(-1);
    multi.put_slice(&[255, 255, 255, 255, 1, 255, 255, 255, 255]);
    let mut watches = vec![0, 0, 0, 3, 0, 0, 0, 105, 0, 0, 0, 0, 0, 0, 0, 9];
    for _ in 0..5 {
        watches.put_i32(1);
        text(&mut watches, "/w");
    }
    let mut hello = vec![0; 28];
    hello.put_i32(16);
    hello.put_slice(&[1; 17]);
    vec![create, multi, watches, hello, b"ruok".to_vec()]
}

fn batch(codec: Compression) -> Batch {
    let mut builder = BatchBuilder::new(codec);
    for number in 0..3_u8 {
        builder.push(&NewRecord {
            timestamp: 1_000 + i64::from(number),
            key: (number != 1).then_some(&[number]),
            value: (number != 2).then_some(b"value"),
            headers: &[(b"name", Some(b"one")), (b"name", None)],
        });
    }
    builder.build().expect("it has records")
}

fn batches() -> Vec<Vec<u8>> {
    let mut inputs: Vec<_> =
        CODECS.iter().map(|codec| [&[0], batch(*codec).bytes().as_ref()].concat()).collect();
    for flags in 8..13 {
        inputs.push([&[flags], batch(Compression::None).bytes().as_ref()].concat());
    }
    let marker = BatchBuilder::marker(1, 2, Marker::Abort, 3).expect("it is small");
    inputs.push([&[0], marker.bytes().as_ref()].concat());
    inputs
}

fn message_sets() -> Vec<Vec<u8>> {
    let mut inputs = Vec::new();
    for format in [Format::V0, Format::V1] {
        for (number, codec) in (0..4).zip(CODECS) {
            let mut converter = DownConverter::new(format, 0, 1 << 20);
            converter.push(&batch(codec)).expect("it can be converted");
            let set = converter.finish();
            inputs.push([&[0], set.as_ref()].concat());
            if codec == Compression::None {
                inputs.extend((8..12).map(|flags| [&[flags | number], set.as_ref()].concat()));
                inputs.extend((40..44).map(|flags| [&[flags], set.as_ref()].concat()));
            }
        }
    }
    inputs
}

fn codecs() -> Vec<Vec<u8>> {
    let plain = b"abcabcabcabc some bytes that are packed".repeat(4);
    let packed = |(number, codec): (u8, Compression)| {
        let packed = codec.compress(&plain).expect("memory does not fail");
        [&[number], packed.as_slice()].concat()
    };
    (0..).zip(CODECS).map(packed).collect()
}

fn properties() -> Vec<Vec<u8>> {
    texts(&[
        "broker.id=7\nlisteners=PLAINTEXT://:9092,SSL://127.0.0.1:9093\nlog.dirs=/x\n\
         num.partitions=3\nlog.retention.hours=1\nzookeeper.connect=h:2181/chroot\n",
        "# c\n! d\nkey : va\\\nlue\\u00e9\\t\nprocess.roles=broker,controller\n\
         controller.quorum.voters=1@h:9093\nsuper.users=User:a;User:b\n",
        "listeners=SASL_SSL://:9094\nsasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256\n\
         listener.name.sasl_ssl.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.\
         PlainLoginModule required user_a=\"b\";\nssl.keystore.type=PEM\n\
         ssl.principal.mapping.rules=RULE:^CN=(.*)$/$1/L\n",
    ])
}

fn logins() -> Vec<Vec<u8>> {
    texts(&[
        "\0\0user\0word",
        "\0\0fixed\0word",
        "\u{1}n,,n=user,r=abc\0\u{1d}c=biws,r={nonce},p=AAAA",
        "\u{2}n,a=user,n=user,r=abc,tokenauth=true\0\u{1d}c=biws,r={nonce},p=AAAA",
        "\u{3}n,a=alice,\u{1}auth=Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbGljZSIsImV4cCI6MjAwMH0.\
         \u{1}ext=1\u{1}\u{1}",
        "\u{3}n,,\u{1}auth=Bearer x.y.z\u{1}\u{1}\0\u{1d}\u{1}",
    ])
}

/// The golden folders of the store, damaged ones too.
fn folders() -> Vec<Vec<u8>> {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/store/tests/golden");
    let list = |path: &Path| {
        let entries = std::fs::read_dir(path).expect("the repository has golden folders");
        entries.map(|entry| entry.expect("as above").path()).collect::<Vec<_>>()
    };
    let versions = list(&golden);
    let folders = versions.iter().flat_map(|version| list(version));
    let folder = |folder: &Path| store::fuzz::take_apart(folder).expect("as above");
    folders.map(|path| folder(&path)).collect()
}

fn pair(to: &mut Vec<u8>, key: &[u8], value: Option<&[u8]>) {
    to.put_u8(u8::try_from(key.len()).unwrap_or(0));
    to.put_slice(key);
    match value {
        None => to.put_u16(u16::MAX),
        Some(value) => {
            to.put_u16(u16::try_from(value.len()).unwrap_or(0));
            to.put_slice(value);
        }
    }
}

/// What groups, transactions and queues write into their journal, by hand of the formats' pages.
fn journal() -> Vec<Vec<u8>> {
    // Every kind of key there may be, with values of small numbers: the fuzzer finds their forms.
    let input = |kind: u8| {
        let mut input = Vec::new();
        let key = [0, kind, 0, 1, b'g', 0, 1, b't', 0, 0, 0, 1];
        for length in [2, 5, 8, 12] {
            pair(
                &mut input,
                &key[..length],
                Some(&[0, 1, 0, 0, 0, 1, 0, 0, 0, 0, 0, 1, 0, 1, b'x']),
            );
            pair(&mut input, &key[1..length], Some(&[1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
        }
        pair(&mut input, &key, None);
        input
    };
    (0..16).map(input).collect()
}

fn metadata() -> Vec<Vec<u8>> {
    let entries: &[(&str, &str)] = &[
        ("cluster/id", "abc"),
        (
            "broker/1",
            "{\"endpoints\":[{\"listener\":\"L\",\"security\":\"SSL\",\"host\":\"h\",\"port\":1}],\"registered_at\":1}",
        ),
        (
            "topic/t",
            "{\"id\":\"00000000000000000000000000000001\",\"created_at\":1,\"config\":{\"cleanup.policy\":\"compact\"},\"partitions\":[[1,1,0]]}",
        ),
        (
            "user/u",
            "{\"sha-256\":{\"iterations\":4096,\"salt\":\"00\",\"stored_key\":\"aa\",\"server_key\":\"bb\"}}",
        ),
        ("group/g", "{\"config\":{\"consumer.session.timeout.ms\":\"1000\"}}"),
        (
            "access/topic/literal/t",
            "[{\"principal\":\"User:a\",\"host\":\"*\",\"operation\":\"read\",\"effect\":\"allow\"}]",
        ),
        ("quota/u/%20c/", "{\"producer_byte_rate\":1.5}"),
        (
            "client-metrics/m",
            "{\"interval.ms\":\"1000\",\"metrics\":\"a,b\",\"match\":\"client_id=a.*\"}",
        ),
        ("registry/children/a", "3"),
        (
            "registry/access/a",
            "{\"version\":1,\"rules\":[{\"permissions\":1,\"scheme\":\"ip\",\"id\":\"1\"}]}",
        ),
        (
            "registry/session/0000000000000001",
            "{\"secret\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16],\"timeout\":1,\"broker\":1}",
        ),
        (
            "registry/entry/a",
            "\u{1}\u{1}\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0data",
        ),
        ("registry/head", "\u{1}\0\0\0\0\0\0\0\u{1}\0\0\0\0\0\0\0\u{1}"),
        ("registry/step", "\u{1}\u{1}\0\0\0\u{1}a"),
    ];
    let one = |(key, value): &(&str, &str)| {
        let mut input = Vec::new();
        pair(&mut input, key.as_bytes(), Some(value.as_bytes()));
        pair(&mut input, key.as_bytes(), None);
        input
    };
    let mut inputs: Vec<_> = entries.iter().map(one).collect();
    inputs.push(inputs.concat());
    inputs
}
