//! Receipts: a client hears of a frame when what it asked for is done, and what it sent is stored. They come in the order
//! of the frames.

use broker::live::{Commit, Fate};
use bytes::Bytes;
use door::{DoorFigures, Outgoing};
use tokio::sync::mpsc::Receiver;

use crate::fault::Fault;
use crate::session::End;
use crate::wire::Version;
use crate::wire::encode::Writer;

/// A frame whose sender wants to know.
#[derive(Debug)]
pub(crate) struct Owed {
    pub(crate) receipt: Bytes,
    pub(crate) fate: Fate,
}

/// Tells of batches one after the other. Returns when one could not be stored: what was sent and is lost is not passed
/// over, even where nobody asked for a receipt.
pub(crate) async fn run(
    mut commits: Receiver<Commit<Owed>>,
    (outgoing, figures): (&Outgoing, &DoorFigures),
    version: Version,
) -> End {
    while let Some(Commit { storing, owed, since, done }) = commits.recv().await {
        let outcomes = storing.done().await;
        if !owed.is_empty() {
            let took = u64::try_from(since.elapsed().as_nanos()).unwrap_or(u64::MAX);
            figures.publish_time.record_times(took, owed.len() as u64);
        }
        for Owed { receipt, fate } in owed {
            let failed = match fate {
                Fate::Done => None,
                Fate::Refused => Some(Fault::resource("a queue is full")),
                Fate::Stored(number) => match outcomes.get(number) {
                    Some(Ok(())) => None,
                    Some(Err(error)) => Some(Fault::internal(error)),
                    None => Some(Fault::internal("it was not stored")),
                },
            };
            if let Some(fault) = failed {
                return End::Fault(fault, Some(receipt));
            }
            outgoing.push(|out| encode(&receipt, version, out));
        }
        if let Some(error) = outcomes.iter().find_map(|outcome| outcome.as_ref().err()) {
            return End::fault(Fault::internal(error));
        }
        outgoing.flush();
        // Whoever waited may be gone.
        done.and_then(|done| done.send(()).ok());
    }
    End::Quiet
}

/// Writes one.
pub(crate) fn encode(receipt: &[u8], version: Version, out: &mut Vec<u8>) {
    Writer::begin("RECEIPT", version, out).header(b"receipt-id", receipt).end();
}
