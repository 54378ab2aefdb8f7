//! One client: a socket of its own, and the requests that it waits for.

use std::io::ErrorKind;
use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::wire::{self, Heard, Template};

/// A request that is not answered is sent again after this, once and again (RFC 7252 §4.2).
const AGAIN: Duration = Duration::from_secs(2);

/// What one client, or all, saw.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// From sending a request to its answer, in microseconds.
    pub(super) took: Vec<f64>,
    /// Requests that were sent again.
    pub(super) lost: u64,
    /// Answers that say that it was not done.
    pub(super) refused: u64,
    /// Answers to what was answered.
    pub(super) duplicate: u64,
}

#[derive(Debug)]
struct Open {
    number: u32,
    begun: Instant,
    sent: Instant,
}

/// A client.
#[derive(Debug)]
pub(super) struct Client {
    pub(super) socket: UdpSocket,
    template: Template,
    next: u32,
    open: Vec<Open>,
    /// How long the payload of an answer is, if that is known.
    wanted: Option<usize>,
}

impl Client {
    /// On a port of its own.
    pub(super) fn new(port: u16, template: Template, wanted: Option<usize>) -> Self {
        let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        socket.connect(("127.0.0.1", port)).expect("an address");
        socket.set_nonblocking(true).expect("an option");
        Self { socket, template, next: 1, open: Vec::new(), wanted }
    }

    /// Asks something else from now on.
    pub(super) fn ask(&mut self, template: Template, wanted: Option<usize>) {
        assert!(self.open.is_empty(), "nothing is awaited");
        (self.template, self.wanted) = (template, wanted);
    }

    /// Requests on their way.
    pub(super) fn open(&self) -> usize {
        self.open.len()
    }

    /// Sends requests until so many are on their way.
    pub(super) fn fill(&mut self, window: usize) {
        while self.open.len() < window {
            let now = Instant::now();
            self.open.push(Open { number: self.next, begun: now, sent: now });
            send(&self.socket, self.template.numbered(self.next));
            self.next += 1;
        }
    }

    /// Takes what has come. No more is looked for than is awaited.
    pub(super) fn hear(&mut self, tally: &mut Tally) {
        let mut buffer = [0; 2048];
        loop {
            let count = match self.socket.recv(&mut buffer) {
                Ok(count) => count,
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(error) => panic!("the server is gone: {error}"),
            };
            match wire::hear(&buffer[..count]) {
                Heard::Answer { number, class, payload } => {
                    self.answered(number, class, payload, tally);
                }
                Heard::Confirm { reply, answer } => {
                    send(&self.socket, &reply);
                    if let Some((number, class, payload)) = answer {
                        self.answered(number, class, payload, tally);
                    }
                }
                Heard::Nothing => {}
            }
            if self.open.is_empty() {
                return;
            }
        }
    }

    fn answered(&mut self, number: u32, class: u8, payload: usize, tally: &mut Tally) {
        let Some(at) = self.open.iter().position(|open| open.number == number) else {
            tally.duplicate += 1;
            return;
        };
        let open = self.open.swap_remove(at);
        if class != 2 {
            tally.refused += 1;
            return;
        }
        assert!(self.wanted.is_none_or(|wanted| wanted == payload), "{payload} bytes of a value");
        tally.took.push(open.begun.elapsed().as_secs_f64() * 1e6);
    }

    /// Sends again what was not answered for long.
    pub(super) fn again(&mut self, now: Instant, tally: &mut Tally) {
        for open in self.open.iter_mut().filter(|open| now.duration_since(open.sent) >= AGAIN) {
            open.sent = now;
            tally.lost += 1;
            send(&self.socket, self.template.numbered(open.number));
        }
    }
}

/// What does not go out is sent again like all that is lost.
fn send(socket: &UdpSocket, bytes: &[u8]) {
    match socket.send(bytes) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::WouldBlock => {}
        Err(error) => panic!("the server is gone: {error}"),
    }
}
