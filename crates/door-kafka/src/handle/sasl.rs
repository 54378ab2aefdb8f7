//! SaslHandshake and SaslAuthenticate where no login is due: on a listener that asks for none, or
//! sooner than one may log in again. Logins themselves are in `login.rs`.

use super::Request;
use crate::wire::ErrorCode;
use crate::wire::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};

pub(super) async fn handle_handshake(
    _: Request<'_>,
    _: SaslHandshakeRequest,
) -> SaslHandshakeResponse {
    SaslHandshakeResponse {
        error_code: ErrorCode::IllegalSaslState.number(),
        ..SaslHandshakeResponse::default()
    }
}

pub(super) async fn handle_authenticate(
    _: Request<'_>,
    _: SaslAuthenticateRequest,
) -> SaslAuthenticateResponse {
    SaslAuthenticateResponse {
        error_code: ErrorCode::IllegalSaslState.number(),
        error_message: Some("There is no login to be authenticated now".to_owned()),
        ..SaslAuthenticateResponse::default()
    }
}
