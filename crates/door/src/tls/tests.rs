//! Handshakes over real sockets, with certificates made on the spot.

use std::net::Ipv4Addr;
use std::path::Path;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair,
};
use rustls::pki_types::ServerName;
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio_rustls::TlsConnector;

use super::client::ClientOptions;
use super::*;
use crate::{
    BoxFuture, Connection, ConnectionLimit, Door, Listener, ListenerHandle, ListenerOptions,
    StatsSnapshot,
};

/// Says who it thinks the client is, then echoes.
struct WhoAmI;

impl Door for WhoAmI {
    fn name(&self) -> &'static str {
        "who-am-i"
    }

    fn serve(self: Arc<Self>, connection: Connection) -> BoxFuture<Result<(), CloseReason>> {
        Box::pin(async move {
            let who = connection.principal.to_string();
            let (mut read, mut write) = connection.stream.into_split();
            write.write_all(format!("{who}\n").as_bytes()).await?;
            write.flush().await?;
            tokio::io::copy(&mut read, &mut write).await?;
            Ok(write.shutdown().await?)
        })
    }
}

type Issuer = CertifiedIssuer<'static, KeyPair>;

fn authority(name: &str) -> Issuer {
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

/// Certificate and key for a name, as one PEM.
fn certified(issuer: &Issuer, name: &str) -> String {
    let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::OrganizationName, "Acme");
    params.distinguished_name.push(DnType::CommonName, name);
    let key = KeyPair::generate().unwrap();
    params.signed_by(&key, issuer).unwrap().pem() + &key.serialize_pem()
}

fn listen(tls: Arc<Tls>) -> ListenerHandle {
    let options = ListenerOptions::new("SSL", (Ipv4Addr::LOCALHOST, 0).into());
    let listener = Listener::bind(&options).unwrap().with_tls(tls);
    listener.run(Arc::new(WhoAmI), ConnectionLimit::default())
}

fn options(server: &str) -> TlsOptions {
    TlsOptions::new(Pem::new(server), None)
}

fn tls(options: TlsOptions) -> Arc<Tls> {
    Arc::new(Tls::new(options).unwrap())
}

fn client(authority: &Issuer) -> ClientOptions {
    ClientOptions { authorities: Some(Pem::new(&authority.pem())), ..ClientOptions::default() }
}

fn client_with(authority: &Issuer, identity: &str) -> ClientOptions {
    ClientOptions { identity: Some((Pem::new(identity), None)), ..client(authority) }
}

/// Who the broker says the client is, and what comes back for some kilobytes.
async fn ask(listener: &ListenerHandle, options: &ClientOptions) -> std::io::Result<String> {
    ask_as(listener, options, "localhost").await
}

async fn ask_as(
    listener: &ListenerHandle,
    options: &ClientOptions,
    name: &'static str,
) -> std::io::Result<String> {
    let stream = TcpStream::connect(listener.local_address()).await?;
    let connector = TlsConnector::from(options.build().unwrap());
    let mut stream = connector.connect(ServerName::try_from(name).unwrap(), stream).await?;
    // Larger than a TLS record, so that it comes in several.
    let message = vec![b'x'; 40_000];
    stream.write_all(&message).await?;
    stream.flush().await?;
    let mut who = Vec::new();
    while !who.ends_with(b"\n") {
        who.push(stream.read_u8().await?);
    }
    let mut back = vec![0; message.len()];
    stream.read_exact(&mut back).await?;
    assert!(back == message);
    stream.shutdown().await?;
    assert_eq!(stream.read_to_end(&mut back).await?, 0, "the broker says goodbye, too");
    Ok(String::from_utf8(who).unwrap().trim().to_owned())
}

async fn until(listener: &ListenerHandle, what: impl Fn(&StatsSnapshot) -> bool) {
    let seen = async {
        while !what(&listener.stats().snapshot()) {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), seen).await.unwrap();
}

#[tokio::test]
async fn bytes_pass_in_every_version_that_is_allowed() {
    let authority = authority("ca");
    let server = certified(&authority, "server");
    for version in [TlsVersion::V12, TlsVersion::V13] {
        let listener = listen(tls(TlsOptions { versions: vec![version], ..options(&server) }));
        assert_eq!(ask(&listener, &client(&authority)).await.unwrap(), "User:ANONYMOUS");
    }
}

#[tokio::test]
async fn a_client_trusts_neither_a_stranger_nor_another_name() {
    let (ours, other) = (authority("ours"), authority("other"));
    let listener = listen(tls(options(&certified(&ours, "server"))));
    assert!(ask(&listener, &client(&other)).await.is_err());
    assert!(ask_as(&listener, &client(&ours), "example.org").await.is_err());
    let any = ClientOptions { verify_name: false, ..client(&ours) };
    assert!(ask_as(&listener, &any, "example.org").await.is_ok());
    let any = ClientOptions { verify_name: false, ..client(&other) };
    assert!(ask_as(&listener, &any, "example.org").await.is_err(), "the authority still counts");
}

#[tokio::test]
async fn a_certificate_says_who_a_client_is() {
    let (servers, clients) = (authority("servers"), authority("clients"));
    let with = |client_auth, rules: &str| {
        tls(TlsOptions {
            client_auth,
            client_authorities: Some(Pem::new(&clients.pem())),
            principals: PrincipalRules::parse(rules).unwrap(),
            ..options(&certified(&servers, "server"))
        })
    };
    let alice = client_with(&servers, &certified(&clients, "alice"));
    let mallory = client_with(&servers, &certified(&servers, "mallory"));
    let nobody = client(&servers);

    let listener = listen(with(ClientAuth::Required, ""));
    assert_eq!(ask(&listener, &alice).await.unwrap(), "User:CN=alice,O=Acme");
    assert!(ask(&listener, &nobody).await.is_err());
    assert!(ask(&listener, &mallory).await.is_err());
    until(&listener, |stats| stats.failed_handshakes == 2).await;

    let listener = listen(with(ClientAuth::Requested, "RULE:CN=(\\w+),O=Acme/$1/U"));
    assert_eq!(ask(&listener, &alice).await.unwrap(), "User:ALICE");
    assert_eq!(ask(&listener, &nobody).await.unwrap(), "User:ANONYMOUS");
    assert!(ask(&listener, &mallory).await.is_err());

    let listener = listen(with(ClientAuth::None, ""));
    assert_eq!(ask(&listener, &alice).await.unwrap(), "User:ANONYMOUS", "nobody asked");

    let listener = listen(with(ClientAuth::Required, "RULE:CN=bob/b/"));
    assert!(ask(&listener, &alice).await.is_err(), "without a name nobody gets in");
}

#[tokio::test]
async fn what_is_not_tls_is_counted_and_does_no_harm() {
    let authority = authority("ca");
    let listener = listen(tls(options(&certified(&authority, "server"))));
    let mut plain = TcpStream::connect(listener.local_address()).await.unwrap();
    plain.write_all(b"\0\0\0\x10 this is not TLS").await.unwrap();
    let mut answer = Vec::new();
    let _reset_or_end = plain.read_to_end(&mut answer).await;
    until(&listener, |stats| stats.failed_handshakes == 1 && stats.open == 0).await;
    assert!(ask(&listener, &client(&authority)).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_begins_is_given_up() {
    let authority = authority("ca");
    let listener = listen(tls(options(&certified(&authority, "server"))));
    let mut silent = TcpStream::connect(listener.local_address()).await.unwrap();
    assert_eq!(silent.read(&mut [0]).await.unwrap_or(0), 0);
    assert_eq!(listener.stats().snapshot().failed_handshakes, 1);
}

#[tokio::test]
async fn a_handshake_does_not_hold_up_the_end() {
    let authority = authority("ca");
    let listener = listen(tls(options(&certified(&authority, "server"))));
    let _silent = TcpStream::connect(listener.local_address()).await.unwrap();
    until(&listener, |stats| stats.open == 1).await;
    assert_eq!(listener.stop(Duration::from_secs(5)).await.aborted, 0);
}

#[tokio::test]
async fn new_files_are_used_and_broken_ones_are_not() {
    let folder = TempDir::new().unwrap();
    let file = folder.path().join("server.pem");
    let (old, new) = (authority("old"), authority("new"));
    std::fs::write(&file, certified(&old, "server")).unwrap();
    let tls = tls(TlsOptions::new(Pem::File(file.clone()), None));
    let listener = listen(Arc::clone(&tls));
    assert!(ask(&listener, &client(&old)).await.is_ok());
    assert!(!tls.reload_if_changed().unwrap());

    std::fs::write(&file, "-----BEGIN CERTIFICATE-----\nnonsense").unwrap();
    assert!(tls.reload_if_changed().is_err());
    assert!(!tls.reload_if_changed().unwrap(), "said once");
    assert!(ask(&listener, &client(&old)).await.is_ok(), "the old one is still good");

    // By another file in its place, as orchestrators do it.
    let next = folder.path().join("next.pem");
    std::fs::write(&next, certified(&new, "server")).unwrap();
    std::fs::rename(&next, &file).unwrap();
    assert!(tls.reload_if_changed().unwrap());
    assert!(ask(&listener, &client(&new)).await.is_ok());
    assert!(ask(&listener, &client(&old)).await.is_err());

    std::fs::remove_file(&file).unwrap();
    assert!(tls.reload().is_err());
    assert!(ask(&listener, &client(&new)).await.is_ok());
}

#[test]
fn what_is_wrong_is_said() {
    let folder = TempDir::new().unwrap();
    let authority = authority("ca");
    let (one, two) = (certified(&authority, "one"), certified(&authority, "two"));
    let written = |bytes: &[u8]| {
        let file = folder.path().join("file");
        std::fs::write(&file, bytes).unwrap();
        Pem::File(file)
    };
    let said = |options: TlsOptions| Tls::new(options).unwrap_err().to_string();
    let certificate = |pem: Pem| TlsOptions::new(pem, None);
    assert!(said(certificate(Pem::new("/no/such/file"))).contains("cannot read /no/such/file"));
    assert!(said(certificate(written(&[0xfe, 0xed, 0xfe, 0xed, 0]))).contains("keytool"));
    assert!(said(certificate(written(&[0x30, 0x82]))).contains("openssl pkcs12"));
    assert!(said(certificate(written(b"hello"))).contains("no certificate"));
    assert!(said(certificate(Pem::new(&authority.pem()))).contains("no private key"));
    let encrypted =
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n";
    let locked = TlsOptions::new(Pem::new(&one), Some(Pem::new(encrypted)));
    assert!(said(locked).contains("openssl pkey"));
    let mismatched = TlsOptions::new(Pem::new(&one), Some(Pem::new(&two)));
    assert!(said(mismatched).contains("certificate and key"));
    let nobody = TlsOptions { client_auth: ClientAuth::Required, ..options(&one) };
    assert!(said(nobody).contains("no authority"));
    let suites = vec!["TLS_RSA_WITH_NULL_MD5".to_owned()];
    let weak = TlsOptions { cipher_suites: suites, ..options(&one) };
    assert!(said(weak).contains("TLS_AES_256_GCM_SHA384"));
}

#[test]
fn a_key_is_not_shown() {
    let pem = Pem::new(&certified(&authority("ca"), "x"));
    let shown = format!("{:?}", TlsOptions::new(pem.clone(), Some(pem)));
    assert!(!shown.contains("BEGIN"), "{shown}");
    assert_eq!(Pem::new("a/b.pem"), Pem::File(Path::new("a/b.pem").to_owned()));
}
