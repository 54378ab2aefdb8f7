use tokio::io::{AsyncReadExt, duplex};

use super::*;

#[tokio::test]
async fn what_is_queued_is_written_in_order_and_then_the_end_comes() {
    let (mut client, server) = duplex(16);
    let outgoing = Outgoing::default();
    outgoing.push(|out| out.extend_from_slice(b"one "));
    outgoing.flush();
    let writing = outgoing.run(server);
    let reading = async {
        let mut first = [0; 4];
        client.read_exact(&mut first).await.expect("read");
        assert!(outgoing.offer(0, |out| out.extend_from_slice(b"two")));
        outgoing.finish();
        assert!(!outgoing.offer(0, |_| panic!("nothing is taken any more")));
        let mut rest = Vec::new();
        client.read_to_end(&mut rest).await.expect("read");
        (first, rest)
    };
    let (written, (first, rest)) = tokio::join!(writing, reading);
    written.expect("written");
    assert_eq!((&first, &rest[..]), (b"one ", &b"two"[..]));
}

#[tokio::test]
async fn deliveries_wait_for_a_client_that_does_not_read_and_answers_do_not() {
    let (mut client, server) = duplex(4096);
    let outgoing = Outgoing::default();
    let kilobyte = [b'x'; 1024];
    let mut taken = 0;
    while outgoing.offer(0, |out| out.extend_from_slice(&kilobyte)) {
        taken += 1;
    }
    assert_eq!(taken * 1024, PENDING_BYTES_HIGH);
    outgoing.push(|out| out.extend_from_slice(b"answer"));
    outgoing.flush();
    let reading = async {
        let mut all = vec![0; PENDING_BYTES_HIGH + 6];
        client.read_exact(&mut all).await.expect("read");
        assert!(all.ends_with(b"answer"));
        outgoing.until_room().await;
        assert!(outgoing.offer(0, |_| {}));
    };
    tokio::select! {
        written = outgoing.run(server) => panic!("it ended: {written:?}"),
        () = reading => {}
    }
}

#[tokio::test]
async fn a_client_that_does_not_read_its_answers_is_waited_for() {
    let (mut client, server) = duplex(4096);
    let outgoing = Outgoing::default();
    outgoing.push(|out| out.resize(ANSWERS_BYTES_HIGH, 0));
    let reading = async {
        tokio::select! {
            biased;
            () = outgoing.until_read() => panic!("it is not read"),
            () = std::future::ready(()) => {}
        }
        let all = client.read_exact(&mut vec![0; ANSWERS_BYTES_HIGH]).await;
        all.expect("read");
        outgoing.until_read().await;
    };
    let writing = outgoing.run(server);
    tokio::select! {
        written = writing => panic!("it ended: {written:?}"),
        () = async { outgoing.flush(); reading.await } => {}
    }
}
