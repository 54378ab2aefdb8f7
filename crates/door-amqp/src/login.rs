//! Who a client is: SASL within `connection.start-ok` (§1.4.2 of the reference).
//!
//! All of the ways that RabbitMQ's clients know take one step. What they send is a name and a password, or a reference
//! to what the transport proved.

use std::sync::Arc;
use std::time::Duration;

use base::Principal;
use door::Logins;
use door::sasl::{Login, Mechanism, Step};

use crate::wire::table::Table;

#[cfg(test)]
mod tests;

/// Name and password (RFC 4616).
const PLAIN: &str = "PLAIN";
/// The same as a table: of the protocol's first clients.
const AMQPLAIN: &str = "AMQPLAIN";
/// The client's certificate says who it is (RFC 4422, appendix A).
const EXTERNAL: &str = "EXTERNAL";
/// Nobody in particular (RFC 4505).
const ANONYMOUS: &str = "ANONYMOUS";

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

    /// The names of what is offered, best first.
    pub(crate) fn mechanisms(&self) -> Vec<&'static str> {
        let mut names = Vec::new();
        if self.transport != Principal::anonymous() {
            names.push(EXTERNAL);
        }
        match &self.logins {
            None => names.extend([PLAIN, AMQPLAIN, ANONYMOUS]),
            Some(logins) if logins.options().mechanisms.contains(&Mechanism::Plain) => {
                names.extend([PLAIN, AMQPLAIN]);
            }
            Some(_) => {}
        }
        names
    }

    /// Whether nobody asks who a client is, so that what it calls itself is not looked at.
    pub(crate) fn is_open(&self) -> bool {
        self.logins.is_none()
    }

    /// How long a refusal is held back, to slow guessing down.
    pub(crate) fn failure_delay(&self) -> Duration {
        self.logins.as_ref().map_or(Duration::ZERO, |logins| logins.options().failure_delay)
    }

    /// Lets a client in by a mechanism that is offered.
    ///
    /// # Errors
    /// Why not, for the log.
    pub(crate) async fn login(&self, mechanism: &str, response: &[u8]) -> Result<Login, String> {
        if mechanism == EXTERNAL || self.is_open() {
            return Ok(Login { principal: self.transport.clone(), lifetime: None });
        }
        let token = match mechanism {
            AMQPLAIN => table_login(response).ok_or("no LOGIN and PASSWORD in the table")?,
            _ => response.to_vec(),
        };
        let exchange = self.logins.as_ref().and_then(|logins| logins.begin(Mechanism::Plain));
        let mut exchange = exchange.ok_or("passwords are not taken here")?;
        match exchange.step(&token).await {
            Ok(Step::Done(_, login)) => Ok(login),
            Ok(Step::Continue(_)) => Err("a password takes one step".to_owned()),
            Err(refusal) => Err(refusal.why),
        }
    }
}

/// What `PLAIN` would say, from the table of `AMQPLAIN`, which has no length in front.
fn table_login(response: &[u8]) -> Option<Vec<u8>> {
    let table = Table::new(response).ok()?;
    let text = |name: &[u8]| table.get(name)?.string();
    Some([b"\0", text(b"LOGIN")?, b"\0", text(b"PASSWORD")?].concat())
}
