//! CoAP over DTLS with a pre-shared key.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Instant;

use coap_lite::{CoapOption, MessageClass, MessageType, Packet, RequestType};
use dimpl::{Config, Dtls, Output, PskResolver};
use door::DatagramOptions;
use door_coap::{CoapUdp, PskKeys};
use tokio::net::UdpSocket;

use crate::support::{Fixture, HANG, code, packet, with};

struct Key(Vec<u8>);

impl PskResolver for Key {
    fn resolve(&self, _identity: &[u8]) -> Option<Vec<u8>> {
        Some(self.0.clone())
    }
}

/// Those who have a key.
fn keys() -> PskKeys {
    let key = |first: u8| (first..first + 16).collect();
    PskKeys([("thing".to_owned(), key(0)), ("other".to_owned(), key(100))].into())
}

struct Secure {
    socket: UdpSocket,
    dtls: Dtls,
    next: u16,
}

impl Secure {
    async fn open(address: std::net::SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        socket.connect(address).await.unwrap();
        Self::over(socket, "thing").await
    }

    /// A new session of one who has a key, from wherever this socket is.
    async fn over(socket: UdpSocket, who: &str) -> Self {
        let key = Key(keys().0[who].clone());
        let config = Config::builder().with_psk_client(who.into(), Arc::new(key));
        let mut dtls = Dtls::new_12_psk(Arc::new(config.build().unwrap()), Instant::now());
        dtls.set_active(true);
        let mut client = Self { socket, dtls, next: 1 };
        while !client.turn().await.1 {
            client.read().await;
        }
        client
    }

    /// Sends what there is; what came, and whether the session is there now.
    async fn turn(&mut self) -> (Vec<Packet>, bool) {
        self.dtls.handle_timeout(Instant::now()).unwrap();
        let (mut came, mut connected) = (Vec::new(), false);
        let mut buffer = vec![0; 20_000];
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(bytes) => drop(self.socket.send(bytes).await.unwrap()),
                Output::ApplicationData(bytes) => came.push(Packet::from_bytes(bytes).unwrap()),
                Output::Connected => connected = true,
                Output::Timeout(_) => return (came, connected),
                _ => {}
            }
        }
    }

    async fn read(&mut self) {
        let mut buffer = vec![0; 2048];
        let received = tokio::time::timeout(HANG, self.socket.recv(&mut buffer)).await;
        let count = received.expect("something comes").unwrap();
        self.dtls.handle_packet(&buffer[..count]).unwrap();
    }

    async fn send(&mut self, mut packet: Packet) -> Vec<u8> {
        packet.header.message_id = self.next;
        let token = self.next.to_be_bytes().to_vec();
        packet.set_token(token.clone());
        self.next += 1;
        self.dtls.send_application_data(&packet.to_bytes().unwrap()).unwrap();
        self.turn().await;
        token
    }

    async fn receive(&mut self) -> Packet {
        loop {
            self.read().await;
            if let Some(packet) = self.turn().await.0.pop() {
                if packet.header.get_type() == MessageType::Confirmable {
                    let mut ack = Packet::new();
                    ack.header.set_type(MessageType::Acknowledgement);
                    ack.header.code = MessageClass::Empty;
                    ack.header.message_id = packet.header.message_id;
                    self.dtls.send_application_data(&ack.to_bytes().unwrap()).unwrap();
                    self.turn().await;
                }
                return packet;
            }
        }
    }
}

#[tokio::test]
async fn who_has_a_key_puts_gets_and_observes() {
    let fixture = Fixture::start().await;
    let options = DatagramOptions::new((Ipv4Addr::LOCALHOST, 0).into());
    let udp = CoapUdp::bind(&options).unwrap().run_secure(&fixture.door, keys());
    let mut client = Secure::open(udp.local_address()).await;
    let mut put = packet(RequestType::Put, "secret/a");
    put.payload = vec![7; 900];
    client.send(put).await;
    assert_eq!(code(&client.receive().await), "2.01");
    // It is where it says it is, and need not show it.
    client.send(packet(RequestType::Get, "secret/a")).await;
    let answer = client.receive().await;
    assert_eq!(
        (answer.header.get_type(), answer.payload.len()),
        (MessageType::Acknowledgement, 900)
    );
    let observe = with(packet(RequestType::Get, "secret/a"), CoapOption::Observe, &[]);
    let token = client.send(observe).await;
    assert_eq!(client.receive().await.get_token(), token);
    let mut other = fixture.client().await;
    other.put("secret/a", b"changed").await;
    let told = client.receive().await;
    assert_eq!((told.get_token(), &told.payload[..]), (&token[..], &b"changed"[..]));
    // Nothing is said in the clear there.
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
    stranger.send_to(b"\x40\x00\x12\x34", udp.local_address()).await.unwrap();
    client.send(packet(RequestType::Get, "secret/a")).await;
    client.receive().await;
    assert!(stranger.try_recv(&mut [0; 10]).is_err());
}

#[tokio::test]
async fn who_begins_anew_at_an_address_is_nobody_who_was_there() {
    let fixture = Fixture::start().await;
    let options = DatagramOptions::new((Ipv4Addr::LOCALHOST, 0).into());
    let udp = CoapUdp::bind(&options).unwrap().run_secure(&fixture.door, keys());
    let mut plain = fixture.client().await;
    plain.put("secret/b", b"first").await;
    let mut thing = Secure::open(udp.local_address()).await;
    let observe = with(packet(RequestType::Get, "secret/b"), CoapOption::Observe, &[]);
    thing.send(observe.clone()).await;
    assert_eq!(thing.receive().await.payload, b"first");
    let mut other = Secure::over(thing.socket, "other").await;
    plain.put("secret/b", b"second").await;
    // The very bytes that were sent before: what was answered then is of that session.
    other.send(observe).await;
    assert_eq!(other.receive().await.payload, b"second");
    plain.put("secret/b", b"third").await;
    assert_eq!(other.receive().await.payload, b"third", "and only this one's observation goes on");
    other.send(packet(RequestType::Get, "secret/b")).await;
    let answer = other.receive().await;
    assert_eq!(answer.header.get_type(), MessageType::Acknowledgement);
}
