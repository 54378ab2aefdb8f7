//! Connections that never block, all served by one thread: it needs no lock and wakes nobody, so that nearly all that is
//! measured is the broker.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::OwnedFd;
use std::time::Duration;

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, timerfd_create, timerfd_settime,
};

/// Bytes that are read at a time.
const READ: usize = 128 * 1024;

/// The longest that an answer to a greeting, a subscription or a declaration may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A connection.
#[derive(Debug)]
pub(crate) struct Link {
    stream: TcpStream,
    /// The beginning of a packet.
    held: Vec<u8>,
    /// What is to be sent, and how much of it is.
    out: Vec<u8>,
    sent: usize,
    is_readable: bool,
    is_writable: bool,
    is_closed: bool,
}

impl Link {
    /// A connection on which nothing was said yet; it blocks.
    pub(crate) fn dial(address: &str) -> Self {
        let stream = TcpStream::connect(address).expect("the broker listens");
        stream.set_nodelay(true).expect("an option");
        stream.set_read_timeout(Some(PATIENCE)).expect("an option");
        Self {
            stream,
            held: Vec::new(),
            out: Vec::new(),
            sent: 0,
            is_readable: false,
            is_writable: true,
            is_closed: false,
        }
    }

    /// Sends bytes; waits for that.
    pub(crate) fn say(&mut self, bytes: &[u8]) {
        self.stream.write_all(bytes).expect("written");
    }

    /// Waits until what comes ends so.
    pub(crate) fn expect(&mut self, end: &[u8]) {
        self.hear_until(|seen| seen.ends_with(end).then_some(()));
    }

    /// Waits until `found` finds what it looks for in all that came. What came with it is gone.
    pub(crate) fn hear_until<T>(&mut self, mut found: impl FnMut(&[u8]) -> Option<T>) -> T {
        let mut seen = Vec::new();
        let mut space = [0; 4096];
        loop {
            let count = self.stream.read(&mut space).expect("an answer");
            assert!(count > 0, "closed after {:?}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&space[..count]);
            if let Some(found) = found(&seen) {
                return found;
            }
        }
    }

    /// Waits until the broker has closed it.
    pub(crate) fn expect_end(&mut self) {
        let mut space = [0; 4096];
        while self.stream.read(&mut space).expect("an end") > 0 {}
    }

    /// The buffer of what is to be sent.
    pub(crate) fn out(&mut self) -> &mut Vec<u8> {
        &mut self.out
    }

    /// All was sent.
    pub(crate) fn is_flushed(&self) -> bool {
        self.out.is_empty()
    }

    /// Something can be done without waiting.
    pub(crate) fn is_busy(&self) -> bool {
        self.is_readable || (self.is_writable && !self.out.is_empty())
    }

    pub(crate) fn is_readable(&self) -> bool {
        self.is_readable
    }

    /// Sends as much as goes at once.
    pub(crate) fn write(&mut self) {
        while self.is_writable && self.sent < self.out.len() {
            match self.stream.write(&self.out[self.sent..]) {
                Ok(count) => self.sent += count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_writable = false,
                Err(_) => self.close(),
            }
        }
        if self.sent == self.out.len() {
            self.out.clear();
            self.sent = 0;
        }
    }

    /// Reads once, and has `hear` take in what came: it appends what is to be said in return, and says how many bytes were
    /// whole packets.
    pub(crate) fn read(
        &mut self,
        scratch: &mut Vec<u8>,
        hear: impl FnOnce(&[u8], &mut Vec<u8>) -> usize,
    ) {
        scratch.resize(self.held.len() + READ, 0);
        scratch[..self.held.len()].copy_from_slice(&self.held);
        match self.stream.read(&mut scratch[self.held.len()..]) {
            Ok(0) => self.close(),
            Ok(count) => {
                // Less than was asked for is all there is, of a stream.
                self.is_readable = count == READ;
                let input = &scratch[..self.held.len() + count];
                let used = hear(input, &mut self.out);
                self.held.clear();
                self.held.extend_from_slice(&input[used..]);
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => self.is_readable = false,
            Err(_) => self.close(),
        }
    }

    /// The broker has cut it off: what does not come any more counts as lost.
    fn close(&mut self) {
        self.is_closed = true;
        self.is_readable = false;
        self.is_writable = false;
        self.out.clear();
        self.sent = 0;
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.is_closed
    }
}

/// Waits for connections.
pub(crate) struct Poll {
    epoll: OwnedFd,
    events: Vec<Event>,
}

impl Poll {
    /// For these connections, which do not block from now on.
    pub(crate) fn new(links: &[Link]) -> Self {
        let epoll = epoll::create(CreateFlags::CLOEXEC).expect("a descriptor");
        for (number, link) in (0..).zip(links) {
            link.stream.set_nonblocking(true).expect("an option");
            let flags = EventFlags::IN | EventFlags::OUT | EventFlags::RDHUP | EventFlags::ET;
            epoll::add(&epoll, &link.stream, EventData::new_u64(number), flags).expect("added");
        }
        Self { epoll, events: Vec::with_capacity(1024) }
    }

    /// Also waits for a timer, which has no number of a connection.
    pub(crate) fn and(&mut self, timer: &Timer) {
        let flags = EventFlags::IN;
        epoll::add(&self.epoll, &timer.0, EventData::new_u64(u64::MAX), flags).expect("added");
    }

    /// Waits so long at most until something can be done; whether the timer ticked.
    pub(crate) fn wait(&mut self, links: &mut [Link], longest: Duration) -> bool {
        let longest = Timespec::try_from(longest).expect("a short time");
        let buffer = rustix::buffer::spare_capacity(&mut self.events);
        match epoll::wait(&self.epoll, buffer, Some(&longest)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => panic!("cannot wait: {error}"),
        }
        let mut ticked = false;
        for event in self.events.drain(..) {
            let (flags, number) = (event.flags, event.data.u64());
            let link = usize::try_from(number).ok().and_then(|number| links.get_mut(number));
            let Some(link) = link else {
                ticked = true;
                continue;
            };
            let ends = EventFlags::RDHUP | EventFlags::HUP | EventFlags::ERR;
            link.is_readable |= flags.intersects(EventFlags::IN | ends) && !link.is_closed;
            link.is_writable |= flags.contains(EventFlags::OUT) && !link.is_closed;
        }
        ticked
    }
}

/// Ticks so often, for [`Poll::and`].
#[derive(Debug)]
pub(crate) struct Timer(OwnedFd);

impl Timer {
    /// From now on.
    pub(crate) fn every(time: Duration) -> Self {
        let timer =
            timerfd_create(TimerfdClockId::Monotonic, TimerfdFlags::CLOEXEC).expect("a descriptor");
        let interval = Timespec::try_from(time).expect("a short time");
        let times = Itimerspec { it_interval: interval, it_value: interval };
        timerfd_settime(&timer, TimerfdTimerFlags::empty(), &times).expect("a timer");
        Self(timer)
    }

    /// Takes the ticks that came; waits for one, if none has.
    pub(crate) fn take(&self) {
        let mut ticks = [0; 8];
        rustix::io::read(&self.0, &mut ticks).expect("the timer ticked");
    }
}
