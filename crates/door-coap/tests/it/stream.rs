//! CoAP over TCP.

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::support::{Fixture, HANG};

struct Stream(TcpStream);

impl Stream {
    async fn open(fixture: &Fixture) -> Self {
        let mut stream = Self(TcpStream::connect(fixture.listener.local_address()).await.unwrap());
        let (code, _, _) = stream.message().await;
        assert_eq!(code, 0xe1, "a CSM comes first");
        // A CSM that takes a megabyte and large pieces.
        stream.send(b"\x50\xe1\x23\x10\x00\x00\x20").await;
        stream
    }

    async fn send(&mut self, bytes: &[u8]) {
        self.0.write_all(bytes).await.unwrap();
    }

    /// Code, token, and what is behind it.
    async fn message(&mut self) -> (u8, Vec<u8>, Vec<u8>) {
        let read = async {
            let first = self.0.read_u8().await.unwrap();
            let length = match first >> 4 {
                13 => u32::from(self.0.read_u8().await.unwrap()) + 13,
                14 => u32::from(self.0.read_u16().await.unwrap()) + 269,
                15 => self.0.read_u32().await.unwrap() + 65_805,
                short => short.into(),
            };
            let code = self.0.read_u8().await.unwrap();
            let mut token = vec![0; usize::from(first & 15)];
            self.0.read_exact(&mut token).await.unwrap();
            let mut body = vec![0; usize::try_from(length).unwrap()];
            self.0.read_exact(&mut body).await.unwrap();
            (code, token, body)
        };
        tokio::time::timeout(HANG, read).await.expect("a message")
    }

    async fn is_closed(&mut self) -> bool {
        let mut rest = Vec::new();
        tokio::time::timeout(HANG, self.0.read_to_end(&mut rest)).await.is_ok()
    }
}

#[tokio::test]
async fn requests_are_answered_and_changes_told() {
    let fixture = Fixture::start().await;
    let mut stream = Stream::open(&fixture).await;
    // PUT /a with the payload `1`, twice; then a ping.
    stream.send(b"\x41\x03\x01\xb1a\xff1\x41\x03\x02\xb1a\xff2\x01\xe2\x07").await;
    let mut codes = Vec::new();
    for _ in 0..3 {
        let (code, token, _) = stream.message().await;
        codes.push((token, code));
    }
    codes.sort();
    assert_eq!(codes[0].0, [1]);
    assert_eq!(codes[1], (vec![2], 0x44));
    assert_eq!(codes[2], (vec![7], 0xe3), "a pong");
    // GET with Observe.
    stream.send(b"\x31\x01\x03\x60\x51a").await;
    let (code, token, body) = stream.message().await;
    assert_eq!((code, &token[..]), (0x45, &[3][..]));
    assert!(body.ends_with(b"\xff2"), "{}", body.escape_ascii());
    let mut other = fixture.client().await;
    other.put("a", b"3").await;
    let (code, token, body) = stream.message().await;
    assert_eq!((code, &token[..]), (0x45, &[3][..]));
    assert!(body.ends_with(b"\xff3"));
}

#[tokio::test]
async fn large_values_need_no_pieces_where_the_client_takes_them() {
    let fixture = Fixture::start().await;
    let mut stream = Stream::open(&fixture).await;
    let value = vec![7; 100_000];
    let mut put = b"\xf1".to_vec();
    let length = u32::try_from(3 + value.len()).unwrap();
    put.extend((length - 65_805).to_be_bytes());
    put.extend(b"\x03\x09\xb1a\xff");
    put.extend(&value);
    stream.send(&put).await;
    assert_eq!(stream.message().await.0, 0x41);
    stream.send(b"\x21\x01\x0a\xb1a").await;
    let (code, _, body) = stream.message().await;
    assert_eq!(code, 0x45);
    assert!(body.ends_with(&value));
}

#[tokio::test]
async fn who_does_not_keep_to_the_protocol_is_told_and_cut_off() {
    let fixture = Fixture::start().await;
    let address = fixture.listener.local_address();
    // A request first; a token that is too long; an option of a CSM that must be known; a message that is too large.
    for bytes in [&b"\x00\x01"[..], b"\x09\xe1", b"\x10\xe1\x10", b"\xf0\xff\xff\x00\x00\xe1"] {
        let mut stream = Stream(TcpStream::connect(address).await.unwrap());
        stream.message().await;
        stream.send(bytes).await;
        assert_eq!(stream.message().await.0, 0xe5, "{}", bytes.escape_ascii());
        assert!(stream.is_closed().await);
    }
    let mut stream = Stream::open(&fixture).await;
    stream.send(b"\x00\xe4").await;
    assert!(stream.is_closed().await, "released");
}

#[tokio::test]
async fn the_same_in_the_messages_of_a_websocket() {
    let fixture = Fixture::start().await;
    let loopback = std::net::SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = door::Listener::bind(&door::ListenerOptions::new("COAP_WEBSOCKET", loopback));
    let options = door::WebSocketOptions {
        protocols: vec!["coap".to_owned()],
        delimited: true,
        ..door::WebSocketOptions::default()
    };
    let listener = listener.unwrap().with_websocket(options);
    let listener = listener.run(fixture.door.clone(), door::ConnectionLimit::default());
    let mut stream = TcpStream::connect(listener.local_address()).await.unwrap();
    // RFC 8323, figure 9.
    let request = "GET /.well-known/coap HTTP/1.1\r\nHost: example.org\r\nUpgrade: websocket\r\n\
        Connection: Upgrade\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\
        Sec-WebSocket-Protocol: coap\r\nSec-WebSocket-Version: 13\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    let head = String::from_utf8(head).unwrap();
    assert!(head.contains("Sec-WebSocket-Protocol: coap\r\n"), "{head}");
    // A CSM, then PUT of /ws, each masked with zeros.
    let put = b"\x01\x03\x09\xb2ws\xffhello";
    let mut frames = b"\x82\x82\0\0\0\0\x00\xe1".to_vec();
    frames.extend([0x82, 0x80 | u8::try_from(put.len()).unwrap(), 0, 0, 0, 0]);
    frames.extend(put);
    stream.write_all(&frames).await.unwrap();
    let mut messages = Vec::new();
    for _ in 0..2 {
        let mut two = [0; 2];
        stream.read_exact(&mut two).await.unwrap();
        assert!(two[0] == 0x82 && two[1] < 126, "{two:?}");
        let mut message = vec![0; two[1].into()];
        stream.read_exact(&mut message).await.unwrap();
        messages.push(message);
    }
    assert_eq!(messages[0][..2], [0x00, 0xe1], "a CSM whose length is the WebSocket's");
    assert_eq!(messages[1][..3], [0x01, 0x41, 0x09]);
    let mut client = fixture.client().await;
    assert_eq!(client.get("ws").await.payload, b"hello");
}
