//! Datagrams that nobody who means well sends.

use std::time::Duration;

use tokio::net::UdpSocket;
use tokio::time::timeout;

use crate::support::{Client, Fixture, code};

/// Numbers that are a function of a seed.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn bytes(&mut self, max: u64) -> Vec<u8> {
        let count = self.next() % max;
        (0..count).map(|_| self.next().to_le_bytes()[3]).collect()
    }
}

/// A value that no stranger can put or delete by chance.
const PATH: &str = "those/who/mean/well";

/// Asks as clients do: again after two seconds, four times, for what strangers send may leave no room for it (RFC 7252 §4.2).
async fn is_answered(client: &mut Client) -> bool {
    for _ in 0..5 {
        if let Ok(answer) = timeout(Duration::from_secs(2), client.get(PATH)).await {
            return code(&answer) == "2.05";
        }
    }
    false
}

#[tokio::test]
async fn whatever_comes_those_who_mean_well_are_answered() {
    let fixture = Fixture::start().await;
    let mut client = fixture.client().await;
    client.put(PATH, b"1").await;
    let mut noise = Noise(0x9e37_79b9_7f4a_7c15);
    let messages: [&[u8]; 6] = [
        b"\x40\x01\x7d\x34\xbb.well-known\x04core\x47rt=core",
        b"\x41\x01\x00\x08t\x60\x51a\x62\x01\x02\xc1\x06",
        b"\x42\x03\x00\x07tk\xb1a\xd1\x0f\x0e\xff21.5",
        b"\x42\x02\x00\x07tk\xb2ps\x12\x02\x5e\xff\xa2\x00\x61t\x02\x6ccore.ps.data",
        b"\x60\x00\x00\x01",
        b"\x70\x00\x00\x01",
    ];
    for round in 0..200 {
        let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
        stranger.connect(fixture.udp.local_address()).await.unwrap();
        for _ in 0..50 {
            let mut bytes = match noise.next() % 2 {
                0 => noise.bytes(80),
                _ => messages[usize::try_from(noise.next() % 6).unwrap()].to_vec(),
            };
            for _ in 0..noise.next() % 4 {
                if !bytes.is_empty() {
                    let at = usize::try_from(noise.next()).unwrap() % bytes.len();
                    bytes[at] = noise.next().to_le_bytes()[0];
                }
            }
            stranger.send(&bytes).await.unwrap();
        }
        if round % 20 == 0 {
            assert!(is_answered(&mut client).await, "in round {round}");
        }
    }
    // The largest there are, and one that says that it is a piece of something enormous.
    let stranger = UdpSocket::bind("127.0.0.1:0").await.unwrap();
    let mut large = b"\x40\x03\x00\x01\xb1a\xff".to_vec();
    large.resize(65_000, 0);
    for id in 0..50_u8 {
        large[3] = id;
        stranger.send_to(&large, fixture.udp.local_address()).await.unwrap();
    }
    let piece = b"\x40\x03\x01\x01\xb1a\xd3\x03\xff\xff\xfe\xff1234";
    stranger.send_to(piece, fixture.udp.local_address()).await.unwrap();
    assert!(is_answered(&mut client).await);
}
