use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use door::Stream;
use tokio::io::AsyncReadExt;
use tokio::net::{TcpListener, TcpStream};

use super::{Backlog, Cut, Outgoing, Pushed, Waiting};
use crate::limits::{HANDED_OVER_BYTES, PENDING_BYTES_HIGH};

/// Longer than anything here takes; only a hang gets there.
const HANG: Duration = Duration::from_secs(30);

async fn pair() -> (Stream, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("bound");
    let address = listener.local_addr().expect("an address");
    let (client, accepted) = tokio::join!(TcpStream::connect(address), listener.accept());
    (Stream::from(accepted.expect("accepted").0), client.expect("connected"))
}

fn push(outgoing: &Outgoing, bytes: &[u8]) -> Pushed {
    outgoing.push(bytes.len(), |out| out.extend_from_slice(bytes))
}

/// Some bytes that are a function of their place.
fn pattern(from: usize, count: usize) -> Vec<u8> {
    (from..from + count).map(|at| u8::try_from(at % 251).expect("small")).collect()
}

#[tokio::test]
async fn what_the_socket_takes_is_gone_at_once_and_the_rest_follows_in_order() {
    let (stream, mut client) = pair().await;
    let (_read, write) = stream.into_split();
    let (outgoing, write) = Outgoing::new(write, 64 << 20, Arc::default());
    let outgoing = Arc::new(outgoing);
    assert!(write.is_none(), "anybody may write to a plain socket");
    assert_eq!(push(&outgoing, &pattern(0, 10)), Pushed::First);
    assert_eq!(push(&outgoing, &pattern(10, 10)), Pushed::Behind(Waiting::Little));
    assert_eq!(outgoing.flush(), Waiting::Little);
    assert_eq!(outgoing.pending(), 0);
    // More than any socket takes at once.
    let total = 20 + 24 * (1 << 20);
    for from in (20..total).step_by(1 << 20) {
        push(&outgoing, &pattern(from, 1 << 20));
    }
    assert_eq!(outgoing.flush(), Waiting::Much);
    let ready = std::future::poll_fn(|cx| Poll::Ready(outgoing.poll_little(cx))).await;
    assert!(ready.is_pending());
    let running = Arc::clone(&outgoing);
    let writing = tokio::spawn(async move { running.run(None).await });
    let reading = async {
        let mut read = vec![0; total];
        client.read_exact(&mut read).await.expect("all of it");
        read
    };
    let read = tokio::time::timeout(HANG, reading).await.expect("it comes");
    assert!(read == pattern(0, total), "something is missing or out of order");
    let little = std::future::poll_fn(|cx| outgoing.poll_little(cx));
    tokio::time::timeout(HANG, little).await.expect("it was taken");
    outgoing.finish();
    tokio::time::timeout(HANG, writing).await.expect("it ends").expect("ran").expect("fine");
    assert_eq!(push(&outgoing, b"late"), Pushed::Closed);
}

#[tokio::test]
async fn a_client_that_takes_nothing_is_cut_off_when_too_much_waits() {
    let (stream, _client) = pair().await;
    let (_read, write) = stream.into_split();
    let backlog = Arc::<Backlog>::default();
    let bytes_max = 2 * PENDING_BYTES_HIGH;
    let (outgoing, _) = Outgoing::new(write, bytes_max, Arc::clone(&backlog));
    let piece = pattern(0, 1000);
    let mut pushed = 0;
    while push(&outgoing, &piece) != Pushed::Closed {
        pushed += piece.len();
        assert!(pushed <= bytes_max, "{pushed} wait");
    }
    assert_eq!(outgoing.until_cut().await, Cut::SlowConsumer);
    assert_eq!(outgoing.pending(), 0, "what waited is dropped");
    assert_eq!(backlog.bytes.load(std::sync::atomic::Ordering::Relaxed), 0);
}

#[tokio::test]
async fn after_the_end_nothing_is_held() {
    let (stream, mut client) = pair().await;
    let (read, write) = stream.into_split();
    let (outgoing, _) = Outgoing::new(write, 1 << 20, Arc::default());
    let outgoing = Arc::new(outgoing);
    push(&outgoing, b"waits");
    outgoing.close();
    drop(read);
    // The socket is closed although somebody still holds on to this.
    let mut rest = Vec::new();
    let closed = tokio::time::timeout(HANG, client.read_to_end(&mut rest)).await;
    closed.expect("it is closed").expect("properly");
    assert_eq!((rest.len(), outgoing.pending()), (0, 0));
}

#[tokio::test]
async fn in_company_much_is_left_to_the_task_and_little_is_not() {
    let (stream, mut client) = pair().await;
    let (_read, write) = stream.into_split();
    let (outgoing, _) = Outgoing::new(write, 1 << 20, Arc::default());
    push(&outgoing, &pattern(0, 10));
    assert_eq!(outgoing.flush_in_company(), Waiting::Little);
    assert_eq!(outgoing.pending(), 0, "it is on the socket");
    push(&outgoing, &pattern(10, HANDED_OVER_BYTES));
    assert_eq!(outgoing.flush_in_company(), Waiting::Little);
    assert_eq!(outgoing.pending(), HANDED_OVER_BYTES, "the task has not run");
    push(&outgoing, &pattern(10 + HANDED_OVER_BYTES, 10));
    assert_eq!(outgoing.flush(), Waiting::Little);
    assert_eq!(outgoing.pending(), HANDED_OVER_BYTES + 10, "behind it, not before it");
    outgoing.finish();
    tokio::time::timeout(HANG, outgoing.run(None)).await.expect("it ends").expect("fine");
    let total = HANDED_OVER_BYTES + 20;
    let mut read = vec![0; total];
    let reading = tokio::time::timeout(HANG, client.read_exact(&mut read)).await;
    reading.expect("it comes").expect("all of it");
    assert!(read == pattern(0, total), "something is missing or out of order");
}
