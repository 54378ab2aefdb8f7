//! What clients older than record batches (Kafka 0.8 to 0.10) send and read: message sets of the
//! formats v0 and v1, converted on their way in and out. `broker::store::batch::old` knows the
//! bytes; here stands when, how much at once, and which errors such clients know.

use base::Offset;
use broker::store::ReadBatches;
use broker::store::batch::old::{DownConvertError, DownConverter, Format};
use broker::{Broker, Fetch, FetchLimits};
use bytes::Bytes;
use door::CloseReason;
use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant};

use crate::map;
use crate::wire::ErrorCode;

/// Fetch brings messages with timestamps from this version on (KIP-32).
const TIMESTAMPS_FROM: i16 = 2;

/// Conversions at a time, of all connections: each may hold an unpacked batch, and computes.
static CONVERTING: Semaphore = Semaphore::const_new(2);

/// Runs a conversion where it may take its time, when it is its turn.
pub(crate) async fn convert<T: Send + 'static>(
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, CloseReason> {
    let turn = CONVERTING.acquire().await.map_err(std::io::Error::other)?;
    let done = tokio::task::spawn_blocking(work).await.map_err(std::io::Error::other)?;
    drop(turn);
    Ok(done)
}

/// The error as a client of that age knows it.
pub(crate) fn error_code(code: i16) -> i16 {
    let known = [
        (ErrorCode::InvalidRecord, ErrorCode::CorruptMessage),
        (ErrorCode::KafkaStorageError, ErrorCode::NotLeaderOrFollower),
    ];
    let known = known.iter().find(|(new, _)| new.number() == code);
    known.map_or(code, |(_, old)| old.number())
}
