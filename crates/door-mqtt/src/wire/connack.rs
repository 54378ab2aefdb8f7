//! CONNACK (3.1.1 §3.2, 5.0 §3.2): the answer to a CONNECT.

use super::header::Kind;
use super::{property, writer};

/// The answer; the properties are there in 5.0 only.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connack<'a> {
    pub(crate) session_present: bool,
    /// Of the client's version.
    pub(crate) code: u8,
    pub(crate) properties: Option<ConnackProperties<'a>>,
}

/// The properties; what is absent is not said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ConnackProperties<'a> {
    pub(crate) session_expiry: Option<u32>,
    pub(crate) receive_max: Option<u16>,
    pub(crate) packet_bytes_max: Option<u32>,
    pub(crate) assigned_client_id: Option<&'a str>,
    pub(crate) topic_alias_max: Option<u16>,
    pub(crate) reason_string: Option<&'a str>,
    pub(crate) server_keep_alive: Option<u16>,
    pub(crate) response_info: Option<&'a str>,
    pub(crate) auth_method: Option<&'a str>,
    pub(crate) auth_data: Option<&'a [u8]>,
}

impl ConnackProperties<'_> {
    fn encode(&self, out: &mut Vec<u8>) {
        let two = |out: &mut Vec<u8>, id, value: Option<u16>| {
            if let Some(value) = value {
                out.push(id);
                out.extend_from_slice(&value.to_be_bytes());
            }
        };
        let four = |out: &mut Vec<u8>, id, value: Option<u32>| {
            if let Some(value) = value {
                out.push(id);
                out.extend_from_slice(&value.to_be_bytes());
            }
        };
        let text = |out: &mut Vec<u8>, id, value: Option<&str>| {
            if let Some(value) = value {
                writer::text_property(out, id, value);
            }
        };
        // In the order in which others write them, for those who compare bytes.
        four(out, property::SESSION_EXPIRY, self.session_expiry);
        two(out, property::TOPIC_ALIAS_MAX, self.topic_alias_max);
        two(out, property::SERVER_KEEP_ALIVE, self.server_keep_alive);
        text(out, property::ASSIGNED_CLIENT_ID, self.assigned_client_id);
        text(out, property::AUTH_METHOD, self.auth_method);
        if let Some(data) = self.auth_data {
            out.push(property::AUTH_DATA);
            writer::binary(out, data);
        }
        text(out, property::RESPONSE_INFO, self.response_info);
        text(out, property::REASON_STRING, self.reason_string);
        four(out, property::PACKET_BYTES_MAX, self.packet_bytes_max);
        two(out, property::RECEIVE_MAX, self.receive_max);
    }
}

impl Connack<'_> {
    /// Writes the packet.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        writer::packet(out, (Kind::Connack as u8) << 4, |out| {
            out.extend_from_slice(&[u8::from(self.session_present), self.code]);
            if let Some(properties) = &self.properties {
                writer::measured(out, |out| properties.encode(out));
            }
        });
    }
}
