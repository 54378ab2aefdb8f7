//! What is known of a broker at one moment as an archive, to be carried elsewhere and diagnosed there by the same rules.
//!
//! The archive is a `.tar.gz` of a few files that people can read, too: what it is of (`about.json`), what there is
//! (`state.json`), every metric (`metrics.txt`), the last hour of them (`history.jsonl`), what happened (`events.jsonl`) and what the
//! broker thinks of it (`diagnosis.json`). Passwords and keys are in none of it: the state does not have them.

mod series;
mod tar;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::sync::Arc;

use base::{ManualClock, Millis};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::diagnosis::{Incident, Moment, RULES, Watch, Watcher, look};
use crate::events::{Event, Events, kinds};
use crate::history::History;
use crate::state::{Graph, NodeId};

/// What is written now; others are refused.
const FORMAT: u32 = 1;

/// The folder that everything is in.
const FOLDER: &str = "entrepot-bundle";

/// Largest archive that is read, unpacked: an hour of all series that may be kept, and more.
const BYTES_MAX: u64 = 512 * 1024 * 1024;

const GZIP: [u8; 2] = [0x1f, 0x8b];

/// An archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// It is something else.
    #[error("it is no archive of entrepot doctor --bundle")]
    NotOne,
    /// Its end is missing.
    #[error("its end is missing")]
    CutOff,
    /// It is larger than any that was made.
    #[error("it is larger than {BYTES_MAX} bytes, unpacked")]
    TooLarge,
    /// A file is missing.
    #[error("{0} is missing")]
    Missing(&'static str),
    /// A part of it is not what it should be.
    #[error("{0} cannot be read: {1}")]
    Json(&'static str, serde_json::Error),
    /// A series says what cannot be.
    #[error("its history says what cannot be")]
    Series,
    /// It was made by another version.
    #[error("it has format {0}, and this version reads {FORMAT}")]
    Format(u32),
}

impl ArchiveError {
    fn json(what: &'static str) -> impl FnOnce(serde_json::Error) -> Self {
        move |error| Self::Json(what, error)
    }
}

/// What an archive is of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// How it is written.
    format: u32,
    /// The version of the broker.
    pub version: String,
    /// Which broker.
    pub broker: NodeId,
    /// When it was made, in milliseconds since 1970.
    pub now: Millis,
    /// The newest second of its history.
    pub second: u64,
    /// What it runs on.
    pub environment: BTreeMap<String, String>,
    /// The rules that the broker knew.
    rules: Vec<String>,
}

impl About {
    /// This version of this broker, now.
    pub fn new(broker: NodeId, version: &str, now: Millis, second: u64) -> Self {
        let rules = RULES.iter().map(|rule| rule.id.to_owned()).collect();
        let (version, environment) = (version.to_owned(), BTreeMap::new());
        Self { format: FORMAT, version, broker, now, second, environment, rules }
    }
}

/// What is put into an archive.
#[derive(Debug)]
pub struct Contents<'a> {
    /// What it is of.
    pub about: About,
    /// What there is.
    pub graph: &'a Graph,
    /// What metrics are, as they are shown.
    pub metrics: &'a str,
    /// What they were.
    pub history: &'a History,
    /// What happened lately, in order.
    pub events: &'a [Arc<Event>],
    /// What rules found, and since when.
    pub watches: &'a [Watch],
    /// What is wrong, as far as the broker says.
    pub incidents: &'a [Incident],
}

#[derive(Debug, Serialize)]
struct Diagnosis<'a> {
    incidents: &'a [Incident],
    watches: &'a [Watch],
}

/// Makes an archive. Takes as long as an hour of history is long: not for a thread that others wait for.
pub fn write(contents: &Contents<'_>) -> Vec<u8> {
    let seconds = u64::try_from(contents.about.now / 1000).unwrap_or(0);
    let mut all = Vec::new();
    let mut put = |name: &str, bytes: &[u8]| {
        tar::put(&mut all, &format!("{FOLDER}/{name}"), bytes, seconds);
    };
    put("about.json", &pretty(&contents.about));
    put("state.json", &pretty(contents.graph));
    put("metrics.txt", contents.metrics.as_bytes());
    put("history.jsonl", &series::write(contents.history));
    let events = contents.events.iter().map(|event| serde_json::to_string(&**event));
    let events: Vec<_> = events.flatten().map(|line| line + "\n").collect();
    put("events.jsonl", events.concat().as_bytes());
    let diagnosis = Diagnosis { incidents: contents.incidents, watches: contents.watches };
    put("diagnosis.json", &pretty(&diagnosis));
    tar::end(&mut all);
    let mut packed = GzEncoder::new(Vec::new(), Compression::default());
    // Writing to memory does not fail.
    let _ = packed.write_all(&all);
    packed.finish().unwrap_or_default()
}

fn pretty(value: &impl Serialize) -> Vec<u8> {
    let mut text = serde_json::to_vec_pretty(value).unwrap_or_default();
    text.push(b'\n');
    text
}

/// What is known of a broker elsewhere, or of one that is no more.
#[derive(Debug)]
pub struct Snapshot {
    /// What it is of.
    pub about: About,
    /// Series that nothing is known of here: another version wrote them.
    pub unknown_series: usize,
    graph: Graph,
    history: History,
    events: Vec<Arc<Event>>,
    watches: Vec<Watch>,
}

#[derive(Debug, Deserialize)]
struct Watches {
    watches: Vec<Watch>,
}

/// How an archive is written, whatever else it says.
#[derive(Debug, Deserialize)]
struct Format {
    format: u32,
}

/// An event as it is written.
#[derive(Debug, Deserialize)]
struct Told {
    number: u64,
    at: Millis,
    kind: String,
    about: Option<NodeId>,
    text: String,
    #[serde(default)]
    fields: BTreeMap<String, String>,
    #[serde(default)]
    withheld: u64,
}

impl Told {
    /// The event, if it is of a kind that is known here.
    fn event(self) -> Option<Arc<Event>> {
        let kind = kinds::ALL.iter().find(|kind| kind.name == self.kind)?;
        let fields = self.fields.into_iter().map(|(name, value)| (Cow::Owned(name), value));
        let Self { number, at, about, text, withheld, .. } = self;
        let (severity, fields) = (kind.severity, fields.collect());
        Some(Arc::new(Event { number, at, kind, severity, about, text, fields, withheld }))
    }
}

impl Snapshot {
    /// Reads an archive; packed anew with other tools, or unpacked to a `.tar`, it is one, too.
    ///
    /// # Errors
    ///
    /// Says what is wrong with it.
    pub fn read(bytes: &[u8]) -> Result<Self, ArchiveError> {
        let all = match bytes.starts_with(&GZIP) {
            true => Cow::Owned(unpack(bytes)?),
            false => Cow::Borrowed(bytes),
        };
        let files = tar::files(&all)?;
        let file = |name: &'static str| {
            let found = files.iter().find(|(known, _)| known == name);
            found.map(|(_, bytes)| *bytes).ok_or(ArchiveError::Missing(name))
        };
        let Format { format } = parse("about.json", file("about.json")?)?;
        if format != FORMAT {
            return Err(ArchiveError::Format(format));
        }
        let about: About = parse("about.json", file("about.json")?)?;
        let (history, unknown_series) = series::read(file("history.jsonl")?, about.second)?;
        let lines = file("events.jsonl")?.split(|byte| *byte == b'\n');
        let lines = lines.filter(|line| !line.is_empty());
        let told = lines.map(|line| parse::<Told>("an event", line));
        let told: Vec<_> = told.collect::<Result<_, _>>()?;
        let Watches { watches } = parse("diagnosis.json", file("diagnosis.json")?)?;
        Ok(Self {
            graph: parse("state.json", file("state.json")?)?,
            events: told.into_iter().filter_map(Told::event).collect(),
            about,
            unknown_series,
            history,
            watches,
        })
    }

    /// What is wrong, as the rules of this version see it.
    ///
    /// Of the state only one moment is known: how long something was so is taken from what the broker had found by then. A rule
    /// that the broker did not know yet has nothing to wait for.
    pub fn diagnose(&self) -> Vec<Incident> {
        let About { broker, now, second, .. } = &self.about;
        let events = &self.events;
        let moment = Moment { broker, history: &self.history, graph: &self.graph, events };
        let found = look(&moment);
        let is_new = |id: &str| !self.about.rules.iter().any(|known| known == id);
        let new = found.iter().filter(|((id, _), _)| is_new(id));
        let new = new.map(|((id, about), _)| Watch::open(id, about.clone(), *second, *now));
        let watches = self.watches.iter().cloned().chain(new);
        let mut watcher = Watcher::resume(watches);
        watcher.take(*second, *now, found, &Events::new(Arc::new(ManualClock::at(*now))));
        watcher.incidents()
    }
}

fn parse<T: DeserializeOwned>(what: &'static str, bytes: &[u8]) -> Result<T, ArchiveError> {
    serde_json::from_slice(bytes).map_err(ArchiveError::json(what))
}

fn unpack(bytes: &[u8]) -> Result<Vec<u8>, ArchiveError> {
    let mut all = Vec::new();
    let read = GzDecoder::new(bytes).take(BYTES_MAX + 1).read_to_end(&mut all);
    if u64::try_from(all.len()).is_ok_and(|length| length > BYTES_MAX) {
        return Err(ArchiveError::TooLarge);
    }
    read.map(|_| all).map_err(|_| ArchiveError::CutOff)
}

#[cfg(test)]
mod tests;
