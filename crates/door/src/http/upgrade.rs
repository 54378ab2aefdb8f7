//! From HTTP to WebSocket (RFC 6455, section 4.2), within a door that speaks both.

use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;

use super::{Answer, HeaderValue, Request, StatusCode, header};
use crate::BoxFuture;
use crate::websocket::{Messages, prove};

/// A connection that speaks WebSocket from here on.
pub type Socket = Messages<TokioIo<Upgraded>>;

/// What is done with it, until it ends.
pub struct Takeover {
    pub(super) bytes_max: usize,
    pub(super) run: Box<dyn FnOnce(Socket) -> BoxFuture<()> + Send>,
}

impl std::fmt::Debug for Takeover {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Takeover").field("bytes_max", &self.bytes_max).finish_non_exhaustive()
    }
}

impl Takeover {
    /// With messages of no more than so many bytes.
    pub fn new(
        bytes_max: usize,
        run: impl FnOnce(Socket) -> BoxFuture<()> + Send + 'static,
    ) -> Self {
        Self { bytes_max, run: Box::new(run) }
    }

    pub(super) fn socket(&self, upgraded: Upgraded) -> Socket {
        Messages::new(TokioIo::new(upgraded), self.bytes_max)
    }
}

/// Whether a request asks for WebSocket.
pub fn asks_for_websocket(request: &Request) -> bool {
    has(request, header::UPGRADE, "websocket") && has(request, header::CONNECTION, "upgrade")
}

/// Whether a field has this among its items.
fn has(request: &Request, field: header::HeaderName, item: &str) -> bool {
    let values = request.headers.get_all(field).into_iter();
    let items = values.filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    items.into_iter().any(|found| found.trim().eq_ignore_ascii_case(item))
}

/// The answer to a request that is in order; what is wrong with it, else.
///
/// # Errors
/// In words.
pub fn accept_websocket(request: &Request) -> Result<Answer, &'static str> {
    let field = |name: header::HeaderName| {
        request.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    };
    if !asks_for_websocket(request) {
        return Err("it asks for no upgrade to websocket");
    }
    if field(header::SEC_WEBSOCKET_VERSION) != "13" {
        return Err("a version of WebSocket other than 13");
    }
    let proof =
        prove(field(header::SEC_WEBSOCKET_KEY)).ok_or("its key is not 16 bytes in base64")?;
    let proof = HeaderValue::from_str(&proof).map_err(|_| "its key is none")?;
    Ok(Answer::empty(StatusCode::SWITCHING_PROTOCOLS)
        .with(header::UPGRADE, HeaderValue::from_static("websocket"))
        .with(header::CONNECTION, HeaderValue::from_static("Upgrade"))
        .with(header::SEC_WEBSOCKET_ACCEPT, proof))
}
