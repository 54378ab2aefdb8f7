//! What is wrong: rules over history, state and events.
//!
//! A rule is a pure function: the same moment gives the same findings, whether the moment is now, was simulated, or comes
//! from somewhere else. What a rule finds for long enough is an incident; [`Watcher`] keeps those. All rules stand on one page
//! (`rules.rs`), each with an identity that stays, a cause, and what to do.

mod clients;
mod consumers;
#[cfg(test)]
mod document;
mod process;
mod rules;
mod storage;
#[cfg(test)]
mod tests;
mod words;

use std::collections::BTreeMap;
use std::sync::Arc;

use base::Millis;
use serde::{Deserialize, Serialize};

use crate::events::{Event, Events, Said, Severity, kinds};
use crate::history::{History, Key, Part, Point};
use crate::state::{Graph, NodeId};

pub use rules::RULES;

/// What is known at one moment.
#[derive(Debug, Clone, Copy)]
pub struct Moment<'a> {
    /// The broker that all of it is about.
    pub broker: &'a NodeId,
    /// What metrics were.
    pub history: &'a History,
    /// What there is: listeners, topics, groups, queues, the store.
    pub graph: &'a Graph,
    /// What happened lately, in order.
    pub events: &'a [Arc<Event>],
}

impl Moment<'_> {
    /// What a series is now.
    fn now<const N: usize>(&self, family: &'static str, labels: [&str; N]) -> Option<i64> {
        self.history.last(&Key::new(family, labels))
    }

    /// What it was in the last seconds.
    fn lately<const N: usize>(
        &self,
        family: &'static str,
        labels: [&str; N],
        seconds: u64,
    ) -> Vec<Point> {
        self.history.recent(&Key::new(family, labels), seconds)
    }

    /// What a part of a histogram was.
    fn part(&self, family: &'static str, part: Part, seconds: u64) -> Vec<Point> {
        self.history.recent(&Key::new(family, []).part(part), seconds)
    }

    /// Texts of the last events of a kind, about one thing.
    fn told(&self, kind: &str, about: &NodeId, most: usize) -> Vec<String> {
        let same = |event: &&Arc<Event>| {
            event.kind.name == kind && event.about.as_ref().is_none_or(|of| of == about)
        };
        self.events.iter().rev().filter(same).take(most).map(|event| event.text.clone()).collect()
    }
}

/// Something that a rule finds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// What it is wrong with.
    pub about: NodeId,
    /// Why we think so: figures, in words.
    pub evidence: Vec<String>,
}

impl Finding {
    fn new(about: NodeId, evidence: impl IntoIterator<Item = String>) -> Self {
        Self { about, evidence: evidence.into_iter().collect() }
    }
}

/// One way to be wrong.
#[derive(Debug)]
pub struct Rule {
    /// Never changes, and is never used again for something else.
    pub id: &'static str,
    /// In a few words.
    pub title: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// Where it comes from, most of the time.
    pub cause: &'static str,
    /// What to do.
    pub remedy: &'static str,
    /// It is an incident when it was found for so many seconds, and none any more when it was not.
    pub holds: (u64, u64),
    /// Finds it.
    pub find: fn(&Moment<'_>) -> Vec<Finding>,
}

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Incident {
    /// The rule that says so.
    pub rule: &'static str,
    /// How much it matters.
    pub severity: Severity,
    /// In a few words.
    pub title: &'static str,
    /// What it is wrong with.
    pub about: NodeId,
    /// Where it comes from, most of the time.
    pub cause: &'static str,
    /// Why we think so, as of the last time that it was found.
    pub evidence: Vec<String>,
    /// The rules of other incidents of which it comes, most likely.
    pub because_of: Vec<&'static str>,
    /// What to do.
    pub remedy: &'static str,
    /// When it was found first, in milliseconds since 1970.
    pub since: Millis,
}

/// What all rules find at one moment, by rule and thing.
pub fn look(moment: &Moment<'_>) -> BTreeMap<(&'static str, NodeId), Finding> {
    let all = RULES.iter().flat_map(|rule| {
        let found = (rule.find)(moment).into_iter();
        found.map(|finding| ((rule.id, finding.about.clone()), finding))
    });
    all.collect()
}

/// Keeps incidents: what is found opens one after a while, what is not found any more closes it after a while.
#[derive(Debug, Default)]
pub struct Watcher {
    watched: BTreeMap<(&'static str, NodeId), Watched>,
}

#[derive(Debug)]
struct Watched {
    first: (u64, Millis),
    /// The last second in which it was found.
    last: u64,
    is_open: bool,
    evidence: Vec<String>,
}

/// What a watcher knows of something that was found: so that another can go on where it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Watch {
    /// The rule that found it.
    rule: String,
    /// What it is wrong with.
    about: NodeId,
    /// The second in which it was found first.
    first: u64,
    /// The same by the wall clock, in milliseconds since 1970.
    since: Millis,
    /// The last second in which it was found.
    last: u64,
    /// It is an incident.
    is_open: bool,
    /// Why we think so.
    evidence: Vec<String>,
}

impl Watch {
    /// An incident without having been found for a while: nobody looked before.
    pub(crate) fn open(rule: &str, about: NodeId, second: u64, now: Millis) -> Self {
        let (rule, evidence) = (rule.to_owned(), Vec::new());
        Self { rule, about, first: second, since: now, last: second, is_open: true, evidence }
    }
}

impl Watcher {
    /// Goes on where another was. What it says of rules that are not known here is left out.
    pub fn resume(watches: impl IntoIterator<Item = Watch>) -> Self {
        let known = watches.into_iter().filter_map(|watch| {
            let Watch { rule, about, first, since, last, is_open, evidence } = watch;
            let rule = rules::find(&rule)?;
            let watched = Watched { first: (first, since), last, is_open, evidence };
            Some(((rule.id, about), watched))
        });
        Self { watched: known.collect() }
    }

    /// What another needs to go on from here.
    pub fn watches(&self) -> Vec<Watch> {
        let all = self.watched.iter().map(|((rule, about), watched)| Watch {
            rule: (*rule).to_owned(),
            about: about.clone(),
            first: watched.first.0,
            since: watched.first.1,
            last: watched.last,
            is_open: watched.is_open,
            evidence: watched.evidence.clone(),
        });
        all.collect()
    }

    /// Takes in what was found in a second. What opens or closes is told as an event.
    pub fn take(
        &mut self,
        second: u64,
        now: Millis,
        found: BTreeMap<(&'static str, NodeId), Finding>,
        tell: &Events,
    ) {
        for (key, finding) in found {
            let new = Watched {
                first: (second, now),
                last: second,
                is_open: false,
                evidence: Vec::new(),
            };
            let watched = self.watched.entry(key).or_insert(new);
            watched.last = second;
            watched.evidence = finding.evidence;
        }
        self.watched.retain(|(id, about), watched| {
            let Some(rule) = rules::find(id) else { return false };
            let (opens, closes) = rule.holds;
            if !watched.is_open {
                if second.saturating_sub(watched.first.0) >= opens && watched.last == second {
                    watched.is_open = true;
                    tell.tell(&kinds::INCIDENT_OPENED, Some(about.clone()), || {
                        said(rule, about).with("evidence", &watched.evidence.join("; "))
                    });
                }
                // What comes and goes is not found for long enough.
                return watched.is_open || watched.last == second;
            }
            let is_over = second.saturating_sub(watched.last) > closes;
            if is_over {
                tell.tell(&kinds::INCIDENT_CLOSED, Some(about.clone()), || said(rule, about));
            }
            !is_over
        });
    }

    /// What is wrong now: what explains others before these, and else the worst first.
    pub fn incidents(&self) -> Vec<Incident> {
        let open = || self.watched.iter().filter(|(_, watched)| watched.is_open);
        let mut all: Vec<_> = open()
            .filter_map(|((id, about), watched)| {
                let rule = rules::find(id)?;
                let explaining = open().map(|(key, _)| key);
                let explaining = explaining
                    .filter(|(cause, of)| rules::explains((cause, of), (id, about)))
                    .map(|(cause, _)| *cause);
                let mut because_of: Vec<_> = explaining.collect();
                because_of.dedup();
                Some(Incident {
                    rule: rule.id,
                    severity: rule.severity,
                    title: rule.title,
                    about: about.clone(),
                    cause: rule.cause,
                    evidence: watched.evidence.clone(),
                    because_of,
                    remedy: rule.remedy,
                    since: watched.first.1,
                })
            })
            .collect();
        let place = |one: &Incident| one.because_of.len();
        all.sort_by(|a, b| {
            let order = place(a).cmp(&place(b));
            order.then_with(|| (b.severity, a.rule, &a.about).cmp(&(a.severity, b.rule, &b.about)))
        });
        all
    }
}

fn said(rule: &Rule, about: &NodeId) -> Said {
    Said::new(format!("{about}: {}", rule.title)).with("rule", rule.id)
}
