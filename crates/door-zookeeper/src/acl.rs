//! Access lists: who a connection is, what an entry's list says, and whether that fits.
//!
//! Schemes as in ZooKeeper: `world` (anybody), `auth` (whoever set it), `digest` (a user who knows
//! a password), `ip` (an address or a block of them).

use std::collections::HashSet;
use std::net::IpAddr;

use broker::registry::{Access, Rule};
use sha1::{Digest, Sha1};

use crate::wire::code::Code;
use crate::wire::request::AclEntry;

#[cfg(test)]
mod tests;

/// Permissions (`ZooDefs.Perms`).
pub(crate) const READ: i32 = 1;
pub(crate) const WRITE: i32 = 2;
pub(crate) const CREATE: i32 = 4;
pub(crate) const DELETE: i32 = 8;
pub(crate) const ADMIN: i32 = 16;
pub(crate) const ALL: i32 = 31;

/// Somebody that a connection has shown to be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) scheme: &'static str,
    /// An address, or `user:digest`.
    pub(crate) id: String,
}

impl Identity {
    /// Everybody has an address.
    pub(crate) fn address(address: IpAddr) -> Self {
        Self { scheme: "ip", id: address.to_canonical().to_string() }
    }

    /// Whoever knows a user's password. What identifies them is `user:`, and the SHA-1 of user and
    /// password in base64; so an access list does not tell the password.
    pub(crate) fn digest(credentials: &[u8]) -> Self {
        let user = credentials.split(|byte| *byte == b':').next().unwrap_or_default();
        let user = String::from_utf8_lossy(user);
        Self { scheme: "digest", id: format!("{user}:{}", base64(&Sha1::digest(credentials))) }
    }

    /// The name to show, without what proves it.
    pub(crate) fn name(&self) -> &str {
        match self.scheme {
            "digest" => self.id.split(':').next().unwrap_or_default(),
            _ => &self.id,
        }
    }
}

fn base64(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let byte = |at: usize| u32::from(chunk.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            // Two characters say one byte, three say two.
            let digit = usize::try_from(bits >> (18 - 6 * at) & 63).unwrap_or(0);
            text.push(if at <= chunk.len() { char::from(ALPHABET[digit]) } else { '=' });
        }
    }
    text
}

/// Whether somebody of these identities may do one of `permissions`.
pub(crate) fn allows(access: &Access, permissions: i32, who: &[Identity]) -> bool {
    let fits = |rule: &Rule| match rule.scheme.as_str() {
        "world" => rule.id == "anyone",
        "ip" => who.iter().any(|who| who.scheme == "ip" && block_has(&rule.id, &who.id)),
        scheme => who.iter().any(|who| who.scheme == scheme && who.id == rule.id),
    };
    access.rules.is_empty()
        || access.rules.iter().any(|rule| rule.permissions & permissions != 0 && fits(rule))
}

/// The rules that a client wishes, checked, without doubles, and with `auth` replaced by whoever
/// the client is. Empty when they let everybody do everything.
///
/// # Errors
/// [`Code::InvalidAcl`].
pub(crate) fn resolve(wished: &[AclEntry], who: &[Identity]) -> Result<Vec<Rule>, Code> {
    let mut rules: Vec<Rule> = Vec::new();
    // A list may have tens of thousands of entries, so that each cannot be compared with all.
    let mut seen = HashSet::new();
    for entry in wished {
        if !seen.insert(entry) {
            continue;
        }
        let (permissions, id) = (entry.permissions, &entry.id);
        let scheme = entry.scheme.as_ref().ok_or(Code::InvalidAcl)?;
        if scheme == "auth" {
            let proven = who.iter().filter(|who| who.scheme == "digest");
            let before = rules.len();
            rules.extend(proven.map(|who| Rule {
                permissions,
                scheme: who.scheme.into(),
                id: who.id.clone(),
            }));
            if rules.len() == before {
                return Err(Code::InvalidAcl);
            }
            continue;
        }
        let valid = match scheme.as_str() {
            "world" => id == "anyone",
            // As Java splits: what is empty at the end does not count.
            "digest" => id.trim_end_matches(':').split(':').count() == 2,
            "ip" => block(id).is_some(),
            _ => false,
        };
        if !valid {
            return Err(Code::InvalidAcl);
        }
        rules.push(Rule { permissions, scheme: scheme.clone(), id: id.clone() });
    }
    match &rules[..] {
        [] => Err(Code::InvalidAcl),
        [only] if only.scheme == "world" && only.permissions == ALL => Ok(Vec::new()),
        _ => Ok(rules),
    }
}

/// The rules to show, to somebody who may only read them if not `whole`: then without what would
/// help to guess a password.
pub(crate) fn shown(access: &Access, whole: bool) -> Vec<Rule> {
    if access.rules.is_empty() {
        return vec![Rule { permissions: ALL, scheme: "world".into(), id: "anyone".into() }];
    }
    let mut rules = access.rules.clone();
    for rule in rules.iter_mut().filter(|rule| !whole && rule.scheme == "digest") {
        if let Some(at) = rule.id.find(':') {
            rule.id.replace_range(at.., ":x");
        }
    }
    rules
}

/// An address and how many of its bits count.
fn block(text: &str) -> Option<(IpAddr, u32)> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits.parse::<u32>().ok()?)),
        None => (text, None),
    };
    let address: IpAddr = address.parse().ok()?;
    let all = if address.is_ipv4() { 32 } else { 128 };
    let bits = bits.unwrap_or(all);
    (bits <= all).then_some((address, bits))
}

fn block_has(text: &str, address: &str) -> bool {
    let number = |address: IpAddr| match address {
        IpAddr::V4(address) => u128::from(address.to_bits()) << 96,
        IpAddr::V6(address) => address.to_bits(),
    };
    let (Some((block, bits)), Ok(address)) = (block(text), address.parse::<IpAddr>()) else {
        return false;
    };
    let differing = number(block) ^ number(address);
    block.is_ipv4() == address.is_ipv4() && (bits == 0 || differing >> (128 - bits) == 0)
}
