//! Consumer groups.

use base::Offset;
use broker::Position;
use broker::access::Operation;
use broker::observe::lag::Behind;
use broker::observe::state::{Edge, NodeKind, Scope};
use broker::observing::{GroupLag, PartitionLag};
use broker::queue::Name;
use broker::queue::offsets::{CommitRequest, OffsetCommit};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::state;
use crate::ask::Ask;
use crate::problem::Problem;
use crate::{Outcome, done, fields, told};

/// Offsets that are moved at once.
const OFFSETS_MAX: usize = 10_000;

/// `GET /api/v1/groups`.
pub(crate) async fn list(ask: &Ask) -> Outcome {
    state::list(ask, NodeKind::Group, |name| ask.actor.may_group(Operation::Describe, name))
}

/// `GET /api/v1/groups/{group}`.
pub(crate) async fn get(ask: &Ask) -> Outcome {
    let name = ask.part("group");
    ask.check_group(Operation::Describe, name)?;
    let kinds = [NodeKind::Group, NodeKind::Member];
    let graph = ask.broker().state(&Scope { name: Some(name.to_owned()), ..Scope::of(kinds) });
    let group = graph.get(NodeKind::Group, name);
    let group = group.ok_or_else(|| Problem::not_found(format!("there is no group '{name}'")))?;
    let of_group = |edge: &&Edge| edge.does == "of" && edge.to == group.id;
    let members = graph.edges.iter().filter(of_group).filter_map(|edge| {
        let member = graph.get(NodeKind::Member, &edge.from.name)?;
        let id = member.id.name.strip_prefix(name).and_then(|rest| rest.strip_prefix('/'));
        let (client_id, host) = (member.text("client_id"), member.text("host"));
        Some(json!({ "id": id, "client_id": client_id, "host": host }))
    });
    let lags = ask.broker().group_lags();
    let own = lags.iter().filter(|lag| *lag.group == *name).flat_map(lines);
    Ok(told(&json!({
        "group": name,
        "state": group.text("state"),
        "kind": group.text("kind"),
        "members": members.collect::<Vec<_>>(),
        "lags": own.collect::<Vec<_>>(),
    })))
}

/// A group's lag in each partition of a topic.
pub(super) fn lines(lag: &GroupLag) -> Vec<Json> {
    let line = |one: &PartitionLag| {
        let mut line = json!({
            "topic": &*lag.topic, "partition": one.partition, "committed": one.committed,
            "start": one.start, "end": one.end, "messages": one.messages,
        });
        if let (Some(line), Some(behind)) = (line.as_object_mut(), one.behind) {
            line.insert("behind_ms".to_owned(), behind.millis().into());
            line.insert("is_exact".to_owned(), matches!(behind, Behind::Exactly(_)).into());
        }
        line
    };
    lag.partitions.iter().map(line).collect()
}

/// `DELETE /api/v1/groups/{group}`.
pub(crate) async fn delete(ask: &Ask) -> Outcome {
    let name = ask.part("group");
    ask.check_group(Operation::Delete, name)?;
    ask.broker().groups().delete(&Name::from(name)).await?;
    Ok(done())
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct New {
    #[serde(deserialize_with = "fields::objects")]
    offsets: Vec<NewOffset>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct NewOffset {
    topic: String,
    #[serde(deserialize_with = "fields::whole")]
    partition: i32,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    offset: Option<Offset>,
    to: Option<To>,
    #[serde(default, deserialize_with = "fields::maybe_whole")]
    time: Option<i64>,
}

#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum To {
    Earliest,
    Latest,
}

/// `PUT /api/v1/groups/{group}/offsets`.
pub(crate) async fn reset(ask: &Ask) -> Outcome {
    let name = ask.part("group");
    ask.check_group(Operation::Read, name)?;
    let New { offsets } = ask.body()?;
    let is_only_told = ask.is("dry_run")?;
    if offsets.is_empty() || offsets.len() > OFFSETS_MAX {
        return Err(Problem::invalid(format!("from 1 to {OFFSETS_MAX} offsets are moved at once")));
    }
    let mut commits = Vec::with_capacity(offsets.len());
    for wanted in &offsets {
        ask.check_topic(Operation::Read, &wanted.topic)?;
        commits.push(wanted.find(ask).await?);
    }
    let place = |one: &OffsetCommit| json!({ "topic": &*one.topic, "partition": one.partition, "offset": one.offset });
    let places: Vec<_> = commits.iter().map(place).collect();
    if !is_only_told {
        let request = CommitRequest {
            group: name.into(),
            member_id: "".into(),
            instance_id: None,
            // Of no member: refused while the group has some.
            generation: -1,
            retention: None,
            offsets: commits,
        };
        for outcome in ask.broker().groups().commit(request).await? {
            outcome?;
        }
    }
    Ok(told(&json!({ "group": name, "dry_run": is_only_told, "offsets": places })))
}

impl NewOffset {
    async fn find(&self, ask: &Ask) -> Result<OffsetCommit, Problem> {
        let Self { topic, partition, offset, to, time } = self;
        let open = ask.broker().topic(topic);
        let open =
            open.ok_or_else(|| Problem::not_found(format!("there is no topic '{topic}'")))?;
        let missing = || Problem::not_found(format!("'{topic}' has no partition {partition}"));
        let range = open.log(*partition).ok_or_else(missing)?.range();
        let position = match (offset, to, time) {
            (Some(offset), None, None) if (range.start..=range.end).contains(offset) => {
                return Ok(self.at(*offset));
            }
            (Some(_), None, None) => {
                let (from, to) = (range.start, range.end);
                return Err(Problem::not_found(format!(
                    "partition {partition} of '{topic}' has offsets from {from} to {to}"
                )));
            }
            (None, Some(To::Earliest), None) => Position::Earliest,
            (None, Some(To::Latest), None) => Position::Latest,
            (None, None, Some(time)) => Position::Time(*time),
            _ => return Err(Problem::invalid("each has one of offset, to and time")),
        };
        let found = ask.broker().find_offset(&open, *partition, position).await?;
        // Nothing is as late as that time.
        Ok(self.at(found.map_or(range.end, |(offset, _)| offset)))
    }

    fn at(&self, offset: Offset) -> OffsetCommit {
        OffsetCommit {
            topic: self.topic.as_str().into(),
            partition: self.partition,
            offset,
            leader_epoch: -1,
            note: "".into(),
        }
    }
}
