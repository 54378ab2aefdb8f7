//! One connection, from its first byte to its last.

use std::net::SocketAddr;
use std::sync::Arc;

use door::{CloseReason, Connection, FrameReader, WriteHalf};
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::sync::{Semaphore, oneshot};
use tokio::time::timeout;

use crate::Shared;
use crate::handle::{self, Context, Failure};
use crate::limits::{FLUSH_TIMEOUT, HELLO_TIMEOUT, REQUEST_BYTES_MAX, WRITES_MAX};
use crate::outgoing::{Cut, Outgoing};
use crate::state::Wish;
use crate::watches::ClientId;
use crate::wire::code::Code;
use crate::wire::connect::{ConnectRequest, ConnectResponse};
use crate::wire::jute::{Reader, Writer};
use crate::wire::op;
use crate::wire::request::RequestHeader;
use crate::words;
use crate::write::Operation;
use crate::writer::{Asker, Job, Request};

#[cfg(test)]
mod tests;

/// Whether the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flow {
    Continue,
    Close,
}

/// Speaks the protocol until either side closes.
pub(crate) async fn serve(shared: Arc<Shared>, connection: Connection) -> Result<(), CloseReason> {
    let Connection { stream, peer, room, mut stopping, .. } = connection;
    let local = stream.local_addr()?;
    let (reader, mut writer) = stream.into_split();
    let member = Member::join(&shared, peer);
    let mut frames = FrameReader::new(reader, REQUEST_BYTES_MAX).with_room(&room);
    let eviction = frames.eviction();
    let writing = write_out(&mut writer, &member.outgoing);
    tokio::pin!(writing);
    let ended = tokio::select! {
        // First, because the writer ends then too and does not know why.
        biased;
        why = member.outgoing.until_cut() => return cut_off(why),
        written = &mut writing => return written,
        () = eviction.happens() => return Err(CloseReason::Limit(
            "its request arrives slowly, and others wait for the memory".into(),
        )),
        _ = stopping.wait_for(|stop| *stop) => Ok(()),
        ended = talk(&member, &mut frames, local) => ended,
    };
    // What the client was promised before the end still goes out, such as the answer to `close`.
    member.outgoing.finish();
    let _flushed = timeout(FLUSH_TIMEOUT, writing).await;
    ended
}

/// A connection's place among the others, given up however it ends.
pub(crate) struct Member {
    shared: Arc<Shared>,
    pub(crate) id: ClientId,
    pub(crate) outgoing: Arc<Outgoing>,
    /// Room for writes that are not answered yet.
    writes: Arc<Semaphore>,
}

impl Member {
    pub(crate) fn join(shared: &Arc<Shared>, peer: SocketAddr) -> Self {
        let (id, outgoing, writes) = shared.state.lock().join(peer, shared.now());
        Self { shared: Arc::clone(shared), id, outgoing, writes }
    }

    /// Waits until all that the client wrote is answered.
    pub(crate) async fn until_written(&self) {
        // It is never closed, and the permits are given back at once.
        let _permits = self.writes.acquire_many(WRITES_MAX).await;
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shared.state.lock().leave(self.id);
    }
}

async fn write_out(writer: &mut WriteHalf, outgoing: &Outgoing) -> Result<(), CloseReason> {
    while let Some(frames) = outgoing.take().await {
        writer.write_all(&frames).await?;
        // An encrypted stream may hold back the end of it.
        writer.flush().await?;
    }
    // TLS says goodbye; a client that does not hear it would call us cut off.
    Ok(writer.shutdown().await?)
}

fn cut_off(why: Cut) -> Result<(), CloseReason> {
    match why {
        Cut::Expired | Cut::Moved => Ok(()),
        Cut::Failed => Err(unavailable("it is unknown whether a write was carried out")),
        Cut::SlowReader => Err(CloseReason::Limit("the client does not read".into())),
    }
}

async fn talk<R: AsyncRead + Unpin>(
    member: &Member,
    frames: &mut FrameReader<R>,
    local: SocketAddr,
) -> Result<(), CloseReason> {
    match timeout(HELLO_TIMEOUT, hello(member, frames, local)).await {
        Err(_elapsed) => return Err(CloseReason::Idle(HELLO_TIMEOUT)),
        Ok(flow) => {
            if flow? == Flow::Close {
                return Ok(());
            }
        }
    }
    // From here on, the session's time-out says how long a client may be silent.
    while let Some(frame) = frames.next().await? {
        let _claim = frames.take_claim().at_work();
        if request(member, &frame).await? == Flow::Close {
            return Ok(());
        }
        member.outgoing.until_low().await;
        // Many requests may be buffered; other connections want their turn.
        tokio::task::coop::consume_budget().await;
    }
    Ok(())
}

/// The beginning: a four-letter word, or the wish for a session.
async fn hello<R: AsyncRead + Unpin>(
    member: &Member,
    frames: &mut FrameReader<R>,
    local: SocketAddr,
) -> Result<Flow, CloseReason> {
    let Some(first) = frames.peek_header().await? else { return Ok(Flow::Close) };
    if let Some(word) = words::Word::parse(first) {
        let answer = words::answer(word, &member.shared, member.id, local).await;
        member.outgoing.push(answer.as_bytes());
        return Ok(Flow::Close);
    }
    let Some(frame) = frames.next().await? else { return Ok(Flow::Close) };
    let Ok(request) = ConnectRequest::decode(&frame) else {
        return Err(CloseReason::Protocol("the first record is no connect request".into()));
    };
    let response = connect(member, &request).await?;
    let mut out = Writer::default();
    response.encode(request.has_read_only, &mut out);
    let mut state = member.shared.state.lock();
    if let Some(client) = state.clients.get_mut(&member.id) {
        client.received += 1;
        client.send(&out);
    }
    Ok(if response == ConnectResponse::EXPIRED { Flow::Close } else { Flow::Continue })
}

/// Opens a session, or goes on with one that the client had before.
pub(crate) async fn connect(
    member: &Member,
    request: &ConnectRequest<'_>,
) -> Result<ConnectResponse, CloseReason> {
    let shared = &member.shared;
    shared.open().await.map_err(unavailable)?;
    let wish = {
        let mut state = shared.state.lock();
        state.catch_up(shared.now());
        state.connect(request)?
    };
    let Wish::Session { number, session, is_stored } = wish else {
        return Ok(ConnectResponse::EXPIRED);
    };
    if !is_stored {
        let (done, stored) = oneshot::channel();
        let operation = Operation::OpenSession(number, session.clone());
        shared.submit(Job { operation, asker: Asker::Hello(done), bytes: 64, attempts: 0 }).await;
        stored.await.map_err(|_| unavailable("the session cannot be stored"))?;
    }
    let mut state = shared.state.lock();
    let response = state.take_up(member.id, number, &session, shared.now());
    shared.tend(&mut state);
    Ok(response)
}

fn unavailable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> CloseReason {
    CloseReason::Io(std::io::Error::other(error))
}

/// Carries out one request and queues its reply; or, if it writes, hands it to the writer.
pub(crate) async fn request(member: &Member, frame: &[u8]) -> Result<Flow, CloseReason> {
    let mut body = Reader::new(frame);
    let Ok(header) = RequestHeader::decode(&mut body) else {
        return Err(CloseReason::Protocol(format!("a request of {} bytes", frame.len())));
    };
    let session = {
        let mut state = member.shared.state.lock();
        match state.touch(member.id, member.shared.now()) {
            Some(session) => session,
            None => return Ok(Flow::Close),
        }
    };
    match Operation::decode(header.op, session, &mut body) {
        Some(Ok(operation)) => {
            write(member, session, header, operation, frame.len()).await;
            if header.op != op::CLOSE_SESSION {
                return Ok(Flow::Continue);
            }
            // The answer, and what was asked for before it.
            member.until_written().await;
            Ok(Flow::Close)
        }
        Some(Err(_)) => {
            member.until_written().await;
            answer(member, header, |_| Err(Code::MarshallingError.into()))
        }
        None => {
            // A client sees its own writes, and its replies in the order of its requests.
            member.until_written().await;
            answer(member, header, |cx| handle::answer(cx, header.op, &mut body))
        }
    }
}

/// Hands a write over. Waits while too much waits already.
async fn write(
    member: &Member,
    session: i64,
    header: RequestHeader,
    operation: Operation,
    bytes: usize,
) {
    let shared = &member.shared;
    let since = shared.now();
    let units = u32::try_from(bytes).unwrap_or(u32::MAX);
    let own = Arc::clone(&member.writes).acquire_owned().await;
    let all = Arc::clone(&shared.write_bytes).acquire_many_owned(units).await;
    // They are never closed.
    let (Ok(own), Ok(all)) = (own, all) else { return };
    let who = shared.state.lock().clients.get(&member.id).map(|c| Arc::clone(&c.identities));
    let request = Request {
        client: member.id,
        session,
        xid: header.xid,
        op: header.op,
        who: who.unwrap_or_default(),
        since,
        _permits: [own, all],
    };
    shared.submit(Job { operation, asker: Asker::Client(request), bytes, attempts: 0 }).await;
}

/// Answers a request from what is in memory.
fn answer(
    member: &Member,
    header: RequestHeader,
    handle: impl FnOnce(&mut Context<'_>) -> handle::Outcome,
) -> Result<Flow, CloseReason> {
    let shared = &member.shared;
    let now = shared.now();
    let mut state = shared.state.lock();
    // Once more, since it may have ended while its writes were waited for.
    if state.touch(member.id, now).is_none() {
        return Ok(Flow::Close);
    }
    state.catch_up(now);
    let mut cx = Context::new(&mut state, member.id, header);
    match handle(&mut cx) {
        Ok(()) => {}
        Err(Failure::Code(code)) => cx.header.error = code.number(),
        Err(Failure::Close(reason)) => return Err(reason),
    }
    let Context { header: reply, out, close, .. } = cx;
    state.reply(member.id, header.op, reply, &out, now..shared.now());
    Ok(if close { Flow::Close } else { Flow::Continue })
}
