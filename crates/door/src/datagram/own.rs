//! A socket whose thread does nothing but serve it: it waits in the system for datagrams, without a runtime between, and
//! sends what came of a round of them with one call.

use std::io::{self, ErrorKind, IoSlice, Read, Write};
use std::net::{SocketAddr, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// Datagrams that are sent with one call.
const SENT_AT_ONCE: usize = 64;
/// How long is waited for room for what is to be sent; what then has none is lost, as it may be on the way.
const SEND_PATIENCE: Duration = Duration::from_millis(100);

/// A socket of one thread, which waits for datagrams and for other threads.
#[derive(Debug)]
pub struct DatagramSocket {
    socket: UdpSocket,
    bell: Arc<Bell>,
    /// The other end of the bell's.
    rung: UnixStream,
}

/// Wakes the thread, from any other: with a byte, where it sleeps.
#[derive(Debug)]
struct Bell {
    state: AtomicU8,
    rope: UnixStream,
}

/// The thread is at work, and was not called since it slept last.
const AWAKE: u8 = 0;
/// It waits.
const ASLEEP: u8 = 1;
/// It was called.
const RUNG: u8 = 2;

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        if self.state.swap(RUNG, Ordering::AcqRel) == ASLEEP {
            // Where there is no room it is full of what will wake the thread.
            let _full = (&self.rope).write(&[0]);
        }
    }
}

impl DatagramSocket {
    /// Of a socket that is bound and does not block.
    pub(super) fn new(socket: UdpSocket) -> io::Result<Self> {
        let (rope, rung) = UnixStream::pair()?;
        rope.set_nonblocking(true)?;
        rung.set_nonblocking(true)?;
        // Called once, so that whoever has something to look at does so before it waits for the first time.
        let bell = Arc::new(Bell { state: AtomicU8::new(RUNG), rope });
        Ok(Self { socket, bell, rung })
    }

    pub(super) fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// What ends [`Self::wait`], from any thread.
    pub fn waker(&self) -> Waker {
        Waker::from(Arc::clone(&self.bell))
    }

    /// Waits until datagrams are there, a waker was woken, or the time is over. Whether a waker was, since it was asked last.
    pub fn wait(&mut self, longest: Duration) -> bool {
        let bell = &self.bell.state;
        let sleeps = bell.compare_exchange(AWAKE, ASLEEP, Ordering::AcqRel, Ordering::Acquire);
        if sleeps.is_ok() {
            let mut both =
                [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(&self.rung, PollFlags::IN)];
            wait_for(&mut both, longest);
            let is_rung = both.iter().skip(1).any(|one| !one.revents().is_empty());
            if is_rung {
                let _drained = (&self.rung).read(&mut [0; 64]);
            }
        }
        self.bell.state.swap(AWAKE, Ordering::AcqRel) == RUNG
    }

    /// Takes a datagram that has come: its bytes, and who sent it. `None`: there are no more.
    ///
    /// # Errors
    /// What became of something that was sent before; others may be there.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<(usize, SocketAddr)>> {
        match self.socket.recv_from(buffer) {
            Ok(received) => Ok(Some(received)),
            Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sends datagrams. What the system does not take is lost, as it may be on the way.
    pub fn send<'a>(&self, datagrams: impl IntoIterator<Item = (SocketAddr, &'a [u8])>) {
        let mut datagrams = datagrams.into_iter();
        loop {
            let some: Vec<_> = datagrams.by_ref().take(SENT_AT_ONCE).collect();
            let mut rest = &some[..];
            while let Some(((to, bytes), others)) = rest.split_first() {
                let sent = match others {
                    [] => self.socket.send_to(bytes, to).map(|_| 1),
                    _ => send_some(&self.socket, rest),
                };
                match sent {
                    Ok(count) => rest = rest.get(count.max(1)..).unwrap_or_default(),
                    Err(error) if error.kind() == ErrorKind::Interrupted => {}
                    Err(error) if error.kind() == ErrorKind::WouldBlock && self.has_room() => {}
                    Err(error) => {
                        tracing::trace!(%to, %error, "a datagram could not be sent");
                        rest = others;
                    }
                }
            }
            if some.len() < SENT_AT_ONCE {
                return;
            }
        }
    }

    /// Waits a moment for room for what is to be sent.
    fn has_room(&self) -> bool {
        let mut one = [PollFd::new(&self.socket, PollFlags::OUT)];
        wait_for(&mut one, SEND_PATIENCE)
    }
}

/// Whether something happened to one of these before the time was over.
fn wait_for(all: &mut [PollFd<'_>], longest: Duration) -> bool {
    // Longer than there are seconds is for ever.
    let longest = Timespec::try_from(longest).ok();
    // It may end early: whoever waits looks what there is.
    poll(all, longest.as_ref()).is_ok_and(|count| count > 0)
}

/// Sends the first of these, and as many more as the system takes: how many.
#[cfg(target_os = "linux")]
fn send_some(socket: &UdpSocket, datagrams: &[(SocketAddr, &[u8])]) -> io::Result<usize> {
    use rustix::net::{MMsgHdr, SendAncillaryBuffer, SendFlags, SocketAddrAny, sendmmsg};

    let to: Vec<_> = datagrams.iter().map(|(to, _)| SocketAddrAny::from(*to)).collect();
    let bytes: Vec<_> = datagrams.iter().map(|(_, bytes)| [IoSlice::new(bytes)]).collect();
    let mut nothing: Vec<_> = to.iter().map(|_| SendAncillaryBuffer::default()).collect();
    let each = to.iter().zip(&bytes).zip(&mut nothing);
    let mut messages: Vec<_> =
        each.map(|((to, bytes), nothing)| MMsgHdr::new_with_addr(to, bytes, nothing)).collect();
    Ok(sendmmsg(socket, &mut messages, SendFlags::empty())?)
}

/// Sends the first of these.
#[cfg(not(target_os = "linux"))]
fn send_some(socket: &UdpSocket, datagrams: &[(SocketAddr, &[u8])]) -> io::Result<usize> {
    let Some((to, bytes)) = datagrams.first() else { return Ok(0) };
    socket.send_to(bytes, to).map(|_| 1)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    const LONG: Duration = Duration::from_secs(30);

    fn socket() -> (DatagramSocket, SocketAddr) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.set_nonblocking(true).unwrap();
        let address = socket.local_addr().unwrap();
        (DatagramSocket::new(socket).unwrap(), address)
    }

    #[test]
    fn a_thread_that_waits_is_woken_by_datagrams_by_others_and_in_time() {
        let (mut socket, address) = socket();
        assert!(socket.wait(LONG), "the first time it looks what there is");
        assert!(!socket.wait(Duration::ZERO));
        let waker = socket.waker();
        waker.wake_by_ref();
        waker.wake_by_ref();
        assert!(socket.wait(LONG), "called while it was at work");
        assert!(!socket.wait(Duration::ZERO), "once");
        let begun = Instant::now();
        std::thread::scope(|scope| {
            scope.spawn(|| waker.wake_by_ref());
            assert!(socket.wait(LONG));
        });
        let other = UdpSocket::bind("127.0.0.1:0").unwrap();
        other.send_to(b"hello", address).unwrap();
        // What is left of a call may end a wait early, once.
        while socket.receive(&mut []).unwrap().is_none() {
            socket.wait(LONG);
        }
        assert!(begun.elapsed() < LONG);
    }

    #[test]
    fn many_datagrams_are_sent_and_those_that_cannot_be_do_not_stop_the_others() {
        let ((here, _), (there, address)) = (socket(), socket());
        let values: Vec<_> = (0..150_u8).map(|number| vec![number; 9]).collect();
        let too_large = vec![0; 70_000];
        let mut all: Vec<_> = values.iter().map(|value| (address, &value[..])).collect();
        for at in [150, 100, 64, 63, 0] {
            all.insert(at, (address, &too_large));
        }
        here.send(all);
        let mut buffer = [0; 16];
        for value in &values {
            let (count, _) = there.receive(&mut buffer).unwrap().expect("all are there");
            assert_eq!(&buffer[..count], value);
        }
        assert_eq!(there.receive(&mut buffer).unwrap(), None);
    }
}
