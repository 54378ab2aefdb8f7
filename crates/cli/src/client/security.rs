//! How a connection is protected: TLS, and who we say we are.

use std::fmt::{self, Debug, Formatter};
use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base::SystemRandom;
use door::sasl::{Mechanism, scram};
use door::tls::Pem;
use door::tls::client::ClientOptions;
use door_kafka::jaas::Module;
use door_kafka::properties;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ClientConnection, StreamOwned};

/// How to reach a broker that asks for more than a connection.
#[derive(Debug, Clone, Default, clap::Args)]
#[command(next_help_heading = "Connection")]
pub(crate) struct Protection {
    /// Speak TLS, trusting the system's authorities unless --ca names others
    #[arg(long, global = true)]
    tls: bool,
    /// Authorities to trust, as a PEM file; means --tls
    #[arg(long, global = true, value_name = "FILE", env = "ENTREPOT_CA")]
    ca: Option<String>,
    /// Certificate to show to the broker, as a PEM file; means --tls
    #[arg(long, global = true, value_name = "FILE")]
    cert: Option<String>,
    /// Private key of that certificate, if it is not in the same file
    #[arg(long, global = true, value_name = "FILE", requires = "cert")]
    cert_key: Option<String>,
    /// Log in as this user, with the password in ENTREPOT_PASSWORD or --password-file
    #[arg(long, global = true, value_name = "NAME", env = "ENTREPOT_USER")]
    user: Option<String>,
    /// File with the password, or with the token of OAUTHBEARER
    #[arg(long, global = true, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// How to log in: PLAIN, SCRAM-SHA-256, SCRAM-SHA-512 or OAUTHBEARER; SCRAM-SHA-512 if not said
    #[arg(long, global = true, value_name = "NAME", value_parser = mechanism)]
    sasl_mechanism: Option<Mechanism>,
    /// File with the properties that Kafka's tools take (security.protocol, sasl.*, ssl.* in PEM);
    /// flags go before it
    #[arg(long, global = true, value_name = "FILE")]
    command_config: Option<PathBuf>,
}

fn mechanism(text: &str) -> Result<Mechanism, String> {
    let known = || Mechanism::ALL.map(Mechanism::name).join(", ");
    Mechanism::parse(&text.to_ascii_uppercase()).ok_or_else(|| format!("one of {}", known()))
}

/// What a connection is made with. By default, with nothing.
#[derive(Debug, Clone, Default)]
pub(crate) struct Security {
    tls: Option<Arc<ClientConfig>>,
    pub(crate) login: Option<Login>,
}

/// Who we say we are.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) mechanism: Mechanism,
    pub(crate) name: String,
    secret: String,
}

impl Debug for Login {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "Login({}, {})", self.mechanism, self.name)
    }
}

impl Protection {
    /// Reads what the flags name.
    pub(crate) fn load(&self) -> Result<Security, String> {
        let file = match &self.command_config {
            Some(path) => ClientFile::read(path)?,
            None => ClientFile::default(),
        };
        let mut tls = file.tls;
        if self.tls || self.ca.is_some() || self.cert.is_some() {
            let options = tls.get_or_insert_default();
            if let Some(ca) = &self.ca {
                options.authorities = Some(Pem::new(ca));
            }
            if let Some(cert) = &self.cert {
                let key = self.cert_key.as_deref().map(Pem::new);
                options.identity = Some((Pem::new(cert), key));
            }
        }
        let tls =
            tls.map(|options| options.build().map_err(|e| format!("TLS: {e}"))).transpose()?;
        let login = match &self.user {
            Some(name) => Some(self.login(name)?),
            None => file.login,
        };
        Ok(Security { tls, login })
    }

    fn login(&self, name: &str) -> Result<Login, String> {
        let secret = match &self.password_file {
            Some(path) => read_secret(path)?,
            None => std::env::var("ENTREPOT_PASSWORD")
                .map_err(|_| "a user needs --password-file, or ENTREPOT_PASSWORD".to_owned())?,
        };
        let mechanism = self.sasl_mechanism.unwrap_or(Mechanism::ScramSha512);
        Ok(Login { mechanism, name: name.to_owned(), secret })
    }
}

/// The first line of a file: editors end it with a line break that is no part of a password.
pub(crate) fn read_secret(path: &Path) -> Result<String, String> {
    let text = std::fs::read_to_string(path)
        .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
    Ok(text.lines().next().unwrap_or_default().to_owned())
}

/// What the file of Kafka's tools says.
#[derive(Default)]
struct ClientFile {
    tls: Option<ClientOptions>,
    login: Option<Login>,
}

impl ClientFile {
    fn read(path: &Path) -> Result<Self, String> {
        let wrong = |why: String| format!("{}: {why}", path.display());
        let bytes = std::fs::read(path).map_err(|error| wrong(error.to_string()))?;
        let (entries, malformed) = properties::parse(&bytes);
        if let Some(bad) = malformed.first() {
            return Err(wrong(format!("line {}: {}", bad.line, bad.what)));
        }
        let get = |key: &str| {
            let last = entries.iter().rev().find(|entry| entry.key == key);
            last.map(|entry| entry.value.trim()).filter(|value| !value.is_empty())
        };
        let protocol = get("security.protocol").unwrap_or("PLAINTEXT").to_ascii_uppercase();
        let (with_tls, with_login) = match &protocol[..] {
            "PLAINTEXT" => (false, false),
            "SSL" => (true, false),
            "SASL_PLAINTEXT" => (false, true),
            "SASL_SSL" => (true, true),
            _ => return Err(wrong(format!("security.protocol {protocol} is not known"))),
        };
        let pem = |keys: [&str; 2]| keys.into_iter().find_map(get).map(Pem::new);
        let names = entries.iter().any(|entry| {
            entry.key == "ssl.endpoint.identification.algorithm" && entry.value.trim().is_empty()
        });
        let tls = with_tls.then(|| ClientOptions {
            authorities: pem(["ssl.truststore.certificates", "ssl.truststore.location"]),
            identity: pem(["ssl.keystore.certificate.chain", "ssl.keystore.location"])
                .map(|certificate| (certificate, get("ssl.keystore.key").map(Pem::new))),
            verify_name: !names,
        });
        let login = with_login.then(|| login_of(get)).transpose().map_err(wrong)?;
        Ok(Self { tls, login })
    }
}

fn login_of<'a>(get: impl Fn(&str) -> Option<&'a str>) -> Result<Login, String> {
    let mechanism = mechanism(get("sasl.mechanism").unwrap_or("GSSAPI"))
        .map_err(|known| format!("sasl.mechanism must be {known}"))?;
    let module = get("sasl.jaas.config").and_then(Module::parse);
    let option = |name: &str| module.as_ref().and_then(|module| module.option(name));
    match (option("username"), option("password")) {
        (Some(name), Some(secret)) => {
            Ok(Login { mechanism, name: name.to_owned(), secret: secret.to_owned() })
        }
        _ => Err("sasl.jaas.config needs a username and a password".to_owned()),
    }
}

impl Login {
    /// `name:password`, for who asks for that (RFC 7617).
    pub(crate) fn name_and_password(&self) -> Result<String, String> {
        if self.mechanism == Mechanism::OauthBearer {
            return Err("the management API takes passwords, and no tokens".to_owned());
        }
        if self.name.contains(':') {
            return Err("the name of a user of the management API has no colon in it".to_owned());
        }
        Ok(format!("{}:{}", self.name, self.secret))
    }

    /// Begins to log in.
    pub(crate) fn begin(&self) -> Steps<'_> {
        let prover =
            self.mechanism.hash().map(|hash| scram::Client::begin(hash, &self.name, &SystemRandom));
        Steps { login: self, prover, proved: false }
    }
}

/// One login under way.
pub(crate) struct Steps<'a> {
    login: &'a Login,
    prover: Option<(scram::Client, Vec<u8>)>,
    proved: bool,
}

impl Steps<'_> {
    /// The first token.
    pub(crate) fn first(&self) -> Vec<u8> {
        let Login { mechanism, name, secret } = self.login;
        match (&self.prover, mechanism) {
            (Some((_, first)), _) => first.clone(),
            (None, Mechanism::OauthBearer) => {
                format!("n,,\u{1}auth=Bearer {secret}\u{1}\u{1}").into_bytes()
            }
            (None, _) => format!("\0{name}\0{secret}").into_bytes(),
        }
    }

    /// The answer to the broker's token; none when it is over.
    pub(crate) fn next(&mut self, token: &[u8]) -> Result<Option<Vec<u8>>, String> {
        let Some((prover, _)) = &mut self.prover else {
            // A token that is not believed is answered with a lone ^A, and then refused.
            return Ok((!token.is_empty()).then(|| vec![1]));
        };
        if self.proved {
            return match prover.is_server(token) {
                true => Ok(None),
                false => Err("the broker does not know the user's password".to_owned()),
            };
        }
        self.proved = true;
        let proof = prover.prove(token, &self.login.secret);
        proof.map(Some).ok_or_else(|| "its challenge is not one of SCRAM".to_owned())
    }
}

/// A blocking socket, encrypted or not.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<StreamOwned<ClientConnection, TcpStream>>),
}

impl Stream {
    /// Speaks TLS on a socket, if that is wanted. `address` is `host:port`.
    pub(crate) fn secured(
        stream: TcpStream,
        address: &str,
        security: &Security,
    ) -> Result<Self, String> {
        let Some(config) = &security.tls else { return Ok(Self::Plain(stream)) };
        let host = address.rsplit_once(':').map_or(address, |(host, _)| host);
        let host = host.trim_start_matches('[').trim_end_matches(']');
        let name = ServerName::try_from(host.to_owned()).map_err(|error| error.to_string())?;
        let session = ClientConnection::new(Arc::clone(config), name);
        let session = session.map_err(|error| error.to_string())?;
        let mut stream = StreamOwned::new(session, stream);
        // Now, so that what goes wrong is known to be TLS.
        while stream.conn.is_handshaking() {
            let done = stream.conn.complete_io(&mut stream.sock);
            done.map_err(|error| format!("TLS: {error}"))?;
        }
        Ok(Self::Tls(Box::new(stream)))
    }

    /// The socket itself, to wait on.
    pub(crate) fn socket(&self) -> &TcpStream {
        match self {
            Self::Plain(stream) => stream,
            Self::Tls(stream) => &stream.sock,
        }
    }

    /// Whether something was read from the socket that nobody has taken yet.
    pub(crate) fn has_more(&mut self) -> bool {
        match self {
            Self::Plain(_) => false,
            Self::Tls(stream) => {
                let state = stream.conn.process_new_packets();
                state.is_ok_and(|state| state.plaintext_bytes_to_read() > 0)
            }
        }
    }

    pub(crate) fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.set_read_timeout(timeout),
            Self::Tls(stream) => stream.sock.set_read_timeout(timeout),
        }
    }
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.read(buffer),
            Self::Tls(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Plain(stream) => stream.write(bytes),
            Self::Tls(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Plain(stream) => stream.flush(),
            Self::Tls(stream) => stream.flush(),
        }
    }
}
