//! `entrepot trace`.

use std::collections::HashMap;
use std::time::Duration;

use clap::Args;
use serde::{Deserialize, Serialize};

use crate::client::management::Management;
use crate::output::{Output, printable, time};
use crate::{CliError, Connect};

/// Steps of one answer.
const STEPS: usize = 8192;
/// Where nothing comes, the broker waits so long before it says so; shorter than anybody waits for an answer.
const WAIT: Duration = Duration::from_millis(500);

/// `entrepot trace`
#[derive(Debug, Args)]
pub struct Trace {
    /// A trace (32 hexadecimal digits), or a topic, subject, exchange or queue; all, if not said
    what: Option<String>,
    /// Go on with what comes, one step a line, until interrupted
    #[arg(long, short = 'f')]
    follow: bool,
    /// Show so many traces, the newest
    #[arg(long, value_name = "COUNT", default_value_t = 10)]
    last: usize,
    /// The HTTP door, where it is not on port 8080 of the server
    #[arg(long, value_name = "HOST:PORT", env = "ENTREPOT_HTTP_SERVER")]
    http: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

/// One step, as the broker says it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Step {
    number: u64,
    trace_id: String,
    span_id: String,
    parent_id: String,
    message_id: String,
    step: String,
    destination: String,
    /// Microseconds since 1970.
    start_us: i64,
    /// Absent: it is not over.
    #[serde(skip_serializing_if = "Option::is_none")]
    taken_us: Option<f64>,
    #[serde(flatten)]
    more: serde_json::Map<String, serde_json::Value>,
}

#[derive(Debug, Deserialize)]
struct Page {
    spans: Vec<Step>,
    #[serde(default)]
    last: u64,
}

impl Trace {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let door = self.connect.http(self.http.as_deref())?;
        let mut output = self.connect.output();
        let (id, destination) = match self.what.as_deref() {
            Some(what) if is_trace(what) => (Some(what.to_ascii_lowercase()), None),
            what => (None, what),
        };
        if self.follow {
            return follow(&door, id.as_deref(), destination, &mut output);
        }
        let traces = match id {
            Some(id) => vec![page(&door, &format!("v1/traces/{id}"), "the trace")?.spans],
            None => newest(&door, destination, self.last)?,
        };
        if output.is_json() {
            output.json(&traces)?;
        } else if traces.is_empty() {
            output.line("no message is followed: send one with a traceparent that is sampled")?;
        }
        for (number, steps) in traces.iter().enumerate().filter(|_| !self.is_json()) {
            if number > 0 {
                output.line("")?;
            }
            tree(steps).iter().try_for_each(|line| output.line(line))?;
        }
        output.flush()?;
        Ok(())
    }

    fn is_json(&self) -> bool {
        self.connect.output().is_json()
    }
}

fn is_trace(text: &str) -> bool {
    text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn page(door: &Management, path: &str, what: &str) -> Result<Page, CliError> {
    let read = serde_json::from_value(door.get(path, what)?);
    read.map_err(|error| CliError::new(format!("{what} cannot be read: {error}")))
}

fn query(after: u64, destination: Option<&str>, wait: Duration) -> String {
    let mut path = format!("v1/traces?after={after}&limit={STEPS}&wait_ms={}", wait.as_millis());
    if let Some(destination) = destination {
        path.push_str("&destination=");
        path.push_str(&escaped(destination));
    }
    path
}

/// As it may stand in a query (RFC 3986, section 2.1).
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
            char::from(byte).to_string()
        }
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// The newest traces that have to do with a destination, each with all of its steps.
fn newest(
    door: &Management,
    destination: Option<&str>,
    count: usize,
) -> Result<Vec<Vec<Step>>, CliError> {
    let steps = page(door, &query(0, destination, Duration::ZERO), "traces")?.spans;
    let mut ids: Vec<String> = Vec::new();
    for step in steps.iter().rev() {
        if ids.len() < count && !ids.contains(&step.trace_id) {
            ids.push(step.trace_id.clone());
        }
    }
    let of = |id: &String| Ok(page(door, &format!("v1/traces/{id}"), "the trace")?.spans);
    ids.iter().rev().map(of).collect()
}

/// Writes steps as they end.
fn follow(
    door: &Management,
    id: Option<&str>,
    destination: Option<&str>,
    output: &mut Output,
) -> Result<(), CliError> {
    // What was before is not told.
    let mut after = page(door, "v1/traces?limit=1", "traces")?.last;
    loop {
        let page = page(door, &query(after, destination, WAIT), "traces")?;
        after = page.last;
        let is_wanted =
            |step: &&Step| step.taken_us.is_some() && id.is_none_or(|id| step.trace_id == id);
        for step in page.spans.iter().filter(is_wanted) {
            if output.is_json() {
                output.json(step)?;
            } else {
                let at = time(step.start_us / 1000);
                output.line(format!("{at}  {}  {}", step.trace_id, told(step)))?;
            }
        }
        output.flush()?;
    }
}

/// A trace as a tree: what is part of something stands below it, further to the right.
fn tree(steps: &[Step]) -> Vec<String> {
    let Some(first) = steps.iter().map(|step| step.start_us).min() else { return Vec::new() };
    let mut lines = vec![format!("trace {}, from {}", steps[0].trace_id, time(first / 1000))];
    let mut below: HashMap<&str, Vec<&Step>> = HashMap::new();
    for step in steps {
        below.entry(&step.parent_id).or_default().push(step);
    }
    let is_root = |step: &&Step| !steps.iter().any(|other| other.span_id == step.parent_id);
    let mut open: Vec<_> = steps.iter().filter(is_root).map(|step| (step, 0)).rev().collect();
    while let Some((step, depth)) = open.pop() {
        let since = (step.start_us - first) as f64 / 1000.0;
        lines.push(format!("  +{since:>9.3} ms  {}{}", "  ".repeat(depth), told(step)));
        let parts = below.get(step.span_id.as_str()).into_iter().flatten();
        open.extend(parts.map(|part| (*part, depth + 1)).rev());
    }
    lines
}

/// A step in one line.
fn told(step: &Step) -> String {
    let mut line = format!("{} {}", step.step, printable(&step.destination));
    let text = |name: &str| step.more.get(name).and_then(|value| value.as_str()).map(printable);
    let number = |name: &str| step.more.get(name).and_then(serde_json::Value::as_i64);
    if let Some(partition) = number("partition") {
        line.push_str(&format!(" [{partition}]"));
    }
    if let Some(offset) = number("offset") {
        line.push_str(&format!(" at {offset}"));
    }
    if let Some(door) = text("door") {
        line.push_str(if step.step == "receive" { " from " } else { " to " });
        line.push_str(&door);
        for more in [text("peer"), text("client").map(|name| format!("({name})"))] {
            line.extend(more.map(|more| format!(" {more}")));
        }
    }
    line.push_str(&match step.taken_us {
        Some(taken) => format!(", {:.3} ms", taken / 1000.0),
        None => ", not over".to_owned(),
    });
    for (name, value) in
        step.more.get("facts").and_then(|facts| facts.as_object()).into_iter().flatten()
    {
        line.push_str(&format!(", {name}: {}", printable(value.as_str().unwrap_or_default())));
    }
    line.extend(text("error").map(|error| format!(", failed: {error}")));
    line
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn step(span: &str, parent: &str, step: &str, more: &Value) -> Step {
        let mut all = json!({
            "number": 1, "trace_id": "4bf92f3577b34da6a3ce929d0e0e4736", "span_id": span,
            "parent_id": parent, "message_id": "aa", "step": step, "destination": "a.b",
            "start_us": 1_700_000_000_000_000_i64, "taken_us": 1500.0,
        });
        all.as_object_mut().unwrap().extend(more.as_object().cloned().unwrap());
        serde_json::from_value(all).unwrap()
    }

    #[test]
    fn a_trace_is_told_as_a_tree() {
        let receive = json!({ "door": "d", "facts": { "receivers": "1" } });
        let client = json!({ "door": "d", "peer": "[::1]:5", "client": "me\n", "taken_us": null });
        let failed = json!({ "error": "no", "start_us": 1_700_000_000_002_500_i64 });
        let steps = [
            step("01", "aa", "receive", &receive),
            step("02", "01", "store", &json!({ "partition": 1, "offset": 7 })),
            step("03", "02", "deliver", &client),
            step("04", "01", "deliver", &failed),
        ];
        let expected = "\
trace 4bf92f3577b34da6a3ce929d0e0e4736, from 2023-11-14T22:13:20.000Z
  +    0.000 ms  receive a.b from d, 1.500 ms, receivers: 1
  +    0.000 ms    store a.b [1] at 7, 1.500 ms
  +    0.000 ms      deliver a.b to d [::1]:5 (me\\n), not over
  +    2.500 ms    deliver a.b, 1.500 ms, failed: no
";
        assert_eq!(tree(&steps).join("\n") + "\n", expected);
    }

    #[test]
    fn names_are_escaped_where_they_are_asked_for() {
        let path = query(3, Some("a b/ü"), WAIT);
        assert_eq!(path, "v1/traces?after=3&limit=8192&wait_ms=500&destination=a%20b%2F%C3%BC");
        assert!(is_trace("4BF92f3577b34da6a3ce929d0e0e4736") && !is_trace("orders"));
    }
}
