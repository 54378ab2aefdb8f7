//! WebSocket.

use serde_json::{Value as Json, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{Fixture, HANG};

/// A client of WebSocket, of short messages.
struct Client {
    stream: TcpStream,
}

impl Client {
    async fn open(fixture: &Fixture, query: &str) -> Self {
        let mut stream = fixture.connect().await;
        // The example of RFC 6455, section 1.3.
        let request = format!(
            "GET /api/v1/topics/t/socket{query} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\
             Connection: keep-alive, Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
             Sec-WebSocket-Version: 13\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(timeout(HANG, stream.read_u8()).await.unwrap().unwrap());
        }
        let head = String::from_utf8(head).unwrap().to_lowercase();
        assert!(head.starts_with("http/1.1 101 "), "{head}");
        assert!(head.contains("sec-websocket-accept: s3pplmbitxaq9kygzzhzrbk+xoo="), "{head}");
        Self { stream }
    }

    async fn send(&mut self, json: &Json) {
        let text = json.to_string();
        let length = u16::try_from(text.len()).unwrap().to_be_bytes();
        // A mask of nothing.
        let head = [&[0x81, 0x80 | 126][..], &length, &[0; 4]].concat();
        self.stream.write_all(&[&head[..], text.as_bytes()].concat()).await.unwrap();
    }

    async fn read(&mut self) -> (u8, Vec<u8>) {
        let reading = async {
            let kind = self.stream.read_u8().await.unwrap();
            let length = match self.stream.read_u8().await.unwrap() {
                126 => usize::from(self.stream.read_u16().await.unwrap()),
                short => usize::from(short),
            };
            let mut payload = vec![0; length];
            self.stream.read_exact(&mut payload).await.unwrap();
            (kind, payload)
        };
        timeout(HANG, reading).await.unwrap()
    }

    async fn json(&mut self) -> Json {
        let (kind, payload) = self.read().await;
        assert_eq!(kind, 0x81, "text, in one piece");
        serde_json::from_slice(&payload).unwrap()
    }
}

async fn with_topic() -> Fixture {
    let fixture = Fixture::start().await;
    fixture.send("POST", "/api/v1/topics", &json!({ "name": "t" })).await;
    fixture
}

#[tokio::test]
async fn what_is_sent_is_answered_under_its_number() {
    let fixture = with_topic().await;
    let mut client = Client::open(&fixture, "").await;
    client.send(&json!({ "id": 7, "messages": [{ "value": "a" }, { "value": "b" }] })).await;
    let stored = json!({ "id": 7, "offsets": [{ "partition": 0, "offset": 0 }, { "partition": 0, "offset": 1 }] });
    assert_eq!(client.json().await, stored);
    client
        .send(&json!({ "id": "x", "messages": [{ "value": "a", "value_base64": "YQ==" }] }))
        .await;
    let refused = client.json().await;
    assert_eq!((&refused["id"], &refused["problem"]["status"]), (&"x".into(), &400.into()));
    client.send(&json!([])).await;
    assert_eq!(client.json().await["problem"]["status"], 400);
    client.send(&json!({ "messages": [] })).await;
    assert_eq!(client.json().await, json!({ "offsets": [] }));
}

#[tokio::test]
async fn what_comes_is_sent_where_it_is_followed() {
    let fixture = with_topic().await;
    let mut client = Client::open(&fixture, "?follow=true&from=earliest").await;
    fixture
        .send("POST", "/api/v1/topics/t/messages", &json!({ "messages": [{ "value": "come" }] }))
        .await;
    let come = client.json().await;
    assert_eq!(
        (&come["message"]["value"], &come["message"]["offset"]),
        (&"come".into(), &0.into())
    );
}

#[tokio::test]
async fn what_asks_for_no_socket_or_comes_from_elsewhere_gets_none() {
    let fixture = with_topic().await;
    let path = "/api/v1/topics/t/socket";
    assert_eq!(fixture.raw("GET", path, "", "").await.status, 426);
    let head = "Upgrade: websocket\r\nOrigin: http://evil.example\r\n";
    assert_eq!(fixture.raw("GET", path, head, "").await.status, 403);
    let nowhere = "/api/v1/topics/x/socket";
    let mut stream = fixture.connect().await;
    let request = format!(
        "GET {nowhere} HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = vec![0; 12];
    timeout(HANG, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(answer, b"HTTP/1.1 404");
}

#[tokio::test]
async fn a_client_is_told_when_the_broker_stops() {
    let fixture = with_topic().await;
    let mut client = Client::open(&fixture, "").await;
    let stopping = tokio::spawn(fixture.listener.stop(HANG));
    let (kind, code) = client.read().await;
    assert_eq!((kind, &code[..]), (0x88, &1001_u16.to_be_bytes()[..]));
    drop(client);
    timeout(HANG, stopping).await.unwrap().unwrap();
}
