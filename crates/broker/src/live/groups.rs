//! Groups of live subscriptions, of which one gets a message.

use std::cell::Cell;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::Filter;
use bytes::Bytes;
use parking_lot::{Mutex, RwLock};
use queue::dispatch::{Candidate, Load, Policy, Turn};
use tokio::time::Instant;

use super::answers::Answers;
use super::deliver::To;
use super::subscriber::{Delivery, Group, Listener};
use crate::group_config::Dispatch;

/// A name, and the filter where each filter is a group by itself.
type Identity = (Bytes, Option<Filter>);

#[derive(Debug, Default)]
pub(crate) struct Groups {
    all: Mutex<HashMap<Identity, Arc<LiveGroup>>>,
}

/// What its members share.
#[derive(Debug)]
pub(crate) struct LiveGroup {
    identity: Identity,
    dispatch: RwLock<Dispatch>,
    members: Mutex<Vec<Arc<Member>>>,
    turn: Turn,
    chance: AtomicU64,
}

/// A member of a group.
#[derive(Debug)]
pub(crate) struct Member {
    group: Arc<LiveGroup>,
    name: Bytes,
    /// As it said itself; the group's configuration may say otherwise.
    weight: u32,
    load: Load,
}

/// A message that a member of a group has and is not done with. Dropped without [`InFlight::done`], it counts no more,
/// but says nothing of how long its consumer takes.
#[derive(Debug)]
pub struct InFlight {
    member: Arc<Member>,
    since: Instant,
}

impl InFlight {
    pub(super) fn new(member: &Arc<Member>) -> Self {
        member.load.begin();
        Self { member: Arc::clone(member), since: Instant::now() }
    }

    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// The consumer has acknowledged, or answered.
    pub fn done(self) {
        // What ends it when dropped is the smaller half of this.
        let took = self.since.elapsed().as_micros();
        self.member.load.begin();
        self.member.load.end(Some(u64::try_from(took).unwrap_or(u64::MAX)));
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.member.load.end(None);
    }
}

/// How long a member takes for a message that waits in its session's queue, which counts there and not as in flight.
#[derive(Debug)]
pub(crate) struct Timing {
    member: Arc<Member>,
    since: Instant,
}

impl Timing {
    /// Begins now. `None`: the group does not go by it.
    pub(crate) fn begin(member: &Arc<Member>) -> Option<Self> {
        let is_wanted = member.group.dispatch.read().policy == Policy::ShortestResponse;
        is_wanted.then(|| Self { member: Arc::clone(member), since: Instant::now() })
    }

    /// The consumer has acknowledged it.
    pub(crate) fn done(self) {
        let took = u64::try_from(self.since.elapsed().as_micros()).unwrap_or(u64::MAX);
        // Begun and ended at once: the time is what counts.
        self.member.load.begin();
        self.member.load.end(Some(took));
    }
}

impl Groups {
    /// Makes a member. `dispatch` is asked for what is configured, if the group is new.
    pub(super) fn join(
        &self,
        group: &Group,
        filter: &Filter,
        dispatch: impl FnOnce() -> Dispatch,
    ) -> Arc<Member> {
        let identity = (group.name.clone(), (!group.merges).then(|| filter.clone()));
        let mut all = self.all.lock();
        let live = all.entry(identity.clone()).or_insert_with(|| {
            Arc::new(LiveGroup {
                identity,
                dispatch: RwLock::new(dispatch()),
                members: Mutex::default(),
                turn: Turn::default(),
                chance: AtomicU64::new(1),
            })
        });
        let member = Arc::new(Member {
            group: Arc::clone(live),
            name: group.member.clone(),
            weight: group.weight,
            load: Load::new(1),
        });
        member.weigh(&live.dispatch.read());
        live.members.lock().push(Arc::clone(&member));
        member
    }

    pub(super) fn leave(&self, member: &Arc<Member>) {
        let mut all = self.all.lock();
        let mut members = member.group.members.lock();
        members.retain(|other| !Arc::ptr_eq(other, member));
        if members.is_empty() {
            all.remove(&member.group.identity);
        }
    }

    /// Takes over what is configured now.
    pub(crate) fn configure(&self, of: impl Fn(&str) -> Dispatch) {
        for group in self.all.lock().values() {
            let dispatch = of(&String::from_utf8_lossy(&group.identity.0));
            group.members.lock().iter().for_each(|member| member.weigh(&dispatch));
            *group.dispatch.write() = dispatch;
        }
    }

    #[cfg(test)]
    pub(super) fn is_empty(&self) -> bool {
        self.all.lock().is_empty()
    }
}

impl Member {
    /// What its group is called.
    pub(crate) fn group_name(&self) -> &Bytes {
        &self.group.identity.0
    }

    fn weigh(&self, dispatch: &Dispatch) {
        let set = dispatch.weights.get(self.name.as_ref()).copied();
        self.load.set_weight(set.unwrap_or(self.weight));
    }
}

/// Every member of a group is one; what is not is never asked.
static NOBODY: std::sync::LazyLock<Load> = std::sync::LazyLock::new(|| Load::new(1));

impl Candidate for Listener {
    fn load(&self) -> &Load {
        self.member.as_ref().map_or(&*NOBODY, |member| &member.load)
    }

    fn waiting(&self) -> u32 {
        self.subscriber.waiting()
    }
}

/// The member that a message goes to, where what members have in flight is counted.
#[derive(Debug, Clone, Copy)]
pub(super) struct Counted<'a> {
    member: &'a Arc<Member>,
    /// The subscriber counts it itself.
    taken: &'a Cell<bool>,
}

impl Counted<'_> {
    pub(super) fn take(&self) -> InFlight {
        self.taken.set(true);
        InFlight::new(self.member)
    }
}

/// Gives a message to one member of a group: the one that is picked, or the next that takes it. `waits`: those that are
/// sessions get it from their queue.
pub(super) fn take_one(
    members: &[Listener],
    delivery: &Delivery<'_>,
    answers: &Answers,
    waits: bool,
    to: &mut To<'_>,
) -> bool {
    let Some(group) = members.first().and_then(|first| first.member.as_ref()) else { return false };
    let group = &group.group;
    let policy = group.dispatch.read().policy;
    let picked = policy.pick(members, &group.turn, group.chance());
    let (before, from) = members.split_at(picked.min(members.len()));
    let mut candidates = from.iter().chain(before);
    if !policy.counts() {
        return candidates.any(|listener| listener.take_of_group(delivery, waits, to));
    }
    let taken = Cell::new(false);
    let took = candidates.find(|listener| {
        let member = listener.member.as_ref();
        let counted = member.map(|member| Counted { member, taken: &taken });
        listener.take_of_group(&Delivery { counted, ..*delivery }, waits, to)
    });
    // Nobody acknowledges it; maybe somebody answers it.
    if let Some(member) = took.and_then(|listener| listener.member.as_ref())
        && let Some(reply_to) = &delivery.message.properties.reply_to
        && !taken.get()
    {
        answers.expect(reply_to, InFlight::new(member));
    }
    took.is_some()
}

impl LiveGroup {
    /// A number by chance: the next one, mixed (splitmix64).
    fn chance(&self) -> u64 {
        let mut mixed = self.chance.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}
