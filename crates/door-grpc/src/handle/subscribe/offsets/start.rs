//! Where to begin what has no committed position.

use std::collections::BTreeMap;
use std::sync::Arc;

use base::{Millis, Offset};
use broker::{Broker, OpenTopic, Position};
use tonic::Status;

use crate::map;
use crate::pb;

/// Where.
#[derive(Debug, Clone)]
pub(super) enum Start {
    Earliest,
    Latest,
    Time(Millis),
    At(BTreeMap<(String, i32), Offset>),
}

impl Start {
    /// As a client says it.
    ///
    /// # Errors
    /// INVALID_ARGUMENT.
    pub(super) fn new(said: Option<pb::Start>) -> Result<Self, Status> {
        Ok(match said.and_then(|said| said.at) {
            None | Some(pb::start::At::Latest(_)) => Self::Latest,
            Some(pb::start::At::Earliest(_)) => Self::Earliest,
            Some(pb::start::At::TimeMs(time)) => Self::Time(time),
            Some(pb::start::At::Positions(pb::Positions { positions })) => {
                let is_wrong = |position: &pb::Position| position.offset < 0;
                if positions.iter().any(is_wrong) {
                    return Err(map::invalid("start.positions.offset", "is not negative"));
                }
                let at = |one: pb::Position| ((one.topic, one.partition), one.offset);
                Self::At(positions.into_iter().map(at).collect())
            }
        })
    }

    /// The offset in a partition.
    ///
    /// # Errors
    /// The partition cannot be read.
    pub(super) async fn find(
        &self,
        broker: &Broker,
        topic: &Arc<OpenTopic>,
        partition: i32,
    ) -> Result<Offset, Status> {
        let position = match self {
            Self::At(positions) => match positions.get(&(topic.topic.name.clone(), partition)) {
                Some(offset) => return Ok(*offset),
                None => Position::Stable,
            },
            Self::Earliest => Position::Earliest,
            Self::Latest => Position::Stable,
            Self::Time(time) => Position::Time(*time),
        };
        let failed = |error: broker::FetchError| {
            map::refusal(map::code(error.kind()), "READ", error.to_string())
        };
        let found = broker.find_offset(topic, partition, position).await.map_err(failed)?;
        // Nothing is as late as that time.
        let found = match found {
            None => broker.find_offset(topic, partition, Position::Stable).await.map_err(failed)?,
            found => found,
        };
        Ok(found.map_or(0, |(offset, _)| offset))
    }
}
