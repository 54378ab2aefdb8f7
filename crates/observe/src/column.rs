//! One series of numbers, a number each second, in little memory: what changed since the second before, in as few bytes as
//! that takes. What does not change takes one byte a second.

use std::collections::VecDeque;
use std::ops::RangeInclusive;

/// Numbers of a chunk; chunks are forgotten as a whole.
const CHUNK: u32 = 120;

#[derive(Debug)]
struct Chunk {
    tick: u64,
    value: i64,
    count: u32,
    /// Differences, as variable-length numbers whose sign is in their lowest bit.
    changes: Vec<u8>,
}

impl Chunk {
    fn last_tick(&self) -> u64 {
        self.tick + u64::from(self.count) - 1
    }

    fn points(&self) -> impl Iterator<Item = (u64, i64)> {
        let mut rest = self.changes.iter();
        let mut value = self.value;
        let changed = std::iter::from_fn(move || {
            value = value.wrapping_add(take(&mut rest)?);
            Some(value)
        });
        (self.tick..).zip(std::iter::once(self.value).chain(changed))
    }
}

/// A series. Seconds that are missing are missing.
#[derive(Debug, Default)]
pub(crate) struct Column {
    chunks: VecDeque<Chunk>,
    last: Option<(u64, i64)>,
}

impl Column {
    /// Adds the number of a second. One of a second that is over is not taken.
    pub(crate) fn push(&mut self, tick: u64, value: i64) {
        if self.last.is_some_and(|(last, _)| tick <= last) {
            return;
        }
        let follows = self.last.filter(|(last, _)| tick == last + 1);
        self.last = Some((tick, value));
        if let (Some((_, before)), Some(chunk)) = (follows, self.chunks.back_mut()) {
            if chunk.count < CHUNK {
                put(&mut chunk.changes, value.wrapping_sub(before));
                chunk.count += 1;
                return;
            }
            chunk.changes.shrink_to_fit();
        }
        self.chunks.push_back(Chunk { tick, value, count: 1, changes: Vec::new() });
    }

    /// Forgets what is before this second, a chunk at a time.
    pub(crate) fn forget_before(&mut self, tick: u64) {
        while self.chunks.front().is_some_and(|chunk| chunk.last_tick() < tick) {
            self.chunks.pop_front();
        }
    }

    /// Nothing is known any more.
    pub(crate) fn is_empty(&self) -> bool {
        self.chunks.is_empty()
    }

    /// The newest.
    pub(crate) fn last(&self) -> Option<(u64, i64)> {
        self.last.filter(|_| !self.is_empty())
    }

    /// What there is of these seconds, in their order.
    pub(crate) fn points(
        &self,
        ticks: RangeInclusive<u64>,
    ) -> impl Iterator<Item = (u64, i64)> + '_ {
        let (from, to) = ticks.into_inner();
        let chunks =
            self.chunks.iter().filter(move |chunk| chunk.last_tick() >= from && chunk.tick <= to);
        chunks.flat_map(Chunk::points).filter(move |(tick, _)| (from..=to).contains(tick))
    }

    /// Bytes that it takes, about.
    pub(crate) fn bytes(&self) -> usize {
        let chunks = self.chunks.iter();
        chunks.map(|chunk| size_of::<Chunk>() + chunk.changes.capacity()).sum()
    }
}

fn put(to: &mut Vec<u8>, change: i64) {
    let mut rest = ((change << 1) ^ (change >> 63)).cast_unsigned();
    while rest >= 0x80 {
        to.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    to.push(rest as u8);
}

fn take(from: &mut std::slice::Iter<'_, u8>) -> Option<i64> {
    let (mut all, mut shift) = (0_u64, 0_u32);
    loop {
        let byte = *from.next()?;
        all |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some((all >> 1).cast_signed() ^ -((all & 1).cast_signed()));
        }
        shift += 7;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_put_in_comes_out(
            steps in prop::collection::vec((1_u64..4, any::<i64>()), 0..400),
            from in 0_u64..1000,
            length in 0_u64..1000,
        ) {
            let mut column = Column::default();
            let mut tick = 0;
            let mut expected = Vec::new();
            for (step, value) in steps {
                tick += step;
                column.push(tick, value);
                column.push(tick, 1);
                expected.push((tick, value));
            }
            prop_assert_eq!(column.last(), expected.last().copied());
            let range = from..=from + length;
            let found: Vec<_> = column.points(range.clone()).collect();
            expected.retain(|(tick, _)| range.contains(tick));
            prop_assert_eq!(found, expected);
        }

        #[test]
        fn what_is_forgotten_is_old(count in 1_u64..1000, before in 0_u64..1200) {
            let mut column = Column::default();
            (0..count).for_each(|tick| column.push(tick, 7));
            column.forget_before(before);
            let left: Vec<_> = column.points(0..=u64::MAX).map(|(tick, _)| tick).collect();
            prop_assert!(left.iter().all(|tick| *tick + u64::from(CHUNK) > before));
            prop_assert_eq!(left.len() as u64, count - left.first().copied().unwrap_or(count));
            prop_assert!(before >= count || left.contains(&before));
        }
    }

    #[test]
    fn an_hour_of_a_series_that_rests_takes_less_than_eight_kilobytes() {
        let mut column = Column::default();
        (0..3600).for_each(|tick| column.push(tick, 1 << 60));
        assert!(column.bytes() < 8 << 10, "{}", column.bytes());
    }
}
