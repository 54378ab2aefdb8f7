//! The router alone, in a process of its own: subscriptions come, others come and go while somebody looks up, and all go.

use std::hint::black_box;
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use base::subject::TEXT;
use base::{Filter, Subject};
use router::{Key, Router, Subscribed};
use tests::Process;

use super::{Figures, mib};
use crate::meter::memory;

const SUBSCRIPTIONS: u64 = 1_000_000;

/// How long others come and go.
const CHURN: Duration = Duration::from_secs(5);

/// How long all of it may take.
const PATIENCE: Duration = Duration::from_secs(300);

#[derive(Debug, Clone)]
struct Sub(u64);

impl Subscribed for Sub {
    fn owner(&self) -> u64 {
        self.0
    }
}

/// Measures in a fresh process: what another has freed is not given back to the system.
pub(super) fn run() -> Figures {
    let program = std::env::current_exe().expect("this program");
    let exit = Process::start("churn", Command::new(program).arg("churn")).exit(PATIENCE);
    assert!(exit.status.success(), "{}", exit.stderr);
    let figure = |line: &str| {
        let (name, value) = line.split_once(' ').expect("a name and a value");
        (name.to_owned(), value.parse().expect("a number"))
    };
    exit.stdout.lines().map(figure).collect()
}

/// Measures, and prints a figure a line.
pub(crate) fn measure() {
    let router = Router::default();
    let before = memory(std::process::id());
    let (keys, times) = insert_all(&router);
    let grown =
        memory(std::process::id()) - before - (times.capacity() * size_of_val(&times[0])) as f64;
    println!("mib_in_all {}", mib(grown));
    say("subscribe", times);
    let subjects: Vec<Subject> =
        (0..1000).map(|number| subject(&format!("devices.{}.state", number * 7))).collect();
    come_and_go(&router, &subjects);
    let gone = AtomicBool::new(false);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            // A client leaves that had them all.
            let times = remove_all(&router, keys);
            gone.store(true, Ordering::Relaxed);
            say("unsubscribe", times);
        });
        let times = look_up(&router, &subjects, &|| gone.load(Ordering::Relaxed));
        say("lookup_while_all_go", times);
    });
    // Once more, and nobody looks.
    let (keys, _) = insert_all(&router);
    say("unsubscribe_alone", remove_all(&router, keys));
}

fn insert_all(router: &Router<Sub>) -> (Vec<(Filter, Key)>, Vec<Duration>) {
    let one = |number| {
        let filter = filter(&name(number));
        let begun = Instant::now();
        let key = router.insert(&filter, Sub(number), None).expect("few levels");
        ((filter, key), begun.elapsed())
    };
    (0..SUBSCRIPTIONS).map(one).unzip()
}

fn remove_all(router: &Router<Sub>, keys: Vec<(Filter, Key)>) -> Vec<Duration> {
    let one = |(filter, key): (Filter, Key)| {
        let begun = Instant::now();
        black_box(router.remove(&filter, key, None));
        begun.elapsed()
    };
    keys.into_iter().map(one).collect()
}

/// Others come and go as fast as they can while somebody looks up.
fn come_and_go(router: &Router<Sub>, subjects: &[Subject]) {
    let over = AtomicBool::new(false);
    let end = Instant::now() + CHURN;
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let (mut came, mut went) = (Vec::new(), Vec::new());
            for number in SUBSCRIPTIONS.. {
                let filter = filter(&name(number));
                let begun = Instant::now();
                let key = router.insert(&filter, Sub(number), None).expect("few levels");
                came.push(begun.elapsed());
                let begun = Instant::now();
                router.remove(&filter, key, None);
                went.push(begun.elapsed());
                if over.load(Ordering::Relaxed) {
                    break;
                }
            }
            say("come", came);
            say("go", went);
        });
        let times = look_up(router, subjects, &|| Instant::now() >= end);
        over.store(true, Ordering::Relaxed);
        say("lookup_while_others_come_and_go", times);
    });
}

/// Looks subjects up, one after the other, until it is over.
fn look_up(
    router: &Router<Sub>,
    subjects: &[Subject],
    is_over: &dyn Fn() -> bool,
) -> Vec<Duration> {
    let mut times = Vec::with_capacity(1 << 20);
    while !is_over() {
        let begun = Instant::now();
        black_box(router.matches(&subjects[times.len() % subjects.len()]));
        times.push(begun.elapsed());
    }
    times
}

/// A third each: exact, one wildcard, all below.
fn name(number: u64) -> String {
    match number % 3 {
        0 => format!("devices.{number}.state"),
        1 => format!("devices.{number}.*"),
        _ => format!("sites.{}.devices.{number}.>", number % 1000),
    }
}

fn filter(text: &str) -> Filter {
    TEXT.filter(text.as_bytes()).expect("a filter")
}

fn subject(text: &str) -> Subject {
    TEXT.subject(text.as_bytes()).expect("a subject")
}

/// Prints how long something took.
fn say(what: &str, mut times: Vec<Duration>) {
    times.sort_unstable();
    let parts = [("p50", 5_000), ("p99", 9_900), ("p9999", 9_999), ("longest", 10_000)];
    for (name, part) in parts {
        let time = times[(times.len() - 1) * part / 10_000];
        println!("{what}_{name}_us {}", time.as_secs_f64() * 1e6);
    }
}
