//! PUBACK, PUBREC and PUBCOMP of what we sent, PUBREL of what we received.

use base::Offset;
use parking_lot::MutexGuard;

use crate::connection::{Client, Due, End};
use crate::session::State;
use crate::session::outbound::Received;
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
            state.is_dirty |= state.received.remove(&ack.packet_id);
            drop(state);
            // Behind the acknowledgements of what came before.
            let ack = Ack { packet_id: ack.packet_id, reason: Reason::SUCCESS };
            let publishing = client.publishing();
            publishing.owed += 1;
            publishing.acks.push(Due { kind: Kind::Pubcomp, ack, stored: [None; 3] });
        }
        Kind::Pubrec => match state.outbound.received(ack, now)? {
            Received::Nothing => {}
            Received::Refused(place) => settle(client, state, place),
            Received::Kept => {
                state.is_dirty = true;
                drop(state);
                let kind = Kind::Pubrel;
                let ack = Ack { packet_id: ack.packet_id, reason: Reason::SUCCESS };
                client.publishing().acks.push(Due { kind, ack, stored: [None; 3] });
            }
        },
        _ => {
            if let Some(place) = state.outbound.finish(kind, ack.packet_id, now)? {
                settle(client, state, place);
            }
        }
    }
    Ok(())
}

/// The client is done with a message from its session's queue.
fn settle(client: &Client, state: MutexGuard<'_, State>, place: Offset) {
    drop(state);
    if let Some(kept) = &client.session.kept {
        kept.settle(&[place]);
    }
}
