//! Who a client is: its certificate, a name with a password, or a login in steps (5.0 §4.12).

use std::sync::Arc;

use base::Principal;
use door::sasl::{Exchange, Login, Logins, Mechanism, Refusal, Step};

use crate::wire::connect::Connect;
use crate::wire::reason::Reason;

/// Where a client's login stands.
#[derive(Debug)]
pub(crate) enum Progress {
    /// It is in. What it is told at last, and who it is.
    In(Vec<u8>, Login),
    /// It is to answer this.
    Challenge(Vec<u8>),
    /// It is not let in.
    Out(Reason, Refusal),
}

/// A login in steps.
#[derive(Debug)]
pub(crate) struct Steps {
    exchange: Exchange,
}

impl Steps {
    /// Begins a login in the way that a client chose; none for one that is not offered.
    pub(crate) fn begin(logins: Option<&Arc<Logins>>, method: &str) -> Option<Self> {
        let exchange = logins?.begin(Mechanism::parse(method)?)?;
        Some(Self { exchange })
    }

    /// Takes the client's next token.
    pub(crate) async fn step(&mut self, data: &[u8]) -> Progress {
        match self.exchange.step(data).await {
            Ok(Step::Continue(challenge)) => Progress::Challenge(challenge),
            Ok(Step::Done(last, login)) => Progress::In(last, login),
            Err(refusal) => Progress::Out(Reason::NOT_AUTHORIZED, refusal),
        }
    }
}

/// Lets a client in by the name and the password that it shows.
pub(crate) async fn by_password(
    logins: Option<&Arc<Logins>>,
    known: Principal,
    connect: &Connect<'_>,
) -> Progress {
    let Some(logins) = logins else {
        // Nobody asks: names and passwords mean nothing here.
        return Progress::In(Vec::new(), Login { principal: known, lifetime: None });
    };
    let refused = |why: &str| {
        let refusal = Refusal { told: "not authorized".into(), why: why.into() };
        Progress::Out(Reason::NOT_AUTHORIZED, refusal)
    };
    let Some(user) = connect.user else { return refused("no user name") };
    let Some(mut exchange) = logins.begin(Mechanism::Plain) else {
        return refused("passwords are not taken here");
    };
    let token = [b"\0", user.as_bytes(), b"\0", connect.password.unwrap_or_default()].concat();
    match exchange.step(&token).await {
        Ok(Step::Done(_, login)) => Progress::In(Vec::new(), login),
        Ok(Step::Continue(_)) => refused("a password takes one step"),
        Err(refusal) => Progress::Out(Reason::NOT_AUTHORIZED, refusal),
    }
}
