//! The opening handshake (RFC 6455, section 4.2), as text in and text out.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::WebSocketOptions;

/// What a key is joined with before it is hashed (section 1.3).
const MAGIC: &str = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";

/// Most lines of a request.
const LINES_MAX: usize = 100;

/// Why a request is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    #[error("no WebSocket request: {0}")]
    Bad(&'static str),
    #[error("a version of WebSocket other than 13")]
    Version,
    #[error("the page's origin may not connect")]
    Origin,
}

impl Refusal {
    /// What the client is told.
    pub(super) fn response(self) -> String {
        let (status, more) = match self {
            Self::Bad(_) => ("400 Bad Request", ""),
            Self::Version => ("426 Upgrade Required", "Sec-WebSocket-Version: 13\r\n"),
            Self::Origin => ("403 Forbidden", ""),
        };
        let body = format!("{self}\n");
        format!(
            "HTTP/1.1 {status}\r\n{more}Connection: close\r\nContent-Type: text/plain\r\n\
             Content-Length: {}\r\n\r\n{body}",
            body.len()
        )
    }
}

/// Where the request ends, once it is all there.
pub(super) fn end(bytes: &[u8]) -> Option<usize> {
    bytes.windows(4).position(|four| four == b"\r\n\r\n").map(|at| at + 4)
}

/// The response to a request that is in order.
pub(super) fn answer(request: &[u8], options: &WebSocketOptions) -> Result<String, Refusal> {
    let request = std::str::from_utf8(request).map_err(|_| Refusal::Bad("it is not text"))?;
    let mut lines = request.split("\r\n").take(LINES_MAX);
    let mut first = lines.next().unwrap_or_default().split(' ');
    let (method, version) = (first.next(), first.nth(1));
    if method != Some("GET") || version != Some("HTTP/1.1") {
        return Err(Refusal::Bad("it is no GET of HTTP/1.1"));
    }
    let fields: Vec<(&str, &str)> = lines
        .filter_map(|line| line.split_once(':'))
        .map(|(name, value)| (name, value.trim()))
        .collect();
    let all = |wanted: &'static str| {
        fields.iter().filter(move |(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, v)| *v)
    };
    let items = |wanted| all(wanted).flat_map(|value| value.split(',')).map(str::trim);
    let has = |wanted, item: &str| items(wanted).any(|found| found.eq_ignore_ascii_case(item));
    if !has("Upgrade", "websocket") || !has("Connection", "upgrade") {
        return Err(Refusal::Bad("it asks for no upgrade to websocket"));
    }
    if all("Sec-WebSocket-Version").ne(["13"]) {
        return Err(Refusal::Version);
    }
    let key = all("Sec-WebSocket-Key").next().unwrap_or_default();
    if BASE64_STANDARD.decode(key).map_or(0, |key| key.len()) != 16 {
        return Err(Refusal::Bad("its key is not 16 bytes in base64"));
    }
    let allowed = |origin: &str| options.origins.iter().any(|o| o.eq_ignore_ascii_case(origin));
    if !options.origins.is_empty() && !all("Origin").all(allowed) {
        return Err(Refusal::Origin);
    }
    let agreed = items("Sec-WebSocket-Protocol").find(|p| options.protocols.iter().any(|o| o == p));
    let agreed = agreed.map_or_else(String::new, |p| format!("Sec-WebSocket-Protocol: {p}\r\n"));
    Ok(format!(
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Accept: {}\r\n{agreed}\r\n",
        accept(key)
    ))
}

/// The proof that a key was read; none where it is no key.
pub(crate) fn prove(key: &str) -> Option<String> {
    let is_one = BASE64_STANDARD.decode(key).is_ok_and(|key| key.len() == 16);
    is_one.then(|| accept(key))
}

/// The proof that the key was read.
pub(super) fn accept(key: &str) -> String {
    let joined = [key, MAGIC].concat();
    BASE64_STANDARD.encode(digest(&SHA1_FOR_LEGACY_USE_ONLY, joined.as_bytes()))
}
