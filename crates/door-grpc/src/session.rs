//! One connection, from its first byte to its last.

use std::convert::Infallible;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use broker::observe::trace::carried;
use door::http::Impatient;
use door::{CloseReason, Connection};
use hyper::rt::Executor;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::time::{Instant, sleep};

use crate::client::Client;
use crate::limits::{
    CALL_WINDOW_BYTES, CONNECTION_WINDOW_BYTES, HEAD_BYTES_MAX, PREFACE_BYTES, PREFACE_TIMEOUT,
    SEND_BUFFER_BYTES, STOP_PATIENCE, WRITE_TIMEOUT,
};
use crate::{GrpcDoorOptions, Shared, calls};

/// Answers calls until either side ends the connection.
pub(crate) async fn serve(shared: Arc<Shared>, connection: Connection) -> Result<(), CloseReason> {
    let http = http(&shared.options);
    let (client, stream) = Client::new(shared, connection);
    let (eviction, mut stopping) = (client.room.eviction(), client.stopping.clone());
    let service = service_fn(|request| {
        let client = Arc::clone(&client);
        async move { Ok::<_, Infallible>(calls::answer(client, request).await) }
    });
    let stream = Impatient::new(stream, WRITE_TIMEOUT);
    let stream = TokioIo::new(stream.with_first_bytes(PREFACE_BYTES, PREFACE_TIMEOUT));
    let mut serving = pin!(http.serve_connection(stream, service));
    let mut is_stopping = false;
    // A client that does not answer that it has heard is not waited for.
    let mut patience = pin!(sleep(Duration::MAX));
    loop {
        tokio::select! {
            served = serving.as_mut() => return served.map_err(|error| reason(error.as_ref())),
            // An error is the listener's end, which is the same.
            _ = stopping.wait_for(|stop| *stop), if !is_stopping => {
                is_stopping = true;
                serving.as_mut().graceful_shutdown();
                patience.as_mut().reset(Instant::now() + STOP_PATIENCE);
            }
            () = patience.as_mut(), if is_stopping => return Ok(()),
            () = eviction.happens() => {
                let why = "others wait for the memory of a message that does not end";
                return Err(CloseReason::Limit(why.into()));
            }
        }
    }
}

/// Tasks of a connection, which are done for its client.
#[derive(Debug, Clone, Copy)]
struct OfClient;

impl<F: Future<Output: Send> + Send + 'static> Executor<F> for OfClient {
    fn execute(&self, task: F) {
        tokio::spawn(carried(task));
    }
}

/// HTTP/2, and HTTP/1.1 for browsers that call without TLS.
fn http(options: &GrpcDoorOptions) -> Builder<OfClient> {
    let mut http = Builder::new(OfClient);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(options.keep_alive_interval)
        .keep_alive_timeout(options.keep_alive_timeout)
        .max_concurrent_streams(options.calls_max)
        .max_header_list_size(HEAD_BYTES_MAX)
        .max_send_buf_size(SEND_BUFFER_BYTES)
        .initial_stream_window_size(CALL_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES);
    http.http1()
        .timer(TokioTimer::new())
        .header_read_timeout(options.keep_alive_interval)
        .max_buf_size(64 * 1024);
    http
}

/// Why a connection ended badly.
fn reason(error: &(dyn std::error::Error + Send + Sync + 'static)) -> CloseReason {
    let error = match error.downcast_ref::<hyper::Error>() {
        Some(error) if error.is_parse() || error.is_parse_too_large() => {
            return CloseReason::Protocol(error.to_string());
        }
        Some(error) => error as &(dyn std::error::Error + 'static),
        None => error,
    };
    let io = |error: &(dyn std::error::Error + 'static)| {
        error.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
    };
    let mut cause = Some(error);
    while let Some(error) = cause {
        match io(error) {
            Some(std::io::ErrorKind::TimedOut) => return CloseReason::Idle(WRITE_TIMEOUT),
            Some(kind) => return CloseReason::Io(kind.into()),
            None => cause = error.source(),
        }
    }
    CloseReason::Protocol(error.to_string())
}
