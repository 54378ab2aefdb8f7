//! A broker in a temporary folder with the door on free ports, and a client whose messages another library reads and
//! writes.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use broker::{Broker, BrokerOptions};
use coap_lite::{CoapOption, MessageClass, MessageType, Packet, RequestType, ResponseType};
pub use door::testing::HANG;
use door::testing::listen;
use door::{DatagramOptions, ListenerHandle};
use door_coap::{CoapDoor, CoapDoorOptions, CoapUdp, CoapUdpHandle};
use tempfile::TempDir;
use tokio::net::UdpSocket;

pub const JSON: &[u8] = &[50];
pub const LINKS: &[u8] = &[40];

pub struct Fixture {
    pub dir: TempDir,
    pub broker: Broker,
    pub door: Arc<CoapDoor>,
    pub udp: CoapUdpHandle,
    pub listener: ListenerHandle,
}

impl Fixture {
    pub async fn start() -> Self {
        Self::with(CoapDoorOptions::default()).await
    }

    pub async fn with(options: CoapDoorOptions) -> Self {
        Self::of(options, |_| {}).await
    }

    pub async fn of(options: CoapDoorOptions, change: impl FnOnce(&mut BrokerOptions)) -> Self {
        let dir = TempDir::new().unwrap();
        let (broker, _) = broker::testing::start(dir.path(), change).await;
        let door = Arc::new(CoapDoor::new(broker.clone(), options));
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let udp = DatagramOptions { sockets: 2, ..DatagramOptions::new(loopback) };
        let udp = CoapUdp::bind(&udp).unwrap().run(&door);
        let listener = listen("COAP", Arc::clone(&door) as _);
        Self { dir, broker, door, udp, listener }
    }

    pub async fn client(&self) -> Client {
        Client::to(self.udp.local_address()).await
    }
}

/// Over UDP. Answers pings and acknowledges, as every client does.
pub struct Client {
    pub socket: UdpSocket,
    pub next: u16,
}

pub fn packet(method: RequestType, path: &str) -> Packet {
    let mut packet = Packet::new();
    packet.header.code = MessageClass::Request(method);
    packet.header.set_type(MessageType::Confirmable);
    for segment in path.split('/').filter(|_| !path.is_empty()) {
        packet.add_option(CoapOption::UriPath, segment.as_bytes().to_vec());
    }
    packet
}

/// The same with an option.
pub fn with(mut packet: Packet, option: CoapOption, value: &[u8]) -> Packet {
    packet.add_option(option, value.to_vec());
    packet
}

pub fn code(packet: &Packet) -> String {
    packet.header.get_code()
}

pub fn option(packet: &Packet, option: CoapOption) -> Option<Vec<u8>> {
    packet.get_option(option).and_then(|values| values.front().cloned())
}

impl Client {
    pub async fn to(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        socket.connect(address).await.unwrap();
        Self { socket, next: 1 }
    }

    /// Sends a message with a number and a token of its own; which.
    pub async fn send(&mut self, mut packet: Packet) -> Vec<u8> {
        packet.header.message_id = self.next;
        let token = self.next.to_be_bytes().to_vec();
        packet.set_token(token.clone());
        self.next += 1;
        self.socket.send(&packet.to_bytes().unwrap()).await.unwrap();
        token
    }

    /// The next message that is not only of the message layer; that is answered as it must be.
    pub async fn receive(&mut self) -> Packet {
        loop {
            let packet = self.raw().await;
            let reply = |kind| {
                let mut reply = Packet::new();
                reply.header.set_type(kind);
                reply.header.code = MessageClass::Empty;
                reply.header.message_id = packet.header.message_id;
                reply.to_bytes().unwrap()
            };
            let is_empty = packet.header.code == MessageClass::Empty;
            if packet.header.get_type() == MessageType::Confirmable {
                let kind = if is_empty { MessageType::Reset } else { MessageType::Acknowledgement };
                self.socket.send(&reply(kind)).await.unwrap();
            }
            if !is_empty {
                return packet;
            }
        }
    }

    /// The next message, whatever it is.
    pub async fn raw(&mut self) -> Packet {
        let mut buffer = vec![0; 2048];
        let received = tokio::time::timeout(HANG, self.socket.recv(&mut buffer)).await;
        let count = received.expect("something comes").unwrap();
        Packet::from_bytes(&buffer[..count]).unwrap()
    }

    /// Sends a request, and receives its response.
    pub async fn ask(&mut self, packet: Packet) -> Packet {
        let token = self.send(packet).await;
        loop {
            let answer = self.receive().await;
            if answer.get_token() == token {
                return answer;
            }
        }
    }

    pub async fn get(&mut self, path: &str) -> Packet {
        self.ask(packet(RequestType::Get, path)).await
    }

    pub async fn put(&mut self, path: &str, payload: &[u8]) -> Packet {
        let mut put = packet(RequestType::Put, path);
        put.payload = payload.to_vec();
        self.ask(put).await
    }

    /// Begins to observe: the first notification, and the token.
    pub async fn observe(&mut self, path: &str) -> (Packet, Vec<u8>) {
        let register = with(packet(RequestType::Get, path), CoapOption::Observe, &[]);
        let token = self.send(register).await;
        let first = self.receive().await;
        assert_eq!(first.get_token(), token);
        (first, token)
    }
}

pub fn is(packet: &Packet, wanted: ResponseType) -> bool {
    packet.header.code == MessageClass::Response(wanted)
}
