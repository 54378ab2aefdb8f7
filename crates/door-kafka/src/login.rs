//! What a connection may do before it has logged in, and how it logs in: `SaslHandshake` chooses a
//! mechanism, `SaslAuthenticate` carries its tokens (KIP-43, KIP-152); again at any time later
//! (KIP-368).

use std::sync::Arc;
use std::time::Duration;

use base::Principal;
use bytes::Bytes;
use door::CloseReason;
use door::sasl::{Exchange, Login, Logins, Mechanism, Refusal, Step};
use tokio::time::Instant;

use crate::session::{Parts, protocol_error};
use crate::wire::messages::{
    SaslAuthenticateRequest, SaslAuthenticateResponse, SaslHandshakeRequest, SaslHandshakeResponse,
};
use crate::wire::{
    ApiKey, ErrorCode, Message, Reader, RequestHeader, RequestMessage, encode_response,
};

/// Who has not logged in by then is cut off. A login is three round trips.
const LOGIN_PATIENCE: Duration = Duration::from_secs(30);

/// A client may not log in again sooner: each login costs a hash.
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Where a connection stands with its login.
#[derive(Debug)]
pub(crate) enum Gate {
    /// The listener asks for none.
    Open,
    Shut(Box<Shut>),
}

#[derive(Debug)]
pub(crate) struct Shut {
    logins: Arc<Logins>,
    deadline: Instant,
    /// The login under way, if one is.
    exchange: Option<Chosen>,
    /// The login that holds.
    inside: Option<Inside>,
}

#[derive(Debug)]
struct Chosen {
    exchange: Exchange,
    /// Tokens come as frames of their own, without a header: the handshake's version 0.
    raw: bool,
}

#[derive(Debug)]
struct Inside {
    principal: Principal,
    mechanism: Mechanism,
    since: Instant,
    until: Option<Instant>,
}

/// What is done with a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Path {
    /// It is served.
    Serve,
    /// It is a part of a login.
    Login,
}

/// What comes of a part of a login.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// The client is answered, and the login goes on.
    Answer(Parts),
    /// The client is answered, and is in.
    In(Parts, Principal),
    /// The client is answered after a while, if that is possible, and cut off.
    Out(Option<Parts>, CloseReason),
}

impl Gate {
    pub(crate) fn new(logins: Option<Arc<Logins>>) -> Self {
        let Some(logins) = logins else { return Self::Open };
        let deadline = Instant::now() + LOGIN_PATIENCE;
        Self::Shut(Box::new(Shut { logins, deadline, exchange: None, inside: None }))
    }

    /// Largest frame that the client may send now, if it is less than usual.
    pub(crate) fn frame_bytes_max(&self) -> Option<usize> {
        match self {
            Self::Shut(shut) if shut.inside.is_none() => {
                Some(shut.logins.options().request_bytes_max)
            }
            _ => None,
        }
    }

    /// When the client must have logged in.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        match self {
            Self::Shut(shut) if shut.inside.is_none() => Some(shut.deadline),
            _ => None,
        }
    }

    /// Whether the next frame is a token without a header.
    pub(crate) fn is_raw(&self) -> bool {
        match self {
            Self::Open => false,
            Self::Shut(shut) => shut.exchange.as_ref().is_some_and(|chosen| chosen.raw),
        }
    }

    /// What is done with a request of this kind.
    ///
    /// # Errors
    /// The client may not ask that now.
    pub(crate) fn check(&self, api: ApiKey) -> Result<Path, CloseReason> {
        match self {
            Self::Open => Ok(Path::Serve),
            Self::Shut(shut) => shut.check(api),
        }
    }

    /// Handles a part of a login.
    ///
    /// # Errors
    /// The request cannot be read.
    pub(crate) async fn login(
        &mut self,
        header: &RequestHeader,
        mut reader: Reader,
    ) -> Result<Outcome, CloseReason> {
        let Self::Shut(shut) = self else { return Err(out_of_place(header.api)) };
        if header.api == ApiKey::SaslHandshake {
            let request = decode::<SaslHandshakeRequest>(header, &mut reader)?;
            return shut.handshake(header, &request.mechanism);
        }
        let request = decode::<SaslAuthenticateRequest>(header, &mut reader)?;
        let stepped = shut.step(&request.auth_bytes).await;
        let response = match &stepped {
            Ok(Step::Continue(token)) => SaslAuthenticateResponse {
                auth_bytes: token.clone().into(),
                ..SaslAuthenticateResponse::default()
            },
            Ok(Step::Done(token, login)) => SaslAuthenticateResponse {
                auth_bytes: token.clone().into(),
                session_lifetime_ms: login.lifetime.map_or(0, millis),
                ..SaslAuthenticateResponse::default()
            },
            Err(refusal) => SaslAuthenticateResponse {
                error_code: ErrorCode::SaslAuthenticationFailed.number(),
                error_message: Some(refusal.told.clone()),
                ..SaslAuthenticateResponse::default()
            },
        };
        let parts = encode(header, &response)?;
        Ok(match stepped {
            Ok(Step::Continue(_)) => Outcome::Answer(parts),
            Ok(Step::Done(_, login)) => Outcome::In(parts, login.principal),
            Err(refusal) => Outcome::Out(Some(parts), CloseReason::Login(refusal.why)),
        })
    }

    /// Handles a token that came without a header.
    pub(crate) async fn raw_token(&mut self, token: &[u8]) -> Outcome {
        let Self::Shut(shut) = self else {
            return Outcome::Out(None, out_of_place(ApiKey::SaslAuthenticate));
        };
        match shut.step(token).await {
            Ok(Step::Continue(token)) => Outcome::Answer(raw_frame(&token)),
            Ok(Step::Done(token, login)) => Outcome::In(raw_frame(&token), login.principal),
            // There is no way to say it.
            Err(refusal) => Outcome::Out(None, CloseReason::Login(refusal.why)),
        }
    }

    /// How long a refusal is held back.
    pub(crate) fn failure_delay(&self) -> Duration {
        match self {
            Self::Open => Duration::ZERO,
            Self::Shut(shut) => shut.logins.options().failure_delay,
        }
    }
}

impl Shut {
    fn check(&self, api: ApiKey) -> Result<Path, CloseReason> {
        match (&self.inside, &self.exchange) {
            (_, Some(_)) => match api {
                ApiKey::SaslAuthenticate => Ok(Path::Login),
                _ => Err(out_of_place(api)),
            },
            (None, None) => match api {
                ApiKey::ApiVersions => Ok(Path::Serve),
                ApiKey::SaslHandshake => Ok(Path::Login),
                _ => Err(out_of_place(api)),
            },
            (Some(inside), None) => inside.check(api),
        }
    }

    fn handshake(&mut self, header: &RequestHeader, name: &str) -> Result<Outcome, CloseReason> {
        let mechanisms = self.logins.options().mechanisms.iter();
        let mechanisms = mechanisms.map(|mechanism| mechanism.name().to_owned()).collect();
        let same = |mechanism: &Mechanism| {
            self.inside.as_ref().is_none_or(|inside| inside.mechanism == *mechanism)
        };
        // One may log in again, but not in another way.
        let mechanism = Mechanism::parse(name).filter(same);
        let exchange = mechanism.and_then(|mechanism| self.logins.begin(mechanism));
        let error = match exchange {
            Some(_) => ErrorCode::None,
            None => ErrorCode::UnsupportedSaslMechanism,
        };
        let response = SaslHandshakeResponse { error_code: error.number(), mechanisms };
        let parts = encode(header, &response)?;
        Ok(match exchange {
            Some(exchange) => {
                self.exchange = Some(Chosen { exchange, raw: header.version == 0 });
                Outcome::Answer(parts)
            }
            None => {
                let why = format!("the mechanism {name:.40?} is not offered");
                Outcome::Out(Some(parts), CloseReason::Login(why))
            }
        })
    }

    async fn step(&mut self, token: &[u8]) -> Result<Step, Refusal> {
        let Some(mut chosen) = self.exchange.take() else {
            let why = "no mechanism was chosen".to_owned();
            return Err(Refusal { told: why.clone(), why });
        };
        let step = chosen.exchange.step(token).await?;
        match &step {
            Step::Continue(_) => self.exchange = Some(chosen),
            Step::Done(_, login) => self.let_in(chosen.exchange.mechanism(), login)?,
        }
        Ok(step)
    }

    fn let_in(&mut self, mechanism: Mechanism, login: &Login) -> Result<(), Refusal> {
        let principal = login.principal.clone();
        if let Some(before) = &self.inside
            && before.principal != principal
        {
            let before = &before.principal;
            let why = format!(
                "Cannot change principals during re-authentication from {before}: {principal}"
            );
            return Err(Refusal { told: why.clone(), why });
        }
        let since = Instant::now();
        let until = login.lifetime.map(|lifetime| since + lifetime);
        self.inside = Some(Inside { principal, mechanism, since, until });
        Ok(())
    }
}

impl Inside {
    fn check(&self, api: ApiKey) -> Result<Path, CloseReason> {
        if api == ApiKey::SaslHandshake && self.since.elapsed() >= AGAIN_AFTER {
            return Ok(Path::Login);
        }
        // No clock is asked where sessions do not end.
        if self.until.is_some_and(|until| Instant::now() >= until) {
            let why = format!("the session of {} has expired", self.principal);
            return Err(CloseReason::Login(why));
        }
        Ok(Path::Serve)
    }
}

fn out_of_place(api: ApiKey) -> CloseReason {
    CloseReason::Protocol(format!("{} where a login should be", api.name()))
}

fn millis(lifetime: Duration) -> i64 {
    i64::try_from(lifetime.as_millis()).unwrap_or(i64::MAX)
}

fn decode<R: RequestMessage>(
    header: &RequestHeader,
    reader: &mut Reader,
) -> Result<R, CloseReason> {
    if !R::API.has_version(header.version) {
        let (name, version) = (header.api.name(), header.version);
        return Err(CloseReason::Protocol(format!("{name} version {version} is not offered")));
    }
    R::decode(reader, header.version).map_err(protocol_error)
}

fn encode(header: &RequestHeader, response: &impl Message) -> Result<Parts, CloseReason> {
    let frame = encode_response(header.api, header.version, header.correlation_id, |writer| {
        response.encode(writer, header.version)
    });
    Ok(vec![frame.map_err(protocol_error)?])
}

fn raw_frame(token: &[u8]) -> Parts {
    // Tokens that we make have some hundred bytes.
    let length = i32::try_from(token.len()).unwrap_or(0).to_be_bytes();
    vec![Bytes::from([&length[..], token].concat())]
}
