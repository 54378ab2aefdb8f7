//! `cargo xtask ci`, `test` and `deny`: the steps, in the order in which a fault is cheapest found.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use serde_json::Value;

use crate::{Failure, graph, process, setup, tidy};

/// Everything that must hold.
///
/// # Errors
/// At the first step that fails.
pub(crate) fn run(root: &Path) -> Result<(), Failure> {
    let begun = Instant::now();
    process::step("fmt", cargo(root).args(["fmt", "--all", "--check"]))?;
    tidy::run(root)?;
    graph::check(root)?;
    let mut clippy = cargo(root);
    clippy.args(["clippy", "--workspace", "--all-targets", "--quiet", "--", "-D", "warnings"]);
    process::step("clippy", &mut clippy)?;
    let mut doc = cargo(root);
    doc.args(["doc", "--workspace", "--no-deps", "--quiet"]).env("RUSTDOCFLAGS", "-D warnings");
    process::step("doc", &mut doc)?;
    deny(root)?;
    test(root, &[])?;
    println!("ci: all well in {:.0} s", begun.elapsed().as_secs_f64());
    Ok(())
}

/// Licences, banned crates, sources.
///
/// # Errors
/// When cargo-deny cannot be installed, or finds something.
pub(crate) fn deny(root: &Path) -> Result<(), Failure> {
    let program = setup::cargo_deny(root)?;
    let mut deny = Command::new(program);
    deny.current_dir(root).args(["check", "licenses", "bans", "sources"]);
    process::step("deny", &mut deny)
}

/// Builds the release binary and runs the tests: all, or those whose names contain one given.
///
/// # Errors
/// When something does not build, a test fails, or (with CI=true) a test was skipped.
pub(crate) fn test(root: &Path, names: &[&str]) -> Result<(), Failure> {
    setup::run(root, &[])?;
    process::step("build", cargo(root).args(["build", "--release", "--package", "entrepot"]))?;
    let binary = binary(root)?;
    let (skipped, figures) = (root.join("target/skipped.txt"), root.join("target/figures.json"));
    for old in [&skipped, &figures] {
        std::fs::remove_file(old).ok();
    }
    let mut test = cargo(root);
    test.args(["test", "--workspace", "--no-fail-fast", "--"]).args(names);
    test.env("ENTREPOT_BIN", &binary);
    process::step("test", &mut test)?;
    report(&binary, &figures)?;
    let skipped = std::fs::read_to_string(skipped).unwrap_or_default();
    if skipped.is_empty() {
        return Ok(());
    }
    println!("skipped on this machine:\n{skipped}");
    if setup::in_ci() { Err("tests were skipped".to_owned()) } else { Ok(()) }
}

/// The tests of what a crash may do, for so many rounds each. What chance decides follows from a
/// seed that a failing test prints.
///
/// # Errors
/// When something cannot be installed or built, `rounds` is no number, or a test fails.
pub(crate) fn torture(root: &Path, rounds: &str) -> Result<(), Failure> {
    rounds.parse::<u32>().map_err(|_| format!("not a number of rounds: {rounds:?}"))?;
    setup::run(root, &[])?;
    process::step("build", cargo(root).args(["build", "--release", "--package", "entrepot"]))?;
    let mut test = cargo(root);
    test.args(["test", "--package", "tests", "--test", "it", "--no-fail-fast", "--"]);
    test.args(["--nocapture", "kill9", "power::", "torture::", "exactly_once"]);
    test.env("ENTREPOT_BIN", binary(root)?);
    for kind in ["KILL", "KILL_AMQP", "KILL_SHARE", "POWER", "TORTURE", "EOS"] {
        test.env(format!("ENTREPOT_{kind}_ROUNDS"), rounds);
    }
    process::step("torture", &mut test)?;
    let mut bits = cargo(root);
    bits.args(["test", "--package", "store", "--test", "it", "--", "--nocapture", "bits::"]);
    process::step("wrong bits", bits.env("ENTREPOT_BIT_ROUNDS", rounds))
}

/// The same faults for Entrepot and for the brokers that it is compared with; writes docs/crashes.md.
///
/// # Errors
/// When something cannot be installed or built, `rounds` is no number, or Entrepot does not come through.
pub(crate) fn torture_peers(root: &Path, rounds: &str) -> Result<(), Failure> {
    rounds.parse::<u32>().map_err(|_| format!("not a number of rounds: {rounds:?}"))?;
    setup::kafka(root)?;
    setup::nats_server(root)?;
    setup::rabbitmq(root)?;
    setup::run(root, &["py-confluent", "py-nats", "py-pika"])?;
    measure(root, &["crashes", "--rounds", rounds])
}

/// Measures the release binary against Apache Kafka, nats-server, mosquitto, RabbitMQ, libcoap's server or a plain gRPC service;
/// against itself, or alone.
///
/// # Errors
/// When something cannot be installed or built, or a load fails.
pub(crate) fn bench(root: &Path, args: &[&str]) -> Result<(), Failure> {
    match args.first() {
        // Another build is the peer.
        _ if args.contains(&"--beside") => {}
        Some(&("nats" | "grpc")) => setup::nats_server(root)?,
        Some(&"mqtt") => setup::mosquitto(root)?,
        Some(&"amqp") => setup::rabbitmq(root)?,
        Some(&"coap") => setup::libcoap(root)?,
        // Entrepot alone, or beside itself.
        Some(&("doors" | "sessions")) => {}
        _ => setup::kafka(root)?,
    }
    measure(root, args)
}

fn measure(root: &Path, args: &[&str]) -> Result<(), Failure> {
    process::step("build", cargo(root).args(["build", "--release", "--package", "entrepot"]))?;
    let mut bench = cargo(root);
    // Optimised, too: it is itself the load.
    bench.args(["run", "--quiet", "--release", "--package", "bench", "--"]).args(args);
    bench.env("ENTREPOT_BIN", binary(root)?);
    process::step("bench", &mut bench)
}

/// The simulation, optimised. Its bugs can be chosen, and none is unless asked for.
///
/// # Errors
/// When a seed finds something.
pub(crate) fn sim(root: &Path, args: &[&str]) -> Result<(), Failure> {
    let mut sim = cargo(root);
    sim.args(["run", "--quiet", "--profile", "sim", "--package", "sim", "--features", "planted"]);
    sim.arg("--");
    for arg in args {
        sim.arg(arg);
        if *arg == "--planted" {
            sim.arg("docs/simulation.md"); // where the score goes
        }
    }
    process::step("sim", &mut sim)
}

/// What the rules of the diagnosis say of brokers that are made up, into their page.
pub(crate) fn campaign(root: &Path, args: &[&str]) -> Result<(), Failure> {
    let mut campaign = cargo(root);
    campaign.args(["run", "--quiet", "--profile", "sim", "--package", "observe"]);
    campaign.args(["--example", "campaign", "--"]).args(args).arg("docs/diagnosis.md");
    process::step("campaign", &mut campaign)
}

fn cargo(root: &Path) -> Command {
    let mut cargo = Command::new("cargo");
    cargo.current_dir(root);
    cargo
}

/// Where Cargo put the release binary.
fn binary(root: &Path) -> Result<PathBuf, Failure> {
    let mut metadata = cargo(root);
    metadata.args(["metadata", "--format-version", "1", "--no-deps"]);
    let metadata: Value =
        serde_json::from_str(&process::output(&mut metadata)?).map_err(|e| e.to_string())?;
    let target = metadata["target_directory"].as_str().ok_or("cargo metadata: no target folder")?;
    Ok(Path::new(target).join("release/entrepot"))
}

/// Prints what the tests measured, so that a reader of the log sees where we stand.
fn report(binary: &Path, figures: &Path) -> Result<(), Failure> {
    let bytes = std::fs::metadata(binary).map_err(|e| format!("{binary:?}: {e}"))?.len();
    println!("figures:\n  binary_bytes: {bytes}");
    // Absent when only other tests were asked for.
    let Ok(text) = std::fs::read_to_string(figures) else { return Ok(()) };
    let figures: Value = serde_json::from_str(&text).map_err(|e| e.to_string())?;
    for (name, value) in figures.as_object().into_iter().flatten() {
        println!("  {name}: {value}");
    }
    Ok(())
}
