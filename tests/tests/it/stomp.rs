//! Messages through the STOMP door: stomp.py, as users of RabbitMQ's plugin have it.

use std::ffi::OsStr;
use std::time::Duration;

use tests::{PATIENCE, Python, Script, Serve, free_port};

use crate::mqtt::publish;

/// A script with many parts takes its time on a busy machine.
const LONG: Duration = Duration::from_secs(240);

const ALICE: [&str; 2] = ["login.mechanisms=PLAIN", "login.plain_users=user_alice=\"secret\""];

#[test]
fn stomp_py_does_what_it_does_with_rabbitmq() {
    let broker = Serve::new().start();
    let port = broker.stomp().to_string();
    let args: [&dyn AsRef<OsStr>; 2] = [&"all", &port];
    let Some(events) = Script::run(Python::Stomp, "stomp_py", &args, LONG) else { return };
    let names: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    let all = [
        "queues",
        "acknowledging",
        "refusing",
        "transactions",
        "topics",
        "answers",
        "streams",
        "errors",
        "beats",
    ];
    assert_eq!(names, all);
}

#[test]
fn what_a_client_of_amqp_calls_properties_crosses_both_ways() {
    let sets = ["stomp.security=SASL_PLAINTEXT", "amqp.security=SASL_PLAINTEXT"];
    let sets = [&sets[..], &ALICE].concat();
    let broker = sets.iter().fold(Serve::new(), |serve, set| serve.arg("--set").arg(*set)).start();
    let (stomp, amqp) = (broker.stomp().to_string(), broker.amqp().to_string());
    for (python, script, role, port, event) in [
        (Python::Stomp, "stomp_py", "says", &stomp, "said"),
        (Python::Pika, "amqp_pika", "said", &amqp, "crossed"),
        (Python::Stomp, "stomp_py", "hears", &stomp, "heard"),
    ] {
        let args: [&dyn AsRef<OsStr>; 2] = [&role, port];
        let Some(events) = Script::run(python, script, &args, PATIENCE) else { return };
        assert!(events.iter().any(|told| told["event"] == event), "{role}: {events:?}");
    }
}

fn log_in(port: &str, more: &[&str]) {
    let mut args: Vec<&dyn AsRef<OsStr>> = vec![&"login", &port];
    args.extend(more.iter().map(|arg| arg as &dyn AsRef<OsStr>));
    let Some(events) = Script::run(Python::Stomp, "stomp_py", &args, PATIENCE) else { return };
    let names: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(names, ["in", "refused"]);
}

#[test]
fn a_password_lets_in_and_a_wrong_one_does_not() {
    let sets = [&["stomp.security=SASL_PLAINTEXT"][..], &ALICE].concat();
    let broker = sets.iter().fold(Serve::new(), |serve, set| serve.arg("--set").arg(*set)).start();
    log_in(&broker.stomp().to_string(), &[]);
}

#[test]
fn the_same_over_tls() {
    let port = free_port();
    let tls_port = format!("stomp.tls_port={port}");
    let sets = ["stomp.security=SASL_SSL", "tls.self_signed=true", &tls_port];
    let sets = [&sets[..], &ALICE].concat();
    let broker = sets.iter().fold(Serve::new(), |serve, set| serve.arg("--set").arg(*set)).start();
    let log = broker.log();
    let told = log.lines().find_map(|line| line.strip_prefix("clients trust the authority in "));
    let authority = told.expect("it is said where");
    log_in(&broker.stomp().to_string(), &[authority]);
    log_in(&port.to_string(), &[authority]);
}

#[test]
fn what_a_receipt_was_for_is_there_after_a_kill() {
    let mut broker = Serve::new().start();
    let port = broker.stomp().to_string();
    let args: [&dyn AsRef<OsStr>; 2] = [&"kept", &port];
    let Some(mut script) = Script::start(Python::Stomp, "stomp_py", &args) else { return };
    script.event("published", PATIENCE);
    broker.kill();
    broker.restart();
    // The end of its input is what it waits for.
    let events = script.finish(PATIENCE);
    assert!(events.iter().any(|event| event["event"] == "found"), "{events:?}");
}

#[test]
fn a_queue_is_a_topic_and_a_topic_is_a_subject_of_all_doors() {
    if tests::tool("mosquitto").is_none() {
        return;
    }
    let broker = Serve::new().start();
    let port = broker.stomp().to_string();
    let args: [&dyn AsRef<OsStr>; 2] = [&"crossing", &port];
    let Some(mut script) = Script::start(Python::Stomp, "stomp_py", &args) else { return };
    script.event("subscribed", PATIENCE);
    let properties = ["-D", "publish", "content-type", "text/plain"];
    let unit = ["-D", "publish", "user-property", "unit", "C"];
    let message = ["-V", "mqttv5", "-q", "1", "-t", "sensors/a/temp", "-m", "21"];
    publish(&broker, &[&message[..], &properties, &unit].concat());
    script.event("published", PATIENCE);
    let kafka = broker.kafka();
    let args: [&dyn AsRef<OsStr>; 1] = [&kafka];
    if Script::run(Python::Kafka3, "amqp_kafka", &args, PATIENCE).is_none() {
        return;
    }
    script.say("it is there");
    script.event("crossed", PATIENCE);
    script.finish(PATIENCE);
}
