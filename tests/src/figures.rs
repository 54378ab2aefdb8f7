//! What the tests measured, for the log of the run: `target/figures.json`.

use std::path::PathBuf;

use parking_lot::Mutex;
use serde_json::{Map, Value};

static FILE: Mutex<()> = Mutex::new(());

/// Notes a figure; its unit stands at the end of its name.
///
/// # Panics
/// When the file cannot be written.
pub fn record_figure(name: &str, value: impl Into<Value>) {
    let _turn = FILE.lock();
    let path: PathBuf = crate::root().join("target/figures.json");
    let old = std::fs::read_to_string(&path).unwrap_or_default();
    let mut figures: Map<String, Value> = serde_json::from_str(&old).unwrap_or_default();
    figures.insert(name.to_owned(), value.into());
    let text = serde_json::to_string_pretty(&figures).expect("a map can be written");
    std::fs::write(&path, text + "\n").expect("the target folder is writable");
}

/// The middle value, or the mean of the two in the middle.
///
/// # Panics
/// When there is none.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let (low, high) = (sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]);
    f64::midpoint(low, high)
}

#[cfg(test)]
mod tests {
    use super::median;

    #[test]
    fn the_median_is_in_the_middle() {
        assert!((median(&[9.0, 1.0, 2.0]) - 2.0).abs() < 1e-9);
        assert!((median(&[9.0, 1.0, 2.0, 3.0]) - 2.5).abs() < 1e-9);
    }
}
