//! The promised figures, measured on a quiet machine. Each is the median of several runs; a limit
//! is a promise to users, not a guess about this machine.

use std::time::{Duration, Instant};

use tests::{Broker, PATIENCE, Process, Serve, kcat, median, quiet_machine, record_figure};

#[test]
fn it_is_ready_in_under_300_ms() {
    let _quiet = quiet_machine();
    let mut broker = Serve::new().alone().start();
    let first = millis(broker.ready_after());
    let times = restarts(&mut broker, 10);
    record_figure("ready_first_ms", round(first));
    record_figure("ready_ms", round(median(&times)));
    assert!(first < 300.0, "first start on an empty folder: {first} ms");
    assert!(median(&times) < 300.0, "{times:?} ms");
}

#[test]
fn with_10_000_partitions_it_is_ready_in_under_a_second() {
    let _quiet = quiet_machine();
    let mut broker = Serve::new().alone().start();
    for name in ["wide-a", "wide-b"] {
        let created = broker.entrepot(&["topic", "create", name, "--partitions", "5000"]);
        assert!(created.status.success(), "{created:?}");
    }
    let times = restarts(&mut broker, 5);
    record_figure("ready_10000_partitions_ms", round(median(&times)));
    record_figure("rss_10000_partitions_kib", rss_kib(&broker));
    assert!(median(&times) < 1_000.0, "{times:?} ms");
    let described = broker.entrepot(&["topic", "describe", "wide-b", "-o", "json"]);
    assert!(described.stdout.contains("4999"), "the partitions are there");
}

/// Stops it well and starts it again; the times from exec to ready, in milliseconds.
fn restarts(broker: &mut Broker, count: usize) -> Vec<f64> {
    let mut times = Vec::new();
    for _ in 0..count {
        broker.stop();
        broker.restart();
        times.push(millis(broker.ready_after()));
    }
    times
}

#[test]
fn it_idles_under_30_mb() {
    let _quiet = quiet_machine();
    let mut sizes = Vec::new();
    for _ in 0..3 {
        let mut broker = Serve::new().alone().start();
        let ready = rss_kib(&broker);
        broker.lives_for(Duration::from_secs(1));
        let idle = rss_kib(&broker);
        sizes.push(f64::from(ready.max(idle)));
        broker.stop();
    }
    record_figure("idle_rss_kib", round(median(&sizes)));
    assert!(median(&sizes) < 30.0 * 1_000_000.0 / 1024.0, "{sizes:?} KiB");
}

#[test]
fn the_first_message_is_read_within_two_seconds_of_starting() {
    let _quiet = quiet_machine();
    let mut times = Vec::new();
    for _ in 0..3 {
        let begun = Instant::now();
        let broker = Serve::new().alone().start();
        let Some(mut send) = kcat() else { return };
        let file = broker.home().join("hello");
        std::fs::write(&file, "hello\n").unwrap();
        send.args(["-b", &broker.kafka(), "-P", "-t", "first", "-l"]).arg(file);
        let exit = Process::start("kcat -P", &mut send).exit(PATIENCE);
        assert!(exit.status.success(), "{exit:?}");
        let mut read = kcat().unwrap();
        read.args(["-b", &broker.kafka(), "-C", "-q", "-t", "first", "-o", "0", "-c", "1"]);
        let exit = Process::start("kcat -C", &mut read).exit(PATIENCE);
        times.push(millis(begun.elapsed()));
        assert_eq!(exit.stdout, "hello\n", "{exit:?}");
    }
    record_figure("first_message_ms", round(median(&times)));
    assert!(median(&times) < 2_000.0, "{times:?} ms");
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}

/// To one tenth: more digits would be noise.
fn round(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}

/// Resident memory, `VmRSS` of the process.
fn rss_kib(broker: &Broker) -> u32 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", broker.id())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).expect("VmRSS");
    line.trim().trim_end_matches("kB").trim().parse().expect("a number of kB")
}
