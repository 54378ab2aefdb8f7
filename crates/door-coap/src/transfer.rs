//! Bodies in pieces (RFC 7959): those of requests put together, those of responses handed out. One client's pieces of
//! one body are known by what their requests have in common ([`Request::digest`]).
//!
//! A body is worked on when all of it is there, never a piece. What is kept is bounded in bytes, of all and in number of
//! each client: what is older gives way, and its client is told with 4.08 that it must begin again.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use bytes::Bytes;

use crate::limits::{
    EXCHANGE_LIFETIME_MS, TRANSFER_BYTES_MAX, TRANSFER_TOTAL_BYTES_MAX, TRANSFERS_MAX,
    TRANSFERS_OF_PEER_MAX,
};
use crate::remote::Remote;
use crate::request::Request;
use crate::response::{Etag, Response};
use crate::wire::block::{Block, Size};
use crate::wire::code::Code;

#[cfg(test)]
mod tests;

/// A client, which way the body goes, and what its pieces have in common.
type Key = (Remote, Way, u64);

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Way {
    Up,
    Down,
}

/// How large pieces can be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Pieces {
    /// The largest payload of one message.
    pub(crate) payload_max: usize,
    /// Many kilobytes can be one piece (RFC 8323 §6).
    pub(crate) large: bool,
}

impl Pieces {
    /// In datagrams.
    pub(crate) const DATAGRAM: Self = Self { payload_max: 1024, large: false };

    /// The size of pieces, of which the client wants them no larger than this, and how many bytes that is.
    fn size(self, wanted: Option<Size>) -> (Size, usize) {
        match wanted {
            Some(Size::BERT) | None if self.large && self.payload_max >= 1024 => {
                (Size::BERT, self.payload_max / 1024 * 1024)
            }
            wanted => {
                let size = wanted.unwrap_or(Size::LARGEST).within(self.payload_max);
                (size, size.unit())
            }
        }
    }
}

/// What is to be done with a request.
#[derive(Debug)]
pub(crate) enum Taken {
    /// All of it is there.
    Whole(Request),
    /// This is the answer.
    Answer(Box<Response>),
}

#[derive(Debug)]
enum Transfer {
    Up { body: Vec<u8>, format: Option<u16> },
    Down(Box<Response>),
}

impl Transfer {
    fn bytes(&self) -> usize {
        match self {
            Self::Up { body, .. } => body.len(),
            Self::Down(response) => response.payload.len(),
        }
    }
}

/// Bodies under way.
#[derive(Debug)]
pub(crate) struct Transfers {
    body_max: usize,
    all: HashMap<Key, Kept>,
    /// In the order in which they began.
    order: BTreeMap<u64, Key>,
    of_peers: HashMap<Remote, usize>,
    bytes: usize,
    /// Of all workers and connections together.
    total: Arc<AtomicUsize>,
    next: u64,
}

impl Drop for Transfers {
    fn drop(&mut self) {
        self.total.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[derive(Debug)]
struct Kept {
    number: u64,
    until: u64,
    transfer: Transfer,
}

impl Transfers {
    /// With bodies of so many bytes at most. `total` counts those of all.
    pub(crate) fn new(body_max: usize, total: &Arc<AtomicUsize>) -> Self {
        let body_max = body_max.min(TRANSFER_BYTES_MAX);
        let (all, order, of_peers) = (HashMap::new(), BTreeMap::new(), HashMap::new());
        Self { body_max, all, order, of_peers, bytes: 0, total: Arc::clone(total), next: 0 }
    }

    /// Takes a request, or a piece of one.
    pub(crate) fn take(
        &mut self,
        now: u64,
        peer: Remote,
        mut request: Request,
        pieces: Pieces,
    ) -> Taken {
        self.expire(now);
        if let Some(refusal) = self.check(&request, pieces) {
            return Taken::Answer(refusal);
        }
        if let Some(block) = request.fields.block1 {
            match self.add(now, (peer, Way::Up, request.digest()), block, &request) {
                Ok(Some(body)) => request.payload = body,
                Ok(None) => {
                    let block1 = Some(Block { more: true, ..block });
                    let answer = Response { block1, ..Response::new(Code::CONTINUE) };
                    return Taken::Answer(Box::new(answer));
                }
                Err(refusal) => return Taken::Answer(refusal),
            }
        }
        match request.fields.block2.filter(|block| block.number > 0) {
            Some(block) => self.go_on(peer, request, block, pieces),
            None => Taken::Whole(request),
        }
    }

    /// Whether a piece has the form of one, and the body may be as large as it is said to be.
    fn check(&self, request: &Request, pieces: Pieces) -> Option<Box<Response>> {
        let fields = &request.fields;
        let is_large = |block: &Block| block.size == Size::BERT && !pieces.large;
        if fields.block1.iter().chain(&fields.block2).any(is_large) {
            return Some(Response::refusal(Code::BAD_REQUEST, "a reserved size of pieces".into()));
        }
        let length = request.payload.len();
        let (begin, is_formed) = match &fields.block1 {
            None => (0, true),
            Some(block) if block.size == Size::BERT => {
                (block.offset(), !block.more || (length > 0 && length.is_multiple_of(1024)))
            }
            Some(block) => {
                let unit = block.size.unit();
                (block.offset(), if block.more { length == unit } else { length <= unit })
            }
        };
        if !is_formed {
            let why = "a piece of another size than it says".into();
            return Some(Response::refusal(Code::BAD_REQUEST, why));
        }
        let said = fields.size1.map_or(0, crate::wire::to_usize);
        if begin.saturating_add(length).max(said) > self.body_max {
            let size1 = u32::try_from(self.body_max).ok();
            let refusal = Response { size1, ..Response::new(Code::ENTITY_TOO_LARGE) };
            return Some(Box::new(refusal));
        }
        None
    }

    /// Adds a piece; the body when it is the last.
    fn add(
        &mut self,
        now: u64,
        key: Key,
        block: Block,
        request: &Request,
    ) -> Result<Option<Bytes>, Box<Response>> {
        let incomplete = || Box::new(Response::new(Code::ENTITY_INCOMPLETE));
        let format = request.fields.content_format;
        if block.number == 0 {
            if !block.more {
                self.remove(&key);
                return Ok(Some(request.payload.clone()));
            }
            self.insert(now, key, Transfer::Up { body: Vec::new(), format });
        }
        let kept = self.all.get_mut(&key).map(|kept| &mut kept.transfer);
        let Some(Transfer::Up { body, format: known }) = kept else { return Err(incomplete()) };
        let offset = block.offset();
        if *known != format {
            self.remove(&key);
            return Err(incomplete());
        }
        // The last one again, whose answer was lost with all that is remembered of it.
        if block.more && offset + request.payload.len() == body.len() && offset < body.len() {
            return Ok(None);
        }
        if offset != body.len() {
            self.remove(&key);
            return Err(incomplete());
        }
        body.extend_from_slice(&request.payload);
        self.count(request.payload.len());
        if block.more {
            self.make_room(&key);
            return Ok(None);
        }
        match self.remove(&key) {
            Some(Transfer::Up { body, .. }) => Ok(Some(body.into())),
            _ => Err(incomplete()),
        }
    }

    /// Hands out another piece of a response, or has it made again where that does no harm.
    fn go_on(&mut self, peer: Remote, request: Request, block: Block, pieces: Pieces) -> Taken {
        let key = (peer, Way::Down, request.digest());
        let answer = match self.all.get(&key).map(|kept| &kept.transfer) {
            Some(Transfer::Down(response)) => cut(response, block, pieces),
            _ if matches!(request.method, Code::GET | Code::FETCH) => return Taken::Whole(request),
            _ => return Taken::Answer(Box::new(Response::new(Code::ENTITY_INCOMPLETE))),
        };
        // Its client has no more to ask for. If it does, what it asks for is made again, where that does no harm.
        if answer.block2.is_some_and(|block| !block.more) && request.method == Code::GET {
            self.remove(&key);
        }
        Taken::Answer(Box::new(answer))
    }

    /// As much of a response as one message takes; the rest is kept for its client to ask for.
    pub(crate) fn cut(
        &mut self,
        now: u64,
        peer: Remote,
        request: &Request,
        mut response: Response,
        pieces: Pieces,
    ) -> Response {
        if let Some(block) = request.fields.block1.filter(|_| response.block1.is_none()) {
            response.block1 = Some(Block { more: false, ..block });
        }
        // What is said to people is cut, not sent in pieces.
        if !response.code.is_success() {
            response.payload.truncate(pieces.payload_max);
            return response;
        }
        let wanted = request.fields.block2;
        let length = response.payload.len();
        let (size, bytes) = pieces.size(wanted.map(|block| block.size));
        let fits = length <= bytes.min(pieces.payload_max)
            || (wanted.is_none() && length <= pieces.payload_max);
        if request.fields.wants_size || !fits {
            response.size2 = u32::try_from(length).ok();
        }
        if fits && wanted.is_none() {
            return response;
        }
        let number = wanted.map_or(0, |block| block.number);
        let first = Block { number, more: false, size };
        if number == 0 && !fits {
            // All pieces are of one representation, whatever comes meanwhile.
            if response.etag.is_none() {
                response.etag = Some(Etag::of(response.format, &response.payload));
            }
            let piece = cut(&response, first, pieces);
            let key = (peer, Way::Down, request.digest());
            let kept = Response { observe: None, block1: None, size2: None, ..response };
            self.insert(now, key, Transfer::Down(Box::new(kept)));
            return piece;
        }
        cut(&response, first, pieces)
    }

    fn insert(&mut self, now: u64, key: Key, transfer: Transfer) {
        self.remove(&key);
        if self.of_peers.get(&key.0).is_some_and(|count| *count >= TRANSFERS_OF_PEER_MAX) {
            let oldest = self.order.values().find(|other| other.0 == key.0).copied();
            oldest.and_then(|oldest| self.remove(&oldest));
        }
        self.count(transfer.bytes());
        *self.of_peers.entry(key.0).or_default() += 1;
        let number = self.next;
        self.next += 1;
        self.order.insert(number, key);
        self.all.insert(key, Kept { number, until: now + EXCHANGE_LIFETIME_MS, transfer });
        self.make_room(&key);
    }

    /// Ends what is older, but not this one, until what is kept is not too much.
    fn make_room(&mut self, key: &Key) {
        while self.bytes > TRANSFER_BYTES_MAX || self.all.len() > TRANSFERS_MAX {
            let oldest = self.order.values().find(|other| *other != key).copied();
            let Some(oldest) = oldest else { break };
            self.remove(&oldest);
        }
        // Of all there is too much: whoever comes now must begin again, later.
        if self.total.load(Ordering::Relaxed) > TRANSFER_TOTAL_BYTES_MAX {
            let all: Vec<_> = self.order.values().copied().collect();
            all.iter().for_each(|key| drop(self.remove(key)));
        }
    }

    fn count(&mut self, more: usize) {
        self.bytes += more;
        self.total.fetch_add(more, Ordering::Relaxed);
    }

    fn remove(&mut self, key: &Key) -> Option<Transfer> {
        let Kept { number, transfer, .. } = self.all.remove(key)?;
        self.order.remove(&number);
        self.bytes -= transfer.bytes();
        self.total.fetch_sub(transfer.bytes(), Ordering::Relaxed);
        if let Some(count) = self.of_peers.get_mut(&key.0) {
            *count -= 1;
            if *count == 0 {
                self.of_peers.remove(&key.0);
            }
        }
        Some(transfer)
    }

    /// Ends what nobody went on with.
    fn expire(&mut self, now: u64) {
        while let Some((_, key)) = self.order.first_key_value() {
            let key = *key;
            if self.all.get(&key).is_some_and(|kept| kept.until > now) {
                return;
            }
            self.remove(&key);
        }
    }
}

/// One piece of a response.
fn cut(response: &Response, block: Block, pieces: Pieces) -> Response {
    let (size, bytes) = pieces.size(Some(block.size));
    // A smaller size than was asked for: where it begins stays the same.
    let begin = block.offset();
    let number = u32::try_from(begin / size.unit()).unwrap_or(Block::NUMBER_MAX);
    let length = response.payload.len();
    if (begin >= length && begin > 0) || number > Block::NUMBER_MAX {
        return *Response::refusal(Code::BAD_REQUEST, "behind the end".into());
    }
    let end = length.min(begin + bytes);
    let block2 = Some(Block { number, more: end < length, size });
    Response { payload: response.payload.slice(begin..end), block2, ..response.clone() }
}
