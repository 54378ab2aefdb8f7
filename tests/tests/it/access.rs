//! Access rules with librdkafka: an administrator lets somebody produce, forbids it, and forgets
//! about both.

use std::ffi::OsStr;

use serde_json::json;
use tests::{PATIENCE, Python, Script, Serve};

#[test]
fn who_may_produce_is_what_the_administrator_says() {
    let serve = Serve::configured("server.properties", |home, kafka, zookeeper| {
        format!(
            "listeners=SASL_PLAINTEXT://127.0.0.1:{kafka}\n\
             sasl.enabled.mechanisms=PLAIN\n\
             sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \
             user_admin=\"admin-secret\" user_alice=\"alice-secret\";\n\
             authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
             super.users=User:admin\n\
             zookeeper.connect=127.0.0.1:{zookeeper}\n\
             log.dirs={}/data\n",
            home.display()
        )
    });
    let broker = serve.start();
    let server = broker.kafka();
    let args: [&dyn AsRef<OsStr>; 2] = [&server, &"topic"];
    let Some(events) = Script::run(Python::Confluent, "access", &args, PATIENCE) else { return };
    let denied = "TOPIC_AUTHORIZATION_FAILED";
    let expected = [
        json!({"event": "before", "produced": denied}),
        json!({"event": "not created", "code": denied}),
        json!({"event": "allowed", "produced": "stored"}),
        json!({"event": "found", "acls": [["top", "PREFIXED", "WRITE"]]}),
        json!({"event": "denied", "produced": denied}),
        json!({"event": "deleted", "acls": ["top", "topic"], "produced": denied}),
    ];
    assert_eq!(events, expected);
}
