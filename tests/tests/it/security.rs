//! TLS and logins, with real clients over each of the security protocols.

use std::path::{Path, PathBuf};
use std::time::Instant;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use tests::{Broker, PATIENCE, Python, Script, Serve, free_port};

pub(crate) type Issuer = CertifiedIssuer<'static, KeyPair>;

pub(crate) fn authority(name: &str) -> Issuer {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key in one PEM.
pub(crate) fn certified(issuer: &Issuer, name: &str) -> String {
    certified_for(issuer, name, &["localhost", "127.0.0.1"])
}

/// The same for these hosts.
pub(crate) fn certified_for(issuer: &Issuer, name: &str, hosts: &[&str]) -> String {
    let hosts: Vec<String> = hosts.iter().map(|host| (*host).to_owned()).collect();
    let mut params = CertificateParams::new(hosts).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    params.signed_by(&key, issuer).unwrap().pem() + &key.serialize_pem()
}

/// A broker with a listener of each protected kind, and the files that clients need.
pub(crate) struct Secured {
    broker: Broker,
    /// Ports of `SASL_SSL` and `SASL_PLAINTEXT`; `SSL` is on the broker's own.
    ports: [u16; 2],
    pub(crate) ca: String,
    pub(crate) client: String,
}

const FILE: &str = "\
log.dirs=HOME/data
listener.security.protocol.map=TLS:SSL,CLIENTS:SASL_SSL,NEAR:SASL_PLAINTEXT
ssl.keystore.type=PEM
ssl.keystore.location=HOME/server.pem
ssl.truststore.type=PEM
ssl.truststore.location=HOME/ca.pem
listener.name.tls.ssl.client.auth=required
ssl.principal.mapping.rules=RULE:^CN=(.*)$/$1/,DEFAULT
sasl.enabled.mechanisms=PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER
listener.name.near.plain.sasl.jaas.config=org.apache.kafka.common.security.plain.PlainLoginModule required user_root=\"first secret\";
";

impl Secured {
    fn start() -> Self {
        Self::start_with(&[])
    }

    /// With some more of the configuration set (`KEY=VALUE`).
    pub(crate) fn start_with(more: &[&str]) -> Self {
        let ports = [free_port(), free_port()];
        let issuer = authority("authority");
        let serve = Serve::configured("server.properties", |home, kafka, zookeeper| {
            std::fs::write(home.join("ca.pem"), issuer.pem()).unwrap();
            std::fs::write(home.join("server.pem"), certified(&issuer, "server")).unwrap();
            std::fs::write(home.join("client.pem"), certified(&issuer, "alice")).unwrap();
            let [with_tls, near] = ports;
            FILE.replace("HOME", &home.display().to_string())
                + &format!(
                    "listeners=TLS://127.0.0.1:{kafka},CLIENTS://127.0.0.1:{with_tls},NEAR://127.0.0.1:{near}\n\
                     zookeeper.connect=localhost:{zookeeper}\n"
                )
        });
        let set = [
            "login.token_unsecured=true",
            "zookeeper.security=SSL",
            "listener.zookeeper.tls.client_auth=required",
        ];
        let broker =
            set.iter().chain(more).fold(serve, |serve, set| serve.arg("--set").arg(*set)).start();
        let file = |name: &str| broker.home().join(name).display().to_string();
        let (ca, client) = (file("ca.pem"), file("client.pem"));
        let secured = Self { broker, ports, ca, client };
        secured.add_user("bob", "bob's secret");
        secured
    }

    /// By the one user who needs no other to be added: the static one.
    fn add_user(&self, name: &str, password: &str) {
        let home = self.broker.home();
        std::fs::write(home.join("root.secret"), "first secret\n").unwrap();
        std::fs::write(home.join("new.secret"), format!("{password}\n")).unwrap();
        let near = format!("127.0.0.1:{}", self.ports[1]);
        let args = [
            "user",
            "add",
            name,
            "--new-password-file",
            "new.secret",
            "--server",
            &near,
            "--user",
            "root",
            "--password-file",
            "root.secret",
            "--sasl-mechanism",
            "PLAIN",
        ];
        let exit = entrepot(home, &args);
        assert!(exit.status.success(), "{exit:?}");
    }

    pub(crate) fn server(&self, protocol: &str) -> String {
        match protocol {
            "SSL" => self.broker.kafka().replace("127.0.0.1", "localhost"),
            "SASL_SSL" => format!("localhost:{}", self.ports[0]),
            _ => format!("localhost:{}", self.ports[1]),
        }
    }
}

fn entrepot(home: &Path, args: &[&str]) -> tests::Exit {
    let owned: Vec<String> = args
        .iter()
        .map(|arg| match home.join(arg) {
            file if file.is_file() => file.display().to_string(),
            _ => (*arg).to_owned(),
        })
        .collect();
    tests::entrepot(home, &owned.iter().map(String::as_str).collect::<Vec<_>>())
}

fn run(python: Python, script: &str, topic: &str, settings: &Value) -> Option<Vec<Value>> {
    Script::run(python, script, &[&topic, &settings.to_string()], PATIENCE)
}

/// Every event, as `kind` or `kind value`.
fn kinds(events: &[Value]) -> Vec<String> {
    events.iter().filter_map(|event| event["event"].as_str().map(str::to_owned)).collect()
}

#[test]
fn librdkafka_gets_in_by_every_door_with_the_right_secret_and_by_none_with_a_wrong_one() {
    let secured = Secured::start();
    let base = |protocol: &str| {
        json!({
            "bootstrap.servers": secured.server(protocol), "security.protocol": protocol,
            "ssl.ca.location": secured.ca,
        })
    };
    let with = |protocol: &str, more: Value| {
        let mut settings = base(protocol);
        settings.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        settings
    };
    let bob = |mechanism: &str, password: &str| json!({"sasl.mechanism": mechanism, "sasl.username": "bob", "sasl.password": password});
    let token = json!({
        "sasl.mechanism": "OAUTHBEARER", "enable.sasl.oauthbearer.unsecure.jwt": true,
        "sasl.oauthbearer.config": "principal=carol",
    });
    let shown = json!({
        "ssl.certificate.location": secured.client, "ssl.key.location": secured.client,
    });
    let mut good = vec![with("SSL", shown)];
    let mut bad = vec![base("SSL")];
    for protocol in ["SASL_SSL", "SASL_PLAINTEXT"] {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            good.push(with(protocol, bob(mechanism, "bob's secret")));
            bad.push(with(protocol, bob(mechanism, "wrong")));
        }
        good.push(with(protocol, token.clone()));
    }
    for (index, settings) in good.iter().enumerate() {
        let topic = format!("t{index}");
        let Some(events) = run(Python::Confluent, "secure_confluent", &topic, settings) else {
            return;
        };
        assert_eq!(kinds(&events), ["sent", "message"], "{settings}: {events:?}");
    }
    for settings in &bad {
        let events = run(Python::Confluent, "secure_confluent", "t0", settings).unwrap();
        assert_eq!(kinds(&events), ["refused"], "{settings}: {events:?}");
    }
    let log = secured.broker.log();
    for secret in ["bob's secret", "first secret", "wrong"] {
        assert!(!log.contains(secret), "{secret:?} is in the log\n{log}");
    }
    assert!(log.contains("login failed"), "{log}");
}

#[test]
fn kafka_python_gets_in_by_every_door() {
    let secured = Secured::start();
    let base = |protocol: &str| {
        json!({
            "bootstrap_servers": secured.server(protocol), "security_protocol": protocol,
            "ssl_cafile": secured.ca,
        })
    };
    let mut all = Vec::new();
    let mut shown = base("SSL");
    shown["ssl_certfile"] = json!(secured.client);
    shown["ssl_keyfile"] = json!(secured.client);
    all.push(shown);
    for protocol in ["SASL_SSL", "SASL_PLAINTEXT"] {
        for mechanism in ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] {
            let mut settings = base(protocol);
            settings["sasl_mechanism"] = json!(mechanism);
            settings["sasl_plain_username"] = json!("bob");
            settings["sasl_plain_password"] = json!("bob's secret");
            all.push(settings);
        }
    }
    for (index, settings) in all.iter().enumerate() {
        let topic = format!("t{index}");
        let Some(events) = run(Python::Kafka3, "secure_kafka", &topic, settings) else { return };
        assert_eq!(kinds(&events), ["sent", "message"], "{settings}: {events:?}");
    }
}

#[test]
fn kazoo_speaks_tls_and_nobody_without_a_certificate_does() {
    let secured = Secured::start();
    let server = secured.broker.zookeeper().replace("127.0.0.1", "localhost");
    let args: [&dyn AsRef<std::ffi::OsStr>; 3] = [&server, &secured.ca, &secured.client];
    let Some(events) = Script::run(Python::Kafka3, "secure_zookeeper", &args, PATIENCE) else {
        return;
    };
    assert_eq!(events[0]["value"], "over TLS");
    // A plain four-letter word gets no answer.
    let mut plain = std::net::TcpStream::connect(secured.broker.zookeeper()).unwrap();
    std::io::Write::write_all(&mut plain, b"ruok").unwrap();
    plain.shutdown(std::net::Shutdown::Write).unwrap();
    let mut answer = Vec::new();
    let _reset = std::io::Read::read_to_end(&mut plain, &mut answer);
    assert!(!answer.starts_with(b"imok"), "{answer:?}");
}

#[test]
fn new_certificates_are_used_at_a_signal_and_broken_ones_are_not() {
    let secured = Secured::start();
    let home = secured.broker.home();
    let status = |ca: &str| {
        let server = secured.server("SSL");
        let args = ["status", "--ca", ca, "--cert", "client.pem", "--server", &server];
        entrepot(home, &args).status.success()
    };
    assert!(status("ca.pem"));
    let signal = || {
        let id = Pid::from_raw(i32::try_from(secured.broker.id()).unwrap()).unwrap();
        kill_process(id, Signal::HUP).unwrap();
    };
    let until = |said: &str| {
        let deadline = Instant::now() + PATIENCE;
        while !secured.broker.log().contains(said) {
            assert!(Instant::now() < deadline, "no {said:?}");
            std::thread::yield_now(); // poll: for a line of the log, bounded by the deadline
        }
    };
    std::fs::write(home.join("server.pem"), "nonsense").unwrap();
    signal();
    until("certificates stay as they were");
    assert!(status("ca.pem"), "the old certificate is still good");
    let next = authority("next");
    std::fs::write(home.join("next.pem"), next.pem()).unwrap();
    std::fs::write(home.join("server.pem"), certified(&next, "server")).unwrap();
    signal();
    until("certificates read again");
    assert!(status("next.pem"));
    assert!(!status("ca.pem"));
}

/// The files of Kafka's tools, and the one flag.
#[test]
fn one_flag_asks_for_logins_over_tls_and_makes_what_they_need() {
    let mut broker = Serve::new()
        .arg("--secure")
        .env("ENTREPOT_LOGIN__ADMIN_PASSWORD", "a first secret")
        .start();
    let log = broker.log();
    assert!(log.contains("first user \"admin\" made") && !log.contains("a first secret"), "{log}");
    let ca: PathBuf = broker.home().join("data/tls/ca.pem");
    let ca = ca.display().to_string();
    let home = broker.home().to_owned();
    std::fs::write(home.join("password.secret"), "a first secret\n").unwrap();
    let server = broker.kafka().replace("127.0.0.1", "localhost");
    let run = |words: &[&str], password: &str| {
        std::fs::write(home.join("password.secret"), format!("{password}\n")).unwrap();
        let login = [
            "--ca",
            &ca,
            "--user",
            "admin",
            "--password-file",
            "password.secret",
            "--server",
            &server,
        ];
        entrepot(&home, &[words, &login].concat())
    };
    let added = run(&["user", "add", "zoe"], "a first secret");
    assert!(added.status.success(), "{added:?}");
    let zoe = added.stdout.trim().to_owned();
    assert_eq!(zoe.len(), 24, "the password that was made");
    let listed = run(&["user", "list", "-o", "json"], "a first secret");
    let users: Value = serde_json::from_str(&listed.stdout).unwrap();
    let names: Vec<_> = users.as_array().unwrap().iter().map(|user| &user["name"]).collect();
    assert_eq!(names, ["admin", "zoe"]);
    let wrong = run(&["topic", "list"], "another secret");
    assert!(
        !wrong.status.success() && wrong.stderr.contains("SASL_AUTHENTICATION_FAILED"),
        "{wrong:?}"
    );
    for bare in [
        &["topic", "list", "--server", &server][..],
        &["topic", "list", "--ca", &ca, "--server", &server],
    ] {
        assert!(!entrepot(&home, bare).status.success(), "{bare:?}");
    }
    let file = format!(
        "security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-256\nssl.truststore.type=PEM\n\
         ssl.truststore.location={ca}\nsasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule \
         required username=\"zoe\" password=\"{zoe}\";\n"
    );
    std::fs::write(home.join("client.properties"), file).unwrap();
    // Access rules are on: zoe gets in, and may do nothing yet.
    let file = ["--command-config", "client.properties", "--server", &server];
    let by_file = |words: &[&str]| entrepot(&home, &[words, &file].concat());
    let listed = by_file(&["topic", "list"]);
    assert!(listed.status.success(), "{listed:?}");
    let denied = by_file(&["topic", "create", "flights"]);
    assert!(denied.stderr.contains("AUTHORIZATION_FAILED"), "{denied:?}");
    // The user and the certificate outlast a restart; nothing is made anew.
    broker.stop();
    broker.restart();
    assert!(!broker.log().contains("first user"), "{}", broker.log());
    assert!(run(&["user", "remove", "zoe"], "a first secret").status.success());
    assert!(!by_file(&["topic", "list"]).status.success());
}
