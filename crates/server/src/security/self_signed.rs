//! A certificate for who has none: made once, with an authority of its own whose key is thrown away.

use std::fs;
use std::io::Write;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, date_time_ymd,
};

use super::SecurityError;
use crate::config::Config;

/// The files that were made.
#[derive(Debug)]
pub(super) struct Made {
    /// The authority's certificate, for clients.
    pub(super) authority: PathBuf,
    /// Certificate and key of the broker.
    pub(super) identity: PathBuf,
}

/// The files in the data folder; made unless both are there.
pub(super) fn ensure(config: &Config) -> Result<Made, SecurityError> {
    let folder = config.storage.dir.join("tls");
    let made = Made { authority: folder.join("ca.pem"), identity: folder.join("server.pem") };
    if made.authority.exists() && made.identity.exists() {
        return Ok(made);
    }
    let names = names(config);
    let (authority, identity) =
        make(&names).map_err(|error| SecurityError::SelfSigned(error.to_string()))?;
    let failed = |path: &Path, error: std::io::Error| {
        SecurityError::SelfSigned(format!("{}: {error}", path.display()))
    };
    fs::create_dir_all(&folder).map_err(|error| failed(&folder, error))?;
    write(&made.authority, &authority, 0o644).map_err(|error| failed(&made.authority, error))?;
    write(&made.identity, &identity, 0o600).map_err(|error| failed(&made.identity, error))?;
    tracing::info!(folder = %folder.display(), ?names, "made a certificate");
    Ok(made)
}

/// All names by which clients of this machine, or of an advertised listener, call it.
fn names(config: &Config) -> Vec<String> {
    let own = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
    let listeners = config.listeners.iter().filter(|listener| listener.tls.is_some());
    let mut names: Vec<String> =
        own.into_iter().chain(listeners.map(|listener| listener.advertised_host.clone())).collect();
    names.retain(|name| !name.is_empty());
    names.sort();
    names.dedup();
    names
}

/// The authority's certificate, and the broker's with its key. All in PEM.
fn make(names: &[String]) -> Result<(String, String), rcgen::Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, "Entrepot authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(&mut params);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate()?)?;

    let mut params = CertificateParams::new(names.to_vec())?;
    params.distinguished_name.push(DnType::CommonName, "Entrepot broker");
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.use_authority_key_identifier_extension = true;
    valid(&mut params);
    let key = KeyPair::generate()?;
    let certificate = params.signed_by(&key, &authority)?;
    Ok((authority.pem(), certificate.pem() + &key.serialize_pem()))
}

/// For as long as a certificate without a way to renew it should be: nobody is surprised.
fn valid(params: &mut CertificateParams) {
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
}

/// Writes a file in one piece: half a key would be taken for a broken one.
fn write(path: &Path, text: &str, mode: u32) -> std::io::Result<()> {
    let next = path.with_extension("new");
    let _of_an_earlier_try = fs::remove_file(&next);
    let mut options = fs::OpenOptions::new();
    let mut file = options.write(true).create_new(true).mode(mode).open(&next)?;
    file.write_all(text.as_bytes())?;
    file.sync_all()?;
    fs::rename(&next, path)
}
