//! `entrepot demo`: a little traffic through every door of a running broker, and a fault on request, for who wants to
//! see what the console makes of it.
//!
//! Sensors tell temperatures, each over another protocol; all of it is kept in one topic, which a group of the Kafka
//! door reads. Jobs go through a queue. The clients are as small as their protocols let them be.

mod amqp;
mod coap;
mod fault;
mod kafka;
mod link;
mod mqtt;
mod nats;
mod publisher;
mod stomp;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use clap::Args;
use serde_json::{Value as Json, json};

use crate::client::management::Management;
use crate::output::Output;
use crate::{CliError, Connect};
use fault::Fault;

/// What keeps the temperatures.
const TOPIC: &str = "demo.readings";
/// Who reads them.
const GROUP: &str = "demo.dashboard";
/// What the jobs wait in.
const QUEUE: &str = "demo.jobs";
/// How often the numbers are told.
const TELL: Duration = Duration::from_secs(5);
/// How often the broker is asked what is wrong.
const LOOK: Duration = Duration::from_secs(1);
/// A door that failed is tried again after this.
const AGAIN: Duration = Duration::from_secs(1);
/// The fault begins after this, so that there is something to compare with.
const BEFORE_FAULT: Duration = Duration::from_secs(3);

/// `entrepot demo`
///
/// Sends and reads until it is stopped; look at the console meanwhile, at port 8080 of the broker. The topic
/// `demo.readings` and its group stay; --clean takes them away.
#[derive(Debug, Args)]
pub struct Demo {
    /// Something that goes wrong after a moment; what the broker finds is told as `entrepot doctor` does
    #[arg(long, value_name = "FAULT", value_enum)]
    fault: Option<Fault>,
    /// Messages a second through each door
    #[arg(long, value_name = "N", default_value_t = 10,
          value_parser = clap::value_parser!(u32).range(1..=1000))]
    rate: u32,
    /// Stop after so long
    #[arg(long = "for", value_name = "SECONDS", value_parser = clap::value_parser!(u64).range(1..))]
    seconds: Option<u64>,
    /// Delete what another run left, and do nothing else
    #[arg(long, conflicts_with_all = ["fault", "rate", "seconds"])]
    clean: bool,
    /// The HTTP door, where it is not on port 8080 of the server
    #[arg(long, value_name = "HOST:PORT", env = "ENTREPOT_HTTP_SERVER")]
    http: Option<String>,
    #[command(flatten)]
    connect: Connect,
}

/// What all that run have in common.
#[derive(Debug)]
struct Stage {
    connect: Connect,
    http: Management,
    /// The doors' addresses, by door.
    doors: BTreeMap<String, String>,
    /// Of each part, what it has done so far.
    counts: BTreeMap<&'static str, AtomicU64>,
    pause: Duration,
    is_faulty: AtomicBool,
    is_over: AtomicBool,
}

impl Stage {
    fn count(&self, part: &str, more: u64) {
        if let Some(count) = self.counts.get(part) {
            count.fetch_add(more, Ordering::Relaxed);
        }
    }

    fn is_over(&self) -> bool {
        self.is_over.load(Ordering::Relaxed)
    }

    fn is_faulty(&self) -> bool {
        self.is_faulty.load(Ordering::Relaxed)
    }
}

impl Demo {
    pub(crate) fn run(self) -> Result<(), CliError> {
        let http = self.connect.http(self.http.as_deref())?;
        if self.clean {
            return clean(&http);
        }
        let doors = doors(&http)?;
        prepare(&http)?;
        let parts = publisher::PARTS.iter().map(|(door, _)| *door);
        let counts = parts.chain([kafka::READ, nats::READ]).map(|part| (part, AtomicU64::new(0)));
        let stage = Arc::new(Stage {
            connect: self.connect.clone(),
            http,
            doors,
            counts: counts.collect(),
            pause: Duration::from_secs(1) / self.rate,
            is_faulty: AtomicBool::new(false),
            is_over: AtomicBool::new(false),
        });
        let mut threads = publisher::start(&stage);
        threads.push(kafka::start(&stage, self.fault == Some(Fault::StoppedGroup)));
        threads.extend(nats::start(&stage));
        threads.extend(self.fault.and_then(|fault| fault.start(&stage)));
        let result = self.watch(&stage);
        stage.is_over.store(true, Ordering::Relaxed);
        for thread in threads {
            // What it could not do it has told.
            drop(thread.join());
        }
        result
    }

    /// Tells how it goes, until the end.
    fn watch(&self, stage: &Stage) -> Result<(), CliError> {
        let mut output = self.connect.output();
        let begun = Instant::now();
        let end = self.seconds.map(|seconds| begun + Duration::from_secs(seconds));
        let (mut told, mut known) = (begun, Vec::new());
        output.line(format!("sending through {} doors", stage.doors.len()))?;
        while end.is_none_or(|end| Instant::now() < end) {
            if let Some(fault) = self.fault
                && begun.elapsed() >= BEFORE_FAULT
                && !stage.is_faulty.swap(true, Ordering::Relaxed)
            {
                output.line(format!("now {}", fault.what()))?;
            }
            if told.elapsed() >= TELL {
                told = Instant::now();
                output.line(tally(stage))?;
            }
            diagnose(&stage.http, &mut known, &mut output)?;
            output.flush()?;
            std::thread::sleep(LOOK);
        }
        output.line(tally(stage))?;
        Ok(output.flush()?)
    }
}

/// What went through each door so far.
fn tally(stage: &Stage) -> String {
    let count = |(part, count): (&&str, &AtomicU64)| {
        let count = count.load(Ordering::Relaxed);
        (count > 0).then(|| format!("{part} {count}"))
    };
    stage.counts.iter().filter_map(count).collect::<Vec<_>>().join("  ")
}

/// Tells what the broker has found since it was asked last.
fn diagnose(
    http: &Management,
    known: &mut Vec<String>,
    output: &mut Output,
) -> Result<(), CliError> {
    // A broker that is being started again has nothing to say.
    let Ok(found) = http.get("v1/diagnosis", "the diagnosis") else { return Ok(()) };
    let mut open = Vec::new();
    for incident in found["incidents"].as_array().into_iter().flatten() {
        let text = |key: &str| incident[key].as_str().unwrap_or_default();
        let name = format!("{} {}", text("rule"), text("about"));
        if !known.contains(&name) {
            output.line(format!("found  {name}: {}", text("title")))?;
            output.line(format!("  cause  {}", text("cause")))?;
            output.line(format!("  to do  {}", text("remedy")))?;
        }
        open.push(name);
    }
    for gone in known.iter().filter(|name| !open.contains(name)) {
        output.line(format!("over   {gone}"))?;
    }
    *known = open;
    Ok(())
}

/// Where the doors are that let us in: those that ask for a login or speak TLS are left out, but for Kafka's, which the
/// other commands use as well.
fn doors(http: &Management) -> Result<BTreeMap<String, String>, CliError> {
    let state = http.get("v1/state?kind=listener", "the broker's state")?;
    let listener = |node: &Json| {
        let facts = &node["facts"];
        let door = facts["door"].as_str()?;
        let is_open = facts["tls"] == false && facts["logins"] == false;
        let address = facts["address"].as_str().filter(|_| is_open || door == "kafka")?;
        Some((door.to_owned(), reachable(address)))
    };
    Ok(state["nodes"].as_array().into_iter().flatten().filter_map(listener).collect())
}

/// All addresses of a machine are reached at its own.
fn reachable(address: &str) -> String {
    match address.rsplit_once(':') {
        Some(("0.0.0.0" | "[::]", port)) => format!("localhost:{port}"),
        _ => address.to_owned(),
    }
}

/// The topic that keeps what is told.
fn prepare(http: &Management) -> Result<(), CliError> {
    let what = format!("topic {TOPIC}");
    let topic = json!({
        "name": TOPIC,
        "partitions": 3,
        "config": { "entrepot.bind": format!("{TOPIC}.>"), "retention.ms": "3600000" },
    });
    let answer = http.send("POST", "v1/topics", &topic.to_string())?;
    // From another run.
    let is_there = answer.status == 409;
    answer.refused(&what).filter(|_| !is_there).map_or(Ok(()), Err)
}

fn clean(http: &Management) -> Result<(), CliError> {
    for (path, what) in
        [(format!("v1/topics/{TOPIC}"), TOPIC), (format!("v1/groups/{GROUP}"), GROUP)]
    {
        let answer = http.ask("DELETE", &path)?;
        let is_gone = answer.status == 404;
        if let Some(error) = answer.refused(what).filter(|_| !is_gone) {
            return Err(error);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_addresses_of_a_machine_are_reached_at_its_own() {
        assert_eq!(reachable("0.0.0.0:1883"), "localhost:1883");
        assert_eq!(reachable("[::]:1883"), "localhost:1883");
        assert_eq!(reachable("127.0.0.1:1883"), "127.0.0.1:1883");
    }
}
