//! How fast the log may tell of what peers do: whoever tries passwords all day must not fill a disk.

use std::time::Duration;

use tokio::time::Instant;

/// Lines in one period; what comes beyond is only counted.
const LINES_MAX: u32 = 20;
/// How long a period lasts.
const PERIOD: Duration = Duration::from_secs(10);

/// The lines of the present period.
#[derive(Debug, Default)]
pub(crate) struct Pace {
    began: Option<Instant>,
    lines: u32,
    withheld: u64,
}

impl Pace {
    /// Whether there may be a line now. If so, how many there were not since the last one.
    pub(crate) fn line(&mut self, now: Instant) -> Option<u64> {
        if self.began.is_none_or(|began| now.saturating_duration_since(began) >= PERIOD) {
            self.began = Some(now);
            self.lines = 0;
        }
        if self.lines >= LINES_MAX {
            self.withheld += 1;
            return None;
        }
        self.lines += 1;
        Some(std::mem::take(&mut self.withheld))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_exceeds_the_pace_is_counted_and_told_later() {
        let (mut pace, now) = (Pace::default(), Instant::now());
        let lines = (0..100).filter(|_| pace.line(now).is_some()).count();
        assert_eq!(lines, LINES_MAX as usize);
        assert_eq!(pace.line(now + PERIOD / 2), None);
        assert_eq!(pace.line(now + PERIOD), Some(81));
        assert_eq!(pace.line(now + PERIOD), Some(0));
    }
}
