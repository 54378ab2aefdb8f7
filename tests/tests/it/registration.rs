//! A broker registers in Apache's ZooKeeper, as Kafka's brokers do, and kazoo finds it there.

use std::time::Duration;

use serde_json::{Value, json};
use tests::{PATIENCE, Python, Script, Serve, ZooKeeper};

use crate::security::{authority, certified};

/// Longer than the script waits.
const LONG: Duration = Duration::from_secs(200);

const ID: &str = "/brokers/ids/0";

/// Kazoo, looking into a ZooKeeper.
struct Look(Script);

impl Look {
    fn into(server: &str) -> Option<Self> {
        Script::start(Python::Kafka3, "zookeeper_await", &[&server]).map(Self)
    }

    /// Waits until something is so, and returns the node.
    fn until(&mut self, command: &str) -> Value {
        self.0.say(command);
        self.0.event(command.split(' ').next().unwrap(), LONG)
    }

    /// The data of a node, which comes to be if it is not there.
    fn data(&mut self, path: &str) -> Value {
        let node = self.until(&format!("there {path}"));
        serde_json::from_str(node["data"].as_str().unwrap()).unwrap()
    }
}

/// A broker that registers at this address.
fn registering(connect: &str, session_timeout_ms: u32) -> Serve {
    Serve::new()
        .arg("--set")
        .arg(format!("zookeeper.connect={connect}"))
        .arg("--set")
        .arg(format!("zookeeper.session.timeout.ms={session_timeout_ms}"))
}

#[test]
fn what_stands_in_zookeeper_is_what_kafka_writes_and_our_own_door_shows() {
    let Some(server) = ZooKeeper::started() else { return };
    let connect = format!("{}/kafka/one", server.address());
    let mut broker = registering(&connect, 60_000).start();
    let Some(mut there) = Look::into(&connect) else { return };
    let kafka = broker.kafka().replace("127.0.0.1", "localhost");
    let port: u16 = kafka.rsplit(':').next().unwrap().parse().unwrap();
    let id = there.data(ID);
    let expected = json!({
        "features": {},
        "listener_security_protocol_map": {"PLAINTEXT": "PLAINTEXT"},
        "endpoints": [format!("PLAINTEXT://{kafka}")],
        "jmx_port": -1,
        "port": port,
        "host": "localhost",
        "version": 5,
        "timestamp": id["timestamp"],
    });
    assert_eq!(id, expected);
    assert!(id["timestamp"].is_string(), "{id}");
    assert_eq!(there.data("/controller")["brokerid"], 0);

    let run = |args: &[&str]| {
        let exit = broker.entrepot(args);
        assert!(exit.status.success(), "{args:?}: {}{}", exit.stdout, exit.stderr);
    };
    run(&["topic", "create", "orders", "--partitions", "2"]);
    there.until("there /brokers/topics/orders/partitions/1/state");
    let mut here = Look::into(&broker.zookeeper()).unwrap();
    for path in [
        ID,
        "/controller",
        "/controller_epoch",
        "/cluster/id",
        "/feature",
        "/config/topics/orders",
        "/brokers/topics/orders",
        "/brokers/topics/orders/partitions/0/state",
        "/brokers/topics/orders/partitions/1/state",
    ] {
        assert_eq!(there.data(path), here.data(path), "{path}");
    }
    run(&["topic", "create", "orders-2", "--config", "retention.ms=123456"]);
    there.until("says /config/topics/orders-2 123456");
    run(&["topic", "alter", "orders-2", "--partitions", "5"]);
    there.until("there /brokers/topics/orders-2/partitions/4/state");
    // Rules, too, whoever enforces them.
    there.until("there /kafka-acl/Topic");
    there.until("there /kafka-acl-extended/prefixed/Group");
    run(&["topic", "delete", "orders"]);
    there.until("gone /brokers/topics/orders");
    there.until("gone /config/topics/orders");
    // Long before the session would end by itself.
    broker.stop();
    assert!(broker.log().contains("no longer registered in ZooKeeper"), "{}", broker.log());
    there.until(&format!("gone {ID}"));
    there.until("gone /controller");
    there.until("there /brokers/topics/orders-2");
    there.0.finish(PATIENCE);
}

#[test]
fn a_killed_broker_is_gone_after_its_time_out_and_a_new_one_takes_its_place() {
    let Some(server) = ZooKeeper::started() else { return };
    let mut broker = registering(&format!("{}/k", server.address()), 5_000).start();
    let Some(mut there) = Look::into(&format!("{}/k", server.address())) else { return };
    there.until(&format!("there {ID}"));
    broker.kill();
    there.until(&format!("gone {ID}"));
    broker.restart();
    let owner = there.until(&format!("there {ID}"))["owner"].clone();
    // Nobody waits for the session this time: the next broker has to.
    broker.kill();
    broker.restart();
    there.until(&format!("other {ID} {owner}"));
    there.until("there /controller");
    there.0.finish(PATIENCE);
}

#[test]
fn a_broker_outlives_its_zookeeper_and_finds_it_again() {
    let Some(mut server) = ZooKeeper::new() else { return };
    let broker = registering(&format!("{}/k", server.address()), 30_000).start();
    broker.says("cannot reach ZooKeeper");
    server.start();
    let Some(mut there) = Look::into(&format!("{}/k", server.address())) else { return };
    there.until(&format!("there {ID}"));
    server.kill();
    broker.says("the connection to ZooKeeper was lost");
    let exit = broker.entrepot(&["topic", "create", "meanwhile"]);
    assert!(exit.status.success(), "it serves without ZooKeeper: {}", exit.stderr);
    server.start();
    there.until("there /brokers/topics/meanwhile");
    there.until(&format!("there {ID}"));
    there.0.finish(PATIENCE);
}

#[test]
fn a_session_that_expired_is_followed_by_another() {
    let Some(server) = ZooKeeper::started() else { return };
    let mut broker = registering(&format!("{}/k", server.address()), 5_000).start();
    let Some(mut there) = Look::into(&format!("{}/k", server.address())) else { return };
    let owner = there.until(&format!("there {ID}"))["owner"].clone();
    broker.freeze();
    there.until(&format!("gone {ID}"));
    broker.thaw();
    there.until(&format!("other {ID} {owner}"));
    there.until("there /controller");
    broker.says("the session with ZooKeeper has expired");
    there.0.finish(PATIENCE);
}

#[test]
fn over_tls_a_broker_registers_where_it_trusts_and_is_trusted() {
    let (ours, other) = (authority("ours"), authority("other"));
    let Some(server) = ZooKeeper::new() else { return };
    let mut server = server.with_tls(&certified(&ours, "zookeeper"), &ours.pem());
    server.start();
    let connect = format!("{}/k", server.secure_address());
    let over_tls = |ca: &str, certificate: Option<&str>| {
        let serve = registering(&connect, 30_000);
        let mut settings = vec!["zookeeper.ssl.client.enable=true".to_owned()];
        let mut file = |key: &str, name: &str, text: &str| {
            let path = serve.home().join(name);
            std::fs::write(&path, text).expect("the scratch folder is writable");
            settings.push(format!("{key}={}", path.display()));
        };
        file("zookeeper.ssl.truststore.location", "trusted.pem", ca);
        if let Some(certificate) = certificate {
            file("zookeeper.ssl.keystore.location", "broker.pem", certificate);
        }
        settings.iter().fold(serve.clone(), |serve, set| serve.arg("--set").arg(set))
    };
    let own = certified(&ours, "broker");
    for (ca, certificate, why) in [
        (other.pem(), Some(own.as_str()), "invalid peer certificate"),
        (ours.pem(), None, "cannot reach ZooKeeper"),
        (ours.pem(), Some(certified(&other, "broker").as_str()), "cannot reach ZooKeeper"),
    ] {
        over_tls(&ca, certificate).start().says(why);
    }
    let mut broker = over_tls(&ours.pem(), Some(&own)).start();
    let Some(mut there) = Look::into(&format!("{}/k", server.address())) else { return };
    there.until(&format!("there {ID}"));
    let exit = broker.entrepot(&["topic", "create", "orders"]);
    assert!(exit.status.success(), "{exit:?}");
    there.until("there /brokers/topics/orders/partitions/0/state");
    broker.stop();
    there.until(&format!("gone {ID}"));
    there.0.finish(PATIENCE);
}

#[test]
fn a_stock_configuration_registers_in_the_zookeeper_of_this_machine() {
    let Some(server) = ZooKeeper::started() else { return };
    let connect = format!("localhost:{}", server.port());
    let text = |home: &std::path::Path, kafka: u16, _: u16| {
        format!(
            "broker.id=0\nlisteners=PLAINTEXT://127.0.0.1:{kafka}\nlog.dirs={}\n\
             zookeeper.connect={connect}\nzookeeper.connection.timeout.ms=18000\n",
            home.join("data").display()
        )
    };
    let _broker = Serve::configured("server.properties", text).start();
    let Some(mut there) = Look::into(&server.address()) else { return };
    there.until(&format!("there {ID}"));
    // Another cluster keeps away from it.
    let other = registering(&format!("{},{}/", server.address(), server.address()), 5_000).start();
    other.says("the tree is that of cluster");
    there.0.finish(PATIENCE);
}
