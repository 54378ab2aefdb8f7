//! What of a group is to be persisted, and who waits for that.

use std::collections::BTreeSet;

use super::group::{Context, Group};
use super::member::Member;
use super::types::Heartbeat;
use crate::output::{Response, Ticket};
use crate::record::{
    ConsumerGroupValue, Key, MemberKey, Record, TargetAssignmentValue, encode_group_key,
};
use crate::{GroupError, Name, Persisted};

/// What of a group differs from what was put out last. An id without a member is one that is gone.
#[derive(Debug, Default)]
pub(super) struct Changed {
    pub(super) group: bool,
    /// All that is stored of them.
    pub(super) members: BTreeSet<Name>,
    pub(super) targets: BTreeSet<Name>,
    pub(super) currents: BTreeSet<Name>,
}

impl Changed {
    pub(super) fn is_empty(&self) -> bool {
        !self.group
            && self.members.is_empty()
            && self.targets.is_empty()
            && self.currents.is_empty()
    }
}

/// One persist under way.
#[derive(Debug)]
pub(super) struct InFlight<T> {
    ticket: Ticket,
    durable: bool,
    /// Members whose deletion it holds.
    gone: Vec<Name>,
    /// Who is told what when it is durable.
    answers: Vec<(T, Heartbeat)>,
}

impl<T> Group<T> {
    /// Puts out what has changed, and answers `answer` when all that it rests on is durable.
    pub(super) fn flush(&mut self, answer: Option<(T, Heartbeat)>, cx: &mut Context<'_, T>) {
        if !self.changed.is_empty() {
            let (records, gone) = self.take_changed();
            self.stored = true;
            let ticket = cx.outbox.ticket();
            cx.shared.tickets.insert(ticket, self.name.clone());
            cx.outbox.persist(ticket, records);
            let answers = Vec::new();
            self.in_flight.push_back(InFlight { ticket, durable: false, gone, answers });
        }
        let Some((to, heartbeat)) = answer else { return };
        match self.in_flight.back_mut() {
            Some(last) => last.answers.push((to, heartbeat)),
            None => cx.outbox.reply(to, Response::Heartbeat(Ok(heartbeat))),
        }
    }

    /// Members that are gone come first: what they owned may be somebody else's now, and a crash
    /// may cut the records short. The group comes last: until then, a restart makes a new target.
    fn take_changed(&mut self) -> (Vec<Record>, Vec<Name>) {
        let changed = std::mem::take(&mut self.changed);
        let gone = |id: &&Name| !self.members.contains_key(*id);
        let gone: Vec<Name> = changed.members.iter().filter(gone).cloned().collect();
        let mut records = Vec::new();
        if !self.stored {
            // A classic group of that name has given way.
            records.push(Record { key: encode_group_key(&self.name), value: None });
        }
        for id in &gone {
            records.extend(MemberPart::ALL.map(|part| part.record(&self.name, id, None)));
        }
        let ids = changed.members.iter().chain(&changed.targets).chain(&changed.currents);
        let ids: BTreeSet<&Name> = ids.collect();
        for id in ids {
            let Some(member) = self.members.get(id) else { continue };
            let whole = changed.members.contains(id);
            let parts = [
                (MemberPart::About, whole),
                (MemberPart::Target, whole || changed.targets.contains(id)),
                (MemberPart::Current, whole || changed.currents.contains(id)),
            ];
            let parts = parts.into_iter().filter(|(_, changed)| *changed);
            records.extend(parts.map(|(part, _)| part.record(&self.name, id, Some(member))));
        }
        if changed.group || records.is_empty() {
            records.push(self.record());
        }
        (records, gone)
    }

    fn record(&self) -> Record {
        let value = ConsumerGroupValue {
            epoch: self.epoch,
            target_epoch: self.target_epoch,
            changed_at: self.changed_at,
            assignor: self.assignor.as_str().into(),
        };
        let key = Key::ConsumerGroup(self.name.clone());
        Record { key: key.encode(), value: Some(value.encode()) }
    }

    /// What deletes the group, if any of it is stored; it has no members.
    pub(super) fn deletion(&self) -> Vec<Record> {
        if !self.stored {
            return Vec::new();
        }
        // Members whose deletion has failed, or of whom a crash left a part.
        let gone = self.changed.members.iter();
        let gone = gone.flat_map(|id| MemberPart::ALL.map(|p| p.record(&self.name, id, None)));
        let key = Key::ConsumerGroup(self.name.clone()).encode();
        gone.chain([Record { key, value: None }]).collect()
    }

    /// All of the group, as a restart is to find it.
    pub(super) fn snapshot(&self) -> impl Iterator<Item = Record> {
        let members = self.members.iter().flat_map(|(id, member)| {
            MemberPart::ALL.map(|part| part.record(&self.name, id, Some(member)))
        });
        let kept = self.stored && !self.dead;
        members.chain([self.record()]).filter(move |_| kept)
    }

    /// A persist has ended. Answers go out in the order of the changes that they rest on.
    pub(super) fn persisted(
        &mut self,
        ticket: Ticket,
        outcome: Persisted,
        cx: &mut Context<'_, T>,
    ) {
        let Some(of_ticket) = self.in_flight.iter_mut().find(|one| one.ticket == ticket) else {
            return;
        };
        if outcome == Persisted::Failed {
            return self.write_failed(ticket, cx);
        }
        of_ticket.durable = true;
        while let Some(first) = self.in_flight.pop_front_if(|first| first.durable) {
            for (to, heartbeat) in first.answers {
                cx.outbox.reply(to, Response::Heartbeat(Ok(heartbeat)));
            }
        }
    }

    /// What a restart would find is open, and what came later may rest on what failed: those who
    /// wait are refused, and the next heartbeat writes everything.
    fn write_failed(&mut self, ticket: Ticket, cx: &mut Context<'_, T>) {
        let failed = self.in_flight.iter().position(|one| one.ticket == ticket).unwrap_or(0);
        for lost in self.in_flight.split_off(failed) {
            cx.shared.tickets.remove(&lost.ticket);
            self.changed.members.extend(lost.gone);
            refuse(lost.answers, cx);
        }
        self.changed.group = true;
        self.changed.members.extend(self.members.keys().cloned());
    }

    /// The group goes; nobody is left waiting.
    pub(super) fn abandon(&mut self, cx: &mut Context<'_, T>) {
        for lost in self.in_flight.drain(..) {
            cx.shared.tickets.remove(&lost.ticket);
            refuse(lost.answers, cx);
        }
    }
}

fn refuse<T>(answers: Vec<(T, Heartbeat)>, cx: &mut Context<'_, T>) {
    for (to, _) in answers {
        cx.outbox.reply(to, Response::Heartbeat(Err(GroupError::NotAvailable)));
    }
}

/// What is stored of a member, each under a key of its own.
#[derive(Clone, Copy)]
enum MemberPart {
    About,
    Target,
    Current,
}

impl MemberPart {
    const ALL: [Self; 3] = [Self::About, Self::Target, Self::Current];

    fn record(self, group: &Name, id: &Name, member: Option<&Member>) -> Record {
        let key = MemberKey { group: group.clone(), member_id: id.clone() };
        let key = match self {
            Self::About => Key::ConsumerMember(key),
            Self::Target => Key::TargetAssignment(key),
            Self::Current => Key::CurrentAssignment(key),
        };
        let value = member.map(|member| match self {
            Self::About => member.about.encode(),
            Self::Target => TargetAssignmentValue { partitions: member.target.clone() }.encode(),
            Self::Current => member.current().encode(),
        });
        Record { key: key.encode(), value }
    }
}
