//! Certificates and keys from PEM, in files or in the configuration itself.

use std::fmt::{self, Debug, Formatter};
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::SystemTime;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::TlsError;

/// Largest PEM file that is read: a bundle of all the world's authorities is 250 KB.
const PEM_BYTES_MAX: u64 = 4 * 1024 * 1024;

/// What PEM begins with.
const BEGIN: &str = "-----BEGIN";

/// Where PEM comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum Pem {
    /// A file, read again when it changed.
    File(PathBuf),
    /// The text itself.
    Text(String),
}

impl Pem {
    /// PEM itself if it looks like that, else the name of a file.
    pub fn new(text: &str) -> Self {
        if text.contains(BEGIN) { Self::Text(text.to_owned()) } else { Self::File(text.into()) }
    }

    fn name(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Text(_) => "the PEM text in the configuration".to_owned(),
        }
    }

    fn read(&self) -> Result<Vec<u8>, TlsError> {
        let path = match self {
            Self::Text(text) => return Ok(text.clone().into_bytes()),
            Self::File(path) => path,
        };
        let failed = |why: String| TlsError::Read { name: self.name(), why };
        let size = std::fs::metadata(path).map_err(|error| failed(error.to_string()))?.len();
        if size > PEM_BYTES_MAX {
            return Err(failed(format!("it has {size} bytes, at most {PEM_BYTES_MAX} are read")));
        }
        let bytes = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        // JKS, JCEKS, or the sequence that PKCS#12 and lone DER begin with.
        let magic = bytes.first_chunk::<4>().map(|magic| u32::from_be_bytes(*magic));
        let is_store = matches!(magic, Some(0xfeed_feed | 0xcece_cece));
        if is_store || bytes.first() == Some(&0x30) {
            return Err(TlsError::KeyStore { name: self.name() });
        }
        Ok(bytes)
    }

    /// All certificates, at least one.
    pub(crate) fn certificates(&self) -> Result<Vec<CertificateDer<'static>>, TlsError> {
        let bytes = self.read()?;
        let read: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(&bytes).collect();
        let failed = |why: String| TlsError::Pem { name: self.name(), why };
        let certificates = read.map_err(|error| failed(error.to_string()))?;
        if certificates.is_empty() {
            return Err(failed("it has no certificate".into()));
        }
        Ok(certificates)
    }

    /// The private key.
    pub(crate) fn key(&self) -> Result<PrivateKeyDer<'static>, TlsError> {
        let bytes = self.read()?;
        PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| {
            if is_encrypted(&bytes) {
                return TlsError::Encrypted { name: self.name() };
            }
            let why = match error {
                rustls::pki_types::pem::Error::NoItemsFound => "it has no private key".to_owned(),
                error => error.to_string(),
            };
            TlsError::Pem { name: self.name(), why }
        })
    }

    /// What changes when the file does; `None` for text and for a file that is gone.
    pub(crate) fn stamp(&self) -> Stamp {
        let Self::File(path) = self else { return None };
        let file = std::fs::metadata(path).ok()?;
        Some((file.modified().ok()?, file.len(), file.ino()))
    }
}

/// When a file was changed, its size and its number: an orchestrator swaps files by swapping links.
pub(crate) type Stamp = Option<(SystemTime, u64, u64)>;

/// A key's text is nobody's business.
impl Debug for Pem {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

fn is_encrypted(bytes: &[u8]) -> bool {
    let begins = |label: &[u8]| bytes.windows(label.len()).any(|part| part == label);
    begins(b"BEGIN ENCRYPTED PRIVATE KEY") || begins(b"Proc-Type: 4,ENCRYPTED")
}
