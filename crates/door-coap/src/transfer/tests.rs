//! Bodies in pieces.

use std::net::SocketAddr;

use super::*;
use crate::wire::number;
use crate::wire::option::Writer;

fn peer() -> Remote {
    SocketAddr::from(([127, 0, 0, 1], 5683)).into()
}

fn request(
    method: Code,
    path: &str,
    blocks: (Option<u32>, Option<u32>),
    payload: &[u8],
) -> Request {
    let mut options = Vec::new();
    let mut writer = Writer::new(&mut options);
    writer.option(number::URI_PATH, path.as_bytes());
    if let Some(block2) = blocks.1 {
        writer.uint(number::BLOCK2, block2);
    }
    if let Some(block1) = blocks.0 {
        writer.uint(number::BLOCK1, block1);
    }
    Request::new(method, options.into(), Bytes::copy_from_slice(payload)).expect("a request")
}

fn block(number: u32, more: bool, size: Size) -> u32 {
    Block { number, more, size }.value()
}

fn size(bytes: usize) -> Size {
    Size::LARGEST.within(bytes)
}

/// Takes a piece: the body when it is whole, or the code of the answer.
fn take(transfers: &mut Transfers, request: Request) -> Result<Bytes, Code> {
    match transfers.take(0, peer(), request, Pieces::DATAGRAM) {
        Taken::Whole(request) => Ok(request.payload),
        Taken::Answer(answer) => Err(answer.code),
    }
}

fn put(number: u32, more: bool, size: Size, payload: &[u8]) -> Request {
    request(Code::PUT, "a", (Some(block(number, more, size)), None), payload)
}

#[test]
fn a_body_is_whole_when_all_its_pieces_are_there_in_order() {
    let mut transfers = Transfers::new(1000, &Arc::default());
    let small = size(16);
    let piece = |byte: u8| [byte; 16];
    assert_eq!(take(&mut transfers, put(0, true, small, &piece(0))), Err(Code::CONTINUE));
    assert_eq!(take(&mut transfers, put(1, true, small, &piece(1))), Err(Code::CONTINUE));
    // The answer was lost, and with a new number the piece comes again.
    assert_eq!(take(&mut transfers, put(1, true, small, &piece(1))), Err(Code::CONTINUE));
    // The client goes on with larger ones, where they fit.
    assert_eq!(take(&mut transfers, put(1, true, size(32), &[2; 32])), Err(Code::CONTINUE));
    let body = take(&mut transfers, put(4, false, small, b"end")).expect("whole");
    assert_eq!(body, [&piece(0)[..], &piece(1), &[2; 32], b"end"].concat());
    assert_eq!((transfers.bytes, transfers.all.len(), transfers.of_peers.len()), (0, 0, 0));
    // One that is missing, one of nothing that began, one that comes too late.
    assert_eq!(take(&mut transfers, put(1, true, small, &piece(1))), Err(Code::ENTITY_INCOMPLETE));
    take(&mut transfers, put(0, true, small, &piece(0))).expect_err("goes on");
    assert_eq!(take(&mut transfers, put(2, false, small, &piece(2))), Err(Code::ENTITY_INCOMPLETE));
    take(&mut transfers, put(0, true, small, &piece(0))).expect_err("goes on");
    let late =
        transfers.take(EXCHANGE_LIFETIME_MS, peer(), put(1, false, small, b""), Pieces::DATAGRAM);
    assert!(matches!(late, Taken::Answer(answer) if answer.code == Code::ENTITY_INCOMPLETE));
    assert_eq!(take(&mut transfers, put(0, false, small, b"all")), Ok(b"all"[..].into()));
}

#[test]
fn pieces_of_one_session_are_none_of_another() {
    let mut transfers = Transfers::new(10_000, &Arc::default());
    let of = |session| Remote { session, ..peer() };
    let small = size(16);
    let mut take =
        |session, request| match transfers.take(0, of(session), request, Pieces::DATAGRAM) {
            Taken::Whole(request) => Ok(request.payload),
            Taken::Answer(answer) => Err(answer.code),
        };
    assert_eq!(take(1, put(0, true, small, &[1; 16])), Err(Code::CONTINUE));
    assert_eq!(take(2, put(1, false, small, b"end")), Err(Code::ENTITY_INCOMPLETE));
    assert_eq!(take(1, put(1, false, small, b"end")).expect("whole").len(), 19);
    let get = |block2| request(Code::GET, "a", (None, block2), b"");
    let whole = Response::content(Some(0), vec![7; 2000].into());
    transfers.cut(0, of(1), &get(None), whole, Pieces::DATAGRAM);
    let next = || get(Some(block(1, false, Size::LARGEST)));
    let other = transfers.take(1, of(2), next(), Pieces::DATAGRAM);
    assert!(matches!(other, Taken::Whole(_)), "it is asked anew");
    assert!(matches!(transfers.take(1, of(1), next(), Pieces::DATAGRAM), Taken::Answer(_)));
}

#[test]
fn pieces_that_are_none_and_bodies_that_are_too_large_are_refused() {
    let mut transfers = Transfers::new(100, &Arc::default());
    let small = size(16);
    assert_eq!(take(&mut transfers, put(0, true, small, b"short")), Err(Code::BAD_REQUEST));
    assert_eq!(take(&mut transfers, put(0, false, small, &[0; 17])), Err(Code::BAD_REQUEST));
    assert_eq!(take(&mut transfers, put(0, true, Size::BERT, &[0; 1024])), Err(Code::BAD_REQUEST));
    assert_eq!(take(&mut transfers, put(7, true, small, &[0; 16])), Err(Code::ENTITY_TOO_LARGE));
    let whole = request(Code::PUT, "a", (None, None), &[0; 101]);
    assert_eq!(take(&mut transfers, whole), Err(Code::ENTITY_TOO_LARGE));
    let refused = transfers.take(0, peer(), put(70_000, false, small, b""), Pieces::DATAGRAM);
    assert!(matches!(refused, Taken::Answer(answer) if answer.size1 == Some(100)));
}

#[test]
fn a_response_is_handed_out_in_pieces_of_one_representation() {
    let mut transfers = Transfers::new(10_000, &Arc::default());
    let payload: Bytes = (0..2500_u16).map(|n| n.to_le_bytes()[0]).collect();
    let get = |block2| request(Code::GET, "a", (None, block2), b"");
    let whole = Response::content(Some(0), payload.clone());
    let first = transfers.cut(0, peer(), &get(None), whole.clone(), Pieces::DATAGRAM);
    assert_eq!(first.block2, Some(Block { number: 0, more: true, size: Size::LARGEST }));
    assert_eq!((first.payload.len(), first.size2), (1024, Some(2500)));
    let mut joined = first.payload.to_vec();
    for number in 1..3 {
        let next = get(Some(block(number, false, Size::LARGEST)));
        let Taken::Answer(piece) = transfers.take(1, peer(), next, Pieces::DATAGRAM) else {
            panic!("it is kept")
        };
        assert_eq!(piece.etag, first.etag);
        assert_eq!(piece.block2.expect("a piece").more, number == 1);
        joined.extend_from_slice(&piece.payload);
    }
    assert!(joined == payload);
    assert_eq!((transfers.bytes, transfers.all.len()), (0, 0), "nobody asks for more");
    // What is gone is made again, and a piece of it cut; behind the end there is nothing.
    let second = get(Some(block(5, false, size(256))));
    assert!(matches!(transfers.take(2, peer(), second.clone(), Pieces::DATAGRAM), Taken::Whole(_)));
    let piece = transfers.cut(2, peer(), &second, whole.clone(), Pieces::DATAGRAM);
    assert_eq!(piece.payload, payload.slice(1280..1536));
    let behind = get(Some(block(3, false, Size::LARGEST)));
    let refused = transfers.cut(2, peer(), &behind, whole, Pieces::DATAGRAM);
    assert_eq!(refused.code, Code::BAD_REQUEST);
}

#[test]
fn pieces_are_as_small_as_the_client_wants_them() {
    let mut transfers = Transfers::new(10_000, &Arc::default());
    let get = request(Code::GET, "a", (None, Some(block(0, false, size(64)))), b"");
    let content = |length| Response::content(None, vec![1; length].into());
    let piece = transfers.cut(0, peer(), &get, content(65), Pieces::DATAGRAM);
    assert_eq!(piece.block2, Some(Block { number: 0, more: true, size: size(64) }));
    let piece = transfers.cut(0, peer(), &get, content(64), Pieces::DATAGRAM);
    assert_eq!(piece.block2, Some(Block { number: 0, more: false, size: size(64) }));
    let plain = request(Code::GET, "a", (None, None), b"");
    let piece = transfers.cut(0, peer(), &plain, content(1024), Pieces::DATAGRAM);
    assert_eq!((piece.block2, piece.size2), (None, None));
    // In streams, as much as the client takes in one message.
    let stream = Pieces { payload_max: 5000, large: true };
    let piece = transfers.cut(0, peer(), &plain, content(5001), stream);
    assert_eq!(piece.block2, Some(Block { number: 0, more: true, size: Size::BERT }));
    assert_eq!(piece.payload.len(), 4096);
    let next = request(Code::GET, "a", (None, Some(block(4, false, Size::BERT))), b"");
    let Taken::Answer(piece) = transfers.take(0, peer(), next, stream) else {
        panic!("it is kept")
    };
    assert_eq!(piece.payload.len(), 5001 - 4096);
}

#[test]
fn what_is_kept_is_bounded() {
    let mut transfers = Transfers::new(TRANSFER_BYTES_MAX, &Arc::default());
    let small = size(16);
    for number in 0..100_u32 {
        let piece = (Some(block(0, true, small)), None);
        let one = request(Code::PUT, &number.to_string(), piece, &[0; 16]);
        take(&mut transfers, one).expect_err("goes on");
    }
    assert_eq!(transfers.all.len(), TRANSFERS_OF_PEER_MAX);
    assert_eq!(transfers.bytes, TRANSFERS_OF_PEER_MAX * 16);
    let last = request(Code::PUT, "99", (Some(block(1, false, small)), None), b"!");
    assert!(take(&mut transfers, last).is_ok(), "the newest are kept");
    let large = Response::content(None, vec![0; TRANSFER_BYTES_MAX / 3].into());
    for number in 0..10 {
        let get = request(Code::GET, &format!("large {number}"), (None, None), b"");
        transfers.cut(0, peer(), &get, large.clone(), Pieces::DATAGRAM);
        assert!(transfers.bytes <= TRANSFER_BYTES_MAX);
    }
    assert_eq!(transfers.order.len(), transfers.all.len());
}

#[test]
fn what_all_together_keep_is_bounded_too() {
    let total = Arc::<AtomicUsize>::default();
    let others = total.fetch_add(TRANSFER_TOTAL_BYTES_MAX - 100, Ordering::Relaxed);
    let mut transfers = Transfers::new(1 << 20, &total);
    let get = request(Code::GET, "a", (None, None), b"");
    let large = Response::content(None, vec![0; 5000].into());
    let piece = transfers.cut(0, peer(), &get, large, Pieces::DATAGRAM);
    assert_eq!(piece.payload.len(), 1024, "what was begun is answered");
    assert_eq!((transfers.all.len(), transfers.bytes), (0, 0));
    take(&mut transfers, put(0, true, size(64), &[0; 64])).expect_err("goes on");
    assert_eq!(total.load(Ordering::Relaxed), others + TRANSFER_TOTAL_BYTES_MAX - 36);
    drop(transfers);
    assert_eq!(total.load(Ordering::Relaxed), others + TRANSFER_TOTAL_BYTES_MAX - 100);
}
