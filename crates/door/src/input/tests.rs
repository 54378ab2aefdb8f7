use bytes::Bytes;
use tokio::io::{AsyncWriteExt, duplex};

use super::Input;
use crate::RequestRoom;

#[tokio::test]
async fn what_is_put_back_is_followed_by_what_comes() {
    let (mut client, server) = duplex(64 * 1024);
    let mut input = Input::new(server, &RequestRoom::unlimited());
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
    let mut input = Input::new(server, &RequestRoom::unlimited());
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

#[tokio::test]
async fn large_messages_of_all_connections_take_their_room_together() {
    let room = RequestRoom::new(128 * 1024);
    let (mut one, server) = duplex(1 << 20);
    let mut first = Input::new(server, &room);
    let (mut other, server) = duplex(1 << 20);
    let mut second = Input::new(server, &room);
    let size = 120 * 1024;
    one.write_all(&vec![b'x'; size]).await.expect("written");
    other.write_all(&vec![b'x'; size]).await.expect("written");
    assert!(first.fill(size).await.expect("read"));
    let mut waiting = Box::pin(second.fill(size));
    assert!(futures_poll(&mut waiting).await.is_none(), "there is no room for another");
    let chunk = first.take();
    assert!(futures_poll(&mut waiting).await.is_none(), "as long as it is being handled");
    first.put_back(chunk, size);
    assert!(waiting.await.expect("read"));
}

#[tokio::test]
async fn small_messages_need_no_room() {
    let room = RequestRoom::new(128 * 1024);
    let (mut one, server) = duplex(1 << 20);
    let mut holder = Input::new(server, &room);
    one.write_all(&vec![b'x'; 120 * 1024]).await.expect("written");
    assert!(holder.fill(120 * 1024).await.expect("read"));
    let (mut other, server) = duplex(1 << 20);
    let mut input = Input::new(server, &room);
    other.write_all(&vec![b'x'; 16 * 1024]).await.expect("written");
    assert!(input.fill(16 * 1024).await.expect("read"));
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
