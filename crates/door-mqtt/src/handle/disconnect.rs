//! DISCONNECT.

use crate::connection::{Client, End};
use crate::session::{Expiry, Goodbye};
use crate::wire::WireError;
use crate::wire::close::Disconnect;
use crate::wire::reason::Reason;

/// A client leaves, as it should or not.
pub(super) fn handle(client: &mut Client, body: &[u8]) -> Result<(), End> {
    let disconnect = Disconnect::decode(client.version, body)?;
    if let Some(seconds) = disconnect.session_expiry {
        let mut state = client.session.lock();
        if state.is_attached(client.number) {
            // A session that was to end with the connection cannot be kept after all (5.0 §3.14.2.2.2).
            if state.expiry == Expiry::AT_ONCE && seconds > 0 {
                return Err(WireError::Protocol("a session expiry that was zero").into());
            }
            state.expiry = Expiry(seconds);
        }
    }
    if disconnect.reason == Reason::SUCCESS {
        client.goodbye = Goodbye::Proper;
    }
    Err(End::Left)
}
