//! Every message, for fuzzing. Only there with the cargo feature `fuzzing`.

use bytes::Bytes;

use super::fetch::FetchRequest;
use super::messages::CASES;
use super::produce::ProduceRequest;
use super::sample::Sample;
use super::{ApiKey, Reader, RequestHeader, WireError, decode_versioned, messages};

/// How many kinds of messages there are.
pub const MESSAGES: usize = CASES.len();

/// Reads a request's frame as a session does: header, then what the header says follows.
///
/// # Errors
/// When it is none.
pub fn request(frame: &Bytes) -> Result<(), WireError> {
    let mut reader = Reader::new(frame.clone());
    let header = RequestHeader::decode(&mut reader)?;
    let version = header.version;
    match header.api {
        ApiKey::Produce => _ = ProduceRequest::decode(&mut reader, version)?,
        ApiKey::Fetch => _ = FetchRequest::decode(&mut reader, version)?,
        api => {
            let is =
                |case: &&super::sample::Case| case.is_request && case.key == Some(api.number());
            if let Some(case) = CASES.iter().find(is) {
                (case.decode)(&mut reader, version)?;
            }
        }
    }
    Ok(())
}

/// Reads bytes as a message of this number and, where they are one, writes it, and reads and writes
/// it once more.
///
/// # Panics
/// When what was written is read as something else.
pub fn message(number: usize, version: i16, bytes: &Bytes) {
    let Some(case) = CASES.get(number % MESSAGES) else { return };
    let version = case.min + version.rem_euclid(case.max - case.min + 1);
    // A client may read as many elements as there are bytes.
    let mut reader = Reader::with_elements(bytes.clone(), bytes.len());
    let Ok(written) = (case.decode)(&mut reader, version) else { return };
    let length = written.len();
    let again = (case.decode)(&mut Reader::with_elements(written.clone(), length), version);
    assert_eq!(again.as_ref(), Ok(&written), "{} v{version}", case.name);
}

/// Reads bytes as what consumers tell each other through the group's coordinator.
pub fn versioned(bytes: &Bytes) {
    let _ = decode_versioned::<messages::ConsumerProtocolSubscription>(bytes.clone());
    let _ = decode_versioned::<messages::ConsumerProtocolAssignment>(bytes.clone());
}

/// Some message of this number: its version, and its bytes. For first inputs.
pub fn sample(number: usize, seed: u64) -> (i16, Bytes) {
    let Some(case) = CASES.get(number % MESSAGES) else { return (0, Bytes::new()) };
    let mut source = Sample::new(seed);
    let versions = u64::from((case.max - case.min).unsigned_abs()) + 1;
    let above = i16::try_from(source.next() % versions).unwrap_or(0);
    let version = case.min + above;
    (version, (case.sample)(&mut source, version))
}

/// The key of a message of this number, if it is a request's.
pub fn request_key(number: usize) -> Option<i16> {
    CASES.get(number % MESSAGES).filter(|case| case.is_request).and_then(|case| case.key)
}
