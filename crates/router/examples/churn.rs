//! What the router costs: a million subscriptions, look-ups while they come and go, and the longest time that a
//! look-up waited. `cargo run --release -p router --example churn`.
#![allow(clippy::panic, reason = "a measurement stops at the first surprise")]

use std::hint::black_box;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base::subject::TEXT;
use base::{Filter, Subject};
use router::{Router, Subscribed};

const SUBSCRIPTIONS: u64 = 1_000_000;

#[derive(Debug, Clone)]
struct Sub(u64);

impl Subscribed for Sub {
    fn owner(&self) -> u64 {
        self.0
    }
}

fn filter(text: &str) -> Filter {
    TEXT.filter(text.as_bytes()).unwrap_or_else(|_| panic!("{text} is no filter"))
}

fn subject(text: &str) -> Subject {
    TEXT.subject(text.as_bytes()).unwrap_or_else(|_| panic!("{text} is no subject"))
}

/// A third each: exact, one wildcard, all below.
fn name(number: u64) -> String {
    match number % 3 {
        0 => format!("devices.{number}.state"),
        1 => format!("devices.{number}.*"),
        _ => format!("sites.{}.devices.{number}.>", number % 1000),
    }
}

/// Bytes of memory that this takes.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) * 1024
}

fn each(took: Duration, count: u64) -> u128 {
    took.as_nanos() / u128::from(count)
}

fn main() {
    let router = Router::default();
    let begin = Instant::now();
    let (mut keys, mut times) = (Vec::new(), Vec::new());
    for number in 0..SUBSCRIPTIONS {
        let filter = filter(&name(number));
        let one = Instant::now();
        let key = router.insert(&filter, Sub(number), None);
        times.push(one.elapsed());
        keys.push((filter, key));
    }
    println!(
        "{SUBSCRIPTIONS} subscriptions: {} ns each, their names made",
        each(begin.elapsed(), SUBSCRIPTIONS)
    );
    say("subscriptions", times);
    println!("{} MiB in all", resident() >> 20);

    let subjects: Vec<_> =
        (0..1000).map(|n| subject(&format!("devices.{}.state", n * 7))).collect();
    let place: Vec<_> = subjects.iter().map(|subject| router.place(subject)).collect();
    let time = |what: &str, work: &mut dyn FnMut(usize)| {
        let begin = Instant::now();
        (0..100_000).for_each(|turn| work(turn % 1000));
        println!("{what}: {} ns", each(begin.elapsed(), 100_000));
    };
    time("a look-up in the tree", &mut |at| drop(black_box(router.find(&subjects[at]))));
    time("a look-up that is remembered", &mut |at| drop(black_box(router.matches(&subjects[at]))));
    time("asking whether one still counts", &mut |at| {
        black_box(router.stamp(place[at]));
    });

    let over = AtomicBool::new(false);
    let others = || {
        // Others come and go as fast as they can.
        let mut number = SUBSCRIPTIONS;
        let (mut came, mut went) = (Vec::new(), Vec::new());
        while !over.load(Ordering::Relaxed) {
            let filter = filter(&name(number));
            let one = Instant::now();
            let key = router.insert(&filter, Sub(number), None);
            came.push(one.elapsed());
            if let Some(key) = key {
                let one = Instant::now();
                router.remove(&filter, key, None);
                went.push(one.elapsed());
            }
            number += 1;
        }
        say("subscriptions came meanwhile", came);
        say("of them went", went);
    };
    let five = Instant::now() + Duration::from_secs(5);
    std::thread::scope(|scope| {
        scope.spawn(others);
        watch("others come and go", &router, &subjects, &|| Instant::now() >= five);
        over.store(true, Ordering::Relaxed);
    });

    // A client leaves that had them all.
    let gone = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut times = Vec::with_capacity(keys.len());
            for (filter, key) in keys {
                let one = Instant::now();
                black_box(key.and_then(|key| router.remove(&filter, key, None)));
                times.push(one.elapsed());
            }
            say("removed", times);
            gone.store(true, Ordering::Relaxed);
        });
        watch("all are removed", &router, &subjects, &|| gone.load(Ordering::Relaxed));
    });
}

/// Looks subjects up, and says how long that took, until it is over.
fn watch(what: &str, router: &Router<Sub>, subjects: &[Subject], is_over: &dyn Fn() -> bool) {
    let mut times = Vec::with_capacity(1_000_000);
    while !is_over() {
        let one = Instant::now();
        black_box(router.matches(&subjects[times.len() % subjects.len()]));
        times.push(one.elapsed());
    }
    say(&format!("look-ups while {what}"), times);
}

/// Says how long things took.
fn say(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let at = |part: usize| times[(times.len() - 1) * part / 10_000];
    println!(
        "{} {what}: half {:?}, 99% {:?}, 99.9% {:?}, 99.99% {:?}, the longest {:?}",
        times.len(),
        at(5_000),
        at(9_900),
        at(9_990),
        at(9_999),
        at(10_000)
    );
}
