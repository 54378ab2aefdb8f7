//! Where a message died before it came where it is.

use base::Millis;
use bytes::{Buf, BufMut, Bytes, BytesMut};

/// Why a queue gave a message up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DeathReason {
    /// A consumer rejected it.
    Rejected,
    /// It waited too long.
    Expired,
    /// There were too many.
    TooMany,
    /// It came back too often.
    TooManyDeliveries,
}

/// That a message died in a queue, for one reason; how often that was is counted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Death {
    /// The queue's name.
    pub queue: Bytes,
    /// Why.
    pub reason: DeathReason,
    /// How often.
    pub count: u64,
    /// When it died there first.
    pub time: Millis,
    /// The exchange through which it had come into the queue then.
    pub exchange: Bytes,
    /// Its routing keys.
    pub keys: Vec<Bytes>,
}

const VERSION: u8 = 1;

impl DeathReason {
    const ALL: [Self; 4] = [Self::Rejected, Self::Expired, Self::TooMany, Self::TooManyDeliveries];

    fn code(self) -> u8 {
        match self {
            Self::Rejected => 0,
            Self::Expired => 1,
            Self::TooMany => 2,
            Self::TooManyDeliveries => 3,
        }
    }
}

impl Death {
    /// A list of them.
    ///
    /// `u8` version 1, and for each: `u8` reason (0 rejected, 1 waited too long, 2 too many, 3 came back too often), `u64`
    /// count, `i64` time, the queue's name and the exchange (each `u32` length and bytes), `u32` number of keys, and those
    /// likewise. Numbers are big-endian.
    pub(super) fn encode(deaths: &[Self]) -> Bytes {
        let mut out = BytesMut::new();
        let put = |out: &mut BytesMut, bytes: &Bytes| {
            out.put_u32(u32::try_from(bytes.len()).unwrap_or(u32::MAX));
            out.put_slice(bytes);
        };
        out.put_u8(VERSION);
        for Self { queue, reason, count, time, exchange, keys } in deaths {
            out.put_u8(reason.code());
            out.put_u64(*count);
            out.put_i64(*time);
            put(&mut out, queue);
            put(&mut out, exchange);
            out.put_u32(u32::try_from(keys.len()).unwrap_or(u32::MAX));
            keys.iter().for_each(|key| put(&mut out, key));
        }
        out.freeze()
    }

    /// `None` if these bytes are no such list. Takes no more memory than it is given.
    pub(super) fn decode(bytes: &Bytes) -> Option<Vec<Self>> {
        let mut bytes = bytes.clone();
        if bytes.try_get_u8().ok()? != VERSION {
            return None;
        }
        let take = |bytes: &mut Bytes| {
            let length = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
            (length <= bytes.len()).then(|| bytes.split_to(length))
        };
        let mut deaths = Vec::new();
        while !bytes.is_empty() {
            let reason = usize::from(bytes.try_get_u8().ok()?);
            let reason = *DeathReason::ALL.get(reason)?;
            let count = bytes.try_get_u64().ok()?;
            let time = bytes.try_get_i64().ok()?;
            let (queue, exchange) = (take(&mut bytes)?, take(&mut bytes)?);
            let mut keys = Vec::new();
            for _ in 0..bytes.try_get_u32().ok()? {
                keys.push(take(&mut bytes)?);
            }
            deaths.push(Self { queue, reason, count, time, exchange, keys });
        }
        Some(deaths)
    }
}
