//! Subscriptions: consumer groups and share groups.

use base::Offset;
use broker::Broker;
use broker::access::Operation;
use broker::queue::group::{Filter, GroupKind, Listing};
use broker::queue::offsets::{CommitRequest, OffsetCommit};
use broker::queue::{GroupError, Name};
use tonic::{Request, Response, Status};

use super::Api;
use super::admin::page;
use crate::client::Caller;
use crate::map;
use crate::pb;
use crate::pb::subscriptions_server::Subscriptions;

#[tonic::async_trait]
impl Subscriptions for Api {
    async fn list_subscriptions(
        &self,
        request: Request<pb::ListSubscriptionsRequest>,
    ) -> Result<Response<pb::ListSubscriptionsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let pb::ListSubscriptionsRequest { prefix, page_size, page_token } = request.into_inner();
        let all = listings(&caller)?.into_iter();
        let mut seen = all.filter(|one| {
            let name = &*one.group;
            name.starts_with(&prefix)
                && name >= page_token.as_str()
                && caller.actor.may_group(Operation::Describe, name)
        });
        let count = page(page_size)?;
        let subscriptions = seen.by_ref().take(count).map(|one| head(caller.broker(), &one));
        let subscriptions = subscriptions.collect();
        let next_page_token = seen.next().map(|one| one.group.to_string()).unwrap_or_default();
        Ok(Response::new(pb::ListSubscriptionsResponse { subscriptions, next_page_token }))
    }

    async fn get_subscription(
        &self,
        request: Request<pb::GetSubscriptionRequest>,
    ) -> Result<Response<pb::Subscription>, Status> {
        let caller = Caller::of(&request)?;
        let name = request.into_inner().name;
        caller.check_group(Operation::Describe, &name)?;
        Ok(Response::new(find(&caller, &name)?))
    }

    async fn delete_subscription(
        &self,
        request: Request<pb::DeleteSubscriptionRequest>,
    ) -> Result<Response<pb::DeleteSubscriptionResponse>, Status> {
        let caller = Caller::of(&request)?;
        let name = request.into_inner().name;
        caller.check_group(Operation::Delete, &name)?;
        let deleted = caller.broker().groups().delete(&Name::from(name.as_str())).await;
        deleted.map_err(|error| map::group_error(error, &name))?;
        Ok(Response::new(pb::DeleteSubscriptionResponse {}))
    }

    async fn seek_subscription(
        &self,
        request: Request<pb::SeekSubscriptionRequest>,
    ) -> Result<Response<pb::Subscription>, Status> {
        let caller = Caller::of(&request)?;
        let pb::SeekSubscriptionRequest { name, shared, positions } = request.into_inner();
        caller.check_group(Operation::Read, &name)?;
        check(&caller, &positions)?;
        let is_known = listings(&caller)?.into_iter().find(|one| *one.group == name);
        let shared = is_known.map_or(shared, |one| one.kind == GroupKind::Share);
        let moved = match shared {
            true => seek_shared(caller.broker(), &name, positions).await,
            false => seek(caller.broker(), &name, positions).await,
        };
        moved.map_err(|error| map::group_error(error, &name))?;
        Ok(Response::new(find(&caller, &name)?))
    }
}

fn listings(caller: &Caller) -> Result<Vec<Listing>, Status> {
    let found = caller.broker().groups().list(&Filter::default());
    found.map_err(|error| map::group_error(error, ""))
}

fn find(caller: &Caller, name: &str) -> Result<pb::Subscription, Status> {
    let listing = listings(caller)?.into_iter().find(|one| &*one.group == name);
    let listing = listing.ok_or_else(|| map::not_found("subscription", name))?;
    let broker = caller.broker();
    let positions = match listing.kind {
        GroupKind::Share => shared_positions(broker, name),
        GroupKind::Classic | GroupKind::Consumer => {
            let found = broker.groups().all_committed(name);
            let found = found.map_err(|error| map::group_error(error, name))?;
            let position = |one: broker::queue::offsets::PartitionOffset| {
                let topic = one.topic.to_string();
                position(broker, topic, one.partition, one.committed.offset)
            };
            found.into_iter().map(position).collect()
        }
    };
    Ok(pb::Subscription { positions, ..head(broker, &listing) })
}

fn shared_positions(broker: &Broker, name: &str) -> Vec<pb::SubscriptionPosition> {
    let positions = broker.groups().positions(name).into_iter();
    let known = positions.filter_map(|(key, stands)| {
        let topic = broker.topic_by_id(key.topic)?.topic.name.clone();
        Some(position(broker, topic, key.partition, stands.start))
    });
    known.collect()
}

fn position(
    broker: &Broker,
    topic: String,
    partition: i32,
    offset: Offset,
) -> pb::SubscriptionPosition {
    let open = broker.topic(&topic);
    let end = open.as_ref().and_then(|open| open.log(partition)).map(|log| log.range().end);
    let behind = end.map_or(0, |end| end.saturating_sub(offset).max(0));
    let position = Some(pb::Position { topic, partition, offset });
    pb::SubscriptionPosition { position, behind }
}

/// What a list says of one.
fn head(broker: &Broker, one: &Listing) -> pb::Subscription {
    let groups = broker.groups();
    let members = match one.kind {
        GroupKind::Share => groups.describe_share(&one.group).map(|all| all.members.len()),
        GroupKind::Consumer => groups.describe_consumer(&one.group).map(|all| all.members.len()),
        GroupKind::Classic => groups.describe(&one.group).map(|all| all.members.len()),
    };
    pb::Subscription {
        name: one.group.to_string(),
        shared: one.kind == GroupKind::Share,
        state: one.state.as_str().to_owned(),
        members: u32::try_from(members.unwrap_or(0)).unwrap_or(u32::MAX),
        positions: Vec::new(),
    }
}

/// Positions are of partitions that there are, and that somebody may read.
fn check(caller: &Caller, positions: &[pb::Position]) -> Result<(), Status> {
    for pb::Position { topic, partition, offset } in positions {
        caller.check_topic(Operation::Read, topic)?;
        let open = caller.broker().topic(topic);
        let open = open.ok_or_else(|| map::not_found("topic", topic))?;
        if open.log(*partition).is_none() {
            return Err(map::not_found("partition", &format!("{topic}:{partition}")));
        }
        if *offset < 0 {
            return Err(map::invalid("positions.offset", "is not negative"));
        }
    }
    Ok(())
}

async fn seek(broker: &Broker, name: &str, positions: Vec<pb::Position>) -> Result<(), GroupError> {
    let commit = |one: pb::Position| OffsetCommit {
        topic: one.topic.into(),
        partition: one.partition,
        offset: one.offset,
        leader_epoch: -1,
        note: "".into(),
    };
    let request = CommitRequest {
        group: name.into(),
        member_id: "".into(),
        instance_id: None,
        generation: -1,
        retention: None,
        offsets: positions.into_iter().map(commit).collect(),
    };
    let outcomes = broker.groups().commit(request).await;
    match outcomes {
        Ok(outcomes) => outcomes.into_iter().collect(),
        // It has members.
        Err(GroupError::UnknownMember | GroupError::StaleEpoch) => Err(GroupError::NotEmpty),
        Err(error) => Err(error),
    }
}

async fn seek_shared(
    broker: &Broker,
    name: &str,
    positions: Vec<pb::Position>,
) -> Result<(), GroupError> {
    let start = |one: pb::Position| {
        let topic = broker.topic(&one.topic)?.topic.id;
        Some((topic, one.partition, one.offset))
    };
    let starts = positions.into_iter().filter_map(start).collect();
    broker.groups().reset_shared(&name.into(), starts).await
}
