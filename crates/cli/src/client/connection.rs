//! One connection to one broker: a request goes out, its response comes back.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::Duration;

use bytes::Bytes;
use door_kafka::wire::messages::{
    ApiVersionsRequest, ApiVersionsResponse, SaslAuthenticateRequest, SaslHandshakeRequest,
};
use door_kafka::wire::{
    ApiKey, ErrorCode, Message, Reader, RequestMessage, decode_response, encode_request,
};

use super::ClientError;
use super::security::{Security, Stream};

/// Largest response that is believed. A fetch response has at most some 60 MB; the first bytes of
/// HTTP and TLS, read as a length, are larger than this.
const RESPONSE_BYTES_MAX: usize = 200 * 1024 * 1024;

/// What brokers see as this program's name.
const CLIENT_ID: &str = "entrepot-cli";

/// A connection, after both sides agreed on versions.
#[derive(Debug)]
pub(crate) struct Connection {
    stream: Stream,
    address: String,
    timeout: Duration,
    correlation_id: i32,
    versions: Vec<(i16, i16, i16)>,
}

impl Connection {
    /// Connects and asks for the versions that the broker serves.
    pub(crate) fn open(
        address: &str,
        timeout: Duration,
        security: &Security,
    ) -> Result<Self, ClientError> {
        let unreachable = |why: String| ClientError::Unreachable { address: address.into(), why };
        let stream = connect(address, timeout).map_err(|error| unreachable(error.to_string()))?;
        let stream = Stream::secured(stream, address, security);
        let mut connection = Self {
            stream: stream.map_err(unreachable)?,
            address: address.to_owned(),
            timeout,
            correlation_id: 0,
            versions: Vec::new(),
        };
        connection.agree_on_versions()?;
        connection.log_in(security)?;
        Ok(connection)
    }

    /// Says who we are, if the broker is to know.
    fn log_in(&mut self, security: &Security) -> Result<(), ClientError> {
        let Some(login) = &security.login else { return Ok(()) };
        let subject = format!("login of {} at {}", login.name, self.address);
        let mechanism = login.mechanism.name().to_owned();
        let chosen = self.call(&SaslHandshakeRequest { mechanism }, 1)?;
        let offered = format!("the broker offers {}", chosen.mechanisms.join(", "));
        ClientError::check(subject.clone(), chosen.error_code, Some(offered))?;
        let mut steps = login.begin();
        let mut token = steps.first();
        loop {
            let request = SaslAuthenticateRequest { auth_bytes: token.into() };
            let answer = self.call(&request, 2)?;
            ClientError::check(subject.clone(), answer.error_code, answer.error_message)?;
            match steps.next(&answer.auth_bytes) {
                Ok(Some(next)) => token = next,
                Ok(None) => return Ok(()),
                Err(why) => return Err(self.garbage("a login", why)),
            }
        }
    }

    /// Sends a request in the newest version that both sides know, but none above `most`, and
    /// waits for its response.
    pub(crate) fn call<R: RequestMessage>(
        &mut self,
        request: &R,
        most: i16,
    ) -> Result<R::Response, ClientError> {
        let version = self.version(R::API, most)?;
        let frame = self.exchange(request, version)?;
        self.decode::<R>(frame, version)
    }

    /// The socket, no request being under way, and the address that it leads to.
    pub(crate) fn into_stream(self) -> (Stream, String) {
        (self.stream, self.address)
    }

    /// Waits for answers this much longer, or no longer than usual with zero.
    pub(crate) fn be_patient(&mut self, longer: Duration) -> Result<(), ClientError> {
        let set = self.stream.set_read_timeout(Some(self.timeout + longer));
        set.map_err(|error| self.broken("socket option", &error))
    }

    /// The version in which a request would be sent.
    pub(crate) fn version(&self, api: ApiKey, most: i16) -> Result<i16, ClientError> {
        let number = api.number();
        let served = self.versions.iter().find(|(key, ..)| *key == number);
        let version = served.map(|(_, _, max)| (*max).min(api.max_version()).min(most));
        let least = served.map_or(0, |(_, min, _)| (*min).max(api.min_version()));
        version.filter(|version| *version >= least).ok_or_else(|| ClientError::Version {
            address: self.address.clone(),
            request: api.name(),
            theirs: match served {
                Some((_, min, max)) => format!("it serves {min} to {max}"),
                None => "it does not serve it at all".to_owned(),
            },
        })
    }

    /// Sends a request whose response never comes (produce without acknowledgement).
    pub(crate) fn send_only<R: RequestMessage>(
        &mut self,
        request: &R,
        most: i16,
    ) -> Result<(), ClientError> {
        let version = self.version(R::API, most)?;
        self.send(request, version)
    }

    fn agree_on_versions(&mut self) -> Result<(), ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: CLIENT_ID.to_owned(),
            client_software_version: env!("CARGO_PKG_VERSION").to_owned(),
            ..ApiVersionsRequest::default()
        };
        let newest = 3;
        let frame = self.exchange(&request, newest)?;
        // A broker that does not know this version answers in version 0 with an error (KIP-511).
        // The error comes first in every version.
        let mut start = Reader::new(frame.clone());
        let code = start.i32().and_then(|_| start.i16()).unwrap_or_default();
        let response = if code == ErrorCode::UnsupportedVersion.number() {
            let frame = self.exchange(&request, 0)?;
            self.decode::<ApiVersionsRequest>(frame, 0)?
        } else {
            self.decode::<ApiVersionsRequest>(frame, newest)?
        };
        let ApiVersionsResponse { error_code, api_keys, .. } = response;
        ClientError::check(format!("broker {}", self.address), error_code, None)?;
        self.versions =
            api_keys.iter().map(|key| (key.api_key, key.min_version, key.max_version)).collect();
        Ok(())
    }

    fn exchange<R: RequestMessage>(
        &mut self,
        request: &R,
        version: i16,
    ) -> Result<Bytes, ClientError> {
        self.send(request, version)?;
        self.receive(R::API.name())
    }

    fn send<R: RequestMessage>(&mut self, request: &R, version: i16) -> Result<(), ClientError> {
        self.correlation_id = self.correlation_id.wrapping_add(1);
        let frame = encode_request(request, version, self.correlation_id, Some(CLIENT_ID))
            .map_err(|source| ClientError::Encode { request: R::API.name(), source })?;
        let written = self.stream.write_all(&frame).and_then(|()| self.stream.flush());
        written.map_err(|error| self.broken(R::API.name(), &error))
    }

    /// One frame, without its length.
    fn receive(&mut self, request: &'static str) -> Result<Bytes, ClientError> {
        let mut length = [0; 4];
        self.stream.read_exact(&mut length).map_err(|error| self.broken(request, &error))?;
        let length = i32::from_be_bytes(length);
        let bytes = usize::try_from(length).ok().filter(|n| *n <= RESPONSE_BYTES_MAX);
        let Some(bytes) = bytes else {
            return Err(self.garbage(request, format!("a response of {length} bytes")));
        };
        // Grows as bytes arrive: a length alone makes nobody allocate.
        let mut frame = Vec::new();
        let limit = u64::try_from(bytes).unwrap_or_default();
        let read = (&mut self.stream).take(limit).read_to_end(&mut frame);
        let read = read.map_err(|error| self.broken(request, &error))?;
        if read < bytes {
            return Err(self.broken(request, &io::Error::from(ErrorKind::UnexpectedEof)));
        }
        Ok(frame.into())
    }

    fn decode<R: RequestMessage>(
        &self,
        frame: Bytes,
        version: i16,
    ) -> Result<R::Response, ClientError> {
        let request = R::API.name();
        let (id, response) = decode_response::<R>(frame, version)
            .map_err(|error| self.garbage(request, format!("{}: {error}", R::Response::NAME)))?;
        if id != self.correlation_id {
            let why = format!("response {id} where {} was expected", self.correlation_id);
            return Err(self.garbage(request, why));
        }
        Ok(response)
    }

    fn broken(&self, request: &'static str, error: &io::Error) -> ClientError {
        let address = self.address.clone();
        match error.kind() {
            ErrorKind::WouldBlock | ErrorKind::TimedOut => {
                ClientError::TimedOut { address, request, after: self.timeout }
            }
            ErrorKind::UnexpectedEof => {
                ClientError::Closed { address, request, why: "the end came too early".to_owned() }
            }
            _ => ClientError::Closed { address, request, why: error.to_string() },
        }
    }

    fn garbage(&self, request: &'static str, why: String) -> ClientError {
        ClientError::Garbage { address: self.address.clone(), request, why }
    }
}

/// Tries every address that the name stands for.
pub(super) fn connect(address: &str, timeout: Duration) -> io::Result<TcpStream> {
    let mut last = io::Error::new(ErrorKind::NotFound, "the name has no address");
    for candidate in address.to_socket_addrs()? {
        match TcpStream::connect_timeout(&candidate, timeout) {
            Ok(stream) => {
                stream.set_nodelay(true)?;
                stream.set_read_timeout(Some(timeout))?;
                stream.set_write_timeout(Some(timeout))?;
                return Ok(stream);
            }
            Err(error) => last = error,
        }
    }
    Err(last)
}
