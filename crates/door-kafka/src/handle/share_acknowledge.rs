//! ShareAcknowledge: what becomes of records that a member of a share group has (KIP-932); and what
//! ShareFetch has in common with it.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use base::TopicId;
use broker::access::Operation;
use broker::queue::Name;
use broker::queue::shared::{Acknowledgement, Disposition, SharedError};
use broker::{OpenTopic, Settle};

use super::Request;
use crate::map;
use crate::share_sessions::{Change, FIRST_EPOCH, LAST_EPOCH, Partition};
use crate::wire::ErrorCode;
use crate::wire::messages::share_acknowledge_request::{
    AcknowledgePartition, AcknowledgementBatch,
};
use crate::wire::messages::share_acknowledge_response::{
    PartitionData, ShareAcknowledgeTopicResponse,
};
use crate::wire::messages::{ShareAcknowledgeRequest, ShareAcknowledgeResponse};

/// Consumers may renew from this version on (KIP-1222).
const RENEW_FROM: i16 = 2;

/// Offsets and the numbers of what becomes of them, as they stand in either request.
pub(super) struct Said {
    pub(super) first: i64,
    pub(super) last: i64,
    pub(super) types: Vec<i8>,
}

pub(super) async fn handle(
    request: Request<'_>,
    asked: ShareAcknowledgeRequest,
) -> ShareAcknowledgeResponse {
    let failed = |code: ErrorCode| ShareAcknowledgeResponse {
        error_code: code.number(),
        ..ShareAcknowledgeResponse::default()
    };
    let member = match member(&request, asked.group_id, asked.member_id) {
        Ok(member) => member,
        Err(code) => return failed(code),
    };
    let epoch = asked.share_session_epoch;
    if epoch == FIRST_EPOCH {
        return failed(ErrorCode::InvalidShareSessionEpoch);
    }
    let session = request.context.share_sessions.advance(&member, epoch, Change::default());
    if let Err(code) = session {
        return failed(code);
    }
    let said = |batch: AcknowledgementBatch| Said {
        first: batch.first_offset,
        last: batch.last_offset,
        types: batch.acknowledge_types,
    };
    let partitions = asked.topics.into_iter().flat_map(|topic| {
        let id = TopicId::from_bytes(topic.topic_id);
        topic.partitions.into_iter().map(move |partition| {
            let AcknowledgePartition { partition_index, acknowledgement_batches } = partition;
            let said = acknowledgement_batches.into_iter().map(said).collect();
            ((id, partition_index), said)
        })
    });
    let outcomes = settle(&request, &member, partitions.collect()).await;
    if epoch == LAST_EPOCH {
        end(&request, &member);
    }
    let terms = request.broker().group_config(&member.0).terms;
    ShareAcknowledgeResponse {
        acquisition_lock_timeout_ms: i32::try_from(terms.lease).unwrap_or(i32::MAX),
        responses: responses(outcomes),
        ..ShareAcknowledgeResponse::default()
    }
}

fn responses(outcomes: BTreeMap<Partition, ErrorCode>) -> Vec<ShareAcknowledgeTopicResponse> {
    let mut topics: Vec<ShareAcknowledgeTopicResponse> = Vec::new();
    for ((topic, partition_index), code) in outcomes {
        let topic_id = topic.to_bytes();
        if topics.last().is_none_or(|last| last.topic_id != topic_id) {
            topics.push(ShareAcknowledgeTopicResponse { topic_id, partitions: Vec::new() });
        }
        let data = PartitionData {
            partition_index,
            error_code: code.number(),
            ..PartitionData::default()
        };
        topics.iter_mut().last().into_iter().for_each(|last| last.partitions.push(data.clone()));
    }
    topics
}

/// Whose request it is: the group, which must be one, and the member.
pub(super) fn member(
    request: &Request<'_>,
    group: Option<String>,
    member: Option<String>,
) -> Result<(Name, Name), ErrorCode> {
    let group = group.filter(|group| !group.is_empty()).ok_or(ErrorCode::InvalidGroupId)?;
    let member = member.filter(|member| !member.is_empty()).ok_or(ErrorCode::InvalidRequest)?;
    if !request.broker().groups().is_shared(&group) {
        return Err(ErrorCode::GroupIdNotFound);
    }
    Ok((group.into(), member.into()))
}

/// A topic that the member may read.
pub(super) fn readable(request: &Request<'_>, id: TopicId) -> Result<Arc<OpenTopic>, ErrorCode> {
    let open = request.broker().topic_by_id(id).ok_or(ErrorCode::UnknownTopicId)?;
    match request.context.actor.may_topic(Operation::Read, &open.topic.name) {
        true => Ok(open),
        false => Err(ErrorCode::TopicAuthorizationFailed),
    }
}

/// A member ends its session in order: what it has, and has said nothing of, it has not looked at.
pub(super) fn end(request: &Request<'_>, member: &(Name, Name)) {
    request.broker().groups().give_back(&member.0, &member.1, false);
}

/// Carries acknowledgements out, durably; one outcome for each partition.
pub(super) async fn settle(
    request: &Request<'_>,
    member: &(Name, Name),
    of: Vec<(Partition, Vec<Said>)>,
) -> BTreeMap<Partition, ErrorCode> {
    let mut outcomes = BTreeMap::new();
    let mut settles = Vec::new();
    let mut seen = HashSet::new();
    for (partition, said) in of {
        // Twice in one request makes no sense, and its second answer would hide the first.
        let read = match seen.insert(partition) {
            true => read(&said, request.version() >= RENEW_FROM),
            false => Err(ErrorCode::InvalidRequest),
        };
        let known = readable(request, partition.0);
        match read {
            Err(code) => drop(outcomes.insert(partition, code)),
            Ok(acknowledgements) => {
                if let Err(code) = known {
                    outcomes.insert(partition, code);
                    continue;
                }
                let (topic, partition) = partition;
                settles.push(Settle { topic, partition, acknowledgements });
            }
        }
    }
    let partitions: Vec<_> = settles.iter().map(|one| (one.topic, one.partition)).collect();
    let results = request.broker().settle(&member.0, &member.1, settles).await;
    for (partition, result) in partitions.into_iter().zip(results) {
        let code = match result {
            // Nobody can have a record of a partition that nobody has taken from.
            Err(SharedError::NotOpen) => ErrorCode::InvalidRecordState,
            Err(error) => map::shared_error(error),
            Ok(()) => ErrorCode::None,
        };
        outcomes.entry(partition).or_insert(code);
    }
    outcomes
}

/// One type for all of the offsets, or one for each.
fn read(said: &[Said], may_renew: bool) -> Result<Vec<Acknowledgement>, ErrorCode> {
    let mut all: Vec<Acknowledgement> = Vec::new();
    for Said { first, last, types } in said {
        let count = last.checked_sub(*first).and_then(|count| count.checked_add(1));
        let count = count.and_then(|count| usize::try_from(count).ok()).filter(|count| *count > 0);
        let count = count.ok_or(ErrorCode::InvalidRequest)?;
        let disposition = |number: i8| match number {
            0 => Ok(Disposition::Gap),
            1 => Ok(Disposition::Accept),
            2 => Ok(Disposition::Release),
            3 => Ok(Disposition::Reject),
            4 if may_renew => Ok(Disposition::Renew),
            _ => Err(ErrorCode::InvalidRequest),
        };
        match types.as_slice() {
            [one] => all.push(Acknowledgement {
                first: *first,
                last: *last,
                disposition: disposition(*one)?,
            }),
            many if many.len() == count => {
                for (offset, number) in (*first..).zip(many) {
                    let disposition = disposition(*number)?;
                    match all.last_mut() {
                        Some(run) if run.last == offset - 1 && run.disposition == disposition => {
                            run.last = offset;
                        }
                        _ => {
                            all.push(Acknowledgement { first: offset, last: offset, disposition });
                        }
                    }
                }
            }
            _ => return Err(ErrorCode::InvalidRequest),
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(first: i64, last: i64, types: &[i8]) -> Said {
        Said { first, last, types: types.to_vec() }
    }

    #[test]
    fn one_type_is_for_all_offsets_and_many_are_for_one_each() {
        let run = |first, last, disposition| Acknowledgement { first, last, disposition };
        let said = [of(0, 9, &[1]), of(10, 13, &[2, 2, 0, 3])];
        let all = [
            run(0, 9, Disposition::Accept),
            run(10, 11, Disposition::Release),
            run(12, 12, Disposition::Gap),
            run(13, 13, Disposition::Reject),
        ];
        assert_eq!(read(&said, false), Ok(all.to_vec()));
        assert_eq!(read(&[of(3, 3, &[4])], true), Ok(vec![run(3, 3, Disposition::Renew)]));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for said in [
            of(3, 3, &[4]),
            of(3, 3, &[]),
            of(3, 2, &[1]),
            of(3, 5, &[1, 1]),
            of(i64::MIN, i64::MAX, &[1]),
            of(0, 0, &[-1]),
        ] {
            assert_eq!(read(&[said], false), Err(ErrorCode::InvalidRequest));
        }
    }
}
