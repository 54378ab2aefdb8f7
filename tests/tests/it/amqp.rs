//! Messages through the AMQP door: pika, as users of RabbitMQ have it.

use std::ffi::OsStr;
use std::time::Duration;

use tests::{PATIENCE, Python, Script, Serve, free_port};

use crate::mqtt::publish;

/// A script with many parts takes its time on a busy machine.
const LONG: Duration = Duration::from_secs(240);

#[test]
fn pika_does_what_it_does_with_rabbitmq() {
    let broker = Serve::new().arg("--set").arg("amqp.virtual_hosts=other").start();
    let port = broker.amqp().to_string();
    let args: [&dyn AsRef<OsStr>; 2] = [&"all", &port];
    let Some(events) = Script::run(Python::Pika, "amqp_pika", &args, LONG) else { return };
    let names: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    let all = [
        "queues",
        "messages",
        "order",
        "confirms",
        "transactions",
        "exchanges",
        "dead_letters",
        "consumers",
        "replies",
        "hosts",
    ];
    assert_eq!(names, all);
}

#[test]
fn celery_and_aio_pika_do_what_they_do_with_rabbitmq() {
    let broker = Serve::new().start();
    let port = broker.amqp().to_string();
    let Some(events) = Script::run(Python::Celery, "amqp_celery", &[&port], LONG) else { return };
    let names: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    let all = ["tasks", "retries", "group", "control", "iterator", "transaction", "rpc"];
    assert_eq!(names, all);
}

#[test]
fn clients_of_the_management_api_do_what_they_do_with_rabbitmq() {
    let sets = [
        "amqp.security=SASL_PLAINTEXT",
        "login.mechanisms=PLAIN",
        "login.plain_users=user_root=\"secret\"",
        "security.authorize=true",
        "security.super_users=User:root",
    ];
    let broker = sets.iter().fold(Serve::new(), |serve, set| serve.arg("--set").arg(*set)).start();
    let (port, management) = (broker.amqp().to_string(), broker.management().to_string());
    let args: [&dyn AsRef<OsStr>; 4] = [&port, &management, &"root", &"secret"];
    let Some(events) = Script::run(Python::AmqpStorm, "amqp_management", &args, LONG) else {
        return;
    };
    let names: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    let all = [
        "overview",
        "queues",
        "messages",
        "exchanges",
        "connections",
        "hosts",
        "policies",
        "statistics",
        "users",
    ];
    assert_eq!(names, all);
}

const ALICE: [&str; 2] = ["login.mechanisms=PLAIN", "login.plain_users=user_alice=\"secret\""];

fn log_in(port: &str, more: &[&str]) {
    let mut args: Vec<&dyn AsRef<OsStr>> = vec![&"login", &port];
    args.extend(more.iter().map(|arg| arg as &dyn AsRef<OsStr>));
    let Some(events) = Script::run(Python::Pika, "amqp_pika", &args, PATIENCE) else { return };
    let names: Vec<_> = events.iter().filter_map(|event| event["event"].as_str()).collect();
    assert_eq!(names, ["in", "refused"]);
}

#[test]
fn a_password_lets_in_and_a_wrong_one_does_not() {
    let sets = [&["amqp.security=SASL_PLAINTEXT"][..], &ALICE].concat();
    let broker = sets.iter().fold(Serve::new(), |serve, set| serve.arg("--set").arg(*set)).start();
    log_in(&broker.amqp().to_string(), &[]);
}

#[test]
fn the_same_over_tls() {
    let port = free_port();
    let tls_port = format!("amqp.tls_port={port}");
    let sets = ["amqp.security=SASL_SSL", "tls.self_signed=true", &tls_port];
    let sets = [&sets[..], &ALICE].concat();
    let broker = sets.iter().fold(Serve::new(), |serve, set| serve.arg("--set").arg(*set)).start();
    let log = broker.log();
    let told = log.lines().find_map(|line| line.strip_prefix("clients trust the authority in "));
    let authority = told.expect("it is said where");
    log_in(&broker.amqp().to_string(), &[authority]);
    log_in(&port.to_string(), &[authority]);
}

#[test]
fn what_was_confirmed_is_there_after_a_kill() {
    let mut broker = Serve::new().start();
    let port = broker.amqp().to_string();
    let args: [&dyn AsRef<OsStr>; 2] = [&"kept", &port];
    let Some(mut script) = Script::start(Python::Pika, "amqp_pika", &args) else { return };
    script.event("published", PATIENCE);
    broker.kill();
    broker.restart();
    script.say("go on");
    script.event("found", PATIENCE);
    script.finish(PATIENCE);
}

#[test]
fn a_queue_is_a_topic_and_what_others_publish_waits_in_it() {
    let broker = Serve::new().start();
    let port = broker.amqp().to_string();
    let args: [&dyn AsRef<OsStr>; 2] = [&"crossing", &port];
    let Some(mut script) = Script::start(Python::Pika, "amqp_pika", &args) else { return };
    script.event("bound", PATIENCE);
    if tests::tool("mosquitto").is_none() {
        return;
    }
    let properties = ["-D", "publish", "content-type", "text/plain"];
    let unit = ["-D", "publish", "user-property", "unit", "C"];
    let message = ["-V", "mqttv5", "-q", "1", "-t", "sensors/a/temp", "-m", "21"];
    publish(&broker, &[&message[..], &properties, &unit].concat());
    script.say("it is there");
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

#[test]
fn nothing_that_was_confirmed_is_lost_in_kills() {
    /// As many as a busy machine has time for; each begins where messages were confirmed since the last.
    const KILLS: usize = 8;
    let mut broker = Serve::new().start();
    let port = broker.amqp().to_string();
    let args: [&dyn AsRef<OsStr>; 1] = [&port];
    let Some(mut script) = Script::start(Python::Pika, "amqp_kill", &args) else { return };
    for round in 0..KILLS {
        // At another moment each time.
        for _ in 0..=round % 5 {
            script.event("confirmed", PATIENCE);
        }
        broker.kill();
        broker.restart();
    }
    script.event("confirmed", PATIENCE);
    script.say("stop");
    let verified = script.event("verified", LONG);
    assert!(verified["confirmed"].as_u64().unwrap() >= 20 * KILLS as u64, "{verified}");
    script.finish(PATIENCE);
}
