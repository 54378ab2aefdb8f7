//! What can be wrong with certificates and keys.

/// Why TLS cannot be set up, or not anew.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read.
    #[error("cannot read {name}: {why}")]
    Read {
        /// The file.
        name: String,
        /// What the system said.
        why: String,
    },
    /// What should be PEM is not.
    #[error("{name} is not what it should be: {why}; certificates and keys are in PEM here")]
    Pem {
        /// The file, or which setting.
        name: String,
        /// What is wrong.
        why: String,
    },
    /// A Java key store, which is not read.
    #[error(
        "{name} is a key store of Java or PKCS#12, which is not read here; make PEM of it: keytool -importkeystore -srckeystore {name} -destkeystore store.p12 -deststoretype PKCS12, then openssl pkcs12 -in store.p12 -out store.pem -noenc"
    )]
    KeyStore {
        /// The file.
        name: String,
    },
    /// A private key under a password.
    #[error(
        "the private key in {name} is encrypted, which is not read here; decrypt it: openssl pkey -in {name} -out plain.pem, readable by this user only"
    )]
    Encrypted {
        /// The file, or which setting.
        name: String,
    },
    /// Certificate, key and settings do not go together.
    #[error("{0}")]
    Settings(String),
}
