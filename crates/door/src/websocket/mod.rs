//! WebSocket (RFC 6455) as a server: for protocols that are a stream of bytes, carried in binary
//! messages. To a door it is a [`Stream`](crate::Stream) like any other.
//!
//! Where one message ends and the next begins means nothing to most such protocols, so nothing is
//! gathered: a frame's bytes are handed on as they come, whatever length it announces. For one to which it does mean
//! something, each message has its length in front ([`WebSocketOptions::delimited`]).

mod frame;
mod handshake;
mod messages;
mod stream;
#[cfg(test)]
mod tests;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

use crate::CloseReason;

pub use messages::Messages;
pub use stream::WebSocket;

pub(crate) use handshake::prove;

/// A client that has not sent its request by then is cut off.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Longest request, in bytes. Browsers send cookies, too.
const REQUEST_BYTES_MAX: usize = 16 * 1024;

/// How a listener speaks WebSocket.
#[derive(Debug, Clone, Default)]
pub struct WebSocketOptions {
    /// The subprotocols spoken. The client's first one among them is agreed on; none if it names
    /// none of them.
    pub protocols: Vec<String>,
    /// The `Origin`s whose pages may connect; empty means all. A browser always says one, other
    /// clients need not.
    pub origins: Vec<String>,
    /// Text messages are taken like binary ones; otherwise they end the connection.
    pub accepts_text: bool,
    /// Where messages end means something: each has its length in front, four bytes, the highest first, and so must have
    /// what is written. A message in several frames is gathered, and may have 64 KiB at most.
    pub delimited: bool,
}

/// Answers a client's handshake. What of its bytes comes after the request belongs to the stream.
pub(crate) async fn accept<S: AsyncRead + AsyncWrite + Unpin>(
    stream: S,
    options: &WebSocketOptions,
) -> Result<WebSocket<S>, CloseReason> {
    let accepting = tokio::time::timeout(HANDSHAKE_TIMEOUT, answer(stream, options)).await;
    accepting.unwrap_or(Err(CloseReason::Idle(HANDSHAKE_TIMEOUT)))
}

async fn answer<S: AsyncRead + AsyncWrite + Unpin>(
    mut stream: S,
    options: &WebSocketOptions,
) -> Result<WebSocket<S>, CloseReason> {
    let mut request = Vec::with_capacity(1024);
    let end = loop {
        if let Some(end) = handshake::end(&request) {
            break end;
        }
        if request.len() >= REQUEST_BYTES_MAX {
            return Err(CloseReason::Handshake("the request is too long".into()));
        }
        let room = REQUEST_BYTES_MAX - request.len();
        if (&mut stream).take(room as u64).read_buf(&mut request).await? == 0 {
            return Err(CloseReason::Handshake("closed within the request".into()));
        }
    };
    match handshake::answer(&request[..end], options) {
        Ok(response) => {
            stream.write_all(response.as_bytes()).await?;
            stream.flush().await?;
            Ok(WebSocket::new(stream, &request[end..], options))
        }
        Err(refusal) => {
            stream.write_all(refusal.response().as_bytes()).await?;
            stream.shutdown().await?;
            Err(CloseReason::Handshake(refusal.to_string()))
        }
    }
}
