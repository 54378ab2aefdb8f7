//! Measuring a rate, without a clock of its own.

use std::collections::VecDeque;

use base::Millis;

/// A rate as the mean over the last windows. Until they have passed once, the mean is over all
/// but the current one, so that a short burst is not taken for a rate.
#[derive(Debug, Clone)]
pub struct Samples {
    windows: u32,
    window_ms: Millis,
    /// When each window began, and what was counted in it; the current one last.
    samples: VecDeque<(Millis, f64)>,
}

impl Samples {
    /// Nothing counted yet.
    pub fn new(windows: u32, window_ms: u32) -> Self {
        let windows = windows.max(1);
        let window_ms = Millis::from(window_ms.max(1));
        Self { windows, window_ms, samples: VecDeque::new() }
    }

    /// Counts something, and says for how many milliseconds nothing more must be counted so that
    /// the rate is no more than `limit` a second.
    pub fn record(&mut self, amount: f64, limit: f64, now: Millis) -> f64 {
        let span = Millis::from(self.windows) * self.window_ms;
        // A clock that is set back begins a window, too, or nothing would ever end.
        let is_old = |began: Millis| now - began >= span || now < began;
        while self.samples.front().is_some_and(|(began, _)| is_old(*began)) {
            self.samples.pop_front();
        }
        match self.samples.back_mut() {
            Some((began, counted)) if now - *began < self.window_ms => *counted += amount,
            _ => self.samples.push_back((now, amount)),
        }
        while self.samples.len() > usize::try_from(self.windows).unwrap_or(usize::MAX) {
            self.samples.pop_front();
        }
        let total: f64 = self.samples.iter().map(|(_, counted)| counted).sum();
        let first = self.samples.front().map_or(now, |(began, _)| *began);
        let elapsed = now - first;
        let full = Millis::from(self.windows - 1);
        let missing = (full - elapsed / self.window_ms).max(0);
        let elapsed_ms = float(elapsed + missing * self.window_ms).max(1.0);
        let rate = total * 1000.0 / elapsed_ms;
        if rate <= limit { 0.0 } else { (rate - limit) / limit * elapsed_ms }
    }

    /// Counts something, unless the rate would be more than `limit` a second.
    ///
    /// # Errors
    /// The milliseconds for which nothing must be counted so that it would not be.
    pub fn try_record(&mut self, amount: f64, limit: f64, now: Millis) -> Result<(), f64> {
        let rest = self.record(amount, limit, now);
        if rest <= 0.0 {
            return Ok(());
        }
        if let Some((_, counted)) = self.samples.back_mut() {
            *counted -= amount;
        }
        Err(rest)
    }

    /// Whether all that was counted is forgotten by now.
    pub fn is_idle(&self, now: Millis) -> bool {
        let span = Millis::from(self.windows) * self.window_ms;
        self.samples.back().is_none_or(|(began, _)| now - began >= span || now < *began)
    }
}

/// An allowance that grows with time and is used up: bursts are possible, and a debt is paid back
/// at the rate that is allowed (KIP-599).
#[derive(Debug, Clone)]
pub struct Bucket {
    burst_ms: f64,
    tokens: f64,
    filled_at: Option<Millis>,
}

impl Bucket {
    /// A full one, which holds what is allowed in so many windows.
    pub fn new(windows: u32, window_ms: u32) -> Self {
        let burst_ms = f64::from(windows.max(1)) * f64::from(window_ms.max(1));
        Self { burst_ms, tokens: 0.0, filled_at: None }
    }

    fn fill(&mut self, limit: f64, now: Millis) {
        let burst = self.burst_ms / 1000.0 * limit;
        self.tokens = match self.filled_at {
            None => burst,
            Some(at) => (self.tokens + limit * float((now - at).max(0)) / 1000.0).min(burst),
        };
        self.filled_at = Some(now);
    }

    /// Takes `amount`, though that may make a debt. Returns the milliseconds until it is paid.
    pub fn take(&mut self, amount: f64, limit: f64, now: Millis) -> f64 {
        self.fill(limit, now);
        self.tokens -= amount;
        self.debt(limit)
    }

    /// Takes `amount` if there is no debt yet.
    ///
    /// # Errors
    /// The milliseconds until the debt is paid.
    pub fn try_take(&mut self, amount: f64, limit: f64, now: Millis) -> Result<(), f64> {
        self.fill(limit, now);
        if self.tokens < 0.0 {
            return Err(self.debt(limit));
        }
        self.tokens -= amount;
        Ok(())
    }

    fn debt(&self, limit: f64) -> f64 {
        (-self.tokens / limit * 1000.0).max(0.0)
    }

    /// Whether it is full again, so that it can be forgotten.
    pub fn is_idle(&self, now: Millis) -> bool {
        // Debts are paid and the bucket filled within this at the latest, whatever the rate, if
        // nobody takes more than a burst at once.
        self.filled_at.is_none_or(|at| float(now - at) > 2.0 * self.burst_ms || now < at)
    }
}

#[allow(clippy::cast_precision_loss, reason = "milliseconds of some windows: far below 2^52")]
fn float(ms: Millis) -> f64 {
    ms as f64
}
