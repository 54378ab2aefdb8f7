//! PUBACK, PUBREC and PUBCOMP of what we sent, PUBREL of what we received.

use crate::connection::{Client, Due, End};
use crate::wire::ack::Ack;
use crate::wire::header::Kind;
use crate::wire::reason::Reason;

/// Takes the next step of a delivery.
pub(super) fn handle(client: &mut Client, kind: Kind, body: &[u8]) -> Result<(), End> {
    let ack = Ack::decode(client.version, body)?;
    let now = client.shared.broker.now();
    let mut state = client.session.lock();
    if !state.is_attached(client.number) {
        return Ok(());
    }
    match kind {
        Kind::Pubrel => {
            // One that is not known was released before, in a connection that ended too early (5.0 §4.4).
            state.received.remove(&ack.packet_id);
            drop(state);
            // Behind the acknowledgements of what came before.
            let ack = Ack { packet_id: ack.packet_id, reason: Reason::SUCCESS };
            let publishing = client.publishing();
            publishing.owed += 1;
            publishing.acks.push(Due { kind: Kind::Pubcomp, ack, stored: [None; 2] });
        }
        Kind::Pubrec => state.outbound.received(ack, now)?,
        _ => state.outbound.finish(kind, ack.packet_id, now)?,
    }
    Ok(())
}
