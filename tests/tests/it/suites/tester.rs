//! What nats.go's tests ask for their servers: a service that they talk to by NATS itself. It creates, stops and
//! starts brokers of ours; whatever a server is asked to be that we are not is refused with the reason.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::thread::JoinHandle;
use std::time::Duration;

use serde_json::{Value, json};
use tests::{Broker, Serve, free_port};

use crate::security::{Issuer, authority, certified_for};
use crate::wires::nats::{self, Nats};

/// What ends the service.
const END: &str = "tester.end";

/// The header that says that a request failed, and why.
const ERROR: &str = "Nats-Service-Error";

/// The service, and the broker that it is reached by.
pub(super) struct Tester {
    bus: Broker,
    service: JoinHandle<()>,
}

impl Tester {
    /// Starts it. It waits so long for each request.
    pub(super) fn start(patience: Duration) -> Self {
        let bus = Serve::new().start();
        let mut client = Nats::connect(&bus.nats());
        client.wait_up_to(patience);
        client.subscribe("tester.>");
        let service = std::thread::spawn(move || serve(client));
        Self { bus, service }
    }

    /// Where it is reached: the servers that it creates are at the same host.
    pub(super) fn url(&self) -> String {
        format!("nats://{}", self.bus.nats().replace("127.0.0.1", "localhost"))
    }

    pub(super) fn stop(self) {
        Nats::connect(&self.bus.nats()).publish(END, None, None, b"");
        self.service.join().expect("the service does not panic");
    }
}

fn serve(mut bus: Nats) {
    let mut servers = Servers::default();
    loop {
        let request = bus.message();
        if request.subject == END {
            return;
        }
        let Some(reply) = request.reply else { continue };
        let asked: Value = serde_json::from_slice(&request.payload).unwrap_or_default();
        match servers.answer(&request.subject, &asked) {
            Ok(answer) => bus.publish(&reply, None, None, answer.to_string().as_bytes()),
            Err(why) => {
                let head = nats::block(&[(ERROR.to_owned(), why.replace('\n', " ").into())]);
                bus.publish(&reply, None, Some(&head), b"");
            }
        }
    }
}

/// The servers that tests have.
#[derive(Default)]
struct Servers {
    all: Vec<Server>,
    created: usize,
}

struct Server {
    name: String,
    websocket: Option<u16>,
    broker: Broker,
    runs: bool,
}

impl Servers {
    fn answer(&mut self, subject: &str, asked: &Value) -> Result<Value, String> {
        match subject.trim_start_matches("tester.") {
            "create.server" => self.create(asked),
            "create.cluster" | "create.super-cluster" => {
                Err("a cluster: a broker here is alone".to_owned())
            }
            "destroy" => {
                let id = asked["instance_id"].as_str().unwrap_or_default();
                self.all.retain(|server| server.name != id);
                Ok(json!({"destroyed": true}))
            }
            "stop.server" => {
                let server = self.named(asked)?;
                server.broker.stop();
                server.runs = false;
                Ok(json!({"shutdown": true}))
            }
            "start.server" => {
                let server = self.named(asked)?;
                server.broker.restart();
                server.runs = true;
                Ok(json!({"started": true}))
            }
            "status" => {
                let one = asked["instance_id"].as_str();
                let wanted =
                    self.all.iter().filter(|server| one.is_none_or(|id| id == server.name));
                let instances: Vec<Value> = wanted.map(Server::instance).collect();
                Ok(json!({ "instances": instances }))
            }
            "reset" => {
                self.all.clear();
                Ok(json!({"shutdown": true}))
            }
            other => Err(format!("{other}: a configuration is not changed here")),
        }
    }

    fn named(&mut self, asked: &Value) -> Result<&mut Server, String> {
        let name = asked["name"].as_str().unwrap_or_default();
        let found = self.all.iter_mut().find(|server| server.name == name);
        found.ok_or_else(|| format!("there is no server {name}"))
    }

    fn create(&mut self, asked: &Value) -> Result<Value, String> {
        let wanted = Wanted::read(asked)?;
        let serve = Serve::new();
        let material = wanted.material(serve.home());
        let websocket = wanted.websocket.then(free_port);
        let settings = wanted.settings(serve.home(), websocket);
        let serve = settings.iter().fold(serve, |serve, set| serve.arg("--set").arg(set));
        let started = catch_unwind(AssertUnwindSafe(|| serve.start()));
        let broker = started.map_err(|_| format!("the broker does not start with {settings:?}"))?;
        wanted.add_rules(&broker)?;
        self.created += 1;
        let server =
            Server { name: format!("server-{}", self.created), websocket, broker, runs: true };
        let mut answer = server.instance();
        answer["tls"] = material;
        self.all.push(server);
        Ok(answer)
    }
}

impl Server {
    fn instance(&self) -> Value {
        let port =
            self.broker.nats().rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
        let ports: Value = match self.websocket {
            Some(port) => json!({"websocket": port}),
            None => json!({}),
        };
        let server = json!({"name": self.name, "port": port, "ports": ports, "running": self.runs});
        json!({"id": self.name, "kind": "server", "servers": [server]})
    }
}

/// What a server is asked to be.
#[derive(Default)]
struct Wanted {
    /// Name and password, or a token alone.
    login: Option<(Option<String>, String)>,
    websocket: bool,
    tls: Option<Tls>,
    rules: Vec<Rule>,
    more: Vec<String>,
}

/// What a user may do or not.
struct Rule {
    operation: &'static str,
    denies: bool,
    subject: String,
}

struct Tls {
    names: Vec<String>,
    is_mutual: bool,
    is_first: bool,
    issuer: Issuer,
}

impl Wanted {
    fn read(asked: &Value) -> Result<Self, String> {
        if asked["jetstream"] == true {
            return Err("JetStream is not there yet".to_owned());
        }
        if asked["template"].as_str().is_some_and(|text| !text.is_empty()) || asked["trace"] == true
        {
            return Err("a configuration of nats-server".to_owned());
        }
        let mut wanted = Self { tls: Tls::read(&asked["tls"])?, ..Self::default() };
        for (key, body) in asked["snippets"].as_object().into_iter().flatten() {
            let words = words(body.as_str().unwrap_or_default());
            if !words.is_empty() {
                wanted.add(key, &words)?;
            }
        }
        Ok(wanted)
    }

    /// Takes a part of nats-server's configuration over.
    fn add(&mut self, key: &str, words: &[String]) -> Result<(), String> {
        // A name is followed by its value, which may be the name of another.
        let value = |name: &str| {
            let at = words.iter().position(|word| word == name)?;
            words.get(at + 1).cloned()
        };
        let users =
            words.windows(2).filter(|two| two[0] == "password" || two[0] == "token").count();
        match key {
            "authorization" => {
                if users > 1 {
                    return Err("several users".to_owned());
                }
                self.rules = rules(words);
                let secret = value("password").or_else(|| value("token"));
                let secret = secret.ok_or_else(|| format!("authorization: {words:?}"))?;
                self.login = Some((value("user"), secret));
                Ok(())
            }
            // Compression is offered, and need not be used.
            "websocket" => {
                self.websocket = true;
                Ok(())
            }
            "top"
                if words.first().is_some_and(|word| word == "max_payload") && words.len() == 2 =>
            {
                self.more.push(format!("nats.max_payload_bytes={}", words[1]));
                Ok(())
            }
            _ => Err(format!("{key}: {}", words.join(" "))),
        }
    }

    fn settings(&self, home: &Path, websocket: Option<u16>) -> Vec<String> {
        let file = |name: &str| home.join(name).display().to_string();
        let mut all = self.more.clone();
        let protocol = match (&self.tls, &self.login) {
            (None, None) => "PLAINTEXT",
            (Some(_), None) => "SSL",
            (None, Some(_)) => "SASL_PLAINTEXT",
            (Some(_), Some(_)) => "SASL_SSL",
        };
        all.push(format!("nats.security={protocol}"));
        match &self.login {
            Some((Some(user), password)) => {
                all.push("login.mechanisms=PLAIN".to_owned());
                all.push(format!("login.plain_users=user_{user}=\"{password}\""));
            }
            Some((None, token)) => all.push(format!("nats.token={token}")),
            None => {}
        }
        if !self.rules.is_empty() {
            // Who makes the rules, without a login.
            all.push("security.authorize=true".to_owned());
            all.push("security.super_users=User:ANONYMOUS".to_owned());
            let is_open = self.rules.iter().all(|rule| rule.denies);
            all.push(format!("security.allow_if_no_rule={is_open}"));
        }
        if let Some(tls) = &self.tls {
            all.push(format!("tls.certificate={}", file("server.pem")));
            all.push(format!("nats.tls_first={}", tls.is_first));
            if tls.is_mutual {
                all.push(format!("tls.client_ca={}", file("ca.pem")));
                all.push("listener.nats.tls.client_auth=required".to_owned());
            }
        }
        all.extend(websocket.map(|port| format!("nats.websocket_port={port}")));
        all
    }

    fn add_rules(&self, broker: &Broker) -> Result<(), String> {
        let Some((Some(user), _)) = &self.login else { return Ok(()) };
        for Rule { operation, denies, subject } in &self.rules {
            let mut args = vec!["acl", "add", "-p", user, "-O", operation, "--topic", subject];
            args.extend(denies.then_some("--deny"));
            let exit = broker.entrepot(&args);
            if !exit.status.success() {
                return Err(format!("{args:?}: {}", exit.stderr));
            }
        }
        Ok(())
    }

    /// Writes certificates; what clients need of them.
    fn material(&self, home: &Path) -> Value {
        let Some(tls) = &self.tls else { return Value::Null };
        let names: Vec<&str> = tls.names.iter().map(String::as_str).collect();
        let (server, client) = (
            certified_for(&tls.issuer, "server", &names),
            certified_for(&tls.issuer, "client", &["localhost"]),
        );
        std::fs::write(home.join("ca.pem"), tls.issuer.pem())
            .expect("a scratch folder is writable");
        std::fs::write(home.join("server.pem"), server).expect("a scratch folder is writable");
        // Certificate and key stand together, and whoever reads one passes over the other.
        let client = if tls.is_mutual { client } else { String::new() };
        json!({"ca_pem": tls.issuer.pem(), "client_cert_pem": client, "client_key_pem": client})
    }
}

impl Tls {
    fn read(asked: &Value) -> Result<Option<Self>, String> {
        if asked.is_null() {
            return Ok(None);
        }
        if asked["timeout"].as_f64().is_some_and(|seconds| seconds > 0.0) {
            return Err("a time-out of the handshake".to_owned());
        }
        let names = asked["sans"].as_array().into_iter().flatten();
        let names: Vec<String> =
            names.filter_map(|name| name.as_str().map(str::to_owned)).collect();
        Ok(Some(Self {
            names,
            is_mutual: asked["mode"] != "server",
            is_first: asked["handshake_first"] == true,
            // Their names differ, as those of real ones do.
            issuer: authority(&format!("tester {}", free_port())),
        }))
    }
}

/// The rules of `permissions { publish { allow: … } subscribe { deny: … } }`.
fn rules(words: &[String]) -> Vec<Rule> {
    let (mut rules, mut operation, mut denies) = (Vec::new(), None, None);
    for word in words {
        match word.as_str() {
            "publish" => (operation, denies) = (Some("write"), None),
            "subscribe" => (operation, denies) = (Some("read"), None),
            "allow" => denies = Some(false),
            "deny" => denies = Some(true),
            subject => {
                if let (Some(operation), Some(denies)) = (operation, denies) {
                    rules.push(Rule { operation, denies, subject: subject.to_owned() });
                }
            }
        }
    }
    rules
}

/// The words of a configuration of nats-server, without what is between them, and without remarks.
fn words(body: &str) -> Vec<String> {
    let lines = body.lines().map(|line| line.split('#').next().unwrap_or_default());
    let between = |char: char| char.is_whitespace() || ":={}[]\"',".contains(char);
    lines
        .flat_map(|line| line.split(between))
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}
