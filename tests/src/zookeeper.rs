//! Apache ZooKeeper, in a folder and on a port of its own.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use tempfile::TempDir;

use crate::process::Process;
use crate::{tools, turns};

/// How long a Java virtual machine may take to serve, on a busy machine.
const START: Duration = Duration::from_secs(180);

/// A server that need not run. Killed when dropped; its log is shown when the test is failing.
#[derive(Debug)]
pub struct ZooKeeper {
    program: PathBuf,
    home: TempDir,
    port: u16,
    /// Where it speaks TLS.
    secure_port: Option<u16>,
    process: Option<Process>,
}

impl ZooKeeper {
    /// A server with an empty tree, which is not started yet. `None` when there is no ZooKeeper
    /// here: the test is then skipped.
    ///
    /// # Panics
    /// When its folder cannot be written.
    pub fn new() -> Option<Self> {
        let program = tools::tool("zookeeper")?.join("bin/zookeeper");
        let (home, port) = (tools::scratch(), turns::free_port());
        let data = home.path().join("data");
        // Sessions may be short, and end soon after their time; nothing waits for a disk.
        let config = format!(
            "dataDir={}\nclientPort={port}\nclientPortAddress=127.0.0.1\ntickTime=500\n\
             minSessionTimeout=1000\nmaxSessionTimeout=120000\nmaxClientCnxns=0\n\
             admin.enableServer=false\n4lw.commands.whitelist=ruok\n",
            data.display()
        );
        std::fs::create_dir(&data).expect("the scratch folder is writable");
        std::fs::write(home.path().join("zoo.cfg"), config).expect("it is");
        Some(Self { program, home, port, secure_port: None, process: None })
    }

    /// Speaks TLS, too, on another port, with this certificate and key in PEM, and asks clients for
    /// certificates of these authorities.
    ///
    /// # Panics
    /// When its files cannot be written.
    #[must_use]
    pub fn with_tls(mut self, certificate: &str, authorities: &str) -> Self {
        let port = turns::free_port();
        let file = |name: &str| self.home.path().join(name);
        std::fs::write(file("server.pem"), certificate).expect("the scratch folder is writable");
        std::fs::write(file("ca.pem"), authorities).expect("it is");
        let mut config = std::fs::read_to_string(file("zoo.cfg")).expect("it was written");
        config.push_str(&format!(
            "secureClientPort={port}\nsecureClientPortAddress=127.0.0.1\n\
             serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
             ssl.keyStore.location={}\nssl.trustStore.location={}\nssl.clientAuth=need\n",
            file("server.pem").display(),
            file("ca.pem").display(),
        ));
        std::fs::write(file("zoo.cfg"), config).expect("it is");
        self.secure_port = Some(port);
        self
    }

    /// Where clients that speak TLS reach it.
    ///
    /// # Panics
    /// When they cannot.
    pub fn secure_address(&self) -> String {
        format!("localhost:{}", self.secure_port.expect("with_tls was called"))
    }

    /// The same, started.
    ///
    /// # Panics
    /// When it does not start.
    pub fn started() -> Option<Self> {
        let mut server = Self::new()?;
        server.start();
        Some(server)
    }

    /// Where clients reach it.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Starts it, for the first time or after [`Self::kill`], and waits until it serves.
    ///
    /// # Panics
    /// When it does not.
    pub fn start(&mut self) {
        let mut command = Command::new(&self.program);
        command.arg(self.home.path().join("zoo.cfg")).current_dir(self.home.path());
        let process = self.process.insert(Process::start("zookeeper", &mut command));
        let deadline = Instant::now() + START;
        while !serves(&format!("127.0.0.1:{}", self.port)) {
            let ended = process.ended();
            assert!(ended.is_none() && Instant::now() < deadline, "{ended:?}\n{}", process.log());
            thread::sleep(Duration::from_millis(50)); // poll: it tells nobody, bounded by START
        }
    }

    /// Kills it with SIGKILL. Its tree is on disk.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
        }
    }
}

impl Drop for ZooKeeper {
    fn drop(&mut self) {
        if let Some(process) = self.process.as_ref().filter(|_| thread::panicking()) {
            eprintln!("--- ZooKeeper's log ---\n{}", process.log());
        }
        self.kill();
    }
}

/// Whether it says `imok`.
fn serves(address: &str) -> bool {
    let ask = || {
        let mut stream = TcpStream::connect(address)?;
        stream.set_read_timeout(Some(Duration::from_secs(5)))?;
        stream.write_all(b"ruok")?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).map(|_| answer)
    };
    ask().is_ok_and(|answer: String| answer == "imok")
}
