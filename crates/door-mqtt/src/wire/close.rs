//! DISCONNECT (5.0 §3.14) and AUTH (5.0 §3.15).

use super::header::Kind;
use super::property::{self, Properties, Set};
use super::reader::Reader;
use super::reason::Reason;
use super::{Version, WireError, writer};

const DISCONNECT_PROPERTIES: Set = Set::of(&[
    property::SESSION_EXPIRY,
    property::REASON_STRING,
    property::USER_PROPERTY,
    property::SERVER_REFERENCE,
]);

const AUTH_PROPERTIES: Set = Set::of(&[
    property::AUTH_METHOD,
    property::AUTH_DATA,
    property::REASON_STRING,
    property::USER_PROPERTY,
]);

/// A client's goodbye.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Disconnect {
    pub(crate) reason: Reason,
    /// In seconds.
    pub(crate) session_expiry: Option<u32>,
}

impl Disconnect {
    /// Reads what follows the header.
    pub(crate) fn decode(version: Version, body: &[u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let mut found = Self { reason: Reason::SUCCESS, session_expiry: None };
        if version == Version::V5 && !reader.is_empty() {
            found.reason = Reason(reader.u8()?);
            if !reader.is_empty() {
                let mut properties = Properties::new(reader.block()?, DISCONNECT_PROPERTIES);
                while let Some((id, value)) = properties.next()? {
                    match id {
                        property::SESSION_EXPIRY => found.session_expiry = Some(value.number()),
                        property::SERVER_REFERENCE => {
                            return Err(WireError::Protocol("a client that names a server"));
                        }
                        _ => {}
                    }
                }
            }
        }
        reader.end()?;
        Ok(found)
    }
}

/// Writes a broker's goodbye, which 5.0 alone has.
pub(crate) fn encode_disconnect(reason: Reason, text: Option<&str>, out: &mut Vec<u8>) {
    writer::packet(out, (Kind::Disconnect as u8) << 4, |out| {
        out.push(reason.0);
        if text.is_some() {
            writer::measured(out, |out| writer::reason_string(out, text));
        }
    });
}

/// A step of a login.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Auth<'a> {
    pub(crate) reason: Reason,
    pub(crate) method: Option<&'a str>,
    pub(crate) data: Option<&'a [u8]>,
}

impl<'a> Auth<'a> {
    /// Reads what follows the header.
    pub(crate) fn decode(body: &'a [u8]) -> Result<Self, WireError> {
        let mut reader = Reader::new(body);
        let mut found = Self { reason: Reason::SUCCESS, method: None, data: None };
        if !reader.is_empty() {
            found.reason = Reason(reader.u8()?);
            let mut properties = Properties::new(reader.block()?, AUTH_PROPERTIES);
            while let Some((id, value)) = properties.next()? {
                match id {
                    property::AUTH_METHOD => found.method = Some(value.text()),
                    property::AUTH_DATA => found.data = Some(value.binary()),
                    _ => {}
                }
            }
        }
        reader.end()?;
        Ok(found)
    }

    /// Writes the packet.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        writer::packet(out, (Kind::Auth as u8) << 4, |out| {
            out.push(self.reason.0);
            writer::measured(out, |out| {
                if let Some(method) = self.method {
                    writer::text_property(out, property::AUTH_METHOD, method);
                }
                if let Some(data) = self.data {
                    out.push(property::AUTH_DATA);
                    writer::binary(out, data);
                }
            });
        });
    }
}
