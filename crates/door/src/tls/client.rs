//! TLS as a client, for programs that talk to a broker.

use std::io;
use std::path::Path;
use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    CertificateError, ClientConfig, DigitallySignedStruct, Error, RootCertStore, SignatureScheme,
};

use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;

use super::{Pem, TlsError, roots};

/// Where Linux distributions and BSDs keep the authorities that they trust.
const SYSTEM_AUTHORITIES: [&str; 5] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
    "/usr/local/share/certs/ca-root-nss.crt",
];

/// How a client speaks TLS.
#[derive(Debug, Clone)]
pub struct ClientOptions {
    /// Authorities to trust; none means the system's.
    pub authorities: Option<Pem>,
    /// The certificate to show if asked, and its key if that stands elsewhere.
    pub identity: Option<(Pem, Option<Pem>)>,
    /// Whether the server's certificate must be for the name that was connected to.
    pub verify_name: bool,
}

impl Default for ClientOptions {
    fn default() -> Self {
        Self { authorities: None, identity: None, verify_name: true }
    }
}

impl ClientOptions {
    /// What connections are made with.
    ///
    /// # Errors
    /// What is wrong with certificates or keys.
    pub fn build(&self) -> Result<Arc<ClientConfig>, TlsError> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let settings = |error: &dyn std::fmt::Display| TlsError::Settings(error.to_string());
        let roots = Arc::new(self.roots()?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, Arc::clone(&provider))
            .build()
            .map_err(|error| settings(&error))?;
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| settings(&error))?;
        let builder = if self.verify_name {
            builder.with_webpki_verifier(verifier)
        } else {
            builder.dangerous().with_custom_certificate_verifier(Arc::new(AnyName(verifier)))
        };
        let config = match &self.identity {
            None => builder.with_no_client_auth(),
            Some((certificate, key)) => builder
                .with_client_auth_cert(
                    certificate.certificates()?,
                    key.as_ref().unwrap_or(certificate).key()?,
                )
                .map_err(|error| TlsError::Settings(format!("certificate and key: {error}")))?,
        };
        Ok(Arc::new(config))
    }

    /// Speaks TLS with the server of this name, over a connection to it. Certificates are read anew
    /// each time.
    ///
    /// # Errors
    /// What is wrong with certificates or keys, ours or the server's; what the socket says.
    pub async fn connect(&self, host: &str, stream: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let invalid = |error: &dyn std::fmt::Display| {
            io::Error::new(io::ErrorKind::InvalidInput, error.to_string())
        };
        let config = self.build().map_err(|error| invalid(&error))?;
        let name = ServerName::try_from(host.to_owned()).map_err(|error| invalid(&error))?;
        TlsConnector::from(config).connect(name, stream).await
    }

    fn roots(&self) -> Result<RootCertStore, TlsError> {
        if let Some(authorities) = &self.authorities {
            return roots(authorities);
        }
        let found = SYSTEM_AUTHORITIES.iter().find(|path| Path::new(path).exists());
        let Some(path) = found else {
            let why = "this system has no list of authorities; name one to trust";
            return Err(TlsError::Settings(why.into()));
        };
        let mut roots = RootCertStore::empty();
        // The system's list may hold some that are too old to be understood.
        roots.add_parsable_certificates(Pem::File(path.into()).certificates()?);
        Ok(roots)
    }
}

/// Trusts a certificate of the right authority whatever its name, for whoever asked for that
/// (`ssl.endpoint.identification.algorithm=`).
#[derive(Debug)]
struct AnyName(Arc<WebPkiServerVerifier>);

impl ServerCertVerifier for AnyName {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        use CertificateError::{NotValidForName, NotValidForNameContext};
        match self.0.verify_server_cert(end_entity, intermediates, name, ocsp, now) {
            // The name is looked at last: all else was good.
            Err(Error::InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls12_signature(message, certificate, signature)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        self.0.verify_tls13_signature(message, certificate, signature)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_verify_schemes()
    }
}
