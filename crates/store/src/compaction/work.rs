//! What of a log can be compacted now, and whether that is worth the effort.

use std::ops::Range;
use std::sync::Arc;

use base::{Millis, Offset};

use crate::log::{Log, State};
use crate::options::{Compaction, LogOptions};
use crate::segment::Segment;
use crate::transactions::Aborted;

/// A log to be compacted, as it was when it was looked at.
#[derive(Debug)]
pub(super) struct Work {
    pub(super) log: Arc<Log>,
    pub(super) compaction: Compaction,
    /// Segments are not merged beyond this size.
    pub(super) segment_bytes: u64,
    /// From the first on, as far as they may be touched.
    pub(super) segments: Vec<Segment>,
    /// First offset of the log.
    pub(super) start: Offset,
    /// Everything below was compacted before.
    pub(super) new_from: Offset,
    /// In the order of their markers.
    pub(super) aborted: Vec<Aborted>,
    /// How much of it is new, from 0 to 1.
    part: f64,
    /// Something has waited for longer than it may.
    overdue: bool,
}

impl Work {
    /// What there is to do on a log, if it is worth it.
    pub(super) fn due(log: &Arc<Log>, now: Millis) -> Option<Self> {
        let options = log.options();
        let compaction = options.compaction?;
        if log.is_deleted() {
            return None;
        }
        log.with_state(|state| {
            let new_from = state.compacted.max(state.start);
            // A marker that is not in segments yet may be lost in a crash, and the end with it: what
            // it is about counts as open.
            let transactions = state.transactions.as_of(state.flushed);
            let stable = transactions.stable(state.end);
            let segments = touchable(state, &options, new_from..stable, now);
            let is_new = |segment: &&Segment| segment.next > new_from;
            let all: u64 = segments.iter().map(|segment| segment.bytes).sum();
            let new: u64 = segments.iter().filter(is_new).map(|segment| segment.bytes).sum();
            let oldest = segments.iter().find(is_new)?;
            let overdue = now.saturating_sub(oldest.created_at) > compaction.max_lag_ms;
            let worth =
                u128::from(new) * 1_000_000 > u128::from(compaction.dirty_ppm) * u128::from(all);
            (overdue || worth).then(|| Self {
                log: Arc::clone(log),
                compaction,
                segment_bytes: options.segment_bytes,
                segments: segments.to_vec(),
                start: state.start,
                new_from,
                aborted: transactions.aborted,
                #[allow(clippy::cast_precision_loss, reason = "only compared with others")]
                part: new as f64 / all.max(1) as f64,
                overdue,
            })
        })
    }

    /// The larger, the more urgent.
    pub(super) fn urgency(&self) -> f64 {
        if self.overdue { 1.0 + self.part } else { self.part }
    }
}

/// The segments, from the first on, that may be rewritten: those that are closed, end within the
/// `range`, which is that from what is new to the first open transaction, and hold nothing new that
/// is too young.
fn touchable<'a>(
    state: &'a State,
    options: &LogOptions,
    range: Range<Offset>,
    now: Millis,
) -> &'a [Segment] {
    let min_lag = options.compaction.map_or(0, |compaction| compaction.min_lag_ms);
    let last = state.segments.last().map_or(0, |segment| segment.base);
    let may = |segment: &Segment| {
        let age = now.saturating_sub(segment.created_at);
        let open =
            segment.base == last && segment.generation == 0 && age < options.segment_age_max();
        let newest = segment.newest().unwrap_or(segment.created_at);
        let young =
            min_lag > 0 && segment.next > range.start && newest > now.saturating_sub(min_lag);
        !open && segment.next <= range.end && !young
    };
    let count = state.segments.iter().take_while(|segment| may(segment)).count();
    state.segments.get(..count).unwrap_or_default()
}
