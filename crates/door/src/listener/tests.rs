use std::net::Ipv4Addr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;
use crate::{BoxFuture, Pace, StatsSnapshot};

/// Echoes a byte at a time; some bytes make it fail. Ends politely when told to stop.
struct Echo;

impl Door for Echo {
    fn name(&self) -> &'static str {
        "echo"
    }

    fn serve(self: Arc<Self>, mut connection: Connection) -> BoxFuture<Result<(), CloseReason>> {
        Box::pin(async move {
            let mut byte = [0];
            loop {
                tokio::select! {
                    _ = connection.stopping.wait_for(|stop| *stop) => return Ok(()),
                    read = connection.stream.read(&mut byte) => if read? == 0 { return Ok(()) },
                }
                match byte[0] {
                    b'!' => panic!("as asked"),
                    b'p' => return Err(CloseReason::Protocol("as asked".into())),
                    b'l' => return Err(CloseReason::Limit("as asked".into())),
                    b'i' => return Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
                    b'h' => std::future::pending::<()>().await,
                    _ => connection.stream.write_all(&byte).await?,
                }
            }
        })
    }
}

fn start(connections_max: usize) -> ListenerHandle {
    let options = ListenerOptions::new("TEST", (Ipv4Addr::LOCALHOST, 0).into());
    Listener::bind(&options).unwrap().run(Arc::new(Echo), ConnectionLimit::new(connections_max))
}

async fn say(stream: &mut TcpStream, byte: u8) -> Option<u8> {
    stream.write_all(&[byte]).await.ok()?;
    let mut answer = [0];
    stream.read_exact(&mut answer).await.ok().map(|_| answer[0])
}

async fn connect(listener: &ListenerHandle) -> TcpStream {
    TcpStream::connect(listener.local_address()).await.unwrap()
}

async fn until(listener: &ListenerHandle, what: impl Fn(&StatsSnapshot) -> bool) -> StatsSnapshot {
    let seen = async {
        loop {
            let stats = listener.stats().snapshot();
            if what(&stats) {
                return stats;
            }
            tokio::task::yield_now().await;
        }
    };
    let seen = tokio::time::timeout(Duration::from_secs(10), seen).await;
    seen.unwrap_or_else(|_| panic!("{:?}", listener.stats().snapshot()))
}

#[tokio::test]
async fn each_end_of_a_connection_is_counted_and_the_listener_lives_on() {
    let listener = start(10);
    for byte in *b"!pli" {
        let mut client = connect(&listener).await;
        assert_eq!(say(&mut client, b'a').await, Some(b'a'));
        assert_eq!(say(&mut client, byte).await, None, "closed");
    }
    let stats = until(&listener, |stats| stats.open == 0).await;
    let expected = StatsSnapshot {
        accepted: 4,
        panicked: 1,
        closed_protocol: 1,
        closed_limit: 1,
        closed_io: 1,
        ..StatsSnapshot::default()
    };
    assert_eq!(stats, expected);
    assert_eq!(say(&mut connect(&listener).await, b'z').await, Some(b'z'));
}

#[tokio::test]
async fn connections_over_the_limit_are_closed_at_once() {
    let listener = start(2);
    let (mut one, mut two) = (connect(&listener).await, connect(&listener).await);
    assert_eq!(say(&mut one, b'1').await, Some(b'1'));
    assert_eq!(say(&mut two, b'2').await, Some(b'2'));
    let mut three = connect(&listener).await;
    assert_eq!(three.read(&mut [0]).await.unwrap_or(0), 0, "refused");
    drop(one);
    let stats = until(&listener, |stats| stats.open == 1).await;
    assert_eq!((stats.accepted, stats.refused), (2, 1));
    assert_eq!(say(&mut connect(&listener).await, b'4').await, Some(b'4'));
}

#[tokio::test]
async fn listeners_share_a_limit() {
    let limit = ConnectionLimit::new(1);
    let options = ListenerOptions::new("TEST", (Ipv4Addr::LOCALHOST, 0).into());
    let bind = || Listener::bind(&options).unwrap().run(Arc::new(Echo), limit.clone());
    let (one, other) = (bind(), bind());
    assert_ne!(one.local_address(), other.local_address());
    let mut client = connect(&one).await;
    assert_eq!(say(&mut client, b'a').await, Some(b'a'));
    assert_eq!(connect(&other).await.read(&mut [0]).await.unwrap_or(0), 0, "refused");
    assert_eq!(limit.open(), 1);
}

#[tokio::test]
async fn stopping_waits_for_the_polite_and_aborts_the_rest() {
    let listener = start(10);
    let address = listener.local_address();
    let (mut polite, mut hangs) = (connect(&listener).await, connect(&listener).await);
    assert_eq!(say(&mut polite, b'a').await, Some(b'a'));
    assert_eq!(say(&mut hangs, b'a').await, Some(b'a'));
    hangs.write_all(b"h").await.unwrap();
    // One connection more: when its echo is back, a moment has passed for `h` to be read.
    assert_eq!(say(&mut connect(&listener).await, b'b').await, Some(b'b'));
    until(&listener, |stats| stats.open == 2).await;
    let stats = Arc::clone(listener.stats());
    let stopped = listener.stop(Duration::from_millis(200)).await;
    assert_eq!(stopped.finished + stopped.aborted, 2);
    assert!(stopped.finished >= 1, "{stopped:?}");
    assert_eq!(stats.snapshot().open, 0);
    assert_eq!(polite.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(hangs.read(&mut [0]).await.unwrap_or(0), 0);
    assert!(TcpStream::connect(address).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn dropping_the_handle_ends_everything() {
    let listener = start(10);
    let mut client = connect(&listener).await;
    assert_eq!(say(&mut client, b'a').await, Some(b'a'));
    drop(listener);
    assert_eq!(client.read(&mut [0]).await.unwrap_or(0), 0);
}

#[tokio::test]
async fn accepted_sockets_have_the_options_set() {
    let mut options = ListenerOptions::new("TEST", (Ipv4Addr::LOCALHOST, 0).into());
    options.send_buffer = Some(50_000);
    options.receive_buffer = Some(60_000);
    let listener = Listener::bind(&options).unwrap();
    let _client = TcpStream::connect(listener.local_address()).await.unwrap();
    let (stream, _) = listener.socket.accept().await.unwrap();
    set_socket_options(&stream).unwrap();
    let socket = SockRef::from(&stream);
    assert!(stream.nodelay().unwrap());
    assert!(socket.keepalive().unwrap());
    // Linux doubles what was asked for, to account for its own overhead.
    assert_eq!(socket.send_buffer_size().unwrap(), 100_000);
    assert_eq!(socket.recv_buffer_size().unwrap(), 120_000);
}

/// Lets nobody in, and has every one wait.
#[derive(Debug)]
struct Slow;

impl Pace for Slow {
    fn pause(&self) -> Duration {
        Duration::ZERO
    }

    fn admit(&self, _: std::net::IpAddr) -> Result<(), Duration> {
        Err(Duration::from_millis(1))
    }
}

#[tokio::test]
async fn who_comes_too_fast_is_closed_unserved() {
    let options = ListenerOptions::new("TEST", (Ipv4Addr::LOCALHOST, 0).into());
    let limit = ConnectionLimit::new(10).with_pace(Arc::new(Slow));
    let listener = Listener::bind(&options).unwrap().run(Arc::new(Echo), limit.clone());
    let mut client = TcpStream::connect(listener.local_address()).await.unwrap();
    let mut end = Vec::new();
    client.read_to_end(&mut end).await.unwrap();
    assert!(end.is_empty());
    assert_eq!((listener.stats().snapshot().refused, listener.stats().snapshot().accepted), (1, 0));
    assert_eq!(limit.open(), 0);
}
