use bytes::Bytes;
use tokio::io::{AsyncWriteExt, duplex};

use super::Input;

#[tokio::test]
async fn what_is_put_back_is_followed_by_what_comes() {
    let (mut client, server) = duplex(64 * 1024);
    let mut input = Input::new(server);
    client.write_all(b"first second").await.expect("written");
    assert!(input.fill(1).await.expect("read"));
    let chunk = input.take();
    assert_eq!(chunk, "first second");
    let held = chunk.slice(..5);
    input.put_back(chunk, 6);
    client.write_all(b" third").await.expect("written");
    assert!(input.fill(12).await.expect("read"));
    let chunk = input.take();
    assert_eq!((held, &chunk[..]), (Bytes::from("first"), &b"second third"[..]));
    // Nobody holds on to it now.
    input.put_back(chunk, 12);
    drop(client);
    assert!(!input.fill(1).await.expect("the end"));
}

#[tokio::test]
async fn much_is_read_whole_and_an_idle_one_holds_no_buffer() {
    let (mut client, server) = duplex(1 << 20);
    let mut input = Input::new(server);
    let much: Vec<u8> = (0..700_000_u32).map(|n| n.to_le_bytes()[0]).collect();
    client.write_all(&much).await.expect("written");
    assert!(input.fill(much.len()).await.expect("read"));
    let chunk = input.take();
    assert!(chunk == much, "something is missing or changed");
    input.put_back(chunk, much.len());
    let mut waiting = Box::pin(input.fill(1));
    let polled = futures_poll(&mut waiting).await;
    assert!(polled.is_none(), "nothing came");
    drop(waiting);
    assert_eq!(input.buffer.capacity(), 0);
}

/// Polls once.
async fn futures_poll<F: Future + Unpin>(future: &mut F) -> Option<F::Output> {
    std::future::poll_fn(|cx| {
        std::task::Poll::Ready(match std::pin::Pin::new(&mut *future).poll(cx) {
            std::task::Poll::Ready(output) => Some(output),
            std::task::Poll::Pending => None,
        })
    })
    .await
}
