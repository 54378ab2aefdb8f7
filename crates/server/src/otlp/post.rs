//! One request of HTTP/1.1 (RFC 9112) on a connection of its own.

use std::fmt::{self, Display, Formatter};
use std::io;
use std::time::Duration;

use door::tls::client::ClientOptions;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

/// What a request may take, with its answer.
const PATIENCE: Duration = Duration::from_secs(10);
/// Largest answer that is read.
const ANSWER_BYTES_MAX: usize = 64 * 1024;
/// Where collectors take traces, below what is configured.
const PATH: &str = "/v1/traces";

/// A collector.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    is_secure: bool,
    /// Without brackets.
    host: String,
    port: u16,
    path: String,
    /// Fields that go with each request, each with the end of its line.
    fields: String,
}

/// Why something was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Failure {
    /// What happened.
    pub(super) why: String,
    /// It may be taken if it is sent again, …
    pub(super) again: bool,
    /// … but not before.
    pub(super) after: Option<Duration>,
}

impl Display for Target {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let scheme = if self.is_secure { "https" } else { "http" };
        let Self { host, port, path, .. } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        write!(f, "{scheme}://{host}:{port}{path}")
    }
}

impl Target {
    /// From `http://host:port/path`, to which `/v1/traces` is added where it does not end so, and fields as
    /// `name=value,name=value` (as `OTEL_EXPORTER_OTLP_HEADERS` has them).
    ///
    /// # Errors
    /// What is allowed.
    pub(crate) fn parse(address: &str, fields: &str) -> Result<Self, String> {
        const ALLOWED: &str = "http://HOST:PORT or https://HOST:PORT, perhaps with a path";
        let secure = address.strip_prefix("https://");
        let rest = secure.or_else(|| address.strip_prefix("http://")).ok_or(ALLOWED)?;
        let (authority, path) = match rest.find('/') {
            Some(at) => rest.split_at(at),
            None => (rest, ""),
        };
        let (host, port) = match authority.rsplit_once(':').filter(|(_, port)| !port.contains(']'))
        {
            Some((host, port)) => (host, port.parse().map_err(|_| ALLOWED)?),
            None => (authority, if secure.is_some() { 443 } else { 4318 }),
        };
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let is_plain = |text: &str| text.bytes().all(|byte| byte.is_ascii_graphic());
        if host.is_empty() || !is_plain(host) || host.contains(['@', '?']) || !is_plain(path) {
            return Err(ALLOWED.to_owned());
        }
        let base = path.trim_end_matches('/');
        let path = if base.ends_with(PATH) { base.to_owned() } else { format!("{base}{PATH}") };
        let fields = read_fields(fields)?;
        Ok(Self { is_secure: secure.is_some(), host: host.to_owned(), port, path, fields })
    }

    /// Sends it; returns what is answered.
    pub(super) async fn post(&self, body: &[u8]) -> Result<Vec<u8>, Failure> {
        let failed = |why: String| Failure { why, again: true, after: None };
        let answer = match timeout(PATIENCE, self.exchange(body)).await {
            Ok(answer) => answer.map_err(|error| failed(error.to_string()))?,
            Err(_elapsed) => return Err(failed("it does not answer".to_owned())),
        };
        let Answer { status, after, body } = answer;
        match status {
            200..=299 => Ok(body),
            // Those that the protocol has sent again (OTLP/HTTP Response, "Retryable Response Codes").
            _ => Err(Failure {
                why: format!("it answers with status {status}"),
                again: matches!(status, 429 | 502..=504),
                after,
            }),
        }
    }

    async fn exchange(&self, body: &[u8]) -> io::Result<Answer> {
        let stream = TcpStream::connect((self.host.as_str(), self.port)).await?;
        stream.set_nodelay(true)?;
        if self.is_secure {
            let stream = ClientOptions::default().connect(&self.host, stream).await?;
            return self.exchange_over(stream, body).await;
        }
        self.exchange_over(stream, body).await
    }

    async fn exchange_over(
        &self,
        mut stream: impl AsyncRead + AsyncWrite + Unpin,
        body: &[u8],
    ) -> io::Result<Answer> {
        let Self { host, port, path, fields, .. } = self;
        let host = if host.contains(':') { format!("[{host}]") } else { host.clone() };
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Type: application/x-protobuf\r\n\
             Content-Length: {}\r\nConnection: close\r\nUser-Agent: entrepot\r\n{fields}\r\n",
            body.len()
        );
        stream.write_all(&[head.as_bytes(), body].concat()).await?;
        stream.flush().await?;
        let mut bytes = Vec::new();
        loop {
            let is_over = stream.read_buf(&mut bytes).await? == 0;
            if let Some(answer) = Answer::read(&bytes, is_over)? {
                return Ok(answer);
            }
            if is_over || bytes.len() > ANSWER_BYTES_MAX {
                let why = "its answer is not HTTP, too long or not whole";
                return Err(io::Error::new(io::ErrorKind::InvalidData, why));
            }
        }
    }
}

/// Fields, as they stand in a request.
fn read_fields(text: &str) -> Result<String, String> {
    let is_name = |name: &str| {
        let is_of_name = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        !name.is_empty() && name.bytes().all(is_of_name)
    };
    let mut fields = String::new();
    for pair in text.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
        let pair = pair.split_once('=').map(|(name, value)| (name.trim(), value.trim()));
        let pair = pair.filter(|(name, _)| is_name(name));
        let pair = pair.filter(|(_, value)| value.bytes().all(|b| matches!(b, b' '..=b'~')));
        let (name, value) = pair.ok_or("name=value,name=value in plain ASCII, or empty")?;
        fields.push_str(&format!("{name}: {value}\r\n"));
    }
    Ok(fields)
}

#[derive(Debug, PartialEq, Eq)]
struct Answer {
    status: u16,
    after: Option<Duration>,
    /// Nothing, where it comes in chunks.
    body: Vec<u8>,
}

impl Answer {
    /// `None`: more of it is to come.
    fn read(bytes: &[u8], is_over: bool) -> io::Result<Option<Self>> {
        let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") else {
            return Ok(None);
        };
        let (head, body) = bytes.split_at(end + 4);
        let head = String::from_utf8_lossy(head);
        let mut lines = head.split("\r\n");
        let first = lines.next().and_then(|line| line.strip_prefix("HTTP/1."));
        let status = first.and_then(|line| line.split(' ').nth(1)?.parse().ok());
        let wrong = || io::Error::new(io::ErrorKind::InvalidData, "its answer is not HTTP");
        let status: u16 = status.ok_or_else(wrong)?;
        let fields: Vec<_> = lines.filter_map(|line| line.split_once(':')).collect();
        let field = |wanted: &str| {
            let found = fields.iter().find(|(name, _)| name.eq_ignore_ascii_case(wanted));
            found.map(|(_, value)| value.trim())
        };
        let after = field("retry-after").and_then(|after| after.parse().ok());
        let length = field("content-length").and_then(|length| length.parse::<usize>().ok());
        let is_chunked = field("transfer-encoding").is_some();
        let is_whole = match length {
            _ if is_chunked || status == 204 => true,
            Some(length) => body.len() >= length,
            None => is_over,
        };
        let body = if is_chunked { Vec::new() } else { body.to_vec() };
        let after = after.map(Duration::from_secs);
        Ok(is_whole.then_some(Self { status, after, body }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_people_write_them() {
        for (address, shown) in [
            ("http://localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://localhost", "http://localhost:4318/v1/traces"),
            ("https://otel.example.com", "https://otel.example.com:443/v1/traces"),
            ("http://[::1]:80/base/", "http://[::1]:80/base/v1/traces"),
            ("http://[::1]", "http://[::1]:4318/v1/traces"),
            ("http://a:1/v1/traces", "http://a:1/v1/traces"),
        ] {
            assert_eq!(Target::parse(address, "").unwrap().to_string(), shown);
        }
        for bad in [
            "",
            "localhost:4318",
            "grpc://a",
            "http://",
            "http://a:b",
            "http://u:p@a:1",
            "http://a b",
        ] {
            assert!(Target::parse(bad, "").is_err(), "{bad}");
        }
        let target = Target::parse("http://a", "Authorization=Basic YQ==, x-a = 1").unwrap();
        assert_eq!(target.fields, "Authorization: Basic YQ==\r\nx-a: 1\r\n");
        for bad in ["a", "=b", "a b=c", "a=\u{e4}", "a=b\r\nHost: c"] {
            assert!(Target::parse("http://a", bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn answers_are_read_as_they_come() {
        let read = |text: &str, is_over| Answer::read(text.as_bytes(), is_over).unwrap();
        let ok = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
        assert_eq!(read(ok, false).unwrap().body, b"ab");
        assert_eq!(read(&ok[..ok.len() - 1], false), None);
        assert_eq!(read("HTTP/1.1 200 OK\r\n", false), None);
        assert_eq!(read("HTTP/1.1 200 OK\r\n\r\nab", false), None);
        assert_eq!(read("HTTP/1.1 200 OK\r\n\r\nab", true).unwrap().body, b"ab");
        let later = read("HTTP/1.1 503 No\r\nRetry-After: 7\r\ncontent-length: 0\r\n\r\n", false);
        let after = Some(Duration::from_secs(7));
        assert_eq!(later, Some(Answer { status: 503, after, body: Vec::new() }));
        assert!(Answer::read(b"SSH-2.0\r\n\r\n", true).is_err());
    }
}
