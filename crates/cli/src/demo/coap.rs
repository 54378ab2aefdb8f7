//! CoAP: a sensor that puts its value, by confirmable messages (RFC 7252).

use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, ToSocketAddrs, UdpSocket};
use std::time::Duration;

use super::link::unexpected;
use super::publisher::{Publisher, subject};

pub(super) struct Sensor {
    socket: UdpSocket,
    id: u16,
}

/// A message is sent again after this (`ACK_TIMEOUT`), so often.
const ACK_TIMEOUT: Duration = Duration::from_secs(2);
const TRANSMISSIONS: u32 = 4;

impl Sensor {
    pub(super) fn open(address: &str) -> io::Result<Self> {
        let to = address.to_socket_addrs()?.next().ok_or(io::ErrorKind::NotFound)?;
        let socket = match to.is_ipv4() {
            true => UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 0))?,
            false => UdpSocket::bind((Ipv6Addr::UNSPECIFIED, 0))?,
        };
        socket.connect(to)?;
        socket.set_read_timeout(Some(ACK_TIMEOUT))?;
        // Another sensor at this port, of a moment ago, has other numbers, most likely.
        let id = socket.local_addr()?.port().rotate_left(8);
        Ok(Self { socket, id })
    }
}

impl Publisher for Sensor {
    fn publish(&mut self, reading: &str) -> io::Result<()> {
        self.id = self.id.wrapping_add(1);
        let id = self.id.to_be_bytes();
        let message = put(id, &subject("coap", '/'), reading.as_bytes());
        let mut answer = [0; 1500];
        for _ in 0..TRANSMISSIONS {
            self.socket.send(&message)?;
            while let Ok(length) = self.socket.recv(&mut answer) {
                let answer = &answer[..length];
                // An acknowledgement of this message, with a code of success (2.xx).
                match answer {
                    [first, code, one, two, ..] if [*one, *two] == id && first >> 4 == 6 => {
                        return match code >> 5 {
                            2 => Ok(()),
                            _ => Err(unexpected("it was refused", answer)),
                        };
                    }
                    _ => {}
                }
            }
        }
        Err(io::ErrorKind::TimedOut.into())
    }
}

/// A confirmable `PUT` without a token.
fn put(id: [u8; 2], path: &str, payload: &[u8]) -> Vec<u8> {
    const URI_PATH: u8 = 11;
    const CONTENT_FORMAT: u8 = 12;
    const JSON: u8 = 50;
    let mut message = vec![0x40, 0x03, id[0], id[1]];
    let mut last = 0;
    for level in path.split('/') {
        // Levels of ours are short: a length below 13 needs no more bytes.
        let length = u8::try_from(level.len()).unwrap_or_default().min(12);
        message.push((URI_PATH - last) << 4 | length);
        message.extend(&level.as_bytes()[..usize::from(length)]);
        last = URI_PATH;
    }
    message.extend([(CONTENT_FORMAT - last) << 4 | 1, JSON, 0xff]);
    message.extend(payload);
    message
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_the_standard_has_them() {
        let message = put([1, 2], "demo/x", b"21");
        assert_eq!(message, b"\x40\x03\x01\x02\xb4demo\x01x\x11\x32\xff21");
    }
}
