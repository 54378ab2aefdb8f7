use std::path::Path;

use super::super::Door;
use super::super::model::Config;
use super::super::origin::ConfigErrors;
use super::super::sources::{Environment, Flags};

fn load(text: &str) -> Result<Config, ConfigErrors> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.properties");
    std::fs::write(&file, text).unwrap();
    let flags = Flags { config: Some(file), ..Flags::default() };
    let environment = Environment { machine: "this-machine".into(), ..Environment::default() };
    Config::load(&flags, &environment)
}

fn accepted(text: &str) -> Config {
    load(text).unwrap_or_else(|errors| panic!("{text:?}: {errors}"))
}

/// The errors, each without the folder of the file.
fn errors(text: &str) -> Vec<String> {
    let errors = load(text).err().unwrap_or_else(|| panic!("{text:?} was accepted"));
    errors.0.iter().map(|error| after_folder(&error.to_string())).collect()
}

fn notices(config: &Config) -> Vec<String> {
    config.notices.iter().map(|notice| after_folder(&notice.to_string())).collect()
}

fn after_folder(text: &str) -> String {
    match text.split_once("server.properties:") {
        Some((_, rest)) => rest.to_owned(),
        None => text.to_owned(),
    }
}

/// What the Kafka listeners bind and advertise.
fn kafka(config: &Config) -> Vec<String> {
    config
        .listeners
        .iter()
        .filter(|listener| listener.door == Door::Kafka)
        .map(|l| {
            format!(
                "{} {}:{} as {}:{}",
                l.name, l.host, l.port, l.advertised_host, l.advertised_port
            )
        })
        .collect()
}

/// The settings of the stock file of the ZooKeeper era (2.0 to 3.9), comments left out.
const STOCK_ZOOKEEPER: &str = "\
broker.id=0
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kafka-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
#log.flush.interval.messages=10000
#log.flush.interval.ms=1000
log.retention.hours=168
#log.retention.bytes=1073741824
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
zookeeper.connect=localhost:2181
zookeeper.connection.timeout.ms=18000
group.initial.rebalance.delay.ms=0
";

/// The settings of the stock file of the KRaft era (3.3 to 4.x), comments left out.
const STOCK_KRAFT: &str = "\
process.roles=broker,controller
node.id=1
controller.quorum.bootstrap.servers=localhost:9093
controller.quorum.voters=1@localhost:9093
listeners=PLAINTEXT://:9092,CONTROLLER://:9093
inter.broker.listener.name=PLAINTEXT
advertised.listeners=PLAINTEXT://localhost:9092,CONTROLLER://localhost:9093
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT,SSL:SSL,SASL_PLAINTEXT:SASL_PLAINTEXT,SASL_SSL:SASL_SSL
num.network.threads=3
num.io.threads=8
socket.send.buffer.bytes=102400
socket.receive.buffer.bytes=102400
socket.request.max.bytes=104857600
log.dirs=/tmp/kraft-combined-logs
num.partitions=1
num.recovery.threads.per.data.dir=1
offsets.topic.replication.factor=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
log.retention.hours=168
log.segment.bytes=1073741824
log.retention.check.interval.ms=300000
";

/// Keys of a file that neither show in the configuration's origins nor in its notices: they must
/// not exist.
fn silent(text: &str, config: &Config) -> Vec<String> {
    let lines: Vec<usize> = (1..=text.lines().count())
        .filter(|line| !text.lines().nth(line - 1).unwrap().starts_with('#'))
        .collect();
    let spoken: Vec<usize> = config
        .shown()
        .into_iter()
        .map(|shown| shown.origin)
        .chain(config.notices.iter().map(|notice| notice.origin.to_string()))
        .filter_map(|origin| origin.rsplit_once(':')?.1.parse().ok())
        .collect();
    lines
        .into_iter()
        .filter(|line| !spoken.contains(line))
        .map(|line| text.lines().nth(line - 1).unwrap().to_owned())
        .collect()
}

#[test]
fn the_stock_file_of_the_zookeeper_era_is_accepted_and_no_key_is_silent() {
    let config = accepted(STOCK_ZOOKEEPER);
    assert_eq!(silent(STOCK_ZOOKEEPER, &config), [""; 0]);
    assert_eq!(config.network.worker_threads, 3);
    assert_eq!(config.network.send_buffer_bytes, Some(102_400));
    assert_eq!(config.storage.dir, Path::new("/tmp/kafka-logs"));
    assert_eq!(config.zookeeper.port, 2181);
    assert_eq!(kafka(&config), ["PLAINTEXT 127.0.0.1:9092 as localhost:9092"]);
}

#[test]
fn the_stock_file_of_the_kraft_era_is_accepted_and_no_key_is_silent() {
    let config = accepted(STOCK_KRAFT);
    assert_eq!(silent(STOCK_KRAFT, &config), [""; 0]);
    assert_eq!(config.broker.id, 1);
    assert_eq!(kafka(&config), ["PLAINTEXT 0.0.0.0:9092 as localhost:9092"]);
    let open = "5: kafka.listeners: PLAINTEXT listens on 0.0.0.0:9092 without login or encryption; \
                whoever reaches it may read and write everything";
    assert!(notices(&config).contains(&open.to_owned()), "{:#?}", notices(&config));
}

#[test]
fn every_key_that_a_kafka_user_is_told_to_set_is_honoured_or_named() {
    let text = "\
broker.id=3
listeners=PLAINTEXT://127.0.0.1:19092
log.dirs=/data/kafka
num.partitions=8
auto.create.topics.enable=false
num.network.threads=2
num.io.threads=8
socket.send.buffer.bytes=65536
socket.receive.buffer.bytes=65537
socket.request.max.bytes=1000000
num.replica.fetchers=1
replica.fetch.max.bytes=1048576
replica.fetch.wait.max.ms=500
replica.high.watermark.checkpoint.interval.ms=5000
zookeeper.connect=127.0.0.1:12181
zookeeper.connection.timeout.ms=6000
zookeeper.session.timeout.ms=6000
";
    let config = accepted(text);
    assert_eq!(silent(text, &config), [""; 0]);
    assert_eq!(config.broker.id, 3);
    assert_eq!(kafka(&config), ["PLAINTEXT 127.0.0.1:19092 as localhost:19092"]);
    assert_eq!(config.storage.dir, Path::new("/data/kafka"));
    assert_eq!(config.topic.partitions, 8);
    assert!(!config.topic.auto_create);
    assert_eq!(config.network.worker_threads, 2);
    assert_eq!(config.network.send_buffer_bytes, Some(65_536));
    assert_eq!(config.network.receive_buffer_bytes, Some(65_537));
    assert_eq!(config.network.request_max_bytes, 1_000_000);
    assert_eq!(config.zookeeper.port, 12_181);
    assert_eq!(config.zookeeper.session_timeout_max_ms, 6000);
    assert_eq!(config.registration.connect_timeout_ms, 6000);
    let named: Vec<_> = config.notices.iter().map(|notice| notice.key.as_str()).collect();
    assert_eq!(
        named,
        [
            "num.io.threads",
            "num.replica.fetchers",
            "replica.fetch.max.bytes",
            "replica.fetch.wait.max.ms",
            "replica.high.watermark.checkpoint.interval.ms",
        ]
    );
    let fetchers = "11: num.replica.fetchers: has no effect here: a message is stored once; there \
                    are no follower replicas to fetch for, elect or balance";
    assert!(notices(&config).contains(&fetchers.to_owned()), "{:#?}", notices(&config));
}

#[test]
fn a_unit_is_converted_and_the_finest_goes_first_whatever_the_order() {
    let hour = 60 * 60 * 1000;
    assert_eq!(accepted("log.retention.hours=2").topic.retention_ms, Some(2 * hour));
    assert_eq!(accepted("log.retention.minutes=2").topic.retention_ms, Some(2 * 60 * 1000));
    assert_eq!(accepted("log.retention.hours=-1").topic.retention_ms, None);
    assert_eq!(accepted("log.roll.hours=1").topic.segment_ms, hour);
    for text in [
        "log.retention.hours=1\nlog.retention.ms=5\nlog.retention.minutes=1",
        "log.retention.ms=5\nlog.retention.minutes=1\nlog.retention.hours=1",
    ] {
        let config = accepted(text);
        assert_eq!(config.topic.retention_ms, Some(5));
        let beaten = "has no effect: log.retention.ms is set, which goes first";
        assert_eq!(notices(&config).iter().filter(|text| text.ends_with(beaten)).count(), 2);
    }
    assert_eq!(
        errors("log.retention.hours=9223372036854775807"),
        ["1: log.retention.hours = \"9223372036854775807\" is not allowed: a whole number up to \
          2562047788015"]
    );
    assert_eq!(errors("log.retention.hours=0").len(), 1, "as in Kafka");
}

#[test]
fn a_bad_value_says_key_value_range_and_place() {
    assert_eq!(
        errors("\nnum.partitions=0\nlog.segment.bytes=1\nauto.create.topics.enable=yes"),
        [
            "2: num.partitions = \"0\" is not allowed: a whole number from 1 to 10000",
            "3: log.segment.bytes = \"1\" is not allowed: a whole number from 65536 to 2147483647",
            "4: auto.create.topics.enable = \"yes\" is not allowed: true or false",
        ]
    );
    assert_eq!(
        errors("num.io.threads=none"),
        ["1: num.io.threads = \"none\" is not allowed: a whole number from 1 up"],
        "a key without effect is checked too"
    );
}

#[test]
fn an_unknown_key_says_its_line_and_the_nearest_name() {
    assert_eq!(
        errors("broker.id=1\nnum.partition=3\nlog.retention.hour=1\nmy.own.key=x"),
        [
            "2: unknown key num.partition; did you mean num.partitions?",
            "3: unknown key log.retention.hour; did you mean log.retention.hours?",
            "4: unknown key my.own.key; remove it, or see docs/configuration.md for the keys",
        ]
    );
}

#[test]
fn of_a_repeated_key_the_last_counts_and_the_earlier_is_named() {
    let config = accepted("num.partitions=2\nnum.partitions=5\n");
    assert_eq!(config.topic.partitions, 5);
    assert!(notices(&config)[0].starts_with("1: num.partitions: is set again at "));
}

#[test]
fn protection_that_cannot_be_given_is_refused() {
    for (text, key) in [
        ("ssl.keystore.type=JKS", "ssl.keystore.type"),
        ("ssl.truststore.type=PKCS12", "ssl.truststore.type"),
        ("ssl.engine.factory.class=com.example.Engine", "ssl.engine.factory.class"),
        (
            "sasl.server.callback.handler.class=com.example.Own",
            "sasl.server.callback.handler.class",
        ),
        ("principal.builder.class=com.example.Own", "principal.builder.class"),
        ("zookeeper.ssl.keystore.type=JKS", "zookeeper.ssl.keystore.type"),
        ("zookeeper.ssl.ocsp.enable=true", "zookeeper.ssl.ocsp.enable"),
        ("listener.name.internal.max.connections=5", "listener.name.internal.max.connections"),
        ("create.topic.policy.class.name=com.example.Policy", "create.topic.policy.class.name"),
        ("config.providers=file", "config.providers"),
    ] {
        let errors = errors(text);
        assert_eq!(errors.len(), 1, "{errors:?}");
        let start = format!("1: {key} is not supported yet: ");
        assert!(errors[0].starts_with(&start), "{errors:?}");
    }
    for text in [
        "security.inter.broker.protocol=SASL_SSL",
        "ssl.keystore.type=PEM",
        "ssl.keystore.password=x",
        "sasl.kerberos.service.name=kafka",
    ] {
        assert_eq!(notices(&accepted(text)).len(), 1, "{text} asks for nothing");
    }
}

const SECURED: &str = "\
listeners=INTERNAL://127.0.0.1:9092,CLIENTS://127.0.0.1:9093,TLS://127.0.0.1:9094
listener.security.protocol.map=INTERNAL:SASL_PLAINTEXT,CLIENTS:SASL_SSL,TLS:SSL
ssl.keystore.type=PEM
ssl.keystore.location=/etc/broker.pem
ssl.truststore.location=/etc/ca.pem
ssl.client.auth=required
ssl.principal.mapping.rules=RULE:^CN=(.*?),O=(.*)$/$1,$2/L,DEFAULT
sasl.enabled.mechanisms=SCRAM-SHA-512
connections.max.reauth.ms=3600000
listener.name.internal.sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256
listener.name.internal.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required \\
  username=\"admin\" password=\"x\" user_admin=\"x\" user_zoe=\"a,b;c\";
listener.name.internal.scram-sha-256.sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username=\"admin\" password=\"x\";
listener.name.clients.sasl.enabled.mechanisms=OAUTHBEARER
listener.name.clients.oauthbearer.sasl.jaas.config=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule required;
listener.name.clients.connections.max.reauth.ms=0
sasl.oauthbearer.jwks.endpoint.url=file:///etc/jwks.json
sasl.oauthbearer.expected.audience=a,b
";

#[test]
fn who_may_do_what_is_configured_as_in_kafka() {
    let config = accepted(
        "authorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n\
         super.users=User:admin;User:CN=broker,OU=it\n\
         allow.everyone.if.no.acl.found=true\n\
         max.connections.per.ip=7\n\
         max.connections.per.ip.overrides=127.0.0.1:9,::1:3\n\
         max.connection.creation.rate=50\n\
         quota.window.num=5\n\
         controller.quota.window.size.seconds=2\n",
    );
    assert!(config.security.authorize && config.security.allow_if_no_rule);
    assert_eq!(config.security.super_users, ["User:admin", "User:CN=broker,OU=it"]);
    let network = &config.network;
    assert_eq!((network.max_connections_per_ip, network.max_connection_rate), (7, 50));
    assert_eq!(network.max_connections_per_ip_overrides, ["127.0.0.1:9", "::1:3"]);
    assert_eq!((config.quota.windows, config.quota.mutation_window_seconds), (5, 2));
    assert!(!accepted("authorizer.class.name=").security.authorize);
    for (text, start) in [
        (
            "authorizer.class.name=com.example.Mine",
            "1: authorizer.class.name = \"com.example.Mine\"",
        ),
        ("super.users=admin", "1: super.users = \"admin\" is not allowed: `User:NAME`"),
        ("max.connections.per.ip.overrides=::1", "1: max.connections.per.ip.overrides = \"::1\""),
        ("authorizer.mine=1", "1: authorizer.mine is not supported yet: "),
    ] {
        let errors = errors(text);
        assert!(errors.len() == 1 && errors[0].starts_with(start), "{errors:?}");
    }
}

#[test]
fn each_listener_has_its_own_protection() {
    let config = accepted(SECURED);
    let [internal, clients, tls, ..] = &config.listeners[..] else { panic!("{config:?}") };
    assert_eq!(internal.tls, None);
    let login = internal.login.as_ref().unwrap();
    assert_eq!(login.mechanisms, ["PLAIN", "SCRAM-SHA-256"]);
    assert_eq!(login.session_max_ms, Some(3_600_000));
    let users = crate::config::plain_users(login.plain_users.as_ref().unwrap());
    let wanted = [("admin", "x"), ("zoe", "a,b;c")];
    assert_eq!(users, wanted.map(|(n, p)| (n.to_owned(), p.to_owned())).into());

    let login = clients.login.as_ref().unwrap();
    assert_eq!((login.mechanisms[0].as_str(), login.session_max_ms), ("OAUTHBEARER", None));
    assert_eq!(login.token_keys.as_deref(), Some("/etc/jwks.json"));
    assert_eq!(login.token_audiences, ["a", "b"]);
    assert_eq!(login.plain_users, None);
    let own = clients.tls.as_ref().unwrap();
    assert_eq!(own.client_auth, "none", "where clients log in, the common setting does not count");
    assert_eq!(own.certificate.as_deref(), Some("/etc/broker.pem"));

    assert_eq!(tls.login, None);
    let tls = tls.tls.as_ref().unwrap();
    assert_eq!(
        (tls.client_auth.as_str(), tls.client_ca.as_deref()),
        ("required", Some("/etc/ca.pem"))
    );
    assert_eq!(tls.principal_rules, "RULE:^CN=(.*?),O=(.*)$/$1,$2/L,DEFAULT");
}

#[test]
fn secrets_are_shown_nowhere() {
    let config = accepted(SECURED);
    assert!(!format!("{config:?}").contains("a,b;c"));
    assert!(!config.to_toml(true).contains("a,b;c"));
    let bad = errors("sasl.jaas.config=\"broken user_zoe=\"secret");
    assert!(bad[0].contains("[hidden]") && !bad[0].contains("secret"), "{bad:?}");
}

#[test]
fn protection_that_lacks_something_is_refused() {
    for (text, lacks) in [
        ("listeners=SSL://127.0.0.1:9093", "tls.certificate"),
        (
            "listeners=SSL://127.0.0.1:9093\nssl.keystore.location=/k\nssl.client.auth=required",
            "tls.client_ca",
        ),
        (
            "listeners=SASL_PLAINTEXT://127.0.0.1:9093\nsasl.enabled.mechanisms=GSSAPI",
            "OAUTHBEARER",
        ),
        (
            "listeners=SASL_PLAINTEXT://127.0.0.1:9093\nsasl.enabled.mechanisms=OAUTHBEARER",
            "login.token_keys",
        ),
        ("listeners=SASL_PLAINTEXT://127.0.0.1:9093\nsasl.enabled.mechanisms=", "is empty"),
        ("ssl.client.auth=maybe", "none | requested | required"),
        ("ssl.enabled.protocols=TLSv1.1", "TLSv1.2 | TLSv1.3"),
        ("ssl.principal.mapping.rules=RULE:(/x/", "RULE:pattern"),
        ("sasl.oauthbearer.jwks.endpoint.url=https://idp/keys", "file: URL"),
        ("ssl.keystore.locations=/x", "did you mean ssl.keystore.location?"),
    ] {
        let errors = errors(text);
        assert!(errors[0].contains(lacks), "{text}: {errors:?}");
    }
    let nowhere = notices(&accepted("listener.name.x.ssl.client.auth=none"));
    assert!(nowhere[0].contains("there is no listener X"), "{nowhere:?}");
}

#[test]
fn a_listener_without_a_protocol_is_refused() {
    let unnamed = errors("listeners=MINE://127.0.0.1:9093");
    assert!(unnamed[0].contains("say MINE:PLAINTEXT in kafka.listener_security"), "{unnamed:?}");
}

#[test]
fn listeners_have_kafkas_meaning() {
    let config = accepted("listeners=PLAINTEXT://:9092");
    assert_eq!(kafka(&config), ["PLAINTEXT 0.0.0.0:9092 as this-machine:9092"]);
    let config = accepted(
        "listeners=INTERNAL://10.0.0.1:9092, external://0.0.0.0:9094\n\
         advertised.listeners=EXTERNAL://broker.example:443\n\
         listener.security.protocol.map=internal:plaintext,EXTERNAL:PLAINTEXT",
    );
    assert_eq!(
        kafka(&config),
        ["INTERNAL 10.0.0.1:9092 as 10.0.0.1:9092", "EXTERNAL 0.0.0.0:9094 as broker.example:443"]
    );
    assert_eq!(
        errors("listeners=PLAINTEXT://a:1\nadvertised.listeners=OTHER://b:1,PLAINTEXT://0.0.0.0:1"),
        [
            "2: kafka.advertised_listeners names OTHER, which is not among the listeners",
            "2: kafka.advertised_listeners = \"PLAINTEXT://0.0.0.0:1\" is not allowed: a host that \
             clients can connect to, not all addresses",
        ]
    );
    assert_eq!(errors("listeners=9092").len(), 1);
    assert_eq!(errors("listeners=").len(), 1);
    assert_eq!(
        errors("listeners=CONTROLLER://:9093\ncontroller.listener.names=CONTROLLER").len(),
        1
    );
    assert_eq!(errors("listeners=PLAINTEXT://a:1,PLAINTEXT://b:2").len(), 1, "a name twice");
    assert_eq!(errors("listeners=PLAINTEXT://127.0.0.1:2181").len(), 1, "ZooKeeper's port");
}

#[test]
fn the_address_keys_of_old_releases_work() {
    assert_eq!(kafka(&accepted("port=9091")), ["PLAINTEXT 127.0.0.1:9091 as localhost:9091"]);
    let config = accepted("host.name=10.0.0.1\nport=9091\nadvertised.host.name=a.example");
    assert_eq!(kafka(&config), ["PLAINTEXT 10.0.0.1:9091 as a.example:9091"]);
    let config = accepted("host.name=10.0.0.1\nlisteners=PLAINTEXT://127.0.0.1:9095");
    assert_eq!(kafka(&config), ["PLAINTEXT 127.0.0.1:9095 as localhost:9095"]);
}

#[test]
fn several_data_folders_are_named_as_not_supported() {
    let config = accepted("log.dirs=/a, /b ,/c\nlog.dir=/d");
    assert_eq!(config.storage.dir, Path::new("/a"));
    assert_eq!(
        notices(&config),
        [
            "1: log.dirs: only one data folder is supported; /a is used and /b, /c is not",
            "2: log.dir: has no effect: log.dirs is set, which goes first",
        ]
    );
    assert_eq!(errors("log.dirs= , ").len(), 1);
}

#[test]
fn the_two_names_of_the_broker_id_must_agree() {
    assert_eq!(accepted("node.id=4").broker.id, 4);
    assert_eq!(accepted("node.id=4\nbroker.id=4").broker.id, 4);
    assert_eq!(accepted("node.id=4\nbroker.id=-1").broker.id, 4);
    assert_eq!(accepted("broker.id=-1").broker.id, 0);
    assert!(errors("node.id=4\nbroker.id=5")[0].contains("node.id is 4, but broker.id at "));
}

#[test]
fn a_controller_alone_cannot_be_run() {
    assert!(errors("process.roles=controller")[0].contains("no separate controllers"));
    assert_eq!(errors("process.roles=broker,observer").len(), 1);
    accepted("process.roles=broker");
}

#[test]
fn a_loopback_zookeeper_is_our_own_port_and_any_other_is_registered_in() {
    for (text, port) in [
        ("localhost:12181", 12_181),
        ("127.0.0.1:12181/", 12_181),
        ("[::1]:12181", 12_181),
        ("LOCALHOST", 2181),
    ] {
        let config = accepted(&format!("zookeeper.connect={text}"));
        assert_eq!((config.zookeeper.port, config.notices.len()), (port, 0), "{text}");
        assert_eq!(config.registration.zookeeper, "", "{text}");
        assert!(config.registration.if_port_taken, "{text}");
        assert!(has_zookeeper_door(&config), "{text}");
    }
    for (text, servers) in [
        ("zk1", "zk1:2181"),
        ("localhost:2182, localhost:2183", "localhost:2182,localhost:2183"),
        ("10.0.0.9:2182,[::1]:5/a/b", "10.0.0.9:2182,[::1]:5/a/b"),
        ("localhost:12181/kafka", "localhost:12181/kafka"),
    ] {
        let config = accepted(&format!("zookeeper.connect={text}"));
        assert_eq!((config.zookeeper.port, config.notices.len()), (2181, 0), "{text}");
        assert_eq!(config.registration.zookeeper, servers);
        assert!(!config.registration.if_port_taken, "{text}");
        assert!(!has_zookeeper_door(&config), "{text}");
    }
    for text in ["", ":", "localhost:x", "localhost:99999", "a b:1", "zk1/a/", "zk1/a,zk2/a/"] {
        assert_eq!(errors(&format!("zookeeper.connect={text}")).len(), 1, "{text:?}");
    }
}

fn has_zookeeper_door(config: &Config) -> bool {
    config.listeners.iter().any(|listener| listener.door == Door::Zookeeper)
}

#[test]
fn how_a_zookeeper_is_talked_to_has_its_keys() {
    let config = accepted(
        "zookeeper.connect=zk1\nzookeeper.session.timeout.ms=6000\n\
         zookeeper.connection.timeout.ms=7000\n",
    );
    let registration = &config.registration;
    assert_eq!((registration.session_timeout_ms, registration.connect_timeout_ms), (6000, 7000));
    assert_eq!(config.zookeeper.session_timeout_max_ms, 6000, "of our own clients, too");
    assert_eq!(errors("zookeeper.session.timeout.ms=x").len(), 1, "said once");
    let stock = accepted("zookeeper.connect=zk1").registration;
    assert_eq!((stock.session_timeout_ms, stock.connect_timeout_ms), (18_000, 18_000), "Kafka's");
    assert!(errors("zookeeper.connect=zk1\nzookeeper.set.acl=true")[0].contains("needs"));
    accepted("zookeeper.connect=localhost\nzookeeper.set.acl=true");
}

#[test]
fn a_session_timeout_below_the_default_minimum_lowers_the_minimum() {
    let zookeeper = accepted("zookeeper.session.timeout.ms=2000").zookeeper;
    assert_eq!((zookeeper.session_timeout_min_ms, zookeeper.session_timeout_max_ms), (2000, 2000));
    let both = "group.min.session.timeout.ms=9\ngroup.max.session.timeout.ms=8";
    assert!(errors(both)[0].contains("is 9, above group.max_session_timeout_ms, which is 8"));
}

#[test]
fn a_number_that_only_says_no_limit_is_lowered_and_named() {
    let config = accepted("group.max.size=2147483647\nmax.connections=2147483647");
    assert_eq!(config.group.max_size, 10_000);
    assert!(notices(&config)[0].contains("is taken as 10000"));
}

#[test]
fn the_cleaners_keys_have_their_meaning() {
    let config = accepted(
        "log.cleaner.enable=false\nlog.cleaner.backoff.ms=20\n\
         log.cleaner.dedupe.buffer.size=5000\nlog.cleaner.io.max.bytes.per.second=1000.5\n\
         log.cleanup.policy=compact,delete\nlog.cleaner.min.cleanable.ratio=0.01\n\
         log.cleaner.delete.retention.ms=7\nlog.cleaner.min.compaction.lag.ms=1\n\
         log.cleaner.max.compaction.lag.ms=9\n",
    );
    let storage = &config.storage;
    assert!(!storage.cleaner_enable);
    assert_eq!((storage.cleaner_backoff_ms, storage.cleaner_dedupe_bytes), (20, 5000));
    assert_eq!(storage.cleaner_io_bytes_per_second, Some(1001));
    let topic = config.topic.as_topic_config();
    for (name, value) in [
        ("cleanup.policy", "compact,delete"),
        ("min.cleanable.dirty.ratio", "0.01"),
        ("delete.retention.ms", "7"),
        ("min.compaction.lag.ms", "1"),
        ("max.compaction.lag.ms", "9"),
    ] {
        assert_eq!(topic[name], value);
    }
    let stock = accepted("log.cleaner.io.max.bytes.per.second=1.7976931348623157E308");
    assert_eq!(stock.storage.cleaner_io_bytes_per_second, None);
    assert!(errors("log.cleanup.policy=compress")[0].contains("a list of compact, delete"));
    assert!(errors("log.cleaner.min.cleanable.ratio=2")[0].contains("a number from 0 to 1"));
}

#[test]
fn the_keys_of_times_and_codecs_have_their_meaning() {
    let config = accepted(
        "log.message.timestamp.type=LogAppendTime\nlog.message.timestamp.before.max.ms=5\n\
         log.message.timestamp.after.max.ms=6\ncompression.type=zstd\n\
         compression.gzip.level=9\ncompression.zstd.level=-7\n",
    );
    let topic = config.topic.as_topic_config();
    for (name, value) in [
        ("message.timestamp.type", "LogAppendTime"),
        ("message.timestamp.before.max.ms", "5"),
        ("message.timestamp.after.max.ms", "6"),
        ("compression.type", "zstd"),
        ("compression.gzip.level", "9"),
        ("compression.zstd.level", "-7"),
    ] {
        assert_eq!(topic[name], value);
    }
    assert!(errors("compression.type=brotli")[0].contains("one of producer, uncompressed"));
    assert!(errors("compression.gzip.level=0")[0].contains("a number from 1 to 9, or -1"));
}
