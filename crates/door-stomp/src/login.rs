//! Who a client is: the headers `login` and `passcode` of `CONNECT`, or the client's certificate.

use std::sync::Arc;
use std::time::Duration;

use base::Principal;
use door::Logins;
use door::sasl::{Mechanism, Step};

/// The ways of logging in on a connection.
#[derive(Debug)]
pub(crate) struct Gate {
    logins: Option<Arc<Logins>>,
    /// Whom the transport proved.
    transport: Principal,
}

impl Gate {
    pub(crate) fn new(logins: Option<Arc<Logins>>, transport: Principal) -> Self {
        Self { logins, transport }
    }

    /// Whether nobody asks who a client is, so that what it calls itself is not looked at.
    pub(crate) fn is_open(&self) -> bool {
        self.logins.is_none()
    }

    /// How long a refusal is held back, to slow guessing down.
    pub(crate) fn failure_delay(&self) -> Duration {
        self.logins.as_ref().map_or(Duration::ZERO, |logins| logins.options().failure_delay)
    }

    /// Whether a client need not say who it is: its certificate does, or nobody asks.
    pub(crate) fn knows(&self) -> bool {
        self.is_open() || self.transport != Principal::anonymous()
    }

    /// Lets a client in. `said`: its name and its password.
    ///
    /// # Errors
    /// Why not, for the log.
    pub(crate) async fn login(&self, said: Option<(&[u8], &[u8])>) -> Result<Principal, String> {
        let Some(logins) = &self.logins else { return Ok(self.transport.clone()) };
        let Some((name, password)) = said else {
            let known = self.knows().then(|| self.transport.clone());
            return known.ok_or_else(|| "neither a name nor a certificate".to_owned());
        };
        let exchange = logins.begin(Mechanism::Plain);
        let mut exchange = exchange.ok_or("passwords are not taken here")?;
        // Zeros would be taken for what parts the two (RFC 4616).
        if name.contains(&0) || password.contains(&0) {
            return Err("a name or a password with a zero byte".to_owned());
        }
        match exchange.step(&[b"\0", name, b"\0", password].concat()).await {
            Ok(Step::Done(_, login)) => Ok(login.principal),
            Ok(Step::Continue(_)) => Err("a password takes one step".to_owned()),
            Err(refusal) => Err(refusal.why),
        }
    }
}
