//! What a run measured.

use std::time::Duration;

use serde::Serialize;

use super::histogram::Histogram;
use super::server::Used;
use crate::output::Output;
use crate::{CliError, output};

/// The figures of one run. Rates count what happened within the measured time.
#[derive(Debug, Serialize)]
pub(super) struct Report {
    mode: &'static str,
    records: u64,
    /// Of the records' batches as they went over the wire.
    bytes: u64,
    seconds: f64,
    records_per_second: f64,
    megabytes_per_second: f64,
    latencies: Vec<Latency>,
    #[serde(skip_serializing_if = "Option::is_none")]
    server: Option<ServerFigures>,
}

#[derive(Debug, Serialize)]
struct Latency {
    /// What was measured, from when to when.
    of: &'static str,
    count: u64,
    p50_ms: f64,
    p90_ms: f64,
    p99_ms: f64,
    p999_ms: f64,
    max_ms: f64,
}

#[derive(Debug, Serialize)]
struct ServerFigures {
    cpu_seconds: f64,
    cpu_us_per_record: f64,
    memory_peak_bytes: u64,
}

impl Report {
    pub(super) fn new(mode: &'static str, records: u64, bytes: u64, time: Duration) -> Self {
        let seconds = time.as_secs_f64().max(1e-9);
        Self {
            mode,
            records,
            bytes,
            seconds,
            records_per_second: records as f64 / seconds,
            megabytes_per_second: bytes as f64 / seconds / 1e6,
            latencies: Vec::new(),
            server: None,
        }
    }

    /// Adds a distribution.
    pub(super) fn latency(mut self, of: &'static str, histogram: &Histogram) -> Self {
        let ms = |part| histogram.at(part).as_secs_f64() * 1e3;
        self.latencies.push(Latency {
            of,
            count: histogram.count(),
            p50_ms: ms(0.5),
            p90_ms: ms(0.9),
            p99_ms: ms(0.99),
            p999_ms: ms(0.999),
            max_ms: histogram.max().as_secs_f64() * 1e3,
        });
        self
    }

    /// Adds what the broker's process used.
    pub(super) fn server(mut self, used: Option<Used>) -> Self {
        self.server = used.map(|used| ServerFigures {
            cpu_seconds: used.cpu.as_secs_f64(),
            cpu_us_per_record: used.cpu.as_secs_f64() * 1e6 / self.records.max(1) as f64,
            memory_peak_bytes: used.memory_peak,
        });
        self
    }

    pub(super) fn write(&self, output: &mut Output) -> Result<(), CliError> {
        if output.is_json() {
            return Ok(output.json(self)?);
        }
        output.line(format!(
            "{}: {} records in {:.2} s: {:.0} records/s, {:.1} MB/s",
            self.mode,
            self.records,
            self.seconds,
            self.records_per_second,
            self.megabytes_per_second
        ))?;
        for latency in &self.latencies {
            output.line(format!(
                "{}: p50 {:.2} ms, p90 {:.2}, p99 {:.2}, p99.9 {:.2}, max {:.2}",
                latency.of,
                latency.p50_ms,
                latency.p90_ms,
                latency.p99_ms,
                latency.p999_ms,
                latency.max_ms
            ))?;
        }
        if let Some(server) = &self.server {
            let peak = i64::try_from(server.memory_peak_bytes).unwrap_or(i64::MAX);
            output.line(format!(
                "broker: {:.2} s of CPU, {:.2} us a record, {} at most",
                server.cpu_seconds,
                server.cpu_us_per_record,
                output::size(peak)
            ))?;
        }
        Ok(())
    }
}
