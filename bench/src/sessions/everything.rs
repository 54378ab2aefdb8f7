//! Somebody who wants everything that there is.

use std::thread::sleep;
use std::time::{Duration, Instant};

use tests::{Broker, Serve};

use super::{Figures, mib, ms, settle};
use crate::link::Link;
use crate::meter::{cpu, memory};
use crate::pubsub::Wire;

const TOPICS: usize = 10_000;

/// Topics that are made with one command.
const TOGETHER: usize = 500;

/// How long an idle broker is looked at.
const LOOK: Duration = Duration::from_secs(5);

/// The numbers of the publisher, and of who wants everything.
const CLIENTS: [usize; 2] = [1, 2];

/// Makes the topics, and subscribes to them all.
pub(super) fn run() -> Figures {
    let broker = Serve::new().start();
    for from in (0..TOPICS).step_by(TOGETHER) {
        let names: Vec<String> = (from..TOPICS.min(from + TOGETHER)).map(name).collect();
        let mut args = vec!["topic", "create"];
        args.extend(names.iter().map(String::as_str));
        let made = broker.entrepot(&args);
        assert!(made.status.success(), "{}", made.stderr);
    }
    let (once, at_least_once) = (Wire::Mqtt(0), Wire::Mqtt(1));
    let address = format!("127.0.0.1:{}", broker.mqtt());
    let mut publisher = at_least_once.connect(&address, CLIENTS[0]);
    settle(broker.id());
    let (before, idle_before) = (memory(broker.id()), idle(&broker));
    let mut link = once.connect(&address, CLIENTS[1]);
    let (begun, used) = (Instant::now(), cpu(broker.id()));
    once.listen(&mut link, "#");
    let took = begun.elapsed();
    settle(broker.id());
    let used = cpu(broker.id()).saturating_sub(used);
    let mut figures: Figures = vec![
        ("suback_ms".into(), ms(took)),
        ("cpu_ms_to_subscribe".into(), ms(used)),
        ("mib_more".into(), mib(memory(broker.id()) - before)),
        ("idle_cpu_ms_per_s_before".into(), idle_before),
        ("idle_cpu_ms_per_s".into(), idle(&broker)),
    ];
    let mut times: Vec<f64> = (0..TOPICS)
        .step_by(TOPICS / 100)
        .map(|number| message(number, &mut publisher, &mut link))
        .collect();
    times.sort_by(f64::total_cmp);
    figures.push(("stored_message_p50_ms".into(), times[times.len() / 2]));
    figures
}

fn name(number: usize) -> String {
    format!("topic-{number}")
}

/// Milliseconds of processor time a second.
fn idle(broker: &Broker) -> f64 {
    let before = cpu(broker.id());
    sleep(LOOK); // what is measured
    ms(cpu(broker.id()).saturating_sub(before)) / LOOK.as_secs_f64()
}

/// From a message of QoS 1 being sent, which a topic keeps, to its being there.
fn message(number: usize, publisher: &mut Link, subscriber: &mut Link) -> f64 {
    const SIZE: usize = 16;
    let [mut out, mut delivery] = [Vec::new(), Vec::new()];
    Wire::Mqtt(1).publish(&name(number), None, SIZE).stamp(number as u64, &mut out);
    Wire::Mqtt(0).delivery(&name(number), None, SIZE).stamp(number as u64, &mut delivery);
    let begun = Instant::now();
    publisher.say(&out);
    subscriber.expect(&delivery);
    ms(begun.elapsed())
}
