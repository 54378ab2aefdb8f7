//! Metrics as text: in Prometheus' format (version 0.0.4) and in OpenMetrics (version 1.0.0).
//!
//! The two differ in that a counter's family is named without `_total` in OpenMetrics, which also says units and where the
//! text ends. `_created` is not said: it would double the series, and `process_start_time_seconds` says the same.

use std::fmt::Write as _;
use std::sync::Arc;

use crate::distribution::Distribution;
use crate::family::{Bounds, Family, Kind, Unit};
use crate::registry::{Gathered, Value};

/// How metrics are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// Prometheus' own.
    Prometheus,
    /// OpenMetrics.
    OpenMetrics,
}

impl Format {
    /// What a client takes, by the `Accept` field of its request.
    pub fn accepted(accept: &str) -> Self {
        let mut kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or("").trim());
        match kinds.any(|kind| kind.eq_ignore_ascii_case("application/openmetrics-text")) {
            true => Self::OpenMetrics,
            false => Self::Prometheus,
        }
    }

    /// Its name in the `Content-Type` field.
    pub fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// Writes metrics.
pub fn render(all: &[Gathered], format: Format) -> String {
    let series: usize = all.iter().map(|gathered| gathered.series.len()).sum();
    let mut text = Text { out: String::with_capacity(series * 96), format };
    for gathered in all {
        text.family(gathered.family);
        for (labels, value) in &gathered.series {
            text.series(gathered.family, labels, value);
        }
    }
    if format == Format::OpenMetrics {
        text.out.push_str("# EOF\n");
    }
    text.out
}

struct Text {
    out: String,
    format: Format,
}

// Writing to a string cannot fail.
impl Text {
    fn family(&mut self, family: &Family) {
        let name = match self.format {
            Format::OpenMetrics => family.name.strip_suffix("_total").unwrap_or(family.name),
            Format::Prometheus => family.name,
        };
        let kind = match family.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram(_) => "histogram",
        };
        let _ = write!(self.out, "# HELP {name} ");
        // OpenMetrics escapes quotes here, too.
        escape(&mut self.out, family.help, self.format == Format::OpenMetrics);
        let _ = writeln!(self.out, "\n# TYPE {name} {kind}");
        if self.format == Format::OpenMetrics && family.unit != Unit::None {
            let _ = writeln!(self.out, "# UNIT {name} {}", family.unit.word());
        }
    }

    fn series(&mut self, family: &Family, labels: &[Arc<str>], value: &Value) {
        match (value, family.kind) {
            (Value::Counter(count), _) => {
                self.line(family, "", (labels, None), i128::from(*count), family.unit);
            }
            (Value::Gauge(value), _) => {
                self.line(family, "", (labels, None), i128::from(*value), family.unit);
            }
            (Value::Histogram(values), Kind::Histogram(bounds)) => {
                self.histogram(family, labels, values, bounds);
            }
            (Value::Histogram(_), _) => {}
        }
    }

    fn histogram(
        &mut self,
        family: &Family,
        labels: &[Arc<str>],
        values: &Distribution,
        bounds: Bounds,
    ) {
        for power in bounds.powers() {
            let mut bound = String::new();
            number(&mut bound, 1 << power, family.unit, true);
            let count = i128::from(values.up_to_power(power));
            self.line(family, "_bucket", (labels, Some(&bound)), count, Unit::None);
        }
        let count = i128::from(values.count());
        self.line(family, "_bucket", (labels, Some("+Inf")), count, Unit::None);
        self.line(family, "_sum", (labels, None), i128::from(values.sum()), family.unit);
        self.line(family, "_count", (labels, None), count, Unit::None);
    }

    fn line(
        &mut self,
        family: &Family,
        end: &str,
        (labels, bound): (&[Arc<str>], Option<&str>),
        value: i128,
        unit: Unit,
    ) {
        self.out.push_str(family.name);
        self.out.push_str(end);
        let mut opening = '{';
        let named = family.labels.iter().zip(labels).map(|(name, value)| (*name, value.as_ref()));
        for (name, value) in named.chain(bound.map(|bound| ("le", bound))) {
            self.out.push(opening);
            self.out.push_str(name);
            self.out.push_str("=\"");
            escape(&mut self.out, value, true);
            self.out.push('"');
            opening = ',';
        }
        if opening == ',' {
            self.out.push('}');
        }
        self.out.push(' ');
        number(&mut self.out, value, unit, false);
        self.out.push('\n');
    }
}

/// Backslashes, ends of lines and, where they end what they stand in, quotes.
fn escape(out: &mut String, text: &str, quotes: bool) {
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if quotes => out.push_str("\\\""),
            c => out.push(c),
        }
    }
}

/// A number in the unit that it is shown in: nanoseconds are seconds, exactly. A bound is a float, with a point at least.
fn number(out: &mut String, value: i128, unit: Unit, is_bound: bool) {
    const SECOND: u128 = 1_000_000_000;
    if unit != Unit::Seconds {
        let _ = write!(out, "{value}{}", if is_bound { ".0" } else { "" });
        return;
    }
    let sign = if value < 0 { "-" } else { "" };
    let nanos = value.unsigned_abs();
    let _ = write!(out, "{sign}{}", nanos / SECOND);
    let rest = nanos % SECOND;
    if rest > 0 {
        let digits = format!("{rest:09}");
        let _ = write!(out, ".{}", digits.trim_end_matches('0'));
    } else if is_bound {
        out.push_str(".0");
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;
    use crate::family::{CounterFamily, HistogramFamily};
    use crate::registry::Registry;

    static BYTES: CounterFamily<2> = CounterFamily::new(
        "entrepot_test_bytes_total",
        "A \"test\" of \\.",
        Unit::Bytes,
        &["one", "two"],
    );
    static TIME: HistogramFamily<0> =
        HistogramFamily::latency("entrepot_test_duration_seconds", "How long.", &[]);

    fn gathered() -> Vec<Gathered> {
        let registry = Registry::default();
        registry.counter(&BYTES, ["a\"b", "c\\d\ne"]).add(7);
        let time = registry.histogram(&TIME, []);
        time.record(1 << 14);
        time.record(1_500_000_000);
        let mut all = registry.gather(&|_| true);
        all.retain(|gathered| gathered.family.name.contains("test"));
        all
    }

    #[test]
    fn prometheus_text_is_as_its_documentation_says() {
        let text = render(&gathered(), Format::Prometheus);
        let begin = "# HELP entrepot_test_bytes_total A \"test\" of \\\\.\n\
            # TYPE entrepot_test_bytes_total counter\n\
            entrepot_test_bytes_total{one=\"a\\\"b\",two=\"c\\\\d\\ne\"} 7\n\
            # HELP entrepot_test_duration_seconds How long.\n\
            # TYPE entrepot_test_duration_seconds histogram\n\
            entrepot_test_duration_seconds_bucket{le=\"0.000016384\"} 1\n\
            entrepot_test_duration_seconds_bucket{le=\"0.000032768\"} 1\n";
        assert!(text.starts_with(begin), "{text}");
        let end = "entrepot_test_duration_seconds_bucket{le=\"17.179869184\"} 2\n\
            entrepot_test_duration_seconds_bucket{le=\"+Inf\"} 2\n\
            entrepot_test_duration_seconds_sum 1.500016384\n\
            entrepot_test_duration_seconds_count 2\n";
        assert!(text.ends_with(end), "{text}");
    }

    #[test]
    fn openmetrics_says_units_and_its_end_and_names_counters_without_their_ending() {
        let text = render(&gathered(), Format::OpenMetrics);
        let begin = "# HELP entrepot_test_bytes A \\\"test\\\" of \\\\.\n\
            # TYPE entrepot_test_bytes counter\n\
            # UNIT entrepot_test_bytes bytes\n\
            entrepot_test_bytes_total{one=";
        assert!(text.starts_with(begin), "{text}");
        assert!(text.contains("# UNIT entrepot_test_duration_seconds seconds\n"), "{text}");
        assert!(text.ends_with("_count 2\n# EOF\n"), "{text}");
    }

    #[test]
    fn who_takes_openmetrics_gets_it() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.3";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        for other in ["", "*/*", "text/plain;version=0.0.4", "application/openmetrics-texts"] {
            assert_eq!(Format::accepted(other), Format::Prometheus, "{other}");
        }
    }

    #[test]
    fn numbers_are_exact() {
        let said = |value, unit, bound| {
            let mut out = String::new();
            number(&mut out, value, unit, bound);
            out
        };
        assert_eq!(said(-1_050_000_000, Unit::Seconds, false), "-1.05");
        assert_eq!(said(3_000_000_000, Unit::Seconds, true), "3.0");
        assert_eq!(said(1, Unit::Seconds, false), "0.000000001");
        assert_eq!(said(64, Unit::Bytes, true), "64.0");
        assert_eq!(said(i128::from(u64::MAX), Unit::None, false), "18446744073709551615");
    }

    /// Reads a line back as a scraper does: labels and their values.
    fn read(line: &str) -> BTreeMap<String, String> {
        let mut labels = BTreeMap::new();
        let Some((_, rest)) = line.split_once('{') else { return labels };
        let mut chars = rest.chars();
        loop {
            let name: String = chars.by_ref().take_while(|c| *c != '=').collect();
            assert_eq!(chars.next(), Some('"'));
            let mut value = String::new();
            loop {
                match chars.next().unwrap() {
                    '"' => break,
                    '\\' => match chars.next().unwrap() {
                        'n' => value.push('\n'),
                        c => value.push(c),
                    },
                    '\n' => panic!("a line ends in a label"),
                    c => value.push(c),
                }
            }
            labels.insert(name, value);
            match chars.next() {
                Some(',') => {}
                Some('}') => return labels,
                other => panic!("{other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn any_label_is_read_back_as_it_was(one in ".*", two in "[\"\\\\\n,{}= a]*") {
            let registry = Registry::default();
            registry.counter(&BYTES, [&one, &two]).add(1);
            let text = render(&registry.gather(&|_| true), Format::Prometheus);
            let line = text.split('\n').find(|line| line.starts_with("entrepot_test_bytes_total{"));
            let labels = read(line.unwrap());
            prop_assert_eq!(&labels["one"], &one);
            prop_assert_eq!(&labels["two"], &two);
        }
    }
}
