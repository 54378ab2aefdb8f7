//! `DISCONNECT`: the client goes, and its receipt says that all before it is done.

use broker::live::Fate;

use crate::session::{End, Session};
use crate::wire::parse::Headers;

/// Says so, after all that was promised before, and when what it had is where others get it. The connection ends whatever
/// comes of it.
///
/// # Errors
/// The end.
pub(crate) async fn handle(session: &mut Session<'_>, headers: Headers<'_>) -> Result<usize, End> {
    session.leave().await;
    session.owe(headers, Fate::Done);
    session.until_stored().await;
    Err(End::Quiet)
}
