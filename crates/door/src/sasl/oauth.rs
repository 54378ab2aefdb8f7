//! `OAUTHBEARER` (RFC 7628): the client shows a token of an identity provider's.

use super::{Login, Logins, Refusal};

/// What a client is told of a token that is not good (RFC 7628, section 3.2.2). It has to answer
/// before the login fails.
pub(super) const INVALID_TOKEN: &[u8] = b"{\"status\":\"invalid_token\"}";

/// Separates the parts of the message.
const SEPARATOR: char = '\u{1}';

/// Why there is no login.
pub(super) enum Failure {
    Malformed(Refusal),
    Token(Refusal),
}

pub(super) fn login(logins: &Logins, token: &[u8]) -> Result<Login, Failure> {
    let (authorization, token) = parse(token).map_err(Failure::Malformed)?;
    let Some(tokens) = &logins.tokens else {
        return Err(Failure::Malformed(Refusal::malformed("no tokens are taken here")));
    };
    let refuse = |why: String| {
        Failure::Token(Refusal::new("Authentication failed: the token is not valid", why))
    };
    let valid = tokens.check(token, logins.now()).map_err(refuse)?;
    if !authorization.is_empty() && authorization != valid.subject {
        let why = "Client requested an authorization id that is not the token's";
        return Err(Failure::Malformed(Refusal::malformed(why)));
    }
    Ok(logins.login(&valid.subject, Some(valid.expires)))
}

/// `n,[a=authorization],^Aauth=Bearer TOKEN^A[key=value^A]^A`: who the client wants to be, and the
/// token.
fn parse(token: &[u8]) -> Result<(&str, &str), Refusal> {
    let malformed = || Refusal::malformed("it is not a message of OAUTHBEARER");
    let text = std::str::from_utf8(token).map_err(|_| malformed())?;
    let (header, rest) = text.split_once(SEPARATOR).ok_or_else(malformed)?;
    let mut header = header.split(',');
    let (Some("n" | "y"), Some(authorization), Some(""), None) =
        (header.next(), header.next(), header.next(), header.next())
    else {
        return Err(malformed());
    };
    let authorization = match authorization.strip_prefix("a=") {
        Some(name) => name,
        None if authorization.is_empty() => "",
        None => return Err(malformed()),
    };
    let pairs = rest.strip_suffix("\u{1}\u{1}").ok_or_else(malformed)?;
    // Other pairs are extensions (KIP-342), which nothing here asks for.
    let auth = pairs.split(SEPARATOR).find_map(|pair| pair.strip_prefix("auth="));
    let (scheme, token) = auth.and_then(|auth| auth.split_once(' ')).ok_or_else(malformed)?;
    if scheme.eq_ignore_ascii_case("bearer") {
        Ok((authorization, token.trim()))
    } else {
        Err(malformed())
    }
}
