//! From frames to handlers.

use bytes::{Bytes, BytesMut};
use tokio::io::AsyncRead;

use super::{End, Session};
use crate::channel::{Channel, Content, Incoming, check_size};
use crate::fault::Fault;
use crate::handle;
use crate::input::Frames;
use crate::limits::{BATCH_BYTES_MAX, UNCLAIMED_BYTES};
use crate::wire::frame::{Frame, Kind, Parsed, parse, put_method};
use crate::wire::method::{
    BasicPublish, ChannelClose, ChannelCloseOk, ConnectionUpdateSecretOk, Method,
};
use crate::wire::properties::ContentHeader;
use crate::wire::reader::Short;
use crate::wire::reply::Reply;

/// The class of messages.
const BASIC: u16 = 60;

/// Why a run of frames pauses.
enum Stop {
    /// So many bytes must be there to go on.
    More(usize),
    /// Enough for one batch.
    Batch,
    /// Somebody publishes, and nothing can be stored.
    Blocked,
    /// A method that may take a moment.
    Wait(u16, Bytes),
}

/// What follows a frame.
enum Next {
    Go,
    Blocked,
    Wait,
}

impl Session<'_> {
    /// Handles all that was read, and says how many bytes must be there to go on.
    pub(super) async fn take_in<R: AsyncRead + Unpin>(
        &mut self,
        frames: &mut Frames<R>,
    ) -> Result<usize, End> {
        if self.is_publisher {
            self.until_healthy().await;
        }
        let chunk = frames.take();
        let mut at = 0;
        let wanted = loop {
            let stop = self.handle_many(&chunk, &mut at);
            self.hand_over().await;
            self.outgoing.flush();
            // Who asks and does not read the answers is not read from.
            self.outgoing.until_read().await;
            match stop? {
                Stop::More(wanted) => break wanted,
                Stop::Batch => {}
                Stop::Blocked => self.until_healthy().await,
                Stop::Wait(channel, payload) => {
                    // Once in a while, and it takes much.
                    Box::pin(self.handle_slow(channel, &payload)).await?;
                    self.outgoing.flush();
                }
            }
        };
        frames.put_back(chunk, at);
        self.claim_held().await?;
        Ok(wanted)
    }

    /// Claims room for messages that are not all there.
    async fn claim_held(&mut self) -> Result<(), End> {
        let held: usize = self.channels.values().map(|channel| channel.incoming.held()).sum();
        let max = self.shared.options.message_bytes_max;
        if held > 2 * max {
            let text = format!("{held} bytes of messages that are not all there");
            return Err(End::fault(Fault::new(Reply::ResourceError, text)));
        }
        if held <= UNCLAIMED_BYTES {
            self.claim = door::Claim::default();
        } else {
            Box::pin(self.room.grow(&mut self.claim, held)).await;
        }
        Ok(())
    }

    /// Handles frames until there is something to wait for.
    fn handle_many(&mut self, chunk: &Bytes, at: &mut usize) -> Result<Stop, End> {
        loop {
            let rest = &chunk[*at..];
            if rest.is_empty() {
                return Ok(Stop::More(1));
            }
            let (frame, used) = match parse(rest, self.agreed.frame_max) {
                Ok(Parsed::Frame(frame, used)) => (frame, used),
                Ok(Parsed::More(wanted)) => return Ok(Stop::More(wanted)),
                Err(bad) => return Err(End::fault(Fault::frame(&bad))),
            };
            match self.handle_frame(chunk, &frame)? {
                Next::Go => *at += used,
                // It comes again.
                Next::Blocked => return Ok(Stop::Blocked),
                Next::Wait => {
                    *at += used;
                    return Ok(Stop::Wait(frame.channel, chunk.slice_ref(frame.payload)));
                }
            }
            if self.publishing.batch.bytes() >= BATCH_BYTES_MAX {
                return Ok(Stop::Batch);
            }
        }
    }

    fn handle_frame(&mut self, chunk: &Bytes, frame: &Frame<'_>) -> Result<Next, End> {
        let Frame { kind, channel, payload } = *frame;
        if kind == Kind::Heartbeat {
            return match channel {
                0 => Ok(Next::Go),
                _ => Err(End::fault(Fault::unexpected(kind as u8, payload))),
            };
        }
        if channel == 0 {
            return match kind {
                Kind::Method => self.handle_own(payload),
                _ => Err(End::fault(Fault::unexpected(kind as u8, payload))),
            };
        }
        if channel > self.agreed.channel_max {
            let max = self.agreed.channel_max;
            let text =
                format!("channel number {channel} is above the negotiated channel_max ({max})");
            return Err(End::fault(Fault::new(Reply::ChannelError, text)));
        }
        if self.closing.contains(&channel) {
            return self.handle_closing(channel, frame);
        }
        let Some(known) = self.channels.get_mut(&channel) else {
            return match kind {
                Kind::Method => handle::channel::open(self, channel, payload).map(|()| Next::Go),
                _ => {
                    let text = "expected 'channel.open'";
                    Err(End::fault(Fault::new(Reply::ChannelError, text)))
                }
            };
        };
        match kind {
            Kind::Method => self.handle_method(chunk, channel, payload),
            Kind::Header | Kind::Body => {
                let max = self.shared.options.message_bytes_max;
                let whole = match kind {
                    Kind::Header => begin(known, chunk, payload, max),
                    _ => go_on(known, chunk, payload),
                };
                let published = match whole {
                    Ok(Some(content)) => handle::publish::handle(self, channel, content),
                    Ok(None) => Ok(()),
                    Err(fault) => Err(fault),
                };
                self.judge(channel, (BASIC, 40), published)?;
                Ok(Next::Go)
            }
            Kind::Heartbeat => Ok(Next::Go),
        }
    }

    /// Methods of the connection itself.
    fn handle_own(&mut self, payload: &[u8]) -> Result<Next, End> {
        let method = Method::decode(payload);
        let method = method.map_err(|error| End::fault(Fault::syntax(error, payload)))?;
        match method {
            Method::ConnectionClose(_) => Err(End::Goodbye),
            Method::ConnectionCloseOk(_) => Err(End::Quiet),
            Method::ConnectionUpdateSecret(_) => {
                self.outgoing.push(|out| put_method(0, &ConnectionUpdateSecretOk {}, out));
                Ok(Next::Go)
            }
            other => {
                let text = format!("{} is not due on channel 0", other.name());
                Err(End::Fault(Fault::command_invalid(text), other.id()))
            }
        }
    }

    /// Methods of a channel.
    fn handle_method(&mut self, chunk: &Bytes, channel: u16, payload: &[u8]) -> Result<Next, End> {
        let method = Method::decode(payload);
        let method = method.map_err(|error| End::fault(Fault::syntax(error, payload)))?;
        let Some(known) = self.channels.get_mut(&channel) else { return Ok(Next::Go) };
        if let Method::BasicPublish(publish) = &method {
            if !std::mem::replace(&mut self.is_publisher, true)
                && self.shared.broker.health().is_err()
            {
                return Ok(Next::Blocked);
            }
            let due = expect_nothing(&known.incoming);
            due.map_err(|fault| End::Fault(fault, method.id()))?;
            known.incoming = Incoming::Method(content(chunk, publish));
            return Ok(Next::Go);
        }
        let due = expect_nothing(&known.incoming);
        due.map_err(|fault| End::Fault(fault, method.id()))?;
        let done = match &method {
            Method::BasicAck(ack) => handle::settle::ack(known, ack),
            Method::BasicNack(nack) => handle::settle::nack(known, nack),
            Method::BasicReject(reject) => handle::settle::reject(known, reject),
            Method::BasicRecover(recover) => handle::settle::recover(known, recover.requeue, true),
            Method::BasicRecoverAsync(recover) => {
                handle::settle::recover(known, recover.requeue, false)
            }
            Method::BasicQos(qos) => handle::qos::handle(known, qos),
            Method::BasicConsume(consume) => handle::consume::handle(self, channel, consume),
            Method::ConfirmSelect(select) => handle::confirm::handle(known, select),
            Method::TxSelect(_) => handle::tx::select(known),
            Method::TxRollback(_) => handle::tx::rollback(known),
            Method::ChannelFlow(flow) => handle::channel::flow(known, flow),
            Method::ChannelFlowOk(_) => Ok(()),
            Method::ChannelClose(_) => {
                handle::channel::close(self, channel);
                Ok(())
            }
            Method::AccessRequest(_) => handle::channel::access(known),
            Method::ChannelOpen(_) => {
                Err(Fault::new(Reply::ChannelError, "second 'channel.open' seen"))
            }
            _ => return Ok(Next::Wait),
        };
        self.judge(channel, method.id(), done)?;
        Ok(Next::Go)
    }

    /// On a channel that was closed nothing counts but that the client heard so.
    fn handle_closing(&mut self, channel: u16, frame: &Frame<'_>) -> Result<Next, End> {
        if frame.kind != Kind::Method {
            return Ok(Next::Go);
        }
        match Method::decode(frame.payload) {
            Ok(Method::ChannelCloseOk(_)) => drop(self.closing.remove(&channel)),
            // Both closed it at the same time.
            Ok(Method::ChannelClose(_)) => {
                self.outgoing.push(|out| put_method(channel, &ChannelCloseOk {}, out));
            }
            Ok(_) => {}
            Err(error) => return Err(End::fault(Fault::syntax(error, frame.payload))),
        }
        Ok(Next::Go)
    }

    /// Methods that may take a moment. Nothing is handled on this connection before they are done.
    async fn handle_slow(&mut self, channel: u16, payload: &[u8]) -> Result<(), End> {
        let method = Method::decode(payload);
        let method = method.map_err(|error| End::fault(Fault::syntax(error, payload)))?;
        self.until_stored().await;
        let done = match &method {
            Method::ExchangeDeclare(declare) => {
                handle::exchange::declare(self, channel, declare).await
            }
            Method::ExchangeDelete(delete) => handle::exchange::delete(self, channel, delete).await,
            Method::ExchangeBind(bind) => handle::bind::exchange(self, channel, bind).await,
            Method::ExchangeUnbind(unbind) => {
                handle::bind::exchange_not(self, channel, unbind).await
            }
            Method::QueueDeclare(declare) => handle::queue::declare(self, channel, declare).await,
            Method::QueueDelete(delete) => handle::queue::delete(self, channel, delete).await,
            Method::QueuePurge(purge) => handle::queue::purge(self, channel, purge).await,
            Method::QueueBind(bind) => handle::bind::queue(self, channel, bind).await,
            Method::QueueUnbind(unbind) => handle::bind::queue_not(self, channel, unbind).await,
            Method::BasicGet(get) => handle::get::handle(self, channel, get).await,
            Method::BasicCancel(cancel) => handle::cancel::handle(self, channel, cancel).await,
            Method::TxCommit(_) => handle::tx::commit(self, channel).await,
            other => Err(Fault::command_invalid(format!("{} is not due", other.name()))),
        };
        self.judge(channel, method.id(), done)
    }

    /// Ends the channel, or the connection, where something was refused.
    pub(crate) fn judge(
        &mut self,
        channel: u16,
        (class_id, method_id): (u16, u16),
        done: Result<(), Fault>,
    ) -> Result<(), End> {
        let Err(fault) = done else { return Ok(()) };
        if fault.reply.is_hard() {
            return Err(End::Fault(fault, (class_id, method_id)));
        }
        let Some(known) = self.channels.remove(&channel) else { return Ok(()) };
        let text = fault.reply.text(&fault.text);
        let close = ChannelClose {
            reply_code: fault.reply.code(),
            reply_text: Short(text.as_bytes()),
            class_id,
            method_id,
        };
        known.end(|channel, out| put_method(channel, &close, out));
        self.closing.insert(channel);
        tracing::debug!(channel, error = text, "channel closed");
        Ok(())
    }
}

fn content(chunk: &Bytes, publish: &BasicPublish<'_>) -> Content {
    Content {
        exchange: chunk.slice_ref(&publish.exchange),
        routing_key: chunk.slice_ref(&publish.routing_key),
        mandatory: publish.mandatory,
        immediate: publish.immediate,
        properties: Bytes::new(),
        payload: Bytes::new(),
    }
}

/// A method in the middle of a message.
fn expect_nothing(incoming: &Incoming) -> Result<(), Fault> {
    let text = match incoming {
        Incoming::Nothing => return Ok(()),
        Incoming::Method(_) => {
            "expected content header for class 60, got non content header frame instead"
        }
        Incoming::Header(..) => "expected content body, got non content body frame instead",
    };
    Err(Fault::new(Reply::UnexpectedFrame, text))
}

/// A content header: the message, if it has no payload.
fn begin(
    channel: &mut Channel,
    chunk: &Bytes,
    payload: &[u8],
    max: usize,
) -> Result<Option<Content>, Fault> {
    let Incoming::Method(mut content) = std::mem::take(&mut channel.incoming) else {
        let text = "expected method frame, got non method frame instead";
        return Err(Fault::new(Reply::UnexpectedFrame, text));
    };
    let header = ContentHeader::decode(payload).map_err(|error| Fault::syntax(error, payload))?;
    if header.class != BASIC {
        let text = format!(
            "expected content header for class 60, got one for class {} instead",
            header.class
        );
        return Err(Fault::new(Reply::UnexpectedFrame, text));
    }
    content.properties = chunk.slice_ref(header.properties);
    let bytes = check_size(header.body_bytes, max)?;
    if bytes == 0 {
        return Ok(Some(content));
    }
    channel.incoming = Incoming::Header(content, BytesMut::new(), bytes);
    Ok(None)
}

/// A part of a payload: the message, if it was the last.
fn go_on(channel: &mut Channel, chunk: &Bytes, payload: &[u8]) -> Result<Option<Content>, Fault> {
    let Incoming::Header(mut content, mut body, missing) = std::mem::take(&mut channel.incoming)
    else {
        let text = "expected content header for class 60, got non content header frame instead";
        return Err(Fault::new(Reply::UnexpectedFrame, text));
    };
    let Some(missing) = missing.checked_sub(payload.len()) else {
        let text = "a content body that is larger than its header says";
        return Err(Fault::new(Reply::UnexpectedFrame, text));
    };
    if missing == 0 && body.is_empty() {
        content.payload = chunk.slice_ref(payload);
        return Ok(Some(content));
    }
    if body.is_empty() {
        // It stays for a while: without what lies around it.
        content = content.detached();
    }
    body.extend_from_slice(payload);
    if missing == 0 {
        content.payload = body.freeze();
        return Ok(Some(content));
    }
    channel.incoming = Incoming::Header(content, body, missing);
    Ok(None)
}
