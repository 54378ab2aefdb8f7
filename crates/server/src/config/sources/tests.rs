use std::path::Path;

use super::*;

fn environment(pairs: &[(&str, &str)]) -> Environment {
    Environment {
        variables: pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect(),
        machine: "this-machine".to_owned(),
    }
}

fn flags(set: &[&str]) -> Flags {
    Flags { set: set.iter().map(|text| (*text).to_owned()).collect(), ..Flags::default() }
}

fn errors(flags: &Flags, environment: &Environment) -> Vec<String> {
    Config::load(flags, environment).unwrap_err().0.iter().map(ToString::to_string).collect()
}

#[test]
fn nothing_needs_to_be_configured_and_only_this_machine_can_connect() {
    let config = Config::load(&Flags::default(), &environment(&[("HOME", "/users/u")])).unwrap();
    assert_eq!(
        config.summary(),
        [
            "broker 0",
            "data in /users/u/.local/share/entrepot (default)",
            "Kafka on 127.0.0.1:9092, for this machine only",
            "ZooKeeper on 127.0.0.1:2181, for this machine only",
            "AMQP on 127.0.0.1:5672, for this machine only",
            "AMQP management on 127.0.0.1:15672, for this machine only",
            "HTTP on 127.0.0.1:8080, for this machine only",
            "MQTT on 127.0.0.1:1883, for this machine only",
            "NATS on 127.0.0.1:4222, for this machine only",
            "STOMP on 127.0.0.1:61613, for this machine only",
            "CoAP on 127.0.0.1:5683, for this machine only",
            "gRPC on 127.0.0.1:50051, for this machine only",
        ]
    );
    assert_eq!(config.listeners[0].advertised_host, "localhost");
    assert_eq!(config.notices, []);
    assert_eq!(config.group.initial_rebalance_delay_ms, 0);
    assert_eq!(config.topic.as_topic_config()["retention.ms"], "604800000");
}

#[test]
fn each_door_knows_the_key_of_its_port() {
    let ports = KEYS.iter().filter(|key| key.name.ends_with("port"));
    // DTLS has a socket of its own, which is no listener.
    let ports = ports.filter(|key| !matches!(key.name, "coap.dtls_port"));
    let ports: Vec<_> = (20_000..).zip(ports.map(|key| key.name)).collect();
    let set: Vec<_> = ports.iter().map(|(port, key)| format!("{key}={port}")).collect();
    let set: Vec<_> = set.iter().map(String::as_str).chain(["tls.self_signed=true"]).collect();
    let config = Config::load(&flags(&set), &environment(&[])).unwrap();
    let said = config.listeners.iter().map(|of| (i32::from(of.port), of.door.port_key()));
    let mut said: Vec<_> = said.collect();
    said.sort_unstable();
    assert_eq!(said, ports);
}

#[test]
fn the_data_folder_follows_the_base_directory_specification() {
    let dir = |pairs: &[(&str, &str)]| {
        Config::load(&Flags::default(), &environment(pairs)).unwrap().storage.dir
    };
    let home = ("HOME", "/users/u");
    assert_eq!(dir(&[("XDG_DATA_HOME", "/x"), home]), Path::new("/x/entrepot"));
    assert_eq!(dir(&[("XDG_DATA_HOME", "x"), home]), Path::new("/users/u/.local/share/entrepot"));
    assert_eq!(dir(&[("XDG_DATA_HOME", ""), ("HOME", "")]), Path::new("/var/lib/entrepot"));
    assert_eq!(dir(&[]), Path::new("/var/lib/entrepot"));
}

#[test]
fn each_source_goes_before_the_ones_below_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("entrepot.toml");
    std::fs::write(
        &file,
        "[topic]\npartitions = 2\n[log]\nlevel = \"warn\"\n[kafka]\nport = 1000\n",
    )
    .unwrap();
    let mut flags = flags(&["num.partitions=4"]);
    flags.config = Some(file.clone());
    let variables =
        environment(&[("ENTREPOT_TOPIC__PARTITIONS", "3"), ("ENTREPOT_LOG__LEVEL", "debug")]);
    let config = Config::load(&flags, &variables).unwrap();
    assert_eq!(config.topic.partitions, 4);
    assert_eq!(config.log.level, "debug");
    assert_eq!(config.kafka.port, 1000);
    assert_eq!(config.origin("kafka.port"), &Origin::File { path: file, line: 6 });
    assert_eq!(config.origin("topic.partitions"), &Origin::Flag("--set".into()));
}

#[test]
fn a_toml_file_may_use_every_spelling_of_toml() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("entrepot.TOML");
    std::fs::write(
        &file,
        "broker.id = 0x10\ntopic = { partitions = 1_0, auto_create = false }\n\n\
         [kafka]\nlisteners = [\n \"PLAINTEXT://127.0.0.1:1\",\n \"B://127.0.0.1:2\",\n]\n\
         listener_security = [\"B:PLAINTEXT\"]\n",
    )
    .unwrap();
    let config =
        Config::load(&Flags { config: Some(file), ..Flags::default() }, &environment(&[])).unwrap();
    assert_eq!((config.broker.id, config.topic.partitions), (16, 10));
    assert!(!config.topic.auto_create);
    assert_eq!(
        config.listeners.len(),
        11,
        "two of Kafka's and AMQP's, one each of the other doors"
    );
}

#[test]
fn errors_of_a_toml_file_say_the_line() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("a.toml");
    let said = |text: &[u8]| -> Vec<String> {
        std::fs::write(&file, text).unwrap();
        errors(&Flags { config: Some(file.clone()), ..Flags::default() }, &environment(&[]))
            .into_iter()
            .map(|error| error.rsplit_once(".toml:").unwrap().1.to_owned())
            .collect()
    };
    assert_eq!(
        said(b"[topic]\npartitons = 1\npartitions = 1.5\n\n[nett]\nbind = \"x\"\n"),
        [
            "2: unknown key topic.partitons; did you mean topic.partitions?",
            "3: topic.partitions = \"1.5\" is not allowed: a whole number from 1 to 10000",
            "6: unknown key nett.bind; did you mean net.bind?",
        ]
    );
    assert!(said(b"a = 1\nb = \n")[0].starts_with("2: cannot be read: "));
    assert!(said(b"a = 1\n\xff")[0].starts_with("2: cannot be read: is not UTF-8"));
}

#[test]
fn variables_that_a_platform_invents_are_left_alone() {
    let variables = [
        ("ENTREPOT_SERVICE_HOST", "10.0.0.1"),
        ("ENTREPOT_PORT", "tcp://10.0.0.1:9092"),
        ("ENTREPOT_PORT_9092_TCP_ADDR", "10.0.0.1"),
        ("KAFKA_BROKER_ID", "1"),
    ];
    let config = Config::load(&Flags::default(), &environment(&variables)).unwrap();
    assert!(config.origins.is_empty());
    assert_eq!(
        errors(&Flags::default(), &environment(&[("ENTREPOT_STORAGE__DIRR", "/x")])),
        ["environment ENTREPOT_STORAGE__DIRR: unknown key storage.dirr; did you mean storage.dir?"]
    );
}

#[test]
fn named_flags_set_their_keys_and_say_so_when_they_are_wrong() {
    let flags = Flags {
        data_dir: Some("/data".into()),
        kafka_port: Some("0".into()),
        zookeeper_port: Some("12181".into()),
        mqtt_port: Some("11883".into()),
        bind: Some("::1".into()),
        ..Flags::default()
    };
    let config = Config::load(&flags, &environment(&[])).unwrap();
    assert_eq!(
        config.summary()[1..],
        [
            "data in /data (flag --data-dir)",
            "Kafka on [::1]:any free port, for this machine only",
            "ZooKeeper on [::1]:12181, for this machine only",
            "AMQP on [::1]:5672, for this machine only",
            "AMQP management on [::1]:15672, for this machine only",
            "HTTP on [::1]:8080, for this machine only",
            "MQTT on [::1]:11883, for this machine only",
            "NATS on [::1]:4222, for this machine only",
            "STOMP on [::1]:61613, for this machine only",
            "CoAP on [::1]:5683, for this machine only",
            "gRPC on [::1]:50051, for this machine only",
        ]
    );
    let flags = Flags { kafka_port: Some("90920".into()), ..Flags::default() };
    assert_eq!(
        errors(&flags, &environment(&[])),
        [
            "flag --kafka-port: kafka.port = \"90920\" is not allowed: a whole number from 0 to 65535"
        ]
    );
}

#[test]
fn bind_and_port_replace_those_of_a_listener_from_a_lower_source() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.properties");
    std::fs::write(&file, "listeners=PLAINTEXT://10.0.0.1:9092\n").unwrap();
    let mut flags = Flags { config: Some(file), ..Flags::default() };
    let first = |flags: &Flags| {
        let config = Config::load(flags, &environment(&[])).unwrap();
        format!("{}:{}", config.listeners[0].host, config.listeners[0].port)
    };
    assert_eq!(first(&flags), "10.0.0.1:9092");
    flags.kafka_port = Some("1".into());
    flags.bind = Some("127.0.0.1".into());
    assert_eq!(first(&flags), "127.0.0.1:1");
}

#[test]
fn all_errors_of_all_sources_are_reported_together() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("server.properties");
    std::fs::write(&file, "num.partitions=x\nconfig.providers=y\n").unwrap();
    let mut flags = flags(&["nonsense", "broker.idd=1", "log.level=store=loud"]);
    flags.config = Some(file);
    let errors = errors(&flags, &environment(&[("ENTREPOT_BROKER__ID", "-5")]));
    assert_eq!(errors.len(), 6, "{errors:#?}");
    let missing = Flags { config: Some("/no/such.toml".into()), ..Flags::default() };
    assert!(self::errors(&missing, &environment(&[]))[0].contains("cannot read the configuration"));
    let odd = Flags { config: Some("/no/such.yaml".into()), ..Flags::default() };
    assert!(self::errors(&odd, &environment(&[]))[0].contains("must end in .properties or .toml"));
}

#[test]
fn a_broker_that_registers_elsewhere_has_a_zookeeper_door_if_somebody_says_so() {
    let load = |set: &[&str]| {
        let set = set.iter().map(|&text| text.to_owned()).collect();
        Config::load(&Flags { set, ..Flags::default() }, &Environment::default())
    };
    let has_door = |config: &Config| {
        config.listeners.iter().any(|listener| listener.door == crate::config::Door::Zookeeper)
    };
    let elsewhere = "registration.zookeeper=zk1:2181,zk2:2181/kafka";
    assert!(!has_door(&load(&[elsewhere]).unwrap()));
    for said in ["zookeeper.enabled=true", "zookeeper.port=2182"] {
        assert!(has_door(&load(&[elsewhere, said]).unwrap()), "{said}");
    }
    assert!(!has_door(&load(&[elsewhere, "zookeeper.enabled=false"]).unwrap()));
    load(&["registration.zookeeper=zk1:2181/"]).unwrap();
    load(&["registration.zookeeper=:"]).unwrap_err();
    let restricted = load(&[elsewhere, "registration.set_acl=true"]).unwrap_err().to_string();
    assert!(restricted.contains("needs registration.digest"), "{restricted}");
    let digest = "registration.digest=user:secret";
    let config = load(&[elsewhere, "registration.set_acl=true", digest]).unwrap();
    assert!(!format!("{config:?}").contains("secret"));
    let bad = load(&["registration.digest=secret"]).unwrap_err().to_string();
    assert!(bad.contains("user:password") && !bad.contains("\"secret"), "{bad}");
}
