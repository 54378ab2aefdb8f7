use std::sync::Arc;

use super::*;

#[tokio::test]
async fn frames_are_taken_in_order_and_together() {
    let outgoing = Outgoing::default();
    outgoing.push(b"one");
    outgoing.push(b"two");
    assert_eq!(outgoing.queued(), 2);
    assert_eq!(outgoing.take().await.unwrap(), &b"onetwo"[..]);
    assert_eq!(outgoing.queued(), 0);
}

#[tokio::test]
async fn the_writer_ends_after_the_last_frame() {
    let outgoing = Outgoing::default();
    outgoing.push(b"last");
    outgoing.finish();
    outgoing.push(b"too late");
    assert_eq!(outgoing.take().await.unwrap(), &b"last"[..]);
    assert!(outgoing.take().await.is_none());
}

#[tokio::test]
async fn a_client_that_reads_nothing_is_cut_off() {
    let outgoing = Outgoing::default();
    let frame = vec![0; 1 << 20];
    for _ in 0..16 {
        outgoing.push(&frame);
    }
    assert_eq!(outgoing.queued(), 16);
    outgoing.push(&frame);
    assert_eq!(outgoing.until_cut().await, Cut::SlowReader);
    assert!(outgoing.take().await.is_none(), "what was queued is dropped");
}

#[tokio::test]
async fn the_next_request_waits_until_the_writer_took_the_replies() {
    let outgoing = Arc::new(Outgoing::default());
    outgoing.push(&vec![0; OUTGOING_BYTES_HIGH]);
    let waiting = tokio::spawn({
        let outgoing = Arc::clone(&outgoing);
        async move { outgoing.until_low().await }
    });
    tokio::task::yield_now().await;
    assert!(!waiting.is_finished());
    assert!(outgoing.take().await.is_some());
    waiting.await.unwrap();
}

#[tokio::test]
async fn the_writer_is_woken() {
    let outgoing = Arc::new(Outgoing::default());
    let taking = tokio::spawn({
        let outgoing = Arc::clone(&outgoing);
        async move { outgoing.take().await }
    });
    tokio::task::yield_now().await;
    outgoing.push(b"now");
    assert_eq!(taking.await.unwrap().unwrap(), &b"now"[..]);
}
