//! What is on its way in takes its room from what the requests of all doors may take together.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use door::{BoxFuture, Claim};
use http_body::{Body, Frame, SizeHint};

use crate::client::Client;
use crate::limits::UNCLAIMED_BYTES;

/// In front of each message: a byte that says whether it is packed, and its length.
const PREFIX_BYTES: usize = 5;

/// A call's messages, each with a prefix ("gRPC over HTTP2", Length-Prefixed-Message). One of which much is there, and not
/// all, claims its room; until there is some, no more of it is read.
pub(crate) struct Metered<B> {
    body: B,
    client: Arc<Client>,
    lengths: Lengths,
    claim: Claim,
    /// The claim grows for what comes next.
    growing: Option<(BoxFuture<Claim>, Frame<Bytes>)>,
}

impl<B> Metered<B> {
    pub(crate) fn new(body: B, client: Arc<Client>) -> Self {
        let (lengths, claim) = (Lengths::default(), Claim::default());
        Self { body, client, lengths, claim, growing: None }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Metered<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let own = self.get_mut();
        if let Some((growing, _)) = &mut own.growing {
            own.claim = ready!(growing.as_mut().poll(cx));
            let frame = own.growing.take().map(|(_, frame)| Ok(frame));
            return Poll::Ready(frame);
        }
        if own.lengths.partial == 0 {
            // What it was for is there, and was handled, or is being handled.
            own.claim = Claim::default();
        }
        let Some(frame) = ready!(Pin::new(&mut own.body).poll_frame(cx)) else {
            return Poll::Ready(None);
        };
        let frame = frame?;
        let Some(data) = frame.data_ref() else { return Poll::Ready(Some(Ok(frame))) };
        let most = own.lengths.take(data);
        if most <= UNCLAIMED_BYTES {
            return Poll::Ready(Some(Ok(frame)));
        }
        let (client, mut claim) = (Arc::clone(&own.client), std::mem::take(&mut own.claim));
        let growing = Box::pin(async move {
            client.room.grow(&mut claim, most).await;
            claim
        });
        own.growing = Some((growing, frame));
        Pin::new(own).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.growing.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// Where messages begin and end.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Lengths {
    /// Of the prefix of a message that has begun.
    prefix: Vec<u8>,
    /// Bytes that are missing of a message whose prefix is there.
    missing: usize,
    /// Bytes of it that are there.
    partial: usize,
}

impl Lengths {
    /// Takes what came; the most bytes of a message that began before it, or does not end in it.
    pub(crate) fn take(&mut self, mut data: &[u8]) -> usize {
        let mut most = 0;
        while !data.is_empty() {
            if self.missing > 0 {
                let taken = self.missing.min(data.len());
                data = data.get(taken..).unwrap_or_default();
                self.missing -= taken;
                self.partial += taken;
                most = most.max(self.partial);
                if self.missing == 0 {
                    self.partial = 0;
                }
                continue;
            }
            let (prefix, rest) = data.split_at((PREFIX_BYTES - self.prefix.len()).min(data.len()));
            self.prefix.extend_from_slice(prefix);
            data = rest;
            if let [_, length @ ..] = &self.prefix[..]
                && let Ok(length) = <[u8; 4]>::try_from(length)
            {
                // A length that is too large is refused by who reads the message.
                self.missing = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                self.prefix.clear();
            }
        }
        most
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(length: usize) -> Vec<u8> {
        let prefix = u32::try_from(length).unwrap().to_be_bytes();
        [&[0][..], &prefix, &vec![7; length]].concat()
    }

    #[test]
    fn messages_are_followed_wherever_they_are_cut() {
        let all = [message(0), message(3), message(40), message(1)].concat();
        for piece in 1..=all.len() {
            let mut lengths = Lengths::default();
            let mut most = 0;
            for data in all.chunks(piece) {
                most = most.max(lengths.take(data));
            }
            assert_eq!(most, 40, "cut into {piece}");
            assert_eq!((lengths.missing, lengths.partial), (0, 0), "cut into {piece}");
            assert!(lengths.prefix.is_empty(), "cut into {piece}");
        }
    }

    #[test]
    fn what_is_missing_is_not_counted() {
        let mut lengths = Lengths::default();
        let begun = &message(1_000_000)[..100];
        assert_eq!(lengths.take(begun), 95);
        assert_eq!((lengths.partial, lengths.missing), (95, 999_905));
    }
}
