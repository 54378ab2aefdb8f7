use std::time::Duration;

use tokio::io::AsyncWriteExt;

use super::*;

fn framed(body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap();
    [&length.to_be_bytes(), body].concat()
}

async fn read_all(bytes: &[u8], max: usize) -> (Vec<Bytes>, Result<(), CloseReason>) {
    let mut frames = FrameReader::new(bytes, max);
    let mut seen = Vec::new();
    loop {
        match frames.next().await {
            Ok(Some(frame)) => seen.push(frame),
            Ok(None) => return (seen, Ok(())),
            Err(reason) => return (seen, Err(reason)),
        }
    }
}

#[tokio::test]
async fn frames_that_arrive_together_are_taken_apart() {
    let bytes = [framed(b"one"), framed(b""), framed(&[7; 5000])].concat();
    let (seen, end) = read_all(&bytes, 5000).await;
    assert!(end.is_ok(), "{end:?}");
    assert_eq!(seen, [&b"one"[..], b"", &[7; 5000]]);
}

#[tokio::test]
async fn a_frame_may_arrive_byte_by_byte() {
    let (mut client, server) = tokio::io::duplex(1);
    let sent = framed(&(0..=255).collect::<Vec<u8>>());
    let expected = sent[4..].to_vec();
    let writer = tokio::spawn(async move {
        for byte in sent {
            client.write_all(&[byte]).await.unwrap();
        }
    });
    let mut frames = FrameReader::new(server, 1000);
    assert_eq!(frames.next().await.unwrap().unwrap(), expected);
    assert!(frames.next().await.unwrap().is_none(), "closed between frames");
    writer.await.unwrap();
}

#[tokio::test]
async fn a_negative_length_breaks_the_protocol() {
    let (_, end) = read_all(&(-1_i32).to_be_bytes(), 1000).await;
    assert!(matches!(end, Err(CloseReason::Protocol(_))), "{end:?}");
}

#[tokio::test]
async fn a_length_over_the_limit_is_refused_before_its_bytes_arrive() {
    let (seen, end) = read_all(&[framed(&[1; 1000]), framed(&[2; 1001])].concat(), 1000).await;
    assert_eq!(seen.len(), 1);
    assert!(matches!(end, Err(CloseReason::Limit(_))), "{end:?}");
}

#[tokio::test]
async fn a_connection_that_closes_within_a_frame_was_lost() {
    for cut in [1, 3, 4, 50, 103] {
        let (seen, end) = read_all(&framed(&[1; 100])[..cut], 1000).await;
        assert!(seen.is_empty());
        assert!(matches!(end, Err(CloseReason::Io(_))), "cut at {cut}: {end:?}");
    }
}

#[tokio::test]
async fn an_announced_frame_costs_nothing_until_it_arrives() {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let mut frames = FrameReader::new(server, 100 << 20);
    client.write_all(&(100_i32 << 20).to_be_bytes()).await.unwrap();
    for sent in [0_usize, 10_000, 50_000] {
        if sent > 0 {
            client.write_all(&vec![0; sent]).await.unwrap();
        }
        // Lets the reader take all that was sent, then drops it where it waits.
        let waiting = tokio::time::timeout(Duration::ZERO, frames.next());
        assert!(waiting.await.is_err());
        let bound = 2 * frames.buffer.len() + 2 * STEP_BYTES;
        assert!(frames.buffer.capacity() <= bound, "{} bytes", frames.buffer.capacity());
    }
    assert_eq!(frames.buffer.len(), 4 + 60_000, "nothing was lost by dropping the read");
}

#[tokio::test]
async fn a_large_frame_leaves_a_small_buffer() {
    let (mut client, server) = tokio::io::duplex(64 * 1024);
    let mut frames = FrameReader::new(server, 4 << 20);
    let sent = framed(&vec![5; 3 << 20]);
    let writer = tokio::spawn(async move {
        client.write_all(&sent).await.unwrap();
        client
    });
    assert_eq!(frames.next().await.unwrap().unwrap().len(), 3 << 20);
    assert_eq!(frames.buffer.capacity(), 0, "the frame's memory is not kept");
    let mut client = writer.await.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, frames.next()).await.is_err());
    assert_eq!(frames.buffer.capacity(), 0, "who waits between two frames holds nothing");
    client.write_all(&framed(b"next")).await.unwrap();
    assert_eq!(frames.next().await.unwrap().unwrap(), &b"next"[..]);
}

/// A socket that always has more, and counts how often it is asked.
struct Counting<'a>(&'a [u8], usize);

impl AsyncRead for Counting<'_> {
    fn poll_read(
        mut self: std::pin::Pin<&mut Self>,
        context: &mut std::task::Context<'_>,
        buffer: &mut tokio::io::ReadBuf<'_>,
    ) -> std::task::Poll<io::Result<()>> {
        self.1 += 1;
        std::pin::Pin::new(&mut self.0).poll_read(context, buffer)
    }
}

#[tokio::test]
async fn frames_of_one_size_arrive_in_one_read_each() {
    let bytes = framed(&vec![7; 16_000]).repeat(11);
    let mut frames = FrameReader::new(Counting(&bytes, 0), 20_000);
    frames.next().await.unwrap().unwrap();
    let first = frames.reader.1;
    for _ in 0..10 {
        assert_eq!(frames.next().await.unwrap().unwrap().len(), 16_000);
    }
    assert!(frames.reader.1 - first <= 10, "{} reads", frames.reader.1 - first);
}

#[tokio::test]
async fn a_frame_is_not_copied_off_the_buffer() {
    let bytes = [framed(b"first"), framed(b"second")].concat();
    let mut frames = FrameReader::new(&bytes[..], 100);
    let first = frames.next().await.unwrap().unwrap();
    let second = frames.next().await.unwrap().unwrap();
    assert_eq!(second.as_ptr() as usize - first.as_ptr() as usize, 5 + HEADER_BYTES);
}

#[tokio::test]
async fn connections_share_the_room_for_what_arrives() {
    let room = RequestRoom::new(256 << 10);
    let reader = |server| FrameReader::new(server, 1 << 20).with_room(&room);
    let (mut one, server) = tokio::io::duplex(1 << 20);
    let mut first = reader(server);
    let sent = framed(&vec![1; 200_000]);
    one.write_all(&sent[..199_000]).await.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, first.next()).await.is_err());
    // Large enough to need room, of which there is not enough.
    let (mut two, server) = tokio::io::duplex(1 << 20);
    let mut second = reader(server);
    two.write_all(&framed(&vec![2; 100_000])).await.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, second.next()).await.is_err());
    assert!(second.buffer.capacity() < 64 << 10, "{}", second.buffer.capacity());
    // Small ones need none.
    let (mut three, server) = tokio::io::duplex(1 << 20);
    let mut third = reader(server);
    three.write_all(&framed(&[3; 5000])).await.unwrap();
    assert_eq!(third.next().await.unwrap().unwrap().len(), 5000);
    // What has arrived keeps its room for as long as somebody has its claim.
    one.write_all(&sent[199_000..]).await.unwrap();
    assert_eq!(first.next().await.unwrap().unwrap().len(), 200_000);
    let claim = first.take_claim();
    assert!(tokio::time::timeout(Duration::ZERO, second.next()).await.is_err());
    drop(claim);
    assert_eq!(second.next().await.unwrap().unwrap().len(), 100_000);
    // And if nobody takes it, until the next frame is asked for.
    one.write_all(&framed(&vec![1; 200_000])).await.unwrap();
    assert!(tokio::time::timeout(Duration::ZERO, first.next()).await.is_err());
    assert!(tokio::time::timeout(Duration::ZERO, second.next()).await.is_err());
    assert_eq!(first.next().await.unwrap().unwrap().len(), 200_000);
}

#[tokio::test]
async fn a_large_frame_is_left_where_it_is_by_who_wants_small_ones() {
    let bytes = [framed(b"small"), framed(&[7; 2000])].concat();
    let mut frames = FrameReader::new(&bytes[..], 5000);
    assert_eq!(frames.next_up_to(1000).await.unwrap().unwrap(), &b"small"[..]);
    assert!(tokio::time::timeout(Duration::ZERO, frames.next_up_to(1000)).await.is_err());
    assert_eq!(frames.next().await.unwrap().unwrap().len(), 2000);
    assert!(frames.next_up_to(1000).await.unwrap().is_none(), "closed");
}

#[tokio::test]
async fn the_header_can_be_seen_without_taking_it() {
    let mut frames = FrameReader::new(&b"ruok"[..], 100);
    assert_eq!(frames.peek_header().await.unwrap(), Some(*b"ruok"));
    assert_eq!(frames.peek_header().await.unwrap(), Some(*b"ruok"));
    assert_eq!(&frames.into_parts().1[..], b"ruok");
}

#[tokio::test(start_paused = true)]
async fn silence_ends_the_connection_only_where_a_limit_is_set() {
    let (mut client, server) = tokio::io::duplex(100);
    let idle = Duration::from_secs(60);
    let mut frames = FrameReader::new(server, 100).with_idle_timeout(Some(idle));
    client.write_all(&framed(b"x")).await.unwrap();
    assert!(frames.next().await.unwrap().is_some());
    assert!(matches!(frames.next().await, Err(CloseReason::Idle(_))));
    frames.set_idle_timeout(None);
    let hour = tokio::time::timeout(Duration::from_secs(3600), frames.next());
    assert!(hour.await.is_err());
}
