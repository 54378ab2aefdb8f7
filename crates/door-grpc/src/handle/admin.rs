//! Topics and queues.

use std::sync::Arc;

use base::Millis;
use broker::access::Operation;
use broker::queues::{
    DeadLetterTo, DeleteOnly, Overflow, Queue, QueueName, QueueSettings, QueueSpec,
};
use broker::{NewTopic, OpenTopic};
use bytes::Bytes;
use tonic::{Request, Response, Status};

use super::Api;
use crate::client::Caller;
use crate::limits::PAGE_MAX;
use crate::map;
use crate::pb;
use crate::pb::topics_server::Topics;

#[tonic::async_trait]
impl Topics for Api {
    async fn create_topic(
        &self,
        request: Request<pb::CreateTopicRequest>,
    ) -> Result<Response<pb::Topic>, Status> {
        let caller = Caller::of(&request)?;
        let pb::CreateTopicRequest { name, partitions, config } = request.into_inner();
        // Who may make any topic need not be allowed this one.
        if !caller.actor.may_cluster(Operation::Create) {
            caller.check_topic(Operation::Create, &name)?;
        }
        let partitions = (partitions != 0).then_some(partitions);
        let new = NewTopic { name: name.clone(), partitions, config };
        let made = caller.broker().create_topic(new).await;
        made.map_err(|error| map::topic_error(&error))?;
        let open = find_topic(&caller, &name)?;
        Ok(Response::new(topic(&open)))
    }

    async fn get_topic(
        &self,
        request: Request<pb::GetTopicRequest>,
    ) -> Result<Response<pb::Topic>, Status> {
        let caller = Caller::of(&request)?;
        let name = request.into_inner().name;
        caller.check_topic(Operation::Describe, &name)?;
        let open = find_topic(&caller, &name)?;
        Ok(Response::new(topic(&open)))
    }

    async fn list_topics(
        &self,
        request: Request<pb::ListTopicsRequest>,
    ) -> Result<Response<pb::ListTopicsResponse>, Status> {
        let caller = Caller::of(&request)?;
        let pb::ListTopicsRequest { prefix, page_size, page_token } = request.into_inner();
        let metadata = caller.broker().metadata();
        let from = prefix.clone().max(page_token);
        let names = metadata.topics.range(from..).map(|(name, _)| name);
        let names = names.take_while(|name| name.starts_with(&prefix));
        let mut seen = names.filter(|name| caller.actor.may_topic(Operation::Describe, name));
        let count = page(page_size)?;
        let topics = seen.by_ref().filter_map(|name| caller.broker().topic(name));
        let topics = topics.take(count).map(|open| topic(&open)).collect();
        let next_page_token = seen.next().cloned().unwrap_or_default();
        Ok(Response::new(pb::ListTopicsResponse { topics, next_page_token }))
    }

    async fn delete_topic(
        &self,
        request: Request<pb::DeleteTopicRequest>,
    ) -> Result<Response<pb::DeleteTopicResponse>, Status> {
        let caller = Caller::of(&request)?;
        let name = request.into_inner().name;
        caller.check_topic(Operation::Delete, &name)?;
        let deleted = caller.broker().delete_topic(&name, None).await;
        deleted.map_err(|error| map::topic_error(&error))?;
        Ok(Response::new(pb::DeleteTopicResponse {}))
    }

    async fn declare_queue(
        &self,
        request: Request<pb::DeclareQueueRequest>,
    ) -> Result<Response<pb::QueueInfo>, Status> {
        let caller = Caller::of(&request)?;
        let asked = request.into_inner();
        caller.check_topic(Operation::Create, &asked.name)?;
        let (name, spec) = (queue_name(&asked.name), spec(asked)?);
        let declared = caller.broker().declare_queue(&name, &spec, caller.client.publisher).await;
        let text = String::from_utf8_lossy(&name.name).into_owned();
        let (queue, created) = declared.map_err(|error| map::queue_error(&error, &text))?;
        Ok(Response::new(pb::QueueInfo { created, ..info(&queue) }))
    }

    async fn get_queue(
        &self,
        request: Request<pb::GetQueueRequest>,
    ) -> Result<Response<pb::QueueInfo>, Status> {
        let caller = Caller::of(&request)?;
        let name = request.into_inner().name;
        caller.check_topic(Operation::Describe, &name)?;
        let queue = find_queue(&caller, &name)?;
        Ok(Response::new(info(&queue)))
    }

    async fn delete_queue(
        &self,
        request: Request<pb::DeleteQueueRequest>,
    ) -> Result<Response<pb::DeleteQueueResponse>, Status> {
        let caller = Caller::of(&request)?;
        let pb::DeleteQueueRequest { name, if_unused, if_empty } = request.into_inner();
        caller.check_topic(Operation::Delete, &name)?;
        let only = DeleteOnly { unused: if_unused, empty: if_empty };
        let (queue, owner) = (queue_name(&name), caller.client.publisher);
        let deleted = caller.broker().delete_queue(&queue, only, owner).await;
        let messages = deleted.map_err(|error| map::queue_error(&error, &name))?;
        Ok(Response::new(pb::DeleteQueueResponse { messages }))
    }

    async fn purge_queue(
        &self,
        request: Request<pb::PurgeQueueRequest>,
    ) -> Result<Response<pb::PurgeQueueResponse>, Status> {
        let caller = Caller::of(&request)?;
        let name = request.into_inner().name;
        caller.check_topic(Operation::Read, &name)?;
        let purged = find_queue(&caller, &name)?.purge().await;
        let messages = purged.map_err(|error| map::queue_error(&error, &name))?;
        Ok(Response::new(pb::PurgeQueueResponse { messages }))
    }
}

/// How many things are in one answer.
pub(super) fn page(size: i32) -> Result<usize, Status> {
    let size = usize::try_from(size).map_err(|_| map::invalid("page_size", "is not negative"))?;
    Ok(if size == 0 { PAGE_MAX } else { size.min(PAGE_MAX) })
}

fn find_topic(caller: &Caller, name: &str) -> Result<Arc<OpenTopic>, Status> {
    caller.broker().topic(name).ok_or_else(|| map::not_found("topic", name))
}

fn topic(open: &OpenTopic) -> pb::Topic {
    let partition = |number: i32| {
        let range = open.log(number).map(|log| log.range()).unwrap_or_default();
        pb::Partition { number, start: range.start, end: range.end }
    };
    let count = i32::try_from(open.topic.partitions.len()).unwrap_or(i32::MAX);
    pb::Topic {
        name: open.topic.name.clone(),
        id: Bytes::copy_from_slice(&open.topic.id.to_bytes()),
        partitions: (0..count).map(partition).collect(),
        config: open.topic.config.clone(),
    }
}

fn queue_name(name: &str) -> QueueName {
    QueueName { space: Bytes::new(), name: Bytes::copy_from_slice(name.as_bytes()) }
}

fn find_queue(caller: &Caller, name: &str) -> Result<Arc<Queue>, Status> {
    caller.broker().queue(&queue_name(name)).ok_or_else(|| map::not_found("queue", name))
}

fn info(queue: &Queue) -> pb::QueueInfo {
    let counts = queue.counts();
    pb::QueueInfo {
        name: String::from_utf8_lossy(&queue.name().name).into_owned(),
        ready: counts.ready,
        held: counts.held,
        consumers: counts.consumers,
        created: false,
    }
}

fn spec(asked: pb::DeclareQueueRequest) -> Result<QueueSpec, Status> {
    let priorities = u8::try_from(asked.priorities);
    let priorities = priorities.map_err(|_| map::invalid("priorities", "is 255 at most"))?;
    let millis = |time: Option<u64>| time.map(|time| Millis::try_from(time).unwrap_or(Millis::MAX));
    let dead_letter = asked.dead_letter_exchange.map(|exchange| DeadLetterTo {
        exchange: Bytes::from(exchange),
        key: asked.dead_letter_key.map(Bytes::from),
    });
    Ok(QueueSpec {
        durable: !asked.transient,
        auto_delete: asked.auto_delete,
        settings: QueueSettings {
            message_ttl: millis(asked.message_ttl_ms),
            expires: millis(asked.expires_ms),
            length_max: asked.length_max,
            bytes_max: asked.bytes_max,
            overflow: asked.reject_when_full.then_some(Overflow::Reject),
            dead_letter,
            priorities,
            single_active: asked.single_active,
            deliveries_max: asked.deliveries_max,
            ..QueueSettings::default()
        },
        ..QueueSpec::default()
    })
}
