//! One file per packet that a client sends: read it, do it, answer.

mod acks;
mod auth;
mod disconnect;
mod publish;
mod subscribe;
mod unsubscribe;

use crate::connection::{Client, End};
use crate::socket::{Packet, Packets};
use crate::wire::WireError;
use crate::wire::header::Kind;
use crate::wire::reason::Reason;

/// What becomes of a packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Handled {
    /// It is done with.
    Now,
    /// It must wait for something: it is to be handled by [`later`].
    Later,
}

/// Handles a packet, unless that must wait for something.
///
/// # Errors
/// The connection ends.
#[inline]
pub(crate) fn now(client: &mut Client, packets: &Packets, packet: &Packet) -> Result<Handled, End> {
    let body = packets.body(packet);
    packet.header.check(client.version)?;
    match packet.header.kind {
        Kind::Publish => publish::handle(client, packets, packet.header.flags, body)?,
        kind @ (Kind::Puback | Kind::Pubrec | Kind::Pubrel | Kind::Pubcomp) => {
            acks::handle(client, kind, body)?;
        }
        Kind::Subscribe | Kind::Unsubscribe | Kind::Auth => return Ok(Handled::Later),
        Kind::Pingreq if body.is_empty() => {
            client.answer(|out| out.extend_from_slice(&[(Kind::Pingresp as u8) << 4, 0]))?;
        }
        Kind::Pingreq => return Err(WireError::Malformed("a ping that says something").into()),
        Kind::Disconnect => disconnect::handle(client, body)?,
        Kind::Connect => return Err(WireError::Protocol("a second CONNECT").into()),
        Kind::Connack | Kind::Suback | Kind::Unsuback | Kind::Pingresp => {
            return Err(WireError::Protocol("a packet that only a broker sends").into());
        }
    }
    Ok(Handled::Now)
}

/// Handles a packet that must wait for something.
///
/// # Errors
/// The connection ends.
pub(crate) async fn later(
    client: &mut Client,
    packets: &Packets,
    packet: &Packet,
) -> Result<(), End> {
    let body = packets.body(packet);
    match packet.header.kind {
        Kind::Subscribe => subscribe::handle(client, body).await,
        Kind::Unsubscribe => unsubscribe::handle(client, body).await,
        Kind::Auth => auth::handle(client, body).await,
        // There is no other.
        _ => Ok(()),
    }
}

impl Client {
    /// Writes an answer, unless another connection has taken this one's place.
    ///
    /// # Errors
    /// It is larger than what the client takes.
    fn answer(&mut self, write: impl FnOnce(&mut Vec<u8>)) -> Result<(), End> {
        let mut state = self.session.lock();
        if !state.is_attached(self.number) {
            return Ok(());
        }
        let before = state.outbound.pending();
        write(state.outbound.buffer());
        if state.outbound.pending() - before > self.packet_bytes_max {
            state.outbound.buffer().truncate(before);
            let why = "an answer is larger than the client's maximum packet size";
            return Err(End::Told(Reason::PACKET_TOO_LARGE, why.into()));
        }
        Ok(())
    }
}
