//! A process that ran out of file descriptors. In a file, and so in a process, of its own: the
//! limit would hit every other test.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use door::{BoxFuture, CloseReason, Connection, ConnectionLimit, Door, Listener, ListenerOptions};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

struct Hello;

impl Door for Hello {
    fn name(&self) -> &'static str {
        "hello"
    }

    fn serve(self: Arc<Self>, mut connection: Connection) -> BoxFuture<Result<(), CloseReason>> {
        Box::pin(async move { Ok(connection.stream.write_all(b"hello").await?) })
    }
}

async fn greeting(mut stream: TcpStream) -> std::io::Result<String> {
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    Ok(text)
}

#[tokio::test]
async fn the_listener_survives_running_out_of_descriptors() {
    let options = ListenerOptions::new("TEST", (Ipv4Addr::LOCALHOST, 0).into());
    let listener = Listener::bind(&options).unwrap();
    let listener = listener.run(Arc::new(Hello), ConnectionLimit::default());
    let address = listener.local_address();
    let client = TcpSocket::new_v4().unwrap();
    let before = getrlimit(Resource::Nofile);
    // No descriptor above those in use now; the client's socket is open already.
    setrlimit(Resource::Nofile, Rlimit { current: Some(3), maximum: before.maximum }).unwrap();
    let client = client.connect(address).await.unwrap();
    let failed = async {
        while listener.stats().snapshot().accept_failures == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), failed).await.unwrap();
    setrlimit(Resource::Nofile, before).unwrap();
    assert_eq!(greeting(client).await.unwrap(), "hello", "the one that waited is served after all");
    assert_eq!(greeting(TcpStream::connect(address).await.unwrap()).await.unwrap(), "hello");
    assert!(listener.stop(Duration::from_secs(5)).await.aborted == 0);
}
