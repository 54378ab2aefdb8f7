//! TLS as a server: certificates, the handshake, and who the client's certificate says it is.

pub mod client;
mod der;
mod error;
mod mapping;
mod name;
mod pem;

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use base::Principal;
use parking_lot::RwLock;
use rustls::crypto::CryptoProvider;
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::ClientCertVerifier;
use rustls::{RootCertStore, ServerConfig, SupportedProtocolVersion};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

pub use error::TlsError;
pub use mapping::PrincipalRules;
pub use pem::Pem;

use crate::{CloseReason, Stream};
use pem::Stamp;

/// A handshake that takes longer is given up. It is two round trips and some milliseconds of
/// arithmetic.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Whether clients show a certificate of their own (`ssl.client.auth`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum ClientAuth {
    /// They are not asked.
    #[default]
    None,
    /// They may; one that is not good ends the handshake.
    Requested,
    /// They must.
    Required,
}

/// A version of TLS. Older ones are broken and not spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TlsVersion {
    /// TLS 1.2 (RFC 5246).
    V12,
    /// TLS 1.3 (RFC 8446).
    V13,
}

/// How a listener speaks TLS.
#[derive(Debug, Clone)]
pub struct TlsOptions {
    /// The certificate and those that lead from it to an authority, in this order.
    pub certificate: Pem,
    /// Its private key; none if it stands with the certificate.
    pub key: Option<Pem>,
    /// Authorities whose certificates clients may show.
    pub client_authorities: Option<Pem>,
    /// Whether clients show one.
    pub client_auth: ClientAuth,
    /// The versions spoken.
    pub versions: Vec<TlsVersion>,
    /// The cipher suites allowed, by their IANA names, best first; empty means all.
    pub cipher_suites: Vec<String>,
    /// Who a client with a certificate is.
    pub principals: PrincipalRules,
    /// The protocols spoken within, best first, for clients that ask (ALPN, RFC 7301). Empty: nothing is said, and a client
    /// that asks goes on.
    pub protocols: Vec<&'static str>,
}

impl TlsOptions {
    /// With this certificate and key, all else by default.
    pub fn new(certificate: Pem, key: Option<Pem>) -> Self {
        Self {
            certificate,
            key,
            client_authorities: None,
            client_auth: ClientAuth::None,
            versions: vec![TlsVersion::V12, TlsVersion::V13],
            cipher_suites: Vec::new(),
            principals: PrincipalRules::default(),
            protocols: Vec::new(),
        }
    }

    fn build(&self) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(self.provider()?);
        let versions: Vec<&SupportedProtocolVersion> = self
            .versions
            .iter()
            .map(|version| match version {
                TlsVersion::V12 => &rustls::version::TLS12,
                TlsVersion::V13 => &rustls::version::TLS13,
            })
            .collect();
        let certificates = self.certificate.certificates()?;
        let key = self.key.as_ref().unwrap_or(&self.certificate).key()?;
        let config = ServerConfig::builder_with_provider(Arc::clone(&provider))
            .with_protocol_versions(&versions)
            .map_err(|error| TlsError::Settings(format!("versions and cipher suites: {error}")))?
            .with_client_cert_verifier(self.verifier(provider)?)
            .with_single_cert(certificates, key);
        let mut config =
            config.map_err(|error| TlsError::Settings(format!("certificate and key: {error}")))?;
        config.alpn_protocols = self.protocols.iter().map(|name| name.as_bytes().into()).collect();
        Ok(config)
    }

    fn provider(&self) -> Result<CryptoProvider, TlsError> {
        let mut provider = rustls::crypto::ring::default_provider();
        if self.cipher_suites.is_empty() {
            return Ok(provider);
        }
        let name = |suite: &rustls::SupportedCipherSuite| {
            // The names of TLS 1.3 suites are `TLS_…` in the registry, and here `TLS13_…`.
            suite.suite().as_str().unwrap_or_default().replace("TLS13_", "TLS_")
        };
        let mut chosen = Vec::new();
        for wanted in &self.cipher_suites {
            match provider.cipher_suites.iter().find(|suite| name(suite) == *wanted) {
                Some(suite) => chosen.push(*suite),
                None => tracing::warn!(suite = wanted, "cipher suite is not known or not safe"),
            }
        }
        if chosen.is_empty() {
            let known: Vec<_> = provider.cipher_suites.iter().map(name).collect();
            let known = known.join(", ");
            let why = format!("none of the cipher suites is supported; these are: {known}");
            return Err(TlsError::Settings(why));
        }
        provider.cipher_suites = chosen;
        Ok(provider)
    }

    fn verifier(
        &self,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        if self.client_auth == ClientAuth::None {
            return Ok(WebPkiClientVerifier::no_client_auth());
        }
        let Some(authorities) = &self.client_authorities else {
            let why = "clients are to show certificates, but no authority is named";
            return Err(TlsError::Settings(why.into()));
        };
        let roots = roots(authorities)?;
        let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
        let builder = match self.client_auth {
            ClientAuth::Requested => builder.allow_unauthenticated(),
            _ => builder,
        };
        builder.build().map_err(|error| TlsError::Settings(format!("authorities: {error}")))
    }

    fn stamps(&self) -> Vec<Stamp> {
        let files = [Some(&self.certificate), self.key.as_ref(), self.client_authorities.as_ref()];
        files.into_iter().flatten().map(Pem::stamp).collect()
    }
}

/// Authorities as TLS uses them.
pub(crate) fn roots(authorities: &Pem) -> Result<RootCertStore, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in authorities.certificates()? {
        let added = roots.add(certificate);
        added
            .map_err(|error| TlsError::Settings(format!("an authority's certificate: {error}")))?;
    }
    Ok(roots)
}

/// What listeners answer TLS handshakes with. Follows its files.
#[derive(Debug)]
pub struct Tls {
    options: TlsOptions,
    current: RwLock<Current>,
}

#[derive(Debug)]
struct Current {
    config: Arc<ServerConfig>,
    /// What the files were when they were last tried.
    stamps: Vec<Stamp>,
}

impl Tls {
    /// Reads certificates and keys.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn new(options: TlsOptions) -> Result<Self, TlsError> {
        let stamps = options.stamps();
        let config = Arc::new(options.build()?);
        Ok(Self { options, current: RwLock::new(Current { config, stamps }) })
    }

    /// Reads the files again. New connections get what they say; those that are open keep what they
    /// began with.
    ///
    /// # Errors
    /// What is wrong with them: then all stays as it is.
    pub fn reload(&self) -> Result<(), TlsError> {
        let stamps = self.options.stamps();
        let built = self.options.build();
        let mut current = self.current.write();
        // Of a bad file, too, so that it is said once.
        current.stamps = stamps;
        current.config = Arc::new(built?);
        Ok(())
    }

    /// Reads the files again if one of them changed; says whether it did.
    ///
    /// # Errors
    /// As [`Self::reload`]. Not told again until a file changes again.
    pub fn reload_if_changed(&self) -> Result<bool, TlsError> {
        if self.options.stamps() == self.current.read().stamps {
            return Ok(false);
        }
        self.reload().map(|()| true)
    }

    /// Answers a client's handshake on a connection that was plain so far. Returns who the client's
    /// certificate says it is.
    ///
    /// # Errors
    /// The handshake failed, or the stream is not plain.
    pub async fn start(&self, stream: Stream) -> Result<(Stream, Principal), CloseReason> {
        let Stream::Plain(stream) = stream else {
            return Err(CloseReason::Handshake("the stream is not plain".into()));
        };
        let (stream, principal) = self.accept(stream).await?;
        Ok((Stream::Tls(Box::new(stream)), principal))
    }

    /// Whether clients must show a certificate.
    pub fn wants_certificates(&self) -> bool {
        self.options.client_auth == ClientAuth::Required
    }

    /// Answers a client's handshake.
    pub(crate) async fn accept(
        &self,
        stream: TcpStream,
    ) -> Result<(TlsStream<TcpStream>, Principal), CloseReason> {
        let config = Arc::clone(&self.current.read().config);
        let handshake = TlsAcceptor::from(config).accept(stream);
        let stream = match tokio::time::timeout(HANDSHAKE_TIMEOUT, handshake).await {
            Ok(done) => done.map_err(|error| CloseReason::Handshake(error.to_string()))?,
            Err(_) => {
                let why = format!("the handshake took longer than {HANDSHAKE_TIMEOUT:?}");
                return Err(CloseReason::Handshake(why));
            }
        };
        let certificate = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
        let principal = match certificate {
            None => Principal::anonymous(),
            Some(certificate) => self.principal(certificate)?,
        };
        Ok((stream, principal))
    }

    fn principal(&self, certificate: &[u8]) -> Result<Principal, CloseReason> {
        let subject = name::subject(certificate).filter(|subject| !subject.is_empty());
        let Some(subject) = subject else {
            return Err(CloseReason::Handshake("the certificate has no subject".into()));
        };
        match self.options.principals.apply(&subject) {
            Some(name) => Ok(Principal::user(&name)),
            None => Err(CloseReason::Handshake(format!("no rule names a principal for {subject}"))),
        }
    }
}
