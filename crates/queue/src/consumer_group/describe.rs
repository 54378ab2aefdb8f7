//! What operators see.

use super::group::Group;
use super::member::Member;
use super::types::ConsumerDescription;

pub(super) fn group<T>(group: &Group<T>) -> ConsumerDescription {
    ConsumerDescription {
        group: group.name.clone(),
        state: group.state(),
        epoch: group.epoch,
        target_epoch: group.target_epoch,
        assignor: group.assignor.as_str(),
        members: group.members.values().map(Member::describe).collect(),
    }
}
