//! As much of HTTP/1.1 (RFC 9112) as a GET without a body needs.

use std::sync::Arc;
use std::time::Duration;

use door::{CloseReason, Connection};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::timeout;

use super::figures;
use crate::Shared;

/// Longest request, in bytes.
const REQUEST_BYTES_MAX: usize = 8 * 1024;

/// How long a connection may be silent, and how long an answer may take to be read.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn serve(shared: Arc<Shared>, connection: Connection) -> Result<(), CloseReason> {
    let Connection { mut stream, mut stopping, .. } = connection;
    let mut request = Vec::new();
    loop {
        let end = loop {
            if let Some(end) = request.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if request.len() >= REQUEST_BYTES_MAX {
                return Err(CloseReason::Limit("the request is too long".into()));
            }
            let room = REQUEST_BYTES_MAX - request.len();
            let mut limited = (&mut stream).take(room as u64);
            let read = tokio::select! {
                _ = stopping.wait_for(|stop| *stop) => return Ok(()),
                read = timeout(PATIENCE, limited.read_buf(&mut request)) => read,
            };
            let Ok(read) = read else { return Err(CloseReason::Idle(PATIENCE)) };
            if read? == 0 {
                return Ok(());
            }
        };
        let head = String::from_utf8_lossy(&request[..end]).into_owned();
        request.drain(..end + 4);
        let answer = answer(&shared, &head);
        let sending = async {
            stream.write_all(&answer.bytes).await?;
            stream.flush().await
        };
        match timeout(PATIENCE, sending).await {
            Err(_elapsed) => return Err(CloseReason::Idle(PATIENCE)),
            Ok(sent) => sent?,
        }
        if answer.is_last {
            return Ok(stream.shutdown().await?);
        }
    }
}

struct Answer {
    bytes: Vec<u8>,
    is_last: bool,
}

fn answer(shared: &Shared, head: &str) -> Answer {
    let mut lines = head.split("\r\n");
    let mut words = lines.next().unwrap_or_default().split(' ');
    let (method, target, version) = (words.next(), words.next(), words.next());
    let asks_to_close = lines.any(|line| {
        let field = line.split_once(':');
        field.is_some_and(|(name, value)| {
            name.eq_ignore_ascii_case("connection") && value.trim().eq_ignore_ascii_case("close")
        })
    });
    let (status, body) = match (method, target, version) {
        (Some("GET" | "HEAD"), Some(target), Some("HTTP/1.1" | "HTTP/1.0")) => {
            figures::page(shared, target)
        }
        (Some(_), Some(_), Some("HTTP/1.1" | "HTTP/1.0")) => {
            ("405 Method Not Allowed", "{\"error\":\"only GET\"}".to_owned())
        }
        _ => ("400 Bad Request", "{\"error\":\"no HTTP request\"}".to_owned()),
    };
    // Whoever sends a body would have it taken for the next request.
    let is_last =
        asks_to_close || version != Some("HTTP/1.1") || !matches!(method, Some("GET" | "HEAD"));
    let connection = if is_last { "Connection: close\r\n" } else { "" };
    let mut bytes = format!(
        "HTTP/1.1 {status}\r\nContent-Type: application/json\r\n{connection}\
         Content-Length: {}\r\n\r\n",
        body.len()
    )
    .into_bytes();
    if method != Some("HEAD") {
        bytes.extend_from_slice(body.as_bytes());
    }
    Answer { bytes, is_last }
}
