//! What one socket's clients ask, from the datagram to the answer.

use std::collections::{BTreeSet, HashMap};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use broker::PublisherId;
use broker::access::Actor;
use broker::observe::trace::carried;
use bytes::Bytes;
use door::{BoxFuture, DatagramSocket};
use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{Id, JoinError, JoinSet};
use tokio::time::Instant;

use super::ToGroup;
use crate::Shared;
use crate::dtls::Sessions;
use crate::endpoint::{Endpoint, Event, ExchangeId, ObservationId, Received};
use crate::handle::{self, Caller, poll_once};
use crate::limits::{DATAGRAM_BYTES_MAX, DATAGRAMS_AT_ONCE};
use crate::observe::{Observations, Value};
use crate::pace::Pace;
use crate::remote::Remote;
use crate::request::{Head, Request};
use crate::response::Response;
use crate::transfer::{Pieces, Taken, Transfers};
use crate::wire::Message;
use crate::wire::code::Code;
use crate::wire::datagram::{Datagram, Kind};

/// Notifications that could not be sent are tried again after this, in milliseconds.
const RETRY_MS: u64 = 1000;

/// What happened is looked at so often before the sockets have their turn.
const EVENT_ROUNDS: usize = 8;

/// A request that is being worked on.
#[derive(Debug, Clone, Copy)]
struct Work {
    exchange: ExchangeId,
    peer: Remote,
    observation: Option<ObservationId>,
}

/// What was worked on.
#[derive(Debug)]
enum Finished {
    Answer(Work, Request, Response),
    /// What is there now, for an observer who was not told of anything for long.
    Refresh(ObservationId, Response),
}

/// One socket's worker.
#[derive(Debug)]
pub(super) struct Worker {
    shared: Arc<Shared>,
    socket: DatagramSocket,
    /// Where everything is spoken over DTLS.
    sessions: Option<Sessions>,
    began: Instant,
    publisher: PublisherId,
    /// Everybody, where nothing is asked of rules.
    everybody: Option<Actor>,
    endpoint: Endpoint,
    transfers: Transfers,
    observations: Observations,
    pace: Pace,
    tasks: JoinSet<Finished>,
    /// What tasks work on, in case one fails.
    running: HashMap<Id, Work>,
    /// Observations whose clients cannot be told yet.
    waiting: BTreeSet<ObservationId>,
    retry_at: Option<u64>,
    buffer: Vec<u8>,
}

impl Worker {
    pub(super) fn new(
        shared: Arc<Shared>,
        socket: DatagramSocket,
        sessions: Option<Sessions>,
    ) -> Self {
        let endpoint = Endpoint::new(Arc::clone(&shared.broker.options().random));
        let transfers = Transfers::new(shared.options.body_bytes_max, &shared.transfers);
        let pace = Pace::new(shared.options.publish_rate);
        let everybody = shared.broker.actor(base::Principal::anonymous(), "".into());
        Self {
            everybody: everybody.is_free().then_some(everybody),
            publisher: shared.broker.new_publisher(),
            shared,
            socket,
            sessions,
            began: Instant::now(),
            endpoint,
            transfers,
            observations: Observations::default(),
            pace,
            tasks: JoinSet::new(),
            running: HashMap::new(),
            waiting: BTreeSet::new(),
            retry_at: None,
            buffer: vec![0; DATAGRAM_BYTES_MAX],
        }
    }

    /// Milliseconds since it began.
    fn now(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_millis()).unwrap_or(u64::MAX)
    }

    /// Serves the socket with the calling thread until it is to stop, and answers what was begun; or until nobody wants it
    /// any more. Requests that have to wait for something do that in the runtime.
    pub(super) fn run(
        mut self,
        runtime: &Handle,
        mut groups: mpsc::Receiver<ToGroup>,
        mut stopping: watch::Receiver<bool>,
        wanted: &mut oneshot::Sender<()>,
    ) {
        let _context = runtime.enter();
        let ready = Arc::clone(&self.observations.ready);
        let mut stop = pin!(stopping.wait_for(|stop| *stop));
        let mut notified = pin!(ready.notify.notified());
        let waker = self.socket.waker();
        let mut others = Context::from_waker(&waker);
        loop {
            let patience = self.patience();
            let is_woken = self.socket.wait(patience);
            self.read();
            if is_woken {
                // Whoever wants it no more has dropped the other end.
                if stop.as_mut().poll(&mut others).is_ready() {
                    break;
                }
                while notified.as_mut().poll(&mut others).is_ready() {
                    notified.set(ready.notify.notified());
                }
                self.hear(&mut groups, &mut others);
            }
            self.tick();
            self.send();
        }
        runtime.block_on(async {
            tokio::select! {
                () = self.end_all() => {}
                () = wanted.closed() => {}
            }
        });
    }

    /// Takes what came to groups, and what tasks have done.
    fn hear(&mut self, groups: &mut mpsc::Receiver<ToGroup>, others: &mut Context<'_>) {
        while let Poll::Ready(Some((peer, bytes))) = groups.poll_recv(others) {
            let now = self.now();
            self.take(now, peer.into(), &bytes, true);
        }
        while let Poll::Ready(Some(done)) = self.tasks.poll_join_next_with_id(others) {
            self.done(done);
        }
    }

    /// Answers what was begun.
    async fn end_all(&mut self) {
        while let Some(done) = self.tasks.join_next_with_id().await {
            self.done(done);
            self.tick();
            self.send();
        }
    }

    /// How long there is nothing to do, unless something comes.
    fn patience(&mut self) -> Duration {
        let times = [self.endpoint.next_time(), self.observations.next_check(), self.retry_at];
        let next = times.into_iter().flatten().min();
        // Of nothing it is reminded once an hour.
        let next = next.unwrap_or(self.now() + 3_600_000);
        let next = self.began + Duration::from_millis(next);
        let session = self.sessions.as_ref().and_then(Sessions::next_time);
        let next = session.map_or(next, |session| next.min(session.into()));
        next.saturating_duration_since(Instant::now())
    }

    /// Reads what there is, not too much at once.
    fn read(&mut self) {
        let now = self.now();
        for _ in 0..DATAGRAMS_AT_ONCE {
            let (count, peer) = match self.socket.receive(&mut self.buffer) {
                Ok(Some(received)) => received,
                Ok(None) => break,
                // What became of something that we sent.
                Err(_) => continue,
            };
            let buffer = std::mem::take(&mut self.buffer);
            let bytes = buffer.get(..count).unwrap_or_default();
            match &mut self.sessions {
                Some(sessions) => sessions.receive(Instant::now().into(), peer, bytes),
                None => self.take(now, peer.into(), bytes, false),
            }
            self.buffer = buffer;
        }
        self.read_sessions(now);
    }

    /// Takes what came over DTLS.
    fn read_sessions(&mut self, now: u64) {
        let Some(sessions) = &mut self.sessions else { return };
        let (plain, ended) = (sessions.take_plain(), sessions.take_ended());
        for (peer, bytes) in plain {
            // It has the key, and answered what was sent to it.
            if !self.endpoint.is_verified(peer) {
                self.endpoint.verify(now, peer);
            }
            self.take(now, peer, &bytes, false);
        }
        // Nobody hears what they observe; the rest is forgotten in time.
        for peer in ended {
            self.observations.of(peer).into_iter().for_each(|id| self.end(now, id));
        }
    }

    fn take(&mut self, now: u64, peer: Remote, bytes: &[u8], to_group: bool) {
        if !to_group && self.answer_at_once(now, peer, bytes).is_some() {
            return;
        }
        let bytes = Bytes::copy_from_slice(bytes);
        if let Some(received) = self.endpoint.receive(now, peer, &bytes, to_group) {
            self.begin(now, received);
        }
    }

    /// Answers a confirmable GET of a value that is at hand and goes into one message. All others take longer ways.
    fn answer_at_once(&mut self, now: u64, peer: Remote, bytes: &[u8]) -> Option<()> {
        let datagram = Datagram::decode(bytes).ok()?;
        let Message { code, options, payload, .. } = datagram.message;
        if (datagram.kind, code) != (Kind::Con, Code::GET) || !payload.is_empty() {
            return None;
        }
        let head = Head::new(options).ok()?;
        let response = handle::answer_at_once(&self.shared, &self.caller(peer), head)?;
        let fits = response.payload.len() <= Pieces::DATAGRAM.payload_max;
        let write = |out: &mut Vec<u8>| response.write(out);
        let request = (&datagram, bytes.len());
        if !fits || !self.endpoint.answer(now, peer, request, response.code, write) {
            return None;
        }
        if response.code == Code::CONTENT {
            self.shared.figures.delivered(1, response.payload.len());
        }
        Some(())
    }

    /// Begins to work on a request.
    fn begin(&mut self, now: u64, received: Received) {
        let (exchange, peer) = (received.exchange, received.peer);
        let (options, payload) = (received.options.clone(), received.payload.clone());
        let request = match Request::new(received.code, options, payload) {
            Ok(request) => request,
            // What is not confirmable is rejected in silence (RFC 7252 §5.4.1).
            Err(refusal) if refusal.code == Code::BAD_OPTION && !received.is_confirmable => {
                return self.endpoint.suppress(now, exchange);
            }
            Err(refusal) => return self.refuse(now, exchange, &refusal),
        };
        if received.to_group && request.method != Code::GET {
            return self.endpoint.suppress(now, exchange);
        }
        if request.echo().is_some_and(|value| self.shared.echo.is_good(peer.address, value, now)) {
            self.endpoint.verify(now, peer);
        }
        let observe = request.fields.observe.filter(|_| request.method == Code::GET);
        let is_proved = received.to_group || self.endpoint.is_verified(peer);
        if !is_proved && handle::needs_proof(&self.shared, &request) {
            return match self.shared.options.echo {
                true => self.challenge(now, exchange, peer),
                false => self.endpoint.defer(now, received),
            };
        }
        let mut request = match self.transfers.take(now, peer, request, Pieces::DATAGRAM) {
            Taken::Whole(request) => request,
            Taken::Answer(answer) => return self.respond(now, (exchange, peer), &answer),
        };
        if !matches!(request.method, Code::GET | Code::FETCH)
            && let Err(seconds) = self.pace.take(peer.address.ip(), now)
        {
            let max_age = Some(seconds);
            let refusal = Response { max_age, ..Response::new(Code::TOO_MANY_REQUESTS) };
            return self.refuse(now, exchange, &refusal);
        }
        let caller = self.caller(peer);
        let observation = match observe {
            Some(0) if !received.to_group => self.observe(now, &caller, &received, &request),
            Some(1) => {
                let old = self.observations.find(peer, received.token);
                old.into_iter().for_each(|id| self.end(now, id));
                None
            }
            _ => None,
        };
        if observation.is_none() {
            // It is as if it had not asked for it (RFC 7641 §4.1).
            request.fields.observe = None;
        }
        self.work(now, Work { exchange, peer, observation }, caller, request);
    }

    fn caller(&self, peer: Remote) -> Caller {
        let known = self.sessions.as_ref().and_then(|sessions| sessions.principal(peer));
        let everybody = self.everybody.clone().filter(|_| known.is_none());
        let actor = everybody.unwrap_or_else(|| {
            let host = peer.address.ip().to_canonical().to_string().into();
            let principal = known.unwrap_or_else(base::Principal::anonymous);
            self.shared.broker.actor(principal, host)
        });
        Caller { peer, actor, publisher: self.publisher }
    }

    /// Begins an observation, if it can be one.
    fn observe(
        &mut self,
        now: u64,
        caller: &Caller,
        received: &Received,
        request: &Request,
    ) -> Option<ObservationId> {
        let (subject, topic) = handle::observable(&self.shared, caller, request)?;
        if let Some(old) = self.observations.find(caller.peer, received.token) {
            self.endpoint.observes(now, caller.peer, -1);
            self.waiting.remove(&old);
        }
        let (broker, token) = (&self.shared.broker, received.token);
        let of = (&subject, topic.as_ref());
        let id = self.observations.open(broker, caller, token, of, request)?;
        self.endpoint.observes(now, caller.peer, 1);
        Some(id)
    }

    /// Has a request answered: at once, if that needs no waiting. What comes first begins first.
    fn work(&mut self, now: u64, work: Work, caller: Caller, request: Request) {
        let shared = Arc::clone(&self.shared);
        let mut answer: BoxFuture<Finished> = Box::pin(async move {
            let response = handle::answer(&shared, &caller, &request).await;
            Finished::Answer(work, request, response)
        });
        match poll_once(answer.as_mut()) {
            Some(Poll::Ready(finished)) => self.finish(now, finished),
            Some(Poll::Pending) => {
                let id = self.spawn(answer);
                self.running.insert(id, work);
            }
            None => self.failed(now, work),
        }
    }

    /// Has the runtime go on with something; when it is done, we are woken.
    fn spawn(&mut self, work: BoxFuture<Finished>) -> Id {
        // What is awaited is looked at once more, or its end would not be told.
        self.socket.waker().wake();
        self.tasks.spawn(carried(work)).id()
    }

    /// A task has ended.
    fn done(&mut self, done: Result<(Id, Finished), JoinError>) {
        let now = self.now();
        match done {
            Ok((id, finished)) => {
                self.running.remove(&id);
                self.finish(now, finished);
            }
            Err(error) => {
                tracing::error!(%error, "a request could not be worked on");
                if let Some(work) = self.running.remove(&error.id()) {
                    self.failed(now, work);
                }
            }
        }
    }

    fn failed(&mut self, now: u64, work: Work) {
        work.observation.into_iter().for_each(|id| self.end(now, id));
        self.refuse(now, work.exchange, &Response::new(Code::INTERNAL_ERROR));
    }

    fn finish(&mut self, now: u64, finished: Finished) {
        match finished {
            Finished::Answer(work, request, response) => self.answer(now, work, &request, response),
            Finished::Refresh(id, response) => {
                let at = self.shared.broker.now();
                if let Some(observation) = self.observations.get_mut(id) {
                    observation.slot.put_back(Value::of(&response, at));
                    self.notify(now, id);
                }
            }
        }
    }

    fn answer(&mut self, now: u64, work: Work, request: &Request, mut response: Response) {
        let Work { exchange, peer, observation } = work;
        if let Some(id) = observation {
            match response.code.is_success() {
                true => response.observe = self.observations.activate(id, now),
                false => self.end(now, id),
            }
        }
        let response = self.transfers.cut(now, peer, request, response, Pieces::DATAGRAM);
        match request.fields.wants(response.code) {
            true => self.respond(now, (exchange, peer), &response),
            false => self.endpoint.suppress(now, exchange),
        }
        if let Some(id) = observation {
            self.notify(now, id);
        }
    }

    /// Sends a response, when it is known that its client is where it says it is, or it is small.
    fn respond(&mut self, now: u64, (exchange, peer): (ExchangeId, Remote), response: &Response) {
        let body = response.body();
        if self.endpoint.respond(now, exchange, response.code, &body).is_err() {
            match self.shared.options.echo {
                true => self.challenge(now, exchange, peer),
                false => self.endpoint.hold(now, exchange, response.code, body.into()),
            }
        }
    }

    /// Has a client ask again with a value that it can only have if it is where it says it is (RFC 9175 §2.3).
    fn challenge(&mut self, now: u64, exchange: ExchangeId, peer: Remote) {
        let echo = Some(self.shared.echo.value(peer.address, now));
        let challenge = Response { echo, ..Response::new(Code::UNAUTHORIZED) };
        self.refuse(now, exchange, &challenge);
    }

    /// Sends a response that says little, or nothing if even that is too much.
    fn refuse(&mut self, now: u64, exchange: ExchangeId, refusal: &Response) {
        let sent = self.endpoint.respond(now, exchange, refusal.code, &refusal.body());
        let bare = Response { payload: Bytes::new(), ..refusal.clone() };
        if sent.is_err() && self.endpoint.respond(now, exchange, bare.code, &bare.body()).is_err() {
            self.endpoint.suppress(now, exchange);
        }
    }

    /// Tells a client what became of what it observes, if it can be told now.
    fn notify(&mut self, now: u64, id: ObservationId) {
        let Some(observation) = self.observations.get_mut(id).filter(|one| one.is_ready()) else {
            return;
        };
        let Some(value) = observation.slot.take() else { return };
        let confirmable = observation.must_confirm(&value, now);
        let response = observation.notification(&value, self.shared.broker.now());
        let (peer, token) = (observation.peer, observation.token);
        let (code, pieces) = (response.code, Pieces::DATAGRAM);
        let response = self.transfers.cut(now, peer, &observation.request, response, pieces);
        let confirmable = confirmable || !code.is_success();
        let message = (response.code, &response.body()[..]);
        if !self.endpoint.notify(now, (peer, token, id), message, confirmable) {
            observation.slot.put_back(value);
            self.waiting.insert(id);
            self.retry_at.get_or_insert(now + RETRY_MS);
            return;
        }
        self.waiting.remove(&id);
        if code.is_success() {
            self.shared.figures.delivered(1, value.bytes());
            self.observations.sent(id, &value, confirmable, now);
        } else {
            // The last one (RFC 7641 §3.2).
            self.end(now, id);
        }
    }

    /// Ends an observation.
    fn end(&mut self, now: u64, id: ObservationId) {
        self.waiting.remove(&id);
        if let Some(peer) = self.observations.close(id) {
            self.endpoint.observes(now, peer, -1);
        }
    }

    /// Does what is due, and what came of it.
    fn tick(&mut self) {
        let now = self.now();
        if let Some(sessions) = &mut self.sessions {
            sessions.poll(Instant::now().into());
            self.read_sessions(now);
        }
        self.endpoint.poll(now);
        for id in self.observations.ready.take() {
            self.notify(now, id);
        }
        while let Some(id) = self.observations.due(now) {
            self.refresh(now, id);
        }
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
            self.retry(now, |_| true);
        }
        // What is done about one may be followed by another.
        for _ in 0..EVENT_ROUNDS {
            let events = self.endpoint.take_events();
            if events.is_empty() {
                break;
            }
            events.into_iter().for_each(|event| self.happened(now, event));
        }
    }

    fn happened(&mut self, now: u64, event: Event) {
        match event {
            Event::Acked(id) => {
                if let Some(observation) = self.observations.get_mut(id) {
                    observation.acked();
                }
                self.notify(now, id);
            }
            Event::Ended(id) => self.end(now, id),
            Event::Free(peer) => self.retry(now, |other| other == peer),
            Event::Resumed(received) => self.begin(now, *received),
            Event::Silent(exchange, peer) => self.challenge(now, exchange, peer),
        }
    }

    /// Tells those what could not be told them before.
    fn retry(&mut self, now: u64, whom: impl Fn(Remote) -> bool) {
        let waiting: Vec<_> = self.waiting.iter().copied().collect();
        for id in waiting {
            match self.observations.get_mut(id).map(|one| one.peer) {
                Some(peer) if whom(peer) => self.notify(now, id),
                Some(_) => {}
                None => drop(self.waiting.remove(&id)),
            }
        }
    }

    /// Has an observer told what is there, so that it says whether it is still there itself (RFC 7641 §4.5).
    fn refresh(&mut self, now: u64, id: ObservationId) {
        let Some(observation) = self.observations.get_mut(id) else { return };
        if let Some(last) = observation.last() {
            observation.slot.put_back(last);
            return self.notify(now, id);
        }
        let (request, peer) = (observation.request.clone(), observation.peer);
        let (shared, caller) = (Arc::clone(&self.shared), self.caller(peer));
        let mut refresh: BoxFuture<Finished> = Box::pin(async move {
            Finished::Refresh(id, handle::answer(&shared, &caller, &request).await)
        });
        match poll_once(refresh.as_mut()) {
            Some(Poll::Ready(finished)) => self.finish(now, finished),
            Some(Poll::Pending) => drop(self.spawn(refresh)),
            None => {}
        }
    }

    /// Sends what is to be sent.
    fn send(&mut self) {
        let output = self.endpoint.take_output();
        match &mut self.sessions {
            None => self.socket.send(output.iter().map(|(peer, bytes)| (peer.address, bytes))),
            Some(sessions) => {
                let now = Instant::now().into();
                output.iter().for_each(|(peer, bytes)| sessions.send(now, peer, bytes));
                let packets = sessions.take_output();
                self.socket.send(packets.iter().map(|(to, bytes)| (*to, &bytes[..])));
            }
        }
        self.endpoint.give_back(output);
    }
}
