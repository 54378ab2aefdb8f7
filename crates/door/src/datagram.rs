//! Sockets for doors whose protocol has no connections.

mod own;

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use socket2::{Domain, Protocol, Socket, Type};
use tokio::net::UdpSocket;

pub use own::DatagramSocket;

/// Where datagrams are awaited, and how.
#[derive(Debug, Clone)]
pub struct DatagramOptions {
    /// Where; port 0 takes any free one.
    pub address: SocketAddr,
    /// How many sockets share the address. The system gives what one peer sends to one of them.
    pub sockets: usize,
    /// Groups to be in (multicast), on the same port. One that cannot be joined is left out.
    pub groups: Vec<IpAddr>,
    /// Bytes of each socket's receive buffer; none leaves it to the system.
    pub receive_buffer: Option<u32>,
}

impl DatagramOptions {
    /// One socket at `address`, in no group.
    pub fn new(address: SocketAddr) -> Self {
        Self { address, sockets: 1, groups: Vec::new(), receive_buffer: None }
    }
}

/// Sockets that are bound.
#[derive(Debug)]
pub struct Datagrams {
    /// Where, with the real port.
    pub address: SocketAddr,
    /// What is sent to the address comes to one of these, each for a thread of its own.
    pub sockets: Vec<DatagramSocket>,
    /// What is sent to a group comes here: to be answered by one of the others.
    pub groups: Vec<UdpSocket>,
}

impl Datagrams {
    /// Binds the address. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// Whatever the system says, such as that the address is in use.
    pub fn bind(options: &DatagramOptions) -> io::Result<Self> {
        let first = bind(options, options.address)?;
        let address = first.local_address()?;
        let mut sockets = vec![first];
        for _ in 1..options.sockets {
            sockets.push(bind(options, address)?);
        }
        let mut groups = Vec::new();
        for group in &options.groups {
            match join(*group, address.port()) {
                Ok(socket) => groups.push(socket),
                Err(error) => tracing::info!(%group, %error, "not in this group"),
            }
        }
        Ok(Self { address, sockets, groups })
    }
}

fn bind(options: &DatagramOptions, address: SocketAddr) -> io::Result<DatagramSocket> {
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    if options.sockets > 1 {
        socket.set_reuse_port(true)?;
    }
    if address.is_ipv6() && address.ip().is_unspecified() {
        socket.set_only_v6(false)?;
    }
    if let Some(bytes) = options.receive_buffer {
        socket.set_recv_buffer_size(usize::try_from(bytes).unwrap_or(usize::MAX))?;
    }
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    DatagramSocket::new(socket.into())
}

/// A socket bound to a group's own address gets what is sent to the group, and nothing else: so it is known what came how.
fn join(group: IpAddr, port: u16) -> io::Result<UdpSocket> {
    let address = SocketAddr::new(group, port);
    let socket = Socket::new(Domain::for_address(address), Type::DGRAM, Some(Protocol::UDP))?;
    // Others on this machine may be in the group, too.
    socket.set_reuse_address(true)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    match group {
        IpAddr::V4(group) => socket.join_multicast_v4(&group, &Ipv4Addr::UNSPECIFIED)?,
        IpAddr::V6(group) => socket.join_multicast_v6(&group, 0)?,
    }
    UdpSocket::from_std(socket.into())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn several_sockets_share_an_address() {
        let loopback = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let options = DatagramOptions { sockets: 3, ..DatagramOptions::new(loopback) };
        let datagrams = Datagrams::bind(&options).unwrap();
        assert_eq!(datagrams.sockets.len(), 3);
        let taken = Datagrams::bind(&DatagramOptions::new(datagrams.address));
        assert_eq!(taken.unwrap_err().kind(), io::ErrorKind::AddrInUse);
        let client = UdpSocket::bind(loopback).await.unwrap();
        client.send_to(b"hello", datagrams.address).await.unwrap();
        let mut sockets = datagrams.sockets;
        let mut buffer = [0; 8];
        // poll: one of them has it, and each waits a moment; bounded by the test's own deadline.
        let received = loop {
            let mut each = sockets.iter_mut();
            let found = each.find_map(|socket| {
                socket.wait(Duration::from_millis(1));
                socket.receive(&mut buffer).unwrap()
            });
            if let Some(found) = found {
                break found;
            }
        };
        assert_eq!(received, (5, client.local_addr().unwrap()));
    }
}
