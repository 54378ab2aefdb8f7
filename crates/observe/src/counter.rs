//! Numbers that many threads change at once.

use std::cell::Cell;
use std::sync::atomic::{AtomicI64, AtomicU64, AtomicUsize, Ordering};

/// Cells of a counter, each on a cache line of its own: threads that count at the same time do not wait for each other's.
const CELLS: usize = 8;

static NEXT: AtomicUsize = AtomicUsize::new(0);

thread_local! {
    /// The cell that this thread adds to.
    static MINE: Cell<usize> = const { Cell::new(usize::MAX) };
}

fn mine() -> usize {
    let mine = MINE.get();
    if mine < CELLS {
        return mine;
    }
    let mine = NEXT.fetch_add(1, Ordering::Relaxed) % CELLS;
    MINE.set(mine);
    mine
}

#[derive(Debug, Default)]
#[repr(align(64))]
struct Line(AtomicU64);

/// A number that only grows. Add to it per batch, not per message; whoever adds holds it.
#[derive(Debug, Default)]
pub struct Counter([Line; CELLS]);

impl Counter {
    /// Adds to it.
    #[inline]
    pub fn add(&self, more: u64) {
        if let Some(Line(cell)) = self.0.get(mine()) {
            cell.fetch_add(more, Ordering::Relaxed);
        }
    }

    /// Adds how many there are of something.
    #[inline]
    pub fn add_len(&self, more: usize) {
        self.add(u64::try_from(more).unwrap_or(u64::MAX));
    }

    /// What all added, a moment ago.
    pub fn get(&self) -> u64 {
        let cells = self.0.iter().map(|Line(cell)| cell.load(Ordering::Relaxed));
        cells.fold(0, u64::wrapping_add)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicI64);

impl Gauge {
    /// It is this now.
    #[inline]
    pub fn set(&self, value: i64) {
        self.0.store(value, Ordering::Relaxed);
    }

    /// Adds to it; takes from it, where that is negative.
    #[inline]
    pub fn add(&self, more: i64) {
        self.0.fetch_add(more, Ordering::Relaxed);
    }

    /// What it is.
    pub fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_all_threads_add_is_there_when_they_are_done() {
        let counter = Counter::default();
        std::thread::scope(|scope| {
            for _ in 0..2 * CELLS {
                scope.spawn(|| (0..1000).for_each(|_| counter.add(3)));
            }
        });
        assert_eq!(counter.get(), 2 * CELLS as u64 * 3000);
    }

    #[test]
    fn threads_have_different_cells() {
        let cells = |count: usize| {
            let counter = Counter::default();
            std::thread::scope(|scope| {
                // One after the other, so that they cannot be of one cell by chance of when they ran.
                (0..count).for_each(|_| scope.spawn(|| counter.add(1)).join().unwrap());
            });
            counter.0.iter().filter(|Line(cell)| cell.load(Ordering::Relaxed) > 0).count()
        };
        // Other tests' threads take cells in between.
        assert!(cells(CELLS * 8) > 1);
    }

    #[test]
    fn a_gauge_goes_both_ways() {
        let gauge = Gauge::default();
        gauge.set(5);
        gauge.add(-7);
        assert_eq!(gauge.get(), -2);
    }
}
