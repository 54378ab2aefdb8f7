//! One connection, from its first byte to its last.

use std::net::SocketAddr;
use std::sync::Arc;

use door::{CloseReason, Connection, FrameReader};
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::net::tcp::OwnedWriteHalf;
use tokio::time::timeout;

use crate::Shared;
use crate::client::LastRequest;
use crate::handle::{self, Context, Failure};
use crate::limits::{FLUSH_TIMEOUT, HELLO_TIMEOUT, REQUEST_BYTES_MAX};
use crate::outgoing::{Cut, Outgoing};
use crate::watches::ClientId;
use crate::wire::connect::{ConnectRequest, ConnectResponse};
use crate::wire::jute::{Reader, Writer};
use crate::wire::request::RequestHeader;
use crate::words;

#[cfg(test)]
mod tests;

/// Whether the connection goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flow {
    Continue,
    Close,
}

/// Speaks the protocol until either side closes.
pub(crate) async fn serve(shared: Arc<Shared>, connection: Connection) -> Result<(), CloseReason> {
    let Connection { stream, peer, mut stopping, .. } = connection;
    let local = stream.local_addr()?;
    let (reader, mut writer) = stream.into_split();
    let member = Member::join(&shared, peer);
    let mut frames = FrameReader::new(reader, REQUEST_BYTES_MAX);
    let writing = write_out(&mut writer, &member.outgoing);
    tokio::pin!(writing);
    let ended = tokio::select! {
        // First, because the writer ends then too and does not know why.
        biased;
        why = member.outgoing.until_cut() => return cut_off(why),
        written = &mut writing => return written,
        _ = stopping.wait_for(|stop| *stop) => Ok(()),
        ended = talk(&member, &mut frames, local) => ended,
    };
    // What the client was promised before the end still goes out, such as the answer to `close`.
    member.outgoing.finish();
    let _flushed = timeout(FLUSH_TIMEOUT, writing).await;
    ended
}

/// A connection's place in the registry, given up however it ends.
struct Member {
    shared: Arc<Shared>,
    id: ClientId,
    outgoing: Arc<Outgoing>,
}

impl Member {
    fn join(shared: &Arc<Shared>, peer: SocketAddr) -> Self {
        let (id, outgoing) = shared.registry.lock().join(peer, shared.now());
        Self { shared: Arc::clone(shared), id, outgoing }
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        self.shared.registry.lock().leave(self.id);
    }
}

async fn write_out(writer: &mut OwnedWriteHalf, outgoing: &Outgoing) -> Result<(), CloseReason> {
    while let Some(frames) = outgoing.take().await {
        writer.write_all(&frames).await?;
    }
    Ok(())
}

fn cut_off(why: Cut) -> Result<(), CloseReason> {
    match why {
        Cut::Expired | Cut::Moved => Ok(()),
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
        if request(member, &frame)? == Flow::Close {
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
        let answer = words::answer(word, &member.shared, member.id, local);
        member.outgoing.push(answer.as_bytes());
        return Ok(Flow::Close);
    }
    let Some(frame) = frames.next().await? else { return Ok(Flow::Close) };
    let Ok(request) = ConnectRequest::decode(&frame) else {
        return Err(CloseReason::Protocol("the first record is no connect request".into()));
    };
    let shared = &member.shared;
    let now = shared.now();
    let mut registry = shared.registry.lock();
    let response = registry.connect(member.id, &request, now)?;
    let mut out = Writer::default();
    response.encode(request.has_read_only, &mut out);
    if let Some(client) = registry.clients.get_mut(&member.id) {
        client.received += 1;
        client.send(&out);
    }
    shared.tend(&mut registry);
    Ok(if response == ConnectResponse::EXPIRED { Flow::Close } else { Flow::Continue })
}

/// Carries out one request and queues its reply.
fn request(member: &Member, frame: &[u8]) -> Result<Flow, CloseReason> {
    let mut body = Reader::new(frame);
    let Ok(header) = RequestHeader::decode(&mut body) else {
        return Err(CloseReason::Protocol(format!("a request of {} bytes", frame.len())));
    };
    let shared = &member.shared;
    let now = shared.now();
    let mut registry = shared.registry.lock();
    if !registry.touch(member.id, now) {
        return Ok(Flow::Close);
    }
    registry.catch_up(now);
    let mut cx = Context::new(&mut registry, member.id, header);
    match handle::answer(&mut cx, header.op, &mut body) {
        Ok(()) => {}
        Err(Failure::Code(code)) => cx.header.error = code.number(),
        Err(Failure::Close(reason)) => return Err(reason),
    }
    let Context { header: reply, out, close, .. } = cx;
    let latency = shared.now().steady - now.steady;
    registry.latency.add(latency);
    if let Some(client) = registry.clients.get_mut(&member.id) {
        client.received += 1;
        client.latency.add(latency);
        let (op, xid) = (header.op, header.xid);
        client.last = Some(LastRequest { op, xid, zxid: reply.zxid, at: now.wall, latency });
        client.send(&reply.frame(out.as_slice()));
    }
    Ok(if close { Flow::Close } else { Flow::Continue })
}
