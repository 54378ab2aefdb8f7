//! What becomes of messages that were delivered.

use std::sync::Arc;

use base::{Millis, Offset};
use queue::shared::{Returned, Why};

use super::consumer::HolderInner;
use super::flow::QueueFlow;
use super::queue::{Queue, State};
use super::types::{DeliveryId, Settlement};

impl Queue {
    /// What becomes of messages that a holder has.
    pub(super) fn settle(
        self: &Arc<Self>,
        holder: &Arc<HolderInner>,
        of: &[(DeliveryId, Settlement)],
    ) {
        if let Some(stream) = &self.stream {
            self.counters.add(&stream.settle(holder, of));
            return;
        }
        let now = self.now();
        let (mut released, mut flow) = (0, QueueFlow::default());
        let mut state = self.state.lock();
        let mut run: Option<(u16, Offset, Offset, Settlement)> = None;
        for (id, settlement) in of {
            let DeliveryId { lane, at, .. } = *id;
            let key = (lane, at);
            if !state.held.get(&key).is_some_and(|held| Arc::ptr_eq(&held.holder, holder)) {
                continue;
            }
            flow.accepted += u64::from(*settlement == Settlement::Accept);
            if let Some(consumer) = state.held.remove(&key).and_then(|held| held.consumer) {
                consumer.release();
                released += 1;
            }
            match &mut run {
                Some((other, _, last, same))
                    if *other == lane && *last + 1 == at && same == settlement =>
                {
                    *last = at;
                }
                _ => {
                    if let Some(run) = run.replace((lane, at, at, *settlement)) {
                        self.settle_run(&mut state, run, now);
                    }
                }
            }
        }
        if let Some(run) = run {
            self.settle_run(&mut state, run, now);
        }
        drop(state);
        self.counters.add(&flow);
        holder.release(released);
        self.changed();
        self.wake();
    }

    fn settle_run(
        &self,
        state: &mut State,
        (number, first, last, settlement): (u16, Offset, Offset, Settlement),
        now: Millis,
    ) {
        let settings = Arc::clone(&state.settings);
        let buries = settings.dead_letter.is_some();
        let Some(lane) = state.lane(number) else { return };
        match settlement {
            Settlement::Accept => lane.finish(first, last),
            Settlement::Reject if buries => lane.kill(first, last, Why::Rejected),
            Settlement::Reject => lane.finish(first, last),
            Settlement::Return { counted, failed, after } => {
                let delay = settings
                    .retry_delay
                    .filter(|delay| counted && delay.is_for(failed))
                    .map_or(0, |delay| delay.after(u32::from(lane.ledger.deliveries(first))));
                let after = after.max(delay);
                let how = Returned {
                    counted,
                    until: (after > 0).then(|| now.saturating_add(after)),
                    deliveries_max: settings.deliveries_max,
                };
                for (first, last) in lane.give_back(first, last, how) {
                    if !buries {
                        lane.finish(first, last);
                    }
                }
            }
        }
        if settings.order_by_key {
            (first..=last).for_each(|at| state.release_key(number, at));
        }
    }

    /// A holder is gone.
    pub(super) fn give_back_all(self: &Arc<Self>, holder: &Arc<HolderInner>) {
        let state = self.state.lock();
        let of = state.held.iter().filter(|(_, held)| Arc::ptr_eq(&held.holder, holder));
        let mut of: Vec<_> = of.map(|((lane, at), _)| (*lane, *at)).collect();
        drop(state);
        of.sort_unstable();
        let back = Settlement::Return { counted: true, failed: true, after: 0 };
        let id = |(lane, at)| (DeliveryId { queue: self.number(), lane, at }, back);
        let of: Vec<_> = of.into_iter().map(id).collect();
        if !of.is_empty() {
            self.settle(holder, &of);
        }
    }
}
