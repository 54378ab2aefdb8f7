//! A broker under test: the real binary in a folder and on ports of its own.

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use parking_lot::RwLockReadGuard;
use rustix::process::Signal;
use tempfile::TempDir;

use crate::process::{Exit, Process};
use crate::{PATIENCE, tools, turns};

/// How to start a broker.
#[derive(Debug, Clone)]
pub struct Serve {
    home: Arc<TempDir>,
    program: PathBuf,
    args: Vec<OsString>,
    env: Vec<(OsString, OsString)>,
    kafka_port: u16,
    zookeeper_port: u16,
    amqp_port: u16,
    management_port: u16,
    http_port: u16,
    mqtt_port: u16,
    nats_port: u16,
    stomp_port: u16,
    coap_port: u16,
    grpc_port: u16,
    alone: bool,
}

impl Serve {
    /// On free ports, with its data in a new folder.
    pub fn new() -> Self {
        let (kafka_port, zookeeper_port) = (turns::free_port(), turns::free_port());
        let plain = Self { kafka_port, zookeeper_port, ..Self::plain() }.with_other_ports();
        let data = plain.data();
        plain
            .arg("--data-dir")
            .arg(data)
            .arg("--kafka-port")
            .arg(kafka_port.to_string())
            .arg("--zookeeper-port")
            .arg(zookeeper_port.to_string())
    }

    /// With no argument at all: the default ports, and the default folder of a user whose home is
    /// a new one. Hold [`crate::default_ports`] while it runs.
    pub fn plain() -> Self {
        Self {
            home: Arc::new(tools::scratch()),
            program: tools::binary(),
            args: vec!["serve".into()],
            env: Vec::new(),
            kafka_port: 9092,
            zookeeper_port: 2181,
            amqp_port: 5672,
            management_port: 15672,
            http_port: 8080,
            mqtt_port: 1883,
            nats_port: 4222,
            stomp_port: 61613,
            coap_port: 5683,
            grpc_port: 50051,
            alone: false,
        }
    }

    /// Free ports for the doors that a configuration file need not speak of.
    fn with_other_ports(self) -> Self {
        let (mqtt_port, nats_port) = (turns::free_port(), turns::free_port());
        let (amqp_port, management_port) = (turns::free_port(), turns::free_port());
        let (coap_port, stomp_port) = (turns::free_port(), turns::free_port());
        let (grpc_port, http_port) = (turns::free_port(), turns::free_port());
        let serve = Self { amqp_port, coap_port, http_port, management_port, mqtt_port, ..self };
        let serve = Self { grpc_port, nats_port, stomp_port, ..serve };
        serve
            .env("ENTREPOT_HTTP__PORT", &http_port.to_string())
            .env("ENTREPOT_AMQP__PORT", &amqp_port.to_string())
            .env("ENTREPOT_AMQP__MANAGEMENT_PORT", &management_port.to_string())
            .env("ENTREPOT_COAP__PORT", &coap_port.to_string())
            .env("ENTREPOT_GRPC__PORT", &grpc_port.to_string())
            .env("ENTREPOT_MQTT__PORT", &mqtt_port.to_string())
            .env("ENTREPOT_NATS__PORT", &nats_port.to_string())
            .env("ENTREPOT_STOMP__PORT", &stomp_port.to_string())
    }

    /// With a configuration file of this name and nothing else. Its text is made from the home
    /// folder, the Kafka port and the ZooKeeper port.
    ///
    /// # Panics
    /// When the file cannot be written.
    pub fn configured(name: &str, text: impl FnOnce(&Path, u16, u16) -> String) -> Self {
        let (kafka_port, zookeeper_port) = (turns::free_port(), turns::free_port());
        let plain = Self { kafka_port, zookeeper_port, ..Self::plain() }.with_other_ports();
        let file = plain.home.path().join(name);
        std::fs::write(&file, text(plain.home.path(), kafka_port, zookeeper_port))
            .expect("the scratch folder is writable");
        plain.arg("--config").arg(file)
    }

    /// Another build than [`crate::binary`].
    #[must_use]
    pub fn program(mut self, program: impl Into<PathBuf>) -> Self {
        self.program = program.into();
        self
    }

    /// One more argument.
    #[must_use]
    pub fn arg(mut self, arg: impl Into<OsString>) -> Self {
        self.args.push(arg.into());
        self
    }

    /// One more environment variable.
    #[must_use]
    pub fn env(mut self, name: &str, value: &str) -> Self {
        self.env.push((name.into(), value.into()));
        self
    }

    /// Compiles `tests/native/NAME.c` and has the broker preload it, after those asked for before.
    ///
    /// # Panics
    /// When there is no C compiler.
    #[must_use]
    pub fn preload(mut self, name: &str) -> Self {
        let library = self.home().join(name).with_extension("so");
        let source = tools::root().join("tests/native").join(name).with_extension("c");
        let mut compiler = Command::new("cc");
        compiler.args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"]);
        compiler.arg(&library).arg(&source).args(["-ldl", "-lpthread"]);
        let compiled = compiler.output().expect("a C compiler is there");
        assert!(compiled.status.success(), "{}", String::from_utf8_lossy(&compiled.stderr));
        let preload = "LD_PRELOAD";
        match self.env.iter_mut().find(|(name, _)| name == preload) {
            Some((_, all)) => {
                all.push(":");
                all.push(library);
            }
            None => self.env.push((preload.into(), library.into())),
        }
        self
    }

    /// For a test that holds [`crate::quiet_machine`].
    #[must_use]
    pub fn alone(mut self) -> Self {
        self.alone = true;
        self
    }

    /// The user's home folder.
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// The data folder of [`Self::new`].
    pub fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Starts it and waits until it is ready.
    ///
    /// # Panics
    /// When it does not get ready.
    pub fn start(self) -> Broker {
        let turn = (!self.alone).then(turns::shared_machine);
        let process = self.launch();
        let mut broker = Broker { serve: self, process, ready_after: Duration::ZERO, _turn: turn };
        broker.wait_until_ready();
        broker
    }

    /// Starts it and waits until it gives up.
    ///
    /// # Panics
    /// When it does not.
    pub fn refused(&self) -> Exit {
        self.launch().exit(PATIENCE)
    }

    fn launch(&self) -> Process {
        let mut command = command(&self.program, self.home.path());
        command.args(&self.args).envs(self.env.iter().map(|(name, value)| (name, value)));
        Process::start("entrepot serve", &mut command)
    }
}

impl Default for Serve {
    fn default() -> Self {
        Self::new()
    }
}

/// A running broker. Killed when dropped; its log is shown when the test is failing.
#[derive(Debug)]
pub struct Broker {
    serve: Serve,
    process: Process,
    ready_after: Duration,
    _turn: Option<RwLockReadGuard<'static, ()>>,
}

impl Broker {
    /// Address for Kafka clients.
    pub fn kafka(&self) -> String {
        format!("127.0.0.1:{}", self.serve.kafka_port)
    }

    /// Port of the HTTP door, on 127.0.0.1.
    pub fn http(&self) -> u16 {
        self.serve.http_port
    }

    /// Port of RabbitMQ's management API, on 127.0.0.1.
    pub fn management(&self) -> u16 {
        self.serve.management_port
    }

    /// Port for AMQP clients, on 127.0.0.1.
    pub fn amqp(&self) -> u16 {
        self.serve.amqp_port
    }

    /// Port for CoAP clients, over UDP and TCP, on 127.0.0.1.
    pub fn coap(&self) -> u16 {
        self.serve.coap_port
    }

    /// Port for gRPC clients, on 127.0.0.1.
    pub fn grpc(&self) -> u16 {
        self.serve.grpc_port
    }

    /// Port for MQTT clients, on 127.0.0.1.
    pub fn mqtt(&self) -> u16 {
        self.serve.mqtt_port
    }

    /// Port for STOMP clients, on 127.0.0.1.
    pub fn stomp(&self) -> u16 {
        self.serve.stomp_port
    }

    /// Address for ZooKeeper clients.
    pub fn zookeeper(&self) -> String {
        format!("127.0.0.1:{}", self.serve.zookeeper_port)
    }

    /// Address for NATS clients.
    pub fn nats(&self) -> String {
        format!("127.0.0.1:{}", self.serve.nats_port)
    }

    /// The process's id.
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// The user's home folder.
    pub fn home(&self) -> &Path {
        self.serve.home()
    }

    /// Time from starting the process to the line that says it is ready.
    pub fn ready_after(&self) -> Duration {
        self.ready_after
    }

    /// Everything that it printed since its last start.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// Asserts that the broker goes on running for this long.
    ///
    /// # Panics
    /// When it ends by itself.
    pub fn lives_for(&mut self, time: Duration) {
        let ended = self.process.ends_within(time);
        assert!(ended.is_none(), "the broker ended by itself: {ended:?}\n{}", self.log());
    }

    /// Stops it as an operator does, with SIGTERM, and checks that it ends well.
    ///
    /// # Panics
    /// When it fails, or does not end in time.
    pub fn stop(&mut self) {
        self.process.signal(Signal::TERM);
        let ended = self.process.ends_within(PATIENCE);
        let good = ended.is_some_and(|status| status.success());
        assert!(good, "SIGTERM, and it ended with {ended:?}\n{}", self.log());
        self.check_log();
    }

    /// Stops it in its tracks (SIGSTOP), or has it go on (SIGCONT).
    pub fn pause(&mut self, paused: bool) {
        self.process.signal(if paused { Signal::STOP } else { Signal::CONT });
    }

    /// How many lines it has printed since its last start.
    pub fn log_lines(&self) -> usize {
        self.log().lines().count()
    }

    /// Waits until it prints a line with one of these texts, from line `from` on.
    ///
    /// # Panics
    /// When it does not.
    pub fn wait_for_log(&self, from: usize, texts: &[&str]) {
        let found = |line: &str| texts.iter().any(|text| line.contains(text)).then_some(());
        self.process.wait_for(&format!("a line with {texts:?}"), from, PATIENCE, found);
    }

    /// Kills it with SIGKILL: no chance to write anything.
    pub fn kill(&mut self) {
        self.process.kill();
        self.check_log();
    }

    /// Stops it in its tracks (SIGSTOP), as a machine without time for it does.
    pub fn freeze(&mut self) {
        self.process.signal(Signal::STOP);
    }

    /// Lets it go on after [`Self::freeze`].
    pub fn thaw(&mut self) {
        self.process.signal(Signal::CONT);
    }

    /// Waits until it prints a line with this text.
    ///
    /// # Panics
    /// When it does not.
    pub fn says(&self, text: &str) {
        let wanted = |line: &str| line.contains(text).then_some(());
        self.process.wait_for(&format!("the text {text:?}"), 0, PATIENCE, wanted);
    }

    /// Waits until it ends by itself, as one that kills itself does.
    ///
    /// # Panics
    /// When it goes on running.
    pub fn wait_for_end(&mut self) {
        let ended = self.process.ends_within(PATIENCE);
        assert!(ended.is_some(), "the broker goes on running\n{}", self.log());
        self.check_log();
    }

    /// Starts it again, after [`Self::stop`] or [`Self::kill`], on the same folder and ports.
    ///
    /// # Panics
    /// When it does not get ready.
    pub fn restart(&mut self) {
        self.launch_again();
        self.wait_until_ready();
    }

    /// Starts it again but does not wait, for tests that kill it while it recovers.
    ///
    /// # Panics
    /// When it still runs.
    pub fn launch_again(&mut self) {
        assert!(self.process.ended().is_some(), "the broker still runs");
        self.process = self.serve.launch();
    }

    /// Runs one of the binary's other commands against this broker.
    ///
    /// # Panics
    /// When it takes too long.
    pub fn entrepot(&self, args: &[&str]) -> Exit {
        let address = self.kafka();
        let mut all = args.to_vec();
        all.extend(["--broker", &address]);
        entrepot(self.home(), &all)
    }

    fn wait_until_ready(&mut self) {
        let ready = |line: &str| line.starts_with("ready ").then_some(());
        let (.., after) = self.process.wait_for("the line `ready …`", 0, PATIENCE, ready);
        self.ready_after = after;
    }

    fn check_log(&self) {
        let log = self.log();
        assert!(!log.contains("panicked at"), "the broker panicked\n{log}");
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.process.kill();
        if thread::panicking() {
            eprintln!("--- the broker's log ---\n{}", self.log());
        } else {
            self.check_log();
        }
    }
}

/// Runs the binary to its end, as a user with this home folder.
///
/// # Panics
/// When it takes too long.
pub fn entrepot(home: &Path, args: &[&str]) -> Exit {
    Process::start(&format!("entrepot {args:?}"), command(&tools::binary(), home).args(args))
        .exit(PATIENCE)
}

/// The binary in a clean environment: no configuration of whoever runs the tests.
fn command(program: &Path, home: &Path) -> Command {
    let mut command = Command::new(program);
    command.current_dir(home).env("HOME", home);
    let foreign = |name: &OsStr| {
        let name = name.to_string_lossy();
        name.starts_with("ENTREPOT_") || name.starts_with("XDG_") || name == "RUST_LOG"
    };
    for (name, _) in std::env::vars_os().filter(|(name, _)| foreign(name)) {
        command.env_remove(name);
    }
    command
}
