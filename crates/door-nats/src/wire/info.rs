//! `INFO {json}`: what the broker says about itself, first and whenever it changes.

use serde::Serialize;

/// The fields of `INFO` that clients look at.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Info {
    pub(crate) server_id: String,
    pub(crate) server_name: String,
    /// Clients ask it what they may use.
    pub(crate) version: &'static str,
    /// 1: further `INFO`s may come.
    pub(crate) proto: i32,
    /// What the server is built with; there for those who print it.
    pub(crate) go: &'static str,
    pub(crate) host: String,
    pub(crate) port: u16,
    pub(crate) headers: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) auth_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) tls_required: bool,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) tls_verify: bool,
    pub(crate) max_payload: usize,
    #[serde(skip_serializing_if = "is_false")]
    pub(crate) jetstream: bool,
    pub(crate) client_id: u64,
    pub(crate) client_ip: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) nonce: Option<String>,
    /// The broker is about to stop: go elsewhere.
    #[serde(rename = "ldm", skip_serializing_if = "is_false")]
    pub(crate) lame_duck: bool,
}

#[allow(clippy::trivially_copy_pass_by_ref, reason = "serde asks for it")]
fn is_false(value: &bool) -> bool {
    !value
}

impl Info {
    /// `INFO {json}`.
    pub(crate) fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(b"INFO ");
        // Strings and numbers always have a JSON form.
        if let Ok(json) = serde_json::to_vec(self) {
            out.extend_from_slice(&json);
        }
        out.extend_from_slice(b"\r\n");
    }
}
