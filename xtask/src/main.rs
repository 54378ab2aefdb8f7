//! The task runner: `cargo xtask <command>`. Everything that CI does, a developer can do with it.

mod ci;
mod fuzz;
mod graph;
mod process;
mod setup;
mod source;
mod tidy;
mod workspace;

use std::process::ExitCode;

/// A command failed. The text says what, where, and what to do about it.
pub(crate) type Failure = String;

const USAGE: &str = "\
usage: cargo xtask <command>

  tidy             check what the compiler cannot: layers, words, sizes, leftovers, links
  graph [--check]  write the crate graph into ARCHITECTURE.md, or fail when it is stale
  deny             check licences, banned crates and sources (installs cargo-deny once)
  setup [NAME...]  install the real clients that the tests use, into target/deps (or those whose names
                   have one of these in them)
  test [NAME...]   setup, build the release binary, run every test (or those named)
  torture [ROUNDS] every fault of a machine under load, so many rounds of each test (default 300)
  torture --peers [ROUNDS]
                   the same for Kafka, nats-server and RabbitMQ, too (default 20)
  fuzz [NAME...] [--minutes N | --nightly] [--minimise]
                   look for inputs that break a decoder (60 s each; --nightly: 8 h in all)
  bench [NAME...]  measure against Apache Kafka, write docs/benchmarks.md (--rounds N, --turns N);
                   bench nats [NAME...], bench mqtt [NAME...], bench amqp [NAME...], bench coap [NAME...],
                   bench grpc [NAME...]: against nats-server, mosquitto, RabbitMQ, libcoap's server, a plain
                   gRPC service (--pin: a processor for the brokers, one for the generator);
                   bench doors [NAME...]: Kafka's loads with the other doors open and closed;
                   bench sessions [NAME...]: many sessions and subscriptions
  sim [...]        run seeds of the simulation (--seeds N, --from S; --seed S shows one), or put bugs
                   in and write the score into docs/simulation.md (--planted)
  campaign [--seeds N] [--days N]
                   what the diagnosis says of made-up brokers with faults (N of each kind) and without (for N
                   days), into docs/diagnosis.md
  ci               fmt, clippy, tidy, graph, deny, doc, test, figures: what .ci/run does
";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match run(&args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("xtask: {failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(args: &[&str]) -> Result<(), Failure> {
    let root = workspace::root()?;
    match args {
        ["tidy"] => tidy::run(&root),
        ["graph"] => graph::write(&root),
        ["graph", "--check"] => graph::check(&root),
        ["deny"] => ci::deny(&root),
        ["setup", names @ ..] => setup::run(&root, names),
        ["test", names @ ..] => ci::test(&root, names),
        ["torture"] => ci::torture(&root, "300"),
        ["torture", "--peers"] => ci::torture_peers(&root, "20"),
        ["torture", "--peers", rounds] => ci::torture_peers(&root, rounds),
        ["torture", rounds] => ci::torture(&root, rounds),
        ["fuzz", args @ ..] => fuzz::run(&root, args),
        ["bench", args @ ..] => ci::bench(&root, args),
        ["campaign", args @ ..] => ci::campaign(&root, args),
        ["sim", args @ ..] => ci::sim(&root, args),
        ["ci"] => ci::run(&root),
        _ => Err(format!("no such command: {args:?}\n{USAGE}")),
    }
}
