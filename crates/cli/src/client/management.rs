//! Asking the management API of the AMQP door: what Kafka's protocol has no words for.
//!
//! HTTP/1.0 (RFC 1945), one request a connection: an answer ends where its length says, or with the connection.

use std::io::{Read, Write};
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value as Json;

use super::connection::connect;
use super::security::{Security, Stream};
use crate::CliError;

/// Largest answer that is believed, in bytes: a list of 200,000 queues.
const ANSWER_BYTES_MAX: u64 = 256 * 1024 * 1024;

/// The management API of one broker.
#[derive(Debug)]
pub(crate) struct Management {
    address: String,
    timeout: Duration,
    security: Security,
    /// What it is, and how another address is said.
    called: (&'static str, &'static str),
}

/// What a request was answered.
#[derive(Debug, PartialEq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Nothing, where there is none.
    pub(crate) body: Json,
}

impl Management {
    /// At `HOST:PORT`; nothing is asked yet.
    pub(crate) fn new(address: String, timeout: Duration, security: Security) -> Self {
        let hint = "--management HOST:PORT, the broker's amqp.management_port";
        Self { address, timeout, security, called: ("the management API", hint) }
    }

    /// Something else that is asked in the same way.
    pub(crate) fn called(self, what: &'static str, hint: &'static str) -> Self {
        Self { called: (what, hint), ..self }
    }

    /// What is at a path, which must be there. `what` is it in words, such as `queue orders`.
    pub(crate) fn get(&self, path: &str, what: &str) -> Result<Json, CliError> {
        let answer = self.ask("GET", path)?;
        answer.refused(what).map_or(Ok(answer.body), Err)
    }

    /// What is at a path, which must be there, as it is. `what` is it in words.
    pub(crate) fn download(&self, path: &str, what: &str) -> Result<Vec<u8>, CliError> {
        let (status, body) = self.exchange("GET", path, "")?;
        if (200..300).contains(&status) {
            return Ok(body);
        }
        // A refusal is JSON, if it says why.
        let answer = Answer { status, body: serde_json::from_slice(&body).unwrap_or_default() };
        answer.refused(what).map_or(Ok(body), Err)
    }

    /// Asks without a body.
    pub(crate) fn ask(&self, method: &str, path: &str) -> Result<Answer, CliError> {
        self.send(method, path, "")
    }

    /// Asks with a body, which is JSON.
    pub(crate) fn send(&self, method: &str, path: &str, body: &str) -> Result<Answer, CliError> {
        let (status, body) = self.exchange(method, path, body)?;
        Answer::read(status, &body).map_err(|why| self.failed(&why))
    }

    fn failed(&self, why: &str) -> CliError {
        let (what, hint) = self.called;
        CliError::new(format!("cannot ask {what} at {}: {why}", self.address)).hint(hint)
    }

    /// Asks, and takes the answer's status and body.
    fn exchange(&self, method: &str, path: &str, body: &str) -> Result<(u16, Vec<u8>), CliError> {
        let failed = |why: String| self.failed(&why);
        let stream = connect(&self.address, self.timeout).map_err(|e| failed(e.to_string()))?;
        let mut stream = Stream::secured(stream, &self.address, &self.security).map_err(failed)?;
        let request = self.request(method, path, body)?;
        let mut answer = Vec::new();
        let sent = stream.write_all(request.as_bytes()).and_then(|()| stream.flush());
        let read =
            sent.and_then(|()| (&mut stream).take(ANSWER_BYTES_MAX).read_to_end(&mut answer));
        // Some end TLS without a goodbye; the answer says how long it is.
        let is_whole = |bytes: &[u8]| parse(bytes).is_ok();
        if let Err(error) = read
            && !is_whole(&answer)
        {
            return Err(failed(error.to_string()));
        }
        parse(&answer).map(|(status, body)| (status, body.to_vec())).map_err(failed)
    }

    fn request(&self, method: &str, path: &str, body: &str) -> Result<String, CliError> {
        let login = match &self.security.login {
            None => String::new(),
            Some(login) => {
                let named = login.name_and_password().map_err(CliError::new)?;
                format!("Authorization: Basic {}\r\n", BASE64_STANDARD.encode(named))
            }
        };
        let host = &self.address;
        Ok(format!(
            "{method} /api/{path} HTTP/1.0\r\nHost: {host}\r\n{login}Accept: application/json\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            body.len()
        ))
    }
}

impl Answer {
    /// With a body that is JSON, or nothing.
    fn read(status: u16, body: &[u8]) -> Result<Self, String> {
        if body.is_empty() {
            return Ok(Self { status, body: Json::Null });
        }
        let body = serde_json::from_slice(body);
        let body = body.map_err(|error| format!("the answer is not JSON: {error}"))?;
        Ok(Self { status, body })
    }

    /// The error that it is, if it is one.
    pub(crate) fn refused(&self, what: &str) -> Option<CliError> {
        if (200..300).contains(&self.status) {
            return None;
        }
        let said = self.body["reason"].as_str().or(self.body["detail"].as_str());
        let reason = said.unwrap_or("the broker does not say why");
        Some(match self.status {
            404 => CliError::new(format!("{what}: there is none")),
            401 => CliError::new(format!("{what}: {reason}"))
                .hint("--user NAME with --password-file FILE, or a rule: entrepot acl add"),
            status => CliError::new(format!("{what}: {reason} (HTTP {status})")),
        })
    }
}

/// Takes an answer apart: its status and its body.
fn parse(bytes: &[u8]) -> Result<(u16, &[u8]), String> {
    let end = bytes.windows(4).position(|four| four == b"\r\n\r\n");
    let end = end.ok_or("the answer ended too early, or is not HTTP")?;
    let (head, body) = (&bytes[..end], &bytes[end + 4..]);
    let head = String::from_utf8_lossy(head);
    let mut lines = head.split("\r\n");
    let mut first = lines.next().unwrap_or_default().split(' ');
    let is_http = first.next().is_some_and(|version| version.starts_with("HTTP/1."));
    let status = first.next().and_then(|status| status.parse().ok()).filter(|_| is_http);
    let status = status.ok_or("the answer is not HTTP")?;
    let length = lines.find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().ok())?
    });
    if length.is_some_and(|length| length != body.len()) {
        return Err("the answer ended too early".to_owned());
    }
    Ok((status, body))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_taken_apart() {
        let ok = b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\nX: y\r\n\r\n[]";
        assert_eq!(parse(ok), Ok((200, &b"[]"[..])));
        let none = (204, &b""[..]);
        assert_eq!(parse(b"HTTP/1.1 204 No Content\r\n\r\n"), Ok(none));
        for bad in [
            &b""[..],
            b"HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\n[]",
            b"SSH-2.0-x\r\n\r\n",
            b"HTTP/1.0 OK\r\n\r\n",
        ] {
            assert!(parse(bad).is_err(), "{}", bad.escape_ascii());
        }
        let read = |body: &[u8]| Answer::read(200, body);
        assert_eq!(read(b"[]").unwrap().body, serde_json::json!([]));
        assert_eq!(read(b"").unwrap().body, Json::Null);
        assert!(read(b"<html>").is_err());
    }

    #[test]
    fn a_refusal_says_why() {
        let body = serde_json::json!({ "error": "bad_request", "reason": "it is in use" });
        let refused = Answer { status: 400, body }.refused("queue q").unwrap();
        assert_eq!(refused.to_string(), "queue q: it is in use (HTTP 400)");
        assert!(Answer { status: 204, body: Json::Null }.refused("queue q").is_none());
        let missing = Answer { status: 404, body: Json::Null }.refused("queue q").unwrap();
        assert_eq!(missing.to_string(), "queue q: there is none");
    }
}
