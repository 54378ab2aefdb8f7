//! The loads.

use std::time::Duration;

use super::RUN;
use super::ask::{Ask, Pace};
use super::flow::Flow;
use super::peers::Setting;
use super::wire::{Protocol, Wire};

/// Bytes of a payload, as it is called.
const SIZES: [(usize, &str); 3] = [(16, "16"), (128, "128"), (1024, "1k")];

/// How far the slowest MQTT subscriber may be behind, in messages, but for floods: mosquitto drops what is more than
/// 1,000 behind.
const MQTT_WINDOW: u64 = 800;

/// Messages of QoS 1 and 2 without their acknowledgement: mosquitto sends no more than 20 to a client.
const MQTT_IN_FLIGHT: u64 = 20;

/// Bytes that may wait for each of many subscribers: what waits for all of them is a thousand times that.
const CROWD_WINDOW_BYTES: usize = 64 * 1024;

/// Subscribers that are a crowd.
const CROWD: usize = 1000;

/// Questions a second.
const RATE: u32 = 1000;

/// One load.
#[derive(Debug)]
pub(crate) struct Case {
    pub(crate) name: String,
    /// What it does, for the page.
    pub(crate) what: String,
    pub(crate) wire: Wire,
    pub(crate) load: Load,
    pub(crate) setting: Setting,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Load {
    Flow(Flow),
    Ask(Ask),
    /// So many connections that do nothing.
    Idle(usize),
}

impl Case {
    fn new(name: impl Into<String>, what: impl Into<String>, wire: Wire, load: Load) -> Self {
        let (name, what) = (name.into(), what.into());
        Self { name, what, wire, load, setting: Setting::Default }
    }

    /// How long a run takes. At a fixed rate it takes longer to see the slowest of a hundred often enough.
    pub(crate) fn time(&self) -> Duration {
        match self.load {
            Load::Ask(Ask { pace: Pace::Rate(_), .. }) => 2 * RUN,
            _ => RUN,
        }
    }
}

/// The loads of a protocol.
pub(crate) fn of(protocol: Protocol) -> Vec<Case> {
    match protocol {
        Protocol::Nats => nats(),
        Protocol::Mqtt => mqtt(),
    }
}

fn nats() -> Vec<Case> {
    let wire = Wire::Nats;
    let mut cases = Vec::new();
    flows(&mut cases, "", wire, &[0, 1, 4], None);
    crowds(&mut cases, "", wire);
    for (size, name) in SIZES {
        cases.push(ask(format!("ask-{name}"), wire, size, Pace::OneByOne));
    }
    cases.push(ask("ask-rate-128", wire, 128, Pace::Rate(RATE)));
    cases.push(idle(wire));
    cases
}

fn mqtt() -> Vec<Case> {
    let mut cases = Vec::new();
    flows(&mut cases, "q0-", Wire::Mqtt(0), &[0, 1, 4], Some(MQTT_WINDOW));
    crowds(&mut cases, "q0-", Wire::Mqtt(0));
    let flood = Flow { size: 128, to: 1, window: None, in_flight: 0 };
    let what = "QoS 0, one to one, 128 B, as much as the broker takes from its publisher";
    cases.push(Case::new("q0-flood-128", what, Wire::Mqtt(0), Load::Flow(flood)));
    flows(&mut cases, "q1-", Wire::Mqtt(1), &[1], Some(MQTT_WINDOW));
    flows(&mut cases, "q2-", Wire::Mqtt(2), &[1], Some(MQTT_WINDOW));
    for (prefix, setting) in [("", Setting::Default), ("nodelay-", Setting::NoDelay)] {
        for (name, pace) in [("ask-128", Pace::OneByOne), ("ask-rate-128", Pace::Rate(RATE))] {
            let mut case = ask(format!("{prefix}{name}"), Wire::Mqtt(0), 128, pace);
            if setting == Setting::NoDelay {
                case.what.push_str(", mosquitto with `set_tcp_nodelay true`");
            }
            cases.push(Case { setting, ..case });
        }
    }
    cases.push(idle(Wire::Mqtt(0)));
    cases
}

/// From one publisher to so many subscribers, of every size.
fn flows(cases: &mut Vec<Case>, prefix: &str, wire: Wire, to: &[usize], window: Option<u64>) {
    let qos = match wire {
        Wire::Nats => String::new(),
        Wire::Mqtt(qos) => format!("QoS {qos}, "),
    };
    for to in to {
        for (size, name) in SIZES {
            let flow = Flow { size, to: *to, window, in_flight: MQTT_IN_FLIGHT };
            let (short, long) = match to {
                0 => ("pub".to_owned(), "nobody listens".to_owned()),
                1 => ("1-1".to_owned(), "one to one".to_owned()),
                many => (format!("1-{many}"), format!("one to {many}")),
            };
            let what = format!("{qos}{long}, {size} B");
            cases.push(Case::new(format!("{prefix}{short}-{name}"), what, wire, Load::Flow(flow)));
        }
    }
}

/// From one publisher to a thousand subscribers.
fn crowds(cases: &mut Vec<Case>, prefix: &str, wire: Wire) {
    for (size, name) in SIZES {
        let window = (CROWD_WINDOW_BYTES / size).min(256) as u64;
        let flow = Flow { size, to: CROWD, window: Some(window), in_flight: 0 };
        let what = format!("one to 1,000, {size} B");
        cases.push(Case::new(format!("{prefix}1-1000-{name}"), what, wire, Load::Flow(flow)));
    }
}

fn ask(name: impl Into<String>, wire: Wire, size: usize, pace: Pace) -> Case {
    let what = match pace {
        Pace::OneByOne => format!("request and reply, one at a time, {size} B"),
        Pace::Rate(rate) => format!("request and reply, {rate} a second, {size} B"),
    };
    Case::new(name, what, wire, Load::Ask(Ask { size, pace }))
}

fn idle(wire: Wire) -> Case {
    let what = "10,000 idle connections, a subscription each";
    Case::new("idle-10k", what, wire, Load::Idle(10_000))
}
