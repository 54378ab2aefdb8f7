//! What is sent as a body: at once, or as it comes.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::mpsc::{Receiver, Sender, channel};

/// Pieces that wait to be sent; whoever has more waits, too.
pub const PIECES_MAX: usize = 16;

/// The end of a body that comes piece by piece.
pub type Pieces = Receiver<Bytes>;

/// Where pieces of a body go, and where they come from. The body ends when the sender is dropped; who sends to a client that
/// is gone learns that from an error.
pub fn pieces() -> (Sender<Bytes>, Pieces) {
    channel(PIECES_MAX)
}

/// A body.
#[derive(Debug)]
pub(super) struct Outgoing {
    first: Bytes,
    more: Option<Pieces>,
}

impl Outgoing {
    pub(super) fn new(first: Bytes, more: Option<Pieces>) -> Self {
        Self { first, more }
    }
}

impl Body for Outgoing {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if !self.first.is_empty() {
            let first = std::mem::take(&mut self.first);
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(more) = &mut self.more else { return Poll::Ready(None) };
        more.poll_recv(cx).map(|piece| piece.map(|piece| Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_empty() && self.more.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        match self.more {
            None => SizeHint::with_exact(self.first.len() as u64),
            Some(_) => SizeHint::default(),
        }
    }
}
