//! Figures in words.

use crate::history::Point;

/// Bytes, in a unit that makes the number short.
pub(super) fn bytes(count: i64) -> String {
    let units = ["bytes", "KiB", "MiB", "GiB", "TiB"];
    let (mut tenths, mut unit) = (i128::from(count) * 10, 0);
    while tenths.abs() >= 10_240 && unit + 1 < units.len() {
        tenths /= 1024;
        unit += 1;
    }
    let name = units.get(unit).copied().unwrap_or_default();
    match unit {
        0 => format!("{count} {name}"),
        _ => format!("{}.{} {name}", tenths / 10, (tenths % 10).abs()),
    }
}

/// Nanoseconds, likewise.
pub(super) fn time(nanos: i64) -> String {
    const MILLI: i64 = 1_000_000;
    match nanos.unsigned_abs() {
        0..1_000_000 => format!("{} µs", nanos / 1000),
        1_000_000..10_000_000_000 => format!("{} ms", nanos / MILLI),
        10_000_000_000..600_000_000_000 => format!("{} s", nanos / (1000 * MILLI)),
        600_000_000_000..36_000_000_000_000 => format!("{} min", nanos / (60_000 * MILLI)),
        _ => format!("{} h", nanos / (3_600_000 * MILLI)),
    }
}

/// The middle one.
pub(super) fn median(points: &[Point]) -> Option<i64> {
    let mut values: Vec<i64> = points.iter().map(|point| point.value).collect();
    values.sort_unstable();
    values.get(values.len() / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_are_short() {
        assert_eq!(bytes(1023), "1023 bytes");
        assert_eq!(bytes(1536), "1.5 KiB");
        assert_eq!(bytes(-(3 << 30)), "-3.0 GiB");
        assert_eq!(bytes(i64::MAX), "8388607.9 TiB");
        assert_eq!(time(1500), "1 µs");
        assert_eq!(time(250_000_000), "250 ms");
        assert_eq!(time(90_000_000_000), "90 s");
        assert_eq!(time(7_200_000_000_000), "120 min");
    }

    #[test]
    fn the_middle_one_of_some() {
        let point = |(tick, value)| Point { tick, value };
        let points: Vec<_> = [(10, 5), (12, 9), (14, 25)].map(point).into();
        assert_eq!((median(&points), median(&[])), (Some(9), None));
    }
}
