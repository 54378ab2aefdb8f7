//! Progress of long work: on standard error, and only if a person looks at it.

use std::io::IsTerminal;
use std::time::Instant;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

/// Counts records and bytes, and shows them while the work goes on.
pub(crate) struct Progress {
    bar: ProgressBar,
    begun: Instant,
    records: u64,
    bytes: u64,
}

impl Progress {
    /// Begins; `total` is the number of records, if it is known. Hidden unless `wanted` and
    /// standard error is a terminal.
    pub(crate) fn new(total: Option<u64>, wanted: bool) -> Self {
        let bar = match total {
            Some(total) => ProgressBar::new(total),
            None => ProgressBar::new_spinner(),
        };
        let shown = wanted && std::io::stderr().is_terminal();
        bar.set_draw_target(if shown {
            ProgressDrawTarget::stderr()
        } else {
            ProgressDrawTarget::hidden()
        });
        let template = if total.is_some() {
            "{bar:30} {pos}/{len} {msg} {eta}"
        } else {
            "{spinner} {pos} {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(template) {
            bar.set_style(style);
        }
        Self { bar, begun: Instant::now(), records: 0, bytes: 0 }
    }

    /// Some more is done.
    pub(crate) fn add(&mut self, records: u64, bytes: u64) {
        self.records += records;
        self.bytes += bytes;
        self.bar.set_position(self.records);
        self.bar.set_message(self.rate());
    }

    /// Records so far.
    pub(crate) fn records(&self) -> u64 {
        self.records
    }

    fn rate(&self) -> String {
        let seconds = self.begun.elapsed().as_secs_f64().max(0.001);
        format!(
            "records, {}, {:.0} records/s",
            crate::output::size(i64::try_from(self.bytes).unwrap_or(i64::MAX)),
            self.records as f64 / seconds
        )
    }

    /// Ends, and says what was done in one line.
    pub(crate) fn finish(self) -> String {
        self.bar.finish_and_clear();
        format!("{} {}", self.records, self.rate())
    }
}
