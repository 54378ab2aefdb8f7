//! DTLS 1.2 with pre-shared keys (RFC 6347, RFC 4279; RFC 7252 §9.1.3.1): the sessions of one socket's clients, without I/O.
//! What a client's key is called is who it is.
//!
//! A client that has lost its session begins a new one from the same address. The old one goes on until the new one is
//! there (RFC 6347 §4.2.8): else whoever forges its address could end it.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::fmt::{self, Debug, Formatter};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use base::Principal;
use bytes::Bytes;
use dimpl::crypto::Dtls12CipherSuite;
use dimpl::{Config, Dtls, Output, PskResolver};
use parking_lot::Mutex;

use crate::limits::{HANDSHAKES_MAX, SESSION_IDLE, SESSIONS_MAX};
use crate::remote::Remote;

/// Kinds of records (RFC 6347 §4.1).
const HANDSHAKE: u8 = 22;
const APPLICATION_DATA: u8 = 23;
/// Bytes that the outside of a record has in front of what is in it.
const RECORD_HEADER_BYTES: usize = 13;
/// What a message of a handshake begins with that begins one (RFC 5246 §7.4).
const CLIENT_HELLO: u8 = 1;
/// Room for one record.
const BUFFER_BYTES: usize = 20 << 10;

/// Keys by the names of those who have them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct PskKeys(pub BTreeMap<String, Vec<u8>>);

/// Fewer bytes can be tried out.
const KEY_BYTES_MIN: usize = 16;

impl PskKeys {
    /// From `NAME=KEY`, separated by commas, each key in hexadecimal.
    ///
    /// # Errors
    /// Says what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let mut keys = BTreeMap::new();
        for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let (name, key) = pair.split_once('=').ok_or("NAME=KEY, the key in hexadecimal")?;
            let (name, key) = (name.trim(), key.trim());
            let key = unhex(key).filter(|key| key.len() >= KEY_BYTES_MIN && !name.is_empty());
            // The key itself is in no text of an error.
            let key = key.ok_or_else(|| {
                format!("for {name:?} a key of {KEY_BYTES_MIN} bytes at least, in hexadecimal")
            })?;
            if keys.insert(name.to_owned(), key).is_some() {
                return Err(format!("{name:?} once"));
            }
        }
        Ok(Self(keys))
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digits = text.as_bytes().chunks(2).map(|pair| {
        let pair = std::str::from_utf8(pair).ok().filter(|pair| pair.len() == 2)?;
        let is_plain = pair.bytes().all(|byte| byte.is_ascii_hexdigit());
        is_plain.then(|| u8::from_str_radix(pair, 16).ok())?
    });
    digits.collect()
}

/// Names only.
impl Debug for PskKeys {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

/// Finds the keys of clients, and remembers whose was asked for last: all that a handshake does is done at once, so that is
/// the client of the link that asked.
#[derive(Debug)]
struct Resolver {
    keys: Arc<PskKeys>,
    /// Whole, whatever fails while it is locked.
    last: AssertUnwindSafe<Mutex<Option<String>>>,
}

impl PskResolver for Resolver {
    fn resolve(&self, identity: &[u8]) -> Option<Vec<u8>> {
        let name = std::str::from_utf8(identity).ok()?;
        let key = self.keys.0.get(name)?.clone();
        *self.last.lock() = Some(name.to_owned());
        Some(key)
    }
}

/// One side's view of a session.
#[derive(Debug)]
struct Link {
    /// No other of this socket has it.
    number: u64,
    dtls: Dtls,
    /// Whose key it has.
    who: Option<String>,
    is_connected: bool,
    /// When it has something to do.
    timer: Instant,
}

/// What came of something that was done with a link.
#[derive(Debug, PartialEq, Eq)]
enum State {
    /// It goes on.
    On,
    /// It is there now.
    Connected,
    /// It is over.
    Over,
}

/// A client's session, and the one that is to replace it.
#[derive(Debug)]
struct Session {
    link: Link,
    coming: Option<Link>,
    /// When something came last.
    last: Instant,
    /// Its place among the timers.
    timer: Instant,
}

/// A message that a client sent.
type Said = (Remote, Bytes);
/// A datagram that is to be sent.
type Packet = (SocketAddr, Bytes);

/// All sessions of one socket.
#[derive(Debug)]
pub(crate) struct Sessions {
    resolver: Arc<Resolver>,
    /// Made once, for the cryptography tries itself out then. `None`: DTLS cannot be spoken.
    config: Option<Arc<Config>>,
    all: HashMap<SocketAddr, Session>,
    /// Clients whose first session is not there yet, the oldest first; some are there by now.
    hellos: VecDeque<SocketAddr>,
    timers: BTreeSet<(Instant, SocketAddr)>,
    /// The number of the last link.
    number: u64,
    buffer: Vec<u8>,
    plain: Vec<Said>,
    output: Vec<Packet>,
    ended: Vec<Remote>,
}

impl Sessions {
    pub(crate) fn new(keys: Arc<PskKeys>) -> Self {
        let resolver = Arc::new(Resolver { keys, last: AssertUnwindSafe(Mutex::default()) });
        Self {
            config: config(&resolver),
            resolver,
            all: HashMap::new(),
            hellos: VecDeque::new(),
            timers: BTreeSet::new(),
            number: 0,
            buffer: vec![0; BUFFER_BYTES],
            plain: Vec::new(),
            output: Vec::new(),
            ended: Vec::new(),
        }
    }

    /// What clients said.
    pub(crate) fn take_plain(&mut self) -> Vec<Said> {
        std::mem::take(&mut self.plain)
    }

    /// What is to be sent.
    pub(crate) fn take_output(&mut self) -> Vec<Packet> {
        std::mem::take(&mut self.output)
    }

    /// Sessions that are over.
    pub(crate) fn take_ended(&mut self) -> Vec<Remote> {
        std::mem::take(&mut self.ended)
    }

    /// Who a client is, whose session goes on.
    pub(crate) fn principal(&self, peer: Remote) -> Option<Principal> {
        let link = &self.all.get(&peer.address)?.link;
        let who = link.who.as_ref().filter(|_| link.number == peer.session)?;
        Some(Principal::user(who))
    }

    /// Takes a datagram that came.
    pub(crate) fn receive(&mut self, now: Instant, peer: SocketAddr, packet: &[u8]) {
        let &[kind, _, _, epoch_high, epoch_low, ..] = packet else { return };
        if packet.len() < RECORD_HEADER_BYTES {
            return;
        }
        let is_clear = epoch_high == 0 && epoch_low == 0;
        let message = packet.get(RECORD_HEADER_BYTES);
        let is_hello = is_clear && kind == HANDSHAKE && message == Some(&CLIENT_HELLO);
        let is_here = self.all.contains_key(&peer) || (is_hello && self.add(now, peer));
        if !is_here {
            return;
        }
        let Some(session) = self.all.get_mut(&peer) else { return };
        session.last = now;
        if !session.link.is_connected || kind == APPLICATION_DATA {
            return self.drive(now, peer, false, Some(packet));
        }
        if is_hello && session.coming.is_none() {
            self.number += 1;
            session.coming = self.config.as_ref().map(|it| Link::new(it, self.number, now));
        }
        // The end of a handshake that came again is of the one that is there: its client did not hear that it is.
        if !is_hello {
            self.drive(now, peer, false, Some(packet));
        }
        self.drive(now, peer, true, Some(packet));
    }

    /// Begins a session with somebody who was not here.
    fn add(&mut self, now: Instant, peer: SocketAddr) -> bool {
        while self.hellos.len() >= HANDSHAKES_MAX {
            let Some(oldest) = self.hellos.pop_front() else { break };
            if self.all.get(&oldest).is_some_and(|session| !session.link.is_connected) {
                self.remove(oldest);
            }
        }
        if self.all.len() >= SESSIONS_MAX {
            return false;
        }
        let Some(config) = &self.config else { return false };
        self.number += 1;
        let link = Link::new(config, self.number, now);
        self.timers.insert((now, peer));
        self.hellos.push_back(peer);
        self.all.insert(peer, Session { link, coming: None, last: now, timer: now });
        true
    }

    fn remove(&mut self, peer: SocketAddr) {
        if let Some(session) = self.all.remove(&peer) {
            self.timers.remove(&(session.timer, peer));
            self.ended.push(Remote { address: peer, session: session.link.number });
        }
    }

    /// Has one of a client's links do what there is to do.
    fn drive(&mut self, now: Instant, peer: SocketAddr, is_coming: bool, packet: Option<&[u8]>) {
        let Some(session) = self.all.get_mut(&peer) else { return };
        if is_coming && session.coming.is_none() {
            return;
        }
        let link = match &mut session.coming {
            Some(coming) if is_coming => coming,
            _ => &mut session.link,
        };
        let state = link.take(now, packet);
        let to = (&mut self.plain, &mut self.output);
        let state = match state {
            State::Over => State::Over,
            _ => link.drain(peer, &mut self.buffer, to),
        };
        if let Some(who) = self.resolver.last.lock().take() {
            link.who = Some(who);
        }
        match state {
            State::On => {}
            State::Connected if is_coming => {
                // Nothing of what was before counts any more.
                if let Some(coming) = session.coming.take() {
                    let old = std::mem::replace(&mut session.link, coming);
                    self.ended.push(Remote { address: peer, session: old.number });
                }
            }
            State::Connected => self.hellos.retain(|other| *other != peer),
            State::Over if is_coming => session.coming = None,
            State::Over => return self.remove(peer),
        }
        self.set_timer(peer);
    }

    fn set_timer(&mut self, peer: SocketAddr) {
        let Some(session) = self.all.get_mut(&peer) else { return };
        let next = session.coming.as_ref().map(|coming| coming.timer);
        let timer = session.link.timer.min(session.last + SESSION_IDLE);
        let timer = next.map_or(timer, |next| next.min(timer));
        self.timers.remove(&(session.timer, peer));
        session.timer = timer;
        self.timers.insert((timer, peer));
    }

    /// Sends something to a client, if its session goes on.
    pub(crate) fn send(&mut self, now: Instant, peer: Remote, bytes: &[u8]) {
        let Some(session) = self.all.get_mut(&peer.address) else { return };
        let link = &mut session.link;
        let is_it = link.is_connected && link.number == peer.session;
        if is_it && link.dtls.send_application_data(bytes).is_ok() {
            self.drive(now, peer.address, false, None);
        }
    }

    /// When [`Self::poll`] has something to do.
    pub(crate) fn next_time(&self) -> Option<Instant> {
        self.timers.first().map(|(at, _)| *at)
    }

    /// Does what is due by now.
    pub(crate) fn poll(&mut self, now: Instant) {
        // Each once: what is due again at once is done the next time.
        let due = self.timers.iter().take_while(|(at, _)| *at <= now).map(|(_, peer)| *peer);
        let due: Vec<_> = due.collect();
        for peer in due {
            let Some(session) = self.all.get_mut(&peer) else { continue };
            if session.last + SESSION_IDLE <= now {
                let _closed = session.link.dtls.close();
                self.drive(now, peer, false, None);
                self.remove(peer);
                continue;
            }
            self.drive(now, peer, false, None);
            self.drive(now, peer, true, None);
        }
    }
}

/// The suite that RFC 7252 §9.1.3.1 asks for, and no other.
fn config(resolver: &Arc<Resolver>) -> Option<Arc<Config>> {
    let config = Config::builder()
        .dtls12_cipher_suites(&[Dtls12CipherSuite::PSK_AES128_CCM_8])
        .dtls13_cipher_suites(&[])
        .with_psk_server(None, Arc::clone(resolver) as _)
        .build();
    let config = config.inspect_err(|error| tracing::error!(%error, "DTLS cannot be spoken"));
    config.ok().map(Arc::new)
}

impl Link {
    fn new(config: &Arc<Config>, number: u64, now: Instant) -> Self {
        let dtls = Dtls::new_12_psk(Arc::clone(config), now);
        Self { number, dtls, who: None, is_connected: false, timer: now }
    }

    /// Takes the time, and a datagram if there is one.
    fn take(&mut self, now: Instant, packet: Option<&[u8]>) -> State {
        let taken = self.dtls.handle_timeout(now);
        let taken =
            taken.and_then(|()| packet.map_or(Ok(()), |packet| self.dtls.handle_packet(packet)));
        match taken {
            // What cannot be read is nobody's, once there is a session (RFC 6347 §4.1.2.7).
            Err(error) if !self.is_connected || self.dtls.is_closed() => {
                tracing::debug!(%error, "a session ends");
                State::Over
            }
            _ => State::On,
        }
    }

    /// Takes all that it has.
    fn drain(
        &mut self,
        peer: SocketAddr,
        buffer: &mut Vec<u8>,
        (plain, output): (&mut Vec<Said>, &mut Vec<Packet>),
    ) -> State {
        let mut state = State::On;
        loop {
            match self.dtls.poll_output(buffer) {
                Output::Packet(bytes) => output.push((peer, Bytes::copy_from_slice(bytes))),
                Output::ApplicationData(bytes) => {
                    let from = Remote { address: peer, session: self.number };
                    plain.push((from, Bytes::copy_from_slice(bytes)));
                }
                Output::Connected => {
                    self.is_connected = true;
                    state = State::Connected;
                }
                Output::CloseNotify => state = State::Over,
                Output::BufferTooSmall { needed } => buffer.resize(needed, 0),
                Output::Timeout(at) => {
                    self.timer = at;
                    return if self.dtls.is_closed() { State::Over } else { state };
                }
                _ => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[derive(Debug)]
    struct Key(&'static [u8]);

    impl PskResolver for Key {
        fn resolve(&self, _identity: &[u8]) -> Option<Vec<u8>> {
            Some(self.0.to_vec())
        }
    }

    fn client(identity: &str, key: &'static [u8], now: Instant) -> Dtls {
        let config = Config::builder().with_psk_client(identity.into(), Arc::new(Key(key)));
        let mut client = Dtls::new_12_psk(Arc::new(config.build().expect("a configuration")), now);
        client.set_active(true);
        client
    }

    /// What a client has: packets, application data, whether it is connected.
    fn drain(client: &mut Dtls) -> (Vec<Vec<u8>>, Vec<Vec<u8>>, bool) {
        let mut buffer = vec![0; BUFFER_BYTES];
        let (mut packets, mut plain, mut connected) = (Vec::new(), Vec::new(), false);
        loop {
            match client.poll_output(&mut buffer) {
                Output::Packet(bytes) => packets.push(bytes.to_vec()),
                Output::ApplicationData(bytes) => plain.push(bytes.to_vec()),
                Output::Connected => connected = true,
                Output::Timeout(_) => return (packets, plain, connected),
                _ => {}
            }
        }
    }

    fn peer() -> SocketAddr {
        ([10, 0, 0, 1], 5684).into()
    }

    /// The client of this session, of the numbers from one on.
    fn remote(session: u64) -> Remote {
        Remote { address: peer(), session }
    }

    fn sessions() -> Sessions {
        let keys = [("thing".to_owned(), b"0123456789abcdef".to_vec())];
        Sessions::new(Arc::new(PskKeys(keys.into())))
    }

    /// Carries packets both ways until nothing more comes. Whether the client is connected.
    fn shake(client: &mut Dtls, sessions: &mut Sessions, now: Instant) -> bool {
        let mut is_connected = false;
        for _ in 0..20 {
            let _failed = client.handle_timeout(now);
            let (packets, _, connected) = drain(client);
            is_connected |= connected;
            for packet in &packets {
                sessions.receive(now, peer(), packet);
            }
            let output = sessions.take_output();
            if packets.is_empty() && output.is_empty() {
                break;
            }
            for (_, packet) in output {
                let _failed = client.handle_packet(&packet);
            }
        }
        is_connected
    }

    #[test]
    fn who_has_a_key_is_who_it_says_and_is_talked_to() {
        let (mut sessions, now) = (sessions(), Instant::now());
        let mut thing = client("thing", b"0123456789abcdef", now);
        assert!(shake(&mut thing, &mut sessions, now));
        assert_eq!(sessions.principal(remote(1)), Some(Principal::user("thing")));
        thing.send_application_data(b"to the door").expect("sent");
        shake(&mut thing, &mut sessions, now);
        assert_eq!(sessions.take_plain(), [(remote(1), Bytes::from_static(b"to the door"))]);
        sessions.send(now, remote(1), b"and back");
        for (_, packet) in sessions.take_output() {
            thing.handle_packet(&packet).expect("good");
        }
        assert_eq!(drain(&mut thing).1, [b"and back"]);
        assert!(sessions.take_ended().is_empty());
        // It has forgotten all, and comes again.
        let mut again = client("thing", b"0123456789abcdef", now);
        assert!(shake(&mut again, &mut sessions, now));
        assert_eq!(sessions.take_ended(), [remote(1)]);
        assert_eq!(sessions.principal(remote(1)), None, "that one is over");
        sessions.send(now, remote(1), b"an answer to who was there before");
        assert!(sessions.take_output().is_empty());
        again.send_application_data(b"I am back").expect("sent");
        shake(&mut again, &mut sessions, now);
        assert_eq!(sessions.take_plain(), [(remote(2), Bytes::from_static(b"I am back"))]);
    }

    #[test]
    fn the_end_of_a_handshake_is_said_again_to_who_did_not_hear_it() {
        let (mut sessions, mut now) = (sessions(), Instant::now());
        let mut thing = client("thing", b"0123456789abcdef", now);
        let (mut is_lost, mut is_connected) = (false, false);
        for _ in 0..20 {
            thing.handle_timeout(now).expect("it goes on");
            let (packets, _, connected) = drain(&mut thing);
            is_connected |= connected;
            packets.iter().for_each(|packet| sessions.receive(now, peer(), packet));
            let output = sessions.take_output();
            let is_there = sessions.all[&peer()].link.is_connected;
            if is_there && !std::mem::replace(&mut is_lost, true) {
                // What tells the client so is lost; it asks again after some time.
                now += Duration::from_secs(5);
                continue;
            }
            output.iter().for_each(|(_, packet)| drop(thing.handle_packet(packet)));
        }
        assert!(is_lost && is_connected);
        assert!(sessions.take_ended().is_empty(), "it is the same session");
        thing.send_application_data(b"at last").expect("sent");
        shake(&mut thing, &mut sessions, now);
        assert_eq!(sessions.take_plain(), [(remote(1), Bytes::from_static(b"at last"))]);
    }

    #[test]
    fn keys_are_read_and_none_is_shown() {
        let keys = PskKeys::parse(
            "a=000102030405060708090a0b0c0d0e0f, b = FFffFFffFFffFFffFFffFFffFFffFFff",
        );
        let keys = keys.expect("two keys");
        assert_eq!(keys.0["a"], (0..16).collect::<Vec<u8>>());
        assert_eq!(format!("{keys:?}"), r#"{"a", "b"}"#);
        assert_eq!(PskKeys::parse(""), Ok(PskKeys::default()));
        for bad in [
            "a",
            "a=00",
            "a=zz0102030405060708090a0b0c0d0e0f",
            "=000102030405060708090a0b0c0d0e0f",
            "a=000102030405060708090a0b0c0d0e0f0",
            "a=+00102030405060708090a0b0c0d0e0f",
        ] {
            let error = PskKeys::parse(bad).expect_err(bad);
            assert!(!error.contains("0102"), "{error}");
        }
        let twice = "a=000102030405060708090a0b0c0d0e0f,a=000102030405060708090a0b0c0d0e0f";
        assert!(PskKeys::parse(twice).is_err());
    }

    #[test]
    fn who_has_none_is_not() {
        for (identity, key) in [("other", &b"0123456789abcdef"[..]), ("thing", b"another key here")]
        {
            let (mut sessions, now) = (sessions(), Instant::now());
            let mut thing = client(identity, key, now);
            assert!(!shake(&mut thing, &mut sessions, now), "{identity}");
            let _unsent = thing.send_application_data(b"anything");
            shake(&mut thing, &mut sessions, now);
            assert!(sessions.take_plain().is_empty());
            sessions.send(now, remote(1), b"anything");
            assert!(sessions.take_output().is_empty());
        }
        let (mut sessions, now) = (sessions(), Instant::now());
        sessions.receive(now, peer(), &[23; 100]);
        sessions.receive(now, peer(), &[22, 1]);
        assert!(sessions.all.is_empty(), "nobody said hello");
    }

    #[test]
    fn handshakes_that_do_not_end_are_bounded_and_sessions_end() {
        let (mut sessions, now) = (sessions(), Instant::now());
        let mut thing = client("thing", b"0123456789abcdef", now);
        let _begun = thing.handle_timeout(now);
        let hello = drain(&mut thing).0.remove(0);
        for port in 0..u16::try_from(HANDSHAKES_MAX + 100).expect("a port") {
            sessions.receive(now, ([10, 0, 0, 2], port).into(), &hello);
        }
        assert!(sessions.all.len() <= HANDSHAKES_MAX, "{}", sessions.all.len());
        let later = now + SESSION_IDLE + Duration::from_secs(1);
        sessions.poll(later);
        assert_eq!((sessions.all.len(), sessions.timers.len()), (0, 0));
    }
}
