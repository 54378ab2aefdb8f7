//! The message layer on simulated time, over a network that loses, repeats and reorders.

use std::collections::BTreeMap;
use std::net::SocketAddr;

use parking_lot::Mutex;

use super::*;
use crate::limits::{ACK_TIMEOUT_MS, EXCHANGE_LIFETIME_MS};
use crate::wire::number;
use crate::wire::option::Writer;

/// Random numbers that are a function of a seed.
#[derive(Debug)]
struct Seeded(Mutex<u64>);

impl Seeded {
    fn new(seed: u64) -> Self {
        Self(Mutex::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1))
    }

    fn next(&self) -> u64 {
        let mut state = self.0.lock();
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 8
    }

    fn chance(&self, percent: u64) -> bool {
        self.next() % 100 < percent
    }
}

impl Random for Seeded {
    fn fill(&self, out: &mut [u8]) {
        out.iter_mut().for_each(|byte| *byte = self.next().to_le_bytes()[0]);
    }
}

fn peer(number: u16) -> Remote {
    SocketAddr::from(([127, 0, 0, 1], 10_000 + number)).into()
}

fn endpoint() -> Endpoint {
    Endpoint::new(Arc::new(Seeded::new(7)))
}

fn token(number: u32) -> Token {
    Token::new(&number.to_be_bytes()).expect("short enough")
}

/// What a datagram is on the network.
fn size(bytes: &Bytes) -> usize {
    HEADERS_BYTES + bytes.len()
}

fn get(kind: Kind, id: u16, number: u32) -> Bytes {
    let mut out = Vec::new();
    put_header(kind, Code::GET, id, token(number), &mut out);
    Writer::new(&mut out).option(number::URI_PATH, &[b'x'; 20]);
    out.into()
}

/// What is to be sent.
fn output(endpoint: &mut Endpoint) -> Vec<(Remote, Bytes)> {
    let output = endpoint.take_output();
    output.iter().map(|(to, bytes)| (to, Bytes::copy_from_slice(bytes))).collect()
}

/// What is sent, read.
fn sent(endpoint: &mut Endpoint) -> Vec<(Kind, Code, u16, Vec<u8>)> {
    let read = |bytes: &Bytes| {
        let datagram = Datagram::decode(bytes).expect("a message");
        let message = datagram.message;
        (datagram.kind, message.code, datagram.id, message.payload.to_vec())
    };
    output(endpoint).iter().map(|(_, bytes)| read(bytes)).collect()
}

fn body(payload: &[u8]) -> Vec<u8> {
    let mut out = Vec::new();
    Writer::new(&mut out).payload(payload);
    out
}

#[test]
fn a_request_is_handed_out_once_and_answered_each_time_it_comes() {
    let mut endpoint = endpoint();
    let request = get(Kind::Con, 1, 1);
    let received = endpoint.receive(0, peer(0), &request, false).expect("new");
    assert!(endpoint.receive(1, peer(0), &request, false).is_none(), "it is being worked on");
    assert!(sent(&mut endpoint).is_empty());
    endpoint.respond(2, received.exchange, Code::CONTENT, &body(b"here")).expect("small");
    let answer = (Kind::Ack, Code::CONTENT, 1, b"here".to_vec());
    assert_eq!(sent(&mut endpoint), std::slice::from_ref(&answer));
    assert!(endpoint.receive(3, peer(0), &request, false).is_none());
    assert_eq!(sent(&mut endpoint), [answer]);
    // Another client's, or another message with the same number, is another one.
    assert!(endpoint.receive(4, peer(1), &request, false).is_some());
    assert!(endpoint.receive(5, peer(0), &get(Kind::Con, 1, 2), false).is_some());
    // As is the same one when nobody can have sent it again.
    endpoint.poll(EXCHANGE_LIFETIME_MS + 10);
    assert!(endpoint.receive(EXCHANGE_LIFETIME_MS + 11, peer(0), &request, false).is_some());
}

#[test]
fn what_changes_nothing_is_answered_anew_each_time_it_comes_and_not_remembered() {
    let mut endpoint = endpoint();
    let request = get(Kind::Con, 1, 1);
    let datagram = Datagram::decode(&request).expect("a message");
    let answer = |endpoint: &mut Endpoint, payload: &[u8]| {
        let asked = (&datagram, request.len());
        endpoint.answer(0, peer(0), asked, Code::CONTENT, |out| out.extend(body(payload)))
    };
    for value in [&b"21.5"[..], b"22"] {
        assert!(answer(&mut endpoint, value));
        assert_eq!(sent(&mut endpoint), [(Kind::Ack, Code::CONTENT, 1, value.to_vec())]);
    }
    assert_eq!((endpoint.seen.size(), endpoint.next_time()), ((0, 0), None));
    // Nobody gets much who may be elsewhere.
    assert!(!answer(&mut endpoint, &[7; 200]) && sent(&mut endpoint).is_empty());
    endpoint.verify(0, peer(0));
    assert!(answer(&mut endpoint, &[7; 200]) && sent(&mut endpoint).len() == 1);
    // One that is worked on already has one answer.
    endpoint.receive(0, peer(0), &request, false).expect("new");
    assert!(!answer(&mut endpoint, b"22") && sent(&mut endpoint).is_empty());
    let other = get(Kind::Non, 2, 1);
    let other = (&Datagram::decode(&other).expect("a message"), other.len());
    assert!(!endpoint.answer(0, peer(0), other, Code::CONTENT, |_| {}), "not to be acknowledged");
}

#[test]
fn whoever_begins_a_session_at_an_address_is_another_client() {
    let mut endpoint = endpoint();
    let of = |session| Remote { session, ..peer(0) };
    let request = get(Kind::Con, 1, 1);
    let received = endpoint.receive(0, of(1), &request, false).expect("new");
    endpoint.respond(1, received.exchange, Code::CONTENT, &body(b"here")).expect("small");
    assert_eq!(output(&mut endpoint)[0].0, of(1));
    endpoint.verify(2, of(1));
    assert!(endpoint.is_verified(of(1)) && !endpoint.is_verified(of(2)));
    let received = endpoint.receive(3, of(2), &request, false).expect("never answered to this one");
    endpoint.respond(4, received.exchange, Code::NOT_FOUND, &[]).expect("small");
    let [(to, answer)] = &output(&mut endpoint)[..] else { panic!("one answer") };
    let answer = Datagram::decode(answer).expect("a message");
    assert_eq!((*to, answer.message.code), (of(2), Code::NOT_FOUND));
}

#[test]
fn what_is_not_confirmable_is_answered_once() {
    let mut endpoint = endpoint();
    let request = get(Kind::Non, 1, 1);
    let received = endpoint.receive(0, peer(0), &request, false).expect("new");
    endpoint.respond(1, received.exchange, Code::CONTENT, &body(b"here")).expect("small");
    let [(kind, _, id, _)] = &sent(&mut endpoint)[..] else { panic!("one answer") };
    assert_eq!(*kind, Kind::Non);
    assert!(endpoint.receive(2, peer(0), &request, false).is_none());
    assert!(sent(&mut endpoint).is_empty());
    let received = endpoint.receive(3, peer(0), &get(Kind::Non, 2, 2), false).expect("new");
    endpoint.respond(4, received.exchange, Code::CONTENT, &[]).expect("small");
    assert_ne!(sent(&mut endpoint)[0].2, *id, "with a number of its own");
}

#[test]
fn a_late_answer_comes_separately_until_it_is_acknowledged() {
    let mut endpoint = endpoint();
    let request = get(Kind::Con, 9, 1);
    let received = endpoint.receive(0, peer(0), &request, false).expect("new");
    assert_eq!(endpoint.next_time(), Some(SEPARATE_AFTER_MS));
    endpoint.poll(SEPARATE_AFTER_MS);
    let ack = (Kind::Ack, Code::EMPTY, 9, Vec::new());
    assert_eq!(sent(&mut endpoint), std::slice::from_ref(&ack));
    assert!(endpoint.receive(1400, peer(0), &request, false).is_none());
    assert_eq!(sent(&mut endpoint), std::slice::from_ref(&ack), "the first one was lost");
    endpoint.respond(1500, received.exchange, Code::CONTENT, &body(b"late")).expect("small");
    let answers = sent(&mut endpoint);
    let [(Kind::Con, Code::CONTENT, id, payload)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(payload, b"late");
    // Again after 2 to 3 seconds, then twice as long each, five times in all.
    let (mut now, mut times) = (1500, Vec::new());
    while let Some(next) = endpoint.next_time().filter(|next| *next < 200_000) {
        endpoint.poll(next);
        if let [again] = &sent(&mut endpoint)[..] {
            assert_eq!((&again.0, &again.2), (&Kind::Con, id));
            times.push(next - now);
            now = next;
        }
    }
    assert_eq!(times.len(), 4);
    assert!((ACK_TIMEOUT_MS..=ACK_TIMEOUT_MS * 3 / 2).contains(&times[0]), "{times:?}");
    assert!(times.windows(2).all(|two| two[1] == 2 * two[0]), "{times:?}");
    assert!(endpoint.receive(now, peer(0), &request, false).is_none());
    assert_eq!(sent(&mut endpoint), [ack]);
}

#[test]
fn one_confirmable_message_at_a_time_goes_to_a_client() {
    let mut endpoint = endpoint();
    endpoint.verify(0, peer(0));
    let to = |number| (peer(0), token(number), ObservationId(number.into()));
    assert!(endpoint.notify(0, to(1), (Code::CONTENT, &body(b"1")), true));
    assert!(!endpoint.notify(0, to(2), (Code::CONTENT, &body(b"2")), true), "not yet");
    assert!(endpoint.notify(0, to(2), (Code::CONTENT, &body(b"2")), false), "that needs no answer");
    let notifications = sent(&mut endpoint);
    let [(Kind::Con, _, id, _), (Kind::Non, _, other, _)] = &notifications[..] else {
        panic!("{notifications:?}")
    };
    endpoint.receive(1, peer(0), &empty_bytes(Kind::Rst, *other), false);
    endpoint.receive(2, peer(0), &empty_bytes(Kind::Ack, *id), false);
    let events = endpoint.take_events();
    let [Event::Ended(ended), Event::Acked(acked), Event::Free(_)] = &events[..] else {
        panic!("{events:?}")
    };
    assert_eq!((*ended, *acked), (ObservationId(2), ObservationId(1)));
    assert!(endpoint.notify(3, to(2), (Code::CONTENT, &body(b"2")), true));
    endpoint.take_output();
    endpoint.poll(200_000);
    while let Some(next) = endpoint.next_time().filter(|next| *next < 400_000) {
        endpoint.poll(next);
    }
    let ended = |event: &Event| matches!(event, Event::Ended(ObservationId(2)));
    assert!(endpoint.take_events().iter().any(ended), "it never acknowledged");
}

#[test]
fn whoever_may_be_elsewhere_gets_little_until_it_answers() {
    let mut endpoint = endpoint();
    let request = get(Kind::Con, 1, 1);
    let received = endpoint.receive(0, peer(0), &request, false).expect("new");
    let large = body(&[7; 500]);
    let exchange = received.exchange;
    assert_eq!(endpoint.respond(1, exchange, Code::CONTENT, &large), Err(Unverified));
    endpoint.hold(1, exchange, Code::CONTENT, large.clone().into());
    let answers = sent(&mut endpoint);
    let [(Kind::Con, Code::EMPTY, ping, _)] = &answers[..] else { panic!("{answers:?}") };
    // Somebody who only guesses is not believed.
    endpoint.receive(2, peer(0), &empty_bytes(Kind::Rst, ping.wrapping_add(1)), false);
    assert!(sent(&mut endpoint).is_empty());
    endpoint.receive(3, peer(0), &empty_bytes(Kind::Rst, *ping), false);
    let answers = sent(&mut endpoint);
    let [(Kind::Ack, Code::CONTENT, 1, payload)] = &answers[..] else { panic!("{answers:?}") };
    assert_eq!(payload.len(), 500);
    let received = endpoint.receive(4, peer(0), &get(Kind::Con, 2, 2), false).expect("new");
    endpoint.respond(5, received.exchange, Code::CONTENT, &large).expect("it is where it says");
    assert_eq!(sent(&mut endpoint).len(), 1);
}

#[test]
fn whoever_does_not_answer_a_ping_at_once_is_to_be_asked_otherwise() {
    let mut endpoint = endpoint();
    let received = endpoint.receive(0, peer(0), &get(Kind::Con, 1, 1), false).expect("new");
    let large = body(&[7; 500]);
    endpoint.hold(1, received.exchange, Code::CONTENT, large.clone().into());
    let ping = sent(&mut endpoint)[0].2;
    endpoint.poll(1 + CHALLENGE_AFTER_MS);
    let events = endpoint.take_events();
    let silent =
        |event: &Event| matches!(event, Event::Silent(other, _) if *other == received.exchange);
    assert!(events.iter().any(silent), "{events:?}");
    endpoint.respond(300, received.exchange, Code::UNAUTHORIZED, &body(b"echo")).expect("small");
    assert!(matches!(&sent(&mut endpoint)[..], [(Kind::Ack, Code::UNAUTHORIZED, 1, _)]));
    // With its answer it answers the ping, too.
    endpoint.receive(400, peer(0), &empty_bytes(Kind::Rst, ping), false);
    assert!(endpoint.is_verified(peer(0)));
    let received = endpoint.receive(500, peer(0), &get(Kind::Con, 2, 2), false).expect("new");
    endpoint.respond(501, received.exchange, Code::CONTENT, &large).expect("it is where it says");
}

#[test]
fn whoever_is_not_there_gets_no_more_than_three_times_what_it_sent() {
    let mut endpoint = endpoint();
    let mut taken = 0;
    let mut out = 0;
    for number in 0..50 {
        let request =
            get(if number % 2 == 0 { Kind::Con } else { Kind::Non }, number, number.into());
        taken += size(&request);
        let received = endpoint.receive(0, peer(0), &request, false);
        if let Some(received) = received {
            let large = body(&[7; 1000]);
            assert!(endpoint.respond(1, received.exchange, Code::CONTENT, &large).is_err());
            endpoint.hold(1, received.exchange, Code::CONTENT, large.into());
        }
    }
    let mut now = 0;
    while let Some(next) = endpoint.next_time().filter(|next| *next < 1_000_000) {
        now = next;
        endpoint.poll(now);
        for event in endpoint.take_events() {
            if let Event::Silent(exchange, _) = event {
                let echo = body(&[7; 19]);
                endpoint.respond(now, exchange, Code::UNAUTHORIZED, &echo).expect("small");
            }
        }
        out += output(&mut endpoint).iter().map(|(_, bytes)| size(bytes)).sum::<usize>();
    }
    assert!(out <= 3 * taken, "{out} for {taken}");
    assert_eq!(
        (endpoint.exchanges.len(), endpoint.peers.len()),
        (0, 0),
        "nothing is left at {now}"
    );
    assert_eq!((endpoint.seen.size(), endpoint.bytes), ((0, 0), 0));
}

#[test]
fn pings_are_answered_and_what_is_no_message_is_rejected_or_passed_over() {
    let mut endpoint = endpoint();
    let reject = |id| (Kind::Rst, Code::EMPTY, id, Vec::new());
    for (bytes, wanted) in [
        (&b"\x40\x00\x12\x34"[..], Some(reject(0x1234))),
        (b"\x50\x00\x12\x34", None),
        (b"\x4f\x01\x12\x35", Some(reject(0x1235))),
        (b"\x5f\x01\x12\x35", None),
        (b"\x80\x01\x12\x34", None),
        (b"\x40", None),
        // A response to nothing, and codes that are reserved.
        (b"\x40\x45\x12\x36", Some(reject(0x1236))),
        (b"\x40\xe1\x12\x37", Some(reject(0x1237))),
        (b"\x60\x45\x12\x36", None),
        (b"\x70\x00\x12\x36", None),
    ] {
        let bytes = Bytes::copy_from_slice(bytes);
        assert!(endpoint.receive(0, peer(0), &bytes, false).is_none());
        assert_eq!(sent(&mut endpoint), wanted.into_iter().collect::<Vec<_>>(), "{bytes:?}");
        assert!(endpoint.receive(0, peer(0), &bytes, true).is_none());
        assert!(sent(&mut endpoint).is_empty(), "not where others got it, too");
    }
}

#[test]
fn a_group_is_answered_later_and_only_with_something() {
    let mut endpoint = endpoint();
    assert!(endpoint.receive(0, peer(0), &get(Kind::Con, 1, 1), true).is_none());
    let one = endpoint.receive(0, peer(0), &get(Kind::Non, 2, 2), true).expect("new");
    let other = endpoint.receive(0, peer(0), &get(Kind::Non, 3, 3), true).expect("new");
    endpoint.respond(1, one.exchange, Code::NOT_FOUND, &[]).expect("nothing");
    endpoint.respond(1, other.exchange, Code::CONTENT, &body(b"me")).expect("small");
    assert!(sent(&mut endpoint).is_empty());
    endpoint.poll(1 + LEISURE_MS);
    let answers = sent(&mut endpoint);
    assert!(matches!(&answers[..], [(Kind::Non, Code::CONTENT, _, _)]), "{answers:?}");
}

#[test]
fn what_is_worked_on_is_bounded_and_others_are_told() {
    let mut endpoint = endpoint();
    let mut large = get(Kind::Con, 0, 0).to_vec();
    large.push(0xff);
    large.resize(60_000, 7);
    let mut taken = 0;
    for id in 0..1000_u16 {
        large[2..4].copy_from_slice(&id.to_be_bytes());
        taken += usize::from(endpoint.receive(0, peer(id), &large.clone().into(), false).is_some());
    }
    assert_eq!(taken, EXCHANGE_BYTES_MAX / large.len());
    let refused = sent(&mut endpoint);
    assert_eq!(refused.len(), 1000 - taken);
    assert!(
        refused.iter().all(|(kind, code, _, _)| (*kind, *code) == (Kind::Ack, Code::UNAVAILABLE))
    );
    let mut endpoint = self::endpoint();
    for id in 0..10_000_u16 {
        endpoint.receive(0, peer(id), &get(Kind::Non, id, 1), false);
    }
    assert_eq!(endpoint.exchanges.len(), EXCHANGES_MAX);
    assert!(sent(&mut endpoint).is_empty(), "what is not confirmable is passed over");
}

#[test]
fn numbers_are_not_used_again_too_early() {
    let mut endpoint = endpoint();
    endpoint.verify(0, peer(0));
    let to = (peer(0), token(1), ObservationId(1));
    let mut count = 0_u32;
    while endpoint.notify(0, to, (Code::CONTENT, &[]), false) {
        count += 1;
        endpoint.take_output();
    }
    assert!((57_344..=65_536).contains(&count), "{count}");
    assert!(!endpoint.notify(EXCHANGE_LIFETIME_MS - 1, to, (Code::CONTENT, &[]), false));
    assert!(endpoint.notify(EXCHANGE_LIFETIME_MS, to, (Code::CONTENT, &[]), false));
}

/// What happens at some time.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    ToServer(u16, Bytes),
    ToClient(u16, Bytes),
    /// The server's answer to an exchange is ready.
    Answer(ExchangeId, u32),
    /// A client sends this exchange's request again, if it must.
    Again(u32, u32),
}

/// An exchange as its client sees it.
#[derive(Debug, Default)]
struct Asked {
    client: u16,
    request: Bytes,
    acked: bool,
    answers: u32,
    gave_up: bool,
}

struct World {
    random: Seeded,
    loss: u64,
    steps: BTreeMap<(u64, u64), Step>,
    count: u64,
    server: Endpoint,
    asked: Vec<Asked>,
    handled: BTreeMap<u32, u32>,
    /// Numbers of the server's messages that each client has.
    client_seen: Vec<Vec<u16>>,
}

impl World {
    fn at(&mut self, time: u64, step: Step) {
        self.count += 1;
        self.steps.insert((time, self.count), step);
    }

    /// Over the network: lost, or once or more, at some time.
    fn carry(&mut self, now: u64, step: impl Fn() -> Step) {
        if self.random.chance(self.loss) {
            return;
        }
        let copies = if self.random.chance(self.loss) { 2 } else { 1 };
        for _ in 0..copies {
            let delay = 1 + self.random.next() % 400;
            self.at(now + delay, step());
        }
    }

    fn collect(&mut self, now: u64) {
        for (to, bytes) in output(&mut self.server) {
            let client = to.address.port() - 10_000;
            self.carry(now, || Step::ToClient(client, bytes.clone()));
        }
    }

    fn ask(&mut self, now: u64, number: u32, tries: u32) {
        let Asked { client, request, .. } = &self.asked[number as usize];
        let (client, request) = (*client, request.clone());
        self.carry(now, || Step::ToServer(client, request.clone()));
        let timeout = (ACK_TIMEOUT_MS + self.random.next() % 1000) << tries;
        self.at(now + timeout, Step::Again(number, tries + 1));
    }

    fn run(&mut self) {
        while let Some(((now, _), step)) = self.next() {
            match step {
                Some(Step::ToServer(client, bytes)) => self.reach_server(now, client, &bytes),
                Some(Step::ToClient(client, bytes)) => self.reach_client(now, client, &bytes),
                Some(Step::Answer(exchange, number)) => {
                    // Some answers are too large for who may be elsewhere.
                    let size = if number % 3 == 0 { 300 } else { 4 };
                    let mut payload = number.to_be_bytes().to_vec();
                    payload.resize(size, 0);
                    let body = body(&payload);
                    if self.server.respond(now, exchange, Code::CONTENT, &body).is_err() {
                        self.server.hold(now, exchange, Code::CONTENT, body.into());
                    }
                }
                Some(Step::Again(number, tries)) => {
                    let asked = &mut self.asked[number as usize];
                    if !asked.acked && asked.answers == 0 {
                        asked.gave_up = tries > RETRANSMITS_MAX;
                        if !asked.gave_up {
                            self.ask(now, number, tries);
                        }
                    }
                }
                None => self.server.poll(now),
            }
            for event in self.server.take_events() {
                if let Event::Silent(exchange, _) = event {
                    // Refused, as a challenge is; its client asks no more.
                    let refusal = body(b"elsewhere?");
                    self.server
                        .respond(now, exchange, Code::UNAUTHORIZED, &refusal)
                        .expect("small");
                }
            }
            self.collect(now);
        }
    }

    /// The next thing to happen: a step, or something of the server's.
    fn next(&mut self) -> Option<((u64, u64), Option<Step>)> {
        let server = self.server.next_time();
        let step = self.steps.first_key_value().map(|(at, _)| at.0);
        match (server, step) {
            (Some(server), step) if step.is_none_or(|step| server < step) => {
                Some(((server, 0), None))
            }
            _ => self.steps.pop_first().map(|(at, step)| (at, Some(step))),
        }
    }

    fn reach_server(&mut self, now: u64, client: u16, bytes: &Bytes) {
        let Some(received) = self.server.receive(now, peer(client), bytes, false) else { return };
        let number = received.token.as_bytes().try_into().map(u32::from_be_bytes).expect("four");
        *self.handled.entry(number).or_default() += 1;
        // At once, or so late that it is separate.
        let delay = if number % 2 == 0 { 0 } else { 200 + self.random.next() % 3000 };
        self.at(now + delay, Step::Answer(received.exchange, number));
    }

    fn reach_client(&mut self, now: u64, client: u16, bytes: &Bytes) {
        let read = Datagram::decode(bytes).expect("the server writes messages");
        let reply = |kind| Step::ToServer(client, empty_bytes(kind, read.id));
        if read.message.code == Code::EMPTY {
            match read.kind {
                Kind::Con => self.carry(now, || reply(Kind::Rst)),
                Kind::Ack => {
                    let is_its = |asked: &&mut Asked| {
                        let own = Datagram::decode(&asked.request).expect("ours");
                        asked.client == client && own.id == read.id
                    };
                    self.asked.iter_mut().find(is_its).expect("what it asked").acked = true;
                }
                _ => {}
            }
            return;
        }
        let number = read.message.token.as_bytes().try_into().map(u32::from_be_bytes);
        let number = number.expect("a token of four");
        if read.kind == Kind::Con {
            self.carry(now, || reply(Kind::Ack));
            let seen = &mut self.client_seen[usize::from(client)];
            if seen.contains(&read.id) {
                return;
            }
            seen.push(read.id);
        }
        let asked = &mut self.asked[number as usize];
        if read.message.code != Code::UNAUTHORIZED {
            assert_eq!(&read.message.payload[..4], number.to_be_bytes(), "the answer to another");
        }
        // An acknowledgement that comes twice is passed over by who has its answer.
        if read.kind == Kind::Con || asked.answers == 0 {
            asked.answers += 1;
        }
    }
}

#[test]
fn every_exchange_ends_right_and_once_over_a_lossy_network() {
    for (seed, loss) in (0..40).map(|seed| (seed, [0, 10, 30][usize::try_from(seed % 3).unwrap()]))
    {
        let mut world = World {
            random: Seeded::new(seed),
            loss,
            steps: BTreeMap::new(),
            count: 0,
            server: Endpoint::new(Arc::new(Seeded::new(seed + 1000))),
            asked: Vec::new(),
            handled: BTreeMap::new(),
            client_seen: vec![Vec::new(); 4],
        };
        for number in 0..100_u32 {
            let client = u16::try_from(number % 4).unwrap();
            let request = get(Kind::Con, u16::try_from(number / 4).unwrap(), number);
            world.asked.push(Asked { client, request, ..Asked::default() });
            world.ask(u64::from(number) * 700, number, 0);
        }
        world.run();
        let mut answered = 0;
        for (number, asked) in (0..).zip(&world.asked) {
            let handled = world.handled.get(&number).copied().unwrap_or(0);
            assert!(handled <= 1, "seed {seed}: request {number} was handed out {handled} times");
            assert!(asked.answers <= 1, "seed {seed}: {number} has {} answers", asked.answers);
            assert!(handled == 1 || asked.answers == 0);
            assert!(asked.answers == 1 || asked.gave_up || asked.acked || loss > 0);
            answered += asked.answers;
        }
        let at_least = [100, 97, 70][usize::try_from(seed % 3).unwrap()];
        assert!(answered >= at_least, "seed {seed}: {answered} of 100 were answered");
        assert_eq!(world.server.exchanges.len(), 0, "seed {seed}: all is done with");
        assert_eq!((world.server.seen.size(), world.server.peers.len()), ((0, 0), 0));
    }
}
